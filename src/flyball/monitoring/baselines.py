"""The quality a version showed before its release, as the evidence that travels with it: every metric, slices, expectation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import side_confidence
from flyball.measures.metrics import Metric, Task
from flyball.measures.resampling import Places, places_in_time
from flyball.monitoring.answers import read_answers
from flyball.monitoring.expectations import TIME, Expectation, Method, default_method, learn_expectation
from flyball.monitoring.quality_rules import ACCURACY, METRICS, QualityRules
from flyball.monitoring.schema import LABEL, PREDICTION
from flyball.monitoring.slice_predicates import rows_where

DAY_MS = 86_400_000
# Both bounds together hold with 95 %, each alone with 97.5 %.
CONFIDENCE = side_confidence(0.95)
_SEED = 0
RESAMPLES = 500
NO_EXPECTATION = "the version's baseline says nothing of what to expect without labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The quality a version showed before its release.

    `metrics` has the other metrics too, by name; `slices` the metrics of slices, by predicate. `no_expectation` is the reason
    where there is none.
    """

    metric: str
    value: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    expectation: Expectation | None = None
    no_expectation: str = NO_EXPECTATION

    def value_of(self, metric: str) -> float | None:
        """Return the baseline of a metric, None where it is not known."""
        return self.value if metric == self.metric else self.metrics.get(metric)

    @classmethod
    def from_json(cls, value: JsonValue) -> Baseline:
        """Read the evidence "baseline".

        Raises:
            InvalidInput: it is no baseline.
        """
        if not isinstance(value, dict) or not isinstance(value.get("metric"), str):
            raise InvalidInput("a baseline is an object with 'metric' and 'value'", field="baseline")
        metric = str(value["metric"])
        expectation = value.get("expectation")
        return cls(
            metric=metric,
            value=_number(value.get("value"), metric=metric, where="baseline.value"),
            metrics=_metrics(value.get("metrics", {}), where="baseline.metrics"),
            slices=_slices(value.get("slices", {})),
            expectation=None if expectation is None else Expectation.from_json(expectation),
            no_expectation=str(value.get("no_expectation") or NO_EXPECTATION),
        )


def quality_baseline(
    table: pa.Table,
    *,
    metric: str = "",
    positive: float | str | bool | None = None,
    block_ms: int = DAY_MS,
    slices: Mapping[str, str] | None = None,
    expect_from: pa.Table | None = None,
    dataset: str = "",
) -> dict[str, JsonValue]:
    """Return the evidence "baseline" from rows with labels that the version was not trained on, as it answered them.

    Args:
        table: `prediction` and `label` (no null), where there are `time_ms`, `score` (the probability of the answer) and
            `feature.<name>`. Without times, nothing is expected without labels, and rows are taken as independent.
        metric: the one to watch; by default accuracy, or the mean absolute error of numbers.
        positive: the label that counts as positive, by default 1 or true.
        block_ms: the stretch of time whose rows depend on each other.
        slices: SQL predicates over the features, by name, whose metrics are kept too.
        expect_from: rows of the same kind, of which what to expect without labels is learned; by default the same ones. More
            days of rows that the version was not trained on make the expectation surer of its own error.
        dataset: what the rows are, for people.

    Raises:
        InvalidInput: no rows, a column is missing, or a predicate that cannot be evaluated.
        Unsupported: a metric that is not offered.
    """
    for name in (PREDICTION, LABEL):
        if name not in table.column_names or table.column(name).null_count or not table.num_rows:
            raise InvalidInput(f"a baseline needs rows whose '{name}' is known", field=name)
    method = default_method(table)
    chosen = metric or (ACCURACY if method is Method.CBPE else "mae")
    rules = QualityRules(metric=chosen, positive=positive, independent_rows=TIME not in table.column_names)
    places = _places(table, block_ms=block_ms)
    found = _figures(table, rules, places)
    if chosen not in found:
        raise InvalidInput(f"the rows have no {chosen}: {_reason(table, rules)}", field="metric")
    learned = learn_expectation(table if expect_from is None else expect_from, method, block_ms=block_ms)
    parts: dict[str, JsonValue] = (
        {"no_expectation": learned} if isinstance(learned, str) else {"expectation": learned.to_json()}
    )
    return {
        "metric": chosen,
        **found[chosen],
        "rows": table.num_rows,
        "dataset": dataset,
        "metrics": {name: dict(one) for name, one in found.items()},
        "slices": _of_slices(table, rules, slices or {}),
        **parts,
    }


def _places(table: pa.Table, *, block_ms: int) -> Places | None:
    if TIME not in table.column_names:
        return None
    return places_in_time(table.column(TIME).to_numpy(), block_ms=block_ms)[0]


def _task(rules: QualityRules) -> Task:
    return rules.find_metric().task


def _figures(table: pa.Table, rules: QualityRules, places: Places | None) -> dict[str, dict[str, JsonValue]]:
    """Return every metric of the task that these rows have, with bounds where the rows have times."""
    found: dict[str, dict[str, JsonValue]] = {}
    for metric in [rules.find_metric(), *METRICS.values()]:
        if metric.task is not _task(rules) or metric.name in found:
            continue
        figure = _figure(table, metric, rules, places)
        if figure is not None:
            found[metric.name] = figure
    return found


def _figure(table: pa.Table, metric: Metric, rules: QualityRules, places: Places | None) -> dict[str, JsonValue] | None:
    answers = read_answers(table, metric, rules)
    if isinstance(answers, str) or not answers.rows or not math.isfinite(metric.of(answers)):
        return None
    if places is None:
        return {"value": metric.of(answers)}
    bounds = metric.bounded(
        answers, places, int(places.max()) + 1, confidence=CONFIDENCE, resamples=RESAMPLES, seed=_SEED
    )
    each = {"value": bounds.estimate, "lower": bounds.lower, "upper": bounds.upper}
    return {name: number for name, number in each.items() if math.isfinite(number)}


def _reason(table: pa.Table, rules: QualityRules) -> str:
    metric = rules.find_metric()
    answers = read_answers(table, metric, rules)
    return answers if isinstance(answers, str) else metric.undefined


def _of_slices(table: pa.Table, rules: QualityRules, slices: Mapping[str, str]) -> JsonValue:
    found: dict[str, JsonValue] = {}
    for where, kept in zip(slices.values(), rows_where(table, list(slices.values())), strict=True):
        mine = table.filter(pa.array(kept))
        figures = _figures(mine, rules, None) if mine.num_rows else {}
        found[where] = {"rows": mine.num_rows, **{name: one["value"] for name, one in figures.items()}}
    return found


def _number(value: JsonValue, *, metric: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidInput(f"{where} is a number, not {value!r}", field=where)
    known = METRICS.get(metric)
    if (known is None or known.is_share) and metric != "pinball" and not 0 <= value <= 1:
        raise InvalidInput(f"a baseline's value lies in 0..1, not {value!r}", field=where)
    return float(value)


def _metrics(value: JsonValue, *, where: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is an object of metrics", field=where)
    numbers = {name: one.get("value") if isinstance(one, dict) else one for name, one in value.items()}
    return {name: _number(one, metric=name, where=f"{where}.{name}") for name, one in numbers.items()}


def _slices(value: JsonValue) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict):
        raise InvalidInput("baseline.slices is an object of slices", field="baseline.slices")
    plain = {where: one if isinstance(one, dict) else {} for where, one in value.items()}
    return {
        where: _metrics({name: each for name, each in one.items() if name != "rows"}, where="baseline.slices")
        for where, one in plain.items()
    }
