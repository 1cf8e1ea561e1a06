"""Plugins: named implementations behind entry-point groups, loaded on request and never at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyball.kernel.errors import MissingExtra, NotFound

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP_PREFIX = "flyball."


def load_plugin(group: str, name: str) -> object:
    """Return the object that the entry point `name` of `flyball.<group>` names.

    Raises:
        NotFound: no installed package offers it; the message lists what there is.
        MissingExtra: it is there, and a library it imports is not.
    """
    try:
        return _offer(group, name).load()
    except ModuleNotFoundError as error:
        raise MissingExtra.named(str(error.name), name) from error


def plugin_place(group: str, name: str) -> str:
    """Return where the object is, as `module:attribute`; nothing is imported.

    Raises:
        NotFound: as `load_plugin`.
    """
    return _offer(group, name).value


def _offer(group: str, name: str) -> EntryPoint:
    from importlib.metadata import entry_points  # reads how e-mails are written, which takes as long as many a command

    offers = entry_points(group=GROUP_PREFIX + group)
    found = [offer for offer in offers if offer.name == name]
    if not found:
        known = ", ".join(sorted(offers.names)) or "none"
        raise NotFound(f"no '{name}' in {GROUP_PREFIX}{group}; installed: {known}", field=name)
    return found[0]
