"""Many labels side by side: a window has hundreds of thousands, too many to be a value each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flyball.monitoring.entities import LabelValue, StoredLabel


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumns:
    """Labels in any order; what stands in one place of the four belongs together."""

    prediction_ids: tuple[str, ...] = ()
    values: tuple[LabelValue, ...] = ()
    times_ms: tuple[int, ...] = ()
    events_ms: tuple[int, ...] = ()

    @classmethod
    def of(cls, labels: Collection[StoredLabel]) -> LabelColumns:
        """Return labels side by side."""
        return cls(
            prediction_ids=tuple(label.prediction_id for label in labels),
            values=tuple(label.value for label in labels),
            times_ms=tuple(label.time_ms for label in labels),
            events_ms=tuple(label.event_ms for label in labels),
        )
