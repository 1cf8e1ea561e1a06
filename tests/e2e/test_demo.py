"""The whole loop as a user starts it, shortened: every process real, both acts, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.timeout(600)
def test_the_demo_tells_its_story_and_stops_what_it_started(tmp_path: Path) -> None:
    folder, result = tmp_path / "demo", tmp_path / "result.json"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
    command = [sys.executable, "-m", "flyball.demo", "--folder", str(folder), "--weeks", "8", "--result", str(result)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=550)
    told = json.loads(result.read_text())
    assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    assert told["refused_corrupted"]
    assert told["audit_verified"]
    assert told["promotions"] >= 1
    assert told["accuracy_flyball"] > told["accuracy_none"]
    assert told["first_alert_row"] > 17_424
    assert "closed loop" in (folder / "report.html").read_text()
    left = [process.pid for process in psutil.process_iter(["environ"]) if _belongs(process, folder)]
    assert left == []


@pytest.mark.timeout(300)
def test_the_demo_leaves_the_server_running_when_asked_to(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
    command = [sys.executable, "-m", "flyball.demo", "--folder", str(folder), "--weeks", "4", "--keep-running"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=250)
    supervisor = psutil.Process(int(ended.stdout.rsplit("kill -INT ", 1)[1].split()[0]))
    try:
        assert supervisor.is_running()
        assert supervisor.environ()["FLYBALL_HOME"].startswith(str(folder))
    finally:
        supervisor.send_signal(signal.SIGINT)
        supervisor.wait(60)


def _belongs(process: psutil.Process, folder: Path) -> bool:
    environment = process.info["environ"] or {}
    return str(environment.get("FLYBALL_HOME", "")).startswith(str(folder))
