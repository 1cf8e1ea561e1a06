"""Write values to files and read them back: canonical JSON, Parquet, or the bytes themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.pipelines.checking import LARGEST_INTEGER
from flyball.pipelines.entities import ValueKind

SUFFIXES = {ValueKind.JSON: ".json", ValueKind.TABLE: ".parquet", ValueKind.BYTES: ".bin"}


def parse_json(text: str | bytes) -> JsonValue:
    """Read canonical JSON, such that it has the same canonical form again.

    >>> parse_json("100000000000000000"), parse_json("1")
    (1e+17, 1)
    """
    return cast("JsonValue", json.loads(text, parse_int=_number))


def write_value(value: object, kind: ValueKind, path: Path) -> None:
    """Write a value of a kind to a new file."""
    if kind is ValueKind.TABLE:
        import pyarrow.parquet

        pyarrow.parquet.write_table(value, path)
    elif kind is ValueKind.BYTES:
        path.write_bytes(cast("bytes", value))
    else:
        path.write_bytes(canonical_json(cast("JsonValue", value)))


def read_value(kind: ValueKind, path: Path) -> object:
    """Read what was written."""
    if kind is ValueKind.BYTES:
        return path.read_bytes()
    if kind is ValueKind.JSON:
        return parse_json(path.read_bytes())
    import pyarrow.parquet

    # partitioning=None: pyarrow would otherwise read key=value folder names of the path as columns.
    return pyarrow.parquet.read_table(path, partitioning=None)


def _number(text: str) -> int | float:
    # RFC 8785 writes the float 1e17 without point or exponent; no integer is kept that is larger than this.
    value = int(text)
    return value if abs(value) <= LARGEST_INTEGER else float(value)
