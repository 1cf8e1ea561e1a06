"""Merged files of the prediction log read by Polars, as the page of the log says; it is in this environment and in no other."""

from __future__ import annotations

import contextlib
from pathlib import Path

import polars as pl
import pyarrow as pa
from tests.unit.monitoring.conftest import HOUR, predictions

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import open_database
from flyball.kernel.settings import Settings
from flyball.server.home import prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform


def exported(platform: Platform, into: Path) -> list[Path]:
    """Copy the files of the log, as `flyball predictions export` does."""
    files = []
    for entry in platform.artifacts.walk("predictions/live"):
        assert entry.digest is not None
        target = into / f"{entry.digest}.parquet"
        target.write_bytes(b"".join(platform.artifacts.blobs.open(entry.digest)))
        files.append(target)
    return files


def merged(platform: Platform, clock: ManualClock) -> None:
    clock.advance(2 * HOUR)
    assert platform.compaction.merge("live", actor="service:monitor", fence=lambda: None)


def test_files_of_several_versions_with_other_columns_are_one_table(tmp_path: Path) -> None:
    settings, clock = Settings(home=tmp_path / "home"), ManualClock()
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(Platform(settings, clock)) as platform:
        first = predictions(["a", "b"], [1, 2], [1, 0], features={"price": [1.5, None], "zone": ["x", None]})
        platform.predictions.accept("live", first)
        platform.predictions.accept("live", predictions(["c"], [3], [1], features={"price": [2.5], "zone": ["y"]}))
        merged(platform, clock)
        probabilities = pa.array([[0.1, 0.2, 0.7]], type=pa.list_(pa.float64()))
        second = predictions(["d"], [4], [2], features={"price": [3.5], "hour": [7]}, version=2)
        platform.predictions.accept("live", second.append_column("probabilities", probabilities))
        merged(platform, clock)
        files = exported(platform, tmp_path)
    assert len(files) == 2
    scanned = pl.concat([pl.scan_parquet(path) for path in tmp_path.glob("*.parquet")], how="diagonal")
    whole = scanned.sort("prediction_id").collect()
    assert whole["prediction_id"].to_list() == ["a", "b", "c", "d"]
    assert whole["feature.price"].to_list() == [1.5, None, 2.5, 3.5]
    assert whole["feature.zone"].to_list() == ["x", None, "y", None]
    assert whole["feature.hour"].to_list() == [None, None, None, 7]
    assert whole["probabilities"].to_list() == [None, None, None, [0.1, 0.2, 0.7]]
    counted = whole.filter(pl.col("role") != "shadow").group_by("version").len().sort("version")
    assert counted.rows() == [(1, 3), (2, 1)]
