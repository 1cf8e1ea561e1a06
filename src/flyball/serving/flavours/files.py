"""What flavours ask of a model's folder before a library touches it: a file inside it, no code, a version that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import ModelSpec

ReadT = TypeVar("ReadT")
PICKLE_SETTING = "FLYBALL_ALLOW_PICKLE=true"


def option(spec: ModelSpec, key: str) -> str:
    """Return a text of the flavour's section.

    Raises:
        InvalidInput: it is not there, or no text.
    """
    value = spec.options.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(
            f"the MLmodel file does not say '{key}' of the flavour {spec.flavour}", field=_field(spec, key)
        )
    return value


def model_file(spec: ModelSpec, *keys_or_parts: str) -> Path:
    """Return the file that a key of the section names, or a part under it (`model_file(spec, "data", "model.pt2")`).

    Raises:
        InvalidInput: no such file in the folder; one outside it is none either.
    """
    key, *parts = keys_or_parts
    name = "/".join([option(spec, key), *parts])
    folder = spec.folder.resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise InvalidInput(f"the model's file '{name}' is not in its folder", field=_field(spec, key))
    return file


def reading(file: Path, read: Callable[[], ReadT]) -> ReadT:
    """Read a file with a library of its own.

    Raises:
        InvalidInput: whatever that raised.
    """
    try:
        return read()
    except Exception as error:  # a damaged or forged file can make any step of a reader fail, in any way
        raise InvalidInput(f"'{file.name}' cannot be loaded: {error}", field="model") from error


def refuse_code(spec: ModelSpec) -> None:
    """Refuse a model that brings Python files along.

    Raises:
        Unsupported: it does.
    """
    if spec.options.get("code"):
        raise Unsupported(
            "the model brings its own code folder, which is not loaded; make the code a pinned requirement",
            field=_field(spec, "code"),
        )


def refuse_pickle(spec: ModelSpec, stored_as: str, *, allowed: bool, instead: str) -> None:
    """Refuse what runs code when it is loaded, unless the operator has allowed it.

    Raises:
        Unsupported: it is not allowed; the message says how to do without, and how to allow it.
    """
    if not allowed:
        raise Unsupported(
            f"the model is stored as {stored_as}, and loading that runs whatever its author put in; {instead}, or set "
            f"{PICKLE_SETTING} if you trust every author",
            field=_field(spec, "serialization_format"),
        )


def refuse_newer(spec: ModelSpec, key: str, *, installed: str, library: str) -> None:
    """Refuse a model written by a newer minor version than the one installed: these formats promise to be read by later ones.

    Raises:
        Unsupported: it is newer.
    """
    trained = str(spec.options.get(key, ""))
    if _minor(trained) > _minor(installed):
        raise Unsupported(
            f"the model was trained with {library} {trained}, installed is {installed}; install that version or a later one",
            field=_field(spec, key),
        )


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _field(spec: ModelSpec, key: str) -> str:
    return f"flavors.{spec.flavour}.{key}"
