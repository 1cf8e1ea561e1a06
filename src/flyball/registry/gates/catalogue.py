"""Which rules there are: the installed entry points of `flyball.gates`, ours among them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol, cast

from flyball.kernel.plugins import GROUP_PREFIX, load_plugin
from flyball.registry.ports import Gate

GROUP = "gates"


class Catalogue(Protocol):
    """Offer rules by name."""

    def names(self) -> list[str]:
        """Return the names of all rules, sorted."""
        ...

    def load(self, name: str) -> type[Gate]:
        """Return the class of a rule that `names` lists."""
        ...


class InstalledGates:
    """The rules that installed packages offer."""

    def names(self) -> list[str]:
        return sorted(entry_points(group=GROUP_PREFIX + GROUP).names)

    def load(self, name: str) -> type[Gate]:
        return cast("type[Gate]", load_plugin(GROUP, name))


class GivenGates:
    """Rules handed over by the caller, for tests and embedding."""

    def __init__(self, gates: Mapping[str, type[Gate]]) -> None:
        self._gates = dict(gates)

    def names(self) -> list[str]:
        return sorted(self._gates)

    def load(self, name: str) -> type[Gate]:
        return self._gates[name]
