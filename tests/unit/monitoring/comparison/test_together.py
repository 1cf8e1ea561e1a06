"""What single columns cannot show: numbers together, free text, embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flyball.datasets.profile import ColumnKind
from flyball.kernel.errors import InvalidInput
from flyball.monitoring import compare
from flyball.monitoring.comparison.sources import open_source
from flyball.monitoring.multivariate.entities import JointDrift, JointKind, JointMeasureName
from flyball.monitoring.multivariate.rules import MultivariateRules

ROWS = 3_000


def _rooms(seed: int, *, together: float = 0.8) -> pa.Table:
    """Return four columns whose distributions do not depend on `together`, by which size and price move together."""
    points = np.random.default_rng(seed).normal(size=(ROWS, 4))
    points[:, 1] = together * points[:, 0] + np.sqrt(1 - together**2) * points[:, 1]
    return pa.table(dict(zip(["size", "price", "age", "floor"], points.T, strict=True)))


def _letters(seed: int, extra: tuple[str, ...] = (), rows: int = 600) -> list[str]:
    generator = np.random.default_rng(seed)
    words = np.array(["invoice", "payment", "late", "please", "thanks", "account", "order", "when", *extra])
    return [" ".join(row) for row in words[generator.integers(0, len(words), (rows, 9))]]


def _embedded(seed: int, *, shift: float = 0.0, width: int = 96, rows: int = 600) -> pa.Array:
    points = np.random.default_rng(seed).normal(shift, 1.0, (rows, width))
    return pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), width)


def _joint(found: JointDrift | None) -> JointDrift:
    assert found is not None
    return found


def test_a_correlation_that_turned_is_found_together_and_by_no_column() -> None:
    found = compare(_rooms(1), _rooms(2, together=-0.8), multivariate=True)
    assert found.drifted == ()
    assert found.faults == ()
    joint = _joint(found.joint)
    assert joint.drifted
    assert {one.name for one in joint.named} == {"size", "price"}
    assert (joint.columns, joint.rows, joint.reference_rows) == (4, 2_000, 2_000)
    assert found.changed


def test_the_same_tables_are_steady_together_and_nothing_is_read_unasked() -> None:
    found = compare(_rooms(1), _rooms(2), multivariate=True)
    assert not _joint(found.joint).drifted
    assert not found.changed
    plain = compare(_rooms(1), _rooms(2, together=-0.8))
    assert (plain.joint, plain.not_joint, plain.changed) == (None, "", False)


def test_equal_samples_give_equal_verdicts_from_any_source(tmp_path: Path) -> None:
    before, after = _rooms(1), _rooms(2, together=-0.8)
    pq.write_table(before, tmp_path / "before.parquet", row_group_size=700)
    expected = compare(before, after, multivariate=True).joint
    assert compare(before, after, multivariate=True).joint == expected
    assert compare(before.to_pandas(), after.to_pandas(), multivariate=True).joint == expected
    drawn = _joint(compare(tmp_path / "before.parquet", after, multivariate=True).joint)
    assert drawn.drifted
    assert drawn.reference_rows == pytest.approx(2_000, abs=5)


def test_rows_are_drawn_from_everywhere_in_a_file_of_many_groups(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(10_000.0)}), tmp_path / "x.parquet", row_group_size=100)
    values = open_source(tmp_path, what="reference").sample(["x"], 500).column("x").to_numpy()
    assert len(values) == pytest.approx(500, abs=20)
    assert (values.min() < 1_000, values.max() > 9_000, len(np.unique(values)) == len(values)) == (True, True, True)


def test_missing_values_are_no_change_and_a_column_at_fault_has_no_part() -> None:
    after = _rooms(2)
    holes = np.where(np.random.default_rng(3).random(ROWS) < 0.04, np.nan, after["age"].to_numpy())
    found = compare(_rooms(1), after.set_column(2, "age", pa.array(holes)), multivariate=True)
    assert (_joint(found.joint).columns, _joint(found.joint).drifted) == (4, False)
    broken = after.set_column(2, "age", pa.array(after["age"].to_numpy() * 1_000))
    assert _joint(compare(_rooms(1), broken, multivariate=True).joint).columns == 3


def test_what_cannot_be_said_together_says_why() -> None:
    few = compare(_rooms(1).slice(0, 50), _rooms(2), multivariate=True)
    assert few.not_joint == "the reference has 50 rows of it, 100 are needed"
    one = compare(_rooms(1).select(["age"]), _rooms(2).select(["age"]), multivariate=True)
    assert one.not_joint == "fewer than two columns of numbers can be compared"
    with pytest.raises(InvalidInput, match=r"multivariate\.area"):
        compare(_rooms(1), _rooms(2), multivariate=MultivariateRules(area=0.3))


def test_free_text_that_speaks_of_something_else_is_found_with_its_words() -> None:
    ours, same = (pa.table({"said": _letters(seed), "n": np.zeros(600)}) for seed in (1, 2))
    steady = compare(ours, same).get("said")
    assert (steady.kind, steady.drifted, steady.unwatched) == (ColumnKind.TEXT, False, "")
    other = pa.table({"said": _letters(3, extra=("refund", "fraud")), "n": np.zeros(600)})
    found = compare(ours, other)
    assert found.drifted == ("said",)
    joint = _joint(found.get("said").joint)
    assert joint.kind is JointKind.TEXT
    assert {'"refund"', '"fraud"'} <= {one.name for one in joint.named}


def test_embeddings_are_compared_and_other_lists_are_named() -> None:
    before = pa.table({"e": _embedded(1)})
    assert not compare(before, pa.table({"e": _embedded(2)})).changed
    moved = compare(before, pa.table({"e": _embedded(2, shift=0.4)}))
    assert moved.drifted == ("e",)
    joint = _joint(moved.get("e").joint)
    assert joint.kind is JointKind.EMBEDDING
    by = {one.measure: one.beyond for one in joint.measures}
    assert by == {JointMeasureName.CLASSIFIER: True, JointMeasureName.DISCREPANCY: True}
    shorter = compare(before, pa.table({"e": _embedded(2, width=32)})).get("e")
    assert shorter.unwatched == "its lists have 32 numbers, and 96 in the reference"
    uneven = pa.table({"e": [[1.0], [1.0, 2.0]] * 300})
    assert compare(uneven, uneven).get("e").unwatched == "its lists are not all of one length, so they are no points"


def test_the_page_and_the_json_show_what_was_found_together() -> None:
    before = pa.table(
        {**dict(zip("ab", np.random.default_rng(1).normal(size=(2, 600)), strict=True)), "e": _embedded(1)}
    )
    ours, theirs = _rooms(1).slice(0, 600), _rooms(2, together=-0.8).slice(0, 600)
    found = compare(
        ours.append_column("e", before["e"]), theirs.append_column("e", _embedded(2, shift=0.4)), multivariate=True
    )
    page = found.to_html()
    for said in (
        "Numbers together",
        "domain_classifier",
        "Told apart by",
        "mean_discrepancy",
        "1 change of the columns",
    ):
        assert said in page
    content = found.to_json()
    assert isinstance(content["joint"], dict)
    assert (content["joint"]["drifted"], content["joint"]["kind"]) == (True, "numbers")
