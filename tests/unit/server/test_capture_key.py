"""The key of hashed columns is a secret, and one for all processes of an installation."""

from __future__ import annotations

import dataclasses
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import Settings
from flyball.server.capture_key import KEY_FILE, capture_key


def test_a_key_is_made_once_for_the_owner_only_and_by_whoever_comes_first(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: capture_key(settings), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_a_setting_comes_before_the_file_and_is_never_shown(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, capture_hash_key="s" * 40)
    assert capture_key(settings) == b"s" * 40
    assert not list(tmp_path.iterdir())
    assert "ssss" not in repr(settings)


def test_a_key_that_can_be_tried_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least 32"):
        capture_key(dataclasses.replace(Settings(home=tmp_path), capture_hash_key="short"))
