"""The datatypes of the Open Inference Protocol: what numpy keeps each as, and how JSON and bytes write it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import Array, ColumnKind

BYTES, BOOL = "BYTES", "BOOL"
# numpy has no such type, so no model here takes it.
_NOT_SERVED = frozenset({"BF16"})
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Datatype:
    """A datatype: its name, numpy's type for it (little-endian, as on the wire), and what one value is in JSON."""

    name: str
    dtype: np.dtype[Any]
    json: Any


DATATYPES: Final[Mapping[str, Datatype]] = {
    datatype.name: datatype
    for datatype in (
        Datatype(name=BOOL, dtype=np.dtype(np.bool_), json=bool),
        *(
            Datatype(name=f"{sign}INT{8 * size}", dtype=np.dtype(f"<{'u' if sign else 'i'}{size}"), json=int)
            for sign in ("U", "")
            for size in (1, 2, 4, 8)
        ),
        *(Datatype(name=f"FP{8 * size}", dtype=np.dtype(f"<f{size}"), json=float | None) for size in (2, 4, 8)),
        Datatype(name=BYTES, dtype=np.dtype(object), json=str),
    )
}
_OF_DTYPE = {datatype.dtype: name for name, datatype in DATATYPES.items()}
OF_KIND: Final[Mapping[ColumnKind, str]] = {
    ColumnKind.BOOLEAN: BOOL,
    ColumnKind.INTEGER: "INT32",
    ColumnKind.LONG: "INT64",
    ColumnKind.FLOAT: "FP32",
    ColumnKind.DOUBLE: "FP64",
    ColumnKind.STRING: BYTES,
    ColumnKind.BINARY: BYTES,
    ColumnKind.DATETIME: BYTES,
}


def datatype_of(name: str, *, tensor: str) -> Datatype:
    """Return the datatype of a tensor.

    Raises:
        InvalidInput: there is none of that name.
        Unsupported: it is not served here.
    """
    found = DATATYPES.get(name)
    if found is not None:
        return found
    said = f"tensor '{tensor}' is {name[:40]}; served here: {', '.join(DATATYPES)}"
    raise Unsupported(said, field=tensor) if name in _NOT_SERVED else InvalidInput(said, field=tensor)


def name_of(dtype: np.dtype[Any]) -> str:
    """Return the name of the datatype that a numpy array goes out as; what has no number there goes out as text."""
    return _OF_DTYPE.get(dtype, BYTES)


def from_bytes(data: bytes | memoryview, datatype: Datatype, *, count: int, tensor: str) -> Array:
    """Return the values (count,) of a tensor that came as bytes: a view for numbers and truths, bytes for texts.

    Raises:
        InvalidInput: another number of bytes than the values take, or bytes that are no value.
    """
    if datatype.name == BYTES:
        return _pieces(bytes(data), count=count, tensor=tensor)
    if len(data) != count * datatype.dtype.itemsize:
        raise InvalidInput(
            f"tensor '{tensor}' has {len(data)} bytes, its shape wants {count * datatype.dtype.itemsize}", field=tensor
        )
    if datatype.name == BOOL:
        return _truths(np.frombuffer(data, dtype=np.uint8), tensor=tensor)
    return np.frombuffer(data, dtype=datatype.dtype)


def to_bytes(values: Array) -> bytes:
    """Return values as they lie behind the JSON: row by row, little-endian, texts with their length before them."""
    if name_of(values.dtype) != BYTES:
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    parts: list[bytes] = []
    for value in plain(values):
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def plain(values: Array) -> list[Any]:
    """Return values row by row as JSON can write them; a moment is text in ISO 8601."""
    flat = values.ravel()
    return (np.datetime_as_string(flat, timezone="UTC") if flat.dtype.kind == "M" else flat).tolist()


def texts_of(values: Array, *, tensor: str) -> Array:
    """Return bytes as the texts that they are.

    Raises:
        InvalidInput: one is no UTF-8.
    """
    found = np.empty(values.shape, dtype=object)
    for number, value in enumerate(values.flat):
        try:
            found.flat[number] = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise InvalidInput(f"tensor '{tensor}': text {number} is no UTF-8", field=tensor) from error
    return found


def _truths(values: Array, *, tensor: str) -> Array:
    if values.size and values.max() > 1:
        raise InvalidInput(f"tensor '{tensor}' is BOOL and holds a byte that is neither 0 nor 1", field=tensor)
    return values.view(np.bool_)


def _pieces(data: bytes, *, count: int, tensor: str) -> Array:
    """Cut bytes at the lengths that stand before each piece."""
    found: list[bytes] = []
    at = 0
    while at + _LENGTH.size <= len(data) and len(found) < count:
        [length] = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + length
        found.append(data[at - length : at])
    if len(found) != count or at != len(data):
        raise InvalidInput(
            f"tensor '{tensor}': its {len(data)} bytes are not the {count} texts, each behind its length, that its shape wants",
            field=tensor,
        )
    pieces = np.empty(count, dtype=object)
    pieces[:] = found
    return pieces
