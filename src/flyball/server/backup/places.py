"""Find the place of backups that a path names, and the backup in it that is meant."""

from __future__ import annotations

from pathlib import Path

from flyball.kernel.errors import NotFound
from flyball.server.backup.archive import SUFFIX, ArchivePlace
from flyball.server.backup.folder import FolderPlace
from flyball.server.backup.ports import Place


def place_at(path: Path, *, link: bool = True) -> Place:
    """Return the place: one archive where the path ends in `.tar`, else a folder that takes any number of backups.

    With `link`, artifacts on the same file system are shared with a folder and not copied.
    """
    return ArchivePlace(path.absolute()) if path.suffix == SUFFIX else FolderPlace(path.absolute(), link=link)


def newest_backup(place: Place) -> str:
    """Return the id of the latest backup.

    Raises:
        NotFound: there is none.
    """
    found = place.backups()
    if not found:
        raise NotFound("there is no whole backup there", field="path")
    return found[-1]
