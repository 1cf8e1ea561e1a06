"""How this worker starts steps and scorers: fresh interpreters, or forked where heavy libraries are loaded already."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from flyball.kernel.runners.child import without_settings
from flyball.kernel.settings import Settings
from flyball.kernel.warm import WarmChild, warm_up
from flyball.pipelines import child
from flyball.pipelines.children import Child, FreshChild, StartChild
from flyball.serving import score

# What is ours and the same for every child; `FLYBALL_WARM_MODULES` adds the libraries.
OURS = ("flyball.pipelines.child", "flyball.serving.score")
LOOK_EVERY_S = 0.005
TAIL_BYTES = 8_192


def warm_modules(settings: Settings) -> list[str]:
    """Return the modules that the settings ask to keep loaded; empty means that every child is a fresh interpreter."""
    return [name.strip() for name in settings.warm_modules.split(",") if name.strip()]


def prepare_children(settings: Settings, *, environment: Mapping[str, str]) -> None:
    """Start importing now, in a process of its own, so that the first child need not wait. Before there are threads."""
    modules = warm_modules(settings)
    if modules:
        warm_up([*OURS, *modules], environment=environment)


def starter(settings: Settings) -> StartChild:
    """Return how steps are started."""
    return _start_warm if warm_modules(settings) else FreshChild


def score_runner(settings: Settings) -> score.RunChild:
    """Return how scorers are run."""
    return _score_warm if warm_modules(settings) else score.run_fresh


def _start_warm(folder: Path, environment: Mapping[str, str]) -> Child:
    return WarmChild(child.main, folder=folder, environment=environment)


def _score_warm(spec: bytes, timeout_s: float) -> tuple[int, str]:
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory(prefix="flyball-scorer-") as folder:
        running = WarmChild(score.run_as_child, folder=Path(folder), environment=without_settings(os.environ))
        with closing(running.stdout):
            try:
                running.stdin.write(spec)
                running.stdin.close()
                while not running.has_ended():
                    if time.monotonic() > deadline:
                        raise TimeoutError
                    time.sleep(LOOK_EVERY_S)
            finally:
                running.end_group()
            printed = running.stdout.read(TAIL_BYTES) or b""
    return running.returncode, printed.decode(errors="replace")
