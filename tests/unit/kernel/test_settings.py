from __future__ import annotations

from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.kernel.settings import Settings, load_settings


def load(home: Path, file: str | None = None, **environ: str) -> Settings:
    if file is not None:
        (home / "flyball.toml").write_text(file, encoding="utf-8")
    return load_settings({"FLYBALL_HOME": str(home)} | environ)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings(home=tmp_path)


def test_the_file_goes_before_the_default_and_the_environment_before_the_file(tmp_path: Path) -> None:
    found = load(tmp_path, 'port = 6000\nhost = "0.0.0.0"\nallow_pickle = true', FLYBALL_PORT="7000")
    assert (found.port, found.host, found.allow_pickle) == (7000, "0.0.0.0", True)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, PORT="1", FLYBAL_PORT="2", HOME="/x") == Settings(home=tmp_path)


def test_an_unknown_variable_is_an_error_with_a_near_miss(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey, match=r"'databse_url' in environment variable FLYBALL_DATABSE_URL; .* database_url"):
        load(tmp_path, FLYBALL_DATABSE_URL="sqlite:///x")


def test_an_unknown_key_of_the_file_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey, match=r"'prot' in .*flyball\.toml; did you mean .*port"):
        load(tmp_path, "prot = 1")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("FLYBALL_PORT", "http", "'http' is not a whole number"),
        ("FLYBALL_PORT", "", "'' is not a whole number"),
        ("FLYBALL_PORT", "5757.5", "'5757.5' is not a whole number"),
        ("FLYBALL_PORT", "65536", "65536 is out of range"),
        ("FLYBALL_PORT", "-1", "-1 is out of range"),
        ("FLYBALL_LEASE_TTL_MS", "0", "0 is too small"),
        ("FLYBALL_ALLOW_PICKLE", "maybe", "'maybe' is not true or false"),
        ("FLYBALL_LOG_LEVEL", "loud", "'loud' is none of debug, info, warning, error"),
        ("FLYBALL_LOG_FORMAT", "xml", "'xml' is none of console, json"),
    ],
)
def test_a_wrong_value_of_a_variable_names_it(tmp_path: Path, variable: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"environment variable {variable}: {reason}") as caught:
        load(tmp_path, **{variable: value})
    assert caught.value.field == variable.removeprefix("FLYBALL_").lower()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("port = true", "'True' is not a whole number"),
        ("port = 1.5", "'1.5' is not a whole number"),
        ("host = 1", "'1' is not text"),
        ("host = [1]", "is not text"),
        ("allow_pickle = 2", "'2' is not true or false"),
        ("lease_ttl_ms = -5", "-5 is too small"),
    ],
)
def test_a_wrong_value_in_the_file_names_the_file(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"flyball\.toml: .*{reason}"):
        load(tmp_path, line)


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "yes", "on"])
def test_yes_is_said_in_several_ways(tmp_path: Path, word: str) -> None:
    assert load(tmp_path, FLYBALL_ALLOW_PICKLE=word).allow_pickle


def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"flyball\.toml is no TOML"):
        load(tmp_path, "port = = 1")


def test_a_file_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "flyball.toml").mkdir()
    with pytest.raises(InvalidInput, match=r"flyball\.toml cannot be read"):
        load(tmp_path)


def test_the_file_cannot_move_the_home_it_lies_in(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="set FLYBALL_HOME instead"):
        load(tmp_path, 'home = "/elsewhere"')


def test_an_empty_home_is_an_error_rather_than_the_present_folder() -> None:
    with pytest.raises(InvalidInput, match="FLYBALL_HOME is empty"):
        load_settings({"FLYBALL_HOME": " "})


def test_a_home_may_start_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({"FLYBALL_HOME": "~/fly"}).home == tmp_path / "fly"


def test_the_defaults_that_depend_on_others_are_filled_in(tmp_path: Path) -> None:
    found = load(tmp_path, FLYBALL_PORT="6000")
    assert found.resolved_database_url == f"sqlite:///{tmp_path / 'flyball.db'}"
    assert found.resolved_artifacts_url == (tmp_path / "artifacts").as_uri()
    assert found.resolved_server_url == "http://127.0.0.1:6000"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        FLYBALL_TOKEN="hush-1",
        FLYBALL_S3_SECRET_ACCESS_KEY="hush-2",
        FLYBALL_DATABASE_URL="postgresql://u:hush-3@h/d",
    )
    assert "hush" not in repr(found)
    with pytest.raises(InvalidInput, match="this is not text") as caught:
        load(tmp_path, "token = 12345")
    assert "12345" not in caught.value.message
