"""The port of runners: one function, made once a worker, is called with each part; texts and bytes go in and out, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

# A worker may be lost to its machine or to whoever ends it; one that is lost three times at one part is lost to that part.
ATTEMPTS = 3


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every worker does.

    `opens` names a function as `module:name`, which the worker imports; it is ours to say, never a user's. It is called once a
    worker, with `given`, and returns a function from the bytes of a part to the bytes that became of it.
    """

    opens: str
    given: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part as it is sent: a name for messages, and what the work's function is given."""

    name: str
    content: bytes


class PartRunner(Protocol):
    """Do one work on many parts. To be used by one thread at a time."""

    def run(self, work: Work, parts: Iterable[Piece], *, workers: int) -> Iterator[bytes]:
        """Yield what became of each part, once, in whatever order.

        Parts are taken as they are needed: at most `2 * workers + 1` are taken and not yet yielded, so memory is bounded
        however many there are. A part whose worker was lost is given to another one, `ATTEMPTS` times in all; so the work may be
        done twice, and must not mind. Workers see no setting of ours among their environment variables. However the run
        ends, by an error or because its caller leaves it, its workers end.

        Raises:
            FlyballError: what the work raised, for the first part that failed; an error that is none of ours is told by its
                type and text.
            Unavailable: a part lost every worker it was given to; the message names it.
        """
        ...
