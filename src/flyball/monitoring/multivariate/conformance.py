"""A finding with everything that can be in one, for the suites of stores that keep it."""

from __future__ import annotations

from flyball.monitoring.multivariate.entities import (
    TOGETHER,
    JointDrift,
    JointKind,
    JointMeasure,
    JointMeasureName,
    NamedShare,
)


def a_joint_drift() -> JointDrift:
    """Return two features that were looked at together, and are steady."""
    measures = (
        JointMeasure(
            measure=JointMeasureName.CLASSIFIER,
            effect=0.5625,
            threshold=0.55,
            p_value=0.001,
            beyond=False,
            lower=0.52,
            upper=0.61,
        ),
        JointMeasure(measure=JointMeasureName.RECONSTRUCTION, effect=-0.25, threshold=0.5, p_value=0.25, beyond=False),
    )
    return JointDrift(
        subject=TOGETHER,
        kind=JointKind.NUMBERS,
        columns=2,
        reference_rows=100,
        rows=7,
        measures=measures,
        named=(NamedShare(name="x", share=0.5),),
        drifted=False,
    )
