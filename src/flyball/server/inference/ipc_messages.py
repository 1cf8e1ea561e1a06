"""Look into the head of an Arrow IPC message: a compressed body is refused before a byte of it is unfolded.

The head is a FlatBuffers table (Arrow's format/Message.fbs). pyarrow checks its offsets and offers no way to read this field.
"""

from __future__ import annotations

import struct
from typing import Final

from flyball.kernel.errors import InvalidInput, Unsupported

_HEADER_TYPE, _HEADER = 1, 2
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_BATCH_OF_DICTIONARY: Final = 1
_COMPRESSION: Final = 3


def check_message(head: bytes) -> None:
    """Refuse a message whose buffers are compressed: a kilobyte of them can unfold to a gigabyte.

    Raises:
        Unsupported: its buffers are compressed.
        InvalidInput: it is no message.
    """
    try:
        message = _offset(head, 0)
        kind_at = _field(head, message, _HEADER_TYPE)
        kind = head[kind_at] if kind_at else 0
        if kind not in {_DICTIONARY_BATCH, _RECORD_BATCH}:
            return
        batch = _table(head, message, _HEADER)
        if kind == _DICTIONARY_BATCH:
            batch = _table(head, batch, _BATCH_OF_DICTIONARY)
        compressed = _field(head, batch, _COMPRESSION)
    except (struct.error, IndexError) as error:
        raise InvalidInput("the body is no Arrow stream: a message has a broken head", field="body") from error
    if compressed:
        raise Unsupported("compressed Arrow streams are not read; write the stream without compression", field="body")


def _table(head: bytes, table: int, number: int) -> int:
    return _offset(head, _field(head, table, number))


def _offset(head: bytes, at: int) -> int:
    [offset] = struct.unpack_from("<I", head, at)
    return at + int(offset)


def _field(head: bytes, table: int, number: int) -> int:
    """Return where a field of a table lies, 0 when it is left out."""
    [back] = struct.unpack_from("<i", head, table)
    [size] = struct.unpack_from("<H", head, table - back)
    slot = 4 + 2 * number
    if slot + 2 > size:
        return 0
    [within] = struct.unpack_from("<H", head, table - back + slot)
    return table + int(within) if within else 0
