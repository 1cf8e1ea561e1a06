"""A child is waited for with a beating heart, also while it is only being started."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from flyball.kernel.errors import LeaseLost
from flyball.pipelines.children import Child, FreshChild
from flyball.pipelines.exchange import PlanTask
from flyball.pipelines.processes import ProcessRunner

PATIENCE_S = 240
TASK = PlanTask(pipeline="nothing.py:main", parameters={})


class SlowStart:
    """Start a real child, but not before the parent has shown that it is alive."""

    def __init__(self) -> None:
        self.alive = threading.Event()
        self.children: list[Child] = []

    def __call__(self, folder: Path, environment: Mapping[str, str]) -> Child:
        assert self.alive.wait(PATIENCE_S), "nobody said that the parent is alive while the child was being started"
        self.children.append(FreshChild(folder, environment))
        return self.children[-1]


def test_the_lease_is_renewed_while_a_child_is_being_started(tmp_path: Path) -> None:
    start = SlowStart()
    ended = ProcessRunner(start=start).run(
        TASK, folder=tmp_path, environment=dict(os.environ), timeout_s=PATIENCE_S, beat=start.alive.set
    )
    assert ended.outcome is not None


def test_a_child_that_nobody_waits_for_any_more_is_ended_when_it_has_started(tmp_path: Path) -> None:
    start = SlowStart()

    def lose() -> None:
        start.alive.set()
        raise LeaseLost("somebody else may act on the run now")

    with pytest.raises(LeaseLost):
        ProcessRunner(start=start).run(
            TASK, folder=tmp_path, environment=dict(os.environ), timeout_s=PATIENCE_S, beat=lose
        )
    assert [child.returncode for child in start.children] == [-signal.SIGKILL]
