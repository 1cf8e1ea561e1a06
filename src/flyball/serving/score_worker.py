"""A process that holds a model and scores parts, one after the other: parts come in as lines, what became of them goes out by a pipe.

Standard output is the model's own, which may print whatever it likes; the pipe's number is the only argument.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from flyball.kernel.errors import FlyballError
from flyball.serving.score import ScoreRefusal
from flyball.serving.score_input import Part
from flyball.serving.score_part import PartDone, score_part
from flyball.serving.served_model import ServedModel, load_model


class WorkerOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a worker does with every part: the model's folder, where answers go, and the columns that go along."""

    model: str
    folder: str
    keep: tuple[str, ...] = ()
    allow_pickle: bool = False


class WorkerAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of a part: done, or refused."""

    done: PartDone | None = None
    refused: ScoreRefusal | None = None


def open_model(order: WorkerOrder) -> ServedModel:
    """Load the model of an order; only in a process that is there for it."""
    return load_model(Path(order.model), allow_pickle=order.allow_pickle)


def answer_part(model: ServedModel, part: Part, order: WorkerOrder) -> WorkerAnswer:
    """Score a part, and say what became of it."""
    try:
        return WorkerAnswer(done=score_part(model, part, Path(order.folder), keep=order.keep))
    except FlyballError as error:
        return refusal_of(error)


def refusal_of(error: FlyballError) -> WorkerAnswer:
    """Return an error as an answer."""
    return WorkerAnswer(refused=ScoreRefusal(code=error.code, message=error.message, field=error.field))


def main() -> int:
    """Read an order and then parts, until there are no more."""
    with os.fdopen(int(sys.argv[1]), "wb", buffering=0) as answers:
        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerOrder)
        try:
            model = open_model(order)
        except FlyballError as error:
            _tell(answers, refusal_of(error))
            return 0
        while line := sys.stdin.buffer.readline():
            _tell(answers, answer_part(model, msgspec.json.decode(line, type=Part), order))
    return 0


def _tell(answers: BinaryIO, answer: WorkerAnswer) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
