"""Whatever crashes, tears and lost answers come between, the server ends as if everything had been logged to it directly."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.protocol.serving import TrackingServer, serve

from flyball.client import Client
from flyball.client.client import ShapeT
from flyball.client.journal.folder import JournalFolder, Lock, Made, journals_in, remember
from flyball.client.journal.orphans import ship_folder
from flyball.client.journal.segments import segments_of
from flyball.client.journal.writer import Writer
from flyball.kernel.db import open_database
from flyball.kernel.errors import FlyballError, Unavailable
from flyball.kernel.ids import new_id
from flyball.kernel.settings import load_settings
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform
from flyball.wire.v1 import journals as shapes


class Unlucky(Client):
    """A client whose next calls may lose their answers, or never reach the server."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token, retries=urllib3.Retry(0))
        self.fate: list[str] = []

    def send(self, method: str, path: str, content: bytes | BinaryIO, *, response: type[ShapeT]) -> ShapeT:
        fate = self.fate.pop(0) if self.fate else "fine"
        if fate == "unsent":
            raise Unavailable("the network is away")
        answer = super().send(method, path, content, response=response)
        if fate == "unanswered":
            raise Unavailable("the answer is lost")
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("laws")
    found = load_settings({"FLYBALL_HOME": str(home)})
    with contextlib.closing(open_database(found.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(found)) as platform, serve(platform) as url:
        yield TrackingServer(url=url, token=platform.access.bootstrap_owner(), platform=platform)


@dataclass
class Process:
    """A training process that can die at any moment; the one after it goes on with the run in a journal of its own."""

    root: Path
    run_id: str
    points: list[int] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    folder: JournalFolder | None = None
    writer: Writer | None = None
    locks: tuple[Lock, ...] = ()

    def write(self, record: msgspec.Struct) -> None:
        if self.writer is None:
            self.folder, self.locks = JournalFolder.create(self.root, server="")
            self.writer = Writer(self.folder, max_bytes=1 << 30, sync_ms=10_000)
        self.writer.append(msgspec.msgpack.encode(record))

    def begin(self) -> None:
        self.write(shapes.MakeRun(self.run_id, "0", "", "law", "", 0))
        assert self.folder is not None
        made = Made(journal=self.folder.origin.journal, experiment_id="0", artifact_uri="", name="law")
        remember(self.root, self.run_id, made)

    def log(self, count: int) -> None:
        for step in range(len(self.points), len(self.points) + count):
            self.write(shapes.Point(self.run_id, "loss", 0.5, step, step))
            self.points.append(step)

    def tag(self, value: int) -> None:
        self.tags["last"] = str(value)
        self.write(shapes.Batch(self.run_id, tags=(("last", str(value)),)))

    def die(self, torn: bytes) -> None:
        if self.writer is None or self.folder is None:
            return
        self.writer.abandon()
        with segments_of(self.folder.path)[-1].path.open("ab") as file:
            file.write(torn)
        for lock in self.locks:
            lock.release()
        self.writer = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(1, 40)),
        st.tuples(st.just("tag"), st.integers(0, 9)),
        st.tuples(st.just("die"), st.binary(max_size=30)),
        st.tuples(st.just("ship"), st.lists(st.sampled_from(["fine", "unsent", "unanswered"]), max_size=5)),
    ),
    max_size=14,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_of_crash_and_shipping_ends_the_same(
    server: TrackingServer, steps: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyball.client.journal.reader.PIECE_BYTES", 400)
    monkeypatch.setattr("flyball.client.journal.writer.SEGMENT_BYTES", 900)
    with tempfile.TemporaryDirectory() as folder:
        process = Process(root=Path(folder), run_id=new_id())
        client = Unlucky(server.url, server.token)
        process.begin()
        for kind, value in steps:
            carry_out(process, client, kind, value)
        process.die(b"")
        client.fate = []
        shipped = ship_folder(process.root, client, tell=lambda _text: None)
        assert [one.tally.refused for one in shipped] == [0] * len(shipped)
        assert journals_in(process.root) == []
    run = server.platform.tracking.runs.get(process.run_id)
    history = server.platform.tracking.log.history(process.run_id, "loss").items
    assert [point.step for point in history] == process.points
    assert run.tags.get("last") == process.tags.get("last")


def carry_out(process: Process, client: Unlucky, kind: str, value: object) -> None:
    if kind == "log":
        assert isinstance(value, int)
        process.log(value)
    elif kind == "tag":
        assert isinstance(value, int)
        process.tag(value)
    elif kind == "die":
        assert isinstance(value, bytes)
        process.die(value)
    else:
        assert isinstance(value, list)
        client.fate = list(value)
        with contextlib.suppress(FlyballError):
            ship_folder(process.root, client, tell=lambda _text: None)
