"""Read the keys to sort by."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flyball.kernel.errors import InvalidInput
from flyball.tracking.search.clauses import Field, Ordering, Vocabulary
from flyball.tracking.search.parser import split_identifier

# Each key of a run joins a table; SQLite joins 64 at most.
MAX_KEYS = 30
MAX_LENGTH = 1_000
_DIRECTION = re.compile(r"(?P<name>.*\S)\s+(?P<direction>asc|desc)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"[\w.]+\s+\w+")
_NAME = re.compile(r"""(?:[^\W\d]\w*\.)?(?:'[^']+'|"[^"]+"|`[^`]+`|[\w./:-]+)""")


def parse_order(items: Sequence[str], vocabulary: Vocabulary) -> tuple[Ordering, ...]:
    """Read `metrics.acc DESC`, `start_time`, ...

    Raises:
        InvalidInput: a key that nothing is sorted by, twice the same key, or too many.
    """
    if len(items) > MAX_KEYS:
        raise InvalidInput(f"`order_by` has {len(items)} keys; at most {MAX_KEYS} are allowed", field="order_by")
    keys = tuple(_parse(item, vocabulary) for item in items)
    if len({(key.field, key.key) for key in keys}) < len(keys):
        raise InvalidInput(f"`order_by` contains duplicate fields: {list(items)}", field="order_by")
    return keys


def _parse(item: str, vocabulary: Vocabulary) -> Ordering:
    text = item.strip()
    if len(text) > MAX_LENGTH or "\x00" in text:
        raise InvalidInput("Invalid order_by clause: it is too long, or has a NUL character", field="order_by")
    found = _DIRECTION.fullmatch(text)
    name = found["name"] if found else text
    if not _NAME.fullmatch(name):
        said = "Invalid ordering key in order_by clause" if _WORDS.fullmatch(name) else "Invalid order_by clause"
        raise InvalidInput(f"{said} '{item}'. Could not be parsed.", field="order_by")
    try:
        field, key = vocabulary.resolve(*split_identifier(name))
    except InvalidInput as error:
        raise InvalidInput(error.message, field="order_by") from error
    if field is Field.DATASET:
        raise InvalidInput(f"Invalid order_by clause '{item}': datasets have no order", field="order_by")
    return Ordering(field=field, key=key, ascending=not found or found["direction"].lower() == "asc")
