"""Models by name in one server: loaded, unloaded, evicted for others, and their memory given back."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import InvalidInput, LimitExceeded, NotFound, Unavailable
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, ModelFolder, Prediction, Signature
from flyball.serving.host import ModelState, Presence, only_name
from flyball.serving.plane import DataPlane
from flyball.serving.requests import InferRequest
from flyball.serving.served_model import ServedModel
from flyball.serving.shelf import FolderHost
from flyball.serving.signature import MatrixRows

SIGNATURE = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),))
LARGE_BYTES = 128 << 20


class Weights:
    """A runtime that answers its first weight."""

    def __init__(self, value: float, *, size_bytes: int = 8) -> None:
        self.weights = np.full(size_bytes // 8, value)

    def predict(self, columns: Columns) -> Prediction:
        return Prediction(labels=np.full(len(columns["x"]), self.weights[0]), scores=None)


class Captured:
    def __init__(self) -> None:
        self.batches: list[PredictionBatch] = []

    def offer(self, *batches: PredictionBatch) -> bool:
        self.batches.extend(batches)
        return True


class Shelf:
    """A host of models whose answer is in their folder, and what happened to it."""

    def __init__(
        self, root: Path, *names: str, memory_bytes: int = 0, file_bytes: int = 1_000, measured: bool = True
    ) -> None:
        self.loaded: list[str] = []
        self.alive: dict[str, weakref.ref[Weights]] = {}
        self.size_bytes = 8
        self.capture = Captured()
        folders: dict[str, dict[int, ModelFolder]] = {}
        for at, name in enumerate(names):
            title, _, version = name.partition("/")
            folder = root / title / (version or "1")
            folder.mkdir(parents=True)
            (folder / "model").write_text(str(at + 1))
            (folder / "padding").write_bytes(b" " * file_bytes)
            made = ModelFolder(path=folder, digest=str(at) * 64)
            folders.setdefault(title, {})[int(version or 1)] = made
        self.host = FolderHost(
            folders,
            open_plane=lambda name: DataPlane(name, name, capture=self.capture, clock=ManualClock()),
            load=self.load,
            memory_bytes=memory_bytes,
            measure_bytes=self.measure if measured else None,
        )

    def load(self, model: ModelFolder) -> ServedModel:
        folder = model.path
        self.loaded.append(folder.parent.name)
        runtime = Weights(float((folder / "model").read_text()), size_bytes=self.size_bytes)
        self.alive[folder.parent.name] = weakref.ref(runtime)
        return ServedModel(runtime, SIGNATURE)

    def measure(self) -> int:
        """Return what the weights of the models that are alive take."""
        return sum(found.weights.nbytes for each in self.alive.values() if (found := each()) is not None)

    def ask(self, name: str, *, version: int | None = None) -> float:
        plane = self.host.plane(name) or self.host.load(name)
        answer = plane.infer(InferRequest(rows=MatrixRows(values=np.zeros((1, 1))), version=version))
        return float(answer.prediction.labels[0])

    def presence(self, name: str) -> Presence:
        return next(state.presence for state in self.host.index() if state.name == name)


def test_each_model_answers_by_its_name(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a", "b")
    for name in ("a", "b"):
        shelf.host.load(name)
    assert (shelf.ask("a"), shelf.ask("b")) == (1.0, 2.0)
    assert shelf.host.ready
    assert len(shelf.host.planes()) == 2


def test_the_newest_version_answers_unless_another_is_asked_for(tmp_path: Path) -> None:
    shelf = _loaded(Shelf(tmp_path, "a/1", "a/3", "a/2"))
    assert shelf.ask("a") == 2.0
    assert [shelf.ask("a", version=version) for version in (1, 2, 3)] == [1.0, 3.0, 2.0]
    with pytest.raises(NotFound, match="version 4 is not served here; served: 1, 2, 3"):
        shelf.ask("a", version=4)
    assert [(batch.version, batch.role) for batch in shelf.capture.batches] == [
        (3, "champion"),
        (1, "pinned"),
        (2, "pinned"),
        (3, "champion"),
    ]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    host = Shelf(tmp_path, "a", "b").host
    for ask in (host.plane, host.load, host.unload):
        with pytest.raises(NotFound, match="no model 'c' here; this is: a, b"):
            ask("c")


def test_protocols_that_name_no_model_mean_the_only_one(tmp_path: Path) -> None:
    assert only_name(_loaded(Shelf(tmp_path / "one", "a")).host) == "a"
    with pytest.raises(InvalidInput, match="say which model is meant; there are: a, b"):
        only_name(_loaded(Shelf(tmp_path / "two", "a", "b")).host)


def test_a_server_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no model to serve"):
        FolderHost({}, open_plane=lambda _name: pytest.fail("no"), load=lambda _folder: pytest.fail("no"))


def test_an_unloaded_model_says_so_until_it_is_loaded_again(tmp_path: Path) -> None:
    shelf = _loaded(Shelf(tmp_path, "a", "b"))
    shelf.host.unload("a")
    with pytest.raises(Unavailable, match="model 'a' is not loaded"):
        shelf.host.plane("a")
    assert not shelf.host.ready
    assert shelf.host.index() == [
        ModelState(name="a", version=1, presence=Presence.UNLOADED, reason="it was unloaded"),
        ModelState(name="b", version=1, presence=Presence.READY),
    ]
    assert shelf.ask("b") == 2.0
    shelf.host.load("a")
    assert (shelf.ask("a"), shelf.host.ready) == (1.0, True)


def test_unloading_gives_the_memory_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a", measured=False)
    shelf.size_bytes = LARGE_BYTES
    before = psutil.Process().memory_info().rss
    shelf.host.load("a")
    assert shelf.ask("a") == 1.0
    held = psutil.Process().memory_info().rss - before
    shelf.host.unload("a")
    gc.collect()
    assert shelf.alive["a"]() is None
    assert held > LARGE_BYTES * 0.75
    assert psutil.Process().memory_info().rss - before < LARGE_BYTES * 0.5


def test_a_request_that_began_before_the_unloading_is_answered(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a")
    plane = shelf.host.load("a")
    shelf.host.unload("a")
    answer = plane.infer(InferRequest(rows=MatrixRows(values=np.zeros((1, 1)))))
    assert answer.prediction.labels.tolist() == [1.0]
    plane.close()


def test_the_model_that_was_not_used_for_longest_makes_room_and_comes_back_when_asked(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a", "b", "c", memory_bytes=300_000, file_bytes=1)
    shelf.size_bytes = 128_000
    shelf.host.load("a")
    shelf.host.load("b")
    assert shelf.ask("a") == 1.0
    shelf.host.load("c")
    assert [shelf.presence(name) for name in ("a", "b", "c")] == [Presence.READY, Presence.EVICTED, Presence.READY]
    assert shelf.alive["b"]() is None
    assert shelf.host.ready
    assert shelf.host.plane("b") is None
    assert shelf.ask("b") == 2.0
    assert shelf.presence("a") is Presence.EVICTED
    assert shelf.loaded == ["a", "b", "c", "b"]


def test_a_model_larger_than_the_budget_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a", memory_bytes=10_000, file_bytes=20_000)
    with pytest.raises(LimitExceeded, match="files of 20001 bytes, and models may take 10000"):
        shelf.host.load("a")
    assert shelf.loaded == []
    assert shelf.presence("a") is Presence.UNLOADED


def test_a_model_that_cannot_be_loaded_says_why_and_harms_no_other(tmp_path: Path) -> None:
    shelf = _loaded(Shelf(tmp_path, "a", "b"))
    shelf.host.unload("a")
    (tmp_path / "a" / "1" / "model").write_text("no number")
    with pytest.raises(ValueError, match="no number"):
        shelf.host.load("a")
    with pytest.raises(Unavailable, match="loading failed: see the log of the server"):
        shelf.host.plane("a")
    assert shelf.ask("b") == 2.0


def test_who_asks_at_the_same_time_waits_for_one_loading(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "a")
    go = threading.Event()
    load = shelf.load

    def slow(model: ModelFolder) -> ServedModel:
        assert go.wait(60)
        return load(model)

    shelf.host._load = slow
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(shelf.host.load, "a") for _ in range(4)]
        go.set()
        assert len({id(each.result(60)) for each in found}) == 1
    assert shelf.loaded == ["a"]


def _loaded(shelf: Shelf) -> Shelf:
    for name in shelf.host.names:
        shelf.host.load(name)
    return shelf


def test_every_verb_works_while_others_load_and_unload(tmp_path: Path) -> None:
    shelf = _loaded(Shelf(tmp_path, "a", "b"))
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            shelf.host.unload("b")
            shelf.host.load("b")

    def ask(_: int) -> float:
        return shelf.ask("a")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(200))) == {1.0}
    finally:
        stop.set()
        churning.join()
    assert {state.name for state in shelf.host.index()} == {"a", "b"}
