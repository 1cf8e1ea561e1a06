"""The ports of the loop: where requests are kept, and who scores a model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import pyarrow as pa

from flyball.retraining.entities import Request, RequestState


class RequestStore(Protocol):
    """Keep loop files and requests.

    Threads and processes: any number. Atomicity: every verb joins the caller's transaction. Copies: immutable.
    """

    def put_loop(self, name: str, document: str, *, now_ms: int) -> None:
        """Set a loop file, replacing the one of that name.

        Raises:
            Conflict: somebody else sets one of that name for the first time at this moment.
        """
        ...

    def find_loop(self, name: str) -> str | None:
        """Return a loop file, None when there is none."""
        ...

    def loops(self) -> list[str]:
        """Return the names of all loops, sorted."""
        ...

    def add(self, request: Request) -> None:
        """Keep a new request.

        Raises:
            Conflict: its loop has a request that has not ended.
        """
        ...

    def update(self, request: Request, *, expected: RequestState) -> None:
        """Replace a request that is still in the expected state.

        Raises:
            Conflict: it is in another state meanwhile.
        """
        ...

    def find(self, request_id: str) -> Request | None:
        """Return a request, None when there is none."""
        ...

    def list(self, *, loop: str | None = None, states: Collection[RequestState] = ()) -> list[Request]:
        """Return requests, newest first; every state when `states` is empty."""
        ...


class Scorer(Protocol):
    """Let a model version answer for rows, outside this process: a model is code, and this process runs none."""

    def score(self, model: str, version: int, table: pa.Table) -> pa.Table:
        """Return the `prediction` of each row, in order, and its `score`: the probability of the answer, null without one.

        Of more than two classes `probabilities` may be there too: those of all, as lists.

        Raises:
            FlyballError: the model cannot be loaded, or refuses the rows.
        """
        ...
