"""Shapes of `/api/v1`: what the command line, the SDK and the pages send and get. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

MAX_INT64 = 2**63 - 1

Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]
"""A number from 0 on that every database can keep."""

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""A version number, or a count of things that are asked for."""

DatasetVersionName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[^/]+/[1-9][0-9]{0,8}$", max_length=200)]
"""A version of a dataset as `<name>/<n>`."""


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request: a key it does not know is an error, not a wish."""


class Shape(msgspec.Struct, kw_only=True):
    """An answer: a newer server may add fields, so a client skips those it does not know."""


class Done(Shape):
    """The verb was carried out."""

    done: bool = True
