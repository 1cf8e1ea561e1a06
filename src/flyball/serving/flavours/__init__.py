"""Flavours: one module a library whose models can be served."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from flyball.kernel.plugins import GROUP_PREFIX, load_plugin
from flyball.serving.ports import Flavour

GROUP = "flavours"


def offered_flavours() -> tuple[str, ...]:
    """Return the names of the flavours that installed packages offer; nothing is loaded."""
    return tuple(sorted(entry_points(group=GROUP_PREFIX + GROUP).names))


def open_flavour(name: str) -> Flavour:
    """Return the flavour of a name.

    Raises:
        NotFound: no installed package offers it.
        MissingExtra: its library is not installed.
    """
    return cast("type[Flavour]", load_plugin(GROUP, name))()
