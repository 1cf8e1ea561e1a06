"""What the dashboards show: a table of panels and their queries, which knows nothing of Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Look(StrEnum):
    """How a panel shows its queries."""

    NUMBER = "number"
    LINES = "lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel: its title, its queries by legend, and the unit as Grafana names it. `width` is of 24 columns."""

    title: str
    queries: dict[str, str]
    look: Look = Look.LINES
    unit: str = "short"
    width: int = 12
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard. Where `chosen_by` names a label, its values are offered as a variable of that name."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    chosen_by: str = ""
    chosen_from: str = ""


OVERVIEW = Dashboard(
    uid="flyball-monitors",
    title="Flyball: all monitors",
    panels=(
        Panel(
            title="Alerts firing",
            look=Look.NUMBER,
            width=6,
            queries={
                "alerts": 'sum(flyball_monitor_alerts{state="firing"}) + sum(flyball_endpoint_alerts{state="firing"})'
            },
        ),
        Panel(
            title="Endpoints that nobody watches",
            look=Look.NUMBER,
            width=6,
            queries={"endpoints": "count(flyball_endpoint_monitors == 0) or vector(0)"},
        ),
        Panel(
            title="Predictions captured per second",
            look=Look.NUMBER,
            width=6,
            queries={"captured": "sum(rate(flyball_predictions_captured_total[$__rate_interval]))"},
        ),
        Panel(
            title="Predictions lost",
            look=Look.NUMBER,
            width=6,
            queries={"lost": "sum(flyball_predictions_lost_total) or vector(0)"},
        ),
        Panel(
            title="Strongest drift, in units of its threshold",
            queries={"{{monitor}}": "flyball_monitor_strongest_drift_ratio"},
            what="Above 1 a feature has moved further than its threshold; whether that is significant, the alert says.",
        ),
        Panel(title="Realised quality", queries={"{{monitor}} {{metric}}": "flyball_monitor_quality"}),
        Panel(
            title="Alerts firing by kind",
            queries={"{{kind}}": 'sum by (kind) (flyball_monitor_alerts{state="firing"})'},
        ),
        Panel(
            title="Age of the newest window",
            unit="s",
            queries={"{{monitor}}": "time() - flyball_monitor_closed_window_end_timestamp_seconds"},
        ),
    ),
)

ONE_MONITOR = Dashboard(
    uid="flyball-monitor",
    title="Flyball: one monitor",
    chosen_by="monitor",
    chosen_from="flyball_monitor_window_length_seconds",
    panels=(
        Panel(
            title="Drift by feature, in units of its threshold",
            width=24,
            queries={
                "{{feature}}": 'flyball_monitor_drift_effect{monitor=~"$monitor"} / flyball_monitor_drift_threshold{monitor=~"$monitor"}'
            },
        ),
        Panel(
            title="Realised quality",
            queries={
                "quality": 'flyball_monitor_quality{monitor=~"$monitor"}',
                "lower bound": 'flyball_monitor_quality_lower{monitor=~"$monitor"}',
                "upper bound": 'flyball_monitor_quality_upper{monitor=~"$monitor"}',
                "before release": 'flyball_monitor_quality_baseline{monitor=~"$monitor"}',
            },
        ),
        Panel(
            title="Quality to be expected without labels",
            what="An estimate, and no part of realised quality: it holds while the same inputs mean the same label.",
            queries={
                "expected {{metric}}": 'flyball_monitor_estimated_quality{monitor=~"$monitor"}',
                "lower bound": 'flyball_monitor_estimated_quality_lower{monitor=~"$monitor"}',
                "upper bound": 'flyball_monitor_estimated_quality_upper{monitor=~"$monitor"}',
            },
        ),
        Panel(
            title="Realised less expected quality",
            what="Far from 0, the concept has changed.",
            queries={"{{metric}}": 'flyball_monitor_concept_gap{monitor=~"$monitor"}'},
        ),
        Panel(
            title="Rows that have a label",
            unit="percentunit",
            queries={"coverage": 'flyball_monitor_label_coverage_ratio{monitor=~"$monitor"}'},
        ),
        Panel(
            title="Data faults, by the share of rows",
            unit="percentunit",
            queries={"{{feature}}: {{kind}}": 'flyball_monitor_data_fault_ratio{monitor=~"$monitor"}'},
        ),
        Panel(title="Features", queries={"{{verdict}}": 'flyball_monitor_features{monitor=~"$monitor"}'}),
        Panel(title="Rows of the newest window", queries={"rows": 'flyball_monitor_window_rows{monitor=~"$monitor"}'}),
        Panel(
            title="Version in charge",
            queries={"version": 'flyball_monitor_window_version{monitor=~"$monitor"}'},
        ),
        Panel(
            title="How long ago, in event time",
            unit="s",
            queries={
                "last prediction": 'time() - flyball_monitor_watermark_timestamp_seconds{monitor=~"$monitor"}',
                "newest window": 'time() - flyball_monitor_closed_window_end_timestamp_seconds{monitor=~"$monitor"}',
                "newest window with labels": 'time() - flyball_monitor_mature_window_end_timestamp_seconds{monitor=~"$monitor"}',
            },
        ),
        Panel(
            title="Batches that wait for a look",
            queries={"batches": 'flyball_monitor_waiting_batches{monitor=~"$monitor"}'},
        ),
    ),
)

MODEL_SERVERS = Dashboard(
    uid="flyball-model-servers",
    title="Flyball: model servers",
    chosen_by="instance",
    chosen_from="flyball_inference_in_flight",
    panels=(
        Panel(
            title="Requests per second",
            unit="reqps",
            queries={
                "{{route}} {{code}}": "sum by (route, code) (rate(flyball_inference_requests_total"
                '{instance=~"$instance"}[$__rate_interval]))'
            },
        ),
        Panel(
            title="Time to answer",
            unit="s",
            queries={
                f"{share} of {{{{route}}}}": f"histogram_quantile({share}, sum by (le, route) "
                '(rate(flyball_inference_request_seconds_bucket{instance=~"$instance"}[$__rate_interval])))'
                for share in (0.5, 0.99)
            },
        ),
        Panel(
            title="Requests that wait",
            queries={
                "for a prediction": 'flyball_inference_in_flight{instance=~"$instance"}',
                "in the queue of version {{version}}": 'flyball_inference_queue_requests{instance=~"$instance"}',
            },
        ),
        Panel(
            title="Rows in a batch",
            queries={
                "{{model}} {{version}}": "sum by (model, version) (flyball_inference_batch_rows_sum"
                '{instance=~"$instance"}) / sum by (model, version) (flyball_inference_batch_rows_count{instance=~"$instance"})'
            },
            what="The mean since the server began.",
        ),
        Panel(
            title="Captured rows per second",
            unit="rowsps",
            queries={
                "{{model}} {{state}}": "sum by (model, state) (rate(flyball_inference_captured_rows_total"
                '{instance=~"$instance"}[$__rate_interval]))'
            },
        ),
        Panel(
            title="Rows not on the disk yet",
            queries={"{{model}}": 'flyball_inference_capture_waiting_rows{instance=~"$instance"}'},
        ),
    ),
)

DASHBOARDS = (OVERVIEW, ONE_MONITOR, MODEL_SERVERS)
