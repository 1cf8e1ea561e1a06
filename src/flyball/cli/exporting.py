"""`flyball monitor export`: files and calls for the systems that a team looks at anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import UnknownKey
from flyball.wire.v1 import figures, monitors

out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the files into; those of an earlier time are replaced.",
)
monitor_option = click.option(
    "--monitor", "chosen", multiple=True, help="Rules for this monitor only; may be given several times."
)


@click.group()
def export() -> None:
    """Prometheus, Grafana, CloudWatch: what monitors find, where teams look."""


@export.command()
@out_option
@monitor_option
@click.option("--token-file", default="flyball.token", show_default=True, help="Where Prometheus finds its token.")
@click.option("--alertmanager", "alertmanagers", multiple=True, help="Address of an Alertmanager, host:port.")
@click.option("--runbook", default="", help="Where your runbook lies, if not on the Flyball server.")
def prometheus(
    out: Path | None, chosen: tuple[str, ...], token_file: str, alertmanagers: tuple[str, ...], runbook: str
) -> None:
    """Alert rules, and a configuration that scrapes this installation; printed when no folder is given."""
    from flyball.monitoring.exports.prometheus import PrometheusOptions, prometheus_files

    client = Client()
    _check_chosen(client, chosen)
    options = PrometheusOptions(
        server_url=client.url,
        token_file=token_file,
        monitors=chosen,
        alertmanagers=alertmanagers,
        runbook=runbook,
    )
    _give(prometheus_files(options), out)


@export.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the files.")
@click.option(
    "--prometheus", "prometheus_url", default="http://127.0.0.1:9090", show_default=True, help="Where Prometheus is."
)
@click.option("--dashboards", type=Path, help="Where Grafana finds the dashboards, if not in the folder given.")
def grafana(out: Path, prometheus_url: str, dashboards: Path | None) -> None:
    """Dashboards made with Grafana's own builder, and provisioning files. Needs flyball[grafana]."""
    from flyball.monitoring.exports.grafana import GrafanaOptions, grafana_files

    found = dashboards or out.absolute() / "dashboards"
    _give(grafana_files(GrafanaOptions(prometheus_url=prometheus_url, dashboards=found)), out)


@export.command()
@click.option("--namespace", default="Flyball", show_default=True, help="Where everything is put.")
@click.option("--topic", "topics", multiple=True, help="ARN of what is told when an alarm fires or ends.")
@click.option("--runbook", default="", help="Where your runbook lies, if not on the Flyball server.")
@monitor_option
def cloudwatch(namespace: str, topics: tuple[str, ...], runbook: str, chosen: tuple[str, ...]) -> None:
    """Put the figures of this moment and an alarm for each kind of alert. Needs flyball[cloudwatch].

    Credentials and region come from AWS' own chain. The worker goes on putting figures where FLYBALL_CLOUDWATCH_NAMESPACE is set.
    """
    from flyball.kernel.telemetry import Family, FamilyKind, Sample
    from flyball.monitoring.exports.cloudwatch import CloudWatch, Watched
    from flyball.monitoring.exports.prometheus import RUNBOOK_PATH

    client = Client()
    known = _check_chosen(client, chosen)
    found = client.call("GET", api("figures"), response=figures.FigureList)
    told = [
        Family(
            name=one.name,
            what=one.what,
            kind=FamilyKind(one.kind),
            unit=one.unit,
            is_moment=one.is_moment,
            samples=[Sample(labels=sample.labels, value=sample.value) for sample in one.samples],
        )
        for one in found.families
    ]
    into = CloudWatch(namespace)
    into.send(told)
    watched = [Watched(monitor=one.name, endpoint=one.endpoint) for one in known]
    for name in into.put_alarms(watched, topics=topics, runbook=runbook or client.url + RUNBOOK_PATH):
        click.echo(name)


def _check_chosen(client: Client, chosen: Sequence[str]) -> list[monitors.MonitorInfo]:
    """Return the monitors that were chosen, all where none was.

    Raises:
        UnknownKey: one is not there; a rule about it would never fire, and nobody would know.
    """
    found = client.call("GET", api("monitors"), response=monitors.MonitorList)
    known = [one.name for one in found.monitors]
    for name in chosen:
        if name not in known:
            raise UnknownKey.among(name, known, where="the monitors of this installation")
    return [one for one in found.monitors if not chosen or one.name in chosen]


def _give(files: Mapping[str, str], out: Path | None) -> None:
    if out is None:
        for name, text in files.items():
            click.echo(f"# {name}\n{text}")
        return
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        click.echo(str(path))
