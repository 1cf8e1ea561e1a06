"""The shape of every error of `/api/v1`."""

from __future__ import annotations

import msgspec


class ErrorDetail(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What went wrong: a stable code, a sentence for a person, and the field it is about."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(msgspec.Struct, kw_only=True):
    """The body of every error of `/api/v1`."""

    error: ErrorDetail
