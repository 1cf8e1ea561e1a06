"""An import that is killed at any moment, and run again, ends where an undisturbed one ends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.transfer.sources import database_url, put_source, rows, target_of

KILLS = 5
# What an import writes; times of events and of nothing else depend on when it ran.
TABLES = (
    "experiments",
    "experiment_tags",
    "runs",
    "run_params",
    "run_tags",
    "run_models",
    "logged_datasets",
    "logged_models",
    "logged_model_metrics",
    "registered_models",
    "model_versions",
    "model_aliases",
    "version_counters",
    "artifact_names",
    "imported_things",
)
POINTS = "SELECT run_id, key, p.timestamp_ms, p.step, p.value, p.is_nan FROM metric_points p JOIN metric_series USING (series_id)"
SERIES = "SELECT run_id, key, value, is_nan, step, timestamp_ms, minimum, maximum, point_count FROM metric_series"


def run(home: Path, *words: str) -> subprocess.Popen[bytes]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "flyball.cli.main", *words],
        env={**environ, "FLYBALL_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )


def start(source: Path, home: Path) -> subprocess.Popen[bytes]:
    return run(home, "import", "mlflow", database_url(source))


def written(home: Path) -> int:
    """Count what an import has written so far, in events and in thousands of points."""
    with contextlib.suppress(sqlite3.Error):
        events = rows(home / "flyball.db", "SELECT count(*) FROM events")[0][0]
        points = rows(home / "flyball.db", "SELECT count(*) FROM metric_points")[0][0]
        return int(str(events)) + int(str(points)) // 1_000
    return 0


def kill_after(process: subprocess.Popen[bytes], home: Path, chance: random.Random) -> bool:
    """Kill an import a little after it has written some more; tell whether it was still at work."""
    until = written(home) + chance.choice([0, 1, 2, 5, 10, 40, 80])
    while process.poll() is None and written(home) < until:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.02))
    process.kill()
    return process.wait() == -signal.SIGKILL


def state(home: Path) -> dict[str, list[str]]:
    found = {name: sorted(map(str, rows(home / "flyball.db", f"SELECT * FROM {name}"))) for name in TABLES}
    return found | {sql: sorted(map(str, rows(home / "flyball.db", sql))) for sql in (POINTS, SERIES)}


@pytest.mark.parametrize("seed", [1])
def test_killed_again_and_again_it_ends_at_the_same(seed: int, tmp_path: Path) -> None:
    source = put_source("3.17.2", tmp_path / "source")
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        (run_id,) = database.execute("SELECT run_uuid FROM runs WHERE name = 'child'").fetchone()
        points = (("many", step / 7, 1_700_000_000_000 + step, run_id, step, 0) for step in range(150_000))
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
        database.commit()
    assert start(source, tmp_path / "whole").wait() == 0
    chance = random.Random(seed)
    broken_off = [kill_after(start(source, tmp_path / "killed"), tmp_path / "killed", chance) for _ in range(KILLS)]
    assert any(broken_off), "every import ended before it was killed"
    assert start(source, tmp_path / "killed").wait() == 0
    assert state(tmp_path / "killed") == state(tmp_path / "whole")
    with target_of(tmp_path / "killed") as target:
        assert target.events.verify().intact
        added = [event.subject for event in target.events.all() if event.kind == "import.run_added"]
    assert len(added) == len(set(added)) == 5


def test_an_export_that_is_taken_in_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    source = put_source("3.17.2", tmp_path / "source")
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        (run_id,) = database.execute("SELECT run_uuid FROM runs WHERE name = 'child'").fetchone()
        points = (("many", step / 7, 1_700_000_000_000 + step, run_id, step, 0) for step in range(100_000))
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
        database.commit()
    assert start(source, tmp_path / "first").wait() == 0
    assert run(tmp_path / "first", "export", str(tmp_path / "export")).wait() == 0
    chance = random.Random(7)
    for _ in range(3):
        process = run(tmp_path / "second", "import", "flyball", str(tmp_path / "export"))
        while process.poll() is None and not list((tmp_path / "second").glob("artifacts/sha256/*/*")):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 1))
        process.kill()
        process.wait()
        assert written(tmp_path / "second") in {0, written(tmp_path / "first")}
    if not written(tmp_path / "second"):
        assert run(tmp_path / "second", "import", "flyball", str(tmp_path / "export")).wait() == 0
    assert state(tmp_path / "second") == state(tmp_path / "first")
