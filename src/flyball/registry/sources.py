"""Where a version's files come from: the URIs that the MLflow client names as source, and the digest of what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flyball.artifacts import Artifacts
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import InvalidInput
from flyball.registry.ports import DigestOf

MODEL_ID = r"m-[0-9a-f]{32}"
RUN_ID = r"[0-9a-f]{32}"
# A proxied location: <experiment or any folder>/models/<model id>/artifacts/... or .../<run id>/artifacts/...
_OF_MODEL = re.compile(
    rf"(?P<base>mlflow-artifacts:/+(?:.+?/)??models/(?P<id>{MODEL_ID})/artifacts)(?:/(?P<folder>.+?))?/?"
)
_OF_RUN = re.compile(rf"(?P<base>mlflow-artifacts:/+(?:.+?/)??(?P<id>{RUN_ID})/artifacts)(?:/(?P<folder>.+?))?/?")
_LOGGED = re.compile(rf"(?P<base>models:/+(?P<id>{MODEL_ID}))/?(?P<folder>)")
_RUN_PATH = re.compile(rf"(?P<base>runs:/+(?P<id>{RUN_ID}))(?:/(?P<folder>.+?))?/?")
_KINDS = ((_OF_MODEL, "model"), (_LOGGED, "model"), (_OF_RUN, "run"), (_RUN_PATH, "run"))
_REGISTERED = re.compile(r"models:/+(?P<name>[^/]+?)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder under a root of the artifact store."""

    root: str
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A source that names another version: by number, or by alias."""

    name: str
    version: str
    alias: str


def parse_registered(source: str) -> Registered | None:
    """Read `models:/<name>/<version>` or `models:/<name>@<alias>`; None when the source is something else.

    >>> parse_registered("models:/elec2/3").version
    '3'
    """
    found = _REGISTERED.fullmatch(source)
    if found is None:
        return None
    return Registered(name=found["name"], version=found["version"] or "", alias=found["alias"] or "")


def locate(source: str, *, run_id: str = "", model_id: str = "") -> Folder | None:
    """Find the folder that a source names; None when it is none that this platform keeps.

    >>> locate("mlflow-artifacts:/1/0123456789abcdef0123456789abcdef/artifacts/model")
    Folder(root='run/0123456789abcdef0123456789abcdef', folder='model')

    Raises:
        InvalidInput: the source lies in another run or logged model than the one that is named beside it.
    """
    found = _match(source)
    if found is None:
        return None
    kind, match = found
    named = model_id if kind == "model" else run_id
    if named and named != match["id"]:
        raise InvalidInput(f"the source '{source}' lies in {kind} {match['id']}, not in {kind} {named}", field="source")
    return Folder(root=f"{kind}/{match['id']}", folder=match["folder"] or "")


def logged_model_of(source: str) -> str:
    """Return the id of the logged model that a source lies in, empty when it lies in none.

    >>> logged_model_of("models:/m-0123456789abcdef0123456789abcdef")
    'm-0123456789abcdef0123456789abcdef'
    """
    found = _match(source)
    return found[1]["id"] if found is not None and found[0] == "model" else ""


def _match(source: str) -> tuple[str, re.Match[str]] | None:
    found = [(kind, match) for pattern, kind in _KINDS if (match := pattern.fullmatch(source))]
    # A file's own path may look like the other kind, so the one that begins first counts.
    return min(found, key=lambda each: len(each[1]["base"]), default=None)


def digest_in(artifacts: Artifacts) -> DigestOf:
    """Return the function that finds the tree digest of a source's files in the artifact store."""

    def digest_of(source: str, run_id: str, model_id: str) -> Digest | None:
        place = locate(source, run_id=run_id, model_id=model_id)
        if place is None or not artifacts.walk(place.root, place.folder):
            return None
        return artifacts.tree_digest(place.root, place.folder)

    return digest_of
