"""Why did it get worse? Decide before anything is trained, because training on broken data makes it worse still."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.measures.intervals import wilson
from flyball.monitoring.entities import Quality, QualityVerdict, WindowReport
from flyball.monitoring.figures import ConceptVerdict
from flyball.monitoring.findings import dropped_slices
from flyball.retraining.entities import Cause, Diagnosis

CONFIDENCE = 0.95
# Fewer familiar rows than this say nothing about the relation between features and label.
MIN_FAMILIAR_ROWS = 50
ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiar:
    """How the champion did on those labelled rows whose features lie where the reference had most of its rows."""

    rows: int
    hits: int


def diagnose(report: WindowReport, *, familiar: Familiar, tolerance: float) -> Diagnosis:
    """Read the cause from what a window showed.

    A fault in the data excludes every other finding. Then: worse also on familiar rows means that the relation between
    features and label changed (concept drift, P(y|x)); worse only elsewhere means that other rows come than were learned
    (covariate drift, P(x)). The split follows J. Moreno-Torres et al., A unifying view on dataset shift, 2012.
    """
    if report.faults:
        reasons = tuple(f"{fault.feature}: {fault.detail}" for fault in report.faults)
        return Diagnosis(cause=Cause.DATA_FAULT, reasons=reasons, numbers={f.feature: f.share for f in report.faults})
    quality = report.quality
    if quality is None or quality.verdict is QualityVerdict.UNKNOWN or quality.baseline is None:
        reason = quality.reason if quality is not None else "the window's labels are not in yet"
        return Diagnosis(cause=Cause.UNKNOWN, reasons=(f"quality is unknown: {reason}",), numbers={})
    alone = tuple(f"{one.feature} {'began to vary' if one.newly_varying else 'drifted'}" for one in report.drifted)
    drifted = (*alone, *(f"{one.subject} changed: {one.text}" for one in report.drifted_together))
    if not quality.dropped:
        return _while_quality_holds(report, quality, drifted)
    if quality.metric != ACCURACY:  # hits on familiar rows can be compared with no other baseline
        return _by_expectation(report, drifted)
    return _concept_or_covariate(familiar, quality.baseline, tolerance, drifted)


def _while_quality_holds(report: WindowReport, quality: Quality, drifted: tuple[str, ...]) -> Diagnosis:
    """Tell a loss that easier rows hide: no worse than the baseline, and surely worse than these rows let expect."""
    held = "quality holds"
    slices = tuple(f"the slice '{one.name}' dropped: {one.reason}" for one in dropped_slices(report))
    if report.concept is not None and report.concept.changed_for_the_worse:
        return _by_expectation(report, (f"{held} against the baseline", *slices, *drifted))
    reasons = (f"{held} in all rows together" if slices else held, *slices, *drifted)
    return Diagnosis(cause=Cause.UNKNOWN, reasons=reasons, numbers={"accuracy": quality.value or 0.0})


def _by_expectation(report: WindowReport, drifted: tuple[str, ...]) -> Diagnosis:
    concept = report.concept
    if concept is None or concept.verdict is ConceptVerdict.UNKNOWN:
        reason = report.unknown.get("concept", "nothing is known of what was to be expected")
        return Diagnosis(cause=Cause.UNKNOWN, reasons=(f"the concept is unknown: {reason}", *drifted), numbers={})
    numbers = {"gap": concept.gap or 0.0, "allowed": concept.allowed or 0.0}
    cause = Cause.CONCEPT_DRIFT if concept.changed_for_the_worse else Cause.COVARIATE_DRIFT
    return Diagnosis(cause=cause, reasons=(concept.reason, *drifted), numbers=numbers)


def _concept_or_covariate(familiar: Familiar, baseline: float, tolerance: float, drifted: tuple[str, ...]) -> Diagnosis:
    numbers = {"baseline": baseline, "familiar_rows": float(familiar.rows)}
    if familiar.rows < MIN_FAMILIAR_ROWS:
        reason = f"only {familiar.rows} rows look like the training data"
        return Diagnosis(cause=Cause.COVARIATE_DRIFT, reasons=(reason, *drifted), numbers=numbers)
    interval = wilson(familiar.hits, familiar.rows, confidence=CONFIDENCE)
    numbers |= {"familiar_accuracy": interval.estimate, "familiar_upper": interval.upper}
    found = f"accuracy on the {familiar.rows} rows that look like the training data is {interval.estimate:.3f}"
    if interval.upper < baseline - tolerance:
        reasons = (f"{found}, surely below the baseline {baseline:.3f}: the relation to the label changed", *drifted)
        return Diagnosis(cause=Cause.CONCEPT_DRIFT, reasons=reasons, numbers=numbers)
    reasons = (f"{found}, near the baseline {baseline:.3f}: the loss is on rows unlike the training data", *drifted)
    return Diagnosis(cause=Cause.COVARIATE_DRIFT, reasons=reasons, numbers=numbers)
