"""Flavours: one module a library whose models can be served."""

from __future__ import annotations

from typing import cast

from flyball.kernel.plugins import load_plugin
from flyball.serving.ports import Flavour

GROUP = "flavours"


def open_flavour(name: str) -> Flavour:
    """Return the flavour of a name.

    Raises:
        NotFound: no installed package offers it.
        MissingExtra: its library is not installed.
    """
    if name == "sklearn":
        from flyball.serving.flavours.sklearn import SklearnFlavour

        return SklearnFlavour()
    return cast("Flavour", load_plugin(GROUP, name))
