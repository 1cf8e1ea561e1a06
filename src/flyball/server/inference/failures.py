"""From an error to the answer that the model server gives; internal text never leaves the process."""

from __future__ import annotations

from flyball.kernel.errors import ErrorCode, FlyballError, Unauthenticated, Unavailable
from flyball.kernel.logs import get_logger
from flyball.server.errors import TABLE
from flyball.server.inference.http import Answer, Headers, Refused, json_answer
from flyball.wire.inference import ErrorBody

INTERNAL_MESSAGE = "internal error; the log of the endpoint has the details"

_log = get_logger("inference")


def failure_answer(error: Exception) -> Answer:
    """Return the answer to a request that failed.

    What nobody foresaw is answered too, and logged: the connection goes on, because its client believes it to be alive.
    """
    if isinstance(error, Refused):
        return _answer(error.message, status=error.status, headers=error.headers)
    if not isinstance(error, FlyballError) or error.code is ErrorCode.INTERNAL:
        _log.error("request_failed", exc_info=error)
        return _answer(INTERNAL_MESSAGE, status=TABLE[ErrorCode.INTERNAL][0])
    return _answer(error.message, status=TABLE[error.code][0], headers=_headers(error))


def _headers(error: FlyballError) -> Headers | None:
    if isinstance(error, Unavailable):
        return [(b"retry-after", b"%d" % error.retry_after_s)]
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b'Bearer realm="flyball"')]
    return None


def _answer(message: str, *, status: int, headers: Headers | None = None) -> Answer:
    answer = json_answer(ErrorBody(error=message), status=status)
    answer.headers = headers
    return answer
