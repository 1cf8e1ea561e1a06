"""Who works on a database: many share it, one has it alone, and death gives it back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from flyball.kernel.db import open_database
from flyball.kernel.errors import Conflict
from flyball.server.occupancy import claim_database, share_database, sql

HOLDER = (
    "import sys, time; from flyball.server import occupancy\n"
    "with getattr(occupancy, sys.argv[1])(sys.argv[2], process=sys.argv[3]): print('held', flush=True); time.sleep(600)"
)

BREAK_OFF = text(
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE 'flyball server%'"
)
HOLDING = text(
    "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE datname = current_database() AND locktype = 'advisory' AND application_name LIKE 'flyball server%' "
    "AND pid <> ALL (:old)"
)


@contextlib.contextmanager
def held(verb: str, url: str, process: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, verb, url, process]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"held\n"
            yield holder
        finally:
            holder.kill()


def test_any_number_share_a_database_and_are_named_to_who_wants_it_alone(database_url: str) -> None:
    with held("share_database", database_url, "flyball server") as server:
        with (
            share_database(database_url, process="flyball worker"),
            pytest.raises(Conflict) as refused,
            claim_database(database_url, process="flyball db upgrade"),
        ):
            pass
        assert f"flyball server (process {server.pid})" in refused.value.message
        assert f"flyball worker (process {os.getpid()})" in refused.value.message


def test_who_has_a_database_alone_is_named_to_who_comes(database_url: str) -> None:
    with held("claim_database", database_url, "flyball db move") as mover:
        for verb in (share_database, claim_database):
            with (
                pytest.raises(Conflict, match=rf"flyball db move \(process {mover.pid}\)"),
                verb(database_url, process="flyball server"),
            ):
                pass


@pytest.mark.parametrize("verb", ["share_database", "claim_database"])
def test_a_killed_holder_gives_the_database_back_at_once(database_url: str, verb: str) -> None:
    with held(verb, database_url, "flyball server") as holder:
        holder.kill()
        holder.wait()
        with claim_database(database_url, process="flyball db upgrade"):
            pass
    with share_database(database_url, process="flyball server"):
        pass


def test_names_of_former_holders_are_forgotten(database_url: str) -> None:
    for process in ("flyball server", "flyball worker"):
        with held("share_database", database_url, process):
            pass
    with held("share_database", database_url, "flyball up") as present:
        with pytest.raises(Conflict) as refused, claim_database(database_url, process="flyball db move"):
            pass
        assert f"in use by flyball up (process {present.pid}): stop" in refused.value.message


def test_who_shares_a_postgresql_database_comes_back_when_the_session_was_broken_off(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "LOOK_EVERY_S", 0.02)
    with (
        contextlib.closing(open_database(postgres_url)) as database,
        share_database(postgres_url, process="flyball server"),
    ):
        for _ in range(3):
            with database.transaction() as connection:
                old = [row.pid for row in connection.execute(BREAK_OFF)]
            assert old
            with database.read() as connection:
                while not connection.execute(HOLDING, {"old": old}).all():
                    connection.rollback()
        with pytest.raises(Conflict, match="flyball server"), claim_database(postgres_url, process="flyball db move"):
            pass
