"""Datasets over HTTP: bytes in, versions out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from starlette.responses import StreamingResponse

from flyball.artifacts.scratch import disk_faults
from flyball.datasets import Datasets, DatasetVersion
from flyball.datasets.entities import check_name
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.server.routing import Call, Route
from flyball.wire.v1 import Done
from flyball.wire.v1 import datasets as shapes

FORMATS = {"csv": ".csv", "parquet": ".parquet"}
_VERSION_NAME = re.compile(r"[^/]+/[1-9][0-9]{0,8}")


def add(call: Call[shapes.UploadQuery]) -> shapes.Dataset:
    """Take the bytes of a CSV or Parquet file and make a version of them."""
    name = check_name(call.path["name"])
    with tempfile.TemporaryDirectory(prefix="flyball-upload-") as folder, disk_faults():
        path = Path(folder) / f"{name}{FORMATS[call.body.format]}"  # messages about the file name the dataset
        with path.open("wb") as file:
            for chunk in call.chunks(call.platform.settings.max_artifact_bytes):
                file.write(chunk)
        version = call.platform.datasets.add_file(name, path, source=call.body.source, actor=call.actor)
    return dataset_shape(version)


def get(call: Call[None]) -> shapes.Dataset:
    """Return a version."""
    return dataset_shape(_named(call))


def listing(call: Call[None]) -> shapes.DatasetList:
    """List every version."""
    return shapes.DatasetList(datasets=[dataset_shape(one) for one in call.platform.datasets.list()])


def profile(call: Call[None]) -> StreamingResponse:
    """Return the profile of a version, as it is kept."""
    found = call.platform.artifacts.blobs.open(_named(call).profile_digest)
    return StreamingResponse(found, media_type="application/json")


def content(call: Call[None]) -> StreamingResponse:
    """Stream the rows of a version, as the Parquet file that is kept."""
    version = _named(call)
    digest = call.platform.datasets.data_digest(version.name, version.version)
    return StreamingResponse(call.platform.artifacts.blobs.open(digest), media_type="application/vnd.apache.parquet")


def use(call: Call[shapes.UseDataset]) -> Done:
    """Note that a run used a dataset version."""
    version = dataset_named(call.platform.datasets, call.body.dataset)
    call.platform.note_use(call.path["run_id"], version, context=call.body.context, actor=call.actor)
    return Done()


def dataset_named(datasets: Datasets, text: str, *, field: str = "dataset") -> DatasetVersion:
    """Return the dataset version called `<name>/<n>`.

    Raises:
        InvalidInput: the name has another form.
        NotFound: there is no such version.
    """
    if not _VERSION_NAME.fullmatch(text):
        raise InvalidInput(f"'{text[:80]}' is no dataset version: expected <name>/<n>, for example elec/1", field=field)
    name, _, number = text.rpartition("/")
    return datasets.get(name, int(number))


def dataset_shape(version: DatasetVersion) -> shapes.Dataset:
    """Render a version."""
    return shapes.Dataset(
        name=version.name,
        version=version.version,
        digest=version.digest,
        row_count=version.row_count,
        columns=[shapes.ColumnShape(name=one.name, type=one.type, nullable=one.nullable) for one in version.columns],
        source=version.source,
        created_ms=version.created_ms,
    )


def _named(call: Call[None]) -> DatasetVersion:
    return dataset_named(call.platform.datasets, f"{call.path['name']}/{call.path['version']}")


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/datasets",
        permission=Permission.DATASETS_READ,
        handler=listing,
        response=shapes.DatasetList,
        summary="List dataset versions",
    ),
    Route(
        method="POST",
        path="/api/v1/datasets/{name}",
        permission=Permission.DATASETS_WRITE,
        handler=add,
        request=shapes.UploadQuery,
        response=shapes.Dataset,
        streamed=True,
        summary="Make a dataset version of a CSV or Parquet file",
    ),
    Route(
        method="GET",
        path="/api/v1/datasets/{name}/{version}",
        permission=Permission.DATASETS_READ,
        handler=get,
        response=shapes.Dataset,
        summary="Show a dataset version",
    ),
    Route(
        method="GET",
        path="/api/v1/datasets/{name}/{version}/profile",
        permission=Permission.DATASETS_READ,
        handler=profile,
        summary="Show the profile of a dataset version",
    ),
    Route(
        method="GET",
        path="/api/v1/datasets/{name}/{version}/content",
        permission=Permission.DATASETS_READ,
        handler=content,
        summary="Read the rows of a dataset version as Parquet",
    ),
    Route(
        method="POST",
        path="/api/v1/runs/{run_id}/datasets",
        permission=Permission.TRACKING_WRITE,
        handler=use,
        request=shapes.UseDataset,
        response=Done,
        summary="Note that a run used a dataset version",
    ),
)
