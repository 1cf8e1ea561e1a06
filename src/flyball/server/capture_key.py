"""The secret that captured columns are hashed with: one an installation, made at the first use."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import Settings
from flyball.server.home import PRIVATE_FILE, sync_folder

KEY_FILE = "capture.key"
# Below this a key can be tried out.
FEWEST_CHARACTERS = 32


def capture_key(settings: Settings) -> bytes:
    """Return the key, of the setting or else of the file in the home folder, which is made when it is missing.

    Raises:
        InvalidInput: the key is too short to be a secret.
    """
    given = settings.capture_hash_key or _read(settings.home / KEY_FILE)
    if len(given) < FEWEST_CHARACTERS:
        raise InvalidInput(
            f"the key of captured columns has {len(given)} characters; give at least {FEWEST_CHARACTERS} random ones, "
            f"or remove {settings.home / KEY_FILE} for a new one (digests then no longer match the earlier ones)",
            field="capture_hash_key",
        )
    return given.encode()


def _read(path: Path) -> str:
    if not path.exists():
        _make(path)
    return path.read_text(encoding="utf-8").strip()


def _make(path: Path) -> None:
    """Write a new key, unless another process is faster: both must use the same one."""
    draft = path.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)
