"""What one call logs to a run, held to all limits before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import Metric
from flyball.tracking.limits import MAX_PARAM_LENGTH, check_batch, check_key, check_metric, clip_tags, clip_text

_NOTHING: Mapping[str, str] = MappingProxyType({})


class ParamChanged(InvalidInput):
    """Params of a run never change; `changes` holds key, kept value and new value."""

    def __init__(self, run_id: str, changes: Sequence[tuple[str, str, str]]) -> None:
        shown = [{"key": key, "old_value": old, "new_value": new} for key, old, new in changes]
        super().__init__(
            f"Changing param values is not allowed. Params were already logged='{shown}' for run ID='{run_id}'.",
            field="params",
        )
        self.run_id = run_id
        self.changes = changes

    def single(self) -> InvalidInput:
        """Say the same where only one param was sent."""
        key, old, new = self.changes[0]
        return InvalidInput(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for "
            f"run ID='{self.run_id}'. Attempted logging new value '{new}'.",
            field="value",
        )


# A struct and not a dataclass, because a frozen one takes ten times as long to make: each call of a training makes one.
class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one call logs to a run, within all limits."""

    run_id: str
    actor: str
    metrics: Sequence[Metric] = ()
    params: Mapping[str, str] = _NOTHING
    tags: Mapping[str, str] = _NOTHING
    came_alone: bool = False
    """Whether it came as a call of its own and not as a batch, which errors then do not speak of."""

    @classmethod
    def of_point(cls, run_id: str, metric: Metric, *, actor: str) -> LogEntry:
        """Make one of a single point.

        Raises:
            InvalidInput: a limit is broken.
        """
        check_metric(metric, at=None)
        return cls(run_id=run_id, actor=actor, metrics=(metric,), came_alone=True)

    @classmethod
    def of_param(cls, run_id: str, key: str, value: str, *, actor: str) -> LogEntry:
        """Make one of a single param.

        Raises:
            InvalidInput: a limit is broken.
        """
        check_key(key, field="key", noun="Param key")
        kept = {key: clip_text(value, field="value", limit=MAX_PARAM_LENGTH)}
        return cls(run_id=run_id, actor=actor, params=kept, came_alone=True)

    @classmethod
    def of_batch(
        cls,
        run_id: str,
        *,
        actor: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[tuple[str, str]] = (),
        tags: Sequence[tuple[str, str]] = (),
    ) -> LogEntry:
        """Make one of a batch.

        Raises:
            InvalidInput: a limit is broken.
        """
        check_batch(metrics=metrics, params=params, tags=tags)
        kept_params = {
            check_key(key, field=f"params[{at}].key", noun="Param key"): clip_text(
                value, field=f"params[{at}].value", limit=MAX_PARAM_LENGTH
            )
            for at, (key, value) in enumerate(params)
        }
        for at, metric in enumerate(metrics):
            check_metric(metric, at=at)
        return cls(run_id=run_id, actor=actor, metrics=metrics, params=kept_params, tags=clip_tags(tags))

    @property
    def is_points_only(self) -> bool:
        """Whether it logs nothing but points of the run itself."""
        return not self.params and not self.tags and not any(metric.model_id for metric in self.metrics)
