"""Conduct a request from alert to production: one state a call, each safe to repeat after a crash.

    open ── diagnose ──▶ training ──▶ evaluating ──▶ awaiting_approval ──▶ canary ──▶ promoted
      └▶ refused           └▶ failed       └▶ refused        └▶ refused        └▶ rolled_back

A person's request enters at `evaluating`. Whoever conducts holds the loop's lease; a move that another worker's lease
overtook is not written. What can never heal ends the request as failed, from any state; what may heal is left to a later turn.
"""

from __future__ import annotations

import dataclasses
from typing import assert_never

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Conflict, FlyballError, StoreFull, Unavailable
from flyball.kernel.events import Edge, ref
from flyball.kernel.leases import Lease
from flyball.pipelines.entities import PipelineRun, RunState
from flyball.retraining.entities import FINAL, Request, RequestState
from flyball.retraining.gathering import dataset_of
from flyball.retraining.judging import Judging
from flyball.retraining.loops import Loop
from flyball.retraining.ports import Scorer
from flyball.retraining.release import Release
from flyball.retraining.requests import LOOP_ACTOR, Requests
from flyball.retraining.rooms import Rooms
from flyball.retraining.watching import Watch

__all__ = ["Conductor", "Rooms"]

# A full disk, a store out of reach, somebody who changed the same thing at the same moment (a lost lease is a Conflict too):
# the same turn may succeed later, so the request stays where it is.
PASSING = (Unavailable, StoreFull, Conflict, OSError, MemoryError)
# The first attempt and one more: a worker may die once without a fault of the training.
ATTEMPTS = 2


class Conductor:
    """Move requests on, under the lease of their loop."""

    def __init__(self, requests: Requests, watch: Watch, scorer: Scorer, rooms: Rooms) -> None:
        self._requests = requests
        self._watch = watch
        self._rooms = rooms
        self._judging = Judging(requests, watch, scorer, rooms)
        self._release = Release(requests, watch, self._judging, rooms)

    def turn(self, loop: Loop, lease: Lease) -> Request | None:
        """Do what is next for a loop: open a request if an alert calls for one, else move the running one on.

        Returns the request as it stands now, None when there is nothing to do.

        Raises:
            LeaseLost: another worker conducts this loop now; nothing is written.
            Conflict: somebody changed the same thing at the same moment; nothing is written.
            Unavailable: a passing fault; nothing is written.
            StoreFull: there is no room; nothing is written.
        """
        running = self._requests.running(loop.loop)
        if running is None:
            return self._watch.consider(loop, lease)
        try:
            return self._advance(running, loop, lease)
        except PASSING:
            raise
        except FlyballError as error:  # it cannot be done; repeating it would not help
            return self._release.abandon(running, RequestState.FAILED, error.message, lease=lease)
        except Exception as error:  # a fault of ours: a request that never ends would block its loop for good
            reason = f"internal error: {type(error).__name__}; the worker's log has the details"
            self._release.abandon(running, RequestState.FAILED, reason, lease=lease)
            raise

    def is_due(self, loop: Loop) -> bool:
        """Tell whether a turn would do something without further traffic, labels or people."""
        running = self._requests.running(loop.loop)
        if running is None:
            if self._watch.find_call(loop) is not None:
                return True
            running = self._requests.running(loop.loop)  # opened between the two looks, it left no call to be found
        if running is None:
            return False
        if running.state is RequestState.AWAITING_APPROVAL:
            return self._release.has_answer(running, loop)
        if running.state is RequestState.CANARY:
            return self._release.has_news(running, loop)
        return True

    def _advance(self, request: Request, loop: Loop, lease: Lease) -> Request:
        assert request.state not in FINAL, "a running request has not ended"
        match request.state:
            case RequestState.OPEN:
                return self._diagnose(request, loop, lease)
            case RequestState.TRAINING:
                return self._await_training(request, lease)
            case RequestState.EVALUATING:
                return self._judging.judge(request, loop, lease)
            case RequestState.AWAITING_APPROVAL:
                return self._release.heed_answer(request, loop, lease)
            case RequestState.CANARY:
                return self._release.observe(request, loop, lease)
            case RequestState.PROMOTED | RequestState.ROLLED_BACK | RequestState.REFUSED | RequestState.FAILED:
                return request
            case _:
                assert_never(request.state)

    def _diagnose(self, request: Request, loop: Loop, lease: Lease) -> Request:
        diagnosis = self._watch.diagnose(loop, request)
        payload: dict[str, JsonValue] = {"cause": diagnosis.cause.value, "numbers": diagnosis.numbers}
        reason = "; ".join(diagnosis.reasons)
        diagnosed = dataclasses.replace(request, cause=diagnosis.cause, reason=reason)
        if not diagnosis.retrain:
            return self._requests.end(diagnosed, RequestState.REFUSED, reason, lease=lease, payload=payload)
        lost = self._watch.ground.lost(request, loop)
        if lost:
            return self._requests.end(diagnosed, RequestState.REFUSED, lost, lease=lease, payload=payload)
        # Before the transaction, because it writes files: after a crash it finds the versions that it made.
        frozen = self._watch.sources.freeze(loop, diagnosed)
        with self._rooms.database.transaction():
            run = self._submit(frozen, loop)
            moved = dataclasses.replace(frozen, state=RequestState.TRAINING, pipeline_run_id=run.id)
            purpose = Edge(subject=ref("pipeline-run", run.id), relation="for", object=ref("request", request.id))
            return self._requests.move(moved, before=request, lease=lease, payload=payload, edges=[purpose])

    def _submit(self, frozen: Request, loop: Loop) -> PipelineRun:
        training = dataset_of(self._rooms.datasets, frozen.training)
        parameters: dict[str, JsonValue] = {
            "training": {"dataset": frozen.training, "digest": training.digest},
            "model": loop.model,
            "dataset": frozen.training,
        }
        return self._rooms.pipelines.submit(loop.pipeline, parameters, actor=LOOP_ACTOR)

    def _await_training(self, request: Request, lease: Lease) -> Request:
        run = self._rooms.pipelines.get(request.pipeline_run_id)
        match run.state:
            case RunState.QUEUED | RunState.RUNNING:
                return request
            case RunState.SUCCEEDED:
                return self._take_challenger(request, run, lease)
            case RunState.LOST if run.attempt < ATTEMPTS:
                return self._resume(request, run, lease)
            case RunState.LOST | RunState.FAILED | RunState.CANCELLED:
                reason = f"the training pipeline was {run.state} in attempt {run.attempt}"
                reason += f": {run.error}" if run.error else ""
                return self._requests.end(request, RequestState.FAILED, reason, lease=lease)
            case _:
                assert_never(run.state)

    def _resume(self, request: Request, run: PipelineRun, lease: Lease) -> Request:
        with self._rooms.database.transaction():
            self._requests.fence(lease)
            self._rooms.pipelines.resume(run.id, actor=LOOP_ACTOR)
        return request

    def _take_challenger(self, request: Request, run: PipelineRun, lease: Lease) -> Request:
        version = run.result.get("version") if isinstance(run.result, dict) else None
        if not isinstance(version, int) or isinstance(version, bool):
            reason = "the training pipeline returned no {'version': <number>} of the model it registered"
            return self._requests.end(request, RequestState.FAILED, reason, lease=lease)
        moved = dataclasses.replace(request, state=RequestState.EVALUATING, challenger=version)
        return self._requests.move(moved, before=request, lease=lease, payload={"challenger": version})
