"""Backups: made of each kind of database, read to the last byte, restored to each kind; what is damaged is named."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import text
from tests.architecture.source import import_all
from tests.migrations import history
from tests.unit.server.backup.conftest import UrlOf, fill

from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.ports import DELETION
from flyball.governance.access import OWNER
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, metadata, open_database
from flyball.kernel.errors import Conflict, Corrupted, NotFound, StoreFull
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.kernel.settings import Settings, load_settings
from flyball.server import migrations
from flyball.server.backup import creating, restoring, switching
from flyball.server.backup.creating import create_backup
from flyball.server.backup.entities import Manifest
from flyball.server.backup.places import newest_backup, place_at
from flyball.server.backup.ports import Place
from flyball.server.backup.restoring import restore_backup
from flyball.server.backup.sql import names
from flyball.server.backup.sql.names import named_digests
from flyball.server.backup.sql.side import Side
from flyball.server.backup.verifying import verify_backup
from flyball.server.home import ensure_owner_token, prepare_home
from flyball.server.occupancy import share_database
from flyball.server.platform import Platform, open_platform

KINDS = ("sqlite", "postgresql")
kinds = pytest.mark.parametrize("kind", KINDS)
forms = pytest.mark.parametrize("form", ["backups", "backup.tar"])
CONTENTS = tuple(f"content {number}".encode() * number for number in range(1, 6))


class Installation:
    """A home with a database of a kind, full of rows, and a few artifacts."""

    def __init__(self, home: Path, url: str) -> None:
        self.settings: Settings = load_settings({"FLYBALL_HOME": str(home), "FLYBALL_DATABASE_URL": url})

    @property
    def url(self) -> str:
        return self.settings.resolved_database_url

    @contextlib.contextmanager
    def platform(self) -> Iterator[Platform]:
        with contextlib.closing(open_platform(self.settings)) as platform:
            yield platform

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        with contextlib.closing(open_database(self.url)) as database:
            yield database

    def fill(self) -> Installation:
        prepare_home(self.settings)
        with self.database() as database:
            fill(database)
            with database.transaction() as connection:  # rows of artifacts that nobody stored
                for table, column in names.NAMING:
                    nullable = column in {"log_digest", "output_digest"}
                    statement = f"UPDATE {table} SET {column} = NULL" if nullable else f"DELETE FROM {table}"
                    connection.execute(text(statement))
        with self.platform() as platform:
            for number, content in enumerate(CONTENTS):
                platform.artifacts.put("files", f"{number}.txt", [content])
        return self

    def back_up(self, place: Place) -> Manifest:
        return create_backup(self.settings, place, clock=SystemClock())

    def restore(self, place: Place, *, replace: bool = False, damaged: bool = False, backup: str = "") -> Manifest:
        return restore_backup(
            self.settings,
            place,
            backup or newest_backup(place),
            replace=replace,
            damaged=damaged,
            clock=SystemClock(),
            tell=lambda _: None,
        )

    def content(self) -> history.Rows:
        with self.database() as database:
            return history.content(database)


@pytest.fixture
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Installation]:
    def make(kind: str) -> Installation:
        home = tmp_path / "full"
        url = "" if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))
        return Installation(home, url).fill()

    return make


@pytest.fixture
def here(full: Callable[[str], Installation]) -> Installation:
    return full("sqlite")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_at(tmp_path / "backups")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "restored", "")


def damage_in(place: Place) -> tuple[str, ...]:
    return verify_backup(place, newest_backup(place), clock=SystemClock()).damage


def assert_equal(restored: Installation, original: history.Rows, *, events: int) -> None:
    """See that a restored installation has every row of the backup, and one event more that says so."""
    found = restored.content()
    volatile = {"events", "edges", "leases"}
    assert {name: rows for name, rows in found.items() if name not in volatile} == {
        name: rows for name, rows in original.items() if name not in volatile
    }
    with restored.platform() as platform:
        checked, head = platform.audit.verify(), platform.events.store.head()
        assert (checked.intact, checked.count) == (True, events + 1)
        assert head is not None
        assert head.kind == "database.restored"
        for number, content in enumerate(CONTENTS):
            assert platform.artifacts.read("files", f"{number}.txt") == content


@forms
@pytest.mark.parametrize(("kind", "into"), [(a, b) for a in KINDS for b in KINDS if (a, b) != ("postgresql",) * 2])
def test_a_backup_is_whole_and_restores_to_each_kind_of_database(
    full: Callable[[str], Installation], url_of: UrlOf, tmp_path: Path, form: str, kind: str, into: str
) -> None:
    installation, place = full(kind), place_at(tmp_path / form)
    before = installation.content()
    made = installation.back_up(place)
    assert damage_in(place) == ()
    assert made.chain.intact
    assert made.revision == migrations.newest()
    restored = Installation(tmp_path / "restored", url_of("postgresql") if into == "postgresql" else "")
    restored.restore(place)
    assert_equal(restored, before, events=made.chain.count)


@kinds
def test_a_backup_is_recorded_in_the_chain_that_goes_on(
    full: Callable[[str], Installation], place: Place, kind: str
) -> None:
    installation = full(kind)
    made = installation.back_up(place)
    with installation.platform() as platform:
        head = platform.events.store.head()
        assert head is not None
        assert (head.kind, head.subject, head.payload["head"]) == (
            "backup.created",
            f"backup:{made.id}",
            made.chain.head,
        )
        assert platform.audit.verify(witness=made.chain.head).intact


def test_a_later_backup_copies_only_what_is_new(here: Installation, tmp_path: Path) -> None:
    place = place_at(tmp_path / "backups", link=False)
    here.back_up(place)
    blobs = tmp_path / "backups" / "blobs"
    first = {path: path.stat().st_ino for path in blobs.rglob("*") if path.is_file()}
    with here.platform() as platform:
        platform.artifacts.put("files", "new.txt", [b"new"])
    here.back_up(place)
    second = {path: path.stat().st_ino for path in blobs.rglob("*") if path.is_file()}
    assert {path: inode for path, inode in second.items() if path in first} == first
    assert [path.name for path in second if path not in first] == [digest_bytes(b"new")]
    assert [damage_in(place), len(place.backups())] == [(), 2]


def test_artifacts_on_one_file_system_are_shared_unless_a_copy_is_asked_for(here: Installation, tmp_path: Path) -> None:
    linked, copied = place_at(tmp_path / "linked"), place_at(tmp_path / "copied", link=False)
    here.back_up(linked)
    here.back_up(copied)
    counts = {
        name: {path.stat().st_nlink for path in (tmp_path / name / "blobs").rglob("*") if path.is_file()}
        for name in ("linked", "copied")
    }
    assert counts == {"linked": {2}, "copied": {1}}


def test_a_backup_is_for_its_owner_only(here: Installation, tmp_path: Path) -> None:
    here.back_up(place_at(tmp_path / "backups"))
    here.back_up(place_at(tmp_path / "backup.tar"))
    (folder,) = (tmp_path / "backups" / "backups").iterdir()
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in (*folder.iterdir(), tmp_path / "backup.tar")} == {
        "manifest.json": 0o600,
        "database.sqlite": 0o600,
        "artifacts.txt": 0o600,
        "backup.tar": 0o600,
    }


def test_no_secret_of_the_home_is_in_a_backup(here: Installation, tmp_path: Path) -> None:
    with here.platform() as platform:
        token = ensure_owner_token(platform).read_text(encoding="utf-8").strip()
    here.back_up(place_at(tmp_path / "backup.tar"))
    assert token.split("_", 2)[2].encode() not in (tmp_path / "backup.tar").read_bytes()
    restored = Installation(tmp_path / "restored", "")
    restored.restore(place_at(tmp_path / "backup.tar"))
    assert not restored.settings.owner_token_file.exists()
    with restored.platform() as platform:
        new = ensure_owner_token(platform).read_text(encoding="utf-8").strip()
        assert platform.access.authenticate(new).identity == OWNER


# -- damage


def _flip(path: Path, at: int) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _blob(tmp_path: Path, content: bytes) -> Path:
    digest = digest_bytes(content)
    return tmp_path / "backups" / "blobs" / "sha256" / digest[:2] / digest


@pytest.mark.parametrize("name", ["manifest.json", "database.sqlite", "artifacts.txt", "blob"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_what_is_damaged_in_a_folder_is_named_and_never_switched_in(
    here: Installation, elsewhere: Installation, tmp_path: Path, name: str, harm: str
) -> None:
    place = place_at(tmp_path / "backups", link=False)
    here.back_up(place)
    (folder,) = (tmp_path / "backups" / "backups").iterdir()
    path = _blob(tmp_path, CONTENTS[3]) if name == "blob" else folder / name
    match harm:
        case "flipped":
            _flip(path, path.stat().st_size // 2)
        case "cut":
            os.truncate(path, path.stat().st_size - 1)
        case _:
            path.unlink()
    (damage,) = damage_in(place)
    assert (digest_bytes(CONTENTS[3]) if name == "blob" else name.split(".", maxsplit=1)[0]) in damage
    with pytest.raises(Corrupted):
        elsewhere.restore(place)
    assert not (elsewhere.settings.home / "flyball.db").exists()


def test_every_file_of_an_archive_counts(here: Installation, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    here.back_up(place_at(path))
    whole, made = path.read_bytes(), newest_backup(place_at(path))
    with tarfile.open(path) as archive:
        spans = {member.name: (member.offset_data, member.size) for member in archive.getmembers()}
    for name, (start, size) in spans.items():
        middle = start + size // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        assert verify_backup(place_at(path), made, clock=SystemClock()).damage, name
        elsewhere = Installation(tmp_path / f"restored-{middle}", "")
        with pytest.raises(Corrupted):
            elsewhere.restore(place_at(path), backup=made)
        assert not (elsewhere.settings.home / "flyball.db").exists()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Corrupted):
        elsewhere.restore(place_at(path), backup=made)


def test_an_edited_row_is_found_even_with_a_new_digest_of_its_file(
    here: Installation, place: Place, tmp_path: Path
) -> None:
    here.back_up(place)
    (folder,) = (tmp_path / "backups" / "backups").iterdir()
    with contextlib.closing(sqlite3.connect(folder / "database.sqlite")) as connection:
        connection.execute("UPDATE run_params SET value = '0.2' WHERE key = 'lr' AND value = '0.1'")
        connection.commit()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["database"] = {
        "digest": digest_bytes((folder / "database.sqlite").read_bytes()),
        "size_bytes": (folder / "database.sqlite").stat().st_size,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (damage,) = damage_in(place)
    assert "does not match its own digest" in damage


def test_what_is_missing_in_the_installation_is_named_by_the_backup(
    here: Installation, place: Place, elsewhere: Installation
) -> None:
    lost, changed = digest_bytes(CONTENTS[0]), digest_bytes(CONTENTS[1])
    artifacts = here.settings.home / "artifacts" / "sha256"
    (artifacts / lost[:2] / lost).unlink()
    made = here.back_up(place)
    assert made.artifacts is not None
    assert made.artifacts.missing == (lost,)
    assert [lost in damage for damage in damage_in(place)] == [True]
    with pytest.raises(Corrupted, match=lost):
        elsewhere.restore(place)
    elsewhere.restore(place, damaged=True)
    with elsewhere.platform() as platform:
        assert platform.artifacts.read("files", "4.txt") == CONTENTS[4]
        with pytest.raises(NotFound):
            platform.artifacts.read("files", "0.txt")
    assert changed in set(open_blob_store(elsewhere.settings).digests())


def test_a_broken_chain_is_told_and_restored_only_on_demand(
    here: Installation, place: Place, elsewhere: Installation
) -> None:
    with here.database() as database, database.transaction() as connection:
        connection.execute(text("UPDATE events SET actor = 'user:eve' WHERE seq = 9"))
    made = here.back_up(place)
    assert not made.chain.intact
    assert "broken at entry 9" in " ".join(damage_in(place))
    with pytest.raises(Corrupted, match="entry 9"):
        elsewhere.restore(place)
    elsewhere.restore(place, damaged=True)
    with elsewhere.platform() as platform:
        assert platform.audit.verify().first_bad == 9


# -- what is refused, and what a crash leaves


@kinds
def test_an_installation_that_is_not_empty_is_replaced_only_on_demand(
    full: Callable[[str], Installation], place: Place, kind: str
) -> None:
    installation = full(kind)
    before = installation.content()
    made = installation.back_up(place)
    with installation.platform() as platform:
        platform.tracking.experiments.create("later", actor=OWNER)
    with pytest.raises(Conflict, match="--replace"):
        installation.restore(place)
    installation.restore(place, replace=True)
    assert_equal(installation, before, events=made.chain.count)
    if kind == "sqlite":
        (kept,) = installation.settings.home.glob("flyball.db.replaced-*[0-9]")
        with contextlib.closing(open_database(f"sqlite:///{kept}")) as old, old.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM experiments WHERE name = 'later'")).scalar() == 1


def test_a_restore_over_a_database_with_a_log_left_by_a_killed_process_takes_nothing_from_it(
    here: Installation, place: Place
) -> None:
    before = here.content()
    made = here.back_up(place)
    file = here.settings.home / "flyball.db"
    child = os.fork()
    if child == 0:  # leaves its write in the log beside the database
        connection = sqlite3.connect(file)
        connection.execute("UPDATE experiments SET updated_ms = 77")
        connection.commit()
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert file.with_name("flyball.db-wal").stat().st_size > 0
    here.restore(place, replace=True)
    assert_equal(here, before, events=made.chain.count)


@pytest.mark.parametrize(
    ("module", "name"), [(restoring, "switch_in"), (switching, "_keep"), (switching, "sync_folder")]
)
def test_a_restore_that_is_killed_leaves_the_old_database_in_its_place_and_can_be_repeated(
    here: Installation, place: Place, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    made = here.back_up(place)
    with here.platform() as platform:
        platform.tracking.experiments.create("later", actor=OWNER)
    before = here.content()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(module, name, lambda *_, **__: os.kill(os.getpid(), 9))
        here.restore(place, replace=True)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert here.content() == before
    here.restore(place, replace=True)
    assert list(here.settings.home.glob(".flyball.db.restoring-*")) == []
    with here.platform() as platform:
        assert platform.audit.verify().count == made.chain.count + 1


def test_a_running_server_keeps_a_restore_out_and_not_a_backup(here: Installation, place: Place) -> None:
    with share_database(here.url, process="flyball server"):
        here.back_up(place)
        with pytest.raises(Conflict, match="flyball server"):
            here.restore(place, replace=True)


def test_a_backup_of_a_later_release_is_refused_with_its_remedy(
    here: Installation, place: Place, elsewhere: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.back_up(place)
    monkeypatch.setattr(migrations, "revisions", lambda: ["0001"])
    with pytest.raises(Conflict, match=r"newer than this release: install flyball \d"):
        elsewhere.restore(place)


def test_a_backup_that_was_broken_off_is_none_and_the_next_one_cleans_up(
    here: Installation, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.back_up(place)

    def full(*_: object, **__: object) -> None:
        raise StoreFull("full")

    monkeypatch.setattr(creating, "sum_file", full)
    with pytest.raises(StoreFull):
        here.back_up(place)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(creating, "sum_file", lambda _: os.kill(os.getpid(), 9))
        here.back_up(place)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    partial = list((tmp_path / "backups" / "backups").glob("*.partial"))
    assert len(partial) == 1
    assert (len(place.backups()), damage_in(place)) == (1, ())
    monkeypatch.undo()
    here.back_up(place)
    assert (len(place.backups()), damage_in(place), partial[0].exists()) == (2, (), False)
    assert list((tmp_path / "backups" / "temporary").iterdir()) == []


def test_one_backup_at_a_time_is_written_to_a_folder_and_none_over_a_file(here: Installation, tmp_path: Path) -> None:
    place = place_at(tmp_path / "backups")
    with place.draft("first"), pytest.raises(Conflict, match="another backup"):
        here.back_up(place)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(Conflict, match="other things than backups"):
        here.back_up(place_at(tmp_path / "thesis"))
    (tmp_path / "taken.tar").touch()
    with pytest.raises(Conflict, match="overwrites nothing"):
        here.back_up(place_at(tmp_path / "taken.tar"))
    with pytest.raises(NotFound):
        place_at(tmp_path / "nowhere").backups()
    with pytest.raises(NotFound), place.open("../backups"):
        pass


def test_nothing_is_deleted_while_a_backup_copies_and_none_is_made_while_something_is_deleted(
    here: Installation, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def looked(side: Side) -> Iterator[Digest]:
        with here.database() as database:
            lease = SqlLeaseStore(database, SystemClock()).find(DELETION)
            seen.append(lease.holder if lease else "")
        return named_digests(side)

    monkeypatch.setattr(creating, "named_digests", looked)
    here.back_up(place)
    assert seen[0].startswith("backup:")
    monkeypatch.setattr(creating, "HOLD_MS", 100)
    with here.database() as database:
        SqlLeaseStore(database, SystemClock()).acquire(DELETION, holder="collector", ttl_ms=60_000)
        with pytest.raises(Conflict, match="being deleted"):
            here.back_up(place)


def test_every_digest_of_the_schema_is_known_to_name_an_artifact_or_not() -> None:
    import_all()
    columns = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if getattr(column.type, "length", None) == 64
    }
    assert columns == {*names.NAMING, *names.OTHERS}
