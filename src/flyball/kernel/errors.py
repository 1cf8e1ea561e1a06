"""The tree of errors: what can go wrong, said once, for every room.

    FlyballError
    ├── InvalidInput          the caller sent something wrong; `field` names it
    │   └── UnknownKey        a key nobody knows, with near misses
    ├── NotFound              the thing named does not exist
    ├── AlreadyExists         the name is taken
    ├── Conflict              the thing changed meanwhile, or its state forbids the verb
    │   └── LeaseLost         a holder whose lease expired tried to act
    ├── Unauthenticated       no identity, or a token that is wrong, expired or revoked
    ├── PermissionDenied      a known identity that may not do this
    ├── LimitExceeded         too large, too many, too deep
    ├── Unsupported           understood, and not offered; never silently ignored
    │   └── MissingExtra      an optional library is not installed; the message names the extra
    ├── Corrupted             stored bytes or a chain do not match their digest
    ├── StoreFull             the disk is full; nothing acknowledged is lost
    └── Unavailable           a passing fault; only this and what is below it are worth a retry
        ├── Overloaded        too much is waiting already; come again after `retry_after_s`
        └── DeadlineExceeded  the caller's time was over before the work was done; it is not done any more

A message says what, which, and what to do. Lower errors are translated at one boundary with `raise ... from`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum


class ErrorCode(StrEnum):
    """The public name of an error, stable over releases."""

    INVALID_INPUT = "invalid_input"
    UNKNOWN_KEY = "unknown_key"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    LEASE_LOST = "lease_lost"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    LIMIT_EXCEEDED = "limit_exceeded"
    UNSUPPORTED = "unsupported"
    MISSING_EXTRA = "missing_extra"
    CORRUPTED = "corrupted"
    STORE_FULL = "store_full"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"


class FlyballError(Exception):
    """The root. `field` names the offending input, when there is one."""

    code: ErrorCode = ErrorCode.INTERNAL
    retryable: bool = False

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(FlyballError):
    """The caller sent something wrong."""

    code = ErrorCode.INVALID_INPUT


class UnknownKey(InvalidInput):
    """A key that nobody reads; ignoring it would hide a spelling mistake."""

    code = ErrorCode.UNKNOWN_KEY

    @classmethod
    def among(cls, key: str, known: Iterable[str], *, where: str) -> UnknownKey:
        """Build the error with the nearest known keys in its message."""
        names = sorted(known)
        near = difflib.get_close_matches(key, names, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
        return cls(f"unknown key '{key}' in {where}; {hint}", field=key)


class NotFound(FlyballError):
    """The thing named does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExists(FlyballError):
    """The name is taken."""

    code = ErrorCode.ALREADY_EXISTS


class Conflict(FlyballError):
    """The thing changed meanwhile, or its state forbids the verb."""

    code = ErrorCode.CONFLICT


class LeaseLost(Conflict):
    """A holder whose lease expired, or was taken over, tried to act."""

    code = ErrorCode.LEASE_LOST


class Unauthenticated(FlyballError):
    """No identity, or a token that is wrong, expired or revoked."""

    code = ErrorCode.UNAUTHENTICATED


class PermissionDenied(FlyballError):
    """A known identity that may not do this."""

    code = ErrorCode.PERMISSION_DENIED


class LimitExceeded(FlyballError):
    """Too large, too many, or too deep."""

    code = ErrorCode.LIMIT_EXCEEDED


class Unsupported(FlyballError):
    """Understood, and not offered."""

    code = ErrorCode.UNSUPPORTED


class MissingExtra(Unsupported):
    """An optional library is not installed."""

    code = ErrorCode.MISSING_EXTRA

    @classmethod
    def named(cls, library: str, extra: str) -> MissingExtra:
        """Build the error that tells which extra brings the library."""
        return cls(f"{library} is not installed; install it with: pip install 'flyball[{extra}]'")


class Corrupted(FlyballError):
    """Stored bytes, or a chain of them, do not match their digest."""

    code = ErrorCode.CORRUPTED


class StoreFull(FlyballError):
    """The disk is full; what was acknowledged is safe, this write is not done."""

    code = ErrorCode.STORE_FULL


class Unavailable(FlyballError):
    """A passing fault: the same call may succeed later."""

    code = ErrorCode.UNAVAILABLE
    retryable = True

    @property
    def retry_after_s(self) -> int:
        """After how many seconds a retry may help."""
        return 1


class Overloaded(Unavailable):
    """Too much is waiting already. `retry_after_s` says when what waits now will be done."""

    code = ErrorCode.OVERLOADED

    def __init__(self, message: str, *, retry_after_s: int = 1, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> int:
        return self._retry_after_s


class DeadlineExceeded(Unavailable):
    """The time that the caller gave was over before the work was done."""

    code = ErrorCode.DEADLINE_EXCEEDED
