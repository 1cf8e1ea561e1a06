"""What a client may name as the source of a model version: the protocol's rules, before the registry sees any of it.

A server that reads a model's files from wherever a request says can be led anywhere, so a source must lie in the run or logged
model named beside it, or at a place that this server never opens itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.registry import Registry
from flyball.registry.naming import is_prompt, parse_version
from flyball.registry.sources import parse_registered
from flyball.tracking.service import Tracking

PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})
"""What clients write into the place of a source where there are no files."""
# Schemes whose address names a host: only the client may go there, on its own account.
_HOST_SCHEMES = frozenset({"ftp", "sftp", "hdfs", "viewfs", "http", "https", "r2", "b2", "abfss"})
_MODEL = re.compile(r"/(?P<name>[^/]+?)(?:/(?P<suffix>[^/]+)|@(?P<alias>[^/@]+))?")
# Unquoting again and again ends here; nobody quotes a path ten times over.
_MOST_QUOTINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a version comes from. None for an id means that the request did not name one."""

    source: str
    run_id: str | None
    model_id: str | None


def origin_of(given: Origin, tags: Mapping[str, str], *, registry: Registry, tracking: Tracking) -> Origin:
    """Return the origin with what it refers to filled in.

    Raises:
        InvalidInput: the source lies at a place that the request may not name.
        NotFound: it names a registered model, a version or a logged model that is not there.
    """
    if is_prompt(tags):
        _check_prompt_source(given.source)
        return given
    url = _split(given.source)
    _check_scheme(url)
    known = _followed(given, url, registry)
    if known.model_id:
        _check_within_model(known, tracking)
    else:
        _check_within_run(known, tracking)
    return _with_run(known, tracking)


def _check_prompt_source(source: str) -> None:
    if source not in PROMPT_SOURCES:
        raise InvalidInput(
            f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder: "
            f"{' or '.join(sorted(PROMPT_SOURCES))}",
            field="source",
        )


def _split(source: str) -> SplitResult:
    try:
        return urlsplit(source)
    except ValueError as error:
        raise InvalidInput(
            f"Invalid model version source: '{source}'. It is no URI: {error}", field="source"
        ) from error


def _check_scheme(url: SplitResult) -> None:
    if url.scheme in _HOST_SCHEMES or (url.scheme == "mlflow-artifacts" and url.netloc):
        raise InvalidInput(
            f"'source' cannot use the '{url.scheme}' scheme with a host: log the model to this server, or name an object store",
            field="source",
        )


def _followed(given: Origin, url: SplitResult, registry: Registry) -> Origin:
    """Follow a source that names another registered version to the version it names now."""
    if url.scheme != "models":
        return given
    if url.netloc:
        raise InvalidInput(
            f"Invalid model version source: '{given.source}'. Registered model sources must use the active model registry.",
            field="source",
        )
    found = _MODEL.fullmatch("/" + url.path.lstrip("/"))
    if found is None:
        _refuse(given.source, "model_id")
    if not found["suffix"] and not found["alias"]:
        return given  # models:/<id of a logged model>
    if is_prompt(registry.get_model(found["name"]).tags):
        raise InvalidInput(
            f"Invalid model version source: '{given.source}'. Prompt versions cannot be used as model version sources.",
            field="source",
        )
    number = _number(registry, found["name"], suffix=found["suffix"] or "", alias=found["alias"] or "")
    origin = registry.get_version(found["name"], number)
    if any(one is not None and one != of for one, of in _pairs(given, origin.run_id, origin.model_id)):
        raise InvalidInput(
            f"Invalid model version source: '{given.source}'. The run_id and model_id request parameters must match the "
            "referenced model version.",
            field="source",
        )
    source = f"models:/{origin.name}/{origin.version}"
    return Origin(source=source, run_id=origin.run_id or None, model_id=origin.model_id or None)


def _pairs(given: Origin, run_id: str, model_id: str) -> tuple[tuple[str | None, str], tuple[str | None, str]]:
    return (given.run_id, run_id), (given.model_id, model_id)


def _number(registry: Registry, name: str, *, suffix: str, alias: str) -> int:
    if suffix.isdecimal():
        return parse_version(suffix)
    if suffix.lower() == "latest":
        return registry.latest_version(name).version
    if suffix:
        staged = registry.latest_versions(name, [suffix])
        if not staged:
            raise InvalidInput(f"No versions of model with name '{name}' and stage '{suffix}' found", field="source")
        return staged[0].version
    try:
        return registry.version_by_alias(name, alias).version
    except NotFound as error:
        raise InvalidInput(error.message, field="source") from error


def _check_within_run(origin: Origin, tracking: Tracking) -> None:
    url = _split(origin.source)
    _check_absolute(origin.source, url, kind="run")
    if url.scheme == "runs":
        named = url.path.lstrip("/").split("/")[0]
        if url.netloc or not origin.run_id or named != origin.run_id:
            _refuse(origin.source, "run_id")
    elif url.scheme == "models":
        if parse_registered(origin.source) is None:
            _refuse(origin.source, "model_id")
    elif url.scheme == "mlflow-artifacts":
        root = _root_of_run(origin.run_id, tracking)
        if root is None or not _lies_in(origin.source, root):
            _refuse(origin.source, "run_id")


def _check_within_model(origin: Origin, tracking: Tracking) -> None:
    url = _split(origin.source)
    _check_absolute(origin.source, url, kind="model")
    if url.scheme == "runs":
        _refuse(origin.source, "model_id")
    elif url.scheme == "models":
        if parse_registered(origin.source) is None and url.path.lstrip("/") != origin.model_id:
            _refuse(origin.source, "model_id")
    elif url.scheme == "mlflow-artifacts":
        root = _root_of_model(origin.model_id, tracking)
        if root is None or not _lies_in(origin.source, root):
            _refuse(origin.source, "model_id")


def _check_absolute(source: str, url: SplitResult, *, kind: str) -> None:
    if url.scheme in {"", "file"}:
        raise InvalidInput(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the {kind}_id request "
            f"parameter has to be specified and the local path has to be contained within the artifact directory of the {kind} "
            "specified by it; this server keeps no artifacts in local paths that a client could name.",
            field="source",
        )
    plain = _unquoted(source)
    path = re.sub(r"/+", "/", urlsplit(plain).path.rstrip("/"))
    if "\x00" in path or ".." in plain.split("/") or not path.startswith("/") or posixpath.normpath(path) != path:
        raise InvalidInput(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
            "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
            "present. Please provide an absolute path.",
            field="source",
        )


def _unquoted(text: str) -> str:
    for _ in range(_MOST_QUOTINGS):
        plain = unquote_plus(text)
        if plain == text:
            break
        text = plain
    return text


def _lies_in(source: str, root: str) -> bool:
    inner, outer = ([unquote(part) for part in _split(one).path.split("/") if part] for one in (source, root))
    return bool(outer) and inner[: len(outer)] == outer


def _root_of_run(run_id: str | None, tracking: Tracking) -> str | None:
    try:
        return tracking.runs.get_info(run_id).artifact_uri if run_id else None
    except NotFound:
        return None


def _root_of_model(model_id: str | None, tracking: Tracking) -> str | None:
    try:
        return tracking.models.get(model_id).artifact_uri if model_id else None
    except NotFound:
        return None


def _with_run(origin: Origin, tracking: Tracking) -> Origin:
    """Take over the run of the logged model."""
    if origin.run_id or not origin.model_id or parse_registered(origin.source) is not None:
        return origin
    logged = tracking.models.get(origin.model_id)
    return Origin(source=origin.source, run_id=logged.source_run_id, model_id=origin.model_id)


def _refuse(source: str, parameter: str) -> NoReturn:
    raise InvalidInput(
        f"Invalid model version source: '{source}'. The {parameter} request parameter must identify the resource that contains "
        "the source.",
        field="source",
    )
