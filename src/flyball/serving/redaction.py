"""What capture leaves out before anything reaches a disk: predictions that were not drawn, columns to hide.

Drawing is by prediction id alone: another process, or the same traffic played again, draws the same predictions.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from flyball.serving.arrow_columns import numbers, texts
from flyball.serving.capture import FEATURE_PREFIX, TENSOR_PREFIX
from flyball.serving.capture_rules import SPARABLE, CaptureRules, Treatment

HASHED_PREFIX = "hashed."
SHARE = "share"
_DRAWS = 1 << 64
# 128 bits: two values of one column share a digest by chance in no log that will ever be written.
_HASH_DIGITS = 32


def is_drawn(prediction_id: str, share: float) -> bool:
    """Tell whether a prediction belongs to a share (0..1). Whoever belongs to a share belongs to every larger one.

    >>> [is_drawn("a", 1.0), is_drawn("a", 0.0)]
    [True, False]
    """
    draw = int.from_bytes(blake2b(prediction_id.encode(), digest_size=8).digest(), "big")
    return draw < share * _DRAWS


class Redaction:
    """Apply an endpoint's rules to tables of captured predictions; `key` is the installation's secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def apply(self, table: pa.Table, rules: CaptureRules) -> pa.Table:
        """Return what may be written: the drawn rows, with the share they were drawn by, in the columns that are not hidden."""
        if rules.share < 1:
            table = table.filter(
                pa.array([is_drawn(name, rules.share) for name in table.column("prediction_id").to_pylist()])
            )
        if not rules.keeps_all:
            table = pa.table(dict(self._columns(table, rules)))
        return table.append_column(SHARE, numbers(np.full(table.num_rows, rules.share), "f8"))

    def hashed(self, column: str, value: object) -> str:
        """Return the digest that stands for a value of a column; equal values of two columns have different ones."""
        text = repr(value) if not isinstance(value, str) else value
        message = f"{column}\0{text}".encode("utf-8", errors="surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:_HASH_DIGITS]

    def _columns(self, table: pa.Table, rules: CaptureRules) -> Iterable[tuple[str, pa.ChunkedArray]]:
        for name in table.column_names:
            values = table.column(name)
            match rules.treatment(name):
                case Treatment.KEEP:
                    yield name, values
                case Treatment.HASH:
                    feature = name.removeprefix(FEATURE_PREFIX).removeprefix(TENSOR_PREFIX)
                    yield (name if feature == name else HASHED_PREFIX + feature), self._hash(feature, values)
                case Treatment.DROP if name in SPARABLE:
                    yield name, texts([""], [table.num_rows])
                case Treatment.DROP:
                    pass

    def _hash(self, column: str, values: pa.ChunkedArray) -> pa.Array:
        known: dict[str, str] = {}
        hashes: list[str | None] = []
        for value in values.to_pylist():
            if value is None or value != value:  # noqa: PLR0124 -- NaN, which is no value either
                hashes.append(None)
                continue
            text = repr(value)
            if text not in known:
                known[text] = self.hashed(column, value)
            hashes.append(known[text])
        return pa.array(hashes, type=pa.string())
