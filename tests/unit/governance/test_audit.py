from __future__ import annotations

from pathlib import Path

import pytest

from flyball.governance.access import OWNER, Access
from flyball.governance.audit import Audit, verify_export, verify_export_file
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import EventLog, ref


@pytest.fixture
def audit(events: EventLog, access: Access) -> Audit:
    for name in ("user:ada", "user:ben", "user:cleo"):
        access.create_identity(name, "viewer", actor=OWNER)
    return Audit(events)


def test_a_whole_record_verifies_in_the_database_and_in_its_export(audit: Audit) -> None:
    found = audit.verify()
    assert (found.intact, found.count) == (True, 3)
    assert verify_export(audit.export()) == found


def test_every_edited_byte_of_an_export_is_found_at_its_line(audit: Audit) -> None:
    lines = list(audit.export())
    missed = []
    for place in range(len(lines[1]) - 1):
        edited = bytearray(lines[1])
        edited[place] ^= 0x01
        found = verify_export([lines[0], bytes(edited), lines[2]])
        if found.intact or found.first_bad != 2:
            missed.append((place, found))
    assert missed == []


@pytest.mark.parametrize("edit", [b" ", b"\t"])
def test_a_blank_more_is_found(audit: Audit, edit: bytes) -> None:
    lines = list(audit.export())
    found = verify_export([lines[0], lines[1].replace(b":", b":" + edit, 1), lines[2]])
    assert (found.intact, found.first_bad, found.reason) == (False, 2, "line 2 of the export was changed")


def test_a_line_taken_from_the_middle_is_found(audit: Audit) -> None:
    lines = list(audit.export())
    found = verify_export([lines[0], lines[2]])
    assert (found.intact, found.first_bad, found.reason) == (False, 2, "entry 2 is missing or out of order")


def test_lines_in_another_order_are_found(audit: Audit) -> None:
    lines = list(audit.export())
    assert verify_export([lines[1], lines[0], lines[2]]).first_bad == 1


def test_a_tail_cut_off_is_found_with_a_witness_and_only_with_one(audit: Audit) -> None:
    lines, witness = list(audit.export()), audit.verify().head
    assert verify_export(lines[:2]).intact
    found = verify_export(lines[:2], witness=witness)
    assert not found.intact
    assert "cut or written anew" in found.reason


def test_a_witness_stays_good_when_the_record_grows(audit: Audit, access: Access) -> None:
    witness = audit.verify().head
    access.create_identity("user:dan", "viewer", actor=OWNER)
    assert audit.verify(witness=witness).intact
    assert verify_export(audit.export(), witness=witness).intact


def test_an_empty_record_is_whole(events: EventLog) -> None:
    assert Audit(events).verify().intact
    assert verify_export([]).count == 0


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{}", b'{"seq":1}', b"\xff", b"1" * 10_000, b"[" * 10_000])
def test_what_is_no_export_is_named_by_its_line(line: bytes) -> None:
    found = verify_export([line])
    assert (found.intact, found.first_bad) == (False, 1)
    assert found.reason.startswith("line 1 of the export is no event")


def test_an_export_in_a_file_is_checked_where_no_platform_is(audit: Audit, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(audit.export()))
    assert verify_export_file(path) == audit.verify()
    path.write_bytes(path.read_bytes()[:-9])
    assert verify_export_file(path).first_bad == 3


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        verify_export_file(tmp_path / "none.jsonl")


def test_events_are_paged_and_filtered_by_subject(audit: Audit) -> None:
    assert [event.seq for event in audit.page(after=1, limit=1)] == [2]
    assert [event.seq for event in audit.page(subject=ref("identity", "user:cleo"))] == [3]
