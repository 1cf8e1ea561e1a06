"""One table from error to status, for every dialect; internal text never leaves the process."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from flyball.kernel.errors import ErrorCode, FlyballError
from flyball.server.routing import Dialect

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
    ErrorCode.INTERNAL: (500, 500, "INTERNAL_ERROR"),
}
RETRY_AFTER_S = "1"


class ErrorDetail(msgspec.Struct, omit_defaults=True):
    """What went wrong: a stable code, a sentence for a person, and the field it is about."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(msgspec.Struct):
    """The body of every error of `/api/v1`."""

    error: ErrorDetail


class MlflowErrorBody(msgspec.Struct):
    """The body of every error of the MLflow protocol."""

    error_code: str
    message: str


def render_error(error: FlyballError, dialect: Dialect) -> Response:
    """Turn an error into a response of the route's dialect."""
    v1_status, mlflow_status, mlflow_code = TABLE[error.code]
    body: msgspec.Struct
    if dialect is Dialect.MLFLOW:
        status, body = mlflow_status, MlflowErrorBody(error_code=mlflow_code, message=error.message)
    else:
        status = v1_status
        body = ErrorBody(error=ErrorDetail(code=error.code.value, message=error.message, field=error.field))
    headers = {"retry-after": RETRY_AFTER_S} if error.retryable else {}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["www-authenticate"] = 'Bearer realm="flyball"'
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)
