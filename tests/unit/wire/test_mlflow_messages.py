from __future__ import annotations

import math

import msgspec
import pytest

from flyball.wire.mlflow.message import encode_number
from flyball.wire.mlflow.metrics import LogMetric, Metric
from flyball.wire.mlflow.runs import LogBatch, RunData, UpdateRun


def read(text: str) -> LogMetric:
    return msgspec.json.decode(text, type=LogMetric, strict=False)


@pytest.mark.parametrize(
    ("text", "expected"), [("5", 5), ('"5"', 5), ("5.0", 5), (str(-(2**63)), -(2**63)), ("null", None)]
)
def test_a_whole_number_may_come_as_text(text: str, expected: int | None) -> None:
    assert read(f'{{"step": {text}}}').step == expected


@pytest.mark.parametrize("text", ["9223372036854775808", '"9223372036854775808"', "1.5", '"x"', "true", "[]"])
def test_what_is_no_64_bit_number_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(f'{{"step": {text}}}')


@pytest.mark.parametrize(
    ("text", "expected"), [('"Infinity"', math.inf), ('"-Infinity"', -math.inf), ("1e3", 1000.0), ('"0.5"', 0.5)]
)
def test_infinities_come_as_text(text: str, expected: float) -> None:
    assert read(f'{{"value": {text}}}').value == expected


def test_not_a_number_comes_as_text() -> None:
    value = read('{"value": "NaN"}').value
    assert value is not None
    assert math.isnan(value)


def test_unknown_fields_are_ignored() -> None:
    assert read('{"key": "a", "new_in_4": {"x": 1}}').key == "a"
    assert msgspec.json.decode(b'{"metrics": [{"key": "m", "more": 1}]}', type=LogBatch).metrics is not None


def test_an_enumeration_may_come_as_name_or_number() -> None:
    assert msgspec.json.decode(b'{"status": "FINISHED"}', type=UpdateRun, strict=False).status == "FINISHED"
    assert msgspec.json.decode(b'{"status": 3}', type=UpdateRun, strict=False).status == 3


def test_unset_fields_are_left_out_of_answers() -> None:
    assert msgspec.json.encode(RunData()) == b"{}"
    point = Metric(key="m", value=encode_number(math.nan), timestamp=0, step=0)
    assert msgspec.json.decode(msgspec.json.encode(point)) == {"key": "m", "value": "NaN", "timestamp": 0, "step": 0}


@pytest.mark.parametrize(
    ("value", "expected"), [(math.inf, 1.7976931348623157e308), (-math.inf, -1.7976931348623157e308), (0.1, 0.1)]
)
def test_infinities_go_out_as_the_largest_numbers(value: float, expected: float) -> None:
    assert encode_number(value) == expected
