"""What is worth an alert, and the order of its causes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyball.monitoring.conformance import a_report
from flyball.monitoring.entities import (
    AlertKind,
    Cause,
    DataFault,
    FaultKind,
    FeatureDrift,
    QualityVerdict,
    WindowReport,
)
from flyball.monitoring.figures import SliceFigure, SlicesFound, SliceVerdict, WorstSlice
from flyball.monitoring.findings import causes, new_findings, shown


def _drift(feature: str, effect: float, *, drifted: bool = True) -> FeatureDrift:
    return FeatureDrift(
        feature=feature,
        measure="wasserstein",
        effect=effect,
        threshold=0.5,
        value=0.3,
        p_value=0.001,
        drifted=drifted,
    )


def _fault(feature: str, share: float) -> DataFault:
    return DataFault(feature=feature, kind=FaultKind.MISSING, share=share, detail="gone")


def _report(
    start_ms: int = 0,
    *,
    faults: tuple[DataFault, ...] = (),
    drift: tuple[FeatureDrift, ...] = (),
    dropped: bool = False,
    version: int = 3,
) -> WindowReport:
    report = a_report(start_ms)
    assert report.quality is not None
    verdict = QualityVerdict.DROPPED if dropped else QualityVerdict.HELD
    quality = replace(report.quality, verdict=verdict)
    return replace(report, faults=faults, drift=drift, quality=quality, unknown={}, version=version)


def _kinds(
    report: WindowReport, *earlier: WindowReport, before: WindowReport | None = None, persist: int = 1
) -> list[str]:
    return [finding.kind for finding in new_findings(report, before=before, earlier=earlier, persist=persist)]


def test_a_quiet_window_gives_no_reason() -> None:
    assert _kinds(_report(drift=(_drift("x", 0.2, drifted=False),))) == []
    assert shown(None) == frozenset()


def test_each_finding_is_an_alert_of_its_kind() -> None:
    loud = _report(faults=(_fault("x", 0.4),), drift=(_drift("y", 0.9),), dropped=True)
    assert _kinds(loud) == [AlertKind.DATA_FAULT, AlertKind.QUALITY_DROP, AlertKind.COVARIATE_DRIFT]


def test_drift_of_a_faulty_feature_is_no_drift_alert() -> None:
    assert _kinds(_report(faults=(_fault("x", 0.4),), drift=(_drift("x", 9.0),))) == [AlertKind.DATA_FAULT]


def test_what_the_replaced_report_showed_is_no_news() -> None:
    before = _report(drift=(_drift("x", 0.9),))
    after = _report(drift=(_drift("x", 0.9),), dropped=True)
    assert _kinds(after, before=before) == [AlertKind.QUALITY_DROP]


def test_an_alert_may_need_several_windows_in_a_row() -> None:
    loud, quiet = (_drift("x", 0.9),), ()
    assert _kinds(_report(20, drift=loud), persist=2) == []
    assert _kinds(_report(20, drift=loud), _report(10, drift=quiet), persist=2) == []
    assert _kinds(_report(20, drift=loud), _report(10, drift=loud), persist=2) == [AlertKind.COVARIATE_DRIFT]
    assert _kinds(_report(20, drift=loud), _report(10, drift=loud), persist=3) == []


def test_a_fault_in_the_data_is_an_alert_at_once_whichever_version_read_it() -> None:
    broken = _report(20, faults=(_fault("a", 0.9),), dropped=True)
    assert _kinds(broken, persist=2) == [AlertKind.DATA_FAULT]
    assert _kinds(broken, _report(10, version=2), persist=2) == [AlertKind.DATA_FAULT]


def test_windows_of_another_version_do_not_count() -> None:
    loud = (_drift("x", 0.9),)
    assert _kinds(_report(20, drift=loud), _report(10, drift=loud, version=2), persist=2) == []


def test_faults_are_ranked_before_drift_and_drift_before_concept() -> None:
    report = _report(
        faults=(_fault("a", 0.9), _fault("b", 0.2)), drift=(_drift("c", 900.0), _drift("d", 0.6)), dropped=True
    )
    ranked = [(cause.feature, cause.kind) for cause in causes(report, AlertKind.QUALITY_DROP)]
    assert ranked == [("a", "missing"), ("b", "missing"), ("c", "drift"), ("d", "drift"), ("", "concept")]
    assert [cause.feature for cause in causes(report, AlertKind.DATA_FAULT)] == ["a", "b"]
    assert [cause.feature for cause in causes(report, AlertKind.COVARIATE_DRIFT)] == ["c", "d"]


def test_a_drop_without_drift_is_a_change_of_concept() -> None:
    (cause,) = causes(_report(dropped=True), AlertKind.QUALITY_DROP)
    assert (cause.kind, cause.detail) == ("concept", "accuracy 0.7500, baseline 0.9000")


def test_a_concept_that_could_not_be_told_from_drift_says_so() -> None:
    report = replace(_report(dropped=True), unknown={"drift": "no profile"})
    assert causes(report, AlertKind.QUALITY_DROP)[0].detail.endswith("could not be compared: no profile")


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (
            Cause(feature="x", kind="drift", score=1, detail="psi 0.3, threshold 0.25"),
            "x drifted (psi 0.3, threshold 0.25)",
        ),
        (
            Cause(feature="x", kind="newly_varying", score=1, detail="it stood still"),
            "x began to vary (it stood still)",
        ),
        (Cause(feature="x", kind="missing", score=1, detail="half of it is missing"), "x: half of it is missing"),
        (Cause(feature="", kind="concept", score=1, detail="accuracy 0.7, baseline 0.9"), "accuracy 0.7, baseline 0.9"),
    ],
)
def test_a_cause_reads_as_a_sentence_also_without_a_feature(cause: Cause, text: str) -> None:
    assert cause.text == text


def _slice(name: str, verdict: SliceVerdict, *, value: float = 0.7) -> SliceFigure:
    return SliceFigure(
        name=name,
        where=f"segment = '{name}'",
        metric="accuracy",
        rows=100,
        share=0.02,
        value=value,
        lower=value - 0.05,
        upper=value + 0.05,
        baseline=0.9,
        verdict=verdict,
        reason="so it is",
    )


def test_a_named_slice_that_dropped_is_an_alert_of_quality_though_all_rows_together_held() -> None:
    held, dropped = _slice("old", SliceVerdict.HELD, value=0.9), _slice("new", SliceVerdict.DROPPED)
    assert _kinds(replace(_report(), slices=SlicesFound(named=(held,), searched=""))) == []
    report = replace(_report(), slices=SlicesFound(named=(held, dropped), searched=""))
    assert _kinds(report) == [AlertKind.QUALITY_DROP]
    first = causes(report, AlertKind.QUALITY_DROP)[0]
    assert first.kind == "slice"
    assert first.score == pytest.approx(0.2)
    assert first.detail == "new (segment = 'new'): accuracy 0.7000 on 2.0% of the rows, so it is"


def test_the_worst_slice_is_among_the_first_three_causes_however_much_drifted() -> None:
    worst = WorstSlice(
        where="city = 'north'",
        features=("city",),
        metric="accuracy",
        rows=200,
        share=0.2,
        value=0.5,
        lower=0.4,
        upper=0.6,
        rest=0.9,
        against="quality",
        p_value=0.001,
        tried=40,
    )
    drift = tuple(_drift(name, 1.0) for name in "abcde")
    report = replace(_report(drift=drift, dropped=True), slices=SlicesFound(worst=worst, searched=""))
    assert [cause.kind for cause in causes(report, AlertKind.QUALITY_DROP)[:3]] == ["drift", "slice", "drift"]
