"""The whole loop as a user starts it: every process real, both acts, and nothing left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.architecture.source import ROOT

from flyball.demo.electricity import JOINED_ROW
from flyball.demo.story import Numbers

# The first alert follows two bad windows, so that within them nothing can become better.
TOO_FEW_WEEKS = 2


@dataclasses.dataclass(frozen=True)
class Shown:
    """A demo that has ended."""

    folder: Path
    status: int
    text: str
    result: dict[str, Any]


def show(folder: Path, *arguments: str) -> Shown:
    """Run the demo with the arguments that `make` gives it, in a folder of its own."""
    result = folder / "result.json"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
    command = [sys.executable, "-m", "flyball.demo", "--folder", str(folder / "demo"), "--result", str(result)]
    ended = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=1_750
    )
    told = json.loads(result.read_text()) if result.exists() else {}
    return Shown(folder / "demo", ended.returncode, ended.stdout + ended.stderr, told)


@pytest.mark.parametrize(
    ("target", "flags"), [("demo", "--keep-running"), ("demo-once", "--result build/demo/result.json")]
)
def test_make_starts_the_demo_that_is_tested_here(target: str, flags: str) -> None:
    make = shutil.which("make")
    assert make is not None
    told = subprocess.run([make, "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f".venv/bin/python -m flyball.demo {flags}" in told.splitlines()


@pytest.mark.timeout(1_800)
def test_the_whole_story_happens_and_the_demo_stops_what_it_started(tmp_path: Path) -> None:
    shown = show(tmp_path)
    told = shown.result
    assert shown.status == 0, shown.text[-6_000:]
    assert set(told) == {field.name for field in dataclasses.fields(Numbers)}
    assert told["refused_corrupted"] is True
    assert told["audit_verified"] is True
    assert told["first_alert_row"] > JOINED_ROW
    assert told["retrainings"] > told["promotions"] >= 1
    assert told["refused_by_gate"] >= 1
    assert told["accuracy_none"] < told["accuracy_flyball"] < told["accuracy_every_window_all_rows"]
    assert told["recovered_share"] > 0
    assert told["weeks_expected"] > told["weeks_as_expected"] > 0
    assert told["weeks_concept_changed"] > 0
    assert told["seconds"] > 0
    changed = re.search(
        r"concept changed +expected without labels (\S+) \[(\S+), \S+\], realised (\d\.\d+)", shown.text
    )
    assert changed is not None, shown.text[-6_000:]
    expected, lower, realised = (float(number) for number in changed.groups())
    assert realised < lower < expected
    for said in ("data fault: refused to train", "with Flyball", "flyball why, of the first alert", "intact: "):
        assert said in shown.text
    report = (shown.folder / "report.html").read_text()
    assert changed[0].split("  ", 1)[1] in report
    assert "<polyline" in report
    assert not re.search(r"(src|href)=", report), "the report needs something else than itself"
    assert _left(shown.folder) == []


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A demo that ends before the loop can have helped, asked to leave its server running."""
    shown = show(tmp_path_factory.mktemp("short"), "--weeks", str(TOO_FEW_WEEKS), "--keep-running")
    yield shown
    for process in _left(shown.folder):  # nothing, unless a test failed
        process.kill()


@pytest.mark.timeout(1_800)
def test_a_story_with_a_part_missing_is_a_failure_that_names_it(cut_short: Shown) -> None:
    assert cut_short.status == 1
    missing = re.findall(r"^did not happen: (.*)$", cut_short.text, re.MULTILINE)
    assert missing == ["the loop served better than no retraining"]
    assert cut_short.result["accuracy_flyball"] == cut_short.result["accuracy_none"]


@pytest.mark.timeout(1_800)
def test_the_demo_leaves_the_server_running_when_asked_to(cut_short: Shown) -> None:
    supervisor = psutil.Process(int(cut_short.text.rsplit("kill -INT ", 1)[1].split()[0]))
    assert supervisor.is_running()
    assert supervisor.environ()["FLYBALL_HOME"].startswith(str(cut_short.folder))
    supervisor.send_signal(signal.SIGINT)
    supervisor.wait(240)
    assert _left(cut_short.folder) == []


def _left(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["environ"]) if _belongs(process, folder)]


def _belongs(process: psutil.Process, folder: Path) -> bool:
    environment = process.info["environ"] or {}
    return str(environment.get("FLYBALL_HOME", "")).startswith(str(folder))
