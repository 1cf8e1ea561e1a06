"""Whoever edits the record in the database is found: every column, every event, every edge."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, text

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.events import GENESIS, Draft, Edge, EventKind, EventLog, Ref, Verification, ref
from flyball.kernel.events.entities import chain
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.events.tables import edges, events
from flyball.server.migrations import upgrade

EDITED, COUNT = 3, 5


class Told(EventKind):
    DONE = "told.done"


@pytest.fixture
def log(database: Database) -> EventLog:
    return told(database)


def told(database: Database) -> EventLog:
    log = EventLog(SqlEventStore(database), ManualClock())
    for number in range(1, COUNT + 1):
        run, data = ref("run", f"r{number}"), ref("dataset-version", f"d/{number}")
        log.record(
            Told.DONE,
            actor="user:ada",
            subject=run,
            payload={"number": number, "note": f"marker-{number}"},
            edges=[Edge(subject=run, relation="used", object=data), Edge(subject=data, relation="from", object=run)],
        )
    assert log.verify().intact
    return log


def edit(database: Database, statement: str, **values: object) -> None:
    with database.transaction() as connection:
        assert connection.execute(text(statement), values).rowcount == 1


def found(log: EventLog) -> tuple[bool, int | None]:
    checked = log.verify()
    return checked.intact, checked.first_bad


TEXT_COLUMNS = ["actor", "kind", "project", "subject", "payload", "edges", "previous", "digest"]


def test_the_columns_that_are_edited_below_are_all_columns() -> None:
    assert {column.name for column in events.columns} == {*TEXT_COLUMNS, "seq", "time_ms"}
    assert {column.name for column in edges.columns} == {"seq", "position", "subject", "relation", "object"}


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_every_edited_character_of_an_event_is_found_and_named(log: EventLog, database: Database, column: str) -> None:
    with database.read() as connection:
        kept = str(connection.execute(text(f"SELECT {column} FROM events WHERE seq = {EDITED}")).scalar_one())
    missed = []
    for place, letter in enumerate(kept):
        changed = kept[:place] + ("0" if letter != "0" else "1") + kept[place + 1 :]
        edit(database, f"UPDATE events SET {column} = :changed WHERE seq = {EDITED}", changed=changed)
        if found(log) != (False, EDITED):
            missed.append((place, changed))
    edit(database, f"UPDATE events SET {column} = :kept WHERE seq = {EDITED}", kept=kept)
    assert missed == []
    assert log.verify().intact


@pytest.mark.parametrize("column", ["payload", "edges"])
@pytest.mark.parametrize("changed", ["", "x", "null", "[]", "{}", "[[1]]", '[["a","b","c"]]', "\u00e9"])
def test_whatever_stands_in_the_place_of_json_is_found_and_named(
    log: EventLog, database: Database, column: str, changed: str
) -> None:
    edit(database, f"UPDATE events SET {column} = :changed WHERE seq = {EDITED}", changed=changed)
    assert found(log) == (False, EDITED)


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("payload", ",", ", "),
        ("payload", '"number":3', '"number":3.0'),
        ("payload", '"number":3', '"number":2,"number":3'),
        ("payload", "marker", "\\u006darker"),
        ("edges", ",", ", "),
    ],
)
def test_other_bytes_of_the_same_meaning_are_found_too(
    log: EventLog, database: Database, column: str, before: str, after: str
) -> None:
    edit(
        database,
        f"UPDATE events SET {column} = replace({column}, :before, :after) WHERE seq = {EDITED}",
        before=before,
        after=after,
    )
    assert found(log) == (False, EDITED)


@pytest.mark.parametrize("time_ms", [0, 1_700_000_000_001, -1])
def test_an_edited_time_is_found_and_named(log: EventLog, database: Database, time_ms: int) -> None:
    edit(database, f"UPDATE events SET time_ms = {time_ms} WHERE seq = {EDITED}")
    assert found(log) == (False, EDITED)


@pytest.mark.parametrize("seq", [0, -1, 6, 10**9])
def test_an_event_that_was_moved_is_found(log: EventLog, database: Database, seq: int) -> None:
    edit(database, f"UPDATE events SET seq = {seq} WHERE seq = {EDITED}")
    checked = log.verify()
    assert not checked.intact
    assert checked.first_bad == min(seq, EDITED)


@pytest.mark.parametrize("seq", [0, -7])
def test_a_sound_event_that_was_put_before_the_first_is_found(log: EventLog, database: Database, seq: int) -> None:
    draft = Draft(time_ms=1, actor="user:m", kind="told.done", project="default", subject=Ref("run:x"), payload={})
    forged = chain(draft, seq=seq, previous=GENESIS)
    row = {name: value for name, value in forged.content().items() if name not in {"payload", "edges"}}
    with database.transaction() as connection:
        connection.execute(insert(events), [row | {"payload": "{}", "edges": "[]", "digest": forged.digest}])
    assert found(log) == (False, seq)


@pytest.mark.parametrize("column", ["actor", "payload", "digest"])
def test_text_that_is_no_text_any_more_is_found_and_named(sqlite: Database, column: str) -> None:
    log = told(sqlite)
    edit(sqlite, f"UPDATE events SET {column} = CAST(x'61ff62' AS TEXT) WHERE seq = {EDITED}")
    assert found(log) == (False, EDITED)
    assert log.verify().intact is False  # reading leniently left nothing behind


@pytest.mark.parametrize("column", ["actor", "payload", "edges", "previous"])
def test_bytes_in_the_place_of_text_are_found_and_named(sqlite: Database, column: str) -> None:
    log = told(sqlite)
    edit(sqlite, f"UPDATE events SET {column} = CAST({column} AS BLOB) WHERE seq = {EDITED}")
    assert found(log) == (False, EDITED)


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_a_deleted_event_is_found_at_its_place(log: EventLog, database: Database, seq: int) -> None:
    edit(database, f"DELETE FROM events WHERE seq = {seq}")
    assert log.verify() == Verification(
        intact=False,
        count=seq - 1,
        head=log.verify().head,
        first_bad=seq,
        reason=f"entry {seq} is missing or out of order",
    )


def test_a_tail_that_was_cut_is_found_when_the_head_was_written_down(log: EventLog, database: Database) -> None:
    witness = log.verify().head
    edit(database, f"DELETE FROM events WHERE seq = {COUNT}")
    with database.transaction() as connection:
        connection.execute(text(f"DELETE FROM edges WHERE seq = {COUNT}"))
    assert log.verify().intact
    log.record(Told.DONE, actor="user:mallory", subject=Ref("run:x"), payload={})
    checked = log.verify(witness=witness)
    assert not checked.intact
    assert "cut or written anew" in checked.reason


def test_a_chain_written_anew_is_found_when_the_head_was_written_down(log: EventLog, database: Database) -> None:
    witness = log.verify().head
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM edges"))
        connection.execute(text("DELETE FROM events"))
    log.record(Told.DONE, actor="user:ada", subject=Ref("run:x"), payload={})
    assert log.verify().intact
    assert not log.verify(witness=witness).intact


@pytest.mark.parametrize("column", ["subject", "relation", "object"])
def test_an_edited_edge_is_found_and_its_event_named(log: EventLog, database: Database, column: str) -> None:
    edit(database, f"UPDATE edges SET {column} = {column} || 'x' WHERE seq = {EDITED} AND position = 1")
    assert log.verify() == Verification(
        intact=False,
        count=COUNT,
        head=log.verify().head,
        first_bad=EDITED,
        reason="its lineage edges were changed",
    )


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (f"DELETE FROM edges WHERE seq = {EDITED} AND position = 1", EDITED),
        (f"UPDATE edges SET position = 7 WHERE seq = {EDITED} AND position = 1", EDITED),
        (f"UPDATE edges SET position = -1 WHERE seq = {EDITED} AND position = 1", EDITED),
        (f"UPDATE edges SET seq = 99 WHERE seq = {EDITED} AND position = 1", EDITED),
        ("INSERT INTO edges VALUES (99, 0, 'run:r1', 'used', 'dataset-version:forged')", 99),
        ("INSERT INTO edges VALUES (0, 0, 'run:r1', 'used', 'dataset-version:forged')", 0),
        (f"INSERT INTO edges VALUES ({EDITED}, 2, 'run:r1', 'used', 'dataset-version:forged')", EDITED),
    ],
)
def test_an_edge_that_was_removed_moved_or_added_is_found(
    log: EventLog, database: Database, statement: str, named: int
) -> None:
    edit(database, statement)
    assert found(log) == (False, named)


def test_an_edge_that_is_no_text_any_more_is_found(sqlite: Database) -> None:
    log = told(sqlite)
    edit(sqlite, f"UPDATE edges SET object = CAST(x'61ff' AS TEXT) WHERE seq = {EDITED} AND position = 0")
    assert found(log) == (False, EDITED)


@pytest.mark.parametrize("bits", [0x01, 0x80])
def test_an_edited_byte_of_the_file_is_found_and_its_event_named(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "flyball.db"
    database = open_database(f"sqlite:///{path}")
    upgrade(database)
    told(database)
    database.close()
    content = bytearray(path.read_bytes())
    place = content.index(f"marker-{EDITED}".encode())
    content[place] ^= bits
    path.write_bytes(bytes(content))
    database = open_database(f"sqlite:///{path}")
    assert found(EventLog(SqlEventStore(database), ManualClock())) == (False, EDITED)
    database.close()
