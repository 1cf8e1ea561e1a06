"""Captured predictions on their way to the log: a bounded queue, a flush to disk, then shipping.

One thread writes what waits to an Arrow IPC file (fsync, then rename) twice per `flush_ms`, so that a `kill -9` loses at most
what came in the last `flush_ms`; in durable mode it writes at once, and whoever offered waits for it, all together for one
write. What is hidden by the endpoint's rules is so before it is written. Another thread ships the files in order and deletes
what the sink has taken. Files left over from a crash are shipped at the next start; the sink may therefore see a batch twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.kernel.logs import get_logger
from flyball.serving.capture import PredictionBatch, record_tables
from flyball.serving.capture_queue import CaptureCounters, CaptureQueue, Drained, LossKind, Receipt
from flyball.serving.capture_rules import KEEP_ALL, CaptureMode, CaptureRules
from flyball.serving.ports import PredictionSink
from flyball.serving.redaction import Redaction
from flyball.serving.spool_files import SpoolFolder, read_file

# About 100 MB of ten features: minutes of traffic while the disk is full.
WAITING_ROWS = 200_000
# Tensors fill the memory long before the rows are many.
WAITING_BYTES = 256 << 20
# What may lie on disk while the sink is away: days of a small model, hours of a busy one.
SPOOLED_BYTES = 1 << 30
# Files that are shipped together; the log keeps a few large batches better than many small ones.
SHIPPED_ROWS = 20_000
# A sink that is away is asked again after a second, then less and less often.
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
# How soon a loss is told when nothing is shipped.
LOOK_EVERY_S = 1.0

_log = get_logger("serving")


class Spool:
    """A `PredictionCapture` that survives the process. One process a folder; any number of threads may offer.

    Args:
        folder: where files wait; made when missing.
        endpoint: whose predictions these are.
        sink: where they go.
        flush_ms: what a `kill -9` can lose at most.
        key: what hashed columns are hashed with.
        waiting_rows: rows kept in memory at most; more are dropped, and counted.
        spooled_bytes: bytes kept on disk at most, likewise.

    Raises:
        Conflict: another process uses the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        endpoint: str,
        sink: PredictionSink,
        flush_ms: int,
        key: bytes = b"",
        waiting_rows: int = WAITING_ROWS,
        spooled_bytes: int = SPOOLED_BYTES,
    ) -> None:
        self._folder = SpoolFolder(folder)
        self._endpoint = endpoint
        self._sink = sink
        self._every_s = flush_ms / 2_000
        self._disk_limit = spooled_bytes
        self._queue = CaptureQueue(most_rows=waiting_rows, most_bytes=WAITING_BYTES)
        self._redaction = Redaction(key)
        self._rules = KEEP_ALL
        self._written_rows = 0
        self._shipped_rows = 0
        self._told_rows: dict[LossKind, int] = {}
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._written = threading.Event()
        self._flusher = threading.Thread(target=self._flush_often, name="spool-flush", daemon=True)
        self._shipper = threading.Thread(target=self._ship_often, name="spool-ship", daemon=True)
        self._flusher.start()
        self._shipper.start()

    @property
    def counters(self) -> CaptureCounters:
        """What was captured and what was lost."""
        offered, waiting, lost = self._queue.state
        return CaptureCounters(
            offered_rows=offered,
            written_rows=self._written_rows,
            shipped_rows=self._shipped_rows,
            waiting_rows=waiting,
            spooled_bytes=self._folder.size_bytes,
            lost_rows=lost,
            lag_s=self._folder.lag_s(),
        )

    @property
    def dropped_rows(self) -> int:
        """Predictions that were answered and are lost."""
        return sum(self._queue.state[2].values())

    def configure(self, rules: CaptureRules) -> None:
        """Capture by other rules from now on; what waits in memory is written by them already."""
        self._rules = rules

    def offer(self, *batches: PredictionBatch) -> bool:
        if not batches:
            return True
        if self._rules.mode is CaptureMode.INTERVAL:
            return self._queue.offer(batches)
        receipt = Receipt()
        if self._queue.offer(batches, receipt):
            self._wake.set()
            if receipt.wait():
                return True
        raise Unavailable(
            f"endpoint '{self._endpoint}' answers nothing that it cannot keep (durable capture), and its disk takes nothing"
        )

    def close(self) -> None:
        """Put everything on disk, ship what the sink takes at the first attempt, and end; the rest waits for the next start."""
        self._queue.close()
        self._stopping.set()
        self._wake.set()
        self._written.set()
        self._flusher.join()
        self._shipper.join()
        self._ship_all()
        self._tell_losses()
        self._folder.close()

    def _flush_often(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        drained = self._queue.drain()
        if not drained.batches:
            return
        safe = False
        try:
            safe = self._write(drained)
        except OSError as error:  # most likely a full disk: keep what fits in memory, and try again
            _log.error("spool_not_written", rows=drained.rows, reason=str(error))
            self._queue.put_back(drained)
        except Exception as error:  # noqa: BLE001 -- rows that cannot be written must not end the capture of all others
            # Its text may quote a value that nobody may see.
            _log.error("capture_failed", rows=drained.rows, reason=type(error).__name__, at=_origin(error))
            self._queue.count_loss(LossKind.UNWRITABLE, drained.rows - drained.promised_rows)
        for receipt in drained.waiters:
            receipt.settle(safe=safe)

    def _write(self, drained: Drained) -> bool:
        if self._folder.size_bytes > self._disk_limit:
            _log.error("spool_full", rows=drained.rows, folder=str(self._folder.path), limit_bytes=self._disk_limit)
            self._queue.count_loss(LossKind.SPOOL_FULL, drained.rows - drained.promised_rows)
            return False
        tables = [self._redaction.apply(table, self._rules) for table in record_tables(drained.batches)]
        for table in tables:
            if table.num_rows:
                self._folder.write(table)
                self._written_rows += table.num_rows
        self._written.set()
        return True

    def _ship_often(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            if self._ship_all() and self._tell_losses():
                retry_s = FIRST_RETRY_S
                self._written.wait(LOOK_EVERY_S)
                self._written.clear()
            else:
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    def _ship_all(self) -> bool:
        """Ship every file in the order of writing; False when the sink could not take one."""
        return all(self._ship_together(paths) for paths in self._loads())

    def _loads(self) -> Iterator[list[Path]]:
        """Yield files that may be shipped as one batch: neighbours, and not too many rows."""
        load: list[Path] = []
        rows, known = 0, None
        for path in self._folder.files():
            schema, count = _measure(path)
            if load and (schema is None or schema != known or rows + count > SHIPPED_ROWS):
                yield load
                load, rows = [], 0
            load.append(path)
            rows, known = rows + count, schema
        if load:
            yield load

    def _ship_together(self, paths: Sequence[Path]) -> bool:
        try:
            table = pa.concat_tables([read_file(path) for path in paths])
            self._sink.accept(self._endpoint, table)
        except (InvalidInput, pa.ArrowInvalid) as error:
            if len(paths) > 1:  # one of them spoils the others
                return all(self._ship_together([path]) for path in paths)
            # It will never be taken. It must not hold up the others, and must not vanish: an operator finds it beside them.
            _log.error(
                "spool_refused", file=paths[0].name, reason=type(error).__name__, field=getattr(error, "field", None)
            )
            self._queue.count_loss(LossKind.REFUSED, max(1, _measure(paths[0])[1]))
            self._folder.set_aside(paths[0])
            return True
        except Exception as error:  # noqa: BLE001 -- whatever ails the sink, the rows are kept and it is tried again
            _log.warning("spool_not_shipped", files=len(paths), first=paths[0].name, reason=type(error).__name__)
            return False
        for path in paths:
            self._folder.remove(path)
        self._shipped_rows += table.num_rows
        return True

    def _tell_losses(self) -> bool:
        """Let the platform know what is lost and was not told yet; False when it does not listen."""
        lost = dict(self._queue.state[2])
        fresh = {kind: rows - self._told_rows.get(kind, 0) for kind, rows in lost.items()}
        fresh = {kind: rows for kind, rows in fresh.items() if rows}
        if not fresh:
            return True
        try:
            self._sink.lost(self._endpoint, fresh)
        except Exception as error:  # noqa: BLE001 -- as above
            _log.warning("loss_not_told", rows=sum(fresh.values()), reason=type(error).__name__)
            return False
        self._told_rows = lost
        return True


def _measure(path: Path) -> tuple[pa.Schema | None, int]:
    """Return schema and rows of a file, (None, 0) for one that is damaged."""
    try:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            return reader.schema, sum(reader.get_batch(place).num_rows for place in range(reader.num_record_batches))
    except (pa.ArrowInvalid, OSError):
        return None, 0


def _origin(error: BaseException) -> str:
    """Return where an error was raised, without what it says."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""
