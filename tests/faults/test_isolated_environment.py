"""A model of another scikit-learn is served from an environment that is really made, and its process may die."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import urllib3
import uvicorn
from tests.faults.isolated import await_, is_gone

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import open_database
from flyball.kernel.errors import InvalidInput, MissingExtra, StoreFull, Unavailable, Unsupported
from flyball.kernel.runners.local import LocalRunner
from flyball.kernel.settings import Settings
from flyball.server.home import prepare_home
from flyball.server.inference.app import build_app
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform
from flyball.server.scoring import ChildScorer
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Columns, Prediction
from flyball.serving.isolation.environments import Environments
from flyball.serving.isolation.making import Maker, fault_of
from flyball.serving.isolation.placement import IN_THE_SERVER, Isolation, IsolationChoice, environments_of
from flyball.serving.isolation.requirements import HERE, ModelLock
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.isolation.turns import Turns
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.score import score_in_child
from flyball.serving.score_job import Task, run_job
from flyball.serving.score_model import tree_digest
from flyball.serving.served_model import ServedModel, load_model

HELPERS = Path(__file__).parent
TRAINED_WITH = "1.6.1"
REQUIREMENTS = f"mlflow==2.20.0\nscikit-learn=={TRAINED_WITH}\nskops==0.11.0\nnumpy==2.2.6\n"
INPUTS = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]
UNAVAILABLE = 503
ELSEWHERE = "3.12" if HERE != "3.12" else "3.13"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


def write_model(folder: Path, requirements: str = REQUIREMENTS, python: str = HERE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    options = {"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": TRAINED_WITH}
    document = {"flavors": {"sklearn": options}, "signature": {"inputs": json.dumps(INPUTS)}}
    (folder / "MLmodel").write_text(json.dumps(document))
    (folder / "requirements.txt").write_text(requirements)
    (folder / "python_env.yaml").write_text(f"python: {python}.1\n")
    return folder


@pytest.fixture(scope="module")
def folder(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let two processes make the environment at once, and train a model in it."""
    folder = write_model(tmp_path_factory.mktemp("model") / "old")
    maker = [sys.executable, str(HELPERS / "isolated_maker.py"), str(settings.home), str(folder)]
    both = [subprocess.Popen(maker, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {line for one in both for line in one.communicate()[0].splitlines() if line.startswith("python=")}
    assert [one.returncode for one in both] == [0, 0]
    assert len(said) == 1
    python = said.pop().removeprefix("python=")
    subprocess.run([python, "-I", str(HELPERS / "isolated_training.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def old(settings: Settings, folder: Path) -> Iterator[ServedModel]:
    model = load_model(folder, allow_pickle=False, isolation=IsolationRules.by(settings).open())
    yield model
    model.close()


def columns(rows: list[list[float]]) -> dict[str, np.ndarray]:
    return {f"x{place}": np.array(values) for place, values in enumerate(zip(*rows, strict=True))}


def test_a_model_of_another_version_answers_as_it_did_where_it_was_trained(folder: Path, old: ServedModel) -> None:
    answers = json.loads((folder / "answers.json").read_text())
    assert answers["version"] == TRAINED_WITH
    found = old.predict(columns(answers["rows"]))
    assert found.labels.tolist() == answers["labels"]
    assert found.scores is not None
    assert found.scores.tolist() == answers["scores"]
    assert f"scikit-learn {TRAINED_WITH}" in old.place
    assert old.warm_up()


def test_one_environment_was_made_and_it_holds_what_the_lock_says(settings: Settings, old: ServedModel) -> None:
    (kept,) = environments_of(settings).kept()
    assert kept.description.requirements == ["numpy==2.2.6", f"scikit-learn=={TRAINED_WITH}", "skops==0.11.0"]
    assert {f"scikit-learn=={TRAINED_WITH}", "numpy==2.2.6"} < set(kept.description.installed)
    assert not [name for name in kept.description.installed if name.startswith(("mlflow", "flyball"))]
    assert kept.in_use
    assert kept.size_bytes > 50_000_000


def test_without_isolation_the_flavour_says_what_is_wrong(folder: Path, settings: Settings) -> None:
    never = IsolationRules.by(dataclasses.replace(settings, isolation="never")).open()
    for isolation in (None, never):
        with pytest.raises(Unsupported, match=f"trained with scikit-learn {TRAINED_WITH}"):
            load_model(folder, allow_pickle=False, isolation=isolation)


def table_of(folder: Path) -> tuple[pa.Table, dict[str, list[float]]]:
    answers = json.loads((folder / "answers.json").read_text())
    return pa.table(columns(answers["rows"])), answers


def test_a_table_is_scored_in_the_models_own_environment(folder: Path, settings: Settings) -> None:
    table, answers = table_of(folder)
    found = score_in_child(folder, table, isolation=IsolationRules.by(settings))
    assert found.column("prediction").to_pylist() == answers["labels"]
    assert found.column("score").to_pylist() == answers["scores"]


def test_so_are_the_parts_of_a_batch_job(folder: Path, settings: Settings, tmp_path: Path) -> None:
    table, answers = table_of(folder)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=10)
    task = Task(
        model_folder=folder,
        model="old",
        model_digest=tree_digest(folder),
        input=tmp_path / "rows.parquet",
        output=tmp_path / "out.parquet",
        part_rows=10,
        isolation=IsolationRules.by(settings),
    )
    assert run_job(task, LocalRunner()).parts == 2
    assert pq.read_table(task.output).column("prediction").to_pylist() == answers["labels"]


def test_a_gate_hears_what_the_model_says_in_its_own_environment(folder: Path, settings: Settings) -> None:
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    table, answers = table_of(folder)
    model_id = "m-" + "1" * 32
    with contextlib.closing(open_platform(settings)) as platform:
        for path in folder.iterdir():
            platform.artifacts.put(f"model/{model_id}", path.name, [path.read_bytes()])
        platform.registry.create_model("old", actor="user:owner")
        platform.registry.create_version("old", source=f"models:/{model_id}", actor="user:owner")
        found = ChildScorer(platform.registry, platform.artifacts, settings).score("old", 1, table)
    assert found.column("prediction").to_pylist() == answers["labels"]


class Ignoring:
    def offer(self, *batches: PredictionBatch) -> bool:
        return True


class Here:
    """A model in the server's own process."""

    def predict(self, columns: Columns) -> Prediction:
        return Prediction(labels=columns["x0"], scores=None)


@contextmanager
def served(name: str, model: ServedModel) -> Iterator[str]:
    plane = DataPlane(name, name, capture=Ignoring(), clock=SystemClock())
    choice = Choice(answer=Pick(version=1, role="champion"))
    versions = {1: LoadedVersion(version=1, digest="1" * 64, model=model)}
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: choice, versions=versions))
    app = build_app(plane, authorise=lambda _token, _permission: "user:owner", max_request_bytes=1_000_000)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    await_(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        plane.close()


def process_of(model: ServedModel) -> int:
    assert model._isolated is not None
    return model._isolated.pid


def turns_of(model: ServedModel) -> Turns:
    assert model._isolated is not None
    return model._isolated._supervisor.process()._channel._turns


def test_a_model_process_killed_under_load_costs_503s_and_no_other_model(old: ServedModel) -> None:
    pool, stop = urllib3.PoolManager(maxsize=8, retries=False), threading.Event()
    headers = {"authorization": "Bearer x", "content-type": "application/json"}
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP64", "data": [0.1, 0.2, 0.3]}]})

    def status_of(url: str, name: str) -> int:
        return pool.request("POST", f"{url}/v2/models/{name}/infer", body=body, headers=headers).status

    def ask(url: str, name: str, found: list[int]) -> None:
        while not stop.is_set():
            found.append(status_of(url, name))
            stop.wait(0.005)

    here = ServedModel(Here(), old.signature)
    with served("old", old) as url, served("here", here) as other, ThreadPoolExecutor(4) as threads:
        statuses: list[list[int]] = [[], []]
        beside: list[int] = []
        asking = [threads.submit(ask, url, "old", found) for found in statuses]
        asking.append(threads.submit(ask, other, "here", beside))
        try:
            pid, turns = process_of(old), turns_of(old)
            os.kill(pid, signal.SIGSTOP)
            await_(lambda: turns._taken)  # a request is in it, and stays there
            os.kill(pid, signal.SIGKILL)
            await_(lambda: is_gone(pid))
            await_(lambda: all(200 in found for found in [*statuses, beside]))
        finally:
            stop.set()
        for future in asking:
            future.result()
        assert set(statuses[0] + statuses[1]) == {200, UNAVAILABLE}
        assert set(beside) == {200}
        assert pool.request("GET", f"{url}/v2/health/ready").status == 200
        assert process_of(old) != pid


def test_a_model_that_agrees_runs_in_the_server_and_on_request_in_a_process_of_its_own(tmp_path: Path) -> None:
    import sklearn
    import skops.io
    from sklearn.linear_model import LogisticRegression

    folder = write_model(tmp_path / "new", f"scikit-learn=={sklearn.__version__}\n")
    (folder / "MLmodel").write_text((folder / "MLmodel").read_text().replace(TRAINED_WITH, sklearn.__version__))
    rows = np.random.default_rng(1).random((50, 3))
    skops.io.dump(LogisticRegression().fit(rows, rows[:, 0] > 0.5), folder / "model.skops")
    settings = Settings(home=tmp_path / "home")
    here = load_model(folder, allow_pickle=False, isolation=IsolationRules.by(settings).open())
    always = IsolationRules.by(dataclasses.replace(settings, isolation="always")).open()
    apart = load_model(folder, allow_pickle=False, isolation=always)
    assert here.place == IN_THE_SERVER
    assert apart.place.startswith("in a process of its own, the server's environment")
    given = columns(rows[:9].tolist())
    assert apart.predict(given).labels.tolist() == here.predict(given).labels.tolist()
    assert not (settings.home / "environments").exists()
    apart.close()


def isolation(home: Path, **environ: str) -> Isolation:
    """Return an isolation in a home of its own, whose uv is surrounded by this."""
    maker = Maker(timeout_s=600, environ=dict(os.environ) | environ)
    environments = Environments(home / "environments", maker=maker, clock=SystemClock())
    return Isolation(choice=IsolationChoice.AUTO, environments=environments)


NOWHERE = {
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "UV_NO_CONFIG": "1",
    "UV_HTTP_RETRIES": "0",
    "PATH": "/absent",
}


@pytest.mark.parametrize(
    ("requirements", "python", "environ", "error", "said"),
    [
        ("scikit-learn==99.99.99\n", HERE, {}, InvalidInput, "no version of scikit-learn==99.99.99"),
        ("numpy==2.2.6\nnumpy==2.2.5\n", HERE, {}, InvalidInput, "because of numpy==2.2.6 and numpy==2.2.5"),
        (
            f"numpy==2.2.6 --hash=sha256:{'0' * 64}\n",
            HERE,
            {},
            InvalidInput,
            "cannot be installed because of numpy==2.2.6",
        ),
        ("docopt==0.6.2\n", HERE, {}, InvalidInput, "because of docopt==0.6.2: there is no wheel for this machine"),
        ("numpy==2.2.6\n", HERE, NOWHERE, Unavailable, "index cannot be reached"),
        ("numpy==2.2.6\n", ELSEWHERE, NOWHERE, Unsupported, f"Python {ELSEWHERE}, which is not on this machine"),
        ("numpy==2.2.6\n", "3.9", {}, Unsupported, "isolated models run on 3.11, 3.12, 3.13"),
        ("numpy @ https://example.com/x.whl\n", HERE, {}, Unsupported, "comes from a URL"),
    ],
)
def test_an_environment_that_cannot_be_made_names_the_remedy_and_leaves_nothing(
    tmp_path: Path, requirements: str, python: str, environ: dict[str, str], error: type[Exception], said: str
) -> None:
    folder = write_model(tmp_path / "m", requirements, python)
    away = {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_PYTHON_INSTALL_DIR": str(tmp_path / "none")} if environ else {}
    with pytest.raises(error, match=said):
        load_model(folder, allow_pickle=False, isolation=isolation(tmp_path, **environ, **away))
    assert [path for path in (tmp_path / "environments").glob("*") if path.is_dir()] == []


def test_a_full_disk_and_a_password_in_what_uv_says() -> None:
    """The texts are those of uv 0.13.9, on a disk that was full, and for an index with credentials."""
    lock = ModelLock(python=None, pinned=())
    full = "error: Failed to install: numpy.whl\n  cause: failed to copy file to /home/x: No space left on device (os error 28)"
    assert isinstance(fault_of(2, full, lock), StoreFull)
    found = fault_of(2, "Failed to fetch: https://me:secret@pypi.example/simple/numpy/", lock)
    assert isinstance(found, Unavailable)
    assert "secret" not in found.message


def test_without_uv_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"flyball\[isolation\]"):
        load_model(write_model(tmp_path / "m"), allow_pickle=False, isolation=isolation(tmp_path))
