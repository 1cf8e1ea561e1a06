"""What is told of the answers: realised quality, the one to be expected without labels, the concept, slices and groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from flyball.kernel.telemetry import Family, Sample
from flyball.monitoring.entities import QualityVerdict
from flyball.monitoring.exports.figures import MonitorFigures

PREFIX = "flyball_monitor"
BOUNDS = ("value", "lower", "upper", "baseline")
Labelled = tuple[Mapping[str, str], object]


def quality_families(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    """Yield the quality of each monitor: what the labels of the newest mature window show, and what the newest window lets expect."""
    mature = [(one.labels, one.mature.quality) for one in monitors if one.mature is not None]
    found = [(labels, quality) for labels, quality in mature if quality is not None]
    yield from _bounded(
        f"{PREFIX}_quality",
        "Quality that the labels of the newest mature window show",
        [({**labels, "metric": quality.metric}, quality) for labels, quality in found],
    )
    yield Family(
        name=f"{PREFIX}_quality_verdict",
        what="1 for what the labels of the newest mature window say, 0 for what they do not.",
        samples=[
            Sample(labels={**labels, "verdict": verdict.value}, value=int(quality.verdict is verdict))
            for labels, quality in found
            for verdict in QualityVerdict
        ],
    )
    yield Family(
        name=f"{PREFIX}_label_coverage_ratio",
        unit="1",
        what="Share of the rows of the newest mature window that have a label.",
        samples=[Sample(labels=labels, value=quality.coverage) for labels, quality in found],
    )
    yield from _bounded(
        f"{PREFIX}_estimated_quality",
        "Quality to be expected of the newest window without its labels, while the concept holds",
        [
            ({**one.labels, "metric": estimated.metric}, estimated)
            for one in monitors
            if one.closed is not None and (estimated := one.closed.estimated) is not None
        ],
    )
    yield Family(
        name=f"{PREFIX}_concept_gap",
        what="Realised less expected quality of the newest mature window; far from 0, the same features mean another label.",
        samples=[
            Sample(labels={**one.labels, "metric": concept.metric}, value=concept.gap)
            for one in monitors
            if one.mature is not None and (concept := one.mature.concept) is not None and concept.gap is not None
        ],
    )


def part_families(monitors: Sequence[MonitorFigures], *, most: int) -> Iterator[Family]:
    """Yield the quality of named slices and the gaps between groups; at most `most` of each a monitor."""
    slices = [
        ({**one.labels, "slice": part.name, "metric": part.metric}, part)
        for one in monitors
        if one.mature is not None and one.mature.slices is not None
        for part in one.mature.slices.named[:most]
    ]
    yield from _bounded(f"{PREFIX}_slice_quality", "Quality of a named slice of the newest mature window", slices)
    yield Family(
        name=f"{PREFIX}_group_gap",
        what="Largest difference of a rate between two groups in the newest mature window.",
        samples=[
            Sample(labels={**one.labels, "column": groups.column, "rate": groups.rate}, value=groups.difference)
            for one in monitors
            if one.mature is not None
            for groups in one.mature.groups[:most]
            if groups.difference is not None
        ],
    )


def _bounded(name: str, what: str, found: Sequence[Labelled]) -> Iterator[Family]:
    """Yield a figure, its bounds, and what it is held against, each where it is known."""
    said = {
        "value": "",
        "lower": ": its lower bound",
        "upper": ": its upper bound",
        "baseline": ": what it is held against",
    }
    for part in BOUNDS:
        yield Family(
            name=name if part == "value" else f"{name}_{part}",
            what=f"{what}{said[part]}.",
            samples=list(chain.from_iterable(_known(labels, figure, part) for labels, figure in found)),
        )


def _known(labels: Mapping[str, str], figure: object, part: str) -> Iterable[Sample]:
    value: float | None = getattr(figure, part)
    return [] if value is None else [Sample(labels=labels, value=value)]
