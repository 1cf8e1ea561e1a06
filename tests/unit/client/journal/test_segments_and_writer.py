"""The journal on the disk: what was appended is there, torn tails are cut at every byte, damage is stepped over and told."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from flyball.client.journal.folder import JournalFolder, Lock, Made, forget, journals_in, recall, remember
from flyball.client.journal.reader import Reader
from flyball.client.journal.segments import HEAD_BYTES, cut_torn_tail, segments_of
from flyball.client.journal.writer import Writer
from flyball.kernel.errors import StoreFull, Unavailable
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes

PLENTY = 1 << 30
RUN = "a" * 32


def point(step: int) -> bytes:
    return msgspec.msgpack.encode(shapes.Point(RUN, "loss", 0.5, step, step))


def fresh(root: Path) -> JournalFolder:
    folder, locks = JournalFolder.create(root, server="")
    for lock in locks:
        lock.release()
    return folder


def written(root: Path, count: int) -> tuple[JournalFolder, list[bytes]]:
    folder = fresh(root)
    writer = Writer(folder, max_bytes=PLENTY, sync_ms=10)
    records = [point(step) for step in range(count)]
    assert [writer.append(record) for record in records] == list(range(1, count + 1))
    writer.close()
    return folder, records


def fill(writer: Writer) -> None:
    for step in range(1_000):
        writer.append(point(step))


def read_all(reader: Reader) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while (piece := reader.piece()) is not None:
        found += enumerate(frames.records_in(piece.body), start=piece.first)
        reader.skip(piece)
    return found


def test_what_is_appended_can_be_read_from_any_record_on(tmp_path: Path) -> None:
    folder, records = written(tmp_path, 30)
    for start in (1, 2, 17, 30):
        reader = Reader(folder)
        reader.seek(start)
        assert read_all(reader) == list(enumerate(records, start=1))[start - 1 :]


def test_segments_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyball.client.journal.writer.SEGMENT_BYTES", 1_000)
    folder, records = written(tmp_path, 100)
    assert len(segments_of(folder.path)) > 5
    reader = Reader(folder)
    assert [record for _, record in read_all(reader)] == records
    assert reader.done_segments() == segments_of(folder.path)[:-1]


def test_a_tail_torn_at_any_byte_is_cut_to_the_last_whole_record(tmp_path: Path) -> None:
    folder, records = written(tmp_path, 4)
    segment = segments_of(folder.path)[-1]
    whole = segment.path.read_bytes()
    ends = [HEAD_BYTES, *frames.ends_of(whole, HEAD_BYTES)]
    for cut in range(HEAD_BYTES, len(whole)):
        segment.path.write_bytes(whole[:cut])
        kept = max(end for end in ends if end <= cut)
        assert cut_torn_tail(segment) == cut - kept
        assert segment.path.read_bytes() == whole[:kept]
        assert [record for _, record in read_all(Reader(folder))] == records[: ends.index(kept)]


def test_a_segment_whose_head_is_torn_has_no_record(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 1)
    segment = segments_of(folder.path)[-1]
    whole = segment.path.read_bytes()
    for cut in range(HEAD_BYTES):
        segment.path.write_bytes(whole[:cut])
        assert segments_of(folder.path) == []


def test_a_damaged_record_is_stepped_over_and_told(tmp_path: Path) -> None:
    folder, records = written(tmp_path, 5)
    segment = segments_of(folder.path)[-1]
    content = bytearray(segment.path.read_bytes())
    content[list(frames.ends_of(bytes(content), HEAD_BYTES))[1] + frames.HEAD_BYTES] ^= 1  # in the third record
    segment.path.write_bytes(bytes(content))
    assert cut_torn_tail(segment) == 0
    reader = Reader(folder)
    first = reader.piece()
    assert first is not None
    assert (first.first, first.count, first.damage) == (1, 2, "")
    reader.skip(first)
    second = reader.piece()
    assert second is not None
    assert (second.first, second.count) == (4, 2)
    assert "record 3" in second.damage
    assert list(frames.records_in(second.body)) == records[3:]


def test_damage_up_to_the_end_of_a_segment_is_told_when_another_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyball.client.journal.writer.SEGMENT_BYTES", 1_000)
    folder, _ = written(tmp_path, 40)
    first, second, *_ = segments_of(folder.path)
    os.truncate(first.path, HEAD_BYTES + 3)
    piece = Reader(folder).piece()
    assert piece is not None
    assert piece.first == second.first
    assert f"{second.first - 1} records from 1 on" in piece.damage


def test_a_journal_is_private(tmp_path: Path) -> None:
    folder, _ = written(tmp_path / "journal", 1)
    for path in (folder.root, folder.path, folder.files):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(segments_of(folder.path)[0].path.stat().st_mode) == 0o600


def test_points_stop_at_the_limit_and_vital_records_do_not(tmp_path: Path) -> None:
    folder = fresh(tmp_path)
    writer = Writer(folder, max_bytes=4_000, sync_ms=10)
    for step in range(20):
        writer.append(point(step))
    with pytest.raises(StoreFull, match="FLYBALL_JOURNAL_MAX_BYTES"):
        fill(writer)
    taken = writer.position.sequence
    assert taken > 20
    writer.append(point(0), vital=True)
    with pytest.raises(StoreFull):
        writer.append(point(0))
    writer.close()
    assert len(read_all(Reader(folder))) == taken + 1


def test_threads_append_whole_records(tmp_path: Path) -> None:
    folder = fresh(tmp_path)
    writer = Writer(folder, max_bytes=PLENTY, sync_ms=1)
    threads = [threading.Thread(target=lambda: [writer.append(point(step)) for step in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert len(read_all(Reader(folder))) == 4_000
    with pytest.raises(Unavailable):
        writer.append(point(1))


def test_a_lock_is_one_process_s_and_goes_with_it(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 1)
    mine = folder.own()
    assert isinstance(mine, Lock)
    assert folder.own() is None
    mine.release()
    again = folder.own()
    assert again is not None
    again.release()


def test_a_journal_is_locked_before_others_can_see_it(tmp_path: Path) -> None:
    folder, locks = JournalFolder.create(tmp_path, server="", ships=True)
    assert (len(locks), folder.own(), folder.lead()) == (2, None, None)
    for lock in locks:
        lock.release()


def test_a_forked_child_lets_go_and_the_parent_goes_on(tmp_path: Path) -> None:
    folder = fresh(tmp_path)
    lock = folder.own()
    assert lock is not None
    writer = Writer(folder, max_bytes=PLENTY, sync_ms=10)
    writer.append(point(1))
    child = os.fork()
    if child == 0:
        writer.abandon()
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert folder.own() is None
    writer.append(point(2))
    writer.close()
    assert len(read_all(Reader(folder))) == 2


def test_what_a_journal_makes_is_known_to_the_machine_until_it_is_shipped(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 1)
    made = Made(journal=folder.origin.journal, experiment_id="0", artifact_uri="mlflow-artifacts:/0/x", name="n")
    remember(folder.root, RUN, made)
    assert recall(folder.root, RUN) == made
    assert recall(folder.root, "../../etc/passwd") is None
    forget(folder.root, RUN)
    assert recall(folder.root, RUN) is None
    remember(folder.root, RUN, made)
    folder.discard()
    assert recall(folder.root, RUN) is None
    assert journals_in(tmp_path) == []
