"""The same things come from PostgreSQL, and from a server over HTTP; and they go into PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import BLOB, LargeBinary, MetaData, create_engine, insert, select
from tests.protocol.serving import serve
from tests.unit.transfer.sources import (
    Watcher,
    counts,
    database_url,
    import_into,
    put_source,
    rows,
    settings_of,
    target_of,
)

from flyball.kernel.errors import Unauthenticated, Unsupported
from flyball.server.platform import open_platform
from flyball.server.transfer import open_target
from flyball.transfer.importing import Import
from flyball.transfer.opening import Credentials, open_source
from flyball.transfer.ports import Source
from flyball.transfer.report import Report


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return put_source("3.17.2", tmp_path / "source")


def in_postgres(source: Path, url: str) -> None:
    """Put the tables of the source, as they are, into PostgreSQL."""
    there, here = create_engine(database_url(source)), create_engine(url)
    metadata = MetaData()
    metadata.reflect(there)
    for table in metadata.tables.values():
        for column in table.columns:
            column.server_default = None  # some are spelled for SQLite
            column.computed = None
            if isinstance(column.type, BLOB):
                column.type = LargeBinary()
        table.constraints = {each for each in table.constraints if each.__class__.__name__ == "PrimaryKeyConstraint"}
        table.indexes.clear()
    metadata.create_all(here)
    with there.connect() as reading, here.begin() as writing:
        for table in metadata.tables.values():
            found = [dict(row._mapping) for row in reading.execute(select(table))]
            if found:
                writing.execute(insert(table), found)
    there.dispose()
    here.dispose()


def test_a_postgres_database_holds_the_same_as_the_sqlite_one(source: Path, postgres_url: str, tmp_path: Path) -> None:
    in_postgres(source, postgres_url)
    by_postgres = import_into(tmp_path / "postgres", postgres_url)
    by_sqlite = import_into(tmp_path / "sqlite", database_url(source))
    assert counts(by_postgres) == counts(by_sqlite)
    assert by_postgres.not_taken == by_sqlite.not_taken
    for table in (
        "runs",
        "run_params",
        "run_tags",
        "metric_points",
        "logged_models",
        "model_versions",
        "artifact_names",
    ):
        found = [
            sorted(rows(tmp_path / home / "flyball.db", f"SELECT * FROM {table}")) for home in ("postgres", "sqlite")
        ]
        assert found[0] == found[1], table


def test_postgres_takes_the_same_as_sqlite_and_counts_on(source: Path, postgres_url: str, tmp_path: Path) -> None:
    into_postgres = import_into(tmp_path / "postgres", database_url(source), url=postgres_url)
    into_sqlite = import_into(tmp_path / "sqlite", database_url(source))
    again = import_into(tmp_path / "postgres", database_url(source), url=postgres_url)
    assert counts(into_postgres) == counts(into_sqlite)
    assert all(set(counter) == {"unchanged"} for counter in counts(again).values())
    with target_of(tmp_path / "postgres", url=postgres_url) as target:
        assert target.events.verify().intact
    with contextlib.closing(open_platform(settings_of(tmp_path / "postgres", url=postgres_url))) as platform:
        assert platform.tracking.experiments.create("next", actor="user:ada").experiment_id == "3"


def test_a_server_hands_out_what_the_database_holds(source: Path, tmp_path: Path) -> None:
    import_into(tmp_path / "first", database_url(source))
    with (
        contextlib.closing(open_platform(settings_of(tmp_path / "first"))) as platform,
        serve(platform) as url,
    ):
        token = platform.access.bootstrap_owner()
        with contextlib.closing(open_source(url, credentials=Credentials(token=token))) as opened:
            report = _import(opened, tmp_path / "second")
            again = _import(opened, tmp_path / "second")
        with pytest.raises(Unauthenticated, match="--token"):
            open_source(url)
        with pytest.raises(Unauthenticated):
            open_source(url, credentials=Credentials(username="ada", password="wrong"))
    assert report.unreadable == report.troubles == []
    assert all(set(counter) == {"unchanged"} for counter in counts(again).values())
    same = [
        "SELECT name, lifecycle, created_ms FROM experiments",
        "SELECT * FROM experiment_tags",
        "SELECT run_id, experiment_id, name, status, start_ms, end_ms, lifecycle, artifact_uri FROM runs",
        "SELECT * FROM run_params",
        "SELECT * FROM run_tags",
        "SELECT run_id, key, p.timestamp_ms, p.step, p.value, p.is_nan FROM metric_points p JOIN metric_series USING (series_id)",
        "SELECT name, digest, source, schema, profile FROM logged_datasets",
        "SELECT run_id, direction, model_id, step FROM run_models",
        "SELECT model_id, name, status, model_type, source_run_id FROM logged_models WHERE lifecycle = 'active'",
        "SELECT * FROM logged_model_metrics",
        "SELECT name, description, created_ms FROM registered_models",
        "SELECT name, version, stage, description, run_link, run_id, digest FROM model_versions",
        "SELECT name, alias, version FROM model_aliases",
        "SELECT root, path, digest FROM artifact_names",
    ]
    for statement in same:
        found = [sorted(map(str, rows(tmp_path / home / "flyball.db", statement))) for home in ("first", "second")]
        assert found[0] == found[1], statement


def test_a_web_server_that_is_no_mlflow_is_refused(tmp_path: Path) -> None:
    import http.server
    import threading

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(Unsupported, match="status 501"):
            open_source(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_run_of_many_points_comes_in_batches(source: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        (run_id,) = database.execute("SELECT run_uuid FROM runs WHERE name = 'child'").fetchone()
        points = (("many", step / 7, 1_700_000_000_000 + step, run_id, step, 0) for step in range(120_000))
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
        database.commit()
    report = import_into(tmp_path / "home", database_url(source))
    assert report.points == 120_313
    with target_of(tmp_path / "home") as target:
        history = target.tracking.metrics.history(run_id, "many", offset=0, limit=None)
        assert [(point.step, point.value) for point in history] == [(step, step / 7) for step in range(120_000)]
        kinds = [event.kind for event in target.events.all() if event.subject == f"run:{run_id}"]
    assert kinds == ["import.run_begun", "import.run_added"]
    again = import_into(tmp_path / "home", database_url(source))
    assert counts(again)["run"] == {"unchanged": 5}


def _import(opened: Source, home: Path) -> Report:
    with open_target(settings_of(home)) as target:
        return Import(opened, target, progress=Watcher()).run()
