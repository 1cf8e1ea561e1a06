"""Conduct a request from alert to production: one state a call, each safe to repeat after a crash.

    open ── diagnose ──▶ training ──▶ evaluating ──▶ awaiting_approval ──▶ canary ──▶ promoted
      └▶ refused           └▶ failed       └▶ refused        └▶ refused        └▶ rolled_back

A person's request enters at `evaluating`. Whoever conducts holds the loop's lease; a move that another worker's lease
overtook is not written.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets, DatasetVersion
from flyball.deployment.entities import RolloutId, RolloutState, StopRule, VerdictKind
from flyball.deployment.service import Deployments
from flyball.governance.approvals import Approvals
from flyball.governance.entities import ApprovalState
from flyball.kernel.canonical import JsonValue
from flyball.kernel.db import Database
from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.kernel.events import Edge, ref
from flyball.kernel.leases import Lease
from flyball.pipelines.entities import RunState
from flyball.pipelines.service import Pipelines
from flyball.registry import Decision, Gatekeeper, Registry, Verdict
from flyball.registry.gates.evidence import PairedEvaluation
from flyball.retraining.entities import Request, RequestState
from flyball.retraining.evaluation import METRIC, baseline_of, evaluate
from flyball.retraining.gathering import approvable, dataset_of, gather, read_model_files
from flyball.retraining.loops import Loop
from flyball.retraining.ports import Scorer
from flyball.retraining.requests import LOOP_ACTOR, Requests
from flyball.retraining.watching import Watch

CHAMPION = "champion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms that a request passes through."""

    artifacts: Artifacts
    datasets: Datasets
    pipelines: Pipelines
    registry: Registry
    gatekeeper: Gatekeeper
    approvals: Approvals
    deployments: Deployments
    database: Database


class Conductor:
    """Move requests on, under the lease of their loop."""

    def __init__(self, requests: Requests, watch: Watch, scorer: Scorer, rooms: Rooms) -> None:
        self._requests = requests
        self._watch = watch
        self._scorer = scorer
        self._rooms = rooms

    def turn(self, loop: Loop, lease: Lease) -> Request | None:
        """Do what is next for a loop: open a request if an alert calls for one, else move the running one on.

        Returns the request as it stands now, None when there is nothing to do.
        """
        running = self._requests.running(loop.loop)
        if running is None:
            return self._watch.consider(loop)
        try:
            return self._advance(running, loop, lease)
        except InvalidInput as error:  # what was asked for cannot be done; repeating it would not help
            return self._end(running, RequestState.FAILED, error.message, lease)

    def is_due(self, loop: Loop) -> bool:
        """Tell whether a turn would do something without further traffic, labels or people."""
        running = self._requests.running(loop.loop)
        if running is None:
            return self._watch.find_call(loop) is not None
        match running.state:
            case RequestState.AWAITING_APPROVAL:
                return self._rooms.approvals.get(running.approval_id).state is not ApprovalState.PENDING
            case RequestState.CANARY:
                rollout = self._rooms.deployments.get_rollout(RolloutId(running.rollout_id))
                known = (rollout.champion_outcomes, rollout.challenger_outcomes)
                return self._watch.outcomes(loop, running, rollout) != known
            case _:
                return True

    def _advance(self, request: Request, loop: Loop, lease: Lease) -> Request:
        match request.state:
            case RequestState.OPEN:
                return self._diagnose(request, loop, lease)
            case RequestState.TRAINING:
                return self._await_training(request, lease)
            case RequestState.EVALUATING:
                return self._judge(request, loop, lease)
            case RequestState.AWAITING_APPROVAL:
                return self._await_approval(request, loop, lease)
            case RequestState.CANARY:
                return self._observe(request, loop, lease)
            case _:
                return request

    def _diagnose(self, request: Request, loop: Loop, lease: Lease) -> Request:
        diagnosis = self._watch.diagnose(loop, request)
        payload: dict[str, JsonValue] = {"cause": diagnosis.cause.value, "numbers": diagnosis.numbers}
        reason = "; ".join(diagnosis.reasons)
        diagnosed = dataclasses.replace(request, cause=diagnosis.cause, reason=reason)
        if not diagnosis.retrain:
            return self._end(diagnosed, RequestState.REFUSED, reason, lease, payload=payload)
        with self._rooms.database.transaction():
            frozen = self._watch.freeze(loop, diagnosed)
            training = dataset_of(self._rooms.datasets, frozen.training)
            run = self._rooms.pipelines.submit(
                loop.pipeline,
                {
                    "training": {"dataset": frozen.training, "digest": training.digest},
                    "model": loop.model,
                    "dataset": frozen.training,
                },
                actor=LOOP_ACTOR,
            )
            moved = dataclasses.replace(frozen, state=RequestState.TRAINING, pipeline_run_id=run.id)
            purpose = Edge(subject=ref("pipeline-run", run.id), relation="for", object=ref("request", request.id))
            return self._requests.move(moved, before=request, lease=lease, payload=payload, edges=[purpose])

    def _await_training(self, request: Request, lease: Lease) -> Request:
        run = self._rooms.pipelines.get(request.pipeline_run_id)
        if run.state in {RunState.FAILED, RunState.LOST, RunState.CANCELLED}:
            return self._end(request, RequestState.FAILED, f"the training pipeline {run.state}: {run.error}", lease)
        if run.state is not RunState.SUCCEEDED:
            return request
        version = run.result.get("version") if isinstance(run.result, dict) else None
        if not isinstance(version, int):
            reason = "the training pipeline returned no {'version': <number>} of the model it registered"
            return self._end(request, RequestState.FAILED, reason, lease)
        moved = dataclasses.replace(request, state=RequestState.EVALUATING, challenger=version)
        return self._requests.move(moved, before=request, lease=lease, payload={"challenger": version})

    def _judge(self, request: Request, loop: Loop, lease: Lease) -> Request:
        sets = self._sets(request)
        judged_on = {role: dataset for role, dataset in sets.items() if role != "training"}
        evaluations = evaluate(
            loop,
            champion=request.champion,
            challenger=_known(request.challenger),
            sets=judged_on,
            datasets=self._rooms.datasets,
            scorer=self._scorer,
        )
        with self._rooms.database.transaction():
            decision = self._decide(request, loop, sets=sets, evaluations=evaluations)
            decided = self._settle(dataclasses.replace(request, decision_id=decision.id), loop, decision)
            payload: dict[str, JsonValue] = {"decision": decision.id, "verdict": decision.verdict.value}
            edges = [
                Edge(subject=decision.ref, relation="on", object=ref("dataset-version", one.dataset))
                for one in evaluations
            ]
            return self._requests.move(decided, before=request, lease=lease, payload=payload, edges=edges)

    def _settle(self, request: Request, loop: Loop, decision: Decision) -> Request:
        if decision.verdict is not Verdict.PASS:
            return dataclasses.replace(request, state=RequestState.REFUSED, reason=_why_not(decision))
        content = self._content(request, loop, decision)
        approval = self._rooms.approvals.request(decision.id, content, requested_by=request.requested_by)
        return dataclasses.replace(request, state=RequestState.AWAITING_APPROVAL, approval_id=approval.id)

    def _decide(
        self,
        request: Request,
        loop: Loop,
        *,
        sets: dict[str, DatasetVersion],
        evaluations: tuple[PairedEvaluation, ...],
    ) -> Decision:
        rooms = self._rooms
        version = rooms.registry.get_version(loop.model, _known(request.challenger))
        baseline = rooms.artifacts.put_json(baseline_of(evaluations))
        rooms.registry.attach(loop.model, version.version, "profile", sets["training"].profile_digest, actor=LOOP_ACTOR)
        rooms.registry.attach(loop.model, version.version, "baseline", baseline, actor=LOOP_ACTOR)
        evidence = gather(
            version,
            read_model_files(rooms.artifacts, version),
            champion=request.champion,
            evaluations=evaluations,
            windows=self._watch.window_facts(sets["training"]),
        )
        return rooms.gatekeeper.decide(rooms.gatekeeper.policy(loop.policy), evidence, actor=LOOP_ACTOR)

    def _await_approval(self, request: Request, loop: Loop, lease: Lease) -> Request:
        approval = self._rooms.approvals.get(request.approval_id)
        if approval.state is ApprovalState.REJECTED:
            return self._end(
                request, RequestState.REFUSED, f"{approval.decided_by} rejected it: {approval.reason}", lease
            )
        if approval.state is not ApprovalState.GRANTED:
            return request
        decision = self._rooms.gatekeeper.decision(request.decision_id)
        self._rooms.approvals.verify(approval.id, self._content(request, loop, decision))
        if request.champion is None:
            return self._install(request, loop, lease)
        with self._rooms.database.transaction():
            rollout = self._rooms.deployments.start_rollout(
                loop.endpoint,
                _known(request.challenger),
                share=loop.canary.share,
                stop_rule=_stop_rule(loop),
                actor=LOOP_ACTOR,
            )
            moved = dataclasses.replace(
                request,
                state=RequestState.CANARY,
                rollout_id=rollout.id,
                canary_from_ms=self._watch.watermark_ms(loop) + 1,
            )
            allowed = Edge(
                subject=ref("rollout", rollout.id), relation="allowed-by", object=ref("approval", approval.id)
            )
            payload: dict[str, JsonValue] = {"rollout": rollout.id}
            return self._requests.move(moved, before=request, lease=lease, payload=payload, edges=[allowed])

    def _install(self, request: Request, loop: Loop, lease: Lease) -> Request:
        """Put the first version of an endpoint in charge; there is nobody to compare it with in a canary."""
        version = _known(request.challenger)
        with self._rooms.database.transaction():
            self._rooms.registry.set_alias(loop.model, CHAMPION, version, expected=None, actor=request.requested_by)
            self._rooms.deployments.create(loop.endpoint, loop.model, version, actor=request.requested_by)
            moved = dataclasses.replace(request, state=RequestState.PROMOTED, reason="first version of this endpoint")
            return self._requests.move(moved, before=request, lease=lease, payload={"version": version})

    def _observe(self, request: Request, loop: Loop, lease: Lease) -> Request:
        rollout = self._rooms.deployments.get_rollout(RolloutId(request.rollout_id))
        with self._rooms.database.transaction():
            if rollout.state is RolloutState.RUNNING:
                champion, challenger = self._watch.outcomes(loop, request, rollout)
                rollout = self._rooms.deployments.observe(
                    rollout.id, champion=champion, challenger=challenger, actor=LOOP_ACTOR
                )
            if rollout.state is RolloutState.ROLLED_BACK:
                return self._end(request, RequestState.ROLLED_BACK, rollout.reason, lease)
            if rollout.verdict is not None and rollout.verdict.kind is VerdictKind.PROMOTE:
                return self._promote(request, loop, lease, reason=rollout.verdict.reason)
        return request

    def _promote(self, request: Request, loop: Loop, lease: Lease, *, reason: str) -> Request:
        version = _known(request.challenger)
        with self._rooms.database.transaction():
            self._rooms.deployments.promote(RolloutId(request.rollout_id), actor=LOOP_ACTOR)
            self._rooms.registry.set_alias(loop.model, CHAMPION, version, expected=request.champion, actor=LOOP_ACTOR)
            moved = dataclasses.replace(request, state=RequestState.PROMOTED, reason=reason)
            return self._requests.move(moved, before=request, lease=lease, payload={"version": version})

    def _end(
        self,
        request: Request,
        state: RequestState,
        reason: str,
        lease: Lease,
        *,
        payload: dict[str, JsonValue] | None = None,
    ) -> Request:
        ended = dataclasses.replace(request, state=state, reason=reason)
        return self._requests.move(ended, before=request, lease=lease, payload=payload or {})

    def _sets(self, request: Request) -> dict[str, DatasetVersion]:
        names = {"training": request.training, "holdout": request.holdout, "recent": request.recent}
        return {role: dataset_of(self._rooms.datasets, name) for role, name in names.items() if name}

    def _content(self, request: Request, loop: Loop, decision: Decision) -> dict[str, str]:
        version = self._rooms.registry.get_version(loop.model, _known(request.challenger))
        files = read_model_files(self._rooms.artifacts, version)
        policy = self._rooms.gatekeeper.policy(decision.policy_name, decision.policy_version)
        return approvable(version, files, decision=decision, policy=policy, sets=self._sets(request))


def _known(version: int | None) -> int:
    if version is None:
        raise FlyballError("a request reached this state without a challenger")
    return version


def _why_not(decision: Decision) -> str:
    return "; ".join(f"{one.rule}: {one.reason}" for one in decision.results if one.verdict is not Verdict.PASS)


def _stop_rule(loop: Loop) -> StopRule:
    plan = loop.canary
    return StopRule(metric=METRIC, alpha=plan.alpha, margin=plan.margin, min_rows=plan.min_rows, max_rows=plan.max_rows)
