"""Two tables compared: what drifts, what is at fault, and that every kind of table gives the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flyball.datasets.profile import ColumnKind
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.monitoring import compare
from flyball.monitoring.comparison import columns as reading
from flyball.monitoring.entities import FaultKind
from flyball.monitoring.monitor import DriftRules

ROWS = 2_000


def _table(seed: int, **other: object) -> pa.Table:
    generator = np.random.default_rng(seed)
    return pa.table(
        {
            "size": generator.normal(10, 2, ROWS),
            "rooms": generator.integers(1, 6, ROWS),
            "heated": generator.random(ROWS) < 0.7,
            "town": generator.choice(["a", "b", "c"], ROWS, p=[0.5, 0.3, 0.2]),
            **other,
        }
    )


def test_two_draws_of_one_thing_do_not_differ() -> None:
    found = compare(_table(1), _table(2))
    assert not found.changed
    assert {column.name for column in found.columns} == {"size", "rooms", "heated", "town"}
    assert all(column.measures and column.picture is not None for column in found.columns)


def test_what_moved_is_named_strongest_first() -> None:
    generator = np.random.default_rng(3)
    moved = _table(2, size=generator.normal(16, 2, ROWS), town=generator.choice(["a", "c"], ROWS))
    found = compare(_table(1), moved)
    assert found.drifted == ("size", "town")
    size, town = found.get("size"), found.get("town")
    assert size.drift is not None
    assert size.drift.effect == pytest.approx(3.0, abs=0.2)
    assert size.current.mean == pytest.approx(16, abs=0.2)
    assert (town.new_categories, town.vanished_categories) == ((), ("b",))


def test_a_significant_but_small_change_is_no_drift() -> None:
    generator = np.random.default_rng(3)
    many = 200_000
    ours, theirs = (pa.table({"x": generator.normal(shift, 1, many)}) for shift in (0.0, 0.1))
    column = compare(ours, theirs).get("x")
    assert column.drift is not None
    assert column.drift.p_value is not None
    assert column.drift.p_value < 1e-100
    assert not column.drifted


def test_faults_of_the_data_are_told_from_drift() -> None:
    size = np.random.default_rng(4).normal(10, 2, ROWS)
    holes = pa.array(np.where(np.arange(ROWS) % 3 == 0, np.nan, size))
    found = compare(_table(1), _table(2, size=holes, rooms=pa.array(["3"] * ROWS)))
    assert {(fault.feature, fault.kind) for fault in found.faults} == {
        ("size", FaultKind.MISSING),
        ("rooms", FaultKind.TYPE),
    }
    assert found.get("size").current.missing_share == pytest.approx(1 / 3, abs=0.01)
    grams = compare(_table(1), _table(2, size=1_000 * size))
    assert [(fault.feature, fault.kind) for fault in grams.faults] == [("size", FaultKind.OUT_OF_RANGE)]
    assert "1000 times" in grams.faults[0].detail
    assert compare(_table(1), _table(2, size=np.full(ROWS, 9.0))).faults[0].kind is FaultKind.CONSTANT


def test_what_never_varied_and_now_does_has_drifted() -> None:
    for still, moving in ((np.full(ROWS, 2.0), np.arange(ROWS) % 2), (["x"] * ROWS, ["x", "y"] * (ROWS // 2))):
        drift = compare(_table(1, flag=still), _table(2, flag=moving)).get("flag").drift
        assert drift is not None
        assert drift.newly_varying
        assert drift.effect == pytest.approx(0.5, abs=0.51)


def test_columns_of_one_table_only_are_named() -> None:
    found = compare(_table(1, old=np.zeros(ROWS)), _table(2, new=np.zeros(ROWS)))
    assert (found.only_in_reference, found.only_in_current) == (("old",), ("new",))
    assert found.changed


def test_times_free_texts_and_ignored_columns_are_named_as_not_compared() -> None:
    texts = [f"text-{place}" for place in range(11_000)]
    times = pa.array(np.arange(11_000), pa.timestamp("s"))
    table = pa.table({"when": times, "said": texts, "id": np.arange(11_000), "x": np.arange(11_000.0)})
    found = compare(table, table, drift=DriftRules(ignore=("id",)))
    reasons = {column.name: column.unwatched for column in found.columns if column.unwatched}
    assert reasons == {
        "when": "a time has no distribution to compare",
        "said": "its values are no texts of words, and hardly repeat: there is nothing to compare",
        "id": "ignored by the rules",
    }
    assert found.get("said").kind is ColumnKind.TEXT


def _as_folder(table: pa.Table, folder: Path) -> object:
    for part in range(2):
        pq.write_table(table.slice(part * 1_000, 1_000), folder / f"part-{part}.parquet", row_group_size=300)
    return folder


FORMS: dict[str, Callable[[pa.Table, Path], object]] = {
    "pandas": lambda table, _folder: table.to_pandas(),
    "pandas with objects": lambda table, _folder: table.to_pandas().astype({"town": object, "rooms": "Int64"}),
    "pandas categorical": lambda table, _folder: table.to_pandas().astype({"town": "category"}),
    "dictionary": lambda table, _folder: table.set_column(3, "town", table.column("town").dictionary_encode()),
    "duckdb": lambda table, _folder: duckdb.from_arrow(table),
    "folder": _as_folder,
    "path as text": lambda table, folder: str(_as_folder(table, folder)),
    "list of files": lambda table, folder: sorted(Path(str(_as_folder(table, folder))).iterdir()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_table_gives_the_same(form: str, tmp_path: Path) -> None:
    ours, theirs = _table(1), _table(2, size=np.random.default_rng(7).normal(12, 2, ROWS))
    expected = compare(ours, theirs).to_json()
    assert compare(FORMS[form](ours, tmp_path), theirs).to_json() == expected
    assert compare(FORMS[form](theirs, tmp_path), theirs).to_json() == compare(theirs, theirs).to_json()


@pytest.mark.parametrize("dictionary", [True, False])
def test_texts_of_files_are_counted_over_all_row_groups(dictionary: bool, tmp_path: Path) -> None:  # noqa: FBT001
    before = pa.table({"town": [*"ab" * 400, *"cb" * 200, None], "free": [f"note {row}" for row in range(1_201)]})
    after = pa.table({"town": [*"ab" * 300, *"dd" * 300, None], "free": [f"note {row}" for row in range(1_201)]})
    for name, table in (("before", before), ("after", after)):
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=500, use_dictionary=dictionary)
    found = compare(tmp_path / "before.parquet", tmp_path / "after.parquet")
    assert found.to_json() == compare(before, after).to_json()
    assert (found.get("town").new_categories, found.get("town").vanished_categories) == (("d",), ("c",))
    assert found.get("town").reference.missing_count == 1


def test_more_rows_than_are_sorted_are_sketched_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = _table(1), _table(2, size=np.random.default_rng(7).normal(13, 2, ROWS))
    exact = compare(ours, theirs).get("size")
    monkeypatch.setattr(reading, "EXACT_ROWS", 100)
    monkeypatch.setattr(reading, "POINTS", 64)
    monkeypatch.setattr(reading, "PIECES_AT_ONCE", 3)
    cut = pa.Table.from_batches(ours.to_batches(max_chunksize=150))
    rough = compare(cut, theirs).get("size")
    assert rough.drifted
    assert 0 < rough.rank_error < 0.2
    assert exact.drift is not None
    assert rough.drift is not None
    assert rough.drift.effect == pytest.approx(exact.drift.effect, abs=0.2)
    assert (rough.reference.minimum, rough.reference.maximum) == (exact.reference.minimum, exact.reference.maximum)
    assert rough.reference.mean == pytest.approx(exact.reference.mean)
    assert rough.reference.deviation == pytest.approx(exact.reference.deviation)


def test_the_result_is_json_and_one_small_page_that_escapes_names(tmp_path: Path) -> None:
    wide = {f"<b>{place}</b>" + "n" * 300: np.arange(50.0) for place in range(400)}
    texts = {f"t{place}": [f"{'&' * 40}{row}" for row in range(50)] for place in range(100)}
    found = compare(pa.table({**wide, **texts}), pa.table({**wide, **texts}))
    json.dumps(found.to_json(), allow_nan=False)
    page = found.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page
    assert "<b>" not in page
    assert len(page.encode()) < 2_000_000


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_bytes(b"no")
    table = _table(1)
    for wrong, said in (
        (tmp_path / "no.parquet", "is no Parquet file"),
        (tmp_path / "missing.parquet", "does not exist"),
        ([], "names no Parquet file"),
        (pa.table({"a": pa.array([], pa.float64())}), "0 rows"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), "column 'a' twice"),
        (pd.DataFrame({0: [1.0]}), "names are no texts"),
        (pa.table({"other": [1.0]}), "share no column"),
    ):
        with pytest.raises(InvalidInput, match=said):
            compare(table, wrong)
    for unknown in (3, {"a": [1]}, pa.table({"a": [["b"]]})):
        with pytest.raises(Unsupported):
            compare(table, unknown)
    with pytest.raises(InvalidInput, match="no column 'sise'"):
        compare(table, table, columns=["size", "sise"])
    for nothing in ([], ["sise"]):
        with pytest.raises(InvalidInput, match="0 columns of those wanted"):
            compare(table, table, columns=nothing)
    with pytest.raises(InvalidInput, match="name column 'sise'"):
        compare(table, table, drift=DriftRules(thresholds={"sise": 1.0}))


def test_a_column_that_cannot_be_compared_does_not_disturb_the_others() -> None:
    table = _table(1, lists=pa.array([["one"]] * ROWS))
    assert not compare(table, table, columns=["size"]).changed


def test_progress_is_told_column_by_column() -> None:
    told: list[tuple[int, int]] = []
    compare(_table(1), _table(2), columns=["size", "town"], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_parts_that_a_runner_summarises_say_what_the_whole_says(tmp_path: Path) -> None:
    ours, theirs = _table(1), _table(2, size=np.random.default_rng(7).normal(14, 2, ROWS))
    folders = [tmp_path / name for name in ("ours", "theirs")]
    for folder, table in zip(folders, (ours, theirs), strict=True):
        folder.mkdir()
        _as_folder(table, folder)
    here, spread = compare(*folders), compare(*folders, runner="local", workers=1)
    assert spread.drifted == here.drifted == ("size",)
    assert [(one.name, one.kind, one.faults) for one in spread.columns] == [
        (one.name, one.kind, one.faults) for one in here.columns
    ]
    for one in here.columns:
        assert spread.get(one.name).measures == pytest.approx(one.measures, rel=1e-9), one.name


def test_a_runner_takes_files_only() -> None:
    with pytest.raises(Unsupported, match="a runner takes Parquet files"):
        compare(_table(1), _table(2), runner="local")
