"""Start the servers that are compared, each with one model, one process that predicts, and its batching on.

All run with one thread a library (`OMP_NUM_THREADS=1`): with more, threads that spin while they wait slow down every server.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import PEERS
from benchmarks.processes import START_S, Running, free_port, running
from benchmarks.serving import encodings
from benchmarks.serving.encodings import Encoding

SCRIPTS = Path(__file__).parent / "peers"
MODEL = "bench"
KEY = "the-key-of-the-benchmark"
# What queues while a batch runs becomes the next one in ours and in BentoML. These two wait for a batch to fill instead:
# one millisecond at most, because a longer wait costs more than it brings with models as fast as these.
MLSERVER_BATCH = {"max_batch_size": 32, "max_batch_time": 0.001}
OURS = "flyball"
PROOFS = "fast_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Running):
    """A server that runs, and how it is asked: with one row, and with many."""

    name: str
    one: Encoding
    many: tuple[Encoding, ...]
    grpc_port: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


Starter = Callable[[Path, Path], contextlib.AbstractContextManager[Server]]
"""Starts a server with a model's folder, and a folder for what it writes."""


@contextlib.contextmanager
def flyball(folder: Path, home: Path) -> Iterator[Server]:
    """Run ours, with capture on."""
    with flyball_with({MODEL: folder}, home) as server:
        yield server


@contextlib.contextmanager
def flyball_with(folders: Mapping[str, Path], home: Path, *options: str, **settings: str) -> Iterator[Server]:
    """Run ours with any number of models, options of `flyball serve`, and settings by their variables.

    What a server has proven of a model's fast form is kept beside its home, so that the next one need not prove it again.
    """
    port, grpc_port, first = free_port(), free_port(), next(iter(folders))
    environment = _environment(
        FLYBALL_HOME=str(home / "flyball"),
        FLYBALL_LOG_LEVEL="error",
        FLYBALL_SERVE_KEY=KEY,
        **settings,
    )
    proofs, kept = home.parent / PROOFS, home / "flyball" / PROOFS
    (home / "flyball").mkdir(mode=0o700)
    if proofs.exists():
        shutil.copytree(proofs, kept)
    command = [str(Path(sys.executable).parent / "flyball"), "serve", *options]
    command += ["--port", str(port), "--grpc-port", str(grpc_port)]
    command += [f"{name}={folder / 'mlflow'}" for name, folder in folders.items()]
    with running(command, port=port, ready="/v2/health/ready", environment=environment, log=home / "log") as found:
        for name in folders:
            _wait_for_the_proof(f"{found.url}/v2/models/{name}")
        if kept.exists():
            shutil.copytree(kept, proofs, dirs_exist_ok=True)
        yield Server(
            name=OURS,
            port=port,
            started_s=found.started_s,
            process=found.process,
            one=encodings.open_inference(first),
            many=(
                encodings.open_inference_binary(first),
                encodings.invocations_arrow(),
                encodings.open_inference(first),
            ),
            grpc_port=grpc_port,
            headers={"Authorization": f"Bearer {KEY}"},
        )


@contextlib.contextmanager
def mlserver(folder: Path, home: Path) -> Iterator[Server]:
    """Run MLServer in one process: its pool of workers costs more than it brings for one model."""
    port, grpc_port = free_port(), free_port()
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port, "parallel_workers": 0, "debug": False}
    (home / "settings.json").write_text(json.dumps({**server, "metrics_endpoint": None}), encoding="utf-8")
    for script in ("plain_model.py", "mlserver_torch.py"):
        shutil.copy(SCRIPTS / script, home)
    implementation, file = _mlserver_runtime(folder)
    model = {"name": MODEL, "implementation": implementation, "parameters": {"uri": str(file)}, **MLSERVER_BATCH}
    (home / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    command = [str(PEERS / "mlserver" / "bin" / "mlserver"), "start", str(home)]
    environment = _environment(PYTHONPATH=str(home))
    with running(command, port=port, ready="/v2/health/ready", environment=environment, log=home / "log") as found:
        yield Server(
            name="mlserver",
            port=port,
            started_s=found.started_s,
            process=found.process,
            one=encodings.open_inference(MODEL),
            many=(encodings.open_inference(MODEL), encodings.open_inference_grpc()),
            grpc_port=grpc_port,
        )


@contextlib.contextmanager
def bentoml(folder: Path, home: Path) -> Iterator[Server]:
    """Run a BentoML service with adaptive batching."""
    port = free_port()
    command = [str(PEERS / "bentoml" / "bin" / "bentoml"), "serve", "bentoml_service:Model"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(SCRIPTS)]
    environment = _environment(BENCH_MODEL=str(folder), BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="True")
    with running(command, port=port, ready="/readyz", environment=environment, log=home / "log") as found:
        yield Server(
            name="bentoml",
            port=port,
            started_s=found.started_s,
            process=found.process,
            one=encodings.rows_as_json(),
            many=(encodings.rows_as_json(), encodings.rows_as_file()),
        )


@contextlib.contextmanager
def litserve(folder: Path, home: Path) -> Iterator[Server]:
    """Run a LitServe server, which has a process for HTTP and one that predicts."""
    port = free_port()
    command = [str(PEERS / "litserve" / "bin" / "python"), str(SCRIPTS / "litserve_app.py"), str(port)]
    environment = _environment(BENCH_MODEL=str(folder))
    with running(command, port=port, ready="/health", environment=environment, log=home / "log") as found:
        yield Server(
            name="litserve",
            port=port,
            started_s=found.started_s,
            process=found.process,
            one=encodings.answers_to_json(),
            many=(encodings.answers_to_json(), encodings.answers_to_form()),
        )


@contextlib.contextmanager
def mlflow(folder: Path, home: Path) -> Iterator[Server]:
    """Run `mlflow models serve` with one worker; it has no batching."""
    port, programs = free_port(), PEERS / "mlflow" / "bin"
    command = [str(programs / "mlflow"), "models", "serve", "-m", str(folder / "mlflow"), "--env-manager", "local"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    environment = _environment(
        PATH=f"{programs}:{os.environ['PATH']}", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true"
    )
    with running(command, port=port, ready="/ping", environment=environment, log=home / "log") as found:
        yield Server(
            name="mlflow",
            port=port,
            started_s=found.started_s,
            process=found.process,
            one=encodings.invocations(),
            many=(encodings.invocations(), encodings.invocations_csv(), encodings.invocations_parquet()),
        )


SERVERS: Mapping[str, Starter] = {
    OURS: flyball,
    "mlserver": mlserver,
    "bentoml": bentoml,
    "litserve": litserve,
    "mlflow": mlflow,
}


def _wait_for_the_proof(url: str) -> None:
    """Wait until a model is served from ONNX, or will not be: the comparison takes a processor for some seconds, once."""
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with urllib.request.urlopen(asked) as answer:
            found = json.load(answer)["properties"]
        if "being made" not in found.get("fast_path_reason", ""):
            print(f"{url.rpartition('/')[2]}: {found}", flush=True)
            return
        time.sleep(0.2)
    raise SystemExit(f"the fast path of {url} was not decided in {START_S} s")


def _mlserver_runtime(folder: Path) -> tuple[str, Path]:
    if (folder / "model.joblib").exists():
        return "mlserver_sklearn.SKLearnModel", folder / "model.joblib"
    if (folder / "model.json").exists():
        return "mlserver_xgboost.XGBoostModel", folder / "model.json"
    return "mlserver_torch.TorchModel", folder / "model.pt"


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}
