"""Replay the market through the real endpoint over HTTP, in order of time, labels following a day later.

Nineteen months pass in a minute or two, so the replay waits wherever the world would have given the loop time: at the end of each
day that a canary runs, and of each window otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
import pyarrow as pa
import urllib3

from flyball.demo.electricity import DAY_MS, FEATURES, LABEL, ROWS_A_DAY, TIME, WEEK
from flyball.demo.stage import People, wait_for
from flyball.kernel.errors import FlyballError
from flyball.wire.v1 import endpoints, loops, predictions

BATCH = 24
"""Rows of one request: half a day of the market, answered by one version."""
PATIENCE_S = 300.0
NAME = "elec2"


class Output(msgspec.Struct):
    """A tensor of the answer, as far as the replay reads it."""

    name: str
    data: list[float]


class Answer(msgspec.Struct):
    """The endpoint's answer, as far as the replay reads it."""

    outputs: list[Output]


class Replay:
    """The application that asks, the world that labels, and the approver who answers requests."""

    def __init__(
        self, people: People, market: pa.Table, *, prefix: str = "", on_progress: Callable[[int], None]
    ) -> None:
        self._people = people
        self._market = market
        self._prefix = prefix
        self._on_progress = on_progress
        self._columns = {name: market.column(name).to_numpy() for name in (*FEATURES, LABEL, TIME)}
        self._url = ""
        self._http = urllib3.PoolManager(maxsize=1)
        self.predicted = np.full(market.num_rows, -1, dtype=np.int64)

    def connect(self) -> None:
        """Learn where the endpoint answers."""
        wait_for(lambda: self._endpoint().ready, limit_s=PATIENCE_S, what="the endpoint to come up")
        self._url = self._endpoint().url

    def run(self, start: int, end: int) -> None:
        """Send rows `start` to `end`, and the labels of a day after the next one; then let the loop come to rest.

        The last day is labelled at the end: whichever replay comes next, the window that it ends has all its labels.
        """
        labelled = start
        for row in range(start, end, ROWS_A_DAY):
            stop = min(row + ROWS_A_DAY, end)
            for first in range(row, stop, BATCH):
                self._ask(first, min(first + BATCH, stop))
            self._on_progress(stop - row)
            week_and_a_day = (stop - start) % WEEK == ROWS_A_DAY
            if week_and_a_day or stop == end or self._canary_runs():
                # What is not in the log yet ends no window, and the loop would rest too early.
                wait_for(
                    partial(self._is_kept, stop - 1), limit_s=PATIENCE_S, what="the captured predictions to arrive"
                )
                known = stop if stop == end else stop - ROWS_A_DAY
                self._label(labelled, known)
                labelled = max(labelled, known)
                self.settle()

    def settle(self) -> None:
        """Wait until the loop has done all it can, approving what waits for a person."""
        wait_for(self._at_rest, limit_s=PATIENCE_S, what="the loop to come to rest")
        wait_for(lambda: self._endpoint().ready, limit_s=PATIENCE_S, what="the endpoint to take up its routing")

    def _at_rest(self) -> bool:
        self.approve_pending()
        found = self._people.engineer.call("GET", f"/api/v1/loops/{NAME}", response=loops.LoopInfo)
        return not found.busy and not self._pending()

    def approve_pending(self) -> None:
        """Approve what waits, by the digest of its content, as the approver."""
        for approval in self._pending():
            self._people.approver.call(
                "POST",
                f"/api/v1/approvals/{approval.id}/approve",
                body=loops.Approve(digest=approval.digest),
                response=loops.ApprovalInfo,
            )

    def _pending(self) -> list[loops.ApprovalInfo]:
        found = self._people.approver.call("GET", "/api/v1/approvals", response=loops.ApprovalList)
        return [approval for approval in found.approvals if approval.state == "pending"]

    def _canary_runs(self) -> bool:
        return any(route.role == "canary" for route in self._endpoint().routes)

    def _endpoint(self) -> endpoints.EndpointInfo:
        return self._people.engineer.call("GET", f"/api/v1/endpoints/{NAME}", response=endpoints.EndpointInfo)

    def _ask(self, first: int, stop: int) -> None:
        rows = slice(first, stop)
        body = {
            "id": f"{self._prefix}{first}",
            "inputs": [
                {"name": name, "shape": [stop - first], "datatype": "FP64", "data": self._columns[name][rows].tolist()}
                for name in FEATURES
            ],
            "parameters": {
                "event_time_ms": self._columns[TIME][rows].tolist(),
                "prediction_ids": [self._id(row) for row in range(first, stop)],
                "sticky_key": f"{self._prefix}{first // BATCH}",
            },
        }
        answer = self._post(f"{self._url}/v2/models/{NAME}/infer", body)
        self.predicted[rows] = next(output.data for output in answer.outputs if output.name == "prediction")

    def _post(self, url: str, body: object) -> Answer:
        headers = {"authorization": f"Bearer {self._people.application.token}", "content-type": "application/json"}
        response = self._http.request("POST", url, body=msgspec.json.encode(body), headers=headers, timeout=PATIENCE_S)
        if response.status != 200:  # noqa: PLR2004 -- HTTP OK
            raise FlyballError(f"the endpoint answered {response.status}: {response.data[:300]!r}")
        return msgspec.json.decode(response.data, type=Answer)

    def _label(self, first: int, stop: int) -> None:
        if stop <= first:
            return
        labels = [
            endpoints.LabelItem(
                prediction_id=self._id(row),
                value=int(self._columns[LABEL][row]),
                time_ms=int(self._columns[TIME][row]) + DAY_MS,
            )
            for row in range(first, stop)
        ]
        self._people.application.call(
            "POST",
            f"/api/v1/endpoints/{NAME}/labels",
            body=endpoints.LabelBatch(labels=labels),
            response=endpoints.LabelReceipt,
        )

    def _is_kept(self, row: int) -> bool:
        """Tell whether the answer to a row has come to the prediction log, and with it all before it."""
        time_ms = int(self._columns[TIME][row])
        path = f"/api/v1/endpoints/{NAME}/predictions?start_ms={time_ms}&end_ms={time_ms + 1}"
        return bool(self._people.engineer.call("GET", path, response=predictions.PredictionFileList).files)

    def _id(self, row: int) -> str:
        return f"{self._prefix}{NAME}-{row}"
