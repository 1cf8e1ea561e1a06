"""What is told of features together, of texts and of embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flyball.kernel.telemetry import Family, Sample
from flyball.monitoring.exports.figures import MonitorFigures

PREFIX = "flyball_monitor_joint"


def joint_families(monitors: Sequence[MonitorFigures], *, most: int) -> Iterator[Family]:
    """Yield effect, threshold and verdict by subject and measure; of at most `most` subjects of a monitor, strongest first."""
    found = [
        ({**one.labels, "subject": joint.subject, "measure": measure.measure.value}, measure)
        for one in monitors
        if one.closed is not None
        for joint in one.closed.joint[:most]
        for measure in joint.measures
    ]
    yield Family(
        name=f"{PREFIX}_effect",
        what="How far features together, a text or an embedding lie from the reference, in the newest window that was reported.",
        samples=[Sample(labels=labels, value=one.effect) for labels, one in found],
    )
    yield Family(
        name=f"{PREFIX}_threshold",
        what="What that is held against.",
        samples=[Sample(labels=labels, value=one.threshold) for labels, one in found],
    )
    yield Family(
        name=f"{PREFIX}_drifted",
        what="1 where it is surely beyond the threshold, else 0.",
        samples=[Sample(labels=labels, value=int(one.beyond)) for labels, one in found],
    )
