from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flyball.kernel import filesystem
from flyball.kernel.db import open_database
from flyball.kernel.errors import Unsupported
from flyball.kernel.filesystem import filesystem_type, is_network, refuse_network_filesystem

MOUNTS = r"""/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0

short line
server:/export /data nfs4 rw 0 0
/dev/vdb /data/local xfs rw 0 0
//nas/share /mnt/my\040share cifs rw 0 0
user@host:/ /mnt/back\134slash fuse.sshfs rw 0 0
first /twice tmpfs rw 0 0
second /twice nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada", "ext4"),
        ("/data", "nfs4"),
        ("/data/models/a", "nfs4"),
        ("/data/local/flyball", "xfs"),
        ("/database", "ext4"),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/back\\slash/x", "fuse.sshfs"),
        ("/twice/x", "nfs"),
    ],
)
def test_the_type_is_that_of_the_longest_and_latest_mount_above(path: str, kind: str) -> None:
    assert filesystem_type(Path(path), mounts=MOUNTS) == kind


def test_without_a_mount_above_the_type_is_unknown() -> None:
    assert filesystem_type(Path("/x"), mounts="") == "unknown"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.s3fs", "lustre"])
def test_a_network_type_is_told(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuse.fuse-overlayfs"])
def test_a_local_type_is_told(kind: str) -> None:
    assert not is_network(kind)


def test_a_database_on_a_network_share_is_refused_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/export {tmp_path / 'share'} nfs4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    with pytest.raises(Unsupported, match=r"is on a network file system \(nfs4\).*FLYBALL_DATABASE_URL"):
        open_database(f"sqlite:///{tmp_path / 'share' / 'flyball.db'}")
    assert not (tmp_path / "share").exists()


def test_where_mounts_cannot_be_read_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "none")
    refuse_network_filesystem(tmp_path)


@pytest.mark.parametrize("system", ["this", "other"])
def test_a_file_that_is_being_written_back_keeps_its_bytes(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "other":
        monkeypatch.setattr(filesystem, "_sync_file_range", lambda: None)
    with (tmp_path / "file").open("xb") as file:
        for at in range(3):
            file.write(b"x" * 100_000)
            file.flush()
            filesystem.begin_writing_back(file.fileno(), start=at * 100_000, size=100_000)

    assert (tmp_path / "file").read_bytes() == b"x" * 300_000


def test_linux_has_a_call_for_writing_back() -> None:
    assert (filesystem._sync_file_range() is not None) is sys.platform.startswith("linux")
