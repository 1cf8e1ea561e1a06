"""A platform in a fresh home on SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyball.kernel.db import open_database
from flyball.kernel.settings import Settings, load_settings
from flyball.server.home import prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform, open_platform

SettingsFor = Callable[..., Settings]


@pytest.fixture
def settings_for(tmp_path: Path) -> SettingsFor:
    def make(**values: str) -> Settings:
        named = {f"FLYBALL_{name.upper()}": value for name, value in values.items()}
        return load_settings({"FLYBALL_HOME": str(tmp_path / "home"), **named})

    return make


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for(port="1")  # where nothing listens


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as opened:
        yield opened
