"""The models of one server by name."""

from __future__ import annotations

from collections.abc import Iterable

from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.serving.plane import DataPlane


class ModelHost:
    """Data planes by the names they answer to."""

    def __init__(self, planes: Iterable[DataPlane]) -> None:
        self._planes = tuple(planes)
        self._by_name = {name: plane for plane in self._planes for name in plane.names}

    @property
    def planes(self) -> tuple[DataPlane, ...]:
        """All of them."""
        return self._planes

    @property
    def ready(self) -> bool:
        """Whether every model can be asked."""
        return all(plane.ready for plane in self._planes)

    def plane(self, name: str) -> DataPlane:
        """Return the plane of a name.

        Raises:
            NotFound: no model here has it.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise NotFound(f"no model '{name}' here; this is: {', '.join(self._by_name)}", field="name") from None

    def only(self) -> DataPlane:
        """Return the plane of the one model, for protocols that name none.

        Raises:
            InvalidInput: there are several.
        """
        if len(self._planes) != 1:
            raise InvalidInput(f"say which model is meant; there are: {', '.join(self._by_name)}", field="name")
        return self._planes[0]

    def load(self, name: str) -> None:
        """Load a model when asked to, which the models of an endpoint never are: its routing decides.

        Raises:
            NotFound: no model here has that name.
            Conflict: what is loaded is not decided by requests.
        """
        self.plane(name)
        raise Conflict(
            f"which versions of '{name}' are loaded is decided by the routing of its endpoint; change that (flyball endpoint)",
            field="name",
        )

    def unload(self, name: str) -> None:
        """Unload a model when asked to; as `load`."""
        self.load(name)

    def close(self) -> None:
        """Answer what waits, and end."""
        for plane in self._planes:
            plane.close()
