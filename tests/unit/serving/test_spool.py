"""The spool loses nothing that it said it holds, and never makes a request wait."""

from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import structlog

from flyball.kernel.errors import Conflict, InvalidInput, Unavailable
from flyball.serving import spool as spool_module
from flyball.serving import spool_files
from flyball.serving.capture_rules import CaptureMode, CaptureRules, Treatment
from flyball.serving.spool import Spool

from .batches import ListSink, a_batch


def open_spool(folder: Path, sink: Any, *, flush_ms: int = 20, **options: Any) -> Spool:
    return Spool(folder, endpoint="elec2", sink=sink, flush_ms=flush_ms, **options)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not happen in 60 s"
        time.sleep(0.005)


def test_what_is_offered_reaches_the_sink_and_leaves_no_file(tmp_path: Path) -> None:
    sink = ListSink()
    spool = open_spool(tmp_path, sink)
    assert spool.offer(a_batch("a", "b"))
    wait_until(lambda: sink.ids == ["a", "b"])
    assert [endpoint for endpoint, _ in sink.tables] == ["elec2"]
    wait_until(lambda: not list(tmp_path.glob("*.arrow")))
    spool.close()


def test_closing_ships_what_still_waits(tmp_path: Path) -> None:
    sink = ListSink()
    spool = open_spool(tmp_path, sink, flush_ms=60_000)
    for i in range(100):
        spool.offer(a_batch(str(i)))
    spool.close()
    assert sink.ids == [str(i) for i in range(100)]


def test_after_closing_nothing_is_taken_any_more(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, ListSink())
    spool.close()
    assert spool.offer(a_batch("late")) is False
    assert spool.dropped_rows == 1


def test_a_full_queue_drops_at_once_and_counts_rows(tmp_path: Path) -> None:
    sink = ListSink()
    spool = open_spool(tmp_path, sink, flush_ms=60_000, waiting_rows=5)
    assert [spool.offer(a_batch("a", "b")), spool.offer(a_batch("c", "d")), spool.offer(a_batch("e", "f"))] == [
        True,
        True,
        False,
    ]
    assert spool.dropped_rows == 2
    spool.close()
    assert sink.ids == ["a", "b", "c", "d"]


def test_a_sink_that_hangs_does_not_hold_up_an_offer_or_the_disk(tmp_path: Path) -> None:
    release = threading.Event()

    class Hanging:
        def accept(self, endpoint: str, table: pa.Table) -> None:
            release.wait(280)

    spool = open_spool(tmp_path, Hanging())
    for i in range(5):
        assert spool.offer(a_batch(str(i)))
        wait_until(lambda i=i: len(list(tmp_path.glob("*.arrow"))) > i)  # type: ignore[misc]
    release.set()
    spool.close()


def test_a_sink_that_is_away_gets_everything_in_order_when_it_is_back(tmp_path: Path) -> None:
    sink = ListSink()
    sink.away = True
    spool = open_spool(tmp_path, sink)
    for name in "abc":
        spool.offer(a_batch(name))
        time.sleep(0.03)
    wait_until(lambda: sink.calls > 0)
    sink.away = False
    wait_until(lambda: sink.ids == ["a", "b", "c"])
    spool.close()


def test_what_a_dead_process_left_is_shipped_at_the_next_start(tmp_path: Path) -> None:
    away = ListSink()
    away.away = True
    spool = open_spool(tmp_path, away)
    spool.offer(a_batch("a"))
    spool.close()
    (tmp_path / "half.part").write_bytes(b"half a fi")
    sink = ListSink()
    open_spool(tmp_path, sink).close()
    assert sink.ids == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_batch_the_log_will_never_take_is_set_aside_and_holds_nobody_up(tmp_path: Path) -> None:
    class Choosy(ListSink):
        def accept(self, endpoint: str, table: pa.Table) -> None:
            if "bad" in table.column("prediction_id").to_pylist():
                raise InvalidInput("no")
            super().accept(endpoint, table)

    sink = Choosy()
    spool = open_spool(tmp_path, sink)
    spool.offer(a_batch("bad"))
    wait_until(lambda: any(tmp_path.glob("*.refused")))  # what is offered before that may be in the same file
    spool.offer(a_batch("good"))
    wait_until(lambda: sink.ids == ["good"])
    spool.close()
    [aside] = tmp_path.glob("*.refused")
    assert pa.ipc.open_file(aside.read_bytes()).read_all().column("prediction_id").to_pylist() == ["bad"]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0.arrow").write_bytes(b"no arrow")
    sink = ListSink()
    spool = open_spool(tmp_path, sink)
    spool.offer(a_batch("a"))
    wait_until(lambda: sink.ids == ["a"])
    spool.close()
    assert (tmp_path / "0.refused").read_bytes() == b"no arrow"


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, ListSink())
    with pytest.raises(Conflict, match="another process"):
        open_spool(tmp_path, ListSink())
    spool.close()
    open_spool(tmp_path, ListSink()).close()


def test_a_full_disk_keeps_rows_in_memory_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, full = ListSink(), threading.Event()
    write = spool_files.write_file

    def failing(path: Path, table: pa.Table) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, table)

    monkeypatch.setattr(spool_files, "write_file", failing)
    full.set()
    spool = open_spool(tmp_path, sink)
    spool.offer(a_batch("a"))
    time.sleep(0.1)
    spool.offer(a_batch("b"))
    assert spool.dropped_rows == 0
    full.clear()
    wait_until(lambda: sink.ids == ["a", "b"])
    spool.close()


def test_files_of_an_absent_sink_are_limited_and_the_rest_counted(tmp_path: Path) -> None:
    sink = ListSink()
    sink.away = True
    spool = open_spool(tmp_path, sink, spooled_bytes=0)
    spool.offer(a_batch("a"))
    wait_until(lambda: len(list(tmp_path.glob("*.arrow"))) == 1)
    spool.offer(a_batch("b"))
    wait_until(lambda: spool.dropped_rows == 1)
    spool.close()


def test_rows_that_cannot_be_written_do_not_end_the_capture_of_others(tmp_path: Path) -> None:
    sink = ListSink()
    spool = open_spool(tmp_path, sink)
    columns = {"f": np.array(["\ud800"], dtype=object)}  # half of a surrogate pair has no bytes in UTF-8
    spool.offer(msgspec.structs.replace(a_batch("bad"), columns=columns))
    wait_until(lambda: spool.dropped_rows == 1)
    spool.offer(a_batch("good"))
    wait_until(lambda: sink.ids == ["good"])
    spool.close()


def test_losses_are_counted_by_reason_and_told_once(tmp_path: Path) -> None:
    sink = ListSink()
    spool = open_spool(tmp_path, sink, waiting_rows=2)
    spool.offer(a_batch("a", "b", "c"))
    columns = {"f": np.array(["\ud800"], dtype=object)}
    spool.offer(msgspec.structs.replace(a_batch("bad"), columns=columns))
    wait_until(lambda: sum(loss.get("unwritable", 0) for loss in sink.losses) == 1)
    spool.offer(a_batch("good"))
    wait_until(lambda: sink.ids == ["good"])
    spool.close()
    spool.offer(a_batch("late"))
    assert [sum(loss.get(kind, 0) for loss in sink.losses) for kind in ("queue_full", "unwritable", "closed")] == [
        3,
        1,
        0,
    ]
    counted = spool.counters
    assert counted.lost_rows == {"queue_full": 3, "unwritable": 1, "closed": 1}
    assert (counted.offered_rows, counted.written_rows, counted.shipped_rows, counted.waiting_rows) == (6, 1, 1, 0)
    assert counted.spooled_bytes == 0


def test_a_loss_is_told_again_when_nobody_listened(tmp_path: Path) -> None:
    sink = ListSink()
    sink.away = True
    spool = open_spool(tmp_path, sink, waiting_rows=1)
    spool.offer(a_batch("a", "b"))
    time.sleep(0.05)
    sink.away = False
    wait_until(lambda: sink.losses == [{"queue_full": 2}])
    spool.close()
    assert sink.losses == [{"queue_full": 2}]


def test_tensors_are_limited_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "WAITING_BYTES", 2_000)
    sink = ListSink()
    spool = open_spool(tmp_path, sink, flush_ms=60_000)
    image = msgspec.structs.replace(a_batch("a"), columns={"image": np.zeros((1, 12, 12))})
    assert [spool.offer(image), spool.offer(msgspec.structs.replace(image, prediction_ids=("b",)))] == [True, False]
    assert spool.dropped_rows == 1
    spool.close()
    assert sink.ids == ["a"]


def test_files_of_an_absent_sink_are_shipped_together(tmp_path: Path) -> None:
    class Counting(ListSink):
        rows = 0

        def accept(self, endpoint: str, table: pa.Table) -> None:
            self.rows = table.num_rows
            super().accept(endpoint, table)

    sink = Counting()
    sink.away = True
    spool = open_spool(tmp_path, sink)
    for count, name in enumerate("abc", start=1):
        spool.offer(a_batch(name))
        wait_until(lambda count=count: len(list(tmp_path.glob("*.arrow"))) == count)  # type: ignore[misc]
    wait_until(lambda: sink.rows == 3)  # an attempt that looked before the third file was there would not have it
    sink.away = False
    wait_until(lambda: sink.ids == ["a", "b", "c"])
    spool.close()
    assert len(sink.tables) == 1


DURABLE = CaptureRules(mode=CaptureMode.DURABLE)


def test_in_durable_mode_an_offer_returns_when_its_rows_are_on_disk(tmp_path: Path) -> None:
    sink = ListSink()
    sink.away = True
    spool = open_spool(tmp_path, sink, flush_ms=3_600_000)
    spool.configure(DURABLE)
    for name in "abc":
        assert spool.offer(a_batch(name))
        written = [name for path in sorted(tmp_path.glob("*.arrow")) for name in ids_in(path)]
        assert written[-1] == name
    sink.away = False
    spool.close()
    assert sink.ids == ["a", "b", "c"]


def test_in_durable_mode_offers_that_wait_share_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, held, writes = ListSink(), threading.Event(), []
    write = spool_files.write_file

    def slow(path: Path, table: pa.Table) -> int:
        writes.append(table.num_rows)
        held.wait(60)
        return write(path, table)

    monkeypatch.setattr(spool_files, "write_file", slow)
    spool = open_spool(tmp_path, sink, flush_ms=3_600_000)
    spool.configure(DURABLE)
    first = threading.Thread(target=spool.offer, args=[a_batch("first")])
    first.start()
    wait_until(lambda: writes == [1])
    others = [threading.Thread(target=spool.offer, args=[a_batch(f"other-{number}")]) for number in range(10)]
    for thread in others:
        thread.start()
    wait_until(lambda: spool.counters.waiting_rows == 10)
    held.set()
    for thread in [first, *others]:
        thread.join()
    assert writes == [1, 10]
    spool.close()
    assert len(sink.ids) == 11


def test_in_durable_mode_what_cannot_be_kept_is_not_answered_and_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, table: pa.Table) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = ListSink()
    spool = open_spool(tmp_path, sink)
    spool.configure(DURABLE)
    with monkeypatch.context() as patch:
        patch.setattr(spool_files, "write_file", full)
        with pytest.raises(Unavailable, match="durable"):
            spool.offer(a_batch("a"))
    assert spool.offer(a_batch("b"))
    spool.close()
    with pytest.raises(Unavailable):
        spool.offer(a_batch("late"))
    assert sink.ids == ["b"]
    assert spool.dropped_rows == 0


def test_what_is_hidden_never_reaches_the_disk(tmp_path: Path) -> None:
    class Refusing(ListSink):
        def accept(self, endpoint: str, table: pa.Table) -> None:
            raise InvalidInput("no")

    spool = open_spool(tmp_path, Refusing(), key=b"secret")
    spool.configure(CaptureRules(columns={"feature.name": Treatment.HASH, "feature.note": Treatment.DROP}))
    columns = {"name": np.array(["Ada Lovelace"], dtype=object), "note": np.array(["a private note"], dtype=object)}
    spool.offer(msgspec.structs.replace(a_batch("a"), columns=columns))
    wait_until(lambda: list(tmp_path.glob("*.refused")) != [])
    spool.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hashed.name" in everything
    assert not [text for text in (b"Ada", b"Lovelace", b"private") if text in everything]


def test_a_value_that_cannot_be_written_is_not_quoted_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def note(_logger: object, _name: str, event: MutableMapping[str, Any]) -> str:
        said.append(repr(event))
        raise structlog.DropEvent

    monkeypatch.setattr(spool_module, "_log", structlog.wrap_logger(None, processors=[note]))
    spool = open_spool(tmp_path / "spool", ListSink())
    columns = {"name": np.array(["Lovelace", 3], dtype=object)}
    spool.offer(msgspec.structs.replace(a_batch("a", "b"), columns=columns))
    wait_until(lambda: spool.dropped_rows == 2)
    spool.close()
    assert "capture_failed" in "".join(said)
    assert "Lovelace" not in "".join(said)


def ids_in(path: Path) -> list[str]:
    found: list[str] = pa.ipc.open_file(path.read_bytes()).read_all().column("prediction_id").to_pylist()
    return found


KILLED_DURABLE = """
    import sys, threading
    from pathlib import Path
    from batches import ListSink, a_batch
    from flyball.kernel.logs import configure_logs
    from flyball.kernel.settings import load_settings
    from flyball.serving.capture_rules import CaptureMode, CaptureRules
    from flyball.serving.spool import Spool

    configure_logs(load_settings(), process="test")
    sink = ListSink()
    sink.away = True
    spool = Spool(Path(sys.argv[1]), endpoint="elec2", sink=sink, flush_ms=3_600_000)
    spool.configure(CaptureRules(mode=CaptureMode.DURABLE))

    def answer(worker):
        for i in range(1_000_000):
            spool.offer(a_batch(f"{worker}-{i}"))
            print(f"{worker}-{i}\\n", end="", flush=True)

    for worker in range(8):
        threading.Thread(target=answer, args=[worker]).start()
"""


def test_in_durable_mode_a_killed_process_has_kept_everything_it_answered(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(KILLED_DURABLE))
    child = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "spool")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(__file__).parent)},
        text=True,
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(100)]
    child.kill()
    lines += child.stdout.read().splitlines(keepends=True)
    child.wait()
    answered = {line.strip() for line in lines if line.endswith("\n")}
    assert len(answered) >= 100
    sink = ListSink()
    open_spool(tmp_path / "spool", sink).close()
    assert answered <= set(sink.ids)
    assert len(sink.ids) == len(set(sink.ids))


KILLED = """
    import sys, time
    from pathlib import Path
    from batches import ListSink, a_batch
    from flyball.kernel.logs import configure_logs
    from flyball.kernel.settings import load_settings
    from flyball.serving.spool import Spool

    configure_logs(load_settings(), process="test")
    sink = ListSink()
    sink.away = True
    spool = Spool(Path(sys.argv[1]), endpoint="elec2", sink=sink, flush_ms=int(sys.argv[2]))
    for i in range(1_000_000):
        spool.offer(a_batch(str(i)))
        print(i, time.monotonic_ns(), flush=True)
        time.sleep(0.01)
"""


def test_a_killed_process_loses_at_most_the_last_flush_interval(tmp_path: Path) -> None:
    flush_ms = 6_000  # half of it is left for the disk, which may be busy with others
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(KILLED))
    child = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "spool"), str(flush_ms)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(__file__).parent)},
        text=True,
    )
    assert child.stdout is not None
    lines = [child.stdout.readline()]
    while int(lines[-1].split()[1]) - int(lines[0].split()[1]) < 9_000_000_000:
        lines.append(child.stdout.readline())
    child.kill()
    killed_ns = time.monotonic_ns()
    lines += child.stdout.read().splitlines()
    child.wait()
    sink = ListSink()
    open_spool(tmp_path / "spool", sink).close()
    taken = [(number, int(at_ns)) for number, at_ns in (line.split() for line in lines if len(line.split()) == 2)]
    promised = {number for number, at_ns in taken if killed_ns - at_ns > flush_ms * 1_000_000}
    assert len(promised) > 10  # enough to be sure of something, on a machine that is busy too
    assert promised <= set(sink.ids)
    assert len(sink.ids) == len(set(sink.ids))
