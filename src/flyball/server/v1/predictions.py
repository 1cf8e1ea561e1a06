"""The files of the prediction log over HTTP: which there are, and their bytes."""

from __future__ import annotations

from starlette.responses import StreamingResponse

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import NotFound
from flyball.monitoring.entities import Segment
from flyball.server.routing import Call, Route
from flyball.wire.v1 import predictions as shapes

FOREVER_MS = 1 << 53


def listing(call: Call[shapes.PredictionSpan]) -> shapes.PredictionFileList:
    """List the files that hold a row of a span."""
    found = call.platform.predictions.segments(call.path["endpoint"], call.body.start_ms, call.body.end_ms)
    files: dict[Digest, list[Segment]] = {}
    for segment in found:
        files.setdefault(segment.digest, []).append(segment)
    size = call.platform.artifacts.blobs.size
    return shapes.PredictionFileList(files=[_file(held, size_bytes=size(digest)) for digest, held in files.items()])


def content(call: Call[None]) -> StreamingResponse:
    """Stream one of an endpoint's files."""
    endpoint, digest = call.path["endpoint"], call.path["digest"]
    if all(segment.digest != digest for segment in call.platform.predictions.segments(endpoint, 0, FOREVER_MS)):
        raise NotFound(f"endpoint '{endpoint}' has no file of predictions {digest[:64]}", field="digest")
    found = call.platform.artifacts.blobs.open(Digest(digest))
    return StreamingResponse(found, media_type="application/vnd.apache.parquet")


def _file(held: list[Segment], *, size_bytes: int) -> shapes.PredictionFile:
    return shapes.PredictionFile(
        digest=held[0].digest,
        row_count=sum(segment.row_count for segment in held),
        size_bytes=size_bytes,
        first_arrival=held[0].arrival,
        last_arrival=held[-1].arrival,
        min_ms=min(segment.min_ms for segment in held),
        max_ms=max(segment.max_ms for segment in held),
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/endpoints/{endpoint}/predictions",
        permission=Permission.PREDICTIONS_READ,
        handler=listing,
        request=shapes.PredictionSpan,
        response=shapes.PredictionFileList,
        summary="List the files of an endpoint's prediction log",
    ),
    Route(
        method="GET",
        path="/api/v1/endpoints/{endpoint}/predictions/{digest}",
        permission=Permission.PREDICTIONS_READ,
        handler=content,
        summary="Read a file of an endpoint's prediction log",
    ),
)
