"""Secrets are read from where they were laid ready, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.kernel.secrets import Secrets
from flyball.kernel.settings import load_settings


def test_a_secret_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("s3cret\n")
    secrets = Secrets({"FLYBALL_SECRET_A": "other"}, tmp_path)
    assert secrets.read("file:hook") == "s3cret"
    assert secrets.read("env:FLYBALL_SECRET_A") == "other"


@pytest.mark.parametrize(
    "reference",
    ["s3cret", "env:HOME", "env:FLYBALL_TOKEN", "file:", "file:../x", "file:a/b", "file:/etc/passwd", "http:x"],
)
def test_a_reference_to_anything_else_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Secrets({}, tmp_path).check(reference, field="secret_from")
    assert refused.value.field == "secret_from"


@pytest.mark.parametrize("reference", ["env:FLYBALL_SECRET_A", "file:hook", "file:empty", "file:folder"])
def test_what_is_missing_is_named(tmp_path: Path, reference: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match=reference.partition(":")[2]):
        Secrets({}, tmp_path).read(reference)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        Secrets({}, tmp_path / "secrets").read("file:hook")


def test_a_variable_that_holds_a_secret_is_no_setting(tmp_path: Path) -> None:
    found = load_settings({"FLYBALL_HOME": str(tmp_path), "FLYBALL_SECRET_A": "x"})
    assert found.secrets_folder == tmp_path / "secrets"
