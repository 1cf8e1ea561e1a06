"""What tracking reports to the event log. Points of metrics are not events; a run that ends is, with a digest of all it logged."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from flyball.kernel.canonical import Digest, JsonValue, digest_json
from flyball.kernel.events import Edge, EventKind, Ref, ref
from flyball.tracking.entities import DatasetInput, Run

_DATASET_VERSION = re.compile(r"dataset-version:(?P<key>[^/\"\s]+/[0-9]+)(?=$|[\"\s])")


class TrackingEvent(EventKind):
    """The kinds of events of this room."""

    EXPERIMENT_CREATED = "experiment.created"
    EXPERIMENT_RENAMED = "experiment.renamed"
    EXPERIMENT_TAGGED = "experiment.tagged"
    EXPERIMENT_UNTAGGED = "experiment.untagged"
    EXPERIMENT_DELETED = "experiment.deleted"
    EXPERIMENT_RESTORED = "experiment.restored"
    RUN_CREATED = "run.created"
    RUN_RENAMED = "run.renamed"
    RUN_RESUMED = "run.resumed"
    RUN_FINISHED = "run.finished"
    RUN_AMENDED = "run.amended"
    RUN_LINKED = "run.linked"
    RUN_INPUTS_LOGGED = "run.inputs_logged"
    RUN_OUTPUTS_LOGGED = "run.outputs_logged"
    RUN_DELETED = "run.deleted"
    RUN_RESTORED = "run.restored"
    LOGGED_MODEL_CREATED = "logged_model.created"
    LOGGED_MODEL_FINALIZED = "logged_model.finalized"
    LOGGED_MODEL_AMENDED = "logged_model.amended"
    LOGGED_MODEL_DELETED = "logged_model.deleted"


def run_ref(run_id: str) -> Ref:
    """Name a run in the graph of lineage."""
    return ref("run", run_id)


def model_ref(model_id: str) -> Ref:
    """Name a logged model in the graph of lineage."""
    return ref("logged-model", model_id)


def experiment_ref(experiment_id: str) -> Ref:
    """Name an experiment."""
    return ref("experiment", experiment_id)


def made_by_pipeline(run_id: str, pipeline_run_id: str) -> Edge:
    """Say which pipeline run a run belongs to."""
    return Edge(subject=run_ref(run_id), relation="made-by", object=ref("pipeline-run", pipeline_run_id))


def dataset_edges(run_id: str, inputs: Iterable[DatasetInput]) -> list[Edge]:
    """Return an edge for each input whose source names a dataset version of ours."""
    keys = [key for key in map(dataset_version_key, (item.dataset.source for item in inputs)) if key is not None]
    return [
        Edge(subject=run_ref(run_id), relation="used", object=ref("dataset-version", key))
        for key in dict.fromkeys(keys)
    ]


def dataset_version_key(source: str) -> str | None:
    """Read `<name>/<n>` from a source, which clients send bare or wrapped in JSON.

    >>> dataset_version_key("dataset-version:elec2/3")
    'elec2/3'
    >>> dataset_version_key('{"uri": "dataset-version:elec2/3"}')
    'elec2/3'
    >>> dataset_version_key("s3://bucket/elec2/3") is None
    True
    """
    found = _DATASET_VERSION.search(source)
    return found["key"] if found else None


def logged_digest(run: Run) -> Digest:
    """Return the digest of all that a run logged: params, tags, latest metrics, inputs and outputs.

    Numbers are written as text, because NaN, infinities and 64-bit integers have no canonical JSON form.
    """
    content: dict[str, JsonValue] = {
        "params": dict(run.params),
        "tags": dict(run.tags),
        "metrics": {
            key: [_number(kept.latest.value), str(kept.latest.step), str(kept.latest.timestamp_ms)]
            for key, kept in run.metrics.items()
        },
        "inputs": [[item.dataset.name, item.dataset.digest, item.dataset.source] for item in run.datasets],
        "model_inputs": list(run.model_inputs),
        "model_outputs": [[output.model_id, str(output.step)] for output in run.model_outputs],
    }
    return digest_json(content)


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)
