"""What a batch of labels comes to: which are new, the same again, or a change, and which may not be taken."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.errors import Conflict, InvalidInput
from flyball.monitoring.entities import AnswerKind, Label, LabelReceipt, LabelValue, PredictionKey, StoredLabel
from flyball.serving.redaction import is_drawn

NAMED_IN_ERRORS = 10


class Repeat(StrEnum):
    """What to do with a label that differs from the one a prediction has."""

    REFUSE = "refuse"
    REVISE = "revise"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """Labels to be kept, their arrival not yet known (0), and the receipt for the whole batch."""

    labels: tuple[StoredLabel, ...]
    receipt: LabelReceipt


def plan_labels(
    batch: Sequence[Label], *, keys: Iterable[PredictionKey], stored: Mapping[str, StoredLabel], repeat: Repeat
) -> LabelPlan:
    """Decide about a whole batch at once, so that it is taken as it is or not at all.

    Raises:
        InvalidInput: a label for an unknown prediction, of another type than the prediction, NaN, or two different
            labels for one prediction in the batch; the message names up to ten ids.
        Conflict: a label differs from the one there is, and revising was not asked for.
    """
    known = _known(keys)
    _refuse_unknown(batch, known)
    wanted = _unique(batch, known)
    fresh, changed = [], []
    for name, label in wanted.items():
        earlier = stored.get(name)
        if earlier is None:
            fresh.append(_keep(label, known[name], revision=1))
        elif earlier.value != label.value:
            changed.append(_keep(label, known[name], revision=earlier.revision + 1))
    if changed and repeat is Repeat.REFUSE:
        names = _some([label.prediction_id for label in changed])
        raise Conflict(f"these predictions have another label already: {names}; ask to revise it", field="labels")
    unchanged = len(wanted) - len(fresh) - len(changed)
    receipt = LabelReceipt(added=len(fresh), unchanged=unchanged, revised=len(changed))
    return LabelPlan(labels=(*fresh, *changed), receipt=receipt)


def captured_labels(batch: Sequence[Label], known: Collection[str], *, share: float) -> list[Label]:
    """Return the labels whose predictions are kept or should have been: those of predictions that were not drawn are left out."""
    return [label for label in batch if label.prediction_id in known or is_drawn(label.prediction_id, share)]


def _known(keys: Iterable[PredictionKey]) -> dict[str, PredictionKey]:
    """Return one entry an id: what the caller got where there is such, else a shadow's answer."""
    known: dict[str, PredictionKey] = {}
    for key in keys:
        if key.prediction_id not in known or not key.answer:
            known[key.prediction_id] = key
    return known


def _refuse_unknown(batch: Sequence[Label], known: Mapping[str, PredictionKey]) -> None:
    unknown = [label.prediction_id for label in batch if label.prediction_id not in known]
    if unknown:
        raise InvalidInput(
            f"no prediction with {len(unknown)} of the {len(batch)} ids was ever made here: {_some(unknown)}; "
            "no label of the batch was taken. Correct the ids, or repeat the batch in a moment if they are new",
            field="prediction_id",
        )


def _unique(batch: Sequence[Label], known: Mapping[str, PredictionKey]) -> dict[str, Label]:
    unique: dict[str, Label] = {}
    for given in batch:
        kind = known[given.prediction_id].kind
        label = Label(prediction_id=given.prediction_id, value=_fit(given, kind), time_ms=_moment(given))
        twin = unique.setdefault(label.prediction_id, label)
        if twin.value != label.value:
            raise InvalidInput(f"the batch has two labels for prediction '{given.prediction_id}'", field="labels")
    return unique


def _fit(label: Label, kind: AnswerKind) -> LabelValue:
    """Return the value in the one form that its prediction's kind has, so that equal labels are equal values."""
    value = label.value
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"the label of prediction '{label.prediction_id}' is {value}, no value", field="value")
    if kind is AnswerKind.TEXT and isinstance(value, str):
        return value
    if kind is AnswerKind.BOOLEAN and value in (0, 1):
        return bool(value)
    if kind is AnswerKind.NUMBER and isinstance(value, (bool, int, float)):
        return float(value)
    raise InvalidInput(
        f"the label {value!r} of prediction '{label.prediction_id}' cannot be compared with it: its prediction is a {kind}",
        field="value",
    )


def _moment(label: Label) -> int:
    if label.time_ms < 0:
        raise InvalidInput(f"the label of prediction '{label.prediction_id}' lies before 1970", field="time_ms")
    return label.time_ms


def _keep(label: Label, key: PredictionKey, *, revision: int) -> StoredLabel:
    return StoredLabel(
        prediction_id=label.prediction_id,
        revision=revision,
        value=label.value,
        time_ms=label.time_ms,
        event_ms=key.time_ms,
        arrival=0,
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name[:80]}'" for name in names[:NAMED_IN_ERRORS])
    return shown if len(names) <= NAMED_IN_ERRORS else f"{shown} and {len(names) - NAMED_IN_ERRORS} more"
