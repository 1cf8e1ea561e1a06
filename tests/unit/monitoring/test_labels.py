"""A batch of labels is judged as a whole."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import Conflict, InvalidInput
from flyball.monitoring.entities import (
    AnswerKind,
    Label,
    LabelReceipt,
    LabelValue,
    PredictionKey,
    StoredLabel,
)
from flyball.monitoring.labels import LabelPlan, Repeat, plan_labels


def _key(name: str, kind: AnswerKind = AnswerKind.NUMBER, *, answer: str = "", time_ms: int = 7) -> PredictionKey:
    return PredictionKey(prediction_id=name, answer=answer, time_ms=time_ms, kind=kind)


def _label(name: str, value: LabelValue = 1) -> Label:
    return Label(prediction_id=name, value=value, time_ms=50)


def _stored(name: str, value: LabelValue = 1.0, revision: int = 1) -> StoredLabel:
    return StoredLabel(prediction_id=name, revision=revision, value=value, time_ms=50, event_ms=7, arrival=0)


def _plan(
    batch: list[Label],
    keys: list[PredictionKey],
    stored: list[StoredLabel] | None = None,
    *,
    repeat: Repeat = Repeat.REFUSE,
) -> LabelPlan:
    return plan_labels(batch, keys=keys, stored={label.prediction_id: label for label in stored or []}, repeat=repeat)


def test_new_labels_are_kept_with_the_time_of_their_prediction() -> None:
    plan = _plan([_label("a")], [_key("a")])
    assert plan.labels == (_stored("a"),)
    assert plan.receipt == LabelReceipt(added=1, unchanged=0, revised=0)


def test_the_same_label_again_changes_nothing() -> None:
    plan = _plan([_label("a"), _label("a", 1.0), _label("b")], [_key("a"), _key("b")], [_stored("a")])
    assert plan.labels == (_stored("b"),)
    assert plan.receipt == LabelReceipt(added=1, unchanged=1, revised=0)


def test_another_label_needs_the_wish_to_revise() -> None:
    with pytest.raises(Conflict, match="'a'; ask to revise"):
        _plan([_label("a", 0)], [_key("a")], [_stored("a")])
    plan = _plan([_label("a", 0)], [_key("a")], [_stored("a", revision=3)], repeat=Repeat.REVISE)
    assert plan.labels == (_stored("a", 0.0, revision=4),)
    assert plan.receipt == LabelReceipt(added=0, unchanged=0, revised=1)


def test_unknown_predictions_are_named_up_to_ten() -> None:
    batch = [_label("known"), *(_label(f"ghost{number}") for number in range(12))]
    with pytest.raises(InvalidInput, match=r"12 of the 13 ids .*'ghost9' and 2 more") as caught:
        _plan(batch, [_key("known")])
    assert caught.value.field == "prediction_id"


def test_two_labels_for_one_prediction_in_a_batch_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two labels for prediction 'a'"):
        _plan([_label("a", 1), _label("a", 0)], [_key("a")])


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (AnswerKind.NUMBER, 1, 1.0),
        (AnswerKind.NUMBER, True, 1.0),
        (AnswerKind.NUMBER, 2.5, 2.5),
        (AnswerKind.BOOLEAN, 1, True),
        (AnswerKind.BOOLEAN, 0.0, False),
        (AnswerKind.TEXT, "up", "up"),
    ],
)
def test_a_label_takes_the_form_of_its_prediction(kind: AnswerKind, value: LabelValue, kept: LabelValue) -> None:
    (label,) = _plan([_label("a", value)], [_key("a", kind)]).labels
    assert (label.value, type(label.value)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (AnswerKind.NUMBER, "1"),
        (AnswerKind.BOOLEAN, 2),
        (AnswerKind.BOOLEAN, "true"),
        (AnswerKind.TEXT, 1),
        (AnswerKind.TEXT, True),
        (AnswerKind.NUMBER, float("nan")),
        (AnswerKind.NUMBER, float("inf")),
    ],
)
def test_a_label_that_cannot_be_compared_is_refused(kind: AnswerKind, value: LabelValue) -> None:
    with pytest.raises(InvalidInput, match="prediction 'a'") as caught:
        _plan([_label("a", value)], [_key("a", kind)])
    assert caught.value.field == "value"


def test_a_label_before_1970_is_refused() -> None:
    with pytest.raises(InvalidInput, match="before 1970"):
        _plan([Label(prediction_id="a", value=1, time_ms=-1)], [_key("a")])


def test_the_callers_answer_counts_before_a_shadows() -> None:
    keys = [_key("a", AnswerKind.TEXT, answer="shadow/2", time_ms=9), _key("a", time_ms=7)]
    for order in (keys, keys[::-1]):
        (label,) = _plan([_label("a", 1)], order).labels
        assert label.event_ms == 7


def test_an_empty_batch_is_no_work() -> None:
    assert _plan([], []) == LabelPlan(labels=(), receipt=LabelReceipt(added=0, unchanged=0, revised=0))
