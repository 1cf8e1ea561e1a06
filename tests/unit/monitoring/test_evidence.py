"""What travels with a version is made from tables, checked when it is brought, and enough for a window to be judged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import World

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.monitoring import describe
from flyball.monitoring.evidence import check_evidence
from flyball.registry.entities import EvidenceKind


def _training(rows: int = 800) -> pa.Table:
    generator = np.random.default_rng(1)
    return pa.table({"x": generator.normal(0, 1, rows), "kind": generator.choice(["a", "b"], rows)})


def _evaluation(rows: int = 400) -> pa.Table:
    generator = np.random.default_rng(2)
    label = generator.integers(0, 2, rows)
    wrong = generator.random(rows) < 0.1
    return pa.table(
        {
            "x": generator.normal(0, 1, rows),
            "kind": generator.choice(["a", "b"], rows),
            "prediction": np.where(wrong, 1 - label, label),
            "label": label,
            "time_ms": np.arange(rows) * 3_600_000,
        }
    )


def test_evidence_of_all_kinds_is_made_and_accepted() -> None:
    made = describe(_training(), evaluation=_evaluation(), slices={"a": "kind = 'a'"}, dataset="holdout")
    assert set(made) == {EvidenceKind.PROFILE, EvidenceKind.SKETCHES, EvidenceKind.BASELINE}
    for kind, content in made.items():
        check_evidence(EvidenceKind(kind), content)
    sketches, baseline = made[EvidenceKind.SKETCHES], made[EvidenceKind.BASELINE]
    assert isinstance(sketches, dict)
    assert isinstance(sketches["inputs"], dict)
    assert isinstance(sketches["inputs"]["columns"], dict)
    assert set(sketches["inputs"]["columns"]) == {"x", "kind"}
    assert isinstance(baseline, dict)
    assert baseline["metric"] == "accuracy"
    assert baseline["value"] == pytest.approx(0.9, abs=0.05)


def test_without_an_evaluation_there_is_no_baseline_and_every_column_is_a_feature() -> None:
    made = describe(_training())
    assert set(made) == {EvidenceKind.PROFILE, EvidenceKind.SKETCHES}


def test_tables_without_a_common_feature_are_refused() -> None:
    with pytest.raises(InvalidInput, match="share no feature"):
        describe(_training().rename_columns(["y", "z"]), evaluation=_evaluation())


def test_what_is_no_evidence_of_its_kind_is_refused() -> None:
    for kind in (EvidenceKind.PROFILE, EvidenceKind.SKETCHES, EvidenceKind.BASELINE):
        with pytest.raises(InvalidInput):
            check_evidence(kind, {"something": 1})
    with pytest.raises(Unsupported, match="made by the platform"):
        check_evidence(EvidenceKind.PARITY, {})


def test_a_window_is_judged_by_what_travels_with_the_version(world: World) -> None:
    made = describe(_training(), evaluation=_evaluation())
    world.shelf.kept["model", 1] = {
        EvidenceKind(kind): world.artifacts.put_json(content) for kind, content in made.items()
    }
    world.set_monitor()
    generator = np.random.default_rng(3)
    for day in range(2):
        columns = {"x": generator.normal(0, 1, 240).tolist(), "kind": generator.choice(["a", "b"], 240).tolist()}
        world.serve(day, features=columns)
    (report,) = world.monitors.evaluate("watch")
    assert report.drifted == ()
    assert set(report.unknown) == {"estimated"}  # the rows of the evaluation have no scores
    assert [(one.feature, one.drifted) for one in report.outputs] == [("prediction", True)]  # it always answers 1
