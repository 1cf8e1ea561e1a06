"""What `flyball score` works on: the files of a model and of its input, fetched from the server where they are named there."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flyball.client import Client
from flyball.client.paths import api, versioned
from flyball.kernel.canonical import Digest, JsonValue, digest_json
from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import datasets, models

REGISTERED = "models:/"
DATASET = "datasets:/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHere:
    """A model's folder on this machine. `name` and `version` are those of the registry; without them it is just a folder."""

    folder: Path
    digest: Digest
    name: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InputHere:
    """Files to be scored; `dataset` is the version (`<name>/<n>`) that they are, if they are one."""

    path: Path
    dataset: str = ""


@contextlib.contextmanager
def model_here(model: str, *, beside: Path) -> Iterator[ModelHere]:
    """Lend a folder with the model's files; what is fetched lies beside the output, which every worker sees."""
    from flyball.serving.score_model import tree_digest

    if not model.startswith(REGISTERED):
        folder = Path(model)
        if not (folder / "MLmodel").is_file():
            raise InvalidInput(f"{model} is neither models:/<name>/<version> nor the folder of a model", field="model")
        yield ModelHere(folder=folder, digest=tree_digest(folder))
        return
    name, version = _named(model)
    with _folder_beside(beside) as into:
        folder, client = into / "model", Client()
        listed = client.call("GET", api("models", name, version, "files"), response=models.ModelFileList)
        for file in listed.files:
            target = folder / file.path
            if not target.resolve().is_relative_to(folder.resolve()):
                raise InvalidInput(
                    f"the server names the file '{file.path}', which lies outside of the model", field="model"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download(api("models", name, version, "files", file.digest), target)
        found = tree_digest(folder)
        if found != listed.digest:
            raise InvalidInput(f"the files of {model} did not arrive as they were registered; try again", field="model")
        yield ModelHere(folder=folder, digest=found, name=listed.name, version=listed.version)


@contextlib.contextmanager
def input_here(source: str, *, beside: Path) -> Iterator[InputHere]:
    """Lend the files of an input.

    Raises:
        InvalidInput: there is no such file, or the rows of a dataset version did not arrive as they were added.
    """
    if not source.startswith(DATASET):
        path = Path(source)
        if not path.exists():
            raise InvalidInput(
                f"{source}: there is no such file or folder, nor is it datasets:/<name>/<n>", field="input"
            )
        yield InputHere(path=path.absolute())
        return
    named, client = source.removeprefix(DATASET), Client()
    version = client.call("GET", versioned("datasets", named), response=datasets.Dataset)
    with _folder_beside(beside) as into:
        path = into / f"{version.name}-{version.version}.parquet"
        client.download(api("datasets", version.name, str(version.version), "content"), path)
        _require_rows(path, version)
        yield InputHere(path=path, dataset=f"{version.name}/{version.version}")


def _require_rows(path: Path, version: datasets.Dataset) -> None:
    """Check a file against the identity of a dataset version, which covers its bytes and its schema."""
    from flyball.serving.score_model import digest_of

    columns: list[JsonValue] = [
        {"name": one.name, "type": one.type, "nullable": one.nullable} for one in version.columns
    ]
    if digest_json({"data": digest_of(path), "columns": columns}) != version.digest:
        raise InvalidInput(
            f"the rows of {version.name}/{version.version} did not arrive as they were added; try again", field="input"
        )


@contextlib.contextmanager
def _folder_beside(output: Path) -> Iterator[Path]:
    parent = output.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".flyball-score-", dir=parent) as folder:
        yield Path(folder)


def _named(model: str) -> tuple[str, str]:
    """Return name and version; an alias keeps its sign, by which the server tells it from a number."""
    rest = model.removeprefix(REGISTERED)
    name, at, alias = rest.partition("@")
    if at:
        return name, f"@{alias}"
    name, slash, version = rest.rpartition("/")
    if not slash or not name or not version:
        raise InvalidInput(
            f"'{model}' is no version: write models:/<name>/<version> or models:/<name>@<alias>", field="model"
        )
    return name, version
