"""Where the operator gets packages from: uv's own configuration, or else pip's, said to uv in its words.

uv does not read the configuration of pip, and most machines behind a mirror have that one only.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import PREFIX

# Whoever says one of these to uv has told it where packages come from.
_UV_SAYS_WHERE = frozenset(
    {
        "UV_CONFIG_FILE",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_NO_INDEX",
    }
)
# pip's option -> uv's variable, where the value is the same.
_SAME = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "client-cert": "SSL_CLIENT_CERT"}
_PIP = "PIP_"
_SECTIONS = ("global", "install")


def uv_environment(environ: Mapping[str, str], *, files: Iterable[Path] | None = None) -> dict[str, str]:
    """Return the environment of uv: what surrounds us without our own settings, and pip's configuration in uv's words.

    pip's is left alone as soon as uv is configured itself. `files` are pip's configuration files, the later the stronger.

    Raises:
        InvalidInput: a configuration file of pip that cannot be read.
    """
    plain = {key: value for key, value in environ.items() if not key.startswith(PREFIX)}
    # Interpreters come from the machine, not from the network, unless the operator wants that.
    plain.setdefault("UV_PYTHON_DOWNLOADS", "never")
    if _UV_SAYS_WHERE & set(plain) or any(path.is_file() for path in _uv_files(plain)):
        return plain
    options = _pip_options(plain, _pip_files(plain) if files is None else files)
    return _in_uv_words(options) | plain


def _uv_files(environ: Mapping[str, str]) -> list[Path]:
    home = environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    system = [Path(part) for part in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]
    return [folder / "uv" / "uv.toml" for folder in (Path(home), *system, Path("/etc"))]


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Return pip's files in the order in which it reads them (pip's user guide, "Configuration")."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path("~").expanduser()
    xdg = [Path(part) / "pip" / "pip.conf" for part in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    found = [*xdg, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user, Path(sys.prefix) / "pip.conf"]
    return [*found, Path(named)] if named else found


def _pip_options(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    options: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path} is no configuration of pip: {error}", field=str(path)) from error
        for section in _SECTIONS:
            if parser.has_section(section):
                options.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    said = {key: value for key, value in environ.items() if key.startswith(_PIP)}
    return options | {key.removeprefix(_PIP).lower().replace("_", "-"): value for key, value in said.items()}


def _in_uv_words(options: Mapping[str, str]) -> dict[str, str]:
    words = {ours: options[theirs] for theirs, ours in _SAME.items() if options.get(theirs)}
    extra, links = options.get("extra-index-url", "").split(), options.get("find-links", "").split()
    if extra:
        # pip takes the best version of all indexes, uv the first index that knows the name; what pip's configuration says is
        # meant as pip means it.
        words |= {"UV_INDEX": " ".join(extra), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    # pip passes over folders that are not there, uv does not.
    links = [link for link in links if urlsplit(link).scheme or Path(link).exists()]
    if links:
        words["UV_FIND_LINKS"] = ",".join(links)
    if options.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        words["UV_NO_INDEX"] = "1"
    if options.get("trusted-host"):
        words["UV_INSECURE_HOST"] = " ".join(options["trusted-host"].split())
    if options.get("proxy"):
        words |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), options["proxy"])
    return words
