"""The small files of MLflow's file store: `meta.yaml`, and folders in which a file is a key and its text the value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from flyball.kernel.errors import InvalidInput

META = "meta.yaml"
# The parser in C is ten times faster; both build plain values only.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A `meta.yaml`, and the folder it describes."""

    folder: Path
    values: Mapping[str, object]

    def need(self, key: str) -> object:
        """Return a value that must be there.

        Raises:
            InvalidInput: it is not.
        """
        value = self.values.get(key)
        if value is None:
            raise InvalidInput(f"{self.folder / META} has no '{key}'", field="source")
        return value

    def text(self, key: str) -> str:
        """Return a text, empty where there is none."""
        value = self.values.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> int:
        """Return a whole number, 0 where there is none."""
        value = self.values.get(key)
        try:
            return int(str(value)) if value is not None else 0
        except ValueError as error:
            raise InvalidInput(f"{self.folder / META}: '{key}' is no whole number", field="source") from error

    def texts(self, key: str) -> dict[str, str]:
        """Return a mapping of texts, empty where there is none."""
        value = self.values.get(key)
        return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def read_document(folder: Path) -> Document:
    """Read the `meta.yaml` of a folder.

    Raises:
        InvalidInput: it cannot be read.
    """
    path = folder / META
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 -- a safe loader, see above
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", field="source") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} holds no mapping", field="source")
    return Document(folder=folder, values=values)


def key_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files below a folder with the keys that they stand for, sorted; keys may have slashes."""
    found = [
        (Path(at, name).relative_to(folder).as_posix(), Path(at, name))
        for at, _, files in os.walk(folder)
        for name in files
    ]
    return sorted(found)


def read_text_tree(folder: Path) -> dict[str, str]:
    """Read a folder of texts.

    Raises:
        InvalidInput: one cannot be read.
    """
    found: dict[str, str] = {}
    for key, path in key_files(folder):
        try:
            found[key] = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path} cannot be read: {error}", field="source") from error
    return found
