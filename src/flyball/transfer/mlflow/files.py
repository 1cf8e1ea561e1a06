"""The files of runs and logged models where MLflow's URIs say: in a folder, or behind a server's proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flyball.artifacts.paths import clean_folder
from flyball.kernel.errors import InvalidInput, NotFound, Unavailable, Unsupported
from flyball.transfer.entities import Place, SourceFile
from flyball.transfer.mlflow.proxy import ProxyFiles

CHUNK_BYTES = 1 << 20
PROXY = "mlflow-artifacts"
# The folder of a run lies in that of its experiment, and that in the root.
LEVELS = 3


class LocatedFiles:
    """Files by the URI of their place.

    `behind` says what `mlflow-artifacts:/` stands for: a folder, or the server that hands out the files. `beside` finds the
    folder of a place in a store that was moved, and is asked first.
    """

    def __init__(self, *, behind: Path | ProxyFiles | None = None, beside: MovedFolders | None = None) -> None:
        self._behind = behind
        self._beside = beside

    def walk(self, place: Place) -> Iterator[SourceFile]:
        if self._is_proxied(place) and isinstance(self._behind, ProxyFiles):
            return self._behind.walk(place)
        return _walk(self._folder(place))

    def open(self, place: Place, path: str) -> Iterator[bytes]:
        if self._is_proxied(place) and isinstance(self._behind, ProxyFiles):
            return self._behind.open(place, path)
        return _read(self._folder(place), path)

    def _is_proxied(self, place: Place) -> bool:
        return urlsplit(place.uri).scheme == PROXY

    def _folder(self, place: Place) -> Path:
        moved = self._beside.find(place) if self._beside else None
        if moved is not None:
            return moved
        parts = urlsplit(place.uri)
        if parts.scheme == PROXY:
            return self._proxied(place, unquote(parts.path).strip("/"))
        if parts.scheme not in {"", "file"}:
            raise Unsupported(
                f"files at {parts.scheme}:// are not read from there; import from the URL of the MLflow server, which "
                "hands them out"
            )
        path = Path(unquote(parts.path) if parts.scheme else place.uri)
        if not path.is_absolute():
            raise Unsupported(f"'{place.uri}' is relative to wherever MLflow was started; give --artifacts")
        return _checked(path, place)

    def _proxied(self, place: Place, path: str) -> Path:
        if not isinstance(self._behind, Path):
            raise Unsupported(
                f"'{place.uri}' lies behind an MLflow server: name its folder of artifacts, or its URL, with --artifacts"
            )
        return _checked(self._behind / clean_folder(path), place)


class MovedFolders:
    """The folders of an `mlruns` folder, whatever absolute places are written down in it."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, str], Path] = {}

    def note(self, place_key: tuple[str, str], folder: Path) -> None:
        """Remember where the files of a run or logged model would be."""
        self._folders[place_key] = folder

    def clear(self) -> None:
        """Forget all of them."""
        self._folders.clear()

    def find(self, place: Place) -> Path | None:
        """Return that folder if it is there."""
        folder = self._folders.get((str(place.kind), place.key))
        return folder if folder is not None and folder.is_dir() else None


def _checked(path: Path, place: Place) -> Path:
    """Accept only a folder that ends as MLflow makes them, so that a forged row reads no other folder of this machine."""
    ends = (f"{place.key}/artifacts", f"models/{place.key}/artifacts")
    if ".." in path.parts or not path.as_posix().rstrip("/").endswith(ends):
        raise InvalidInput(f"'{place.uri}' is no folder of {place.kind} {place.key}")
    return path


def _walk(folder: Path) -> Iterator[SourceFile]:
    if not folder.is_dir():
        # MLflow makes the folder with the first file; where the root above is gone too, the files are elsewhere.
        if not any(above.is_dir() for above in list(folder.parents)[:LEVELS]):
            raise NotFound(
                f"there is no folder {folder}, nor the folders above it: if it had files, they were moved; see --artifacts"
            )
        return
    for at, names, files in os.walk(folder):
        links = [name for name in names if Path(at, name).is_symlink()]
        for name in (*files, *links):
            path = Path(at, name)
            yield SourceFile(path=path.relative_to(folder).as_posix(), size_bytes=path.lstat().st_size)


def _read(folder: Path, name: str) -> Iterator[bytes]:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidInput("it is a symbolic link that leads out of its folder")
    if path.is_dir():
        raise InvalidInput("it is a symbolic link to a folder")
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise Unavailable(f"it cannot be read: {error.strerror}") from error
