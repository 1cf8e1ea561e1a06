"""Which columns of a table are numbers, free text and lists: what a sample of its rows is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flyball.monitoring.multivariate.samples import has_words

# Texts that hardly repeat are no categories: so many of them, of which more than this share is different.
FEWEST_TEXTS, DIFFERENT_SHARE = 200, 0.5
# Texts of a column that are looked at to tell whether it holds words.
_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PointColumns:
    """Columns by what they are as points; what is in none of them is a category, a time or a key."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    lists: tuple[str, ...]


def columns_of(table: pa.Table, names: Sequence[str]) -> PointColumns:
    """Sort columns of a table; of texts those of several words that hardly repeat count as free text."""
    kinds = {name: table.schema.field(name).type for name in names}
    return PointColumns(
        numbers=tuple(name for name, kind in kinds.items() if is_number(kind)),
        texts=tuple(name for name, kind in kinds.items() if _is_text(kind) and _is_free(table.column(name))),
        lists=tuple(name for name, kind in kinds.items() if is_list_of_numbers(kind)),
    )


def is_list_of_numbers(kind: pa.DataType) -> bool:
    """Tell whether each value is a list of numbers, or a list of such lists."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return True
    return False


def is_number(kind: pa.DataType) -> bool:
    """Tell whether each value is a number or a truth value."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number or pa.types.is_boolean(kind))


def hardly_repeats(present: int, different: int) -> bool:
    """Tell whether so many different texts among so many are no categories.

    >>> hardly_repeats(100, 100), hardly_repeats(1_000, 400), hardly_repeats(1_000, 600)
    (False, False, True)
    """
    return present >= FEWEST_TEXTS and different > DIFFERENT_SHARE * present


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_free(column: pa.ChunkedArray) -> bool:
    texts = column.drop_null()
    if not hardly_repeats(len(texts), pc.count_distinct(texts).as_py()):
        return False
    return has_words(texts.slice(0, _LOOKED_AT).to_pylist())
