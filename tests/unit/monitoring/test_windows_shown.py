"""A window in short: what was realised and expected apart, and what each batch of late labels changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from tests.unit.monitoring.conftest import World

from flyball.cli import monitoring
from flyball.monitoring.calibration.entities import AlarmStatement
from flyball.monitoring.entities import FeatureDrift
from flyball.server.v1.windows import revision_infos, window_info
from flyball.wire.v1.monitors import RevisionInfo


def _described(world: World) -> World:
    world.describe(1, pa.table({"x": np.random.default_rng(1).normal(0, 1, 500)}))
    return world


def test_late_labels_open_a_window_again_and_are_counted(world: World) -> None:
    _described(world).set_monitor()
    labels = world.serve(0)
    world.label(labels[:120])
    world.serve(1)
    world.serve(2)
    world.monitors.evaluate("watch")
    world.label(labels[120:])
    world.monitors.evaluate("watch")
    first, again = revision_infos(world.monitors.report_history("watch", 0))
    assert (first.again, first.added, first.coverage) == (False, 120, 0.5)
    assert (again.again, again.revision, again.added, again.coverage) == (True, 2, 120, 1.0)
    matured = [event.payload for event in world.events.all() if event.kind == "window.matured"]
    assert [(one["labelled_before"], one["labelled"]) for one in matured if one["start_ms"] == 0] == [
        (0, 120),
        (120, 240),
    ]
    assert monitoring.revision_row(again)[0] == "matured again, revision 2, +120 labels"
    assert isinstance(again, RevisionInfo)


def test_another_metric_is_no_accuracy(world: World) -> None:
    _described(world).set_monitor(
        quality={"metric": "precision"},
        slices={"named": {"few": "x > 9"}},
        groups=[{"column": "x", "favourable": 1}],
    )
    world.label(world.serve(0, features={"x": [1.0, 2.0] * 120}))
    world.serve(1)
    (report,) = world.monitors.evaluate("watch")
    shown = window_info(report)
    assert (shown.metric, shown.accuracy, shown.verdict) == ("precision", None, "unknown")
    assert shown.value is not None
    assert shown.unknown["quality"] == "the version's baseline is accuracy, the monitor watches precision"
    assert (shown.concept, shown.estimated, shown.estimated_metric) == ("unknown", None, "")
    assert shown.slices == ["few undecided: unknown, 0 rows; no labelled row is in it"]
    assert shown.groups[0].startswith("x selection_rate within: 1 1.000 [0.969, 1.000], 2 1.000")
    lines = [line for line in monitoring.lines_beside(shown) if not line.startswith("fault: ")]
    assert lines[0].startswith("slice few undecided")
    assert lines[1].startswith("groups by x selection_rate")


def test_faults_answers_and_alarms_are_said_a_line_each(world: World) -> None:
    _described(world).set_monitor(alarms={"false_alarms": "1 per 10d"})
    world.serve(0, features={"x": [None] * 200 + [row / 40 for row in range(40)]})
    world.serve(1)
    (report,) = world.monitors.evaluate("watch")
    moved = FeatureDrift(
        feature="prediction",
        measure="jensen_shannon",
        effect=0.41,
        threshold=0.1,
        value=None,
        p_value=None,
        drifted=True,
    )
    shown = window_info(replace(report, outputs=(moved, replace(moved, feature="score", drifted=False))))
    assert monitoring.lines_beside(shown) == [
        f"fault: {report.faults[0].feature}: {report.faults[0].detail}",
        "answers: prediction drifted (jensen_shannon 0.41, threshold 0.1)",
        "alarm: 1 per 10d wanted, the rate is not known: the monitor is not calibrated for this version: run `flyball monitor calibrate`",
    ]
    judged = AlarmStatement(false_alarms="1 per 10d", calibration="ab" * 32, p_value=0.02, rate=0.77)
    shown = window_info(replace(report, alarms=judged, faults=()))
    assert monitoring.lines_beside(shown) == [
        "alarm: 1 per 10d wanted, 0.77 on average by calibration abababababab, p = 0.02"
    ]
