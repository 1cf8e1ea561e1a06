"""What all messages of the protocol share, and how they write numbers.

Requests are read leniently, as protobuf does: unknown fields are ignored, null counts as unset, and a 64-bit number may
come as text. Every field of a request is optional here; the handlers name what is missing in MLflow's words.
"""

from __future__ import annotations

import math
import sys
from typing import Annotated, TypeAlias

import msgspec

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that both databases can keep."""


_GREATEST = sys.float_info.max


class Message(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message; fields that have their default are left out of answers."""


class Empty(Message):
    """The answer of a verb that has nothing to say: `{}`."""


class KeyValue(Message):
    """A param or a tag."""

    key: str | None = None
    value: str | None = None


def encode_number(value: float) -> float | str:
    """Write NaN as text, and an infinity as the largest number, as MLflow does.

    >>> encode_number(float("nan")), encode_number(float("-inf"))
    ('NaN', -1.7976931348623157e+308)
    """
    if -_GREATEST <= value <= _GREATEST:  # all but a few of the thousands that a search returns
        return value
    return "NaN" if math.isnan(value) else finite(value)


def finite(value: float) -> float:
    """Write an infinity as the largest number, for JSON has none."""
    return max(-_GREATEST, min(value, _GREATEST))
