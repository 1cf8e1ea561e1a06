"""The model server over HTTP: the Open Inference Protocol, MLflow's invocations, and every kind of bad input."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import urllib3
import uvicorn
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier

import flyball
from flyball.governance.permissions import Permission
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import PermissionDenied, Unauthenticated
from flyball.server.inference.app import build_app
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Columns, Prediction
from flyball.serving.plane import MAX_ROWS, DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel, load_model

NOW = ManualClock().now_ms()
LIMIT = 2_000_000


def make_frame(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame({"price": rng.random(rows), "hour": rng.integers(0, 24, rows), "transfer": rng.random(rows)})


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame()


@pytest.fixture(scope="module")
def forest(frame: pd.DataFrame) -> Any:
    labels = (frame["price"] > 0.5).astype(np.int64)
    return RandomForestClassifier(n_estimators=7, random_state=0).fit(frame, labels)


@pytest.fixture(scope="module")
def folder(forest: Any, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "forest"
    mlflow.sklearn.save_model(
        forest,
        str(path),
        signature=infer_signature(frame, forest.predict(frame)),
        skops_trusted_types=["sklearn.tree._tree.Tree"],
        pip_requirements=["scikit-learn"],
    )
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> ServedModel:
    return load_model(folder, allow_pickle=False)


class ListCapture:
    def __init__(self) -> None:
        self.batches: list[PredictionBatch] = []

    def offer(self, *batches: PredictionBatch) -> bool:
        self.batches.extend(batches)
        return True


class Broken:
    def predict(self, columns: Columns) -> Prediction:
        raise RuntimeError("the password is 12345")


def authorise(token: str, permission: Permission) -> str:
    if token == "reader":
        raise PermissionDenied("user:reader lacks 'predict'")
    if token != "owner":
        raise Unauthenticated("this token is wrong, expired or revoked")
    return "user:owner"


def routing(model: ServedModel, *, champion: object | None = None) -> Routing:
    """Send keys that begin with `c` to the canary, version 2."""

    def router(key: str) -> Choice:
        canary = key.startswith("c")
        return Choice(answer=Pick(version=2 if canary else 1, role="canary" if canary else "champion"))

    first = ServedModel(champion, model.signature) if champion else model  # type: ignore[arg-type]
    versions = {
        1: LoadedVersion(version=1, digest="1" * 64, model=first),
        2: LoadedVersion(version=2, digest="2" * 64, model=model),
    }
    return Routing(generation=1, champion=1, router=router, versions=versions)


class Server:
    """A model server on a port of its own, and a client for it."""

    def __init__(self, url: str, plane: DataPlane, capture: ListCapture) -> None:
        self.url, self.plane, self.capture = url, plane, capture
        self.pool = urllib3.PoolManager(maxsize=32, retries=False)

    def get(self, path: str, *, token: str | None = "owner") -> urllib3.BaseHTTPResponse:
        return self.pool.request("GET", self.url + path, headers=_bearer(token))

    def post(self, path: str, body: object, *, token: str | None = "owner", **headers: str) -> urllib3.BaseHTTPResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.pool.request("POST", self.url + path, body=data, headers=_bearer(token) | given)

    def infer(self, body: object, **options: Any) -> urllib3.BaseHTTPResponse:
        return self.post("/v2/models/elec2/infer", body, **options)


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@contextmanager
def running(plane: DataPlane, capture: ListCapture) -> Iterator[Server]:
    app = build_app(plane, authorise=authorise, max_request_bytes=LIMIT)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://127.0.0.1:{port}", plane, capture)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def shared(model: ServedModel) -> Iterator[Server]:
    capture = ListCapture()
    plane = DataPlane("elec2", "power", capture=capture, clock=ManualClock())
    with running(plane, capture) as server:
        yield server


@pytest.fixture
def server(shared: Server, model: ServedModel) -> Server:
    shared.plane.switch(routing(model))
    shared.capture.batches.clear()
    return shared


def tensors(frame: pd.DataFrame, rows: int = 3) -> list[dict[str, Any]]:
    kinds = {"price": "FP64", "hour": "INT64", "transfer": "FP64"}
    return [
        {"name": name, "shape": [rows], "datatype": kinds[name], "data": frame[name][:rows].tolist()} for name in kinds
    ]


def error_of(response: urllib3.BaseHTTPResponse) -> str:
    body = response.json()
    assert list(body) == ["error"]
    return str(body["error"])


def test_an_infer_answer_carries_everything_a_caller_needs(server: Server, frame: pd.DataFrame, forest: Any) -> None:
    response = server.infer({"id": "r-1", "inputs": tensors(frame), "parameters": {"prediction_ids": ["a", "b", "c"]}})
    assert response.status == 200
    assert response.json() == {
        "model_name": "elec2",
        "model_version": "1",
        "id": "r-1",
        "parameters": {"prediction_ids": ["a", "b", "c"], "role": "champion"},
        "outputs": [
            {"name": "prediction", "shape": [3], "datatype": "INT64", "data": forest.predict(frame[:3]).tolist()},
            {
                "name": "score",
                "shape": [3],
                "datatype": "FP64",
                "data": forest.predict_proba(frame[:3]).max(axis=1).tolist(),
            },
        ],
    }


@pytest.mark.parametrize("shape", ["nested", "flat"])
def test_one_tensor_may_bring_all_columns_in_the_signatures_order(
    shape: str, server: Server, frame: pd.DataFrame, forest: Any
) -> None:
    matrix = frame[:4].to_numpy(dtype=np.float64)
    data = matrix.tolist() if shape == "nested" else matrix.ravel().tolist()
    tensor = {"name": "rows", "shape": [4, 3], "datatype": "FP64", "data": data}
    response = server.infer({"inputs": [tensor]})
    assert response.json()["outputs"][0]["data"] == forest.predict(frame[:4]).tolist()


def test_columns_may_have_a_second_dimension_of_one(server: Server, frame: pd.DataFrame) -> None:
    inputs = [tensor | {"shape": [3, 1], "data": [[value] for value in tensor["data"]]} for tensor in tensors(frame)]
    assert server.infer({"inputs": inputs}).status == 200


def test_only_the_outputs_asked_for_come_back(server: Server, frame: pd.DataFrame) -> None:
    response = server.infer({"inputs": tensors(frame), "outputs": [{"name": "score"}]})
    assert [output["name"] for output in response.json()["outputs"]] == ["score"]
    assert "no output 'scores'" in error_of(server.infer({"inputs": tensors(frame), "outputs": [{"name": "scores"}]}))


def test_what_the_caller_says_about_its_rows_is_captured(server: Server, frame: pd.DataFrame) -> None:
    parameters = {"event_time_ms": [1, 2, 3], "prediction_ids": ["a", "b", "c"], "sticky_key": "customer-7"}
    response = server.infer({"id": "r", "inputs": tensors(frame), "parameters": parameters})
    assert response.json()["model_version"] == "2"
    assert response.json()["parameters"]["role"] == "canary"
    [batch] = server.capture.batches
    assert (batch.request_id, batch.times_ms, batch.prediction_ids) == ("r", (1, 2, 3), ("a", "b", "c"))
    assert (batch.version, batch.version_digest, batch.role, batch.caller) == (2, "2" * 64, "canary", "user:owner")


def test_ids_are_made_when_none_are_given_and_one_time_serves_all_rows(server: Server, frame: pd.DataFrame) -> None:
    response = server.infer({"inputs": tensors(frame), "parameters": {"event_time_ms": 5}})
    [batch] = server.capture.batches
    made = response.json()["parameters"]["prediction_ids"]
    assert made == list(batch.prediction_ids) == [f"{batch.request_id}-{row}" for row in range(3)]
    assert response.json()["id"] == batch.request_id
    assert batch.times_ms == 5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"input": []}, "unknown key 'input' .* did you mean inputs"),
        ({"parameters": {"event_time": 1}}, "unknown key 'event_time' .* did you mean event_time_ms"),
        ({"parameters": {"binary_data": True}}, "unknown key 'binary_data' .* did you mean binary_data_output"),
        ({"model_name": "power"}, "the body is for model 'power', the path for 'elec2'"),
        ({"parameters": {"timeout": 0}}, "timeout is 0"),
        ({"outputs": [{"name": "score", "dtype": "FP32"}]}, "unknown key 'dtype'"),
        ({"parameters": {"event_time_ms": "now"}}, "event_time_ms"),
        ({"parameters": {"event_time_ms": NOW + 300_001}}, "five minutes ahead"),
        ({"parameters": {"event_time_ms": [1, 2]}}, "2 event times for 3 rows"),
        ({"parameters": {"prediction_ids": ["a", "a", "b"]}}, "twice"),
        ({"parameters": {"prediction_ids": "abc"}}, "prediction_ids"),
        ({"id": 7}, "id"),
        ({"inputs": []}, "'inputs' is empty"),
        ({"inputs": {}}, "inputs"),
    ],
)
def test_a_request_that_says_something_unknown_or_wrong_is_refused_by_name(
    change: dict[str, Any], match: str, server: Server, frame: pd.DataFrame
) -> None:
    response = server.infer({"inputs": tensors(frame)} | change)
    assert response.status == 400
    assert re.search(match, error_of(response)), error_of(response)
    assert server.capture.batches == []


@pytest.mark.parametrize(
    ("column", "change", "status", "match"),
    [
        ("hour", {"data": [1.0, 2.0, None]}, 400, "tensor 'hour' is INT64 and its data hold float, null"),
        ("hour", {"datatype": "FP64", "data": [1.0, 2.0, None]}, 400, "'hour': row 2 .*NaN"),
        ("hour", {"datatype": "FP64", "data": [1.0, 2.5, 3.0]}, 400, "'hour': row 1 .2.5. is no whole number"),
        ("hour", {"data": [1, 2, 2**70]}, 400, "'hour' holds a number beyond INT64"),
        ("hour", {"datatype": "UINT8", "data": [1, 2, 300]}, 400, "'hour' holds a number beyond UINT8"),
        ("hour", {"datatype": "BYTES", "data": ["1", "2", "3"]}, 400, "'hour' wants long, and texts"),
        ("hour", {"datatype": "BOOL", "data": [True, True, False]}, 400, "'hour' wants long, and booleans"),
        ("hour", {"name": "hours"}, 400, "missing column 'hour'"),
        ("hour", {"datatype": "INT7"}, 400, "'hour' is INT7"),
        ("hour", {"shape": [4]}, 400, "'hour' has 3 values"),
        ("hour", {"shape": [-3]}, 400, "impossible shape"),
        ("hour", {"shape": []}, 400, "impossible shape"),
        ("hour", {"shape": [1, 3]}, 400, r"'hour' has shape \[1, 3\]"),
        ("hour", {"shape": [3, 1], "data": [[1], [2], [3, 4]]}, 400, "'hour' has rows that do not fit"),
        ("hour", {"shape": [3, 1], "data": [[1], 2, [3]]}, 400, "'hour' has rows that do not fit"),
        ("hour", {"shape": [2], "data": [1, 2]}, 400, "'hour' has 2 rows, others have 3"),
        ("hour", {"parameters": {"content_type": "str"}}, 400, "'hour' is INT64 and cannot be 'str'"),
        ("hour", {"parameters": {"content_type": "pdf"}}, 400, "content type 'pdf' is not known"),
        ("hour", {"parameters": {"binary_data_size": 24}}, 400, "'hour' has its data twice"),
        ("hour", {"datatype": "BF16"}, 501, "'hour' is BF16"),
        ("hour", {"data": [1.0, 2.5, 3.0]}, 400, "tensor 'hour' is INT64 and its data hold float"),
        ("hour", {"data": [1, 2.0**60, 3]}, 400, "tensor 'hour' is INT64 and its data hold float"),
        ("hour", {"data": []}, 400, "'hour' has 0 values"),
        ("hour", {"data": [[[1]], [[2]], [[3]]]}, 400, "'hour' has data nested 3 deep"),
        ("hour", {"data": 5}, 400, "'hour' has data nested 0 deep"),
        ("price", {"data": ["0.1", "0.2", "0.3"]}, 400, "tensor 'price' is FP64 and its data hold str"),
        ("price", {"data": [True, 0.2, 0.3]}, 400, "tensor 'price' is FP64 and its data hold bool"),
        ("price", {"name": "transfer"}, 400, "'transfer' is sent twice"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_column(
    column: str, change: dict[str, Any], status: int, match: str, server: Server, frame: pd.DataFrame
) -> None:
    inputs = [tensor | change if tensor["name"] == column else tensor for tensor in tensors(frame)]
    response = server.infer({"inputs": inputs})
    assert re.search(match, error_of(response)), error_of(response)
    assert response.status == status
    assert server.capture.batches == []


def test_missing_numbers_are_written_as_null(server: Server, frame: pd.DataFrame) -> None:
    inputs = tensors(frame)
    inputs[0]["data"] = [None, 0.5, 0.5]
    assert server.infer({"inputs": inputs}).status == 200
    assert np.isnan(server.capture.batches[0].columns["price"][0])


@pytest.mark.parametrize("body", [b"", b"{", b'{"inputs": [NaN]}', b"\xff\xfe", b"[]", b"null"])
def test_a_body_that_is_no_request_is_refused(body: bytes, server: Server) -> None:
    for path in ("/v2/models/elec2/infer", "/invocations"):
        response = server.post(path, body)
        assert response.status == 400
        assert error_of(response)


def test_a_body_beyond_the_limit_is_refused_however_it_comes(server: Server) -> None:
    large = b" " * (LIMIT + 1)
    assert server.infer(large).status == 413
    chunked = server.pool.request(
        "POST", server.url + "/invocations", body=iter([large[:LIMIT], large[LIMIT:]]), headers=_bearer("owner")
    )
    assert chunked.status == 413
    assert str(LIMIT) in error_of(chunked)


def test_too_many_rows_are_refused(server: Server) -> None:
    tensor = {"name": "rows", "shape": [MAX_ROWS + 1, 3], "datatype": "FP64", "data": [0.0] * 3 * (MAX_ROWS + 1)}
    response = server.infer({"inputs": [tensor]})
    assert response.status == 413
    assert str(MAX_ROWS) in error_of(response)


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/csv"},
        {"content_type": "application/octet-stream"},
        {"content_encoding": "br"},
        {"content_type": "text/html", "inference_header_content_length": "10"},
    ],
)
def test_what_is_no_json_is_named_as_not_read(headers: dict[str, str], server: Server, frame: pd.DataFrame) -> None:
    response = server.infer({"inputs": tensors(frame)}, **headers)
    assert response.status == 415
    assert error_of(response)


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 401), ("reader", 403)])
def test_only_who_may_is_answered(token: str | None, status: int, server: Server, frame: pd.DataFrame) -> None:
    for response in (
        server.infer({"inputs": tensors(frame)}, token=token),
        server.post("/invocations", {"instances": [[0, 0, 0]]}, token=token),
        server.get("/v2/models/elec2", token=token),
    ):
        assert response.status == status
        assert error_of(response)
        assert ("www-authenticate" in response.headers) == (status == 401)
    assert server.capture.batches == []


def test_the_model_answers_to_its_own_name_and_the_endpoints(server: Server, frame: pd.DataFrame) -> None:
    answer = server.post("/v2/models/power/infer", {"inputs": tensors(frame)})
    assert answer.json()["model_name"] == "power"
    response = server.post("/v2/models/other/infer", {"inputs": tensors(frame)})
    assert response.status == 404
    assert "elec2, power" in error_of(response)


def test_paths_and_methods_that_are_not_there_are_errors_of_the_same_shape(server: Server) -> None:
    assert server.get("/v2/nothing").status == 404
    assert error_of(server.get("/v2/models/elec2/versions/1/nothing"))
    response = server.get("/v2/models/elec2/infer")
    assert (response.status, response.headers["allow"]) == (405, "POST")
    assert error_of(response)


def test_health_and_version_need_no_token(server: Server) -> None:
    assert server.get("/v2/health/live", token=None).json() == {"live": True}
    assert server.get("/v2/health/ready", token=None).json() == {"ready": True}
    assert server.get("/v2/models/elec2/ready", token=None).json() == {"name": "elec2", "ready": True}
    assert [server.get(path, token=None).status for path in ("/ping", "/health")] == [200, 200]
    assert server.get("/version", token=None).data.decode() == flyball.__version__
    said = {"name": "flyball", "version": flyball.__version__, "extensions": ["binary_tensor_data", "model_repository"]}
    assert server.get("/v2", token=None).json() == said


def test_the_metadata_names_the_columns_in_order(server: Server) -> None:
    assert server.get("/v2/models/elec2").json() == {
        "name": "elec2",
        "versions": ["1", "2"],
        "platform": "flyball",
        "inputs": [
            {"name": "price", "datatype": "FP64", "shape": [-1]},
            {"name": "hour", "datatype": "INT64", "shape": [-1]},
            {"name": "transfer", "datatype": "FP64", "shape": [-1]},
        ],
        "outputs": [{"name": "prediction", "datatype": "INT64", "shape": [-1]}],
        "properties": {"environment": "in the model server", "place": "in_process"},
    }


def test_before_a_model_is_loaded_it_is_alive_and_not_ready() -> None:
    capture = ListCapture()
    with running(DataPlane("elec2", "power", capture=capture, clock=ManualClock()), capture) as empty:
        assert empty.get("/v2/health/live").status == 200
        statuses = [
            empty.get(path).status for path in ("/v2/health/ready", "/v2/models/elec2/ready", "/ping", "/health")
        ]
        assert statuses == [503] * 4
        response = empty.infer({"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [1]}]})
        assert (response.status, response.headers["retry-after"]) == (503, "1")


def test_a_model_that_breaks_tells_nothing_of_its_inside(
    server: Server, model: ServedModel, frame: pd.DataFrame
) -> None:
    server.plane.switch(routing(model, champion=Broken()))
    response = server.infer({"inputs": tensors(frame)})
    assert response.status == 500
    assert error_of(response) == "internal error; the log of the endpoint has the details"


def test_after_an_internal_error_the_connection_goes_on(
    server: Server, model: ServedModel, frame: pd.DataFrame
) -> None:
    server.plane.switch(routing(model, champion=Broken()))
    with urllib3.HTTPConnectionPool("127.0.0.1", int(server.url.rsplit(":", 1)[1]), maxsize=1, retries=False) as pool:
        headers = _bearer("owner") | {"content-type": "application/json"}
        body = json.dumps({"inputs": tensors(frame)})
        statuses = [pool.request("POST", "/v2/models/elec2/infer", body=body, headers=headers).status for _ in range(5)]
        assert (statuses, pool.num_connections) == ([500] * 5, 1)


@pytest.mark.parametrize("way", ["dataframe_split", "dataframe_records", "inputs", "instances", "rows", "row"])
def test_mlflows_ways_to_write_rows_give_the_same_predictions(
    way: str, server: Server, frame: pd.DataFrame, forest: Any
) -> None:
    few = frame[:5]
    bodies: dict[str, dict[str, Any]] = {
        "dataframe_split": {"dataframe_split": json.loads(few.to_json(orient="split"))},
        "dataframe_records": {"dataframe_records": few.to_dict(orient="records")},
        "inputs": {"inputs": few.to_dict(orient="list")},
        "instances": {"instances": few.to_dict(orient="records")},
        "rows": {"instances": few.to_numpy().tolist()},
        "row": {"inputs": few.iloc[0].to_dict()},
    }
    if way == "row":
        bodies["row"]["inputs"]["hour"] = int(few["hour"][0])
    answer = server.post("/invocations", bodies[way]).json()
    wanted = forest.predict(few).tolist()
    assert answer["predictions"] == (wanted[:1] if way == "row" else wanted)
    assert tuple(answer["prediction_ids"]) == server.capture.batches[0].prediction_ids
    assert answer["model_version"] == "1"


def test_an_invocation_may_say_the_same_about_its_rows(server: Server) -> None:
    params = {"event_time_ms": 9, "prediction_ids": ["a"], "sticky_key": "c"}
    answer = server.post("/invocations", {"instances": [[0.5, 3, 0.5]], "params": params}).json()
    assert (answer["prediction_ids"], answer["model_version"]) == (["a"], "2")
    assert server.capture.batches[0].times_ms == 9


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ({}, "none was sent"),
        ({"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]}, "inputs and instances were sent"),
        ({"data": [[1]]}, "unknown key 'data'"),
        ({"instances": [[1, 2, 3]], "params": {"temperature": 1}}, "unknown key 'temperature'"),
        ({"instances": [[1, 2]]}, "2 columns were sent, the model wants 3: price, hour, transfer"),
        ({"instances": [[1, 2, 3], [1, 2]]}, "row 1 has 2 values, 3 are expected"),
        ({"instances": [[1, 2, 3], {"price": 1}]}, "mixes objects, lists"),
        ({"instances": []}, "no rows"),
        ({"inputs": {}}, "missing column"),
        ({"inputs": {"price": [1, "x"], "hour": [1, 2], "transfer": [1, 2]}}, "column 'price' mixes int, str"),
        ({"inputs": {"price": [10**400], "hour": [1], "transfer": [1]}}, "price|range"),
        ({"inputs": {"price": [0.1], "hour": [None], "transfer": [1]}}, "'hour': row 0 .*NaN"),
        ({"dataframe_split": {"columns": ["price", "price"], "data": [[1, 1]]}}, "'price' is sent twice"),
        ({"dataframe_split": {"columns": ["price"], "data": [[1, 1]]}}, "row 0 has 2 values, 1 are expected"),
        ({"dataframe_split": {"columns": ["price"], "rows": []}}, "unknown key 'rows'"),
        ({"dataframe_records": []}, "missing column"),
        ({"dataframe_records": [{"price": 1}, {"hour": 1}]}, "row 1 and row 0 disagree about column 'price'"),
        ({"dataframe_records": [{"price": 1}, {"price": 1, "hour": 1}]}, "disagree about column 'hour'"),
    ],
)
def test_an_invocation_that_makes_no_table_is_refused_by_name(body: dict[str, Any], match: str, server: Server) -> None:
    response = server.post("/invocations", body)
    assert response.status == 400
    assert re.search(match, error_of(response)), error_of(response)
    assert server.capture.batches == []


def test_many_callers_at_once_get_each_their_own_answer(server: Server, frame: pd.DataFrame, forest: Any) -> None:
    wanted = forest.predict_proba(frame).max(axis=1).tolist()

    def ask(i: int) -> bool:
        row = frame.iloc[[i % len(frame)]].to_dict(orient="list")
        kinds = {"price": "FP64", "hour": "INT64", "transfer": "FP64"}
        inputs = [{"name": name, "shape": [1], "datatype": kinds[name], "data": row[name]} for name in kinds]
        answer = server.infer({"inputs": inputs, "parameters": {"prediction_ids": [f"p{i}"]}}).json()
        found = (answer["outputs"][1]["data"], answer["parameters"]["prediction_ids"])
        return bool(found == ([wanted[i % len(frame)]], [f"p{i}"]))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))
    assert len(server.capture.batches) == 200
