"""Moments of event time as callers give them."""

from __future__ import annotations

from typing import overload

from flyball.kernel.errors import InvalidInput

_LAST_MS = 253_402_300_800_000  # 10000-01-01


@overload
def check_moment(moment_ms: int, *, field: str) -> int: ...


@overload
def check_moment(moment_ms: int | None, *, field: str) -> int | None: ...


def check_moment(moment_ms: int | None, *, field: str) -> int | None:
    """Return a moment that a clock can show, or None.

    Raises:
        InvalidInput: before 1970, or later than a number of milliseconds can be kept.
    """
    if moment_ms is not None and not 0 <= moment_ms < _LAST_MS:
        raise InvalidInput(f"'{field}' is {moment_ms}: it must lie between 1970 and the year 9999", field=field)
    return moment_ms
