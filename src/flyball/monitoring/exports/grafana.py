"""Grafana's files: dashboards made with Grafana's own builder, and what makes Grafana find them and Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput, MissingExtra
from flyball.monitoring.exports.panels import DASHBOARDS, Dashboard, Look, Panel

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import QueryVariable

DATASOURCE, FOLDER = "flyball-prometheus", "Flyball"
HEIGHTS = {Look.NUMBER: 4, Look.LINES: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class GrafanaOptions:
    """`prometheus_url` is where Grafana reaches Prometheus, `dashboards` the folder in which Grafana finds the dashboards."""

    prometheus_url: str
    dashboards: Path

    def __post_init__(self) -> None:
        parts = urlsplit(self.prometheus_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise InvalidInput(
                f"'{self.prometheus_url}' is no address of a Prometheus; give http://host:port", field="prometheus"
            )


def grafana_files(options: GrafanaOptions) -> dict[str, str]:
    """Return the files by their names below the folder that is given to Grafana.

    Raises:
        MissingExtra: Grafana's library is not installed.
    """
    try:
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
    except ModuleNotFoundError as error:
        raise MissingExtra.named("grafana-foundation-sdk", "grafana") from error
    encoder = JSONEncoder(sort_keys=True, indent=2)
    files = {f"dashboards/{one.uid}.json": encoder.encode(_dashboard(one)) + "\n" for one in DASHBOARDS}
    files["provisioning/datasources/flyball.yml"] = _yaml(_datasource(options))
    files["provisioning/dashboards/flyball.yml"] = _yaml(_provider(options))
    return files


def _dashboard(one: Dashboard) -> Any:  # noqa: ANN401 -- the library's own type, which is there with the extra only
    from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder

    built = Builder(one.title).uid(one.uid).tags(["flyball"]).refresh("1m").time("now-7d", "now").editable()
    if one.chosen_by:
        built = built.with_variable(_variable(one))
    for panel in one.panels:
        built = built.with_panel(_panel(panel))
    return built.build()


def _variable(one: Dashboard) -> QueryVariable:
    from grafana_foundation_sdk.builders.dashboard import QueryVariable
    from grafana_foundation_sdk.models.dashboard import VariableRefresh

    return (
        QueryVariable(one.chosen_by)
        .label(one.chosen_by)
        .datasource(_reference())
        .query(f"label_values({one.chosen_from}, {one.chosen_by})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .multi(True)
    )


def _panel(panel: Panel) -> Any:  # noqa: ANN401 -- the builders of two kinds of panels have no parent in common
    from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
    from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement

    if panel.look is Look.NUMBER:
        built = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    else:
        legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
        built = timeseries.Panel().legend(legend.placement(LegendPlacement.BOTTOM))
    built = built.title(panel.title).unit(panel.unit).datasource(_reference())
    built = built.description(panel.what) if panel.what else built
    built = built.span(panel.width).height(HEIGHTS[panel.look])
    for number, (said, query) in enumerate(panel.queries.items()):
        target = prometheus.Dataquery().expr(query).legend_format(said).ref_id(chr(ord("A") + number))
        built = built.with_target(target.datasource(_reference()))
    return built


def _reference() -> Any:  # noqa: ANN401 -- the library's own type, which is there with the extra only
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    return DataSourceRef(type_val="prometheus", uid=DATASOURCE)


def _datasource(options: GrafanaOptions) -> JsonValue:
    source: JsonValue = {
        "name": "Flyball",
        "uid": DATASOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": options.prometheus_url,
    }
    return {"apiVersion": 1, "datasources": [source]}


def _provider(options: GrafanaOptions) -> JsonValue:
    provider: JsonValue = {
        "name": "flyball",
        "folder": FOLDER,
        "type": "file",
        "options": {"path": str(options.dashboards)},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _yaml(content: JsonValue) -> str:
    said: str = yaml.safe_dump(content, sort_keys=False, width=1_000)
    return said
