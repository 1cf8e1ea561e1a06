"""The model server answers Triton's and KServe's own clients, over HTTP and over gRPC, as the model itself predicts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import pandas as pd
import pytest
import uvicorn
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.api.test_inference import LIMIT, ListCapture, authorise
from tests.api.test_inference_protocols import COLUMNS, SAID, Echo

from flyball.kernel.clock import SystemClock
from flyball.server.inference.app import build_app
from flyball.server.inference.grpc_server import GrpcInference
from flyball.serving.host import FixedHost
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel, load_model

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venv-clients" / "bin" / "python"
ROWS = 5
WAIT_S = 120


def plane(name: str, model: ServedModel) -> DataPlane:
    always = Choice(answer=Pick(version=1, role="champion"))
    one = DataPlane(name, f"{name}-model", capture=ListCapture(), clock=SystemClock())
    version = LoadedVersion(version=1, digest="1" * 64, model=model)
    one.switch(Routing(generation=1, champion=1, router=lambda _key: always, versions={1: version}))
    return one


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, pd.DataFrame]:
    table = load_breast_cancer(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table.data, table.target)
    return model, table.data[:ROWS]


@pytest.fixture(scope="module")
def addresses(cancer: tuple[Any, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    model, frame = cancer
    folder = tmp_path_factory.mktemp("models") / "cancer"
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=["scikit-learn"])
    host = FixedHost(
        [plane("cancer", load_model(folder, allow_pickle=False)), plane("shop", ServedModel(Echo(), COLUMNS))]
    )
    app = build_app(host, authorise=authorise, max_request_bytes=LIMIT)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    port: Future[int] = Future()

    async def serve() -> None:
        beside, number = GrpcInference(app.answering, app.authorisation).server("127.0.0.1:0")
        await beside.start()
        port.set_result(number)
        await server.serve()
        await beside.stop(WAIT_S)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    over_grpc = port.result(WAIT_S)
    while not server.started:
        assert thread.is_alive()
    over_http = server.servers[0].sockets[0].getsockname()[1]
    yield {"http": f"127.0.0.1:{over_http}", "grpc": f"127.0.0.1:{over_grpc}"}
    server.should_exit = True
    thread.join()
    host.close()


def asked(client: str, protocol: str, address: str, frame: pd.DataFrame) -> dict[str, Any]:
    task = {"address": address, "token": "owner", "table": frame.to_dict(orient="list")}
    found = subprocess.run(
        [str(PYTHON), str(HERE / f"{client}_client.py"), protocol],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert found.returncode == 0, found.stderr
    return dict(json.loads(found.stdout.splitlines()[-1]))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritons_client_is_answered(protocol: str, cancer: tuple[Any, pd.DataFrame], addresses: dict[str, str]) -> None:
    model, frame = cancer
    found = asked("triton", protocol, addresses[protocol], frame)
    labels, scores = model.predict(frame).tolist(), model.predict_proba(frame).max(axis=1).tolist()
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, True])
    assert found["columns"] == found["matrix"] == found["matrix32"] == found["chosen"] == labels
    assert found["folded"] == [labels, labels]
    assert (found["texts"], found["parameters"], found["scores"]) == (SAID, SAID, scores)
    assert found["server"] == ["binary_tensor_data", "model_repository"]
    assert (found["model"]["name"], found["model"]["datatype"]) == ("mean radius", "FP64")
    assert [one["name"] for one in found["index"]] == ["cancer", "cancer-model", "shop", "shop-model"]
    if protocol == "http":
        assert (found["json"], found["json_texts"]) == (labels, SAID)
        assert found["async"] == [labels] * 5


REFUSALS = {
    "no_model": ("404", "StatusCode.NOT_FOUND", "no model 'other' here"),
    "no_column": ("400", "StatusCode.INVALID_ARGUMENT", "missing column 'mean radius'"),
    "no_token": ("401", "StatusCode.UNAUTHENTICATED", "Bearer"),
    "priority": ("400", "StatusCode.INVALID_ARGUMENT", "unknown key 'priority'"),
    "late": ("504", "StatusCode.DEADLINE_EXCEEDED", "time"),
    "load": ("409", "StatusCode.FAILED_PRECONDITION", "routing"),
    "unload": ("409", "StatusCode.FAILED_PRECONDITION", "routing"),
}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritons_client_is_told_what_is_wrong(
    protocol: str, cancer: tuple[Any, pd.DataFrame], addresses: dict[str, str]
) -> None:
    found = asked("triton", protocol, addresses[protocol], cancer[1])
    for question, (status, code, words) in REFUSALS.items():
        said, message = found[question]
        assert said == (status if protocol == "http" else code), question
        assert words in message


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_kserves_client_is_answered_and_told_what_is_wrong(
    protocol: str, cancer: tuple[Any, pd.DataFrame], addresses: dict[str, str]
) -> None:
    model, frame = cancer
    found = asked("kserve", protocol, addresses[protocol], frame)
    labels, scores = model.predict(frame).tolist(), model.predict_proba(frame).max(axis=1).tolist()
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, True)
    assert found["list"] == found["json"] == found["bytes"] == labels
    assert (found["scores"], found["texts"]) == (scores, SAID)
    assert found.get("all_bytes", labels) == labels
    refused = {name: found[name] for name in ("no_model", "no_column", "no_token")}
    http = {"no_model": 404, "no_column": 400, "no_token": 401}
    grpc = {"no_model": "NOT_FOUND", "no_column": "INVALID_ARGUMENT", "no_token": "UNAUTHENTICATED"}
    assert {name: said for name, (said, _) in refused.items()} == (http if protocol == "http" else grpc)
    assert "missing column 'price'" in refused["no_column"][1]
