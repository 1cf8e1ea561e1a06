"""The metric files of MLflow's file store: a point a line, time, value, step, and for a model the run and the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flyball.kernel.errors import InvalidInput
from flyball.transfer.entities import BATCH_POINTS, Point
from flyball.transfer.mlflow.documents import key_files

ModelPoint = tuple[str, int, int, float, str, str, str]
STEP, RUN, DATASET = 2, 3, 4


def run_points(folder: Path) -> Iterator[list[Point]]:
    """Yield the points of a run in batches, one key after another, as they were written."""
    batch: list[Point] = []
    for key, path in key_files(folder):
        for words in _lines(path):
            batch.append(_point(key, words, path))
            if len(batch) == BATCH_POINTS:
                yield batch
                batch = []
    if batch:
        yield batch


def model_points(folder: Path) -> Iterator[ModelPoint]:
    """Yield the points of a logged model: a point, its run, and the name and digest of a dataset (or empty)."""
    for key, path in key_files(folder):
        for words in _lines(path):
            run_id = words[RUN] if len(words) > RUN else ""
            # The name of a dataset may have spaces; its digest, the last word, has none.
            name, digest = (" ".join(words[DATASET:-1]), words[-1]) if len(words) > DATASET + 1 else ("", "")
            yield (*_point(key, words, path), run_id, name, digest)


def _lines(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", errors="strict") as lines:
        for line in lines:
            words = line.split()
            if words:
                yield words


def _point(key: str, words: list[str], path: Path) -> Point:
    try:
        # The oldest releases wrote no step.
        return key, int(words[0]), int(words[STEP]) if len(words) > STEP else 0, float(words[1])
    except (ValueError, IndexError) as error:
        raise InvalidInput(f"{path}: '{' '.join(words)[:80]}' is no point of a metric", field="source") from error
