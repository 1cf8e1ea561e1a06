"""A request for predictions and its answer, free of any protocol; and what a caller may say about its rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Prediction
from flyball.serving.row_ids import RowIds
from flyball.serving.signature import Rows

# Clocks of callers are seldom off by more; an event from further ahead would close monitoring windows too early.
FUTURE_TOLERANCE_MS = 5 * 60 * 1_000
# The prediction log keeps ids up to this length.
MAX_ID_LENGTH = 200
ANONYMOUS = "anonymous"


# Structs and not dataclasses: there is one of each for every request, and a frozen dataclass takes ten times as long to make.
class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to predict.

    `event_time_ms` is when the rows happened (one for all, or one a row; now when not given), `prediction_ids` the caller's
    own names for them, `sticky_key` what routing is drawn by (the request id when not given). `version` is the one that is asked,
    whatever the routing says of this key. `size_bytes` is what the request
    came in: what may wait, and what one batch may hold, is measured by it.
    """

    rows: Rows
    request_id: str = ""
    event_time_ms: int | Sequence[int] | None = None
    prediction_ids: Sequence[str] | None = None
    sticky_key: str | None = None
    caller: str = ANONYMOUS
    version: int | None = None
    size_bytes: int = 0


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions, the version that made them, and the names under which their labels will be joined.

    `together` are the predictions of all requests of a batch; those of this one begin at `first`.
    """

    request_id: str
    version: int
    role: str
    prediction_ids: Sequence[str]
    together: Prediction
    first: int = 0

    @property
    def prediction(self) -> Prediction:
        """What the model said of the rows of this request."""
        rows = len(self.prediction_ids)
        return self.together if rows == len(self.together.labels) else self.together.rows(self.first, self.first + rows)


def id_of(request: InferRequest, *, new: str) -> str:
    """Return the id of a request: the caller's, or the new one.

    Raises:
        InvalidInput: the caller's cannot be kept.
    """
    if not request.request_id:
        return new
    check_id(request.request_id, field="id")
    return request.request_id


def times_of(request: InferRequest, *, rows: int, now_ms: int) -> int | tuple[int, ...]:
    """Return the event time of each row, or the one of all.

    Raises:
        InvalidInput: another number of times than rows, a time before 1970, or one more than five minutes ahead.
    """
    given = request.event_time_ms
    if given is None:
        return now_ms
    times = (given,) if isinstance(given, int) else tuple(given)
    if not isinstance(given, int) and len(times) != rows:
        raise InvalidInput(f"{len(times)} event times for {rows} rows", field="event_time_ms")
    if min(times) < 0:
        raise InvalidInput(
            f"event time {min(times)} lies before 1970; give milliseconds since then", field="event_time_ms"
        )
    if max(times) > now_ms + FUTURE_TOLERANCE_MS:
        raise InvalidInput(
            f"event time {max(times)} lies more than five minutes ahead of this server's clock ({now_ms})",
            field="event_time_ms",
        )
    return given if isinstance(given, int) else times


def ids_of(request: InferRequest, *, rows: int, new: str) -> Sequence[str]:
    """Return the prediction id of each row: the caller's, or ones that are made of a new one.

    They are not made of the caller's id for the request, which may come again.

    Raises:
        InvalidInput: another number of ids than rows, the same twice, or one that is empty, too long or unprintable.
    """
    given = request.prediction_ids
    if given is None:
        return (new,) if rows == 1 else RowIds(new, rows)
    if len(given) != rows:
        raise InvalidInput(f"{len(given)} prediction ids for {rows} rows", field="prediction_ids")
    if len(set(given)) != rows:
        raise InvalidInput("a prediction id is given twice; each row needs its own", field="prediction_ids")
    for name in given:
        check_id(name, field="prediction_ids")
    return tuple(given)


def check_id(name: str, *, field: str) -> None:
    """Refuse a name that the prediction log cannot keep.

    Raises:
        InvalidInput: it is empty, longer than 200 characters, or has unprintable ones.
    """
    if not 0 < len(name) <= MAX_ID_LENGTH or not name.isprintable():
        raise InvalidInput(f"{field}: '{name[:40]}' must be 1 to {MAX_ID_LENGTH} printable characters", field=field)
