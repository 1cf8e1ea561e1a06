"""The data plane: routed, answered, captured; shadows never show."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Conflict, InvalidInput, LimitExceeded, Unavailable
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Columns, Prediction
from flyball.serving.plane import MAX_ROWS, DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.requests import InferRequest
from flyball.serving.served_model import ServedModel, load_model
from flyball.serving.shadowing import LIMITS
from flyball.serving.signature import NamedRows

NOW = ManualClock().now_ms()
WAIT_S = 60


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {WAIT_S} s"
        time.sleep(0.005)


class ListCapture:
    def __init__(self) -> None:
        self.batches: list[PredictionBatch] = []

    def offer(self, *batches: PredictionBatch) -> bool:
        self.batches.extend(batches)
        return True


class Constant:
    """A runtime that answers its version's number."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    def predict(self, columns: Columns) -> Prediction:
        rows = len(next(iter(columns.values())))
        return Prediction(labels=np.full(rows, self.answer), scores=None)


class Broken:
    def predict(self, columns: Columns) -> Prediction:
        raise RuntimeError("a shadow breaks")


@pytest.fixture(scope="module")
def model(linear_folder: Path) -> ServedModel:
    return load_model(linear_folder, allow_pickle=False)


@pytest.fixture
def capture() -> ListCapture:
    return ListCapture()


@pytest.fixture
def plane(model: ServedModel, capture: ListCapture) -> DataPlane:
    made = DataPlane("elec2", "power", capture=capture, clock=ManualClock())
    made.switch(routing(model))
    return made


def routing(model: ServedModel, *, shadow: object | None = None) -> Routing:
    """Send keys that begin with `c` to the canary, version 2; version 3 shadows all."""
    runtimes = {1: Constant(1), 2: Constant(2)} | ({3: shadow} if shadow else {})
    shadows = (Pick(version=3, role="shadow"),) if shadow else ()

    def router(key: str) -> Choice:
        canary = key.startswith("c")
        return Choice(
            answer=Pick(version=2, role="canary") if canary else Pick(version=1, role="champion"), shadows=shadows
        )

    versions = {
        number: LoadedVersion(version=number, digest=str(number) * 64, model=ServedModel(runtime, model.signature))  # type: ignore[arg-type]
        for number, runtime in runtimes.items()
    }
    return Routing(generation=1, champion=1, router=router, versions=versions)


def rows(frame: pd.DataFrame, count: int = 2) -> NamedRows:
    return NamedRows(columns={str(name): frame[name].to_numpy()[:count] for name in frame.columns})


def test_an_answer_names_its_version_role_and_rows(plane: DataPlane, frame: pd.DataFrame) -> None:
    answer = plane.infer(InferRequest(rows=rows(frame), request_id="r", prediction_ids=["p", "q"]))
    assert (answer.request_id, answer.version, answer.role) == ("r", 1, "champion")
    assert answer.prediction_ids == ("p", "q")
    assert answer.prediction.labels.tolist() == [1, 1]


def test_every_answer_is_captured_as_the_model_saw_it(
    plane: DataPlane, capture: ListCapture, frame: pd.DataFrame
) -> None:
    answer = plane.infer(InferRequest(rows=rows(frame), caller="user:owner", event_time_ms=[5, 6]))
    [batch] = capture.batches
    assert batch.prediction_ids == answer.prediction_ids
    assert len(set(batch.prediction_ids)) == 2
    assert (batch.request_id, batch.times_ms, batch.served_ms) == (answer.request_id, (5, 6), NOW)
    assert (batch.version, batch.version_digest, batch.role, batch.caller) == (1, "1" * 64, "champion", "user:owner")
    assert batch.latency_ms > 0
    assert list(batch.columns) == list(frame.columns)
    np.testing.assert_array_equal(batch.columns["demand"], frame["demand"].to_numpy()[:2])


def test_the_sticky_key_chooses_the_version_and_the_request_id_does_without_one(
    plane: DataPlane, frame: pd.DataFrame
) -> None:
    def version(**given: Any) -> int:
        return plane.infer(InferRequest(rows=rows(frame), **given)).version

    assert version(sticky_key="customer-7", request_id="x") == 2
    assert version(sticky_key="anyone", request_id="customer-7") == 1
    assert version(request_id="customer-7") == 2


def test_event_time_is_now_when_nobody_says_otherwise(
    plane: DataPlane, capture: ListCapture, frame: pd.DataFrame
) -> None:
    plane.infer(InferRequest(rows=rows(frame)))
    plane.infer(InferRequest(rows=rows(frame), event_time_ms=NOW + 300_000))
    assert [batch.times_ms for batch in capture.batches] == [NOW, NOW + 300_000]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"event_time_ms": NOW + 300_001}, "event_time_ms"),
        ({"event_time_ms": -1}, "event_time_ms"),
        ({"event_time_ms": [1]}, "event_time_ms"),
        ({"prediction_ids": ["a"]}, "prediction_ids"),
        ({"prediction_ids": ["a", "a"]}, "prediction_ids"),
        ({"prediction_ids": ["a", ""]}, "prediction_ids"),
        ({"prediction_ids": ["a", "x" * 201]}, "prediction_ids"),
        ({"prediction_ids": ["a", "b\n"]}, "prediction_ids"),
        ({"request_id": "\ud800"}, "id"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_captured(
    given: dict[str, Any], field: str, plane: DataPlane, capture: ListCapture, frame: pd.DataFrame
) -> None:
    with pytest.raises(InvalidInput) as caught:
        plane.infer(InferRequest(rows=rows(frame), **given))
    assert caught.value.field == field
    assert capture.batches == []


def test_too_many_rows_are_refused_with_the_limit(plane: DataPlane, frame: pd.DataFrame) -> None:
    many = NamedRows(columns={str(name): np.resize(frame[name].to_numpy(), MAX_ROWS + 1) for name in frame.columns})
    with pytest.raises(LimitExceeded, match=str(MAX_ROWS)):
        plane.infer(InferRequest(rows=many))


def test_a_plane_without_a_model_is_not_ready(capture: ListCapture, frame: pd.DataFrame) -> None:
    empty = DataPlane("elec2", "power", capture=capture, clock=ManualClock())
    assert not empty.ready
    with pytest.raises(Unavailable, match="no model loaded"):
        empty.infer(InferRequest(rows=rows(frame)))


def test_a_routing_without_its_champion_is_refused_and_the_old_one_stays(plane: DataPlane, model: ServedModel) -> None:
    before = plane.routing
    with pytest.raises(Conflict):
        plane.switch(Routing(generation=2, champion=9, router=before.router, versions=before.versions))
    assert plane.routing is before


def test_a_shadow_sees_the_same_rows_under_the_same_ids_and_never_answers(
    plane: DataPlane, capture: ListCapture, model: ServedModel, frame: pd.DataFrame
) -> None:
    plane.switch(routing(model, shadow=Constant(3)))
    answer = plane.infer(InferRequest(rows=rows(frame), event_time_ms=7))
    plane.close()
    assert answer.version == 1
    served, watched = capture.batches
    assert (watched.version, watched.role, watched.prediction.labels.tolist()) == (3, "shadow", [3, 3])
    assert (watched.prediction_ids, watched.times_ms, watched.request_id) == (
        served.prediction_ids,
        served.times_ms,
        served.request_id,
    )


def test_a_shadow_that_breaks_or_hangs_harms_nobody(
    plane: DataPlane, capture: ListCapture, model: ServedModel, frame: pd.DataFrame
) -> None:
    plane.switch(routing(model, shadow=Broken()))
    assert plane.infer(InferRequest(rows=rows(frame))).version == 1
    go = threading.Event()

    class Hanging:
        def predict(self, columns: Columns) -> Prediction:
            go.wait(280)
            raise RuntimeError("late")

    plane.switch(routing(model, shadow=Hanging()))
    for _ in range(400):
        assert plane.infer(InferRequest(rows=rows(frame))).version == 1
    go.set()
    plane.close()
    assert {batch.role for batch in capture.batches} == {"champion"}


def test_what_waits_for_a_shadow_is_shown_to_it_together(
    plane: DataPlane, capture: ListCapture, model: ServedModel, frame: pd.DataFrame
) -> None:
    go, began, sizes = threading.Event(), threading.Event(), []

    class Held(Constant):
        def predict(self, columns: Columns) -> Prediction:
            began.set()
            assert go.wait(WAIT_S)
            sizes.append(len(next(iter(columns.values()))))
            return super().predict(columns)

    plane.switch(routing(model, shadow=Held(3)))
    asked = [f"r{number}" for number in range(9)]
    for name in asked:
        plane.infer(InferRequest(rows=rows(frame, 1), request_id=name))
        assert began.wait(WAIT_S)  # the first is in hand before the second comes
    go.set()
    wait_until(lambda: len(capture.batches) == 2 * len(asked))
    assert sizes == [1, 8]
    watched = [batch for batch in capture.batches if batch.role == "shadow"]
    assert [batch.request_id for batch in watched] == asked
    served = {batch.request_id: batch.prediction_ids for batch in capture.batches if batch.role == "champion"}
    assert {batch.request_id: batch.prediction_ids for batch in watched} == served
    assert (plane.shadows.dropped, plane.shadows.failed) == (0, 0)


def test_a_shadow_that_cannot_keep_up_sees_less_and_one_that_is_gone_sees_nothing(
    plane: DataPlane, capture: ListCapture, model: ServedModel, frame: pd.DataFrame
) -> None:
    go, began = threading.Event(), threading.Event()

    class Held(Constant):
        def predict(self, columns: Columns) -> Prediction:
            began.set()
            assert go.wait(WAIT_S)
            raise RuntimeError("broken")

    with_shadow = routing(model, shadow=Held(3))
    plane.switch(with_shadow)
    plane.infer(InferRequest(rows=rows(frame, 1)))
    assert began.wait(WAIT_S)
    for _ in range(300):
        plane.infer(InferRequest(rows=rows(frame, 1)))
    waited = LIMITS.waiting_requests
    assert plane.shadows.dropped == 300 - waited
    plane.switch(routing(model))
    go.set()
    wait_until(lambda: plane.shadows.failed == 1 + waited)
    assert {batch.role for batch in capture.batches} == {"champion"}
    plane.shadows.offer(with_shadow.versions[3], None, lambda _: [], rows=1, size_bytes=1)  # type: ignore[arg-type]
    assert plane.shadows.dropped == 300 - waited + 1


def test_requests_from_many_threads_during_switches_get_answers_of_one_version_each(
    plane: DataPlane, capture: ListCapture, frame: pd.DataFrame, model: ServedModel
) -> None:
    def ask(i: int) -> bool:
        if i % 10 == 0:
            plane.switch(routing(model))
        answer = plane.infer(InferRequest(rows=rows(frame, 3), sticky_key=f"{'c' if i % 2 else 'x'}{i}"))
        return answer.prediction.labels.tolist() == [answer.version] * 3 and answer.version == (2 if i % 2 else 1)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))
    assert len(capture.batches) == 400


def test_one_model_answers_many_threads_as_it_answers_one(linear: Any, model: ServedModel, frame: pd.DataFrame) -> None:
    wanted = linear.predict_proba(frame).max(axis=1)

    def ask(_: int) -> Any:
        return model.predict({str(name): frame[name].to_numpy() for name in frame.columns}).scores

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(ask, range(40)):
            np.testing.assert_array_equal(found, wanted)
