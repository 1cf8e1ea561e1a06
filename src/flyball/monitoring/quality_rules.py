"""The part of the monitor file about quality: which metric, how surely it must have fallen, and by how much."""

from __future__ import annotations

import msgspec

from flyball.kernel.errors import Unsupported
from flyball.measures import classification, multiclass, regression
from flyball.measures.metrics import Metric, Task
from flyball.monitoring.monitor_file import MONITOR_FILE, require

PINBALL = "pinball"
ACCURACY = "accuracy"
METRICS = {one.name: one for one in (*classification.METRICS, *multiclass.METRICS, *regression.METRICS)}
LEAST_CONFIDENCE = 0.5
FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 100_000
FEWEST_CLASSES = 3


class QualityRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When quality counts as dropped: its better bound is worse than the baseline by more than the tolerance.

    `metric` is one of classification (`accuracy` and `multi_...` over all classes; the others of the class `positive` against
    the rest) or of regression. `tolerance` is in the metric's own unit. `confidence` is that of the bound; `block` is the stretch of time
    whose rows depend on each other, empty for a day (or a tenth of a window that is shorter than five days). With
    `independent_rows` blocks are not needed: shares are bounded by Wilson, the ROC AUC by DeLong. `positive` is the label that
    counts as positive, by default 1 or true; `classes` are those of the probabilities, in their order; `quantile` is what the
    predictions of `pinball` are.
    """

    metric: str = ACCURACY
    confidence: float = 0.95
    tolerance: float = 0.02
    block: str = ""
    resamples: int = 1_000
    positive: float | str | bool | None = None
    classes: tuple[float | str | bool, ...] = ()
    quantile: float = 0.5
    independent_rows: bool = False

    @property
    def is_of_classes(self) -> bool:
        """Whether answers are right or wrong, and not more or less so."""
        return self.find_metric().task is not Task.REGRESSION

    def find_metric(self) -> Metric:
        """Return the metric as a measure.

        Raises:
            Unsupported: there is none of this name.
        """
        if self.metric == PINBALL:
            return regression.pinball(self.quantile)
        if self.metric not in METRICS:
            known = ", ".join(sorted([*METRICS, PINBALL]))
            raise Unsupported(
                f"{MONITOR_FILE}: '{self.metric}' is not offered; use one of {known}", field="quality.metric"
            )
        return METRICS[self.metric]


def check_quality_rules(rules: QualityRules) -> None:
    """Check what the types do not say.

    Raises:
        InvalidInput: a value out of its range; `field` names it.
        Unsupported: a metric that is not offered.
    """
    metric = rules.find_metric()
    require(LEAST_CONFIDENCE < rules.confidence < 1, "quality.confidence", "must lie between 0.5 and 1")
    if metric.is_share:
        require(0 <= rules.tolerance < 1, "quality.tolerance", "must be at least 0 and below 1")
    require(rules.tolerance >= 0, "quality.tolerance", "must be at least 0")
    require(
        FEWEST_RESAMPLES <= rules.resamples <= MOST_RESAMPLES, "quality.resamples", "must lie between 100 and 100000"
    )
    require(0 < rules.quantile < 1, "quality.quantile", "must lie between 0 and 1")
    _check_classes(rules, metric)
    of_classes = metric.task is Task.CLASSIFICATION and metric.name != ACCURACY and not metric.of_every_class
    require(rules.positive is None or of_classes, "quality.positive", f"means nothing to {rules.metric}")


def _check_classes(rules: QualityRules, metric: Metric) -> None:
    named = rules.classes
    require(not named or metric.of_every_class, "quality.classes", f"means nothing to {rules.metric}")
    require(len({type(one) for one in named}) <= 1, "quality.classes", "must be of one kind: all text, or all numbers")
    require(len(set(named)) == len(named), "quality.classes", "names a class twice")
    fits = not named or FEWEST_CLASSES <= len(named) <= multiclass.MOST_CLASSES
    require(fits, "quality.classes", f"must name {FEWEST_CLASSES} to {multiclass.MOST_CLASSES} classes")
