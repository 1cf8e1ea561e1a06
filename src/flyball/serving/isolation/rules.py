"""The operator's rules of isolation, as a process is told them that does not see our settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.settings import Settings
from flyball.serving.isolation.environments import FOLDER, Environments
from flyball.serving.isolation.making import Maker
from flyball.serving.isolation.placement import Isolation, IsolationChoice

_DAY_MS = 86_400_000


class IsolationRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which models are isolated, where their environments lie, and what one may take; see `kernel.settings` for each."""

    choice: IsolationChoice
    environments: str
    memory_bytes: int | None = None
    make_s: float = 1_800.0
    start_s: float = 120.0
    predict_s: float = 300.0
    keep_days: int = 30

    @classmethod
    def by(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(
            choice=IsolationChoice(settings.isolation),
            environments=str(settings.home.absolute() / FOLDER),
            memory_bytes=settings.isolation_memory_bytes,
            make_s=settings.isolation_make_s,
            start_s=settings.isolation_start_s,
            predict_s=settings.isolation_predict_s,
            keep_days=settings.isolation_keep_days,
        )

    def open(self, *, clock: Clock | None = None) -> Isolation:
        """Return what follows the rules in this process."""
        maker = Maker(timeout_s=self.make_s)
        return Isolation(
            choice=self.choice,
            environments=Environments(Path(self.environments), maker=maker, clock=clock or SystemClock()),
            memory_bytes=self.memory_bytes,
            start_s=self.start_s,
            predict_s=self.predict_s,
            keep_ms=self.keep_days * _DAY_MS,
        )
