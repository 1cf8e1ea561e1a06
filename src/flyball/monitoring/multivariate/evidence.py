"""The sample of rows that travels with a version: drawn from what it learned from, as points, without a word of any text."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
import pyarrow as pa

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.measures.points import BUCKETS, DIMENSIONS
from flyball.measures.samples import Matrix
from flyball.monitoring.multivariate.samples import EmbeddingSample, RowSample, TextSample, draw_rows, sample_of
from flyball.monitoring.multivariate.tables import columns_of

# As many rows as a classifier needs to find a small change; of very wide tables fewer, so that a version stays light.
MOST_ROWS, FEWEST_ROWS = 2_000, 250
MOST_NUMBERS = 250_000
# What a reader accepts, whoever wrote it.
_MOST_READ_ROWS, _MOST_WIDTH = 20_000, 10_000


class _Points(msgspec.Struct, kw_only=True):
    """Numbers of 32 bits, little endian, row by row; compressed, in base 64."""

    rows: int
    width: int
    values: str


class _Embedding(msgspec.Struct, kw_only=True):
    width: int
    points: _Points


class _RowsDocument(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    rows: int
    names: list[str]
    numbers: _Points
    texts: dict[str, _Points] = {}
    embeddings: dict[str, _Embedding] = {}
    left_out: dict[str, str] = {}


def sample_for_evidence(table: pa.Table, features: Sequence[str], *, most: int = MOST_ROWS) -> RowSample | None:
    """Draw rows of a table as points; None where nothing in it can be one, or no row is wanted."""
    columns = columns_of(table, features)
    width = len(columns.numbers) + DIMENSIONS * (len(columns.texts) + len(columns.lists))
    if not width or most < 1:
        return None
    rows = min(most, max(FEWEST_ROWS, MOST_NUMBERS // width))
    found = sample_of(
        draw_rows(table.select([*columns.numbers, *columns.texts, *columns.lists]), rows),
        numbers=columns.numbers,
        texts=columns.texts,
        embeddings=columns.lists,
    )
    return found if found.names or found.texts or found.embeddings else None


def sample_to_json(sample: RowSample) -> JsonValue:
    """Return a sample as JSON values, without the words of its texts."""
    document = _RowsDocument(
        rows=sample.rows,
        names=list(sample.names),
        numbers=_packed(sample.numbers),
        texts={name: _packed(one.points) for name, one in sample.texts.items()},
        embeddings={
            name: _Embedding(width=one.width, points=_packed(one.points)) for name, one in sample.embeddings.items()
        },
        left_out=dict(sample.left_out),
    )
    return cast("JsonValue", msgspec.to_builtins(document))


def sample_from_json(value: JsonValue, *, field: str) -> RowSample:
    """Read a sample.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return _sample(msgspec.convert(value, type=_RowsDocument))
    except (msgspec.ValidationError, ValueError, zlib.error, binascii.Error) as error:
        raise InvalidInput(f"this is no sample of rows: {error}", field=field) from error


def _sample(document: _RowsDocument) -> RowSample:
    numbers = _unpacked(document.numbers, holes=True)
    if numbers.shape != (document.rows, len(document.names)):
        raise ValueError("its numbers have another shape than its rows and names")
    return RowSample(
        rows=document.rows,
        names=tuple(document.names),
        numbers=numbers,
        texts=_texts(document.texts),
        embeddings={
            name: EmbeddingSample(points=_unpacked(one.points), width=one.width)
            for name, one in document.embeddings.items()
        },
        left_out=document.left_out,
    )


def _texts(documents: Mapping[str, _Points]) -> dict[str, TextSample]:
    for name, one in documents.items():
        if one.width != BUCKETS:
            raise ValueError(f"the texts of '{name}' have {one.width} buckets, not {BUCKETS}")
    return {name: TextSample(points=_unpacked(one)) for name, one in documents.items()}


def _packed(points: Matrix) -> _Points:
    content = zlib.compress(np.ascontiguousarray(points, dtype="<f4").tobytes())
    return _Points(rows=points.shape[0], width=points.shape[1], values=base64.b64encode(content).decode())


def _unpacked(points: _Points, *, holes: bool = False) -> Matrix:
    if not (0 <= points.rows <= _MOST_READ_ROWS and 0 <= points.width <= _MOST_WIDTH):
        raise ValueError(f"{points.rows} rows of {points.width} numbers are too many")
    size = points.rows * points.width * 4
    reader = zlib.decompressobj()
    content = reader.decompress(base64.b64decode(points.values, validate=True), size + 1)
    if len(content) != size:
        raise ValueError("it holds more or fewer numbers than it says")
    found = np.frombuffer(content, dtype="<f4").astype(np.float64).reshape(points.rows, points.width)
    if not (np.isfinite(found) | (np.isnan(found) if holes else False)).all():
        raise ValueError("it holds an infinity, or a hole where none may be")
    return found
