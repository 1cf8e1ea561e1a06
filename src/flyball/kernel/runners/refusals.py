"""An error of ours as it crosses from one process to another."""

from __future__ import annotations

import msgspec

from flyball.kernel import errors
from flyball.kernel.errors import ErrorCode, FlyballError


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why something was not done."""

    code: ErrorCode
    message: str
    field: str | None = None


def refusal_of(error: FlyballError) -> Refusal:
    """Return an error in the form that crosses over."""
    return Refusal(code=error.code, message=error.message, field=error.field)


def error_of(refusal: Refusal) -> FlyballError:
    """Return the error that another process met."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FlyballError)]
    kind = next(kind for kind in kinds if kind.code is refusal.code)
    return kind(refusal.message, field=refusal.field)
