"""Gather what the gates look at, each piece by digest, and what an approver approves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets, DatasetVersion
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import NotFound
from flyball.registry import Decision, ModelVersion, Policy
from flyball.registry.gates.evidence import Evidence, PairedEvaluation, WindowFact
from flyball.registry.sources import Folder, locate

MODEL_FILE = "MLmodel"
REQUIREMENTS_FILE = "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What the model's own files say of its signature and its environment."""

    signature_inputs: int
    requirements: tuple[str, ...]
    requirements_digest: Digest


def read_model_files(artifacts: Artifacts, version: ModelVersion) -> ModelFiles:
    """Read the signature and the requirements out of the files of a version.

    Raises:
        NotFound: the version has no MLmodel file.
    """
    place = files_of(version)
    root, folder = place.root, place.folder
    described = yaml.safe_load(artifacts.read(root, _join(folder, MODEL_FILE)))
    signature = (described or {}).get("signature") or {}
    inputs = yaml.safe_load(signature.get("inputs") or "[]")
    try:
        text = artifacts.read(root, _join(folder, REQUIREMENTS_FILE))
    except NotFound:
        text = b""
    lines = (line.strip() for line in text.decode().splitlines())
    return ModelFiles(
        signature_inputs=len(inputs),
        requirements=tuple(line for line in lines if line and not line.startswith("#")),
        requirements_digest=digest_bytes(text),
    )


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
    version: ModelVersion, files: ModelFiles, *, decision: Decision, policy: Policy, sets: dict[str, DatasetVersion]
) -> dict[str, str]:
    """Return everything that an approval is bound to, by digest."""
    return {
        "model": version.digest,
        "environment": files.requirements_digest,
        "policy": policy.digest,
        "evidence": decision.evidence_digest,
        **{f"data:{role}": dataset.digest for role, dataset in sets.items()},
    }


def dataset_of(datasets: Datasets, name: str) -> DatasetVersion:
    """Return the dataset version called `<name>/<n>`."""
    stem, _, number = name.rpartition("/")
    return datasets.get(stem, int(number))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
