"""Batch jobs over HTTP: what scored what, and predictions for an endpoint's log."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import Digest
from flyball.registry.naming import parse_version
from flyball.registry.scorings import Scoring, Scorings
from flyball.server.batch_capture import MAX_BYTES, capture_batch
from flyball.server.routing import Call, Route
from flyball.server.v1.datasets import dataset_named
from flyball.wire.v1 import scorings as shapes


def record(call: Call[shapes.NewScoring]) -> shapes.ScoringInfo:
    """Write down what a version has scored."""
    asked, platform = call.body, call.platform
    version = platform.registry.get_version(call.path["name"], parse_version(call.path["version"]))
    scoring = Scoring(
        job=Digest(asked.job),
        model_digest=Digest(asked.model_digest),
        rows=asked.rows,
        output_digest=Digest(asked.output_digest),
        files={one.name: Digest(one.digest) for one in asked.files},
        file_count=asked.file_count,
        dataset=None if asked.dataset is None else dataset_named(platform.datasets, asked.dataset).ref,
    )
    scorings = Scorings(events=platform.events, database=platform.database)
    return shapes.ScoringInfo(ref=scorings.record(scoring, version, actor=call.actor))


def capture(call: Call[shapes.CaptureQuery]) -> shapes.Captured:
    """Keep predictions that were made in a batch."""
    accepted, not_drawn = capture_batch(
        call.platform, call.path["endpoint"], call.body.version, call.chunks(MAX_BYTES), actor=call.actor
    )
    return shapes.Captured(rows=accepted.rows, duplicates=accepted.duplicates, not_drawn=not_drawn)


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/models/{name}/{version}/scorings",
        permission=Permission.PREDICTIONS_WRITE,
        handler=record,
        request=shapes.NewScoring,
        response=shapes.ScoringInfo,
        summary="Record what a model version has scored in a batch",
    ),
    Route(
        method="POST",
        path="/api/v1/endpoints/{endpoint}/predictions",
        permission=Permission.PREDICTIONS_WRITE,
        handler=capture,
        request=shapes.CaptureQuery,
        response=shapes.Captured,
        streamed=True,
        summary="Keep predictions of a batch in an endpoint's prediction log",
    ),
)
