"""The home folder: made for its owner only, held by one supervisor, with the database and the owner's token in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flyball.kernel.errors import Conflict, Unauthenticated
from flyball.kernel.logs import get_logger
from flyball.kernel.settings import FILE_NAME, Settings

if TYPE_CHECKING:  # the supervisor needs the folder and not the rooms, which take long to import
    from flyball.server.platform import Platform

LOCK_FILE = "up.lock"
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
OTHERS = 0o077
_log = get_logger("server")


def prepare_home(settings: Settings) -> None:
    """Make the home folder, readable by its owner only; close one of ours that others can look into.

    Raises:
        Conflict: the folder belongs to another account, or others can look into it and it holds more than ours.
    """
    home = settings.home
    home.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    found = home.stat()
    if found.st_uid != os.geteuid():
        raise Conflict(f"{home} belongs to another account; set FLYBALL_HOME to a folder of your own", field="home")
    if not stat.S_IMODE(found.st_mode) & OTHERS:
        return
    names = {entry.name for entry in home.iterdir()}
    ours = {settings.owner_token_file.name, LOCK_FILE, "flyball.db", FILE_NAME}
    if names and not names & ours:
        raise Conflict(
            f"others on this machine can look into {home}, and it holds files that are not Flyball's: "
            f"run 'chmod 700 {home}', or set FLYBALL_HOME to a folder of its own",
            field="home",
        )
    home.chmod(PRIVATE_FOLDER)


@contextlib.contextmanager
def hold_home(settings: Settings) -> Iterator[None]:
    """Keep other supervisors out of this home for as long as this process lives, however it ends.

    Raises:
        Conflict: one runs in it already.
    """
    descriptor = os.open(settings.home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            raise Conflict(
                f"'flyball up' runs already in {settings.home} (process {holder or 'unknown'}); "
                "stop it, or set FLYBALL_HOME and FLYBALL_PORT for a second installation",
                field="home",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def ensure_owner_token(platform: Platform) -> Path:
    """See to it that the file holds a token that works and that only the owner could read; else make a new one.

    The old one is revoked then: a token that was lost, or that others could read, opens nothing.
    """
    path = platform.settings.owner_token_file
    reason = _unfit(path, platform)
    if reason:
        _log.info("owner_token_made", file=str(path), reason=reason)
        write_private(path, platform.access.bootstrap_owner())
    return path


def _unfit(path: Path, platform: Platform) -> str:
    try:
        if path.stat().st_mode & OTHERS:
            return "others could read it"
        platform.access.authenticate(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return "there was none"
    except (Unauthenticated, UnicodeDecodeError):
        return "it opened nothing any more"
    return ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # its mode would stay
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
