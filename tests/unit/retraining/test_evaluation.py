"""Hits side by side, day by day, and the bar a version is held against from then on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.registry.gates.evidence import BlockScore, PairedEvaluation
from flyball.retraining.evaluation import baseline_of, blocks, hits, ratcheted
from flyball.retraining.freeze import DAY_MS

OWN: dict[str, JsonValue] = {
    "metric": "accuracy",
    "value": 0.8,
    "lower": 0.7,
    "upper": 0.9,
    "rows": 10,
    "dataset": "h/1",
}


def test_hits_are_equal_answers_whatever_their_number_type() -> None:
    assert hits(pa.chunked_array([[1.0, 0.0, 1.0]]), pa.chunked_array([[1, 1, 1]])).tolist() == [1, 0, 1]
    assert hits(pa.chunked_array([["up", "down"]]), pa.chunked_array([["up", "up"]])).tolist() == [1, 0]


def test_blocks_count_both_models_on_the_same_rows_of_a_day() -> None:
    times = np.asarray([0, 1, DAY_MS, DAY_MS + 1, DAY_MS + 2])
    found = blocks(times, np.asarray([1, 0, 1, 1, 1]), np.asarray([1, 1, 0, 0, 1]))
    assert found == (
        BlockScore(block="0", rows=2, champion_hits=1, challenger_hits=2),
        BlockScore(block="1", rows=3, champion_hits=3, challenger_hits=1),
    )


def test_the_baseline_is_the_challengers_accuracy_on_the_holdout() -> None:
    days = tuple(BlockScore(block=str(day), rows=10, champion_hits=5, challenger_hits=8) for day in range(5))
    one = PairedEvaluation(role="holdout", dataset="h/1", dataset_digest="0" * 64, metric="accuracy", blocks=days)
    found = baseline_of((one,))
    assert (found["metric"], found["value"], found["rows"], found["dataset"]) == ("accuracy", 0.8, 50, "h/1")


def test_without_a_holdout_there_is_no_baseline() -> None:
    with pytest.raises(InvalidInput):
        baseline_of(())


def test_a_higher_bar_of_the_champion_stays() -> None:
    champion: dict[str, JsonValue] = {"metric": "accuracy", "value": 0.9, "lower": 0.85, "upper": 0.95, "rows": 7}
    assert ratcheted(OWN, champion) == OWN | {
        "value": 0.9,
        "lower": 0.85,
        "upper": 0.95,
        "own": {"value": 0.8, "lower": 0.7, "upper": 0.9},
    }


def test_a_ratcheted_bar_is_passed_on() -> None:
    first = ratcheted(OWN, {"metric": "accuracy", "value": 0.9})
    assert ratcheted(OWN | {"value": 0.85}, first)["value"] == 0.9


def test_a_challenger_above_the_bar_raises_it() -> None:
    assert ratcheted(OWN, {"metric": "accuracy", "value": 0.8}) == OWN
    assert ratcheted(OWN, {"metric": "accuracy", "value": 0.5}) == OWN


def test_the_bar_of_another_metric_says_nothing() -> None:
    assert ratcheted(OWN, {"metric": "recall", "value": 0.99}) == OWN


def test_a_champion_whose_baseline_cannot_be_read_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        ratcheted(OWN, {"value": 0.9})
