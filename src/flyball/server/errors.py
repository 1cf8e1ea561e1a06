"""One table from error to status, for every dialect; internal text never leaves the process."""

from __future__ import annotations

import msgspec
from starlette.responses import PlainTextResponse, Response

from flyball.kernel.errors import ErrorCode, FlyballError
from flyball.server.routing import V1_PREFIX, Dialect
from flyball.wire.v1.failure import ErrorBody, ErrorDetail

# code: (HTTP status, status in the MLflow dialect, MLflow error code)
TABLE: dict[ErrorCode, tuple[int, int, str]] = {
    ErrorCode.INVALID_INPUT: (400, 400, "INVALID_PARAMETER_VALUE"),
    ErrorCode.UNKNOWN_KEY: (400, 400, "INVALID_PARAMETER_VALUE"),
    ErrorCode.NOT_FOUND: (404, 404, "RESOURCE_DOES_NOT_EXIST"),
    # MLflow answers 400 here and its `register_model` relies on it.
    ErrorCode.ALREADY_EXISTS: (409, 400, "RESOURCE_ALREADY_EXISTS"),
    ErrorCode.CONFLICT: (409, 409, "RESOURCE_CONFLICT"),
    ErrorCode.LEASE_LOST: (409, 409, "ABORTED"),
    ErrorCode.UNAUTHENTICATED: (401, 401, "UNAUTHENTICATED"),
    ErrorCode.PERMISSION_DENIED: (403, 403, "PERMISSION_DENIED"),
    ErrorCode.LIMIT_EXCEEDED: (413, 400, "INVALID_PARAMETER_VALUE"),
    ErrorCode.UNSUPPORTED: (501, 501, "NOT_IMPLEMENTED"),
    ErrorCode.MISSING_EXTRA: (501, 501, "NOT_IMPLEMENTED"),
    # Not 500: the MLflow client repeats a 500 for minutes, and neither of these heals by repeating.
    ErrorCode.CORRUPTED: (409, 409, "DATA_LOSS"),
    ErrorCode.STORE_FULL: (507, 507, "RESOURCE_EXHAUSTED"),
    ErrorCode.UNAVAILABLE: (503, 503, "TEMPORARILY_UNAVAILABLE"),
    ErrorCode.OVERLOADED: (429, 429, "RESOURCE_EXHAUSTED"),
    ErrorCode.DEADLINE_EXCEEDED: (504, 504, "DEADLINE_EXCEEDED"),
    ErrorCode.INTERNAL: (500, 500, "INTERNAL_ERROR"),
}
RETRY_AFTER_S = "1"
# Said in the place of whatever an internal error says: that is for the log, and may hold statements, paths and values.
INTERNAL_MESSAGE = "internal error; the server's log has the cause"


class MlflowErrorBody(msgspec.Struct):
    """The body of every error of the MLflow protocol."""

    error_code: str
    message: str


def render_error(error: FlyballError, dialect: Dialect) -> Response:
    """Turn an error into a response of the route's dialect."""
    v1_status, mlflow_status, mlflow_code = TABLE[error.code]
    message = INTERNAL_MESSAGE if error.code is ErrorCode.INTERNAL else error.message
    body: msgspec.Struct
    if dialect is Dialect.MLFLOW:
        status, body = mlflow_status, MlflowErrorBody(error_code=mlflow_code, message=message)
    else:
        status = v1_status
        body = ErrorBody(error=ErrorDetail(code=error.code.value, message=message, field=error.field))
    headers = {"retry-after": RETRY_AFTER_S} if error.retryable else {}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["www-authenticate"] = 'Bearer realm="flyball"'
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)


def render_refusal(error: FlyballError, path: str, *, status: int) -> Response:
    """Answer a request that no route took: our errors under `/api/v1`, plain text elsewhere.

    An error code in it would keep the MLflow client from falling back to its older paths.
    """
    if not path.startswith(V1_PREFIX):
        return PlainTextResponse(error.message + "\n", status_code=status)
    response = render_error(error, Dialect.V1)
    response.status_code = status
    return response
