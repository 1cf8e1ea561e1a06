"""Full disks, killed writers, silent servers: what was acknowledged stays, what was not leaves no trace."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.object_store import ObjectBlobStore, open_s3
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import StoreFull, Unavailable
from flyball.kernel.settings import Settings

ENDLESS_PUT = """
import sys
from pathlib import Path
from flyball.artifacts.folder import FolderBlobStore

def chunks():
    while True:
        yield bytes(1 << 16)
        print("wrote", flush=True)

FolderBlobStore(Path(sys.argv[1])).put(chunks())
"""

MANY_PUTS = """
import os, sys
from pathlib import Path
from flyball.artifacts.folder import FolderBlobStore

store = FolderBlobStore(Path(sys.argv[1]))
while True:
    print(store.put([os.urandom(1 << 14)]).digest, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 1 MiB; where mounting is not allowed, a limit of this process to files of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted and mounted.returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _put_until_full(store: FolderBlobStore) -> list[Digest]:
    acknowledged: list[Digest] = []
    for size_kib in range(10, 2_000, 50):
        try:
            acknowledged.append(store.put([os.urandom(1024)] * size_kib).digest)
        except StoreFull:
            return acknowledged
    pytest.fail("the disk never filled up")


def test_on_a_full_disk_everything_acknowledged_stays_and_nothing_half_is_kept(small_disk: Path) -> None:
    store = FolderBlobStore(small_disk)
    acknowledged = _put_until_full(store)
    assert len(acknowledged) >= 3
    assert set(store.digests()) == set(acknowledged)
    for digest in acknowledged:
        assert digest_bytes(b"".join(store.open(digest))) == digest
    assert list((small_disk / "temporary").iterdir()) == []


def test_after_room_was_made_a_full_store_works_again(small_disk: Path) -> None:
    store = FolderBlobStore(small_disk)
    acknowledged = _put_until_full(store)
    store.delete(acknowledged[-1])
    blob = store.put([b"small"])
    assert b"".join(store.open(blob.digest)) == b"small"


def test_a_killed_writer_leaves_a_temporary_file_that_a_sweep_removes_and_no_blob(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    with _child(ENDLESS_PUT, tmp_path) as writer:
        _read_lines(writer, 20)
        assert store.sweep_temporary() == 0
        writer.send_signal(signal.SIGKILL)
        writer.wait(timeout=30)
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    assert list(store.digests()) == []
    assert store.sweep_temporary() == 1
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("count", [1, 7, 40])
def test_a_kill_between_puts_leaves_whole_blobs_only_and_all_acknowledged_ones(tmp_path: Path, count: int) -> None:
    with _child(MANY_PUTS, tmp_path) as writer:
        acknowledged = _read_lines(writer, count)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line for line in writer.communicate(timeout=30)[0].splitlines() if len(line) == 64]
    store = FolderBlobStore(tmp_path)
    found = list(store.digests())
    assert set(acknowledged) <= set(found)
    for digest in found:
        assert digest_bytes(b"".join(store.open(digest))) == digest


def test_an_object_store_that_is_gone_is_unavailable_and_the_scratch_file_goes_too(tmp_path: Path) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    server.stop()
    store = _bucket(tmp_path, endpoint=f"http://{host}:{port}")
    with pytest.raises(Unavailable):
        store.put([b"x"])
    with pytest.raises(Unavailable):
        store.has(digest_bytes(b"x"))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_bucket_that_does_not_exist_is_named_as_the_fault(tmp_path: Path) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = _bucket(tmp_path, endpoint=f"http://{host}:{port}")
        with pytest.raises(Unavailable, match="bucket"):
            store.put([b"x"])
    finally:
        server.stop()


def _bucket(home: Path, *, endpoint: str) -> ObjectBlobStore:
    settings = Settings(
        home=home,
        artifacts_url="s3://nowhere/team",
        s3_endpoint=endpoint,
        s3_access_key_id="key",
        s3_secret_access_key="secret",
    )
    return open_s3(settings)


def _child(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


def _read_lines(child: subprocess.Popen[str], count: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().strip() for _ in range(count)]
