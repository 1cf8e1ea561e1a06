"""Gather what the gates look at, each piece by digest, and what an approver approves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets, DatasetVersion
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.registry import Decision, ModelVersion, Policy
from flyball.registry.gates.evidence import Evidence, PairedEvaluation, WindowFact
from flyball.registry.sources import Folder, locate
from flyball.retraining.loops import parse_dataset_name

MODEL_FILE = "MLmodel"
REQUIREMENTS_FILE = "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What the model's own files say of its signature and its environment; `tree_digest` covers every one of them."""

    signature_inputs: int
    requirements: tuple[str, ...]
    requirements_digest: Digest
    tree_digest: Digest


def read_model_files(artifacts: Artifacts, version: ModelVersion) -> ModelFiles:
    """Read the signature and the requirements out of the files of a version, as they lie there now.

    Raises:
        NotFound: the version has no MLmodel file.
        InvalidInput: its MLmodel file is none.
    """
    place = files_of(version)
    root, folder = place.root, place.folder
    described = artifacts.read(root, _join(folder, MODEL_FILE))
    try:
        text = artifacts.read(root, _join(folder, REQUIREMENTS_FILE))
    except NotFound:
        text = b""
    lines = (line.strip() for line in text.decode(errors="replace").splitlines())
    return ModelFiles(
        signature_inputs=_count_inputs(described, version),
        requirements=tuple(line for line in lines if line and not line.startswith("#")),
        requirements_digest=digest_bytes(text),
        tree_digest=artifacts.tree_digest(root, folder),
    )


def _count_inputs(described: bytes, version: ModelVersion) -> int:
    try:
        signature = (yaml.safe_load(described) or {}).get("signature") or {}
        return len(yaml.safe_load(signature.get("inputs") or "[]"))
    except (yaml.YAMLError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the {MODEL_FILE} of {version.name}/{version.version} cannot be read: log the model again",
            field=MODEL_FILE,
        ) from error


def files_of(version: ModelVersion) -> Folder:
    """Return where the files of a version lie in the artifact store.

    Raises:
        NotFound: its source is none that this platform keeps.
    """
    place = locate(version.location or version.source, run_id=version.run_id, model_id=version.model_id)
    if place is None:
        raise NotFound(
            f"the files of {version.name}/{version.version} are not kept here: {version.source}", field="source"
        )
    return place


def gather(
    version: ModelVersion,
    files: ModelFiles,
    *,
    champion: int | None,
    evaluations: tuple[PairedEvaluation, ...],
    windows: Iterable[WindowFact],
) -> Evidence:
    """Put the evidence together."""
    return Evidence(
        model=version.name,
        version=version.version,
        version_digest=version.digest,
        has_signature=files.signature_inputs > 0,
        signature_inputs=files.signature_inputs,
        requirements=files.requirements,
        champion_version=champion,
        evaluations=evaluations,
        training_windows=tuple(windows),
    )


def approvable(
    files: ModelFiles, *, decision: Decision, policy: Policy, sets: Mapping[str, DatasetVersion]
) -> dict[str, str]:
    """Return everything that an approval is bound to, by digest; the model's files by what they are now."""
    return {
        "model": files.tree_digest,
        "environment": files.requirements_digest,
        "policy": policy.digest,
        "evidence": decision.evidence_digest,
        **{f"data:{role}": dataset.digest for role, dataset in sets.items()},
    }


def dataset_of(datasets: Datasets, name: str) -> DatasetVersion:
    """Return the dataset version called `<name>/<n>`.

    Raises:
        InvalidInput: the name is none of a dataset version.
        NotFound: there is none of that name.
    """
    return datasets.get(*parse_dataset_name(name, field="dataset"))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
