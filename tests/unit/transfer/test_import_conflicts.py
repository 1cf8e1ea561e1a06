"""What is here already stays as it is, and what cannot be taken is said."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from tests.unit.transfer.sources import (
    counts,
    database_url,
    import_into,
    put_source,
    rows,
    settings_of,
    target_of,
)

from flyball.kernel.errors import FlyballError, InvalidInput, Unavailable, Unsupported
from flyball.server.platform import open_platform
from flyball.server.transfer import open_target
from flyball.transfer.opening import open_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return put_source("3.17.2", tmp_path / "source")


def change(source: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_an_experiment_whose_id_is_taken_gets_another_and_its_runs_follow(source: Path, tmp_path: Path) -> None:
    with target_of(tmp_path / "home"), contextlib.closing(open_platform(settings_of(tmp_path / "home"))) as platform:
        platform.tracking.experiments.create("somebody else's", actor="user:ada")
    report = import_into(tmp_path / "home", database_url(source))
    ours = tmp_path / "home" / "flyball.db"
    assert [(each["source_id"], each["name"]) for each in report.mapped] == [("1", "elec/prices")]
    (number,) = rows(ours, "SELECT experiment_id FROM experiments WHERE name = 'elec/prices'")[0]
    assert report.mapped[0]["id"] == str(number) != "1"
    assert rows(ours, f"SELECT count(*) FROM runs WHERE experiment_id = {number}") == [(4,)]
    (uri,) = rows(ours, "SELECT artifact_uri FROM runs WHERE name = 'child'")[0]
    assert str(uri).startswith(f"mlflow-artifacts:/{number}/")
    assert import_into(tmp_path / "home", database_url(source)).mapped == report.mapped


def test_an_experiment_of_the_same_name_takes_the_runs_and_keeps_its_tags(source: Path, tmp_path: Path) -> None:
    with target_of(tmp_path / "home"), contextlib.closing(open_platform(settings_of(tmp_path / "home"))) as platform:
        platform.tracking.experiments.create("elec/prices", actor="user:ada", tags=[("team", "other")])
    report = import_into(tmp_path / "home", database_url(source))
    assert [each["key"] for each in report.troubles] == ["1"]
    assert "team" in str(report.troubles[0]["reason"])
    ours = tmp_path / "home" / "flyball.db"
    tags = sorted(rows(ours, "SELECT key, value FROM experiment_tags"))
    assert tags == [("note", "line one\nline two"), ("team", "other")]


def test_a_run_that_changed_at_the_source_is_a_conflict_and_stays(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    run_id = str(rows(source / "mlflow.db", "SELECT run_uuid FROM runs WHERE name = 'child'")[0][0])
    change(source, f"INSERT INTO params VALUES ('late', '1', '{run_id}')")
    report = import_into(tmp_path / "home", database_url(source))
    assert [(each["kind"], each["key"], each["outcome"]) for each in report.troubles] == [("run", run_id, "conflict")]
    assert rows(tmp_path / "home" / "flyball.db", "SELECT * FROM run_params WHERE key = 'late'") == []
    assert counts(report)["run"] == {"unchanged": 4, "conflict": 1}


def test_the_same_run_from_the_same_store_under_another_name_is_no_conflict(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    (source / "copy.db").write_bytes((source / "mlflow.db").read_bytes())
    report = import_into(tmp_path / "home", f"sqlite:///{source / 'copy.db'}")
    assert report.troubles == []
    assert all(set(counter) == {"unchanged"} for counter in counts(report).values())


def test_a_run_of_the_same_id_that_came_from_elsewhere_is_left_alone(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    run_id = str(rows(source / "mlflow.db", "SELECT run_uuid FROM runs WHERE name = 'child'")[0][0])
    (source / "copy.db").write_bytes((source / "mlflow.db").read_bytes())
    change(source, f"UPDATE metrics SET value = 0.5 WHERE run_uuid = '{run_id}'")
    report = import_into(tmp_path / "home", database_url(source))
    other = import_into(tmp_path / "other", database_url(source))
    assert [each["key"] for each in report.troubles] == [run_id]
    assert other.troubles == []


def test_a_registered_model_of_the_same_name_is_left_alone(source: Path, tmp_path: Path) -> None:
    with target_of(tmp_path / "home"), contextlib.closing(open_platform(settings_of(tmp_path / "home"))) as platform:
        platform.registry.create_model("prices", actor="user:ada", description="ours")
    report = import_into(tmp_path / "home", database_url(source))
    assert [(each["kind"], each["key"]) for each in report.troubles] == [("registered-model", "prices")]
    ours = tmp_path / "home" / "flyball.db"
    assert rows(ours, "SELECT description FROM registered_models WHERE name = 'prices'") == [("ours",)]
    assert rows(ours, "SELECT count(*) FROM model_versions WHERE name = 'prices'") == [(0,)]


def test_a_new_version_at_the_source_comes_with_the_next_import(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "home", database_url(source))
    columns = "name, version, creation_time, last_updated_time, current_stage, source, run_id, status, workspace"
    change(
        source,
        f"INSERT INTO model_versions ({columns}) SELECT name, 4, creation_time, last_updated_time, 'None', source, "
        "run_id, status, workspace FROM model_versions WHERE name = 'prices' AND version = 3",
    )
    report = import_into(tmp_path / "home", database_url(source))
    assert counts(report)["model-version"] == {"added": 1, "unchanged": 4}


def test_files_that_are_gone_are_reported_and_taken_when_they_are_back(source: Path, tmp_path: Path) -> None:
    (source / "artifacts").rename(source / "away")
    report = import_into(tmp_path / "home", database_url(source))
    assert {str(each["path"]) for each in report.unreadable} == {""}
    assert any("they were moved" in str(each["reason"]) for each in report.unreadable)
    (source / "away").rename(source / "artifacts")
    again = import_into(tmp_path / "home", database_url(source))
    assert again.unreadable == []
    assert counts(again)["files"] == {"added": 9}


def test_a_file_that_is_here_with_other_content_stays_and_is_reported_each_time(source: Path, tmp_path: Path) -> None:
    run_id = str(rows(source / "mlflow.db", "SELECT run_uuid FROM runs WHERE name = 'first light'")[0][0])
    with target_of(tmp_path / "home") as target:
        target.artifacts.put(f"run/{run_id}", "answer.json", [b"ours"])
    for _ in range(2):
        report = import_into(tmp_path / "home", database_url(source))
        assert [each["key"] for each in report.troubles] == [f"run/{run_id}/answer.json"]
    with target_of(tmp_path / "home") as target:
        assert target.artifacts.read(f"run/{run_id}", "answer.json") == b"ours"


def test_a_link_out_of_the_folder_is_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    folder = next((source / "artifacts").rglob("plots"))
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "loop").symlink_to(folder.parent, target_is_directory=True)
    report = import_into(tmp_path / "home", database_url(source))
    assert {each["path"] for each in report.unreadable} == {"plots/link.txt", "plots/loop"}


def test_a_forged_place_reads_no_other_folder(source: Path, tmp_path: Path) -> None:
    change(source, "UPDATE runs SET artifact_uri = '/etc' WHERE name = 'child'")
    report = import_into(tmp_path / "home", database_url(source))
    assert [str(each["reason"]) for each in report.unreadable if "/etc" in str(each["reason"])]


def test_proxied_files_need_to_be_told_where_they_lie(source: Path, tmp_path: Path) -> None:
    change(source, "UPDATE runs SET artifact_uri = 'mlflow-artifacts:/prices/' || run_uuid || '/artifacts'")
    report = import_into(tmp_path / "home", database_url(source))
    assert any("--artifacts" in str(each["reason"]) for each in report.unreadable)
    again = import_into(tmp_path / "home", database_url(source), artifacts=str(source / "artifacts"))
    assert again.unreadable == []


def test_a_damaged_run_in_a_folder_is_named_and_the_others_come(source: Path, tmp_path: Path) -> None:
    metas = sorted((source / "mlruns").glob("[0-9]*/*/meta.yaml"))
    metas[0].write_text("][", encoding="utf-8")
    report = import_into(tmp_path / "home", str(source / "mlruns"))
    assert len(report.damaged) == 1
    assert str(metas[0]) in report.damaged[0]
    assert counts(report)["run"]["added"] == 4


@pytest.mark.parametrize(
    ("named", "kind", "words"),
    [
        ("sqlite:////nowhere/x.db", InvalidInput, "there is no database file /nowhere/x.db"),
        ("mysql://u:secret@h/d", Unsupported, "'mysql' is not read"),
        ("/nowhere", InvalidInput, "no database URL"),
        ("http://127.0.0.1:1/", Unavailable, "out of reach"),
        ("postgresql://ada:secret@127.0.0.1:1/d", Unavailable, "cannot be read"),
    ],
)
def test_a_source_that_is_none_is_refused_with_a_reason(named: str, kind: type[FlyballError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        open_source(named)
    assert "secret" not in caught.value.message


def test_a_database_that_is_none_of_mlflow_is_refused(tmp_path: Path) -> None:
    with open_target(settings_of(tmp_path / "home")):
        pass
    with pytest.raises(InvalidInput, match="is a database of Flyball"):
        open_source(f"sqlite:///{tmp_path / 'home' / 'flyball.db'}")
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(InvalidInput, match="no MLflow database"):
        open_source(f"sqlite:///{tmp_path / 'empty.db'}")
    (tmp_path / "text.db").write_text("this is no database at all" * 100, encoding="utf-8")
    with pytest.raises(InvalidInput, match="no SQLite database"):
        open_source(f"sqlite:///{tmp_path / 'text.db'}")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="no mlruns folder"):
        open_source(str(tmp_path / "folder"))


def test_an_unknown_schema_is_refused_with_what_is_supported(source: Path) -> None:
    change(source, "UPDATE alembic_version SET version_num = 'f00f00f00f00'")
    with pytest.raises(Unsupported, match=r"f00f00f00f00, which is none of MLflow 2\.0 to 3\.17"):
        open_source(database_url(source))


def test_two_imports_at_once_are_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    with open_target(settings), pytest.raises(FlyballError, match="another import"), open_target(settings):
        pass
