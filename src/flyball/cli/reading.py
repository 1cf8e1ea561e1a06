"""Read what a person names on the command line; what cannot be read is one sentence, not a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import InvalidInput

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)


def read_text(path: Path) -> str:
    """Read a file of text.

    Raises:
        InvalidInput: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="path") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text", field="path") from error


def read_json(path: Path, shape: type[ShapeT], *, under: str) -> ShapeT:
    """Read a file of JSON as the value of one field of a shape.

    Raises:
        InvalidInput: it is no JSON, or does not fit; the message names the entry.
    """
    try:
        return msgspec.convert({under: msgspec.json.decode(read_text(path))}, type=shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=str(path)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}", field="path") from error
