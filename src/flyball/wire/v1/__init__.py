"""Shapes of `/api/v1`: what the command line, the SDK and the pages send and get. Unknown keys are refused."""

from __future__ import annotations

import msgspec


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request: a key it does not know is an error, not a wish."""


class Shape(msgspec.Struct, kw_only=True):
    """An answer: a newer server may add fields, so a client skips those it does not know."""


class Done(Shape):
    """The verb was carried out."""

    done: bool = True
