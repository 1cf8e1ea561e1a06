"""Files as an MLflow server hands them out: by its artifact proxy, or by run and logged model whatever store lies behind."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from flyball.artifacts.paths import clean_path
from flyball.transfer.entities import Kind, Place, SourceFile
from flyball.transfer.mlflow.http import Answer, MlflowHttp

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
LIST_RUN = "/api/2.0/mlflow/artifacts/list"
LIST_MODEL = "/api/2.0/mlflow/logged-models/{key}/artifacts/directories"
FILE_OF_RUN = "/get-artifact"
FILE_OF_MODEL = "/ajax-api/2.0/mlflow/logged-models/{key}/artifacts/files"
# A folder deeper than this is a loop or a joke.
MAX_DEPTH = 64


class ProxyFiles:
    """The files of one server."""

    def __init__(self, http: MlflowHttp) -> None:
        self._http = http

    def walk(self, place: Place) -> Iterator[SourceFile]:
        folders = [""]
        while folders:
            folder = folders.pop()
            for item in self._list(place, folder):
                path = posixpath.join(folder, posixpath.basename(str(item.get("path", "")).rstrip("/")))
                if not item.get("is_dir"):
                    yield SourceFile(path=path, size_bytes=int(cast("int | str", item.get("file_size") or 0)))
                elif path.count("/") < MAX_DEPTH:
                    folders.append(path)

    def open(self, place: Place, path: str) -> Iterator[bytes]:
        clean_path(path)
        base = _proxied(place)
        if base is not None:
            return self._http.stream(f"{PROXY}/{quote(f'{base}/{path}')}")
        if place.kind is Kind.RUN:
            return self._http.stream(FILE_OF_RUN, {"run_id": place.key, "path": path})
        return self._http.stream(FILE_OF_MODEL.format(key=place.key), {"artifact_file_path": path})

    def _list(self, place: Place, folder: str) -> list[Answer]:
        base = _proxied(place)
        if base is not None:
            answer = self._http.get(PROXY, {"path": f"{base}/{folder}".rstrip("/")})
        elif place.kind is Kind.RUN:
            answer = self._http.get(LIST_RUN, {"run_id": place.key, **({"path": folder} if folder else {})})
        else:
            asked = {"artifact_directory_path": folder} if folder else {}
            answer = self._http.get(LIST_MODEL.format(key=place.key), asked)
        return cast("list[Answer]", answer.get("files") or [])


def _proxied(place: Place) -> str | None:
    """Return the path of a place behind the proxy, None where it lies in another store."""
    parts = urlsplit(place.uri)
    return unquote(parts.path).strip("/") if parts.scheme == "mlflow-artifacts" else None
