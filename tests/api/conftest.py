"""A real server on loopback over a fresh platform."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.protocol.serving import TrackingServer, serve

from flyball.kernel.db import open_database
from flyball.kernel.settings import Settings, load_settings
from flyball.server.home import ensure_owner_token, prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform

# Small, so that a test of the limit need not send much.
MAX_REQUEST_BYTES = 100_000


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[TrackingServer]:
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        token = ensure_owner_token(platform).read_text(encoding="utf-8").strip()
        yield TrackingServer(url=url, token=token, platform=platform)


def settings_for(url: str, home: Path) -> Settings:
    return load_settings(
        {
            "FLYBALL_HOME": str(home),
            "FLYBALL_DATABASE_URL": url,
            "FLYBALL_MAX_REQUEST_BYTES": str(MAX_REQUEST_BYTES),
            "FLYBALL_MAX_ARTIFACT_BYTES": str(MAX_REQUEST_BYTES),
        }
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    """Serve a platform on SQLite, where the kind of database plays no part."""
    with served(settings_for(f"sqlite:///{tmp_path / 'home' / 'flyball.db'}", tmp_path / "home")) as found:
        yield found


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """Serve one platform to all tests of a module that change nothing."""
    home = tmp_path_factory.mktemp("shared") / "home"
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as found:
        yield found


@pytest.fixture
def either_server(database_url: str, tmp_path: Path) -> Iterator[TrackingServer]:
    """Serve a platform on each kind of database."""
    with served(settings_for(database_url, tmp_path / "home")) as found:
        yield found


@pytest.fixture
def token_for(server: TrackingServer) -> Callable[..., str]:
    """Make tokens for people and automations of the test server."""

    def make(role: str, *, permissions: list[str] | None = None, expires_in_s: int = 600) -> str:
        name = f"user:{role}"
        access = server.platform.access
        if name not in {one.name for one in access.identities()}:
            access.create_identity(name, role, actor="user:owner")
        _, secret = access.issue(
            name, expires_in_s=expires_in_s, label="test", actor="user:owner", permissions=permissions
        )
        return secret

    return make
