"""The home folder: made for its owner only, with the database and the owner's token in it."""

from __future__ import annotations

import os
from pathlib import Path

from flyball.kernel.settings import Settings
from flyball.server.platform import Platform

TOKEN_FILE = "owner.token"  # noqa: S105 -- the name of a file
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def prepare_home(settings: Settings) -> None:
    """Make the home folder, readable by its owner only."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)


def ensure_owner_token(platform: Platform) -> Path:
    """See to it that the owner's token file is there; make a new random token when it is not, and revoke the old one."""
    path = platform.settings.home / TOKEN_FILE
    if not path.exists():
        write_private(path, platform.access.bootstrap_owner())
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on, whole or not at all."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
