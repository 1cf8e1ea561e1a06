"""`flyball score` with a registered model, a dataset version and an endpoint's log, on a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer

from flyball.cli.main import main
from flyball.kernel.events import ref
from flyball.serving.capture_rules import CaptureRules, Treatment

ROWS = 60
OWNER = "user:owner"
MODEL_ID = "m-" + "4" * 32
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    values = np.random.default_rng(8).random((ROWS, 2))
    return pd.DataFrame({"price": values[:, 0], "demand": values[:, 1]})


@pytest.fixture(scope="module")
def rows(frame: pd.DataFrame) -> pa.Table:
    made = frame.assign(id=[f"r{row:03d}" for row in range(ROWS)], seen=[row * HOUR_MS for row in range(ROWS)])
    return pa.Table.from_pandas(made, preserve_index=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, rows: pa.Table) -> Iterator[TrackingServer]:
    """Serve a platform with a model, an endpoint, and a dataset version."""
    home, folder = tmp_path_factory.mktemp("score") / "home", tmp_path_factory.mktemp("model") / "model"
    model = LogisticRegression().fit(frame, frame["price"] > frame["demand"])
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=["scikit-learn"])
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as found:
        platform = found.platform
        for path in (each for each in folder.rglob("*") if each.is_file()):
            platform.artifacts.put(f"model/{MODEL_ID}", path.relative_to(folder).as_posix(), [path.read_bytes()])
        platform.registry.create_model("elec", actor=OWNER)
        for _ in range(2):
            platform.registry.create_version("elec", source=f"models:/{MODEL_ID}", actor=OWNER)
        platform.deployments.create("live", "elec", 1, actor=OWNER)
        platform.datasets.add_table("days", rows, source="a test", actor=OWNER)
        yield found


@pytest.fixture
def score(
    server: TrackingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Score:
    return Score(server, tmp_path, monkeypatch, capsys)


class Score:
    """Runs the command, and keeps what it printed."""

    def __init__(
        self, server: TrackingServer, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.server = server
        self.folder = folder
        self._capsys = capsys
        patch.setenv("FLYBALL_HOME", str(server.platform.settings.home))
        patch.setenv("FLYBALL_SERVER_URL", server.url)

    def __call__(self, source: str, output: str, *options: str, model: str = "models:/elec/1") -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["score", model, source, str(self.folder / output), *options])
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    def scorings(self) -> list[dict[str, object]]:
        found = self.server.platform.events.store.read(after=0, limit=1_000, kind="model_version.scored")
        return [dict(one.payload) for one in found]


def recorded(said: str) -> str:
    (name,) = [line.removeprefix("recorded as ") for line in said.splitlines() if line.startswith("recorded as ")]
    return name


def test_a_dataset_version_is_scored_and_the_lineage_says_by_what(score: Score, rows: pa.Table) -> None:
    status, said = score("datasets:/days/1", "out.parquet", "--keep", "id")
    assert (status, f"{score.folder / 'out.parquet'}: {ROWS} rows in 1 parts\n" in said) == (0, True), said
    found = pq.read_table(score.folder / "out.parquet")
    assert found.column("id").to_pylist() == rows.column("id").to_pylist()
    assert [path.name for path in score.folder.iterdir()] == ["out.parquet"]
    fact = score.scorings()[-1]
    assert (fact["model"], fact["version"], fact["rows"], fact["dataset"]) == (
        "elec",
        1,
        ROWS,
        "dataset-version:days/1",
    )
    edges = score.server.platform.events.store.edges_from(ref(*recorded(said).split(":", 1)))
    assert {(edge.relation, edge.object) for edge in edges} == {
        ("used", "model-version:elec/1"),
        ("used", "dataset-version:days/1"),
    }


def test_a_job_that_is_run_again_is_recorded_once(score: Score) -> None:
    before = len(score.scorings())
    first, again = (score("datasets:/days/1", "parts", "--part-rows", "30") for _ in range(2))
    assert first[0] == again[0] == 0
    assert "1 parts were there" in again[1]
    assert recorded(first[1]) == recorded(again[1])
    assert len(score.scorings()) == before + 1


def test_captured_predictions_stand_in_the_endpoints_log_under_their_ids(score: Score, rows: pa.Table) -> None:
    platform = score.server.platform
    rules = CaptureRules(columns={"feature.price": Treatment.HASH, "feature.demand": Treatment.DROP})
    platform.set_capture("live", rules, actor=OWNER)
    options = ("--capture", "live", "--capture-id", "id", "--capture-time", "seen")
    status, said = score("datasets:/days/1", "captured", *options)
    assert (status, f"{ROWS} predictions in the log of live\n" in said) == (0, True), said
    log = platform.predictions.read("live", 0, ROWS * HOUR_MS)
    assert log.column("prediction_id").to_pylist() == rows.column("id").to_pylist()
    assert log.column("time_ms").to_pylist() == rows.column("seen").to_pylist()
    assert set(log.column("role").to_pylist()) == {"champion"}
    assert set(log.column("version_digest").to_pylist()) == {platform.registry.get_version("elec", 1).digest}
    assert set(log.column("caller").to_pylist()) == {OWNER}
    assert "hashed.price" in log.column_names
    assert not {"feature.price", "feature.demand"} & set(log.column_names)
    answers = pq.read_table(score.folder / "captured" / "part-000000.parquet")
    assert log.column("prediction").to_pylist() == answers.column("prediction").to_pylist()
    assert not list((score.folder / "captured").glob("captured-*"))


def test_ids_that_are_made_here_are_the_same_when_the_job_is_run_again(score: Score, rows: pa.Table) -> None:
    source = score.folder / "rows.csv"
    rows.select(["price", "demand"]).to_pandas().to_csv(source, index=False)
    assert f"{ROWS} predictions in the log of live\n" in score(str(source), "a.parquet", "--capture", "live")[1]
    (score.folder / "a.parquet").unlink()
    said = score(str(source), "a.parquet", "--capture", "live")[1]
    assert f"0 predictions in the log of live, {ROWS} were there\n" in said


@pytest.mark.parametrize(
    ("options", "model", "words"),
    [
        (("--capture", "live"), "models:/elec/2", "does not answer with version 2 of elec, only with 1 of elec"),
        (("--capture", "nobody"), "models:/elec/1", "nobody"),
        (("--capture-id", "id"), "models:/elec/1", "name the endpoint by --capture"),
    ],
)
def test_what_cannot_be_captured_is_refused_with_its_reason(
    score: Score, options: tuple[str, ...], model: str, words: str
) -> None:
    before = len(score.scorings())
    status, said = score("datasets:/days/1", "out.parquet", *options, model=model)
    assert (status, words in said) == (1, True), said
    assert not (score.folder / "out.parquet").exists()
    assert len(score.scorings()) == before


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("datasets:/days/9", "no version 9"),
        ("datasets:/days", "write NAME/N"),
        ("datasets:/nobody/1", "there is no dataset 'nobody'"),
        ("absent.parquet", "no such file"),
    ],
)
def test_an_input_that_is_none_is_named(score: Score, source: str, words: str) -> None:
    status, said = score(source, "out.parquet")
    assert (status, words in said) == (1, True), said


def test_a_feature_that_the_version_does_not_take_is_refused(score: Score) -> None:
    table = pa.table({"feature.secret": [1.0]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    path = "/api/v1/endpoints/live/predictions?version=1"
    for body, words in ((sink.getvalue().to_pybytes(), "feature.secret"), (b"no Parquet", "no Parquet file")):
        answer = score.server.request("POST", path, body=body, content_type="application/octet-stream")
        assert (answer.status, words in answer.data.decode()) == (400, True), answer.data
    wrong = {
        "job": "0" * 64,
        "model_digest": "0" * 64,
        "rows": 1,
        "output_digest": "0" * 64,
        "files": [],
    }
    assert score.server.request("POST", "/api/v1/models/elec/1/scorings", json=wrong).status == 409
