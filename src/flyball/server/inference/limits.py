"""What a model server takes at once: the settings as limits of requests, of queues and of batches, and the room for bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from flyball.kernel.errors import Overloaded
from flyball.kernel.settings import Settings
from flyball.serving.batching import BatchLimits

_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """How long a request may take that does not say so itself, and how many bytes of bodies may be held at once."""

    timeout_s: float = 60.0
    bodies_bytes: int = 512 << 20

    @classmethod
    def by(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(timeout_s=settings.request_timeout_ms / _MILLISECONDS, bodies_bytes=settings.bodies_bytes)


def batch_limits(settings: Settings) -> BatchLimits:
    """Return what the settings say of queues and batches."""
    return BatchLimits(
        batch_rows=settings.batch_rows,
        batch_bytes=settings.batch_bytes,
        waiting_requests=settings.queue_requests,
        waiting_bytes=settings.queue_bytes,
    )


class BodyRoom:
    """The bytes of all bodies that are held at this moment, from the first look at them to their answer.

    A single body is taken whatever its size, which has a limit of its own. Belongs to one event loop.
    """

    __slots__ = ("_most_bytes", "held_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> int:
        """Take a body in, and return its size.

        Raises:
            Overloaded: there is no room for it at present.
        """
        if not self.has_room(size_bytes):
            raise Overloaded(
                f"{self.held_bytes} bytes of requests are being answered, and {self._most_bytes} may be; come again later"
            )
        self.held_bytes += size_bytes
        return size_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Tell whether a body can be taken in."""
        return not self.held_bytes or self.held_bytes + size_bytes <= self._most_bytes

    def change(self, taken_bytes: int, size_bytes: int) -> int:
        """Replace the size that was thought of a body by the one that it has, and return that."""
        self.held_bytes += size_bytes - taken_bytes
        return size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Let a body go."""
        self.held_bytes -= size_bytes
