"""Secrets by reference: `env:NAME` or `file:NAME`, read when they are used, so that no document and no database holds them.

Only what is meant to be read this way can be: variables that begin with `FLYBALL_SECRET_`, and files of one folder. Whoever may
write a reference could otherwise have any file of the server's account sent to an address of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flyball.kernel.errors import InvalidInput, Unavailable

SECRET_PREFIX = "FLYBALL_SECRET_"  # noqa: S105 -- the beginning of a name, no secret
FOLDER = "secrets"
MOST_BYTES = 65_536
_REFERENCE = re.compile(r"(?P<source>env|file):(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,99})")


class Secrets:
    """Reads secrets that an operator laid ready. Safe to share between threads."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder

    def check(self, reference: str, *, field: str) -> str:
        """Return a reference that can be one; whether the secret is there shows when it is used.

        Raises:
            InvalidInput: it is none.
        """
        found = _REFERENCE.fullmatch(reference)
        if found is None or (found["source"] == "env" and not found["name"].startswith(SECRET_PREFIX)):
            raise InvalidInput(
                f"'{field}' names a secret as env:{SECRET_PREFIX}<NAME>, or as file:<NAME> for a file in {self._folder}",
                field=field,
            )
        return reference

    def read(self, reference: str) -> str:
        """Return a secret, without the line break at its end.

        Raises:
            Unavailable: it is not there, or it is empty; the message says where it was sought and shows nothing of it.
        """
        source, _, name = reference.partition(":")
        found = self._environ.get(name, "") if source == "env" else self._from_file(name)
        secret = found.rstrip("\r\n")
        if not secret:
            where = f"environment variable {name}" if source == "env" else f"file '{name}' in {self._folder}"
            raise Unavailable(f"the secret is missing: {where} is not there, or empty, where this is sent from")
        return secret

    def _from_file(self, name: str) -> str:
        # The name is looked for among those that are there: what somebody wrote becomes no part of a path.
        try:
            path = next((each for each in self._folder.iterdir() if each.name == name and each.is_file()), None)
            return "" if path is None else _beginning(path)
        except OSError as error:
            raise Unavailable(f"the secret in file '{name}' cannot be read: {error.strerror}") from error


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_BYTES).decode(errors="replace")
