"""Where the path of the artifact proxy leads: to the files of a run, of a logged model, or of nobody in particular."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flyball.artifacts.paths import clean_folder
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.tracking.service import Tracking

SCHEME = "mlflow-artifacts:/"
NOBODYS = "proxy"
"""Root of the files that clients keep in the proxy beside those of runs and logged models, such as traces."""
_RUN = re.compile(r"(?P<base>(?:.+?/)??(?P<id>[0-9a-f]{32})/artifacts)(?:/(?P<path>.+))?")
_MODEL = re.compile(r"(?P<base>(?:.+?/)??models/(?P<id>m-[0-9a-f]{32})/artifacts)(?:/(?P<path>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A root of the artifact store, and a path below it (empty for the root itself)."""

    root: str
    path: str


def run_root(run_id: str) -> str:
    """Return the root of a run's files."""
    return f"run/{run_id}"


def model_root(model_id: str) -> str:
    """Return the root of a logged model's files."""
    return f"model/{model_id}"


def checked_path(path: str) -> str:
    """Return a path of the proxy without its empty parts and those that are a dot, as MLflow's server reads it.

    The client asks for `.` where it means the root. Nothing else is mended.

    Raises:
        InvalidInput: it is absolute, or has a part '..', or a character that no path has.
    """
    parts = path.split("/") if path.startswith("/") else [part for part in path.split("/") if part not in {"", "."}]
    try:
        return clean_folder("/".join(parts))
    except InvalidInput as error:
        # MLflow says no more than this, and its tests compare the whole answer.
        raise InvalidInput("Invalid path", field="path") from error


def locate(path: str, tracking: Tracking) -> Location:
    """Follow a path such as `0/<run>/artifacts/a.txt`; one that names no run and no logged model is a file of nobody.

    Raises:
        InvalidInput: the path is not clean.
        NotFound: it names a run or a logged model that is not there.
    """
    checked_path(path)
    found = [match for match in (_RUN.fullmatch(path), _MODEL.fullmatch(path)) if match]
    if not found:
        return Location(root=NOBODYS, path=path)
    # A file's own path may look like the other kind, so the one that begins first counts.
    first = min(found, key=lambda match: len(match["base"]))
    key = first["id"]
    if first.re is _MODEL:
        root, artifact_uri = model_root(key), tracking.models.get(key, deleted=True).artifact_uri
    else:
        root, artifact_uri = run_root(key), tracking.runs.get_info(key).artifact_uri
    # The same id under another experiment's folder is somebody's mistake, and no second name for the files.
    if artifact_uri != SCHEME + first["base"]:
        raise _nowhere(path)
    return Location(root=root, path=first["path"] or "")


def _nowhere(path: str) -> NotFound:
    return NotFound(
        f"'{path}' leads to no run and no logged model: expected <experiment>/<run>/artifacts/... or "
        "<experiment>/models/<model>/artifacts/...",
        field="path",
    )
