"""What the worker sends of its own accord: the figures of monitors, to OpenTelemetry and CloudWatch, where the settings say so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from flyball.kernel.leases.holding import Holdings
from flyball.kernel.settings import Settings
from flyball.kernel.telemetry import Family, Reporter
from flyball.kernel.telemetry.reporting import FamilySink
from flyball.monitoring.exports.cloudwatch import CloudWatch
from flyball.monitoring.exports.families import families, installation_families, monitor_families
from flyball.server.installation import figures_of
from flyball.server.platform import Platform
from flyball.server.reporting import otlp_metrics

INSTANCE = "monitoring"
Read = Callable[[], Sequence[Family]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Where figures go, how often, and which."""

    name: str
    sink: FamilySink
    every_s: int
    read: Read


@contextlib.contextmanager
def exported(platform: Platform, holdings: Holdings) -> Iterator[None]:
    """Send for as long as the worker works. Of several workers one sends at a time: the one that holds the lease of the export.

    Raises:
        MissingExtra: an export is asked for, and its library is not installed.
        InvalidInput: AWS is told no region, or the namespace is none.
    """
    with contextlib.ExitStack() as stack:
        for export in _exports(platform, platform.settings):
            read = partial(_read_if_mine, export, holdings)
            stack.enter_context(contextlib.closing(Reporter(read, export.sink, every_s=export.every_s)))
        yield


def _exports(platform: Platform, settings: Settings) -> Iterator[Export]:
    if settings.otlp_endpoint and settings.otlp_metrics_s:
        yield Export(
            name="otlp",
            # The counters are kept in the store; when they began is not known to this process.
            sink=otlp_metrics(settings, instance=INSTANCE, since_ns=0),
            every_s=settings.otlp_metrics_s,
            read=partial(_everything, platform),
        )
    if settings.cloudwatch_namespace:
        yield Export(
            name="cloudwatch",
            sink=CloudWatch(settings.cloudwatch_namespace),
            every_s=settings.cloudwatch_s,
            read=partial(_without_features, platform),
        )


def _read_if_mine(export: Export, holdings: Holdings) -> Sequence[Family]:
    return export.read() if holdings.take(f"export/{export.name}") is not None else ()


def _everything(platform: Platform) -> Sequence[Family]:
    return families(figures_of(platform), features=platform.settings.metrics_features)


def _without_features(platform: Platform) -> Sequence[Family]:
    figures = figures_of(platform)
    return [*installation_families(figures), *monitor_families(figures.monitors)]
