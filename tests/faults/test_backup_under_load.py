"""Backups while clients write as fast as they are answered: each holds what was acknowledged before it began, and nothing half."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.faults.server_load import Load, RunNotes, check
from tests.faults.servers import PATIENCE_S, Servers, kill

from flyball.kernel.clock import SystemClock
from flyball.kernel.settings import load_settings
from flyball.server.backup.creating import create_backup
from flyball.server.backup.places import place_at
from flyball.server.backup.restoring import restore_backup
from flyball.server.backup.verifying import verify_backup


@pytest.mark.parametrize(("kind", "times"), [("sqlite", 6), ("postgresql", 3)])
def test_every_backup_under_load_restores_to_all_that_was_acknowledged_and_nothing_half(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, times: int
) -> None:
    url = str(request.getfixturevalue("postgres_url")) if kind == "postgresql" else ""
    servers = Servers(tmp_path, database_url=url)
    with contextlib.closing(servers):
        pid, place = servers.start(), place_at(tmp_path / "backups")
        load = Load(servers.url, servers.token())
        assert load.first.wait(PATIENCE_S)
        made: dict[str, list[RunNotes]] = {}
        for _ in range(times):
            before = load.so_far()
            manifest = create_backup(load_settings(servers.environment), place, clock=SystemClock())
            assert manifest.artifacts is not None
            assert manifest.artifacts.missing == ()
            made[manifest.id] = before
        load.stop()
        kill(pid)
        assert place.backups() == sorted(made)
        last = {notes.run_id: notes for notes in load.notes}
        assert sum(len(notes.done) for notes in last.values()) > times
        for backup_id, before in made.items():
            assert verify_backup(place, backup_id, clock=SystemClock()).damage == ()
            servers.move_to(tmp_path / backup_id)
            restore_backup(
                load_settings(servers.environment),
                place,
                backup_id,
                replace=False,
                damaged=False,
                clock=SystemClock(),
                tell=lambda _: None,
            )
            pid = servers.start()
            servers.verify()
            for notes in before:
                check(servers.api(), notes, later=last[notes.run_id])
            kill(pid)
