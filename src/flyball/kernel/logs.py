"""Logs: structlog, a fixed short event and keys, secrets never."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from flyball.kernel.settings import Settings

_SECRET_WORDS = ("token", "secret", "password", "authorization", "cookie", "api_key", "access_key")
HIDDEN = "[hidden]"
# Secrets also hide inside of text: our own tokens wherever they stand, what follows "Bearer" or "Basic", the password of a
# URL, and a login code.
_SECRET_TEXTS = (
    (re.compile(r"fb_[0-9a-f]{32}_[A-Za-z0-9_-]+"), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"([?&]code=)[^&\s\"']+"), rf"\1{HIDDEN}"),
)
# Of this process; a model server whose endpoint hides columns turns it off.
_values = {"quoted": True}
# Deeper than anything we log on purpose.
_MAX_DEPTH = 6


def configure_logs(settings: Settings, *, process: str) -> None:
    """Send this process's logs to standard error, each line marked with the process's name."""
    renderer: Any = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        # Exceptions come as text already, because secrets must be hidden in them as well.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_values,
            structlog.processors.format_exc_info,
            hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def quote_values(*, allowed: bool) -> None:
    """Let the messages of foreign errors be logged, or not: a library's error often quotes the value it could not take."""
    _values["quoted"] = allowed


def hide_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where values may not be quoted, replace an exception by its types and places."""
    if event.get("exc_info") and not _values["quoted"]:
        given = event.pop("exc_info")
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        places = traceback.format_tb(error.__traceback__) if error else []
        event["exception"] = "".join([*places, type(error).__name__])
    return event


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every key that smells of a secret, at any depth, and every secret inside of text."""
    for key, value in event.items():
        event[key] = HIDDEN if _smells(key) else _hide(value, depth=_MAX_DEPTH)
    return event


def _smells(key: object) -> bool:
    return any(word in str(key).lower().replace("-", "_") for word in _SECRET_WORDS)


def _hide(value: object, *, depth: int) -> object:
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXTS:
            value = pattern.sub(replacement, value)
        return value
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        return {key: HIDDEN if _smells(key) else _hide(part, depth=depth - 1) for key, part in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_hide(part, depth=depth - 1) for part in value]
    return _hide(repr(value), depth=depth)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that carries the name of its room."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(room=name)
    return logger
