"""What a person's request to promote names, looked up before anything is written."""

from __future__ import annotations

from flyball.datasets import Datasets, DatasetVersion
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.registry import Registry
from flyball.retraining.loops import Loop, parse_dataset_name


def check_promotion(
    loop: Loop, *, version: int, training: str, holdout: str, recent: str, registry: Registry, datasets: Datasets
) -> None:
    """Refuse at once what the gates could never look at; `recent` may be empty.

    Raises:
        NotFound: there is no such version of the loop's model, or no such dataset version; `field` names which.
        InvalidInput: a name is none of a dataset version, or rows to judge by lack the loop's label or time.
    """
    registry.get_version(loop.model, version)
    _find(training, field="training", datasets=datasets)
    for field, name in (("holdout", holdout), ("recent", recent)):
        if name or field != "recent":
            _require_columns(loop, _find(name, field=field, datasets=datasets), field=field)


def _find(name: str, *, field: str, datasets: Datasets) -> DatasetVersion:
    try:
        return datasets.get(*parse_dataset_name(name, field=field))
    except NotFound as error:
        raise NotFound(f"{error.message}; list what there is with: flyball data list", field=field) from error


def _require_columns(loop: Loop, dataset: DatasetVersion, *, field: str) -> None:
    names = [column.name for column in dataset.columns]
    missing = [name for name in (loop.label_column, loop.time_column) if name not in names]
    if missing:
        raise InvalidInput(
            f"dataset {dataset.name}/{dataset.version} lacks {' and '.join(map(repr, missing))}, which loop '{loop.loop}' "
            f"calls its label and its time; it has: {', '.join(names)}. Add a version with them, or name them in the loop file",
            field=field,
        )
