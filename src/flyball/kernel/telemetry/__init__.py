"""Telemetry: what a process or an installation counts, as values, and the two forms in which others read it."""

from __future__ import annotations

from flyball.kernel.telemetry.exposition import CONTENT_TYPE, exposition
from flyball.kernel.telemetry.families import Distribution, Family, FamilyKind, Sample
from flyball.kernel.telemetry.otlp import OtlpMetrics
from flyball.kernel.telemetry.reporting import Reporter

__all__ = [
    "CONTENT_TYPE",
    "Distribution",
    "Family",
    "FamilyKind",
    "OtlpMetrics",
    "Reporter",
    "Sample",
    "exposition",
]
