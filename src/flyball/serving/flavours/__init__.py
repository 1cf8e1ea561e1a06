"""Flavours: one module a library whose models can be served."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from flyball.kernel.plugins import GROUP_PREFIX, load_plugin, plugin_place
from flyball.serving.ports import Flavour

GROUP = "flavours"
# Nearly every MLflow model is one of these too; the flavour of its own library knows more of it and runs less.
LAST = "python_function"


def offered_flavours() -> tuple[str, ...]:
    """Return the names of the flavours that installed packages offer, in the order in which a model is tried; nothing is loaded."""
    return tuple(sorted(entry_points(group=GROUP_PREFIX + GROUP).names, key=lambda name: (name == LAST, name)))


def open_flavour(name: str) -> Flavour:
    """Return the flavour of a name.

    Raises:
        NotFound: no installed package offers it.
        MissingExtra: its library is not installed.
    """
    return cast("type[Flavour]", load_plugin(GROUP, name))()


def loader_of(name: str) -> str:
    """Return where the flavour of a name comes from, as `module:attribute`; nothing is loaded.

    Raises:
        NotFound: no installed package offers it.
    """
    return plugin_place(GROUP, name)
