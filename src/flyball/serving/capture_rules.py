"""How much an endpoint captures, of which columns, and how soon it is on disk: one value, set by people for each endpoint."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput, UnknownKey

WordT = TypeVar("WordT", bound=StrEnum)
INPUTS = ("feature.", "tensor.")
# What a record says beside the features and may be told without. The ids are what labels are joined by, and the rest says
# nothing of a person.
SPARABLE = ("caller", "request_id")


class Treatment(StrEnum):
    """What becomes of a column before it reaches a disk."""

    KEEP = "keep"
    """It is written as it was served."""
    HASH = "hash"
    """A keyed digest is written in its place: equal values stay equal, and nobody without the key can tell what they were."""
    DROP = "drop"
    """It is not written."""


class CaptureMode(StrEnum):
    """When a prediction is on disk."""

    INTERVAL = "interval"
    """Within `capture_flush_ms`; no request waits for it, and none fails of it."""
    DURABLE = "durable"
    """Before it is answered; a prediction that cannot be kept is not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """What an endpoint captures.

    `share` (above 0, up to 1) of the predictions is kept, drawn by prediction id. `columns` names columns as the log does
    (`feature.age`, `caller`); `others` is for the features that it does not name.
    """

    share: float = 1.0
    mode: CaptureMode = CaptureMode.INTERVAL
    columns: Mapping[str, Treatment] = field(default_factory=dict)
    others: Treatment = Treatment.KEEP

    def treatment(self, column: str) -> Treatment:
        """Return what becomes of a column of the log."""
        given = self.columns.get(column)
        if given is not None:
            return given
        return self.others if column.startswith(INPUTS) else Treatment.KEEP

    @property
    def keeps_all(self) -> bool:
        """Whether every column is written as it was served."""
        return self.others is Treatment.KEEP and all(one is Treatment.KEEP for one in self.columns.values())


KEEP_ALL = CaptureRules()


def parse_rules(*, share: float, mode: str, columns: Mapping[str, str], others: str) -> CaptureRules:
    """Make rules of what somebody wrote.

    Raises:
        InvalidInput: a share outside of its range, or a word that is no mode or treatment; `field` names it.
    """
    if not math.isfinite(share) or not 0 < share <= 1:
        raise InvalidInput(
            f"the share of captured predictions is {share}; it must lie above 0 and be at most 1", field="share"
        )
    return CaptureRules(
        share=share,
        mode=_word(CaptureMode, mode, field="mode"),
        columns={name: _word(Treatment, text, field=name) for name, text in sorted(columns.items())},
        others=_word(Treatment, others, field="others"),
    )


def check_columns(rules: CaptureRules, inputs: Collection[str]) -> None:
    """See to it that every column that the rules name is one: a rule for a misspelt column would keep what it should hide.

    Raises:
        UnknownKey: a column is none of the `inputs` (as the log calls them) of the versions that the endpoint answers with.
    """
    known = [*inputs, *SPARABLE]
    for name in rules.columns:
        if name not in known:
            raise UnknownKey.among(name, known, where="the columns that capture can treat")


def rules_json(rules: CaptureRules) -> dict[str, JsonValue]:
    """Return rules as plain values, which are the arguments that `parse_rules` makes them of."""
    columns: dict[str, JsonValue] = {name: one.value for name, one in rules.columns.items()}
    return {"share": rules.share, "mode": rules.mode.value, "columns": columns, "others": rules.others.value}


def _word(words: type[WordT], text: str, *, field: str) -> WordT:
    try:
        return words(text)
    except ValueError as error:
        raise InvalidInput(f"'{text}' is none of {', '.join(words)}", field=field) from error
