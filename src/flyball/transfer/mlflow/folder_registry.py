"""The registry in an `mlruns` folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flyball.kernel.canonical import Digest
from flyball.kernel.errors import InvalidInput
from flyball.registry.entities import ModelVersion, RegisteredModel, Stage
from flyball.transfer.entities import FoundModel
from flyball.transfer.locations import whereabouts
from flyball.transfer.mlflow.documents import Document, read_document, read_text_tree

# What MLflow leaves of a deleted version, so that its number is not given out again.
DELETED = "Deleted_Internal"


def registered_models(folder: Path, *, damaged: list[str]) -> Iterator[FoundModel]:
    """Yield the registered models below a folder, by name; those that cannot be read are noted."""
    for meta in sorted(folder.glob("*/meta.yaml")):
        try:
            found = _found(read_document(meta.parent))
        except InvalidInput as error:
            damaged.append(error.message)
            continue
        yield found


def _found(document: Document) -> FoundModel:
    documents = [read_document(meta.parent) for meta in document.folder.glob("version-*/meta.yaml")]
    documents.sort(key=lambda each: each.number("version"))
    kept = [each for each in documents if each.text("current_stage") != DELETED]
    numbers = {each.number("version") for each in kept}
    aliases = {alias: _number(text, document) for alias, text in read_text_tree(document.folder / "aliases").items()}
    model = RegisteredModel(
        name=str(document.need("name")),
        description=document.text("description"),
        tags=read_text_tree(document.folder / "tags"),
        aliases={alias: number for alias, number in aliases.items() if number in numbers},
        created_ms=document.number("creation_timestamp"),
        updated_ms=document.number("last_updated_timestamp"),
        created_by="",
    )
    last = max((each.number("version") for each in documents), default=0)
    return FoundModel(model=model, versions=tuple(map(_version, kept)), last=last)


def _number(text: str, document: Document) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput(f"{document.folder / 'aliases'}: '{text[:40]}' is no version", field="source") from error


def _version(document: Document) -> ModelVersion:
    source = document.text("source")
    place = whereabouts(source)
    return ModelVersion(
        name=document.text("name"),
        version=document.number("version"),
        source=source,
        location=document.text("storage_location") or source,
        run_id=document.text("run_id"),
        model_id=document.text("model_id") or (place.key if place is not None and place.kind == "model" else ""),
        run_link=document.text("run_link"),
        digest=Digest(""),
        status=document.text("status") or "READY",
        stage=Stage(document.text("current_stage") or "None"),
        description=document.text("description"),
        tags=read_text_tree(document.folder / "tags"),
        created_ms=document.number("creation_timestamp"),
        updated_ms=document.number("last_updated_timestamp"),
        created_by=document.text("user_id"),
    )
