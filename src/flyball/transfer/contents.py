"""Digests of what a source says of a thing, so that a later import can tell the same content from another.

Places and ids of experiments are left out: they differ between installations. Numbers are written as text, because NaN,
infinities and 64-bit integers have no canonical JSON form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from flyball.kernel.canonical import JsonValue, canonical_json, digest_json
from flyball.registry.entities import ModelVersion, RegisteredModel
from flyball.tracking.entities import Experiment, LoggedModel, Run
from flyball.transfer.entities import Point


def experiment_digest(experiment: Experiment) -> str:
    """Return the digest of name, lifecycle and tags."""
    return digest_json({"name": experiment.name, "lifecycle": str(experiment.lifecycle), "tags": dict(experiment.tags)})


class RunDigest:
    """The digest of a run, made while its points pass by."""

    def __init__(self, run: Run) -> None:
        info = run.info
        content: dict[str, JsonValue] = {
            "run_id": info.run_id,
            "name": info.name,
            "user": info.user_id,
            "status": str(info.status),
            "start": str(info.start_ms),
            "end": str(info.end_ms),
            "lifecycle": str(info.lifecycle),
            "params": dict(run.params),
            "tags": dict(run.tags),
            "datasets": [
                [each.dataset.name, each.dataset.digest, each.dataset.source, dict(each.tags)] for each in run.datasets
            ],
            "model_inputs": sorted(run.model_inputs),
            "model_outputs": sorted([each.model_id, str(each.step)] for each in run.model_outputs),
        }
        self._hash = hashlib.sha256(canonical_json(content))
        self.points = 0

    def take(self, batch: Sequence[Point]) -> None:
        """Let a batch of points pass."""
        self.points += len(batch)
        self._hash.update("\n".join(map(repr, batch)).encode())

    @property
    def value(self) -> str:
        """The digest of what has passed."""
        return self._hash.hexdigest()


def logged_model_digest(model: LoggedModel) -> str:
    """Return the digest of a logged model."""
    return digest_json(
        {
            "name": model.name,
            "status": str(model.status),
            "message": model.status_message,
            "type": model.model_type,
            "run": model.source_run_id,
            "lifecycle": str(model.lifecycle),
            "times": [str(model.created_ms), str(model.updated_ms)],
            "tags": dict(model.tags),
            "params": dict(model.params),
            "metrics": sorted(
                [each.key, repr(each.value), str(each.timestamp_ms), str(each.step), each.dataset_name or ""]
                for each in model.metrics
            ),
        }
    )


def registered_model_digest(model: RegisteredModel) -> str:
    """Return the digest of a model's own words; its versions have their own."""
    return digest_json({"description": model.description, "tags": dict(model.tags), "aliases": dict(model.aliases)})


def version_digest(version: ModelVersion) -> str:
    """Return the digest of what the source says of a version."""
    return digest_json(
        {
            "source": version.source,
            "run": version.run_id,
            "model": version.model_id,
            "link": version.run_link,
            "status": version.status,
            "stage": str(version.stage),
            "description": version.description,
            "tags": dict(version.tags),
            "created": str(version.created_ms),
        }
    )
