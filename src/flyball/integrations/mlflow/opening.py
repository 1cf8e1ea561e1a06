"""Open stores for URIs; everything of a process that has one URI shares one session, and so one journal."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

from flyball.integrations import mlflow as plugin
from flyball.integrations.mlflow import FILE_SCHEME, SCHEMES
from flyball.integrations.mlflow.session import Address, Session
from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import load_settings

_lock = threading.Lock()


def address_of(uri: str) -> Address:
    """Read a tracking URI.

    >>> address_of("flyball://127.0.0.1:5757").server
    'http://127.0.0.1:5757'

    Raises:
        InvalidInput: it names no server and no folder.
    """
    parts = urlsplit(uri)
    over = SCHEMES.get(parts.scheme)
    if over and parts.netloc and "@" not in parts.netloc:
        server = f"{over}://{parts.netloc}{parts.path.rstrip('/')}"
        return Address(uri=uri, server=server, folder=None)
    if parts.scheme == FILE_SCHEME and not parts.netloc and parts.path.startswith("/"):
        return Address(uri=uri, server="", folder=unquote(parts.path))
    raise InvalidInput(
        f"'{uri}' is no tracking URI of flyball: use flyball://HOST:PORT, flyball+https://HOST, or flyball+file:///FOLDER; "
        "a token belongs into FLYBALL_TOKEN",
        field="tracking_uri",
    )


def session_for(uri: str) -> Session:
    """Return this process's session for a URI."""
    with _lock:
        if uri not in plugin._sessions:  # noqa: SLF001 -- kept there because that module is always loaded
            plugin._sessions[uri] = Session(address_of(uri), load_settings())  # noqa: SLF001
        return plugin._sessions[uri]  # noqa: SLF001


def open_tracking_store(uri: str) -> Any:  # noqa: ANN401 -- MLflow's type
    """Return the tracking store of a URI."""
    from flyball.integrations.mlflow.stores import FolderStore, ServerStore

    session = session_for(uri)
    return ServerStore(session) if session.address.server else FolderStore(session)


def open_registry_store(uri: str) -> Any:  # noqa: ANN401 -- MLflow's type
    """Return the model registry of a URI."""
    from flyball.integrations.mlflow.registry import RegistryStore

    return RegistryStore(session_for(uri))


def open_artifact_repository(artifact_uri: str, tracking_uri: str, registry_uri: str | None) -> Any:  # noqa: ANN401 -- MLflow's type
    """Return the repository of an artifact URI."""
    from flyball.integrations.mlflow.artifacts import JournalArtifacts

    return JournalArtifacts(artifact_uri, session_for(tracking_uri), registry_uri)


def _forget_in_child() -> None:
    """Let go of the parent's journals in a forked child, which begins its own with its first record."""
    global _lock  # noqa: PLW0603 -- it may be held by a thread that is not in the child
    _lock = threading.Lock()
    for session in plugin._sessions.values():  # noqa: SLF001
        session.after_fork()


os.register_at_fork(after_in_child=_forget_in_child)
