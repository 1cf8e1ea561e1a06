"""A proposed monitor follows from the traffic and from what the version carries, and says why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flyball.kernel.errors import UnknownKey
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.proposals import DAY_MS, HOUR_MS, Proposal, TrafficFacts, propose_monitor
from flyball.monitoring.references import Reference
from flyball.monitoring.summarising import summarise

NOTHING = np.zeros(0, dtype=np.int64)


def _proposal(
    rows: int = 0,
    days: float = 0.0,
    *,
    delays: np.ndarray = NOTHING,
    reference: Reference | None = None,
    **written: object,
) -> Proposal:
    traffic = TrafficFacts(rows=rows, span_ms=int(days * DAY_MS), label_delays_ms=delays)
    return propose_monitor("live", "elec", traffic=traffic, reference=reference or Reference(), written=written)


@pytest.mark.parametrize(("rows", "window"), [(50_000, "1d"), (2_000, "7d"), (400, "28d"), (3, "28d")])
def test_a_window_is_as_short_as_its_rows_allow(rows: int, window: str) -> None:
    assert _proposal(rows, 7).monitor.window == window


def test_without_traffic_or_labels_the_proposal_says_what_it_assumes() -> None:
    found = _proposal()
    assert (found.monitor.window, found.monitor.label_maturity) == ("1d", "1d")
    assert "no traffic yet" in found.reasons["window"]
    assert found.reasons["label_maturity"].startswith("0 labels have come")


@pytest.mark.parametrize(("hours", "maturity"), [(0.2, "1h"), (5.5, "6h"), (24.0, "24h"), (30.0, "2d"), (200.0, "9d")])
def test_labels_are_waited_for_until_nearly_all_have_come(hours: float, maturity: str) -> None:
    delays = np.full(1_000, int(hours * HOUR_MS), dtype=np.int64)
    delays[:10] = 400 * DAY_MS
    assert _proposal(50_000, 7, delays=delays).monitor.label_maturity == maturity


def test_the_baseline_says_which_quality_is_watched_and_what_may_be_lost() -> None:
    share = _proposal(reference=Reference(baseline=Baseline(metric="accuracy", value=0.9))).monitor.quality
    error = _proposal(reference=Reference(baseline=Baseline(metric="mae", value=40.0))).monitor.quality
    assert (share.metric, share.tolerance) == ("accuracy", 0.02)
    assert (error.metric, error.tolerance) == ("mae", 2.0)


def test_keys_and_clocks_are_left_out() -> None:
    rows = pa.table({"key": range(500), "size": np.random.default_rng(1).normal(0, 1, 500), "rooms": [1, 2] * 250})
    found = _proposal(reference=Reference(inputs=summarise(rows, names=rows.column_names)))
    assert found.monitor.drift.ignore == ("key",)
    assert "keys or clocks" in found.reasons["drift"]


def test_what_is_written_beside_the_model_stands() -> None:
    found = _proposal(50_000, 7, window="7d", min_rows=50)
    assert (found.monitor.window, found.monitor.min_rows, found.monitor.endpoint) == ("7d", 50, "live")
    assert found.reasons["window"] == "written beside the model"
    assert parse_monitor(found.document) == found.monitor
    with pytest.raises(UnknownKey):
        _proposal(windw="7d")
