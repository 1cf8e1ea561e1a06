"""`flyball serve` as a process: model folders over HTTP without a platform, with a key, and with what was predicted on disk."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import grpc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import urllib3
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from tests.ports import free_port

WAIT_S = 180


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Save two versions of a model, of which one adds one and the other two."""
    root = tmp_path_factory.mktemp("models")
    frame = pd.DataFrame({"x": np.arange(20.0)})
    made = {}
    for name, more in {"first": 1.0, "second": 2.0}.items():
        model = LinearRegression().fit(frame, frame["x"] + more)
        signature = infer_signature(frame, model.predict(frame))
        mlflow.sklearn.save_model(
            model, str(root / name), signature=signature, input_example=frame[:2], pip_requirements=["scikit-learn"]
        )
        made[name] = root / name
    return made


class Served:
    """A process of `flyball serve`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
        self.home = home
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "flyball.cli.main", "serve", *arguments, "--port", "0"],
            env=environment | {"FLYBALL_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pool = urllib3.PoolManager(retries=False)
        self.printed: list[str] = []
        self.url = ""

    def wait(self) -> Served:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.printed.append(line)
            if line.startswith("Serving "):
                self.url = line.rsplit(" ", 1)[1].strip()
                return self
        raise AssertionError("".join(self.printed))

    def ask(self, path: str, values: list[float], *, key: str | None = None) -> urllib3.BaseHTTPResponse:
        tensor = {"name": "x", "shape": [len(values)], "datatype": "FP64", "data": values}
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        body = json.dumps({"inputs": [tensor]})
        return self.pool.request("POST", f"{self.url}{path}", body=body, headers=headers)

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        self.popen.communicate(timeout=WAIT_S)
        return self.popen.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[Served] = []

    def one(*arguments: str) -> Served:
        started.append(Served(tmp_path / "home", *arguments))
        return started[-1]

    yield one
    for served in started:
        served.popen.kill()
        served.popen.communicate()


def predicted(response: urllib3.BaseHTTPResponse) -> list[float]:
    assert response.status == 200, response.data
    return [round(value, 6) for value in response.json()["outputs"][0]["data"]]


def test_a_model_goes_over_to_the_fast_path_when_its_proof_is_made(start: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0)})
    model = LinearRegression().fit(frame, frame["x"] + 1.0)
    mlflow.sklearn.save_model(
        model, str(tmp_path / "model"), input_example=frame[:20], pip_requirements=["scikit-learn"]
    )
    served = start(f"add={tmp_path / 'model'}", "--without-key").wait()
    assert predicted(served.ask("/v2/models/add/infer", [1.0])) == [2.0]
    deadline = time.monotonic() + WAIT_S
    while (found := properties(served))["place"] != "fast_path":
        assert found["place"] == "in_process"
        assert time.monotonic() < deadline, found
        assert found["fast_path_reason"] == "the comparison is being made"
        time.sleep(0.1)
    assert found["fast_path"] == "onnx"
    assert predicted(served.ask("/v2/models/add/infer", [1.0])) == [2.0]
    assert served.end() == 0
    again = start(f"add={tmp_path / 'model'}", "--without-key").wait()
    assert properties(again) == found


def test_grpc_is_answered_beside_http_where_it_is_asked_for(start: Any, folders: dict[str, Path]) -> None:
    port = free_port()
    served = start(f"add={folders['first']}", "--grpc-port", str(port)).wait()
    assert served.pool.request("GET", f"{served.url}/v2/health/ready").status == 200
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
        assert ask(b"", timeout=60) == b"\x08\x01"  # the first field, true
    assert served.end() == 0


def properties(served: Served) -> dict[str, str]:
    found: dict[str, str] = served.pool.request("GET", f"{served.url}/v2/models/add").json()["properties"]
    return found


def test_folders_are_served_with_a_key_and_what_was_predicted_is_kept(start: Any, folders: dict[str, Path]) -> None:
    served = start(f"add={folders['first']}", f"add/2={folders['second']}", f"other={folders['first']}").wait()
    key_file = served.home / "serve.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = key_file.read_text().strip()
    assert served.ask("/v2/models/add/infer", [1.0]).status == 401
    assert served.ask("/v2/models/add/infer", [1.0], key="x" * 43).status == 401
    assert predicted(served.ask("/v2/models/add/infer", [1.0, 2.0], key=key)) == [3.0, 4.0]
    assert predicted(served.ask("/v2/models/other/infer", [1.0], key=key)) == [2.0]
    assert served.pool.request("GET", f"{served.url}/v2/health/ready").status == 200
    assert served.end() == 0
    kept = [pq.read_table(path) for path in (served.home / "captured" / "add").glob("*.parquet")]
    assert sorted(value for table in kept for value in table.column("feature.x").to_pylist()) == [1.0, 2.0]
    assert {caller for table in kept for caller in table.column("caller").to_pylist()} == {"key"}
    again = start(f"add={folders['first']}").wait()
    assert predicted(again.ask("/v2/models/add/infer", [1.0], key=key)) == [2.0]


def test_without_a_key_only_a_loopback_address_is_served(start: Any, folders: dict[str, Path]) -> None:
    model = f"add={folders['first']}"
    refused = start(model, "--without-key", "--host", "0.0.0.0")
    assert refused.popen.wait(WAIT_S) == 1
    assert "only this machine may call" in refused.popen.stdout.read()
    served = start(model, "--without-key", "--no-capture").wait()
    assert predicted(served.ask("/v2/models/add/infer", [1.0])) == [2.0]
    assert not (served.home / "serve.key").exists()
    assert served.end() == 0
    assert not (served.home / "captured").exists()


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        ("{folder}", "is not NAME=FOLDER"),
        ("../x={folder}", "is not NAME=FOLDER"),
        ("add/0={folder}", "is not NAME=FOLDER"),
        ("add={folder}/missing", "holds no model"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(
    argument: str, match: str, start: Any, folders: dict[str, Path]
) -> None:
    served = start(argument.format(folder=folders["first"]))
    printed, _ = served.popen.communicate(timeout=WAIT_S)
    assert served.popen.returncode == 1
    assert match in printed
    assert "Traceback" not in printed


def test_a_key_that_others_can_read_or_guess_is_not_taken(start: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    file = home / "serve.key"
    for text, mode, match in (("k" * 43, 0o644, "others on this machine can read"), ("short", 0o600, "16 or more")):
        file.write_text(text)
        file.chmod(mode)
        served = start(f"add={folders['first']}")
        printed, _ = served.popen.communicate(timeout=WAIT_S)
        assert served.popen.returncode == 1
        assert match in printed


def test_models_are_unloaded_and_loaded_by_name_while_others_answer(start: Any, folders: dict[str, Path]) -> None:
    served = start(f"one={folders['first']}", f"two={folders['second']}", "--without-key", "--no-capture").wait()

    def post(path: str) -> urllib3.BaseHTTPResponse:
        response: urllib3.BaseHTTPResponse = served.pool.request("POST", f"{served.url}{path}", body=b"{}")
        return response

    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in post("/v2/repository/index").json()}

    assert states() == {"one": "READY", "two": "READY"}
    assert post("/v2/repository/models/one/unload").status == 200
    assert states() == {"one": "UNAVAILABLE", "two": "READY"}
    ready = served.pool.request("POST", f"{served.url}/v2/repository/index", body=b'{"ready": true}').json()
    assert [each["name"] for each in ready] == ["two"]
    gone = served.ask("/v2/models/one/infer", [1.0])
    assert (gone.status, gone.headers["retry-after"]) == (503, "1")
    assert "load it first" in gone.json()["error"]
    assert served.pool.request("GET", f"{served.url}/v2/models/one/ready").status == 503
    assert served.pool.request("GET", f"{served.url}/v2/health/ready").status == 503
    assert predicted(served.ask("/v2/models/two/infer", [1.0])) == [3.0]
    assert post("/v2/repository/models/one/load").status == 200
    assert predicted(served.ask("/v2/models/one/infer", [1.0])) == [2.0]
    assert served.pool.request("GET", f"{served.url}/v2/models/one/ready").json() == {"name": "one", "ready": True}
    assert post("/v2/repository/models/three/load").status == 404
