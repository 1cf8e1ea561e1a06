from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from flyball.kernel.settings import Settings
from flyball.server import doctor
from flyball.server.doctor import Finding, examine
from flyball.server.home import ensure_owner_token
from flyball.server.platform import Platform


def look(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(settings)}


def bad(settings: Settings) -> set[str]:
    return {subject for subject, finding in look(settings).items() if not finding.healthy}


def edit(settings: Settings, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(settings.home / "flyball.db")) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_sound_home_lacks_only_the_server(platform: Platform) -> None:
    ensure_owner_token(platform)
    found = look(platform.settings)
    assert {subject for subject, finding in found.items() if not finding.healthy} == {"server"}
    assert "flyball up" in found["server"].remedy


def test_every_finding_that_is_bad_says_what_to_do(settings: Settings) -> None:
    assert all(finding.remedy for finding in examine(settings) if not finding.healthy)


def test_without_a_home_nothing_is_made(settings: Settings) -> None:
    assert bad(settings) == {"home", "database", "audit", "artifacts", "owner token", "server"}
    assert not settings.home.exists()


def test_a_missing_database_is_named_and_not_made(settings: Settings) -> None:
    settings.home.mkdir(mode=0o700)
    found = look(settings)
    assert "flyball up" in found["database"].detail
    assert not (settings.home / "flyball.db").exists()


def test_a_home_that_others_can_look_into_is_named_with_its_remedy(platform: Platform) -> None:
    platform.settings.home.chmod(0o755)
    finding = look(platform.settings)["home"]
    assert (finding.healthy, finding.remedy.endswith(f"chmod 700 {platform.settings.home}")) == (False, True)


def test_an_owner_token_that_others_can_read_is_named(platform: Platform) -> None:
    ensure_owner_token(platform).chmod(0o640)
    finding = look(platform.settings)["owner token"]
    assert (finding.healthy, "mode 640" in finding.detail) == (False, True)


@pytest.mark.parametrize("content", ["", "fb_0", "fb_" + "0" * 32 + "_x"])
def test_an_owner_token_that_opens_nothing_is_named(platform: Platform, content: str) -> None:
    ensure_owner_token(platform).write_text(content, encoding="utf-8")
    assert "owner token" in bad(platform.settings)


def test_an_edited_event_is_found_and_named(platform: Platform) -> None:
    ensure_owner_token(platform)
    edit(platform.settings, "UPDATE events SET actor = 'user:eve' WHERE seq = 2")
    finding = look(platform.settings)["audit"]
    assert (finding.healthy, "broken at entry 2" in finding.detail) == (False, True)
    assert "backup" in finding.remedy


def test_an_older_schema_is_named_with_its_remedy(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyball.server.migrations.newest", lambda: "9999")
    finding = look(platform.settings)["database"]
    assert (finding.healthy, finding.remedy) == (False, "run: flyball db upgrade")


def test_a_database_that_is_none_is_a_finding_and_no_crash(platform: Platform) -> None:
    platform.close()
    (platform.settings.home / "flyball.db").write_bytes(b"this is no database, " * 100)
    for left in platform.settings.home.glob("flyball.db-*"):
        left.unlink()
    assert {"database", "audit", "owner token"} <= bad(platform.settings)


def test_a_full_disk_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 62)
    finding = look(platform.settings)["disk"]
    assert (finding.healthy, "free space" in finding.remedy) == (False, True)


def test_artifacts_that_cannot_be_written_are_named(platform: Platform, tmp_path: Path) -> None:
    (platform.settings.home / "artifacts").write_text("a file where a folder should be", encoding="utf-8")
    assert "artifacts" in bad(platform.settings)
