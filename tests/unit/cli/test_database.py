"""The commands for whole databases, through the entry that the shell calls."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.migrations import history

from flyball.cli.main import main
from flyball.kernel.db import open_database
from flyball.server import migrations
from flyball.server.occupancy import share_database

Shown = tuple[int, str, str]
Run = Callable[..., Shown]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home at the newest schema, with rows and without artifacts."""
    home = tmp_path / "home"
    monkeypatch.setenv("FLYBALL_HOME", str(home))
    home.mkdir(mode=0o700)
    with contextlib.closing(open_database(f"sqlite:///{home / 'flyball.db'}")) as database:
        migrations.upgrade(database, "0001")
        rows = history.rows_at("0001")
        del rows["artifact_names"]
        history.insert(database, rows)
    return home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Shown:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_an_upgrade_says_where_the_backup_is_and_the_backup_goes_back(run: Run, home: Path) -> None:
    assert run("db", "status")[1] == f"at 0001, newest {migrations.newest()}\n"
    status, out, _ = run("db", "upgrade")
    assert status == 0
    assert f"in {home / 'backups'}" in out
    assert f"schema at revision {migrations.newest()}, before at 0001" in out
    assert run("db", "upgrade")[1] == f"schema at revision {migrations.newest()} already\n"
    status, _, err = run("backup", "restore", home / "backups")
    assert (status, "--replace" in err) == (1, True)
    status, out, _ = run("backup", "restore", home / "backups", "--replace")
    assert (status, "kept as" in out) == (0, True)
    assert run("db", "status")[1].startswith("at 0001")


def test_a_backup_is_made_listed_verified_and_its_damage_named(run: Run, tmp_path: Path) -> None:
    run("db", "upgrade")
    place = tmp_path / "kept"
    status, out, _ = run("backup", "create", place)
    assert (status, "head of the chain" in out) == (0, True)
    listed = run("backup", "list", place)[1]
    assert "database and artifacts" in listed
    status, out, _ = run("backup", "verify", place)
    assert (status, out.startswith("ok  ")) == (0, True)
    (database,) = place.glob("backups/*/database.sqlite")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE identities SET role = 'owner'")
        connection.commit()
    status, out, _ = run("backup", "verify", place)
    assert (status, "database.sqlite was changed" in out) == (1, True)
    status, _, err = run("backup", "restore", place, "--replace")
    assert (status, "database.sqlite was changed" in err) == (1, True)
    assert run("backup", "verify", tmp_path / "nowhere")[0] == 1


def test_a_move_says_what_it_moved_and_what_to_set(run: Run, home: Path, tmp_path: Path) -> None:
    run("db", "upgrade")
    target = f"sqlite:///{tmp_path / 'other.db'}"
    status, out, _ = run("db", "move", "--to", target)
    assert status == 0, out
    assert "counts, checksums and 4 events agree" in out
    assert "FLYBALL_DATABASE_URL" in out
    status, _, err = run("db", "move", "--to", target)
    assert (status, "holds rows already" in err) == (1, True)
    with share_database(f"sqlite:///{home / 'flyball.db'}", process="flyball server"):
        status, _, err = run("db", "move", "--to", f"sqlite:///{tmp_path / 'third.db'}")
    assert (status, "in use by flyball server" in err) == (1, True)
