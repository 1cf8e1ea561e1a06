"""What `flyball monitor export` writes, run by the genuine Prometheus and Alertmanager: a drift alarm arrives at a webhook."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from tests.observability.conftest import Installation, free_port, program, until
from tests.receiver import Receiver, receiving

from flyball.monitoring.exports.rules import INSTALLATION_RULES, MONITOR_RULES

ALERTMANAGER = """
route: {{receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: team
    webhook_configs: [{{url: "{url}/alerts", send_resolved: true}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A running Prometheus, and who gets its alerts."""

    url: str
    receiver: Receiver

    def get(self, path: str, **query: str) -> Any:
        answer = urllib3.request("GET", self.url + path, fields=query, timeout=60)
        assert answer.status == 200, answer.data
        return answer.json()["data"]

    def query(self, expr: str) -> list[Any]:
        found: list[Any] = self.get("/api/v1/query", query=expr)["result"]
        return found

    def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the newest state in which each alert arrived, by its rule and monitor."""
        bodies = [json.loads(one.body) for one in list(self.receiver.received)]
        arrived = [one for body in bodies for one in body["alerts"]]
        return {(one["labels"]["alertname"], one["labels"].get("monitor", "")): one for one in arrived}


@pytest.fixture(scope="module")
def prometheus(installation: Installation) -> Iterator[Prometheus]:
    """Set everything up as docs/observability.md says, with a second in the place of fifteen."""
    folder, port = installation.folder, free_port()
    installation.flyball("identity", "add", "service:prometheus", "--role", "viewer")
    allowed = ("--permission", "monitors:read", "--permission", "endpoints:read")
    secret = installation.flyball("token", "create", "service:prometheus", "--label", "prometheus", *allowed)
    (folder / "prometheus").mkdir()
    (folder / "prometheus" / "flyball.token").write_text(secret, encoding="utf-8")
    with receiving() as receiver, alertmanager(folder, receiver.url) as address:
        installation.flyball("monitor", "export", "prometheus", "--out", "prometheus", "--alertmanager", address)
        config = folder / "prometheus" / "prometheus.yml"
        config.write_text(config.read_text(encoding="utf-8").replace("15s", "1s"), encoding="utf-8")
        url = f"http://127.0.0.1:{port}"
        running = program(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            folder=folder,
            ready=f"{url}/-/ready",
        )
        with running:
            yield Prometheus(url=url, receiver=receiver)


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    config, address = folder / "alertmanager.yml", f"127.0.0.1:{free_port()}"
    config.write_text(ALERTMANAGER.format(url=webhook), encoding="utf-8")
    with program(
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        folder=folder,
        ready=f"http://{address}/-/ready",
    ):
        yield address


def test_a_drift_alarm_arrives_at_a_webhook_and_is_taken_back_when_it_is_resolved(
    installation: Installation, prometheus: Prometheus
) -> None:
    drift = "FlyballDrift", "elec-production"
    until(lambda: prometheus.alerts().get(drift, {}).get("status") == "firing", "the drift arrives")
    alert = prometheus.alerts()[drift]
    assert alert["labels"]["severity"] == "warning"
    assert alert["labels"] | {"model": "elec", "endpoint": "live", "kind": "covariate_drift"} == alert["labels"]
    assert alert["annotations"]["summary"] == (
        "The inputs of monitor elec-production (model elec, endpoint live) are not those it learned from"
    )
    runbook = alert["annotations"]["runbook_url"]
    assert runbook == f"{installation.server.url}/ui/runbook#FlyballDrift"
    page = urllib3.request("GET", runbook, timeout=60)
    assert page.status == 200
    assert 'id="FlyballDrift"' in page.data.decode()
    (fired,) = [one for one in installation.server.platform.monitors.alerts() if one.kind == "covariate_drift"]
    installation.flyball("alert", "resolve", fired.id)
    until(lambda: prometheus.alerts()[drift]["status"] == "resolved", "the drift is taken back")


def test_faults_and_lost_predictions_arrive_too_and_what_is_well_does_not(prometheus: Prometheus) -> None:
    wanted = {("FlyballDataFault", "elec-production"), ("FlyballPredictionsLost", "")}
    until(lambda: wanted <= set(prometheus.alerts()), "faults and losses arrive")
    quiet = {"FlyballQualityDrop", "FlyballDown", "FlyballModelServerDown", "FlyballRequestsFail", "FlyballAlert"}
    assert not quiet & {name for name, _ in prometheus.alerts()}


def test_platform_and_model_server_are_scraped_with_the_token_of_the_file(prometheus: Prometheus) -> None:
    def up() -> dict[str, str]:
        return {one["metric"]["job"]: one["value"][1] for one in prometheus.query("up")}

    until(lambda: up() == {"flyball": "1", "flyball-model-servers": "1"}, "both are scraped")
    (found,) = prometheus.query('up{job="flyball-model-servers"}')
    assert (found["metric"]["endpoint"], found["metric"]["model"]) == ("unwatched", "elec")


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule is evaluated")
    assert {
        rule["name"]: rule["lastError"] for rule in rules() if rule["health"] != "ok" or rule.get("lastError")
    } == {}
    assert {rule["name"] for rule in rules()} == {rule.name for rule in (*MONITOR_RULES, *INSTALLATION_RULES)}


def test_every_panel_of_every_dashboard_has_data(installation: Installation, prometheus: Prometheus) -> None:
    installation.flyball("monitor", "export", "grafana", "--out", "grafana", "--prometheus", prometheus.url)
    pages = sorted((installation.folder / "grafana" / "dashboards").glob("*.json"))
    asked = [(page.stem, panel["title"], target["expr"]) for page in pages for panel, target in _targets(page)]
    assert len(asked) > 25
    for page, title, expr in asked:
        filled = expr.replace("$monitor", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m")
        assert "$" not in filled
        until(lambda filled=filled: bool(prometheus.query(filled)), f"{page}, '{title}' has data: {filled}")  # type: ignore[misc]


def _targets(page: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for panel in json.loads(page.read_text(encoding="utf-8"))["panels"]:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            yield panel, target


def test_the_variables_of_the_dashboards_have_values(installation: Installation, prometheus: Prometheus) -> None:
    installation.flyball("monitor", "export", "grafana", "--out", "grafana")
    for page in (installation.folder / "grafana" / "dashboards").glob("*.json"):
        for variable in json.loads(page.read_text(encoding="utf-8")).get("templating", {}).get("list", []):
            series, label = variable["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            until(
                lambda series=series, label=label: bool(
                    prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": series})
                ),  # type: ignore[misc]
                f"{page.name}: {label} has values",
            )


def test_promtool_finds_nothing_to_say(installation: Installation, prometheus: Prometheus) -> None:
    folder = installation.folder / "prometheus"
    promtool("check", "config", "prometheus.yml", folder=folder)
    promtool("check", "rules", "flyball-rules.yml", folder=folder)

    def pages() -> list[str]:
        return sorted(one["scrapeUrl"] for one in prometheus.get("/api/v1/targets", state="active")["activeTargets"])

    until(lambda: len(pages()) == 2, "platform and model server are scraped")
    token = (folder / "flyball.token").read_text(encoding="utf-8").strip()
    for url in pages():
        page = urllib3.request("GET", url, headers={"authorization": f"Bearer {token}"}, timeout=60).data
        assert promtool("check", "metrics", folder=folder, given=page.decode()) == ""


def test_the_rules_fire_when_they_should_and_only_then(installation: Installation) -> None:
    folder = installation.folder / "rules"
    installation.flyball(
        "monitor", "export", "prometheus", "--out", "rules", "--runbook", "https://wiki.example/flyball"
    )
    shutil.copy(Path(__file__).with_name("rules_test.yml"), folder)
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml", folder=folder)


def promtool(*words: str, folder: Path, given: str = "") -> str:
    """Run promtool, which must agree; return what it said."""
    done = subprocess.run(["promtool", *words], cwd=folder, input=given, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode, "FAILED" in said) == (0, False), said
    return said


def test_the_alertmanagers_file_of_the_documentation_is_one(installation: Installation) -> None:
    page = Path(__file__).parents[2] / "docs" / "observability.md"
    (shown,) = [
        one for one in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL) if "route:" in one
    ]
    config = installation.folder / "documented.yml"
    config.write_text(shown, encoding="utf-8")
    done = subprocess.run(["amtool", "check-config", str(config)], capture_output=True, text=True, check=False)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_token_without_the_permission_is_refused(installation: Installation) -> None:
    assert installation.server.request("GET", "/metrics/targets", token="none").status == 401


def test_grafanas_files_find_each_other(installation: Installation) -> None:
    installation.flyball("monitor", "export", "grafana", "--out", "linked", "--prometheus", "http://prom.example:9090")
    folder = installation.folder / "linked"
    provider = yaml.safe_load((folder / "provisioning/dashboards/flyball.yml").read_text(encoding="utf-8"))
    assert Path(provider["providers"][0]["options"]["path"]) == folder / "dashboards"
    source = yaml.safe_load((folder / "provisioning/datasources/flyball.yml").read_text(encoding="utf-8"))
    (found,) = source["datasources"]
    assert found["url"] == "http://prom.example:9090"
    used = {
        target["datasource"]["uid"] for page in (folder / "dashboards").glob("*.json") for _, target in _targets(page)
    }
    assert used == {found["uid"]}
