"""Give a version that was just registered the evidence that its run's training data holds: the baseline travels with it."""

from __future__ import annotations

from flyball.datasets import DatasetVersion
from flyball.kernel.errors import FlyballError, InvalidInput, NotFound
from flyball.kernel.logs import get_logger
from flyball.monitoring.sketches import sketch_table
from flyball.registry import EvidenceKind, ModelVersion
from flyball.retraining.gathering import dataset_of
from flyball.server.model_inputs import read_signature
from flyball.server.platform import Platform
from flyball.tracking.entities import DatasetInput

CONTEXT_TAG, TRAINING = "mlflow.data.context", "training"
SOURCE_TYPE, SOURCE = "flyball", "dataset-version:"
# A second or so of work. What is larger is described by `flyball model describe`, on whose machine it lies.
MOST_CELLS = 20_000_000

_log = get_logger("registry")


def describe_from_run(platform: Platform, version: ModelVersion, *, actor: str) -> None:
    """Attach the profile and the sketches of the dataset version that the run was trained on, where it says which.

    A version is registered whether it can be described or not: what keeps it from it is logged, and a monitor says "unknown".
    """
    try:
        dataset = _training_set(platform, version)
        if dataset is None:
            return
        platform.registry.attach(
            version.name, version.version, EvidenceKind.PROFILE, dataset.profile_digest, actor=actor
        )
        _attach_sketches(platform, version, dataset, actor=actor)
    except FlyballError as error:
        _log.warning("version_not_described", version=f"{version.name}/{version.version}", message=error.message)


def _training_set(platform: Platform, version: ModelVersion) -> DatasetVersion | None:
    if not version.run_id:
        return None
    inputs = platform.tracking.runs.get(version.run_id).datasets
    ours = [one for one in inputs if _is_training(one)]
    if not ours:
        return None
    return dataset_of(platform.datasets, ours[-1].dataset.source.removeprefix(SOURCE))


def _is_training(one: DatasetInput) -> bool:
    known = one.dataset.source_type == SOURCE_TYPE and one.dataset.source.startswith(SOURCE)
    return known and one.tags.get(CONTEXT_TAG, TRAINING) == TRAINING


def _attach_sketches(platform: Platform, version: ModelVersion, dataset: DatasetVersion, *, actor: str) -> None:
    names = _features(platform, version, dataset)
    if dataset.row_count * len(names) > MOST_CELLS:
        raise InvalidInput(f"{dataset.row_count} rows of {len(names)} features are too many to sketch at registration")
    rows = platform.datasets.table(dataset.name, dataset.version)
    content = sketch_table(rows, features=names).to_json()
    digest = platform.artifacts.put_json(content)
    platform.registry.attach(version.name, version.version, EvidenceKind.SKETCHES, digest, actor=actor)


def _features(platform: Platform, version: ModelVersion, dataset: DatasetVersion) -> list[str]:
    columns = [column.name for column in dataset.columns]
    try:
        wanted = [spec.name for spec in read_signature(platform.artifacts, version).inputs]
    except (NotFound, InvalidInput):
        return columns
    return [name for name in columns if name in wanted] or columns
