"""What kind of file system a path is on (SQLite's locks cannot be trusted over a network), and how a large file gets to disk."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from pathlib import Path

from flyball.kernel.errors import Unsupported

# The list follows the warnings in "How To Corrupt An SQLite Database File", section 2.1 (sqlite.org).
NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "coda", "9p", "ceph", "glusterfs", "lustre", "beegfs"}
)
# File systems in user space that keep their files elsewhere.
NETWORK_FUSE = frozenset({"sshfs", "s3fs", "rclone", "gcsfuse", "glusterfs", "ceph", "davfs", "juicefs", "blobfuse2"})
MOUNTS = Path("/proc/self/mounts")
# From linux/fs.h: start to write what is not being written yet.
_SYNC_FILE_RANGE_WRITE = 2


def filesystem_type(path: Path, *, mounts: str) -> str:
    """Return the type of the file system that holds the path, by the longest mount point above it.

    >>> filesystem_type(Path("/data/x"), mounts="srv:/e /data nfs4 rw 0 0")
    'nfs4'
    """
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:  # noqa: PLR2004 -- device, mount point, type: fewer is no mount
            continue
        point = _unescape(fields[1])
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def is_network(kind: str) -> bool:
    """Tell whether files of this type of file system lie on another machine.

    >>> is_network("nfs4"), is_network("fuse.sshfs"), is_network("ext4")
    (True, True, False)
    """
    return kind in NETWORK_TYPES or kind.removeprefix("fuse.") in NETWORK_FUSE


def _unescape(point: str) -> str:
    """Undo the octal escapes of the mounts file: space, tab, newline, backslash."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)


def refuse_network_filesystem(path: Path) -> None:
    """Raise where a database file would lie on a network share.

    Raises:
        Unsupported: the file system is a network file system.
    """
    if not MOUNTS.exists():
        return
    kind = filesystem_type(path.resolve(), mounts=MOUNTS.read_text(encoding="utf-8", errors="replace"))
    if is_network(kind):
        raise Unsupported(
            f"{path} is on a network file system ({kind}), where SQLite's locks cannot be trusted; "
            "set FLYBALL_HOME to a local disk, or FLYBALL_DATABASE_URL to PostgreSQL"
        )


def begin_writing_back(descriptor: int, *, start: int, size: int) -> None:
    """Let the system begin to write a part of a file to its disk, and do not wait for it.

    Left to itself it waits for seconds, and the fsync at the end of a large file then has all of it to write. Without effect on
    systems that have no `sync_file_range`.
    """
    call = _sync_file_range()
    if call is not None:
        call(descriptor, ctypes.c_int64(start), ctypes.c_int64(size), _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return None
    return found
