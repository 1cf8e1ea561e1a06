from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flyball.governance.access import OWNER
from flyball.kernel.errors import Conflict, Unauthenticated
from flyball.kernel.settings import Settings
from flyball.server.home import ensure_owner_token, hold_home, prepare_home, write_private
from flyball.server.platform import Platform


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_home_is_for_its_owner_only_whatever_the_umask(settings: Settings) -> None:
    before = os.umask(0)
    try:
        prepare_home(settings)
    finally:
        os.umask(before)
    assert mode(settings.home) == 0o700


@pytest.mark.parametrize("content", [None, "owner.token", "flyball.toml", "flyball.db"])
def test_a_home_of_ours_that_others_can_look_into_is_closed(settings: Settings, content: str | None) -> None:
    settings.home.mkdir()
    settings.home.chmod(0o755)
    if content:
        (settings.home / content).touch()
    prepare_home(settings)
    assert mode(settings.home) == 0o700


def test_an_open_folder_with_the_files_of_others_is_refused_and_left_alone(settings: Settings) -> None:
    settings.home.mkdir()
    settings.home.chmod(0o755)
    (settings.home / "thesis.tex").touch()
    with pytest.raises(Conflict, match="chmod 700"):
        prepare_home(settings)
    assert mode(settings.home) == 0o755


def test_a_home_of_another_account_is_refused(settings: Settings) -> None:
    foreign = Path("/")  # root's, unless we are root; root can give a folder away
    if os.geteuid() == 0:
        foreign = settings.home
        foreign.mkdir()
        os.chown(foreign, 12_345, 12_345)
    with pytest.raises(Conflict, match="another account"):
        prepare_home(dataclasses.replace(settings, home=foreign))


def test_a_private_file_is_private_even_where_an_open_draft_was_left(tmp_path: Path) -> None:
    path = tmp_path / "owner.token"
    draft = tmp_path / "owner.token.new"
    draft.write_text("old", encoding="utf-8")
    draft.chmod(0o666)
    before = os.umask(0)
    try:
        write_private(path, "secret")
    finally:
        os.umask(before)
    assert (mode(path), path.read_text(encoding="utf-8"), draft.exists()) == (0o600, "secret\n", False)


def test_a_private_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept", encoding="utf-8")
    (tmp_path / "owner.token.new").symlink_to(target)
    write_private(tmp_path / "owner.token", "secret")
    assert target.read_text(encoding="utf-8") == "kept"


def test_the_owner_token_is_made_once_and_works(platform: Platform) -> None:
    path = ensure_owner_token(platform)
    secret = path.read_text(encoding="utf-8").strip()
    assert mode(path) == 0o600
    assert platform.access.authenticate(secret).identity == OWNER
    assert ensure_owner_token(platform).read_text(encoding="utf-8").strip() == secret


@pytest.mark.parametrize("harm", ["lost", "garbled", "empty", "no text", "readable", "revoked"])
def test_an_owner_token_that_is_lost_or_worthless_is_replaced_and_the_old_one_opens_nothing(
    platform: Platform, harm: str
) -> None:
    path = ensure_owner_token(platform)
    old = path.read_text(encoding="utf-8").strip()
    match harm:
        case "lost":
            path.unlink()
        case "readable":
            path.chmod(0o644)
        case "revoked":
            platform.access.revoke(old.split("_")[1], actor=OWNER)
        case _:
            path.write_bytes({"garbled": b"fb_x", "empty": b"", "no text": b"\xff\xfe"}[harm])
    new = ensure_owner_token(platform).read_text(encoding="utf-8").strip()
    assert (mode(path), platform.access.authenticate(new).identity) == (0o600, OWNER)
    with pytest.raises(Unauthenticated):
        platform.access.authenticate(old)


def test_one_supervisor_holds_a_home_and_its_death_frees_it(settings: Settings) -> None:
    prepare_home(settings)
    script = (
        "import sys, time; from flyball.kernel.settings import load_settings; from flyball.server.home import hold_home\n"
        "with hold_home(load_settings()): print('held', flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "FLYBALL_HOME": str(settings.home)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=f"process {holder.pid}"), hold_home(settings):
            pass
        holder.kill()
    with hold_home(settings):
        pass
