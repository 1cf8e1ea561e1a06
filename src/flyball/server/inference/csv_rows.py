"""Rows as CSV (RFC 4180), with or without a line of names, each column read as what the signature says it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa

from flyball.kernel.errors import InvalidInput
from flyball.server.inference.datatypes import plain
from flyball.server.inference.exchange import Asker
from flyball.serving.entities import Array, ColumnKind, ColumnSpec, Matrix
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows

HEADER = "header"
PRESENT, ABSENT = "present", "absent"


def read_csv(body: bytes, asker: Asker, *, header: str | None = None) -> InferRequest:
    """Read CSV. `header` is that parameter of its media type: "present" or "absent".

    Without it the first line is one of names if it holds the name of a column: what MLflow's clients send begins with such
    a line, what SageMaker's send does not.

    Raises:
        InvalidInput: no CSV, lines of several lengths, or a cell that is not of its column's type; `field` names it.
    """
    lines = _lines(body)
    specs = asker.signature.inputs
    if _is_named(lines[0], specs, header=header):
        names, lines = tuple(lines[0]), lines[1:]
        _check_names(names)
        by_name = {spec.name: spec for spec in specs}
        wanted = [by_name.get(name) for name in names]
        block = _block(lines, wanted)
        columns = Matrix(names, block) if block is not None else _columns(names, wanted, lines)
        return InferRequest(rows=NamedRows(columns=columns), caller=asker.caller, size_bytes=len(body))
    wanted = list(specs) if len(specs) == len(lines[0]) else [None] * len(lines[0])
    block = _block(lines, wanted)
    if block is not None:
        return InferRequest(rows=MatrixRows(values=block), caller=asker.caller, size_bytes=len(body))
    names = tuple(spec.name if spec else f"column {at}" for at, spec in enumerate(wanted))
    columns = _columns(names, wanted, lines)
    return InferRequest(rows=PositionalRows(columns=tuple(columns.values())), caller=asker.caller, size_bytes=len(body))


def write_csv(answer: InferAnswer) -> bytes:
    """Write predictions, a line a row, without a line of names."""
    labels = answer.prediction.labels
    rows = np.array(plain(labels), dtype=object).reshape(len(labels), -1)
    page = io.StringIO()
    csv.writer(page, lineterminator="\n").writerows(rows.tolist())
    return page.getvalue().encode()


def _lines(body: bytes) -> list[list[str]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"the body is no CSV: {error}", field="body") from error
    if not lines:
        raise InvalidInput("there are no rows; send at least one", field="body")
    return lines


def _is_named(first: Sequence[str], specs: Sequence[ColumnSpec], *, header: str | None) -> bool:
    if header is None:
        return not {spec.name for spec in specs}.isdisjoint(first)
    if header not in {PRESENT, ABSENT}:
        raise InvalidInput(f"header={header}; it is {PRESENT} or {ABSENT}", field=HEADER)
    return header == PRESENT


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"column '{name}' is sent twice", field=name)


def _block(lines: Sequence[Sequence[str]], specs: Sequence[ColumnSpec | None]) -> Array | None:
    """Return cells of nothing but numbers as one array, None where there is more to see to."""
    if not all(spec is not None and spec.kind in _FLOATS for spec in specs):
        return None
    if not lines or {len(line) for line in lines} != {len(specs)}:
        return None
    try:
        return _numbers("", pa.array(list(chain.from_iterable(lines)), type=pa.string())).reshape(len(lines), -1)
    except InvalidInput:
        return None


def _columns(
    names: Sequence[str], specs: Sequence[ColumnSpec | None], lines: Sequence[Sequence[str]]
) -> dict[str, Array]:
    cells = _turned(lines, len(names))
    return {name: _column(spec, name, column) for name, spec, column in zip(names, specs, cells, strict=True)}


def _turned(lines: Sequence[Sequence[str]], width: int) -> list[Sequence[str]]:
    for number, line in enumerate(lines):
        if len(line) != width:
            raise InvalidInput(f"row {number} has {len(line)} cells, {width} are expected", field="body")
    return list(zip(*lines, strict=True)) if lines else [()] * width


def _column(spec: ColumnSpec | None, name: str, cells: Sequence[str]) -> Array:
    if spec is not None and spec.kind in _READERS:
        return _READERS[spec.kind](name, pa.array(cells, type=pa.string()))
    texts = np.empty(len(cells), dtype=object)
    texts[:] = cells
    return texts


def _numbers(name: str, cells: pa.StringArray) -> Array:
    """Read numbers; an empty cell is a missing one."""
    import pyarrow.compute as pc  # five megabytes, which a server that nobody sends CSV to does without

    trimmed = pc.utf8_trim_whitespace(cells)
    return _cast(name, pc.if_else(pc.equal(trimmed, ""), "nan", trimmed), pa.float64(), "number")


def _integers(name: str, cells: pa.StringArray) -> Array:
    """Read integers; those that are written as floats are left to the signature, which knows whether they are whole."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(cells)
    if pc.all(pc.match_substring_regex(trimmed, "^-?[0-9]+$")).as_py():
        return _cast(name, trimmed, pa.int64(), "64-bit integer")
    return _numbers(name, cells)


def _truths(name: str, cells: pa.StringArray) -> Array:
    import pyarrow.compute as pc

    return _cast(name, pc.utf8_trim_whitespace(cells), pa.bool_(), "boolean (true or false)")


def _cast(name: str, cells: pa.StringArray, kind: pa.DataType, what: str) -> Array:
    try:
        return np.asarray(cells.cast(kind).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        row, cell = _first_bad(cells, kind)
        raise InvalidInput(f"column '{name}': row {row} ({cell!r}) is no {what}", field=name) from None


def _first_bad(cells: pa.StringArray, kind: pa.DataType) -> tuple[int, str]:
    for row, cell in enumerate(cells.to_pylist()):
        try:
            cells[row : row + 1].cast(kind)
        except pa.ArrowInvalid:
            return row, cell[:40]
    raise AssertionError("a column cannot be cast, and each of its cells can")


_FLOATS: Final = frozenset({ColumnKind.DOUBLE, ColumnKind.FLOAT})
_READERS: Final[Mapping[ColumnKind, Callable[[str, pa.StringArray], Array]]] = {
    ColumnKind.DOUBLE: _numbers,
    ColumnKind.FLOAT: _numbers,
    ColumnKind.LONG: _integers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.BOOLEAN: _truths,
    ColumnKind.TENSOR: _numbers,
}
