"""A process's connection to one tracking URI: its journal, its server, and what it knows itself."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import urllib3
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.utils.credentials import get_default_host_creds

from flyball.client import Client
from flyball.client.journal import Journal
from flyball.client.journal.folder import Made
from flyball.client.journal.journal import Limits
from flyball.client.journal.writer import tell_on_stderr
from flyball.integrations.mlflow.known import KnownModel, KnownRun
from flyball.kernel.errors import FlyballError, StoreFull, Unauthenticated, Unavailable
from flyball.kernel.settings import Settings
from flyball.wire.v1 import journals as shapes

DROPPED_TAG = "flyball.dropped"
TELL_EVERY_S = 60.0
TRUSTED_FOR_S = 3.0
"""How long the server counts as there after it answered."""
PROBE = urllib3.Timeout(connect=2.0, read=5.0)
READ_S = 20.0
"""How long a read waits for what was written before it to be shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a tracking URI leads: to a server, or to a folder that `flyball sync` ships later."""

    uri: str
    server: str
    folder: str | None


class Session:
    """Everything that the stores of one URI share. Every method may be called from any thread."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self.address = address
        self.runs: dict[str, KnownRun] = {}
        self.models: dict[str, KnownModel] = {}
        self._settings = settings
        self._root = Path(address.folder) if address.folder else settings.resolved_journal_folder
        self._lock = threading.RLock()
        self._journal: Journal | None = None
        self._answered_s = 0.0
        self._dropped: dict[str, Counter[str]] = {}
        self._told_s = 0.0

    @property
    def journal(self) -> Journal:
        """This process's journal, which begins with its first record."""
        return self._journal or self._begin()

    @property
    def unshipped(self) -> int:
        """How many records the server is not known to have."""
        return self._journal.unshipped if self._journal else 0

    def write(self, record: msgspec.Struct, *, run_id: str = "", vital: bool = True) -> None:
        """Write a record. Where there is no room it is dropped, said and counted; training goes on.

        Raises:
            InvalidInput: the server could never read it.
        """
        # Read back before it is written: what the server cannot read would hold up everything behind it.
        shapes.decode(msgspec.msgpack.encode(record))
        try:
            self.put(record, vital=vital)
        except StoreFull as error:
            self.drop(run_id, type(record).__name__, error)

    def put(self, record: msgspec.Struct, *, vital: bool = False) -> None:
        """Write a record.

        Raises:
            StoreFull: there is no room.
        """
        self._in_open_journal(lambda journal: journal.write(record, vital=vital))

    def write_first(self, record: msgspec.Struct, key: str, made: Made) -> None:
        """Write the record that makes a run or logged model, and tell the other processes of the machine.

        Raises:
            StoreFull: there is no room; a training that cannot log at all should know at once.
        """
        shapes.decode(msgspec.msgpack.encode(record))

        def write(journal: Journal) -> None:
            journal.write(record, vital=True)
            journal.announce(key, msgspec.structs.replace(made, journal=journal.folder.origin.journal))

        self._in_open_journal(write)

    def keep_file(self, owner: Literal["run", "model"], owner_id: str, path: str, source: Path | bytes) -> None:
        """Copy a file into the journal, or say that there was no room."""
        try:
            self._in_open_journal(lambda journal: journal.keep_file(owner, owner_id, path, source))
        except StoreFull as error:
            self.drop(owner_id, "File", error)

    def drop(self, run_id: str, kind: str, reason: StoreFull) -> None:
        """Count what was dropped, say so, and put it on the run as a tag."""
        with self._lock:
            counts = self._dropped.setdefault(run_id, Counter())
            counts[kind] += 1
            now = time.monotonic()
            if self._told_s and now - self._told_s < TELL_EVERY_S:
                return
            self._told_s = now
            tell_on_stderr(f"dropped {_listed(counts)} of {run_id or 'no run'}: {reason.message}")

    def mark_dropped(self, run_id: str) -> None:
        """Write what was dropped as a tag of the run, where something was."""
        with self._lock:
            counts = self._dropped.pop(run_id, None)
        if counts and run_id and not run_id.startswith("m-"):
            text = f"{_listed(counts)} were dropped because the journal was full"
            self.write(shapes.Batch(run_id, tags=((DROPPED_TAG, text),)), run_id=run_id)

    def recall(self, key: str) -> Made | None:
        """Return what any process of the machine makes under an id and has not shipped yet."""
        return self.journal.recall(key)

    def require_server(self) -> None:
        """Fail at once where the server is away.

        Raises:
            MlflowException: it is; logging goes on, reading does not.
        """
        if not self.address.server:
            raise _away(f"{self.address.uri} is a folder; read from the server after 'flyball sync {self._root}'")
        if time.monotonic() - self._answered_s < TRUSTED_FOR_S:
            return
        try:
            urllib3.request("GET", f"{self.address.server}/health", timeout=PROBE, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = str(error).rpartition(": ")[2]
            raise _away(
                f"nothing answers at {self.address.server} ({reason}); what is logged is kept and sent later"
            ) from error
        self._answered_s = time.monotonic()

    def settle(self) -> None:
        """See to it that the server has what was written before a read.

        Raises:
            MlflowException: it is away, or it takes too long.
        """
        self.require_server()
        if not self.unshipped:
            return
        try:
            self.journal.flush(READ_S)
        except Unavailable as error:
            raise _away(f"the server does not have yet what was logged before: {error.message}") from error

    def hurry(self) -> None:
        """Ship at once what is written, in the background."""
        if self._journal is not None:
            self._journal.hurry()

    def flush(self) -> None:
        """Ship for a bounded time; say in one line what is left."""
        if self._journal is None:
            return
        try:
            self._journal.flush(self._settings.journal_exit_s)
        except Unavailable as error:
            tell_on_stderr(error.message)

    def host_creds(self) -> object:
        """Return what MLflow's own HTTP calls need; the token may be ours where MLflow has none."""
        creds = get_default_host_creds(self.address.server or self.address.uri)
        if not (creds.token or creds.username) and self.address.server:
            try:
                creds.token = Client(self.address.server).token
            except Unauthenticated:
                return creds  # the server says what is missing
        return creds

    def connect(self) -> Client:
        """Connect for shipping, with the token that MLflow would use.

        Raises:
            Unauthenticated: there is none.
        """
        creds = get_default_host_creds(self.address.server)
        return Client(self.address.server, creds.token or creds.password, retries=urllib3.Retry(0))

    def close(self) -> None:
        """Ship for a bounded time and let go. A record that comes later begins another journal."""
        with self._lock:
            for run_id in list(self._dropped):
                self.mark_dropped(run_id)
            journal, self._journal = self._journal, None
        if journal is None:
            return
        left = journal.close(self._settings.journal_exit_s if self.address.server else 0)
        if left:
            who = "the next process that logs there, or " if self.address.server else ""
            tell_on_stderr(f"{left} records wait in {journal.folder.path}; {who}'flyball sync {self._root}' ships them")

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is known stays, the journal is the parent's."""
        self._lock = threading.RLock()
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.abandon()

    def _in_open_journal(self, act: Callable[[Journal], object]) -> None:
        """Do it; where another thread closes the journal meanwhile, with the next one, as often as that happens."""
        while True:
            journal = self.journal
            try:
                act(journal)
            except Unavailable:
                if journal is self._journal:
                    raise
            else:
                return

    def _begin(self) -> Journal:
        with self._lock:
            if self._journal is None:
                self._journal = Journal.start(
                    self._root,
                    server=self.address.server,
                    limits=Limits(max_bytes=self._settings.journal_max_bytes, sync_ms=self._settings.journal_sync_ms),
                    connect=self.connect if self.address.server else None,
                    resolved=self._note_resolved,
                )
            return self._journal

    def _note_resolved(self, key: str, found: shapes.Resolved) -> None:
        """Take over where a run or model really is: its experiment may have been known by name only."""
        known = self.runs.get(key) or self.models.get(key)
        if known is not None:
            known.experiment_id, known.artifact_uri = found.experiment_id, found.artifact_uri


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _away(message: str) -> MlflowException:
    return MlflowException(f"flyball: {message}", error_code=TEMPORARILY_UNAVAILABLE)


def as_mlflow_error(error: FlyballError) -> MlflowException:
    """Say an error of ours as MLflow's callers expect it."""
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    return MlflowException(error.message, error_code=INVALID_PARAMETER_VALUE)
