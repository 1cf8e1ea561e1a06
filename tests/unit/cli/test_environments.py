"""The commands for the environments of isolated models, through the entry that the shell calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.serving.isolation.small_maker import LOCK, SmallMaker

from flyball.cli.main import main
from flyball.kernel.clock import ManualClock, SystemClock
from flyball.serving.isolation.environments import FOLDER, Environments, digest_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["environment", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_environments_are_listed_and_removed(run: Run, home: Path) -> None:
    assert run("list") == (0, "", "none\n")
    kept = Environments(home / FOLDER, maker=SmallMaker(), clock=SystemClock())
    held = kept.hold(LOCK)
    status, out, _ = run("list")
    assert (status, held.digest[:12] in out, "now" in out) == (0, True, True)
    status, _, err = run("remove", held.digest[:12])
    assert (status, "in use" in err) == (1, True)
    held.release()
    assert run("remove", held.digest[:12]) == (0, "removed\n", "")
    assert run("list") == (0, "", "none\n")


def test_pruning_removes_what_is_unused_for_the_days_of_the_setting(run: Run, home: Path) -> None:
    now_ms = SystemClock().now_ms()
    old = ManualClock(now_ms - 31 * 86_400_000)
    Environments(home / FOLDER, maker=SmallMaker(), clock=old).hold(LOCK).release()
    assert run("prune", "--unused-days", "40") == (0, "0 environments removed\n", "")
    assert run("prune") == (0, f"removed {digest_of(LOCK)[:12]}\n1 environments removed\n", "")
