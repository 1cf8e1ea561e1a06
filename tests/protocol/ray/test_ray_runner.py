"""The runner of Ray on a real cluster of two nodes: the promises of its port, and batch jobs as `flyball score --runner ray` runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Everything stays on the loopback address, which Ray would otherwise replace by that of the network.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
# A busy machine starts a node in more than the minute that Ray gives it.
os.environ["RAY_raylet_start_wait_time_s"] = "250"  # noqa: SIM112 -- as Ray spells it

import mlflow.sklearn
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from mlflow.models import infer_signature
from ray.cluster_utils import Cluster
from sklearn.linear_model import LogisticRegression

from flyball.cli.main import main
from flyball.integrations.ray.runner import RayRunner
from flyball.kernel.errors import InvalidInput
from flyball.kernel.runners import PartRunner, Work, open_runner
from flyball.kernel.runners.conformance import PartRunnerConformance, pieces
from flyball.kernel.runners.local import LocalRunner
from flyball.monitoring import compare
from flyball.serving.score_job import Scored, Task, run_job
from flyball.serving.score_model import tree_digest

ROWS = 1_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes with one processor each, so that two actors find room on both together only; neither can be reached from elsewhere."""
    head = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    made.wait_for_nodes(timeout=240)
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    ray.shutdown()
    del os.environ["RAY_ADDRESS"]
    made.shutdown()


@pytest.fixture(scope="module")
def connected(cluster: Cluster) -> None:
    """Join once for all tests; a run finds Ray initialised, and leaves it so."""
    ray.init(address=cluster.address, log_to_driver=False)


@pytest.mark.usefixtures("connected")
class TestRayRunner(PartRunnerConformance):
    @pytest.fixture
    def runner(self) -> PartRunner:
        runner = open_runner("ray")
        assert isinstance(runner, RayRunner)
        return runner


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(5).random((ROWS, 3)), columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> Any:
    return LogisticRegression().fit(frame, frame["a"] + frame["b"] > 1)


@pytest.fixture
def task(model: Any, frame: pd.DataFrame, tmp_path: Path) -> Task:
    folder, source = tmp_path / "model", tmp_path / "rows.parquet"
    mlflow.sklearn.save_model(
        model, str(folder), signature=infer_signature(frame, model.predict(frame)), pip_requirements=["scikit-learn"]
    )
    pq.write_table(pa.Table.from_pandas(frame.assign(id=range(ROWS)), preserve_index=False), source, row_group_size=100)
    return Task(
        model_folder=folder,
        model="m",
        model_digest=tree_digest(folder),
        input=source,
        output=tmp_path / "out",
        keep=("id",),
        part_rows=100,
        workers=2,
    )


def answers(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))])


def actors() -> list[psutil.Process]:
    """Return the processes of our actors, which Ray names after their class."""
    return [one for one in psutil.process_iter(["cmdline"]) if "ray::PartActor" in " ".join(one.info["cmdline"] or [])]


@pytest.mark.usefixtures("connected")
def test_two_workers_are_on_two_nodes() -> None:
    running = RayRunner().run(Work(opens="flyball.kernel.runners.conformance:open_upper"), pieces(*"abcd"), workers=2)
    assert next(iter(running))
    raylets = {one.ppid() for one in actors()}
    assert len(actors()) == len(raylets) == 2


@pytest.mark.usefixtures("connected")
def test_a_job_gives_the_same_rows_in_the_same_order_as_on_one_machine(
    task: Task, model: Any, frame: pd.DataFrame
) -> None:
    assert run_job(task, RayRunner()) == Scored(rows=ROWS, parts=10, kept_parts=0)
    here = replace(task, output=task.output.with_name("here"))
    run_job(here, LocalRunner())
    found = answers(task.output)
    assert found == answers(here.output)
    assert found.column("id").to_pylist() == list(range(ROWS))
    np.testing.assert_array_equal(found.column("prediction").to_numpy(zero_copy_only=False), model.predict(frame))


@pytest.mark.usefixtures("connected")
def test_workers_that_are_killed_in_the_middle_are_replaced(task: Task) -> None:
    killed: list[int] = []

    def kill_once(done: int, _total: int) -> None:
        if done == 1:
            for process in actors():
                process.kill()
                killed.append(process.pid)

    assert run_job(task, RayRunner(), progress=kill_once) == Scored(rows=ROWS, parts=10, kept_parts=0)
    assert len(killed) >= 1
    assert answers(task.output).column("id").to_pylist() == list(range(ROWS))


@pytest.mark.usefixtures("connected")
def test_a_job_that_broke_off_goes_on_where_it_was(task: Task) -> None:
    def break_off(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(task, RayRunner(), progress=break_off)
    assert run_job(task, RayRunner()) == Scored(rows=ROWS, parts=10, kept_parts=4)
    assert answers(task.output).column("id").to_pylist() == list(range(ROWS))


@pytest.mark.usefixtures("connected")
def test_a_row_that_does_not_fit_is_named(task: Task, frame: pd.DataFrame) -> None:
    broken = frame.assign(id=range(ROWS), b=["x" if row == 550 else str(row) for row in range(ROWS)])
    pq.write_table(pa.Table.from_pandas(broken, preserve_index=False), task.input)
    with pytest.raises(InvalidInput, match=r"rows\.parquet: column 'b' wants double"):
        run_job(task, RayRunner())


@pytest.mark.usefixtures("connected")
def test_tables_are_compared_part_by_part_on_the_cluster(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    paths = [tmp_path / name for name in ("ours.parquet", "theirs.parquet")]
    for path, shift in zip(paths, (0.0, 1.0), strict=True):
        rows = {"moved": generator.normal(shift, 1, 4_000), "kind": generator.choice(["a", "b"], 4_000)}
        pq.write_table(pa.table(rows), path, row_group_size=1_000)
    here, there = compare(*paths), compare(*paths, runner="ray", workers=2)
    assert there.drifted == here.drifted == ("moved",)
    for one in here.columns:
        assert there.get(one.name).measures == pytest.approx(one.measures, rel=1e-9)


def test_the_command_joins_the_cluster_by_its_address_and_leaves_it(
    cluster: Cluster, task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.shutdown()
    monkeypatch.setenv("FLYBALL_HOME", str(task.output.with_name("home")))
    given = ["score", str(task.model_folder), str(task.input), str(task.output), "--runner", "ray", "--workers", "2"]
    with pytest.raises(SystemExit) as ended:
        main(given)
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert f"{ROWS} rows in 1 parts" in said.out
    assert not ray.is_initialized()
