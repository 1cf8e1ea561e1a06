"""`flyball serve --sagemaker` as a process: what SageMaker asks of its containers, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.pyfunc
import pandas as pd
import pyarrow.parquet as pq
import pytest
import urllib3
from click.testing import CliRunner
from mlflow.models import infer_signature
from tests.ports import free_port

from flyball.cli.serving import serve
from flyball.kernel.errors import Conflict, FlyballError, InvalidInput
from flyball.server.inference import sagemaker, standalone

WAIT_S = 120
FRAME = pd.DataFrame({"x": [1.0, 2.0], "y": [10.0, 20.0]})
CODE = """
import pathlib, time
import mlflow


class Slow(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        while not pathlib.Path({gate!r}).exists():
            time.sleep(0.01)

    def predict(self, context, model_input):
        return model_input["x"] + model_input["y"]


mlflow.models.set_model(Slow())
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")} | {
        "FLYBALL_HOME": str(home),
        "FLYBALL_ALLOW_PICKLE": "true",
        "FLYBALL_ISOLATION": "never",
        **more,
    }


class Container:
    """A process whose model is loaded when its gate is there."""

    def __init__(self, root: Path) -> None:
        self.home, self.gate = root / "home", root / "gate"
        code = root / "slow.py"
        code.write_text(CODE.format(gate=str(self.gate)))
        self.gate.touch()  # MLflow runs the code when it saves it
        signature = infer_signature(FRAME, FRAME["x"])
        mlflow.pyfunc.save_model(
            str(root / "model"), python_model=str(code), signature=signature, pip_requirements=["pandas"]
        )
        self.gate.unlink()
        self.port = free_port()
        served = ["serve", f"sum={root / 'model'}", "--sagemaker", "--host", "127.0.0.1"]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "flyball.cli.main", *served],
            env=environment(self.home, SAGEMAKER_BIND_TO_PORT=str(self.port)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pool = urllib3.PoolManager(retries=False)
        self.printed = ""

    def read_until(self, said: str) -> str:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.printed += line
            if said in line:
                return self.printed
        raise AssertionError(self.printed)

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self.pool.request("GET", f"http://127.0.0.1:{self.port}{path}", timeout=WAIT_S)

    def post(
        self, body: object, path: str = "/invocations", kind: str = "application/json", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        said = body if isinstance(body, str) else json.dumps(body)
        given = {name.replace("_", "-"): text for name, text in headers.items()} | {"content-type": kind}
        url = f"http://127.0.0.1:{self.port}{path}"
        return self.pool.request("POST", url, body=said, headers=given, timeout=WAIT_S)

    def ping(self) -> int:
        try:
            return self.get("/ping").status
        except urllib3.exceptions.HTTPError:  # it does not listen yet
            return 0

    def predicted(self, body: object, **headers: str) -> Any:
        answer = self.post(body, **headers)
        assert answer.status == 200, answer.data
        return answer.json()["predictions"]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {WAIT_S} s"
        time.sleep(0.01)


@contextmanager
def running(root: Path) -> Iterator[Container]:
    started = Container(root)
    try:
        yield started
    finally:
        started.popen.kill()
        started.popen.communicate()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with running(tmp_path_factory.mktemp("container")) as started:
        started.gate.touch()
        wait_until(lambda: started.ping() == 200)
        yield started


def test_it_listens_before_its_model_is_loaded_and_is_ready_when_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as starting:
        said = starting.read_until("everybody who reaches this port is answered, without a key")
        assert f"http://127.0.0.1:{starting.port}" in said
        wait_until(lambda: starting.ping() != 0)
        assert starting.ping() == 503
        early = starting.post([[1.0, 10.0]])
        assert (early.status, early.headers["retry-after"]) == (503, "1")
        starting.gate.touch()
        wait_until(lambda: starting.ping() == 200)
        assert starting.predicted([[1.0, 10.0]]) == [11.0]
        starting.popen.send_signal(signal.SIGTERM)
        starting.popen.communicate(timeout=WAIT_S)
        assert starting.popen.returncode == 0


@pytest.mark.parametrize(
    "body",
    [
        [[1.0, 10.0], [2.0, 20.0]],
        [{"x": 1.0, "y": 10.0}, {"x": 2.0, "y": 20.0}],
        {"instances": [[1.0, 10.0], [2.0, 20.0]]},
        {"inputs": {"x": [1.0, 2.0], "y": [10.0, 20.0]}},
        {"dataframe_split": {"columns": ["y", "x"], "data": [[10.0, 1.0], [20.0, 2.0]]}},
        {"dataframe_records": [{"x": 1.0, "y": 10.0}, {"x": 2.0, "y": 20.0}]},
        "  \n[[1, 10], [2, 20]]",
    ],
)
def test_rows_come_as_lists_and_in_the_ways_of_mlflow(body: object, container: Container) -> None:
    assert container.predicted(body) == [11.0, 22.0]


def test_csv_comes_without_a_line_of_names_and_goes_back_in_kind(container: Container) -> None:
    answer = container.post("1,10\n2,20\n", kind="text/csv", accept="text/csv")
    assert (answer.status, answer.headers["content-type"], answer.data) == (200, "text/csv", b"11.0\n22.0\n")


@pytest.mark.parametrize("body", ["[[1.0, 10.0]", "[[1.0]]", '[["a", "b"]]', "[]", "7"])
def test_a_list_that_is_none_of_rows_is_refused(body: str, container: Container) -> None:
    assert container.post(body).status == 400


def test_nothing_else_is_answered(container: Container) -> None:
    for path in (
        "/v2",
        "/v2/health/live",
        "/v2/models/sum",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/health",
        "/version",
    ):
        assert container.get(path).status == 404, path
    assert container.post({}, path="/v2/repository/models/sum/unload").status == 404
    assert container.post([], path="/ping").status == 405


def test_attributes_come_back_as_they_were_sent(container: Container) -> None:
    sent = "trace=7; tenant=a b~"
    answer = container.post([[1.0, 2.0]], x_amzn_sagemaker_custom_attributes=sent)
    assert (answer.status, answer.headers["x-amzn-sagemaker-custom-attributes"]) == (200, sent)
    assert "x-amzn-sagemaker-custom-attributes" not in container.post([[1.0, 2.0]]).headers
    for wrong in ("a" * 1_025, "a\tb", "é"):
        refused = container.post([[1.0, 2.0]], x_amzn_sagemaker_custom_attributes=wrong)
        assert refused.status == 400
        assert "x-amzn-sagemaker-custom-attributes" in refused.json()["error"]


def test_the_id_of_an_inference_names_its_predictions(container: Container) -> None:
    def ids(body: object, inference_id: str) -> list[str]:
        answer = container.post(body, x_amzn_sagemaker_inference_id=inference_id)
        assert answer.status == 200, answer.data
        return list(answer.json()["prediction_ids"])

    rows = [[1.0, 2.0], [3.0, 4.0]]
    assert ids(rows[:1], "one") == ["one"]
    assert ids(rows, "two") == ["two/0", "two/1"]
    assert ids({"instances": rows, "params": {"prediction_ids": ["a", "b"]}}, "three") == ["a", "b"]
    assert container.post(rows, x_amzn_sagemaker_inference_id="x" * 300).status == 400

    def kept() -> dict[str, str]:
        tables = [pq.read_table(path) for path in (container.home / "captured" / "sum").glob("*.parquet")]
        named = [table.select(["prediction_id", "request_id"]).to_pylist() for table in tables]
        return {row["prediction_id"]: row["request_id"] for part in named for row in part}

    wanted = {"one": "one", "two/0": "two", "two/1": "two", "a": "three", "b": "three"}
    wait_until(lambda: wanted.items() <= kept().items())


def test_a_model_that_cannot_be_loaded_ends_the_process_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    done = subprocess.run(
        [sys.executable, "-m", "flyball.cli.main", "serve", f"broken={tmp_path}", "--sagemaker", "--host", "127.0.0.1"],
        env=environment(tmp_path / "home", SAGEMAKER_BIND_TO_PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert "signature" in done.stderr or "flavour" in done.stderr, done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MLmodel").touch()
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environ", "error", "match"),
    [
        (["--port", "8080"], {}, Conflict, "--port"),
        (["--grpc-port", "9000", "--without-key"], {}, Conflict, "--grpc-port, --without-key"),
        (["--memory-mb", "5"], {}, Conflict, "--memory-mb"),
        (["other={}"], {}, Conflict, "one model"),
        ([], {"FLYBALL_SERVE_KEY": "k" * 40}, Conflict, "answers everybody"),
        ([], {"SAGEMAKER_BIND_TO_PORT": "0"}, InvalidInput, "SAGEMAKER_BIND_TO_PORT"),
        ([], {"SAGEMAKER_BIND_TO_PORT": "http"}, InvalidInput, "SAGEMAKER_BIND_TO_PORT"),
    ],
)
def test_what_the_contract_leaves_no_room_for_is_refused(
    arguments: list[str],
    environ: dict[str, str],
    error: type[FlyballError],
    match: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    named = [argument.format(folder) for argument in arguments]
    refused = CliRunner().invoke(serve, [f"one={folder}", "--sagemaker", *named]).exception
    assert isinstance(refused, error)
    assert match in refused.message


def test_it_listens_at_every_address_and_at_the_port_that_sagemaker_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[standalone.ServeOptions] = []
    monkeypatch.setattr(standalone, "serve_folders", lambda options, **_: asked.append(options))
    monkeypatch.setattr(sagemaker, "MODEL_FOLDER", folder)
    monkeypatch.delenv("SAGEMAKER_BIND_TO_PORT", raising=False)
    for arguments in ([], ["--host", "127.0.0.1"]):
        assert CliRunner().invoke(serve, ["--sagemaker", *arguments]).exception is None
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "8123")
    assert CliRunner().invoke(serve, [f"mine={folder}", "--sagemaker"]).exception is None
    assert [(each.host, each.port, each.grpc_port, each.door.value, list(each.models)) for each in asked] == [
        ("0.0.0.0", 8080, None, "sagemaker", ["model"]),
        ("127.0.0.1", 8080, None, "sagemaker", ["model"]),
        ("0.0.0.0", 8123, None, "sagemaker", ["mine"]),
    ]
