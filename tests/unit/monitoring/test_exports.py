"""Rules, dashboards and figures agree: whatever a rule or a panel asks for is told, and whatever alerts are there have a rule."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flyball.kernel.errors import InvalidInput
from flyball.kernel.telemetry import FamilyKind, exposition
from flyball.measures.groups import Fairness
from flyball.monitoring.calibration.entities import AlarmStatement
from flyball.monitoring.entities import AlertKind, FeatureDrift, WindowReport, WindowState
from flyball.monitoring.exports.families import KINDS_OF_ENDPOINTS, families
from flyball.monitoring.exports.figures import Figures, MonitorFigures
from flyball.monitoring.exports.grafana import GrafanaOptions, grafana_files
from flyball.monitoring.exports.panels import DASHBOARDS, Dashboard
from flyball.monitoring.exports.prometheus import PrometheusOptions, prometheus_files, rules_text
from flyball.monitoring.exports.rules import INSTALLATION_RULES, MONITOR_RULES, NAMED_KINDS, Rule
from flyball.monitoring.exports.runbook import runbook_page
from flyball.monitoring.figures import GroupFigures, SliceFigure, SlicesFound, SliceVerdict
from flyball.monitoring.monitor import parse_monitor
from flyball.server.inference.answering import Answering
from flyball.server.inference.metrics import RequestCounts, served_figures
from flyball.serving.host import FixedHost

RULES = (*MONITOR_RULES, *INSTALLATION_RULES)
ROOT = Path(__file__).resolve().parents[3]
PAGES = ("observability.md", "serving-observability.md")
NAME = re.compile(r"flyball_[a-z_]+")


def told() -> set[str]:
    """Return the names of all series of a platform and a model server in which nothing has happened yet."""
    empty = families(Figures(now_ms=0, monitors=[], endpoints=[]), features=1)
    serving = served_figures(Answering(FixedHost([]), max_request_bytes=1), RequestCounts())
    names = set()
    for family in (*empty, *serving):
        suffixes = {FamilyKind.COUNTER: ("_total",), FamilyKind.HISTOGRAM: ("_bucket", "_sum", "_count")}
        names |= {family.name + suffix for suffix in suffixes.get(family.kind, ("",))}
    return names


@pytest.mark.parametrize("name", sorted(told()))
def test_what_is_told_stands_in_the_documentation(name: str) -> None:
    pages = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
    histogram = re.sub(r"_(bucket|sum|count)$", "", name)
    short = re.sub(r"_(lower|upper|baseline|threshold)$", "", name)
    assert any(f"`{one}`" in pages for one in (name, histogram, short))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_stands_in_the_documentation(rule: Rule) -> None:
    page = (ROOT / "docs" / PAGES[0]).read_text(encoding="utf-8")
    assert f"| `{rule.name}` | {rule.severity} |" in page


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_asks_for_what_is_told(rule: Rule) -> None:
    asked = set(NAME.findall(rule.expr))
    assert asked <= told()


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.uid)
def test_a_panel_asks_for_what_is_told(board: Dashboard) -> None:
    asked = {name for panel in board.panels for query in panel.queries.values() for name in NAME.findall(query)}
    assert asked
    assert asked <= told()


def test_every_kind_of_alert_has_a_rule() -> None:
    """What has no rule of its own falls under the last one, so that a new kind is never silent."""
    exprs = " ".join(rule.expr for rule in RULES)
    assert set(NAMED_KINDS) <= set(AlertKind)
    assert all(f'kind="{kind}"' in exprs for kind in (*NAMED_KINDS, *KINDS_OF_ENDPOINTS))
    assert f'kind!~"{"|".join(NAMED_KINDS)}"' in exprs


def test_rules_have_what_a_person_needs_at_night() -> None:
    text = rules_text(PrometheusOptions(server_url="https://flyball.example/", token_file="t"))
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in rules] == [rule.name for rule in RULES]
    page = runbook_page()
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"https://flyball.example/ui/runbook#{rule['alert']}"
        assert f'id="{rule["alert"]}"' in page
        assert "%s" not in rule["expr"]


def test_rules_of_chosen_monitors_are_about_these_and_nothing_else() -> None:
    options = PrometheusOptions(server_url="http://h", token_file="t", monitors=["a.b", "c"])
    (group,) = yaml.safe_load(rules_text(options))["groups"]
    assert len(group["rules"]) == len(MONITOR_RULES)
    assert all('monitor=~"a[.]b|c"' in rule["expr"] for rule in group["rules"])


def test_a_server_below_a_path_is_scraped_there() -> None:
    files = prometheus_files(PrometheusOptions(server_url="https://h.example/ml/", token_file="/run/token"))
    platform, servers = yaml.safe_load(files["prometheus.yml"])["scrape_configs"]
    assert (platform["scheme"], platform["metrics_path"]) == ("https", "/ml/metrics")
    assert platform["static_configs"] == [{"targets": ["h.example"]}]
    assert servers["http_sd_configs"][0]["url"] == "https://h.example/ml/metrics/targets"
    assert platform["authorization"] == {"type": "Bearer", "credentials_file": "/run/token"}


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("server", {"server_url": "h:5757"}),
        ("runbook", {"runbook": "wiki"}),
        ("runbook", {"runbook": "http://wiki/{{ $value }}"}),
        ("alertmanager", {"alertmanagers": ["http://h:1"]}),
    ],
)
def test_what_is_no_address_is_refused(field: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        PrometheusOptions(**{"server_url": "http://h", "token_file": "t", **options})  # type: ignore[arg-type]
    assert refused.value.field == field


def test_dashboards_are_those_of_the_table(tmp_path: Path) -> None:
    files = grafana_files(GrafanaOptions(prometheus_url="http://p:9090", dashboards=tmp_path))
    for board in DASHBOARDS:
        made = json.loads(files[f"dashboards/{board.uid}.json"])
        assert (made["uid"], made["title"]) == (board.uid, board.title)
        shown = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in made["panels"]}
        assert shown == {panel.title: list(panel.queries.values()) for panel in board.panels}
        chosen = [variable["name"] for variable in made.get("templating", {}).get("list", [])]
        assert chosen == ([board.chosen_by] if board.chosen_by else [])
    with pytest.raises(InvalidInput, match="no address of a Prometheus"):
        GrafanaOptions(prometheus_url="p:9090", dashboards=tmp_path)


def test_answers_slices_groups_and_the_rate_of_alarms_are_told_up_to_the_limit() -> None:
    part = SliceFigure(
        name="night",
        where="hour < 6",
        metric="accuracy",
        rows=50,
        share=0.2,
        value=0.7,
        lower=0.6,
        upper=None,
        baseline=0.9,
        verdict=SliceVerdict.DROPPED,
        reason="",
    )
    gap = GroupFigures(
        column="sex",
        rate="selection",
        groups=(),
        higher="a",
        lower="b",
        difference=0.25,
        difference_bounds=None,
        ratio=None,
        ratio_bounds=None,
        tolerance=0.1,
        verdict=Fairness.UNDECIDED,
        reason="",
    )
    moved = FeatureDrift(
        feature="prediction", measure="psi", effect=0.5, threshold=0.25, value=None, p_value=None, drifted=True
    )
    report = WindowReport(
        monitor="watch",
        start_ms=0,
        end_ms=1,
        revision=1,
        state=WindowState.MATURE,
        version=1,
        versions={1: 9},
        rows=9,
        labelled=9,
        outputs=(moved,),
        slices=SlicesFound(named=(part, replace(part, name="day"))),
        groups=(gap,),
        alarms=AlarmStatement(false_alarms="1 per 10d", calibration="c", p_value=0.02, rate=0.5),
    )
    config: dict[str, object] = {
        "monitor": "watch",
        "endpoint": "live",
        "model": "m",
        "window": "1d",
        "label_maturity": "1d",
    }
    one = MonitorFigures(monitor=parse_monitor(config), waiting=0, closed=report, mature=report)
    found = {
        family.name: [(dict(sample.labels), sample.value) for sample in family.samples]
        for family in families(Figures(now_ms=0, monitors=[one], endpoints=[]), features=1)
    }
    about = one.labels
    night = {**about, "slice": "night", "metric": "accuracy"}
    assert found["flyball_monitor_slice_quality"] == [(night, 0.7)]
    assert found["flyball_monitor_slice_quality_lower"] == [(night, 0.6)]
    assert found["flyball_monitor_slice_quality_upper"] == []
    assert found["flyball_monitor_group_gap"] == [({**about, "column": "sex", "rate": "selection"}, 0.25)]
    answers = {**about, "output": "prediction", "measure": "psi"}
    assert found["flyball_monitor_output_drift_effect"] == [(answers, 0.5)]
    assert found["flyball_monitor_output_drift_threshold"] == [(answers, 0.25)]
    assert found["flyball_monitor_output_drifted"] == [(answers, 1)]
    rate = {name: found[f"flyball_monitor_{name}"] for name in ("rate_known", "false_alarms_per_day", "window_p_value")}
    assert rate == {
        "rate_known": [(about, 1)],
        "false_alarms_per_day": [(about, 0.05)],
        "window_p_value": [(about, 0.02)],
    }


def test_an_installation_in_which_nothing_happened_is_told_too() -> None:
    page = exposition(families(Figures(now_ms=0, monitors=[], endpoints=[]), features=1)).decode()
    assert len(list(text_string_to_metric_families(page))) > 20
