"""What MLflow kept is here afterwards: compared with the source's own tables, asked directly."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path

import pytest
from tests.unit.transfer.sources import (
    VERSIONS,
    Watcher,
    counts,
    database_url,
    import_into,
    put_source,
    rows,
    target_of,
)

from flyball.registry.entities import UNKNOWN_FILES
from flyball.tracking.entities import Lifecycle, ModelStatus, Run, RunStatus
from flyball.transfer.target import Target

each_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def source(version: str, tmp_path: Path) -> Path:
    return put_source(version, tmp_path / "source")


def runs_of(target: Target, source: Path) -> dict[str, Run]:
    ids = [str(row[0]) for row in rows(source / "mlflow.db", "SELECT run_uuid FROM runs")]
    return {run.info.run_id: run for run in target.tracking.runs.load(ids)}


@each_version
def test_runs_have_the_ids_times_states_params_and_tags_of_the_database(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    with target_of(tmp_path / "home") as target:
        found = runs_of(target, source)
    database = source / "mlflow.db"
    columns = "run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage, experiment_id"
    assert sorted(rows(database, f"SELECT {columns} FROM runs")) == sorted(
        (
            run.info.run_id,
            run.info.name,
            run.info.user_id,
            str(run.info.status),
            run.info.start_ms,
            run.info.end_ms,
            str(run.info.lifecycle),
            int(run.info.experiment_id),
        )
        for run in found.values()
    )
    assert {run.info.lifecycle for run in found.values()} == {Lifecycle.ACTIVE, Lifecycle.DELETED}
    assert RunStatus.RUNNING in {run.info.status for run in found.values()}
    for table, kept in (("params", "params"), ("tags", "tags")):
        assert sorted(rows(database, f"SELECT run_uuid, key, value FROM {table}")) == sorted(
            (run_id, key, value) for run_id, run in found.items() for key, value in getattr(run, kept).items()
        )


@each_version
def test_every_point_of_every_metric_and_the_latest_are_those_of_the_database(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    database = source / "mlflow.db"
    series = rows(database, "SELECT DISTINCT run_uuid, key FROM metrics")
    points, latest = [], []
    with target_of(tmp_path / "home") as target:
        for run_id, key in series:
            for point in target.tracking.metrics.history(str(run_id), str(key), offset=0, limit=None):
                nan = math.isnan(point.value)
                points.append((run_id, key, point.timestamp_ms, point.step, 0.0 if nan else point.value, int(nan)))
        for run_id, run in runs_of(target, source).items():
            for key, kept in run.metrics.items():
                nan = math.isnan(kept.latest.value)
                latest.append((run_id, key, kept.latest.step, 0.0 if nan else kept.latest.value, int(nan)))
    columns = "run_uuid, key, timestamp, step, value, is_nan"
    assert sorted(points) == sorted(rows(database, f"SELECT {columns} FROM metrics"))
    assert sorted(latest) == sorted(rows(database, "SELECT run_uuid, key, step, value, is_nan FROM latest_metrics"))
    assert len(points) > 300


@each_version
def test_experiments_datasets_and_the_registry_are_those_of_the_database(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    ours = tmp_path / "home" / "flyball.db"
    theirs = source / "mlflow.db"
    alive = "current_stage <> 'Deleted_Internal'"
    rest = "current_stage, coalesce(run_link, ''), source, status, creation_time, last_updated_time"
    same = [
        (
            "SELECT experiment_id, name, lifecycle_stage, creation_time, last_update_time FROM experiments",
            "SELECT experiment_id, name, lifecycle, created_ms, updated_ms FROM experiments",
        ),
        ("SELECT experiment_id, key, value FROM experiment_tags",) * 2,
        (
            "SELECT name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile FROM datasets",
            "SELECT name, digest, source_type, source, schema, profile FROM logged_datasets",
        ),
        (
            "SELECT name, coalesce(description, ''), creation_time, last_updated_time FROM registered_models",
            "SELECT name, description, created_ms, updated_ms FROM registered_models",
        ),
        ("SELECT name, key, value FROM registered_model_tags", "SELECT model, key, value FROM model_tags"),
        ("SELECT name, alias, version FROM registered_model_aliases", "SELECT name, alias, version FROM model_aliases"),
        (
            f"SELECT name, version, coalesce(description, ''), {rest} FROM model_versions WHERE {alive}",
            "SELECT name, version, description, stage, run_link, source, status, created_ms, updated_ms FROM model_versions",
        ),
        (
            f"SELECT name, version, key, t.value FROM model_version_tags t JOIN model_versions USING (name, version) WHERE {alive}",
            "SELECT name, version, key, value FROM model_version_tags",
        ),
    ]
    for at_source, here in same:
        assert sorted(rows(ours, here)) == sorted(rows(theirs, at_source)), here
    assert ("prices", 3) in rows(ours, "SELECT name, last FROM version_counters")


@each_version
def test_a_number_of_a_deleted_version_is_not_given_out_again(source: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        database.execute("UPDATE model_versions SET version = 9 WHERE current_stage = 'Deleted_Internal'")
        database.commit()
    import_into(tmp_path / "home", database_url(source))
    with target_of(tmp_path / "home") as target:
        assert target.registry.versions.next_number("prices") == 10


@each_version
@pytest.mark.parametrize("kind", ["database", "folder"])
def test_files_are_here_under_their_digests(source: Path, kind: str, tmp_path: Path) -> None:
    report = import_into(tmp_path / "home", database_url(source) if kind == "database" else str(source / "mlruns"))
    assert report.unreadable == []
    below = source / "artifacts" if kind == "database" else source / "mlruns"
    files = [path for path in below.rglob("artifacts/**/*") if path.is_file() and "traces" not in path.parts]
    with target_of(tmp_path / "home") as target:
        for path in files:
            at = len(path.parts) - 1 - path.parts[::-1].index("artifacts")
            owner = path.parts[at - 1]
            root = f"model/{owner}" if owner.startswith("m-") else f"run/{owner}"
            assert target.artifacts.read(root, "/".join(path.parts[at + 1 :])) == path.read_bytes()
        version = target.registry.versions.find("prices", 1)
        assert version is not None
        assert version.digest == target.artifacts.tree_digest(
            f"run/{version.run_id}", version.source.rpartition("/")[2]
        )
        assert version.location.startswith("mlflow-artifacts:/")
    assert len(files) >= 8


@each_version
def test_a_folder_holds_the_same_as_the_database_that_the_same_calls_filled(source: Path, tmp_path: Path) -> None:
    by_folder = import_into(tmp_path / "folder", str(source / "mlruns"))
    by_database = import_into(tmp_path / "database", database_url(source))
    assert counts(by_folder) == counts(by_database)
    wanted = [
        "SELECT name, lifecycle FROM experiments",
        "SELECT name, status, start_ms, end_ms, lifecycle FROM runs",
        "SELECT name, key, value FROM run_params JOIN runs USING (run_id)",
        "SELECT name, digest, source_type, source, schema, profile FROM logged_datasets",
        "SELECT name, alias, version FROM model_aliases",
        "SELECT name, version, stage, description, run_link FROM model_versions",
        "SELECT name, status, model_type, lifecycle FROM logged_models WHERE lifecycle = 'active'",
        "SELECT DISTINCT digest FROM artifact_names WHERE path NOT LIKE '%MLmodel' AND path NOT LIKE '%.pkl'",
    ]
    for statement in wanted:
        found = [sorted(rows(tmp_path / home / "flyball.db", statement)) for home in ("folder", "database")]
        assert found[0] == found[1], statement


@pytest.mark.parametrize("version", ["3.17.2"])
def test_the_folder_keeps_infinities_that_the_database_lost(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", str(source / "mlruns"))
    with target_of(tmp_path / "home") as target:
        run_id = str(rows(tmp_path / "home" / "flyball.db", "SELECT run_id FROM runs WHERE name = 'first light'")[0][0])
        values = [(p.step, p.value) for p in target.tracking.metrics.history(run_id, "odd", offset=0, limit=None)]
        latest = target.tracking.runs.load([run_id])[0].metrics
    assert values[1:] == [(1, math.inf), (2, -math.inf), (-3, 1.5), (5, 2.5), (5, 2.5), (5, -0.1), (4, 1e300)]
    assert math.isnan(values[0][1])
    assert latest["odd"].latest.value == -0.1
    assert (latest["odd"].minimum, latest["odd"].maximum) == (-math.inf, math.inf)


@pytest.mark.parametrize("version", ["3.17.2"])
def test_logged_models_come_with_all_they_have(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    theirs = {str(row[0]) for row in rows(source / "mlflow.db", "SELECT model_id FROM logged_models")}
    with target_of(tmp_path / "home") as target:
        models = {model_id: target.tracking.models.find(model_id) for model_id in theirs}
        events = [event.kind for event in target.events.all()]
        assert target.events.verify().intact
    found = {model.name: model for model in models.values() if model is not None}
    assert len(found) == len(theirs) == 4
    scorer = found["scorer"]
    assert (scorer.params, scorer.tags, scorer.model_type) == ({"depth": "3"}, {"kind": "tree"}, "tree")
    assert [(m.key, m.value, m.step, m.dataset_name, m.dataset_digest) for m in scorer.metrics] == [
        ("auc", 0.9, 2, "prices", "abc123")
    ]
    assert found["deleted"].lifecycle is Lifecycle.DELETED
    assert found["unfinished"].status is ModelStatus.PENDING
    assert scorer.artifact_uri == f"mlflow-artifacts:/1/models/{scorer.model_id}/artifacts"
    assert events.count("import.logged_model_added") == 4
    assert events.count("import.run_added") == 5
    assert events[-1] == "import.finished"


@pytest.mark.parametrize("version", ["3.17.2"])
def test_what_is_not_kept_is_counted_by_name(source: Path, tmp_path: Path) -> None:
    report = import_into(tmp_path / "home", database_url(source))
    assert report.not_taken["traces"] == 1
    assert report.not_taken["evaluation datasets"] == 1
    assert not {"runs", "metrics", "prompts"} & set(report.not_taken)
    assert any("evaluation datasets: 1" in line for line in report.lines())
    with target_of(tmp_path / "home") as target:
        prompt = target.registry.versions.find("greeting", 1)
        assert prompt is not None
        assert prompt.tags["mlflow.prompt.text"] == "Hello {{name}}"


@each_version
@pytest.mark.parametrize("kind", ["database", "folder"])
def test_a_second_import_changes_nothing(source: Path, kind: str, tmp_path: Path) -> None:
    named = database_url(source) if kind == "database" else str(source / "mlruns")
    first = import_into(tmp_path / "home", named)
    before = _dump(tmp_path / "home" / "flyball.db")
    again = import_into(tmp_path / "home", named)
    assert _dump(tmp_path / "home" / "flyball.db") == before
    assert again.troubles == []
    assert {key: sum(counter.values()) for key, counter in counts(again).items()} == {
        key: sum(counter.values()) for key, counter in counts(first).items()
    }
    assert all(set(counter) == {"unchanged"} for counter in counts(again).values())


@pytest.mark.parametrize("version", ["3.17.2"])
def test_the_bar_is_full_at_the_end(source: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    import_into(tmp_path / "home", database_url(source), watcher=watcher)
    assert (
        watcher.done
        == watcher.totals
        == {
            "experiments": 3,
            "logged models": 4,
            "runs": 5,
            "registered models": 3,
        }
    )


@pytest.mark.parametrize("version", ["3.17.2"])
def test_a_deleted_experiment_brings_its_runs_back(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    with target_of(tmp_path / "home") as target:
        assert target.tracking.runs.restore_with_experiment("2") == 1


@pytest.mark.parametrize("version", ["3.17.2"])
def test_a_version_whose_files_are_nowhere_is_taken_and_reported(source: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        database.execute("UPDATE model_versions SET source = 's3://b/m', storage_location = NULL WHERE version = 3")
        database.commit()
    report = import_into(tmp_path / "home", database_url(source))
    assert [each["root"] for each in report.unreadable] == ["model-version/prices/3"]
    with target_of(tmp_path / "home") as target:
        version = target.registry.versions.find("prices", 3)
        assert version is not None
        assert (version.digest, version.source) == (UNKNOWN_FILES, "s3://b/m")


def _dump(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())
