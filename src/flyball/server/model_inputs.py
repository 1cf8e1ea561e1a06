"""The files of a registered version, and what it takes by its MLmodel file; no model is loaded for it."""

from __future__ import annotations

import yaml

from flyball.artifacts import Artifacts
from flyball.artifacts.entities import Entry
from flyball.artifacts.paths import below
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.registry import ModelVersion
from flyball.retraining.gathering import MODEL_FILE, files_of
from flyball.serving.capture import FEATURE_PREFIX, TENSOR_PREFIX
from flyball.serving.entities import ColumnKind, Signature
from flyball.serving.model_folder import parse_signature


def read_signature(artifacts: Artifacts, version: ModelVersion) -> Signature:
    """Return the signature of a version.

    Raises:
        NotFound: its files are not kept here.
        InvalidInput: its MLmodel file cannot be read, or holds no signature.
    """
    place = files_of(version)
    text = artifacts.read(place.root, f"{place.folder}/{MODEL_FILE}" if place.folder else MODEL_FILE)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the {MODEL_FILE} of {version.name}/{version.version} is no YAML", field=MODEL_FILE
        ) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"the {MODEL_FILE} of {version.name}/{version.version} is no mapping", field=MODEL_FILE)
    return parse_signature(document.get("signature"))


def model_entries(artifacts: Artifacts, version: ModelVersion) -> dict[str, Entry]:
    """Return the files of a version by their path in the model's folder.

    Raises:
        NotFound: they are not kept here.
    """
    place = files_of(version)
    found = artifacts.walk(place.root, place.folder)
    if not found:
        raise NotFound(f"the files of {version.name}/{version.version} are not kept here", field="version")
    return {below(entry.path, place.folder): entry for entry in found}


def captured_columns(signature: Signature) -> list[str]:
    """Return the inputs of a model as the prediction log calls them."""
    return [
        (TENSOR_PREFIX if spec.kind is ColumnKind.TENSOR else FEATURE_PREFIX) + spec.name for spec in signature.inputs
    ]
