"""How long, how large and how often: the limits of pipeline runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may take. The defaults are those of the settings of the same name, where there is one."""

    step_timeout_s: float = 3_600
    plan_timeout_s: float = 120
    """A plan only notes calls; what takes longer is work that belongs into a step."""
    lease_ttl_ms: int = 30_000
    parameters_bytes: int = 1_048_576
    result_bytes: int = 1_048_576
    """Of the run's result, which is read with every look at the run; large values stay outputs of their steps."""
    scratch: Path | None = None
    """Folder for the files of running steps; None means the system's temporary folder."""

    @property
    def renew_after_ms(self) -> int:
        """Renew with two thirds of the time left, so that a slow database costs one renewal and not the lease."""
        return self.lease_ttl_ms // 3
