"""Let a registered version answer for rows in a process of its own, its files checked by digest before they are loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from flyball.artifacts import Artifacts
from flyball.kernel.errors import Corrupted, NotFound
from flyball.kernel.settings import Settings
from flyball.registry import ModelVersion, Registry
from flyball.registry.entities import UNKNOWN_FILES
from flyball.retraining.gathering import files_of
from flyball.server.warm_children import score_runner
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.score import score_in_child


class ChildScorer:
    """Score in a child process. Safe to share between threads."""

    def __init__(self, registry: Registry, artifacts: Artifacts, settings: Settings) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._settings = settings

    def score(self, model: str, version: int, table: pa.Table) -> pa.Table:
        registered = self._registry.get_version(model, version)
        with tempfile.TemporaryDirectory(prefix="flyball-model-") as folder:
            fetch_model(self._artifacts, registered, into=Path(folder))
            return score_in_child(
                Path(folder),
                table,
                allow_pickle=self._settings.allow_pickle,
                isolation=IsolationRules.by(self._settings),
                run=score_runner(self._settings),
            )


def fetch_model(artifacts: Artifacts, version: ModelVersion, *, into: Path) -> Path:
    """Copy the files of a version into a folder.

    Raises:
        NotFound: they are not kept here.
        Corrupted: they are not the files that were registered.
    """
    if version.digest == UNKNOWN_FILES:
        raise NotFound(
            f"the files of {version.name}/{version.version} are not kept here ({version.source}): log the model to this server and "
            "register it before it is served",
            field="version",
        )
    place = files_of(version)
    found = artifacts.tree_digest(place.root, place.folder)
    if found != version.digest:
        raise Corrupted(
            f"the files of {version.name}/{version.version} have digest {found[:16]}..., registered was {version.digest[:16]}..."
        )
    artifacts.copy_tree(place.root, place.folder, into=into)
    return into
