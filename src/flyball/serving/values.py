"""Hold tensors, moments and bytes to their column: the kinds of a signature that are no plain number, truth or text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Array, ColumnKind, ColumnSpec

ANY_SIZE = -1
# Nanoseconds since 1970 in 64 bits reach a little further on both sides.
YEARS = range(1678, 2262)
_TAKEN_BY: Final = {"b": "b", "i": "iuf", "u": "iuf", "f": "iuf", "O": "O"}


def hold_tensor(spec: ColumnSpec, values: Array) -> Array:
    """Return an array (n, *shape) in the tensor's type. Floats round, as everywhere; integers must be whole and in range.

    Raises:
        InvalidInput: another shape, a type that does not go over into the tensor's, or a number that is lost on the way.
    """
    tensor = spec.tensor
    if tensor is None:
        raise InvalidInput(f"the signature says tensor of '{spec.name}', and not which", field=spec.name)
    shape = values.shape[1:]
    if len(shape) != len(tensor.shape) or any(
        want not in {ANY_SIZE, got} for want, got in zip(tensor.shape, shape, strict=True)
    ):
        raise InvalidInput(
            f"tensor '{spec.name}' wants rows of shape {list(tensor.shape)}, and {list(shape)} was sent",
            field=spec.name,
        )
    wanted = np.dtype(tensor.dtype)
    if values.dtype.kind not in _TAKEN_BY.get(wanted.kind, ""):
        raise InvalidInput(f"tensor '{spec.name}' wants {wanted}, and {values.dtype} was sent", field=spec.name)
    if wanted.kind == "O":
        return _texts(spec, values)
    return values if values.dtype == wanted else _cast(spec, values, wanted)


def _cast(spec: ColumnSpec, values: Array, wanted: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        cast: Array = values.astype(wanted)
        lost = np.isinf(cast) & ~np.isinf(values) if wanted.kind == "f" else cast.astype(values.dtype) != values
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        lost |= (values < limits.min) | (values > limits.max)
    if lost.any():
        bad = values[lost].ravel()[0]
        raise InvalidInput(f"tensor '{spec.name}' holds {bad}, which does not fit {wanted}", field=spec.name)
    return cast


def _texts(spec: ColumnSpec, values: Array) -> Array:
    strange = next((value for value in values.ravel() if not isinstance(value, str)), "")
    if not isinstance(strange, str):
        raise InvalidInput(f"tensor '{spec.name}' wants texts, and holds a {type(strange).__name__}", field=spec.name)
    return values


def hold_moments(spec: ColumnSpec, values: Array) -> Array:
    """Return moments (n,) as datetime64[ns] in UTC, from the same or from texts in ISO 8601; one without a zone is UTC.

    Raises:
        InvalidInput: something else, a text that is no moment, or one beyond the years 1678 to 2261.
    """
    if values.ndim == 1 and values.dtype.kind == "M":
        if np.isnat(values).any():
            raise InvalidInput(
                f"column '{spec.name}' has no moment in row {int(np.isnat(values).argmax())}", field=spec.name
            )
        return values.astype("datetime64[ns]")
    if values.ndim != 1 or values.dtype.kind != "O":
        raise InvalidInput(f"column '{spec.name}' wants datetime as text in ISO 8601", field=spec.name)
    return np.array([_moment(spec, row, value) for row, value in enumerate(values)], dtype="datetime64[ns]")


def _moment(spec: ColumnSpec, row: int, value: object) -> np.datetime64:
    try:
        read = datetime.fromisoformat(value if isinstance(value, str) else "")
        utc = read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
        return np.datetime64(_within(utc), "ns")
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"column '{spec.name}': row {row} ({value!r}) is no moment of the years {YEARS.start} to {YEARS.stop - 1} in ISO 8601, "
            "such as 2026-11-25T12:00:00Z",
            field=spec.name,
        ) from error


def _within(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(moment.year)
    return moment


def hold_bytes(spec: ColumnSpec, values: Array) -> Array:
    """Return bytes (n,) as objects, from the same or from texts in base64, which is how JSON carries them.

    Raises:
        InvalidInput: something else, or a text that is no base64.
    """
    if values.ndim != 1 or values.dtype.kind not in "OS":
        raise InvalidInput(f"column '{spec.name}' wants binary as text in base64", field=spec.name)
    found = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        found[row] = _bytes(spec, row, value)
    return found


def _bytes(spec: ColumnSpec, row: int, value: object) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"column '{spec.name}': row {row} is no text in base64", field=spec.name) from error


OTHER_KINDS: Final[Mapping[ColumnKind, Callable[[ColumnSpec, Array], Array]]] = {
    ColumnKind.TENSOR: hold_tensor,
    ColumnKind.DATETIME: hold_moments,
    ColumnKind.BINARY: hold_bytes,
}
"""How the kinds are held that `signature.py` does not hold itself."""
