"""The port of calibrations: where they are kept."""

from __future__ import annotations

from typing import Protocol

from flyball.kernel.canonical import Digest
from flyball.monitoring.calibration.entities import Calibration, KeptCalibration


class CalibrationStore(Protocol):
    """Keep every calibration of every monitor and version. Each verb joins the transaction of its thread."""

    def add(self, calibration: Calibration, *, digest: Digest, now_ms: int) -> None:
        """Keep a calibration; of its monitor and version it is the newest from now on."""
        ...

    def find(self, monitor: str, version: int) -> Calibration | None:
        """Return the newest calibration, None when there is none."""
        ...

    def find_digest(self, monitor: str, version: int) -> Digest | None:
        """Return the digest of the newest calibration, None when there is none."""
        ...

    def history(self, monitor: str, *, limit: int) -> list[KeptCalibration]:
        """Return a monitor's calibrations of all versions, the last kept first."""
        ...
