"""`/invocations` answers as `mlflow models serve` does, and differs where that one loses something in silence.

What MLflow answers was asked of a real `mlflow models serve` (3.17.2) with the same model and the same bodies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from tests.api.test_inference import ListCapture, Server, running

from flyball.kernel.clock import ManualClock
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import load_model

JSON, CSV = "application/json", "text/csv"
ROW, ROW2 = {"price": 0.2, "hour": 3, "transfer": 0.4}, {"price": 0.9, "hour": 3, "transfer": 0.4}
NAMES, DATA = ["price", "hour", "transfer"], [[0.2, 3, 0.4], [0.9, 3, 0.4]]


def records(**change: Any) -> dict[str, Any]:
    return {"dataframe_records": [ROW | change]}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


@pytest.fixture(scope="module", params=["named", "nameless"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"price": rng.random(60), "hour": rng.integers(0, 24, 60), "transfer": rng.random(60)}, columns=NAMES
    )
    rows: Any = frame if request.param == "named" else frame.to_numpy()
    model = LogisticRegression().fit(rows, (frame["price"] > 0.5).astype(int))
    folder = tmp_path_factory.mktemp("model") / "model"
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=["scikit-learn"])
    capture = ListCapture()
    plane = DataPlane("m", "model", capture=capture, clock=ManualClock())
    always = Choice(answer=Pick(version=1, role="champion"))
    version = LoadedVersion(version=1, digest="1" * 64, model=load_model(folder, allow_pickle=False))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: always, versions={1: version}))
    with running(plane, capture) as served:
        yield served


def answered(server: Server, body: Any, kind: str = JSON) -> tuple[int, Any]:
    sent = body if isinstance(body, bytes) else (body if kind == CSV else json.dumps(body)).encode()
    response = server.post("/invocations", sent, content_type=kind)
    return response.status, response.json().get("predictions")


SAME = [
    ({"dataframe_split": {"columns": NAMES, "data": DATA}}, JSON, 200, [0, 1]),
    ({"dataframe_split": {"columns": NAMES, "index": [0, 1], "data": DATA}}, JSON, 200, [0, 1]),
    ({"dataframe_records": [ROW, ROW2]}, JSON, 200, [0, 1]),
    ({"instances": [ROW, ROW2]}, f"{JSON}; charset=utf-8", 200, [0, 1]),
    ({"instances": {name: [ROW[name]] for name in NAMES}}, JSON, 200, [0]),
    ({"inputs": {name: [ROW[name], ROW2[name]] for name in NAMES}}, JSON, 200, [0, 1]),
    ({"inputs": [ROW, ROW2]}, JSON, 200, [0, 1]),
    ({"inputs": ROW}, JSON, 200, [0]),
    (records(hour=3.0), JSON, 200, [0]),
    (records(price=1), JSON, 200, [1]),
    ("price,hour,transfer\n0.2,3,0.4\n0.9,3,0.4\n", CSV, 200, [0, 1]),
    ("transfer,price,hour\n0.4,0.2,3\n", CSV, 200, [0]),
    ("price,hour,transfer\n0.2,3.0,0.4\n", CSV, 200, [0]),
    ("price,hour,transfer\n0.2,3.5,0.4\n", CSV, 400, None),
    ("price,hour,transfer\n,3,0.4\n", CSV, 400, None),  # this model takes no missing number
    ("price,hour\n0.2,3\n", CSV, 400, None),
    ("price,hour,transfer\nx,3,0.4\n", CSV, 400, None),
    (b"price\n\xff", CSV, 400, None),
    (records(price=None), JSON, 400, None),
    (records(hour=None), JSON, 400, None),
    ({"dataframe_records": [without("transfer")]}, JSON, 400, None),
    ({"dataframe_records": [ROW, {"price": 0.2}]}, JSON, 400, None),
    ({"dataframe_records": []}, JSON, 400, None),
    ({"instances": []}, JSON, 400, None),
    ({}, JSON, 400, None),
    ([[1, 2, 3]], JSON, 400, None),
    ("x", JSON, 400, None),
    (b"{", JSON, 400, None),
    (b"", JSON, 400, None),
    (b"\xff", JSON, 400, None),
    ({"data": [1]}, JSON, 400, None),
    ({"instances": DATA, "inputs": DATA}, JSON, 400, None),
    (b'{"inputs":{"price":[NaN],"hour":[3],"transfer":[0.4]}}', JSON, 400, None),
    (b'{"inputs":{"price":[Infinity],"hour":[3],"transfer":[0.4]}}', JSON, 400, None),
    ({"dataframe_split": {"columns": NAMES, "data": [[0.2, 3]]}}, JSON, 400, None),
    ({"dataframe_split": {"columns": ["price", "price"], "data": [[0.2, 3]]}}, JSON, 400, None),
    ({"dataframe_split": {"data": DATA}}, JSON, 400, None),
    ({}, "text/html", 415, None),
    ({}, f"{JSON}; charset=latin-1", 415, None),
    ({}, f"{JSON}; x=1", 415, None),
]
# body, what MLflow answers, what we do: it cuts 3.5 to 3, takes texts and truths for numbers, and drops what it does not know.
STRICTER = [
    (records(hour=3.5), (200, [0]), (400, None)),
    (records(price="0.2"), (200, [0]), (400, None)),
    (records(price=True), (200, [1]), (400, None)),
    (records(more=1), (200, [0]), (400, None)),
]
# It takes lists for columns without names only.
WIDER = [({"instances": DATA}, (400, None), (200, [0, 1])), ({"inputs": DATA[:1]}, (400, None), (200, [0]))]
NAMELESS = [
    ({"inputs": DATA}, 200, [0, 1]),
    ({"instances": DATA[:1]}, 200, [0]),
    ({"dataframe_split": {"columns": [0, 1, 2], "data": DATA[:1]}}, 200, [0]),
    ({"inputs": [[1, 2, 3]]}, 200, [1]),
    ({"inputs": [0.2, 3, 0.4]}, 400, None),
    ({"inputs": [[0.2, 3]]}, 400, None),
    ({"inputs": [[0.2, 3, "x"]]}, 400, None),
    ({"inputs": [[[0.2, 3, 0.4]]]}, 400, None),
    ({"inputs": {"a": DATA}}, 400, None),
    ({"instances": [{"a": 1}]}, 400, None),
]


@pytest.mark.parametrize("server", ["named"], indirect=True)
def test_a_model_with_named_columns_is_scored_as_by_mlflow(server: Server) -> None:
    assert [(body, *answered(server, body, kind)) for body, kind, _, _ in SAME] == [
        (body, status, predictions) for body, _, status, predictions in SAME
    ]


@pytest.mark.parametrize("server", ["named"], indirect=True)
def test_where_it_is_not_it_is_on_purpose(server: Server) -> None:
    for body, of_mlflow, ours in [*STRICTER, *WIDER]:
        assert answered(server, body) == ours != of_mlflow


@pytest.mark.parametrize("server", ["nameless"], indirect=True)
def test_a_model_without_names_is_scored_as_by_mlflow(server: Server) -> None:
    assert [(body, *answered(server, body)) for body, _, _ in NAMELESS] == [
        (body, status, predictions) for body, status, predictions in NAMELESS
    ]
