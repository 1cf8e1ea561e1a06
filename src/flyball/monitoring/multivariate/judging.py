"""Two samples of rows, judged: numbers together, and each text and embedding. Pure; equal samples give equal verdicts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flyball.measures.multivariate import PERMUTATIONS, mean_discrepancy, reconstruction
from flyball.measures.points import normal_scores
from flyball.measures.samples import Floats, Matrix
from flyball.measures.separation import Separation, domain_classifier, linear_classifier
from flyball.monitoring.multivariate.entities import (
    TOGETHER,
    JointDrift,
    JointKind,
    JointMeasure,
    JointMeasureName,
    NamedShare,
)
from flyball.monitoring.multivariate.rules import LEAST_ROWS, MultivariateRules
from flyball.monitoring.multivariate.samples import RowSample, TextSample

NAMED = 5
# A share below this is noise of the classifier.
LEAST_SHARE = 0.05
# A permutation test must be able to reach the significance, however many are looked at.
MOST_PERMUTATIONS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JointFindings:
    """What was judged, the strongest first, and why a column was not."""

    drift: tuple[JointDrift, ...] = ()
    unwatched: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """The significance that each measure is held against."""

    rules: MultivariateRules
    looks: int

    @property
    def significance(self) -> float:
        return self.rules.significance / max(1, self.looks)

    @property
    def confidence(self) -> float:
        """The confidence of both bounds whose lower one holds with the significance."""
        return 1.0 - 2.0 * self.significance

    @property
    def permutations(self) -> int:
        return min(MOST_PERMUTATIONS, max(PERMUTATIONS, math.ceil(2.0 / self.significance)))


def judge_samples(
    reference: RowSample, sample: RowSample, rules: MultivariateRules, *, without: Collection[str] = ()
) -> JointFindings:
    """Judge what both samples have. `without` names columns that are left out, because their data is at fault.

    Every subject is looked at by two measures; the significance is divided by how many that are (Bonferroni).
    """
    skip = {*rules.ignore, *without}
    texts = [name for name in reference.texts if name in sample.texts and name not in skip]
    lists = [name for name in reference.embeddings if name in sample.embeddings and name not in skip]
    names = [name for name in reference.names if name in sample.names and name not in skip]
    bar = _Bar(rules=rules, looks=2 * (len(texts) + len(lists) + bool(names)))
    unwatched = {**reference.left_out, **sample.left_out}
    found: list[JointDrift] = []
    for name, one in _each(reference, sample, names=names, texts=texts, lists=lists, bar=bar):
        if isinstance(one, str):
            unwatched[name] = one
        else:
            found.append(one)
    order = sorted(found, key=lambda one: (not one.drifted, -one.strength, one.subject))
    return JointFindings(drift=tuple(order), unwatched=unwatched)


def _each(
    reference: RowSample,
    sample: RowSample,
    *,
    names: list[str],
    texts: list[str],
    lists: list[str],
    bar: _Bar,
) -> Iterable[tuple[str, JointDrift | str]]:
    if names:
        ours, theirs = ([part.names.index(name) for name in names] for part in (reference, sample))
        yield TOGETHER, _judge_numbers(names, reference.numbers[:, ours], sample.numbers[:, theirs], bar)
    for name in texts:
        yield name, _judge_texts(name, reference.texts[name], sample.texts[name], bar)
    for name in lists:
        one, other = reference.embeddings[name], sample.embeddings[name]
        if one.width != other.width:
            yield name, f"its lists have {other.width} numbers, and {one.width} in the reference"
        else:
            yield name, _judge_lists(name, one.points, other.points, bar)


def _judge_numbers(names: list[str], reference: Matrix, sample: Matrix, bar: _Bar) -> JointDrift | str:
    reason = _too_few(reference, sample)
    varying = np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in reference.T])
    if reason or varying.sum() < 2:  # noqa: PLR2004 -- one column moves with nothing
        return reason or "fewer than two columns of numbers vary in the reference"
    kept = [name for name, varies in zip(names, varying, strict=True) if varies]
    ours, theirs = normal_scores(reference[:, varying], sample[:, varying])
    apart = domain_classifier(ours, theirs, confidence=bar.confidence)
    error = reconstruction(ours, theirs)
    measures = (
        _classified(apart, bar),
        _measured(
            JointMeasureName.RECONSTRUCTION,
            error.effect if math.isfinite(error.effect) else math.copysign(1e9, error.effect),
            error.test.p_value,
            threshold=bar.rules.reconstruction,
            bar=bar,
        ),
    )
    return _joint(
        TOGETHER, JointKind.NUMBERS, (ours, theirs), measures, shares=(apart.shares, error.shares), names=kept
    )


def _judge_texts(name: str, reference: TextSample, sample: TextSample, bar: _Bar) -> JointDrift | str:
    ours, theirs = reference.points, sample.points
    reason = _too_few(ours, theirs)
    if reason:
        return reason
    apart = linear_classifier(ours, theirs, confidence=bar.confidence)
    measures = (_classified(apart, bar), _discrepancy(ours, theirs, bar))
    by_word: dict[str, float] = {}
    known = {**reference.words, **sample.words}
    for place, share in enumerate(apart.shares.tolist()):
        if place in known:
            by_word[known[place]] = by_word.get(known[place], 0.0) + share
    shares = np.array(list(by_word.values())) if by_word else np.zeros(0)
    words = [f'"{word}"' for word in by_word]
    return _joint(name, JointKind.TEXT, (ours, theirs), measures, shares=(shares, shares), names=words, columns=1)


def _judge_lists(name: str, reference: Matrix, sample: Matrix, bar: _Bar) -> JointDrift | str:
    reason = _too_few(reference, sample)
    if reason:
        return reason
    apart = domain_classifier(reference, sample, confidence=bar.confidence)
    measures = (_classified(apart, bar), _discrepancy(reference, sample, bar))
    nothing = np.zeros(0)
    return _joint(
        name, JointKind.EMBEDDING, (reference, sample), measures, shares=(nothing, nothing), names=[], columns=1
    )


def _too_few(reference: Matrix, sample: Matrix) -> str:
    for part, what in ((reference, "the reference"), (sample, "the current rows")):
        if len(part) < LEAST_ROWS:
            return f"{what} has {len(part)} rows of it, {LEAST_ROWS} are needed"
    return ""


def _classified(apart: Separation, bar: _Bar) -> JointMeasure:
    return JointMeasure(
        measure=JointMeasureName.CLASSIFIER,
        effect=apart.area.estimate,
        threshold=bar.rules.area,
        p_value=apart.p_value,
        beyond=apart.area.lower > bar.rules.area,
        lower=apart.area.lower,
        upper=apart.area.upper,
    )


def _discrepancy(ours: Matrix, theirs: Matrix, bar: _Bar) -> JointMeasure:
    test = mean_discrepancy(ours, theirs, permutations=bar.permutations)
    effect = math.sqrt(max(0.0, test.statistic))
    return _measured(JointMeasureName.DISCREPANCY, effect, test.p_value, threshold=bar.rules.discrepancy, bar=bar)


def _measured(measure: JointMeasureName, effect: float, p_value: float, *, threshold: float, bar: _Bar) -> JointMeasure:
    beyond = abs(effect) > threshold and p_value < bar.significance
    return JointMeasure(measure=measure, effect=effect, threshold=threshold, p_value=p_value, beyond=beyond)


def _joint(
    subject: str,
    kind: JointKind,
    points: tuple[Matrix, Matrix],
    measures: tuple[JointMeasure, JointMeasure],
    *,
    shares: tuple[Floats, Floats],
    names: list[str],
    columns: int = 0,
) -> JointDrift:
    strongest = max(range(len(measures)), key=lambda place: (measures[place].beyond, measures[place].strength))
    return JointDrift(
        subject=subject,
        kind=kind,
        columns=columns or len(names),
        reference_rows=len(points[0]),
        rows=len(points[1]),
        measures=measures,
        named=_named(shares[strongest], names),
        drifted=any(one.beyond for one in measures),
    )


def _named(shares: Floats, names: list[str]) -> tuple[NamedShare, ...]:
    order = np.argsort(-shares, kind="stable")[:NAMED].tolist()
    return tuple(
        NamedShare(name=names[place], share=round(float(shares[place]), 4))
        for place in order
        if shares[place] >= LEAST_SHARE
    )
