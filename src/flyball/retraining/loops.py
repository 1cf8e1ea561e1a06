"""The loop file: which endpoint is guarded, how it is retrained, and under which limits."""

from __future__ import annotations

import re
from functools import lru_cache, partial

import msgspec

from flyball.datasets.entities import check_name
from flyball.deployment.stop_rules import LARGEST_ALPHA
from flyball.kernel.documents import read_document, require
from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput

# Short enough that a dataset of the loop, `<loop>-training`, still has a name that datasets accept.
MAX_NAME = 100
_require = partial(require, what="the loop file")
_PIPELINE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class TrainingPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which labelled traffic is trained on and judged on.

    `span`: how far back the training reaches. `recent`: the newest labelled time, kept out of training for the gate.
    `holdout_every`: every n-th whole day of the span is frozen as the holdout. `base`: a dataset (`<name>/<n>`) that fills
    the span where traffic does not reach back far enough.
    """

    span: str
    recent: str
    holdout_every: int = 5
    base: str = ""

    @property
    def span_ms(self) -> int:
        """The span in milliseconds of event time."""
        return parse_duration_ms(self.span, field="training.span")

    @property
    def recent_ms(self) -> int:
        """The recent part in milliseconds of event time."""
        return parse_duration_ms(self.recent, field="training.recent")


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much traffic the challenger gets, and the stop rule; there is no canary without one.

    `share` and `margin` are in 0..1, `alpha` is the chance of a false stop, rows are labelled challenger rows.
    """

    share: float
    alpha: float
    margin: float
    min_rows: int
    max_rows: int


class Loop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guarded loop, as its file says it.

    `react_to`: the kinds of alert that open a request (what no training mends is refused: `NO_CAUSE`). `cool_down` and
    `max_requests` within `period` count requests that trained, in event time. `answer_within`: how long people have to answer,
    in wall-clock time, before the approval expires and its request is refused; without it an approval waits for ever.
    `ratchet`: a new champion never lowers the bar that quality is held against.
    """

    loop: str
    endpoint: str
    model: str
    monitor: str
    pipeline: str
    policy: str
    label_column: str
    training: TrainingPlan
    canary: CanaryPlan
    cool_down: str
    max_requests: int
    period: str
    time_column: str = "time_ms"
    react_to: tuple[str, ...] = ("data_fault", "quality_drop")
    answer_within: str = ""
    ratchet: bool = False

    @property
    def cool_down_ms(self) -> int:
        """Least event time between two trainings."""
        return parse_duration_ms(self.cool_down, field="cool_down")

    @property
    def answer_within_ms(self) -> int | None:
        """Longest wall-clock time that an approval may wait, None without an end."""
        return parse_duration_ms(self.answer_within, field="answer_within") if self.answer_within else None

    @property
    def period_ms(self) -> int:
        """The event time over which `max_requests` counts."""
        return parse_duration_ms(self.period, field="period")


ALERT_KINDS = frozenset({"data_fault", "quality_drop", "covariate_drift", "concept", "lasting_change"})
# What a monitor alarms of and no training mends, with the reason that the error gives.
NO_CAUSE = {
    "bias": "the rows that show it would teach it again; change the data or the model, and promote that version",
    "capture_loss": "what is not in the log cannot be trained on; see why the endpoint could not keep its answers",
}


@lru_cache(maxsize=256)  # the worker asks at every turn; a loop's text seldom changes
def parse_loop(text: str) -> Loop:
    """Read and check a loop file.

    Raises:
        InvalidInput: a value out of its range; `field` names it.
        UnknownKey: a key no loop has.
    """
    loop = read_document(text, Loop, what="the loop file")
    _check_names(loop)
    for kind in loop.react_to:
        _require(kind not in NO_CAUSE, "react_to", f"'{kind}' is no cause to retrain: {NO_CAUSE.get(kind)}")
        _require(
            kind in ALERT_KINDS, "react_to", f"'{kind}' is no kind of alert; known: {', '.join(sorted(ALERT_KINDS))}"
        )
    _require(loop.cool_down_ms >= 0, "cool_down", "must not be negative")
    _require(loop.max_requests > 0, "max_requests", "must be at least 1")
    _require(loop.period_ms > 0, "period", "must be longer than nothing")
    _require(loop.answer_within_ms is None or loop.answer_within_ms > 0, "answer_within", "must be longer than nothing")
    _check_training(loop.training)
    _check_canary(loop.canary)
    return loop


def parse_dataset_name(text: str, *, field: str) -> tuple[str, int]:
    """Read the name of a dataset version, `<name>/<n>`.

    >>> parse_dataset_name("elec2-history/1", field="training")
    ('elec2-history', 1)

    Raises:
        InvalidInput: it is none.
    """
    stem, _, number = text.rpartition("/")
    if not stem or not number.isascii() or not number.isdigit() or int(number) < 1:
        raise InvalidInput(f"'{text[:150]}' is no dataset version; expected <name>/<number>", field=field)
    return stem, int(number)


def _check_names(loop: Loop) -> None:
    _require(0 < len(loop.loop) <= MAX_NAME, "loop", f"must have 1 to {MAX_NAME} characters")
    try:
        check_name(loop.loop)
    except InvalidInput as error:
        raise InvalidInput(f"the loop file: 'loop': {error.message}", field="loop") from error
    for field in ("endpoint", "model", "monitor", "policy", "label_column", "time_column"):
        _require(bool(getattr(loop, field).strip()), field, "must not be empty")
    _require(loop.label_column != loop.time_column, "label_column", "must be another column than 'time_column'")
    _require(
        bool(_PIPELINE.fullmatch(loop.pipeline)), "pipeline", "must be 'module:function', e.g. training.churn:train"
    )


def _check_training(plan: TrainingPlan) -> None:
    _require(plan.holdout_every > 1, "training.holdout_every", "must be at least 2: some days must remain")
    _require(plan.recent_ms > 0, "training.recent", "must be longer than nothing")
    _require(plan.span_ms > plan.recent_ms, "training.span", "must be longer than training.recent")
    if plan.base:
        parse_dataset_name(plan.base, field="training.base")


def _check_canary(canary: CanaryPlan) -> None:
    _require(0 < canary.share < 1, "canary.share", "must lie between 0 and 1")
    _require(0 < canary.alpha <= LARGEST_ALPHA, "canary.alpha", f"must be above 0 and at most {LARGEST_ALPHA}")
    _require(0 <= canary.margin < 1, "canary.margin", "must be at least 0 and below 1")
    _require(canary.min_rows > 0, "canary.min_rows", "must be at least 1")
    _require(canary.max_rows >= canary.min_rows, "canary.max_rows", "must be at least canary.min_rows")
