"""What a worker of a batch job does: hold the model, and score one part after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from flyball.kernel.runners import Piece, Work
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.score_capture import CaptureOrder
from flyball.serving.score_input import Part
from flyball.serving.score_part import PartDone, score_part
from flyball.serving.served_model import load_model


class ScoreOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is the same for every part: the model's folder, where answers go, the columns that go along, and where the model runs."""

    model: str
    folder: str
    keep: tuple[str, ...] = ()
    allow_pickle: bool = False
    isolation: IsolationRules | None = None
    capture: CaptureOrder | None = None

    @property
    def work(self) -> Work:
        """The order as a runner takes it."""
        return Work(opens=f"{__name__}:open_scoring", given=msgspec.json.encode(self))


def open_scoring(given: bytes) -> Callable[[bytes], bytes]:
    """Load the model of an order, and return what scores a part; only in a process that is there for it."""
    order = msgspec.json.decode(given, type=ScoreOrder)
    isolation = None if order.isolation is None else order.isolation.open()
    model = load_model(Path(order.model), allow_pickle=order.allow_pickle, isolation=isolation)

    def score(content: bytes) -> bytes:
        part = msgspec.json.decode(content, type=Part)
        done = score_part(model, part, Path(order.folder), keep=order.keep, capture=order.capture)
        return msgspec.json.encode(done)

    return score


def piece_of(part: Part) -> Piece:
    """Return a part as a runner takes it."""
    return Piece(name=part.path, content=msgspec.json.encode(part))


def done_of(outcome: bytes) -> PartDone:
    """Return what became of a part."""
    return msgspec.json.decode(outcome, type=PartDone)
