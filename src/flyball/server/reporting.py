"""Where a process sends its figures, by the settings: OpenTelemetry metrics over OTLP/HTTP, to the receiver that gets the traces."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import flyball
from flyball.kernel.settings import Settings
from flyball.kernel.telemetry import Family, OtlpMetrics, Reporter

SERVICE = "flyball"


def otlp_metrics(settings: Settings, *, instance: str, since_ns: int = 0) -> OtlpMetrics:
    """Return what sends to the receiver of the settings. `instance` tells one process of an installation from another.

    Raises:
        MissingExtra: the library is not installed.
    """
    resource = {
        "service.name": SERVICE,
        "service.version": flyball.__version__,
        "service.instance.id": instance,
    }
    return OtlpMetrics(settings.otlp_endpoint, resource=resource, since_ns=since_ns)


@contextlib.contextmanager
def reported(read: Callable[[], Sequence[Family]], settings: Settings, *, instance: str) -> Iterator[None]:
    """Send what a process counts for as long as it works, where the settings name a receiver.

    Raises:
        MissingExtra: metrics are asked for, and the library is not installed.
    """
    if not settings.otlp_endpoint or not settings.otlp_metrics_s:
        yield
        return
    sink = otlp_metrics(settings, instance=instance, since_ns=time.time_ns())
    with contextlib.closing(Reporter(read, sink, every_s=settings.otlp_metrics_s)):
        yield
