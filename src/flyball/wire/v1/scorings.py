"""Shapes of batch jobs: what was scored by which version, and the predictions that go into an endpoint's log."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flyball.wire.v1 import Body, DatasetVersionName, Positive, Shape, Whole

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class ScoredFile(Body):
    """A file that was read: its name where the job ran, and the SHA-256 of its bytes."""

    name: Annotated[str, msgspec.Meta(max_length=1_024)]
    digest: Digest


class NewScoring(Body):
    """A job that is done: by which files of the model, on what, and the digest of its answers."""

    job: Digest
    model_digest: Digest
    rows: Whole
    output_digest: Digest
    files: Annotated[list[ScoredFile], msgspec.Meta(max_length=100)]
    file_count: Whole = 0
    dataset: DatasetVersionName | None = None


class ScoringInfo(Shape):
    """A recorded job, by its place in the lineage."""

    ref: str


class CaptureQuery(Body):
    """The version that answered."""

    version: Positive


class Captured(Shape):
    """What became of predictions: kept, known already, or not drawn by the endpoint's rules."""

    rows: int
    duplicates: int
    not_drawn: int
