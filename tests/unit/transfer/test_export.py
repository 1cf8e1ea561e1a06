"""An export is read by others, comes back equal, and is refused when a byte of it changed."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from tests.unit.transfer.sources import Watcher, database_url, import_into, put_source, rows, settings_of

from flyball.governance.audit import verify_export_file
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, Unsupported
from flyball.registry import Evidence
from flyball.server.platform import open_platform
from flyball.server.transfer import open_stores, open_target
from flyball.transfer.exports.manifest import Manifest
from flyball.transfer.exports.restoring import restore_export
from flyball.transfer.exports.writing import ExportWriter
from flyball.transfer.sql.moment import open_moment

POLICY = "policy: careful\nrules: [{rule: signature_present}]"


def write_export(home: Path, folder: Path, *, url: str = "", watcher: Watcher | None = None) -> Manifest:
    with open_stores(settings_of(home, url=url)) as stores, open_moment(stores.database) as moment:
        writer = ExportWriter(folder, stores.artifacts, progress=watcher or Watcher())
        return writer.write(moment, now_ms=stores.clock.now_ms())


def restore(folder: Path, home: Path, *, url: str = "") -> Manifest:
    with open_target(settings_of(home, url=url)) as target:
        return restore_export(folder, target, progress=Watcher())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an installation with a past: what MLflow left, and what was done here since."""
    folder = tmp_path_factory.mktemp("exported")
    import_into(folder / "home", database_url(put_source("3.17.2", folder / "source")))
    with contextlib.closing(open_platform(settings_of(folder / "home"))) as platform:
        platform.access.bootstrap_owner()
        platform.datasets.add_table("elec2", pa.table({"x": [1.0, 2.0]}), source="a test", actor="user:ada")
        policy = platform.gatekeeper.publish(POLICY, actor="user:ada")
        evidence = platform.artifacts.put_json({"accuracy": 0.9})
        platform.registry.attach("prices", 1, "baseline", evidence, actor="user:ada")
        judged = Evidence(
            model="prices",
            version=1,
            version_digest=platform.registry.get_version("prices", 1).digest,
            has_signature=True,
            signature_inputs=1,
            requirements=(),
            champion_version=None,
            evaluations=(),
            training_windows=(),
        )
        platform.gatekeeper.decide(policy, judged, actor="user:ada")
    return folder / "home"


@pytest.fixture(scope="module")
def exported(home: Path) -> Path:
    write_export(home, home.parent / "export")
    return home.parent / "export"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_out_in_and_out_again_is_equal(
    exported: Path, database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = str(request.getfixturevalue("postgres_url")) if database == "postgresql" else ""
    restore(exported, tmp_path / "second", url=url)
    again = write_export(tmp_path / "second", tmp_path / "again", url=url)
    first = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    assert again.files == first["files"]
    assert {**again.content(), "made_ms": 0, "left_out": {}} == {**first, "made_ms": 0, "left_out": {}}
    assert {table: count for table, count in again.rows.items() if count == 0} == {}
    with open_target(settings_of(tmp_path / "second", url=url)) as target:
        verified = target.events.verify()
        assert (verified.intact, verified.count, verified.head) == (True, again.events, again.head)
        assert target.artifacts.read("dataset/elec2/1", target.artifacts.walk("dataset/elec2/1")[0].path)
    with contextlib.closing(open_platform(settings_of(tmp_path / "second", url=url))) as platform:
        assert platform.tracking.experiments.create("next", actor="user:ada").experiment_id == "3"
        assert platform.registry.evidence("prices", 1)
        assert platform.audit.verify().intact


def test_pandas_and_duckdb_read_it_without_us(exported: Path, home: Path) -> None:
    metrics = pd.read_parquet(exported / "metrics.parquet")
    ours = rows(home / "flyball.db", "SELECT count(*), sum(is_nan) FROM metric_points")
    assert [(len(metrics), int(metrics["value"].isna().sum()))] == ours
    last = metrics[metrics["key"] == "loss"].sort_values("step").groupby("run_id")["value"].last()
    assert sorted(last) == sorted(
        value
        for (value,) in rows(home / "flyball.db", "SELECT value FROM metric_series WHERE key = 'loss'")
        if isinstance(value, float)
    )
    found = duckdb.sql(
        f"SELECT r.name, p.value FROM '{exported}/runs.parquet' r JOIN '{exported}/params.parquet' p USING (run_id) "
        "WHERE p.key = 'alpha'"
    ).fetchall()
    assert found == [("first light", "0.1")]
    files = duckdb.sql(f"SELECT digest, size_bytes FROM '{exported}/artifacts.parquet'").fetchall()
    assert files
    for digest, size_bytes in files:
        assert (exported / "artifacts" / "sha256" / digest[:2] / digest).stat().st_size == size_bytes
    assert verify_export_file(exported / "events.jsonl").intact


def test_what_is_left_out_is_counted(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["left_out"]["identities"] == 1
    assert not set(manifest["rows"]) & set(manifest["left_out"])


@pytest.mark.parametrize("name", ["metrics.parquet", "events.jsonl", "README.md", "blobs.parquet", "blob"])
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_damaged_export_is_refused_by_the_name_of_the_file(
    exported: Path, name: str, harm: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    file = next((copy / "artifacts").rglob("*/??/*")) if name == "blob" else copy / name
    if harm == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with pytest.raises(Corrupted, match=file.name):
        restore(copy, tmp_path / "home")
    assert rows(tmp_path / "home" / "flyball.db", "SELECT count(*) FROM events") == [(0,)]
    assert not list((tmp_path / "home").glob("artifacts/sha256/*/*"))


def test_a_chain_that_was_written_anew_is_refused(exported: Path, tmp_path: Path) -> None:
    import hashlib

    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    lines = (copy / "events.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["events.jsonl"] = hashlib.sha256((copy / "events.jsonl").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(Corrupted, match="not the one that the manifest names"):
        restore(copy, tmp_path / "home")


def test_what_is_no_finished_export_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no finished export"):
        restore(tmp_path / "empty", tmp_path / "home")
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    (tmp_path / "empty" / "manifest.json").write_text(json.dumps({**manifest, "version": 2}), encoding="utf-8")
    with pytest.raises(Unsupported, match="reads version 1"):
        restore(tmp_path / "empty", tmp_path / "home")
    climbing = {**manifest, "files": {"../../etc/passwd": "0" * 64}}
    (tmp_path / "empty" / "manifest.json").write_text(json.dumps(climbing), encoding="utf-8")
    with pytest.raises(InvalidInput):
        restore(tmp_path / "empty", tmp_path / "home")


def test_an_installation_with_a_history_is_left_as_it_is(exported: Path, tmp_path: Path) -> None:
    restore(exported, tmp_path / "home")
    before = rows(tmp_path / "home" / "flyball.db", "SELECT seq, digest FROM events")
    with pytest.raises(Conflict, match="a history of its own"):
        restore(exported, tmp_path / "home")
    assert rows(tmp_path / "home" / "flyball.db", "SELECT seq, digest FROM events") == before


def test_a_folder_that_holds_something_is_not_written_into(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidInput, match="holds something already"):
        write_export(home, tmp_path)


def test_an_export_is_one_moment_while_others_write(exported: Path, tmp_path: Path) -> None:
    restore(exported, tmp_path / "home")
    with contextlib.closing(open_platform(settings_of(tmp_path / "home"))) as platform:

        class Writing(Watcher):
            def begin(self, what: str, *, total: int | None) -> None:
                super().begin(what, total=total)
                run = platform.tracking.runs.create("1", actor="user:ada", user_id="ada", start_ms=1)
                platform.tracking.log.set_tag(run.info.run_id, "during", what, actor="user:ada")

        manifest = write_export(tmp_path / "home", tmp_path / "during", watcher=Writing())
    tags = pd.read_parquet(tmp_path / "during" / "tags.parquet")
    runs = pd.read_parquet(tmp_path / "during" / "runs.parquet")
    # The first table is announced before anything is read; what began with it may be there, and then whole.
    assert set(tags[tags["key"] == "during"]["run_id"]) <= set(runs["run_id"])
    assert len(tags[tags["key"] == "during"]) <= 1
    assert verify_export_file(tmp_path / "during" / "events.jsonl").count == manifest.events


def test_lost_bytes_are_named_and_the_rest_is_written(exported: Path, tmp_path: Path) -> None:
    restore(exported, tmp_path / "home")
    blob = next((tmp_path / "home" / "artifacts").rglob("sha256/??/*"))
    blob.unlink()
    manifest = write_export(tmp_path / "home", tmp_path / "lossy")
    assert manifest.missing_blobs == (blob.name,)
    assert restore(tmp_path / "lossy", tmp_path / "third").missing_blobs == (blob.name,)


def test_infinities_and_nan_come_back(tmp_path: Path) -> None:
    source = put_source("3.17.2", tmp_path / "source")
    import_into(tmp_path / "first", str(source / "mlruns"))
    write_export(tmp_path / "first", tmp_path / "export")
    restore(tmp_path / "export", tmp_path / "second")
    statement = (
        "SELECT run_id, key, p.step, p.value, p.is_nan FROM metric_points p JOIN metric_series USING (series_id)"
    )
    found = [sorted(rows(tmp_path / name / "flyball.db", statement)) for name in ("first", "second")]
    assert found[0] == found[1]
    assert math.inf in {row[3] for row in found[1]}
