"""Arrays that JSON brings: flat or nested, of one datatype, read without looking at each value in Python."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec
import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.server.inference.datatypes import DATATYPES, Datatype
from flyball.serving.entities import Array

# At and above it a float may be an integer that was rounded on the way.
EXACT: Final = 2.0**53
# The size of the float that JSON's numbers are read as, and of which numpy makes smaller ones.
_NEVER_OVERFLOWS: Final = 8
_OPEN, _BLANKS = ord("["), frozenset(b" \t\r\n")


def read_array(data: msgspec.Raw, datatype: Datatype, shape: Sequence[int], *, tensor: str) -> Array:
    """Return a tensor's data in its shape. They are flat, nested as the shape is, or flat from some dimension on.

    Raises:
        InvalidInput: another number of values, rows that do not fit, or values that are not of the datatype.
    """
    depth = depth_of(data)
    if not 1 <= depth <= len(shape):
        raise InvalidInput(f"tensor '{tensor}' has data nested {depth} deep, its shape is {list(shape)}", field=tensor)
    values = _array(data, datatype, depth, tensor=tensor)
    if values.ndim != depth or list(values.shape[:-1]) != list(shape[: depth - 1]):
        raise _ragged(tensor)
    if values.size != math.prod(shape):
        raise InvalidInput(
            f"tensor '{tensor}' has {values.size} values, its shape {list(shape)} wants {math.prod(shape)}",
            field=tensor,
        )
    return values.reshape(shape)


def read_flat(data: msgspec.Raw, datatype: str) -> Array:
    """Return the numbers (n,) of a flat list that is all of one datatype of floats.

    Raises:
        ValidationError: it is something else, which `read_array` may be able to read.
    """
    values = decoder_of(datatype, 1).decode(data)
    if datatype == "FP64":
        return np.array(values, dtype=np.float64)
    with np.errstate(over="ignore"):  # as below
        return np.array(values, dtype=DATATYPES[datatype].dtype)


def depth_of(data: msgspec.Raw) -> int:
    """Count the brackets before the first value."""
    depth = 0
    for byte in memoryview(data):
        if byte == _OPEN:
            depth += 1
        elif byte not in _BLANKS:
            break
    return depth


@cache
def decoder_of(datatype: str, depth: int) -> msgspec.json.Decoder[list[object]]:
    """Return what reads lists of a datatype, nested so deep."""
    kind = DATATYPES[datatype].json
    for _ in range(depth):
        kind = types.GenericAlias(list, (kind,))
    return msgspec.json.Decoder(kind)


def _array(data: msgspec.Raw, datatype: Datatype, depth: int, *, tensor: str) -> Array:
    try:
        return _narrowed(decoder_of(datatype.name, depth).decode(data), datatype, tensor=tensor)
    except msgspec.ValidationError:
        return _almost(data, datatype, tensor=tensor)
    except RecursionError as error:
        raise InvalidInput(f"tensor '{tensor}' is nested too deeply", field=tensor) from error


def _narrowed(values: Sequence[object], datatype: Datatype, *, tensor: str) -> Array:
    try:
        if datatype.json is not int and datatype.dtype.itemsize < _NEVER_OVERFLOWS:
            with np.errstate(
                over="ignore"
            ):  # what does not fit is infinite, and that is told by whoever knows the column
                return np.array(values, dtype=datatype.dtype)
        return np.array(values, dtype=datatype.dtype)
    except OverflowError as error:
        raise InvalidInput(f"tensor '{tensor}' holds a number beyond {datatype.name}: {error}", field=tensor) from error
    except ValueError as error:
        raise _ragged(tensor) from error


def _almost(data: msgspec.Raw, datatype: Datatype, *, tensor: str) -> Array:
    """Return data that are not quite what their datatype says: whole numbers that are written as 3.0 are integers.

    Raises:
        InvalidInput: anything else; the message tells what there is.
    """
    values = _anything(data, tensor=tensor)
    kinds = {type(value) for value in values.flat}
    if datatype.json is int and kinds <= {int, float} and all(_is_exact(value) for value in values.flat):
        whole = [int(value) for value in values.flat]
        return _narrowed(whole, datatype, tensor=tensor).reshape(values.shape)
    allowed = {datatype.json} if datatype.json in {bool, int, str} else {int, float, type(None)}
    names = ", ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in kinds - allowed))
    raise InvalidInput(f"tensor '{tensor}' is {datatype.name} and its data hold {names}", field=tensor)


def _anything(data: msgspec.Raw, *, tensor: str) -> Array:
    try:
        values = np.array(msgspec.json.decode(data), dtype=object)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _ragged(tensor) from error
    if any(isinstance(value, list) for value in values.flat):
        raise _ragged(tensor)
    return values


def _is_exact(value: float) -> bool:
    return isinstance(value, int) or (value.is_integer() and abs(value) < EXACT)


def _ragged(tensor: str) -> InvalidInput:
    return InvalidInput(f"tensor '{tensor}' has rows that do not fit its shape", field=tensor)
