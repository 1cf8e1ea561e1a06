"""What a window's findings say of the cause, before anything is trained."""

from __future__ import annotations

import dataclasses

from flyball.monitoring.entities import (
    DataFault,
    FaultKind,
    FeatureDrift,
    Quality,
    QualityVerdict,
    WindowReport,
    WindowState,
)
from flyball.monitoring.figures import ConceptFigure, ConceptVerdict, SliceFigure, SlicesFound, SliceVerdict
from flyball.retraining.diagnosis import MIN_FAMILIAR_ROWS, Familiar, diagnose
from flyball.retraining.entities import Cause

TOLERANCE = 0.02
WELL = Familiar(rows=400, hits=360)
BADLY = Familiar(rows=400, hits=200)
FAULT = DataFault(feature="x", kind=FaultKind.UNIT, share=0.8, detail="1000 times larger than in the reference")
DRIFT = FeatureDrift(
    feature="x", measure="wasserstein", effect=1.0, threshold=0.5, value=0.3, p_value=0.001, drifted=True
)


def quality(verdict: QualityVerdict, *, value: float | None = 0.7, baseline: float | None = 0.9) -> Quality:
    return Quality(
        metric="accuracy",
        value=value,
        lower=0.65,
        upper=0.75,
        baseline=baseline,
        tolerance=TOLERANCE,
        rows=1_000,
        hits=700,
        blocks=7,
        coverage=1.0,
        verdict=verdict,
        reason="as said",
    )


DROPPED = WindowReport(
    monitor="watch",
    start_ms=0,
    end_ms=1,
    revision=1,
    state=WindowState.MATURE,
    version=1,
    versions={1: 1_000},
    rows=1_000,
    labelled=1_000,
    quality=quality(QualityVerdict.DROPPED),
)


def test_worse_on_familiar_rows_too_is_concept_drift() -> None:
    found = diagnose(DROPPED, familiar=BADLY, tolerance=TOLERANCE)
    assert found.cause is Cause.CONCEPT_DRIFT
    assert found.retrain
    assert found.numbers["familiar_accuracy"] == 0.5
    assert found.numbers["familiar_upper"] < 0.9 - TOLERANCE


def test_well_on_familiar_rows_is_covariate_drift_and_names_what_drifted() -> None:
    found = diagnose(dataclasses.replace(DROPPED, drift=(DRIFT,)), familiar=WELL, tolerance=TOLERANCE)
    assert found.cause is Cause.COVARIATE_DRIFT
    assert found.retrain
    assert "x drifted" in found.reasons


def test_hardly_any_familiar_rows_is_covariate_drift() -> None:
    few = Familiar(rows=MIN_FAMILIAR_ROWS - 1, hits=0)
    assert diagnose(DROPPED, familiar=few, tolerance=TOLERANCE).cause is Cause.COVARIATE_DRIFT


def test_a_data_fault_excludes_every_other_cause() -> None:
    broken = dataclasses.replace(DROPPED, faults=(FAULT,), drift=(DRIFT,))
    found = diagnose(broken, familiar=BADLY, tolerance=TOLERANCE)
    assert found.cause is Cause.DATA_FAULT
    assert not found.retrain
    assert found.reasons == ("x: 1000 times larger than in the reference",)
    assert found.numbers == {"x": 0.8}


def test_without_labels_nothing_is_known() -> None:
    found = diagnose(dataclasses.replace(DROPPED, quality=None), familiar=BADLY, tolerance=TOLERANCE)
    assert found.cause is Cause.UNKNOWN
    assert not found.retrain


def test_quality_that_could_not_be_judged_is_unknown_with_the_reason() -> None:
    thin = dataclasses.replace(DROPPED, quality=quality(QualityVerdict.UNKNOWN))
    found = diagnose(thin, familiar=BADLY, tolerance=TOLERANCE)
    assert found.cause is Cause.UNKNOWN
    assert found.reasons == ("quality is unknown: as said",)


def test_quality_without_a_baseline_is_unknown() -> None:
    bare = dataclasses.replace(DROPPED, quality=quality(QualityVerdict.DROPPED, baseline=None))
    assert diagnose(bare, familiar=BADLY, tolerance=TOLERANCE).cause is Cause.UNKNOWN


def test_drift_that_costs_no_quality_is_no_reason_to_train() -> None:
    held = dataclasses.replace(DROPPED, quality=quality(QualityVerdict.HELD, value=0.9), drift=(DRIFT,))
    found = diagnose(held, familiar=WELL, tolerance=TOLERANCE)
    assert found.cause is Cause.UNKNOWN
    assert not found.retrain
    assert found.reasons == ("quality holds", "x drifted")


def concept(verdict: ConceptVerdict, *, gap: float) -> ConceptFigure:
    return ConceptFigure(
        metric="accuracy",
        expected=0.97,
        realised=0.97 + gap,
        gap=gap,
        lower=gap - 0.01,
        upper=gap + 0.01,
        allowed=0.05,
        confidence=0.99,
        rows=1_000,
        worse=gap < 0,
        verdict=verdict,
        reason="beyond all that the reference knew",
    )


def test_a_loss_that_easier_rows_hide_is_a_change_of_the_concept() -> None:
    held = dataclasses.replace(
        DROPPED,
        quality=quality(QualityVerdict.HELD, value=0.9),
        concept=concept(ConceptVerdict.CHANGED, gap=-0.07),
        drift=(DRIFT,),
    )
    found = diagnose(held, familiar=WELL, tolerance=TOLERANCE)
    assert (found.cause, found.retrain) == (Cause.CONCEPT_DRIFT, True)
    assert found.reasons == ("beyond all that the reference knew", "quality holds against the baseline", "x drifted")
    assert found.numbers == {"gap": -0.07, "allowed": 0.05}


def test_labels_kinder_than_expected_and_a_concept_that_holds_are_no_reason_to_train() -> None:
    for found in (concept(ConceptVerdict.CHANGED, gap=0.07), concept(ConceptVerdict.HELD, gap=-0.01)):
        held = dataclasses.replace(DROPPED, quality=quality(QualityVerdict.HELD, value=0.9), concept=found)
        assert diagnose(held, familiar=WELL, tolerance=TOLERANCE).cause is Cause.UNKNOWN


def test_a_drop_in_a_slice_alone_is_named_and_trains_nothing() -> None:
    night = SliceFigure(
        name="night",
        where="hour < 6",
        metric="accuracy",
        rows=200,
        share=0.2,
        value=0.5,
        lower=0.4,
        upper=0.6,
        baseline=0.9,
        verdict=SliceVerdict.DROPPED,
        reason="accuracy 0.5, baseline 0.9",
    )
    held = dataclasses.replace(DROPPED, quality=quality(QualityVerdict.HELD), slices=SlicesFound(named=(night,)))
    found = diagnose(held, familiar=WELL, tolerance=TOLERANCE)
    assert (found.cause, found.retrain) == (Cause.UNKNOWN, False)
    assert found.reasons == (
        "quality holds in all rows together",
        "the slice 'night' dropped: accuracy 0.5, baseline 0.9",
    )
