"""Where a model runs: here, or in a process of its own, in the environment it was trained in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.logs import get_logger
from flyball.kernel.settings import Settings
from flyball.serving.entities import ModelSpec
from flyball.serving.flavours import loader_of
from flyball.serving.isolation.environments import FOLDER, Environments, HeldEnvironment
from flyball.serving.isolation.making import Maker
from flyball.serving.isolation.model_process import Recipe
from flyball.serving.isolation.requirements import ModelLock, differences, read_lock
from flyball.serving.isolation.runtime import RemoteRuntime
from flyball.serving.model_folder import read_document

IN_THE_SERVER = "in the model server"
_DAY_MS = 86_400_000
_SHOWN = 3

_log = get_logger("isolation")


class IsolationChoice(StrEnum):
    """Which models run in processes of their own: those whose environment differs, all, or none."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The operator's choice, and what it takes to follow it. `memory_bytes` is what one model's process may allocate."""

    choice: IsolationChoice
    environments: Environments
    memory_bytes: int | None = None
    start_s: float = 120.0
    predict_s: float = 300.0
    keep_ms: int = 30 * _DAY_MS
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def place(self, spec: ModelSpec, *, allow_pickle: bool) -> RemoteRuntime | None:
        """Load a model into a process of its own if it should have one; None where it runs here.

        Raises:
            FlyballError: its environment cannot be made, or it cannot be loaded there.
        """
        if self.choice is IsolationChoice.NEVER:
            return None
        lock = read_lock(spec.folder, flavour=spec.flavour)
        differing = differences(lock)
        if not differing and self.choice is IsolationChoice.AUTO:
            return None
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        why = "; ".join(differing[:_SHOWN]) + more or "set to always"
        _log.info("model_isolated", folder=str(spec.folder), why=why)
        held = self._environment(lock) if differing else None
        return self._start(spec, held, allow_pickle=allow_pickle)

    def _environment(self, lock: ModelLock) -> HeldEnvironment:
        held = self.environments.hold(lock)
        for digest in self.environments.prune(unused_ms=self.keep_ms):
            _log.info("environment_removed", digest=digest[:12], unused_days=self.keep_ms // _DAY_MS)
        return held

    def _start(self, spec: ModelSpec, held: HeldEnvironment | None, *, allow_pickle: bool) -> RemoteRuntime:
        recipe = Recipe(
            model=spec.folder.name,
            # Where nothing differs a process of its own needs no environment of its own.
            python=Path(sys.executable) if held is None else held.python,
            load={
                "folder": str(spec.folder.absolute()),
                "flavour": spec.flavour,
                "loader": loader_of(spec.flavour),
                # What YAML knows and JSON does not (moments) plays no part for a flavour.
                "document": json.loads(json.dumps(read_document(spec.folder), default=str)),
                "allow_pickle": allow_pickle,
                "memory_bytes": self.memory_bytes,
            },
            environ=self.environ,
            start_s=self.start_s,
            predict_s=self.predict_s,
        )
        environment = "the server's environment" if held is None else f"environment {held.digest[:12]}"
        return RemoteRuntime(recipe, environment=environment, at_end=lambda: None if held is None else held.release())


def environments_of(settings: Settings, *, clock: Clock | None = None) -> Environments:
    """Return the environments of a home."""
    return Environments(
        settings.home / FOLDER, maker=Maker(timeout_s=settings.isolation_make_s), clock=clock or SystemClock()
    )
