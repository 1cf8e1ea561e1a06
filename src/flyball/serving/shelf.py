"""Model folders on this machine as a host: loaded and unloaded by name, within a budget of memory.

A model that was evicted for the sake of others comes back with its next request, which waits for it; one that somebody unloaded
stays away. What a model takes is measured while it is loaded: the growth of the process
and the size of the model's own, if it is isolated; at least the size of its files.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from flyball.kernel.errors import FlyballError, InvalidInput, LimitExceeded, Unavailable
from flyball.kernel.logs import get_logger
from flyball.serving.entities import ModelFolder
from flyball.serving.host import ModelState, Presence, no_such_model
from flyball.serving.plane import CHAMPION, DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick, Router
from flyball.serving.served_model import ServedModel

Load = Callable[[ModelFolder], ServedModel]
OpenPlane = Callable[[str], DataPlane]

_log = get_logger("serving")


@dataclass(slots=True)
class _Book:
    """A model of the shelf: its folders by version, and where it stands."""

    folders: Mapping[int, ModelFolder]
    presence: Presence = Presence.UNLOADED
    reason: str = "not loaded yet"
    plane: DataPlane | None = None
    size_bytes: int = 0
    used_s: float = 0.0


class FolderHost:
    """A `ModelHost` of model folders. The newest version of a model answers, unless a request names another.

    Args:
        folders: the folders by name and version.
        open_plane: makes the plane of a model; called once for each time it is loaded.
        load: makes a warm model of a folder.
        memory_bytes: what all models may take together; 0 for no limit.
        measure_bytes: tells what the process takes at this moment.
    """

    def __init__(
        self,
        folders: Mapping[str, Mapping[int, ModelFolder]],
        *,
        open_plane: OpenPlane,
        load: Load,
        memory_bytes: int = 0,
        measure_bytes: Callable[[], int] | None = None,
    ) -> None:
        if not folders:
            raise InvalidInput("there is no model to serve; name at least one", field="models")
        self._books = {name: _Book(folders=dict(sorted(versions.items()))) for name, versions in folders.items()}
        self._open_plane = open_plane
        self._load = load
        self._memory_bytes = memory_bytes
        self._measure_bytes = measure_bytes or _resident_bytes
        # Held while a model is loaded or unloaded: one at a time, so that each can be measured and the budget holds.
        self._changing = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._books)

    @property
    def ready(self) -> bool:
        planes = [book.plane for book in self._books.values() if book.presence is not Presence.EVICTED]
        return all(plane is not None and plane.ready for plane in planes)

    def plane(self, name: str) -> DataPlane | None:
        book = self._book(name)
        plane = book.plane
        if plane is None and book.presence is Presence.UNLOADED:
            raise Unavailable(f"model '{name}' is not loaded ({book.reason}); load it first")
        book.used_s = time.monotonic()
        return plane

    def planes(self) -> Sequence[DataPlane]:
        return [plane for book in self._books.values() if (plane := book.plane) is not None]

    def index(self) -> Sequence[ModelState]:
        return [
            ModelState(name=name, version=version, presence=book.presence, reason=book.reason)
            for name, book in sorted(self._books.items())
            for version in book.folders
        ]

    def load(self, name: str) -> DataPlane:
        book = self._book(name)
        with self._changing:
            if book.plane is not None:
                return book.plane
            book.presence, book.reason = Presence.LOADING, "it is being loaded"
            try:
                self._make_room(name, _size_of(book))
                plane = self._bring_in(name, book)
            except Exception as error:
                said = error.message if isinstance(error, FlyballError) else "see the log of the server"
                book.presence, book.reason = Presence.UNLOADED, f"loading failed: {said}"
                raise
            book.plane, book.used_s = plane, time.monotonic()
            book.presence, book.reason = Presence.READY, ""
            self._make_room(name, 0)
            return plane

    def unload(self, name: str) -> None:
        book = self._book(name)
        with self._changing:
            self._take_out(name, book, Presence.UNLOADED, "it was unloaded")

    def close(self) -> None:
        with self._changing:
            for book in self._books.values():
                if book.plane is not None:
                    book.plane.close()

    def _book(self, name: str) -> _Book:
        book = self._books.get(name)
        if book is None:
            raise no_such_model(name, self.names)
        return book

    def _bring_in(self, name: str, book: _Book) -> DataPlane:
        before = self._measure_bytes()
        versions = {
            version: LoadedVersion(version=version, digest=folder.digest, model=self._load(folder))
            for version, folder in book.folders.items()
        }
        plane = self._open_plane(name)
        newest = max(versions)
        plane.switch(Routing(generation=1, champion=newest, router=_always(newest), versions=versions))
        outside = sum(loaded.model.outside_bytes for loaded in versions.values())
        book.size_bytes = max(self._measure_bytes() - before + outside, _size_of(book))
        _log.info("loaded", model=name, versions=sorted(versions), bytes=book.size_bytes)
        return plane

    def _make_room(self, name: str, needed_bytes: int) -> None:
        """Evict what was not used for longest until a model fits.

        Raises:
            LimitExceeded: it does not, even alone.
        """
        if not self._memory_bytes:
            return
        while True:
            others = [(each, book) for each, book in self._books.items() if book.plane is not None and each != name]
            own = needed_bytes or self._books[name].size_bytes
            if own + sum(book.size_bytes for _, book in others) <= self._memory_bytes:
                return
            if not others:
                break
            oldest, book = min(others, key=lambda each: each[1].used_s)
            self._take_out(oldest, book, Presence.EVICTED, "others needed its memory; its next request brings it back")
        if needed_bytes:
            raise LimitExceeded(
                f"model '{name}' has files of {needed_bytes} bytes, and models may take {self._memory_bytes} together; "
                "give them more memory",
                field="memory",
            )

    def _take_out(self, name: str, book: _Book, presence: Presence, reason: str) -> None:
        plane, book.plane = book.plane, None
        book.presence, book.reason = presence, reason
        if plane is None:
            return
        plane.close()
        freed, book.size_bytes = book.size_bytes, 0
        del plane
        _give_back()
        _log.info("taken_out", model=name, presence=presence.value, bytes=freed)


def _always(version: int) -> Router:
    choice = Choice(answer=Pick(version=version, role=CHAMPION))

    def choose(key: str) -> Choice:  # noqa: ARG001 -- the same for every key
        return choice

    return choose


def _size_of(book: _Book) -> int:
    return sum(
        path.stat().st_size for folder in book.folders.values() for path in folder.path.rglob("*") if path.is_file()
    )


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def _give_back() -> None:
    """Return to the system what the allocator keeps for later; where its library offers that."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library than GNU's
        return
