"""Captured predictions on their way to the log: a bounded queue, a flush to disk, then shipping.

One thread writes what waits to an Arrow IPC file (fsync, then rename) twice per `flush_ms`, so that a `kill -9` loses at most
what came in the last `flush_ms`. Another thread ships the files in order and deletes what the sink has taken. Files left over
from a crash are shipped at the next start; the sink may therefore see a batch twice.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import IO

import pyarrow as pa

from flyball.kernel.errors import Conflict, InvalidInput
from flyball.kernel.ids import new_id
from flyball.kernel.logs import get_logger
from flyball.serving.capture import PredictionBatch, record_tables
from flyball.serving.ports import PredictionSink

# About 100 MB of ten features: minutes of traffic while the disk is full.
WAITING_ROWS = 200_000
# What may lie on disk while the sink is away: days of a small model, hours of a busy one.
SPOOLED_BYTES = 1 << 30
# A sink that is away is asked again after a second, then less and less often.
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
SUFFIX = ".arrow"
REFUSED = ".refused"

_log = get_logger("serving")


class Spool:
    """A `PredictionCapture` that survives the process. One process a folder; any number of threads may offer.

    Args:
        folder: where files wait; made when missing.
        endpoint: whose predictions these are.
        sink: where they go.
        flush_ms: what a `kill -9` can lose at most.
        waiting_rows: rows kept in memory at most; more are dropped, and counted.

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
        waiting_rows: int = WAITING_ROWS,
        spooled_bytes: int = SPOOLED_BYTES,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(folder)
        self._folder = folder
        self._endpoint = endpoint
        self._sink = sink
        self._every_s = flush_ms / 2_000
        self._limit = waiting_rows
        self._disk_limit = spooled_bytes
        self._guard = threading.Lock()
        self._waiting: list[PredictionBatch] = []
        self._waiting_rows = 0
        self._dropped_rows = 0
        self._stopping = threading.Event()
        self._written = threading.Event()
        _clear_unfinished(folder)
        self._flusher = threading.Thread(target=self._flush_often, name="spool-flush", daemon=True)
        self._shipper = threading.Thread(target=self._ship_often, name="spool-ship", daemon=True)
        self._flusher.start()
        self._shipper.start()

    @property
    def dropped_rows(self) -> int:
        """Predictions that were answered and found no room here."""
        return self._dropped_rows

    def offer(self, batch: PredictionBatch) -> bool:
        with self._guard:
            if self._stopping.is_set() or self._waiting_rows + batch.rows > self._limit:
                self._dropped_rows += batch.rows
                return False
            self._waiting.append(batch)
            self._waiting_rows += batch.rows
            return True

    def close(self) -> None:
        """Put everything on disk, ship what the sink takes at the first attempt, and end; the rest waits for the next start."""
        with self._guard:
            self._stopping.set()
        self._written.set()
        self._flusher.join()
        self._shipper.join()
        self._ship_all()
        self._lock_file.close()

    def _flush_often(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._guard:
            batches, self._waiting = self._waiting, []
            rows, self._waiting_rows = self._waiting_rows, 0
        if not batches:
            return
        try:
            self._write(batches, rows)
        except OSError as error:  # most likely a full disk: keep what fits in memory, and try again
            _log.error("spool_not_written", rows=rows, reason=str(error))
            self._put_back(batches, rows)
        except Exception:  # noqa: BLE001 -- rows that cannot be written must not end the capture of all others
            _log.error("capture_failed", rows=rows, exc_info=True)
            self._drop(rows)

    def _write(self, batches: list[PredictionBatch], rows: int) -> None:
        if sum(map(_size, self._files())) > self._disk_limit:
            _log.error("spool_full", rows=rows, folder=str(self._folder), limit_bytes=self._disk_limit)
            self._drop(rows)
            return
        for table in record_tables(batches):
            _write_file(self._folder / f"{new_id()}{SUFFIX}", table)
        self._written.set()

    def _put_back(self, batches: list[PredictionBatch], rows: int) -> None:
        with self._guard:
            if self._waiting_rows + rows > self._limit:
                self._dropped_rows += rows
                return
            self._waiting = batches + self._waiting
            self._waiting_rows += rows

    def _drop(self, rows: int) -> None:
        with self._guard:
            self._dropped_rows += rows

    def _ship_often(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            if self._ship_all():
                retry_s = FIRST_RETRY_S
                self._written.wait()
                self._written.clear()
            else:
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    def _ship_all(self) -> bool:
        """Ship every file in the order of writing; False when the sink could not take one."""
        return all(self._ship(path) for path in self._files())

    def _ship(self, path: Path) -> bool:
        try:
            self._sink.accept(self._endpoint, _read_file(path))
        except (InvalidInput, pa.ArrowInvalid) as error:
            # It will never be taken. It must not hold up the others, and must not vanish: an operator finds it beside them.
            _log.error("spool_refused", file=path.name, reason=str(error))
            path.rename(path.with_suffix(REFUSED))
            return True
        except Exception as error:  # noqa: BLE001 -- whatever ails the sink, the rows are kept and it is tried again
            _log.warning("spool_not_shipped", file=path.name, reason=str(error))
            return False
        path.unlink()
        return True

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 when it was shipped a moment ago."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _lock(folder: Path) -> IO[str]:
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(f"another process captures predictions in {folder}; wait for its end", field="folder") from error
    return file


def _clear_unfinished(folder: Path) -> None:
    for path in folder.glob("*.part"):
        path.unlink()


def _write_file(path: Path, table: pa.Table) -> None:
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_file(path: Path) -> pa.Table:
    with path.open("rb") as file:
        return pa.ipc.open_file(file).read_all()
