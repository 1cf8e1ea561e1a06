"""uv is told where the operator gets packages from, in its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput
from flyball.serving.isolation.pip_configuration import uv_environment


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which uv is not configured, whatever this machine says."""
    return {"PATH": "/bin", "XDG_CONFIG_HOME": str(tmp_path / "none"), "XDG_CONFIG_DIRS": str(tmp_path / "none")}


def told(environ: dict[str, str], *files: Path) -> dict[str, str]:
    found = uv_environment(environ, files=files)
    return {key: value for key, value in found.items() if key not in environ and key != "UV_PYTHON_DOWNLOADS"}


def test_our_own_settings_are_not_passed_on_and_interpreters_are_not_fetched(bare: dict[str, str]) -> None:
    found = uv_environment(bare | {"FLYBALL_TOKEN": "secret"}, files=[])
    assert found == bare | {"UV_PYTHON_DOWNLOADS": "never"}
    assert uv_environment(bare | {"UV_PYTHON_DOWNLOADS": "automatic"}, files=[])["UV_PYTHON_DOWNLOADS"] == "automatic"


def test_pips_files_are_read_the_later_the_stronger_and_its_variables_are_the_strongest(
    bare: dict[str, str], tmp_path: Path
) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text("[global]\nindex-url = https://weak.example/simple\ncert = /etc/weak.pem\n[list]\nformat = json\n")
    strong.write_text(
        "[install]\nindex_url = https://me:pass%word@strong.example/simple\ntrusted-host = a.example\n    b.example\n"
    )
    assert told(bare, weak, strong, tmp_path / "absent.conf") == {
        "UV_DEFAULT_INDEX": "https://me:pass%word@strong.example/simple",
        "SSL_CERT_FILE": "/etc/weak.pem",
        "UV_INSECURE_HOST": "a.example b.example",
    }
    said = bare | {"PIP_INDEX_URL": "https://env.example/simple", "PIP_CERT": ""}
    assert told(said, weak, strong)["UV_DEFAULT_INDEX"] == "https://env.example/simple"


def test_further_indexes_and_folders_mean_what_they_mean_to_pip(bare: dict[str, str], tmp_path: Path) -> None:
    said = bare | {
        "PIP_EXTRA_INDEX_URL": "https://a.example/simple https://b.example/simple",
        "PIP_FIND_LINKS": f"{tmp_path} {tmp_path / 'absent'} https://c.example/files",
        "PIP_NO_INDEX": "true",
        "PIP_PROXY": "http://proxy.example:3128",
    }
    assert told(said) == {
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path},https://c.example/files",
        "UV_NO_INDEX": "1",
        "HTTP_PROXY": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "ALL_PROXY": "http://proxy.example:3128",
    }


def test_as_soon_as_uv_is_configured_pip_is_not_asked(bare: dict[str, str], tmp_path: Path) -> None:
    pip = {"PIP_INDEX_URL": "https://pip.example/simple"}
    assert "UV_DEFAULT_INDEX" not in told(bare | pip | {"UV_INDEX_URL": "https://uv.example/simple"})
    (tmp_path / "none" / "uv").mkdir(parents=True)
    (tmp_path / "none" / "uv" / "uv.toml").write_text("")
    assert told(bare | pip) == {}


def test_a_configuration_that_cannot_be_read_is_named(bare: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("index-url = x\n")
    with pytest.raises(InvalidInput, match=r"pip\.conf is no configuration of pip"):
        told(bare, broken)
