"""The models of one server by name: what is there, what is in memory, and how that changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.serving.plane import DataPlane


class Presence(StrEnum):
    """Whether a version can be asked."""

    READY = "ready"
    LOADING = "loading"
    UNLOADED = "unloaded"
    """Not in memory because somebody said so, or because it failed; it stays out until it is loaded again."""
    EVICTED = "evicted"
    """Not in memory because others needed the room; the next request brings it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A version that a server knows. `reason` says why it is not ready."""

    name: str
    version: int
    presence: Presence
    reason: str = ""


class ModelHost(Protocol):
    """The models of one server. Any number of threads may call it; `load` and `unload` block, the others do not."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that models answer to."""
        ...

    @property
    def ready(self) -> bool:
        """Whether every model can be asked, those included that come back into memory for the next request."""
        ...

    def plane(self, name: str) -> DataPlane | None:
        """Return the plane of a model; None when it was evicted, and `load` brings it back.

        Raises:
            NotFound: no model here has this name.
            Unavailable: it is unloaded.
        """
        ...

    def planes(self) -> Sequence[DataPlane]:
        """Return the planes of what is in memory."""
        ...

    def index(self) -> Sequence[ModelState]:
        """Return every version, in the order of names and numbers."""
        ...

    def load(self, name: str) -> DataPlane:
        """Bring a model into memory, warm it, and return its plane; at once when it is there already.

        Raises:
            NotFound: no model here has this name.
            LimitExceeded: it does not fit into the memory that models may take.
            Conflict: somebody else decides what is loaded here.
            FlyballError: it cannot be loaded.
        """
        ...

    def unload(self, name: str) -> None:
        """Take a model out of memory, after the requests it has are answered.

        Raises:
            NotFound: no model here has this name.
            Conflict: somebody else decides what is loaded here.
        """
        ...

    def close(self) -> None:
        """Answer what waits, and end."""
        ...


def only_name(host: ModelHost) -> str:
    """Return a name of the one model, for protocols that name none.

    Raises:
        InvalidInput: there are several.
    """
    names = host.names
    if len({id(host.plane(name)) for name in names}) != 1:
        raise InvalidInput(f"say which model is meant; there are: {', '.join(names)}", field="name")
    return names[0]


class FixedHost:
    """Models about which somebody else decides what is loaded, as the platform does for an endpoint."""

    def __init__(self, planes: Iterable[DataPlane]) -> None:
        self._planes = tuple(planes)
        self._by_name = {name: plane for plane in self._planes for name in plane.names}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    @property
    def ready(self) -> bool:
        return all(plane.ready for plane in self._planes)

    def plane(self, name: str) -> DataPlane:
        plane = self._by_name.get(name)
        if plane is None:
            raise no_such_model(name, self.names)
        return plane

    def planes(self) -> Sequence[DataPlane]:
        return self._planes

    def index(self) -> Sequence[ModelState]:
        return [
            ModelState(name=name, version=version, presence=Presence.READY)
            for name, plane in self._by_name.items()
            if plane.ready
            for version in sorted(plane.routing.versions)
        ]

    def load(self, name: str) -> DataPlane:
        raise self._decided_elsewhere(self.plane(name))

    def unload(self, name: str) -> None:
        raise self._decided_elsewhere(self.plane(name))

    def close(self) -> None:
        for plane in self._planes:
            plane.close()

    @staticmethod
    def _decided_elsewhere(plane: DataPlane) -> Conflict:
        return Conflict(
            f"which versions of '{plane.endpoint}' are loaded is decided by the routing of its endpoint; change that "
            "(flyball endpoint)",
            field="name",
        )


def no_such_model(name: str, names: Sequence[str]) -> NotFound:
    """Build the error that names the models there are."""
    return NotFound(f"no model '{name}' here; this is: {', '.join(names)}", field="name")
