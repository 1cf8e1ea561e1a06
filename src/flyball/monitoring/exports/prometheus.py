"""Prometheus' files for an installation: the alert rules, and a configuration that scrapes the platform and its model servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import yaml

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.exports.rules import INSTALLATION_RULES, MONITOR_RULES, Rule

RULES_FILE, CONFIG_FILE = "flyball-rules.yml", "prometheus.yml"
RUNBOOK_PATH, METRICS_PATH, TARGETS_PATH = "/ui/runbook", "/metrics", "/metrics/targets"
# What is looked at is made every few hours at most, and what has stopped is to be seen within minutes.
INTERVAL = "15s"
_ADDRESS = re.compile(r"[A-Za-z0-9._\-\[\]:]+:[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """How Prometheus reaches the installation.

    `monitors` are those that the rules are about, none for all there are or will be; `runbook` is where the runbook lies, empty
    for the one that the platform serves; `alertmanagers` are addresses (`host:port`).
    """

    server_url: str
    token_file: str
    monitors: Sequence[str] = ()
    alertmanagers: Sequence[str] = ()
    runbook: str = ""

    def __post_init__(self) -> None:
        for text, field in ((self.server_url, "server"), (self.runbook or self.server_url, "runbook")):
            parts = urlsplit(text)
            if parts.scheme not in {"http", "https"} or not parts.netloc or any(sign in text for sign in "{} \n"):
                raise InvalidInput(f"'{text}' is no address; give http://host or https://host", field=field)
        for text in self.alertmanagers:
            if not _ADDRESS.fullmatch(text):
                raise InvalidInput(f"'{text}' is no address of an Alertmanager; give host:port", field="alertmanager")


def prometheus_files(options: PrometheusOptions) -> dict[str, str]:
    """Return the files by their names."""
    return {RULES_FILE: rules_text(options), CONFIG_FILE: config_text(options)}


def rules_text(options: PrometheusOptions) -> str:
    """Return the rules: those of monitors, and those of the installation unless monitors were chosen."""
    runbook = options.runbook or options.server_url.rstrip("/") + RUNBOOK_PATH
    chosen = f'monitor=~"{"|".join(map(_quoted, options.monitors))}"' if options.monitors else ""
    groups: list[JsonValue] = [_group("flyball-monitors", MONITOR_RULES, chosen=chosen, runbook=runbook)]
    if not options.monitors:
        groups.append(_group("flyball-installation", INSTALLATION_RULES, chosen="", runbook=runbook))
    return _yaml({"groups": groups})


def config_text(options: PrometheusOptions) -> str:
    """Return a whole configuration; whoever has one takes the parts that are missing."""
    scheme, address, path = urlsplit(options.server_url)[:3]
    # Prometheus 2.42 asks for targets without the word Bearer, unless it is told.
    token: dict[str, JsonValue] = {"type": "Bearer", "credentials_file": options.token_file}
    content: dict[str, JsonValue] = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [RULES_FILE],
        "scrape_configs": [
            {
                "job_name": "flyball",
                "scheme": scheme,
                "metrics_path": path.rstrip("/") + METRICS_PATH,
                "authorization": dict(token),
                "static_configs": [{"targets": [address]}],
            },
            {
                "job_name": "flyball-model-servers",
                "authorization": dict(token),
                "http_sd_configs": [
                    {
                        "url": options.server_url.rstrip("/") + TARGETS_PATH,
                        "authorization": dict(token),
                        "refresh_interval": INTERVAL,
                    }
                ],
            },
        ],
    }
    if options.alertmanagers:
        static: JsonValue = [{"static_configs": [{"targets": list(options.alertmanagers)}]}]
        content["alerting"] = {"alertmanagers": static}
    return _yaml(content)


def _group(name: str, rules: Sequence[Rule], *, chosen: str, runbook: str) -> JsonValue:
    return {"name": name, "rules": [_rule(rule, chosen=chosen, runbook=runbook) for rule in rules]}


def _rule(rule: Rule, *, chosen: str, runbook: str) -> JsonValue:
    # Among other matchers the choice follows a comma; alone between the braces it does not.
    choice = f",{chosen}" if chosen and "{%s}" not in rule.expr else chosen
    return {
        "alert": rule.name,
        "expr": rule.expr.replace("%s", choice),
        "for": rule.pending,
        "labels": {"severity": rule.severity.value},
        "annotations": {
            "summary": rule.summary,
            "description": rule.meaning,
            "runbook_url": f"{runbook}#{rule.name}",
        },
    }


def _quoted(name: str) -> str:
    """Write a name so that a regular expression in a PromQL string means exactly that name.

    >>> _quoted("elec.v2")
    'elec[.]v2'
    """
    return name.replace(".", "[.]")


def _yaml(content: JsonValue) -> str:
    said: str = yaml.safe_dump(content, sort_keys=False, width=1_000, allow_unicode=True)
    return said
