"""A monitor for an endpoint that has none, derived from what its version carries and from the traffic it has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import yaml
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind
from flyball.kernel.canonical import JsonValue
from flyball.monitoring.monitor import Monitor, parse_monitor
from flyball.monitoring.references import Reference
from flyball.monitoring.summaries import ColumnSummary

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
# No window is shorter than a day: hours of a day differ, and a shorter window would call every morning a drift.
WINDOWS = {"1d": DAY_MS, "7d": 7 * DAY_MS, "28d": 28 * DAY_MS}
# So many rows hold an accuracy to within three points, and find a shift of a fifth of a deviation.
WINDOW_ROWS = 1_000
# Labels are waited for until all but one in twenty have come.
MATURE_SHARE = 0.95
FEWEST_LABELS = 100
# Numbers that never repeat and are whole are a key or a clock: they always move, and mean nothing.
FEWEST_KEYS = 100
# Of a metric without a natural unit, this part of the baseline is what may be lost.
LOSS_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrafficFacts:
    """An endpoint's last traffic: rows in a span of event time, and how long after their predictions labels came, shape (n,)."""

    rows: int
    span_ms: int
    label_delays_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A monitor, and why it is as it is, by key of its file."""

    monitor: Monitor
    document: str
    reasons: Mapping[str, str]


def propose_monitor(
    endpoint: str,
    model: str,
    *,
    traffic: TrafficFacts,
    reference: Reference,
    written: Mapping[str, object] | None = None,
) -> Proposal:
    """Derive a monitor; what is `written` beside the model stands as it is.

    Raises:
        InvalidInput: what is written beside the model is no monitor.
        UnknownKey: it has a key that no monitor has.
    """
    window, why_window = _window(traffic)
    maturity, why_maturity = _maturity(traffic, window)
    content: dict[str, JsonValue] = {
        "monitor": endpoint,
        "endpoint": endpoint,
        "model": model,
        "window": window,
        "label_maturity": maturity,
    }
    reasons = {"window": why_window, "label_maturity": why_maturity}
    for part, reason in (_quality(reference), _ignored(reference)):
        content |= part
        reasons |= dict.fromkeys(part, reason)
    given = dict(written or {})
    reasons |= dict.fromkeys(given, "written beside the model")
    monitor = parse_monitor({**content, **given})
    document = yaml.safe_dump({**content, **given}, sort_keys=False, allow_unicode=True)
    return Proposal(monitor=monitor, document=document, reasons=reasons)


def _window(traffic: TrafficFacts) -> tuple[str, str]:
    if not traffic.rows or not traffic.span_ms:
        return "1d", "there is no traffic yet; a day is where windows begin"
    for name, length in WINDOWS.items():
        expected = traffic.rows * length / traffic.span_ms
        if expected >= WINDOW_ROWS:
            return name, f"about {expected:,.0f} rows fall into it; {WINDOW_ROWS:,} are enough to judge by"
    return "28d", f"even so only about {expected:,.0f} rows fall into it; {WINDOW_ROWS:,} would be better"


def _maturity(traffic: TrafficFacts, window: str) -> tuple[str, str]:
    delays = traffic.label_delays_ms
    if len(delays) < FEWEST_LABELS:
        return (
            window,
            f"{len(delays)} labels have come so far; as long as a window, until it is known how late they are",
        )
    late = float(np.quantile(np.maximum(delays, 0), MATURE_SHARE))
    days, hours = int(-(-late // DAY_MS)), int(-(-late // HOUR_MS))
    text = f"{days}d" if hours > DAY_MS // HOUR_MS else f"{max(1, hours)}h"
    return text, f"{MATURE_SHARE:.0%} of {len(delays):,} labels came within {late / HOUR_MS:.1f} hours"


def _quality(reference: Reference) -> tuple[dict[str, JsonValue], str]:
    baseline = reference.baseline
    if baseline is None:
        return {}, ""
    rules: dict[str, JsonValue] = {"metric": baseline.metric}
    if not 0 <= baseline.value <= 1:
        rules["tolerance"] = round(abs(baseline.value) * LOSS_SHARE, 6)
    return {"quality": rules}, f"the version's baseline is {baseline.metric} {baseline.value:.4g}"


def _ignored(reference: Reference) -> tuple[dict[str, JsonValue], str]:
    columns = {} if reference.inputs is None else reference.inputs.columns
    keys: list[JsonValue] = [name for name, one in columns.items() if _is_key(one)]
    return ({"drift": {"ignore": keys}}, "they never repeat in the reference: keys or clocks") if keys else ({}, "")


def _is_key(column: ColumnSummary) -> bool:
    sketch = column.numbers
    if column.kind is not ColumnKind.NUMERIC or sketch is None or sketch.count < FEWEST_KEYS:
        return False
    return column.distinct_count == sketch.count and bool((sketch.points == np.floor(sketch.points)).all())
