"""Put a challenger before the gates: score it beside the champion, gather the evidence, and ask for an approval if it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa

from flyball.datasets import DatasetVersion
from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.errors import Corrupted, FlyballError
from flyball.kernel.events import Edge, ref
from flyball.kernel.leases import Lease
from flyball.monitoring.baselines import quality_baseline
from flyball.monitoring.sketches import sketch_table
from flyball.registry import Decision, EvidenceKind, ModelVersion, Verdict
from flyball.registry.gates.evidence import PairedEvaluation
from flyball.retraining.entities import Request, RequestState
from flyball.retraining.evaluation import METRIC, Evaluated, baseline_of, evaluate, ratcheted
from flyball.retraining.gathering import ModelFiles, approvable, dataset_of, gather, read_model_files
from flyball.retraining.loops import Loop
from flyball.retraining.ports import Scorer
from flyball.retraining.requests import LOOP_ACTOR, Requests
from flyball.retraining.rooms import Rooms
from flyball.retraining.watching import Watch


class Judging:
    """From `evaluating` to `awaiting_approval`, or to a refusal."""

    def __init__(self, requests: Requests, watch: Watch, scorer: Scorer, rooms: Rooms) -> None:
        self._requests = requests
        self._watch = watch
        self._scorer = scorer
        self._rooms = rooms

    def judge(self, request: Request, loop: Loop, lease: Lease) -> Request:
        """Decide about the challenger; decision, evidence, approval and move are written together or not at all."""
        lost = self._watch.ground.lost(request, loop)
        if lost:
            return self._requests.end(request, RequestState.REFUSED, lost, lease=lease)
        sets = self._sets(request)
        evaluated = evaluate(
            loop,
            champion=request.champion,
            challenger=known_challenger(request),
            sets={role: dataset for role, dataset in sets.items() if role != "training"},
            datasets=self._rooms.datasets,
            scorer=self._scorer,
        )
        evaluations = evaluated.evaluations
        evidence = self._describe(request, loop, sets=sets, evaluated=evaluated)
        with self._rooms.database.transaction():
            decision = self._decide(request, loop, sets=sets, evaluations=evaluations, described=evidence)
            decided = self._settle(dataclasses.replace(request, decision_id=decision.id), loop, decision)
            payload: dict[str, JsonValue] = {"decision": decision.id, "verdict": decision.verdict.value}
            edges = [
                Edge(subject=decision.ref, relation="on", object=ref("dataset-version", one.dataset))
                for one in evaluations
            ]
            return self._requests.move(decided, before=request, lease=lease, payload=payload, edges=edges)

    def content(self, request: Request, loop: Loop, decision: Decision) -> dict[str, str]:
        """Return everything that an approval of the decision is bound to, as it is now.

        Raises:
            NotFound: a part of it is gone.
        """
        version = self._rooms.registry.get_version(loop.model, known_challenger(request))
        files = read_model_files(self._rooms.artifacts, version)
        policy = self._rooms.gatekeeper.policy(decision.policy_name, decision.policy_version)
        return approvable(files, decision=decision, policy=policy, sets=self._sets(request))

    def _settle(self, request: Request, loop: Loop, decision: Decision) -> Request:
        if decision.verdict is not Verdict.PASS:
            return dataclasses.replace(request, state=RequestState.REFUSED, reason=_why_not(decision))
        content = self.content(request, loop, decision)
        approval = self._rooms.approvals.request(decision.id, content, requested_by=request.requested_by)
        return dataclasses.replace(request, state=RequestState.AWAITING_APPROVAL, approval_id=approval.id)

    def _decide(
        self,
        request: Request,
        loop: Loop,
        *,
        sets: dict[str, DatasetVersion],
        evaluations: tuple[PairedEvaluation, ...],
        described: Mapping[EvidenceKind, Digest],
    ) -> Decision:
        rooms = self._rooms
        version = rooms.registry.get_version(loop.model, known_challenger(request))
        files = _unchanged(read_model_files(rooms.artifacts, version), version)
        training = sets["training"]
        for kind, digest in described.items():
            rooms.registry.attach(loop.model, version.version, kind, digest, actor=LOOP_ACTOR)
        evidence = gather(
            version,
            files,
            champion=request.champion,
            evaluations=evaluations,
            windows=self._watch.sources.window_facts(training),
        )
        return rooms.gatekeeper.decide(rooms.gatekeeper.policy(loop.policy), evidence, actor=LOOP_ACTOR)

    def _describe(
        self, request: Request, loop: Loop, *, sets: dict[str, DatasetVersion], evaluated: Evaluated
    ) -> dict[EvidenceKind, Digest]:
        """Keep what monitors will hold the challenger's traffic against, and return it by kind."""
        artifacts, training = self._rooms.artifacts, sets["training"]
        rows = self._rooms.datasets.table(training.name, training.version)
        features = [name for name in rows.column_names if name not in {loop.label_column, loop.time_column}]
        answers = None if evaluated.holdout is None else evaluated.holdout.column("prediction")
        sketches = sketch_table(rows, features=features, predictions=answers)
        return {
            EvidenceKind.PROFILE: training.profile_digest,
            EvidenceKind.SKETCHES: artifacts.put_json(sketches.to_json()),
            EvidenceKind.BASELINE: artifacts.put_json(self._baseline(request, loop, evaluated)),
        }

    def _baseline(self, request: Request, loop: Loop, evaluated: Evaluated) -> dict[str, JsonValue]:
        own = baseline_of(evaluated.evaluations)
        if evaluated.holdout is not None:
            slices = self._watch.named_slices(loop)
            own = _whole_baseline(evaluated.holdout, [*evaluated.answered.values()], slices=slices) | own
        if not loop.ratchet or request.champion is None:
            return own
        digest = self._rooms.registry.evidence(loop.model, request.champion).get(EvidenceKind.BASELINE)
        return own if digest is None else ratcheted(own, self._rooms.artifacts.read_json(digest))

    def _sets(self, request: Request) -> dict[str, DatasetVersion]:
        names = {"training": request.training, "holdout": request.holdout, "recent": request.recent}
        return {role: dataset_of(self._rooms.datasets, name) for role, name in names.items() if name}


def known_challenger(request: Request) -> int:
    """Return the version on trial."""
    if request.challenger is None:
        raise FlyballError(f"request {request.id} reached '{request.state}' without a challenger")
    return request.challenger


def _unchanged(files: ModelFiles, version: ModelVersion) -> ModelFiles:
    if files.tree_digest != version.digest:
        raise Corrupted(
            f"the files of {version.name}/{version.version} have digest {files.tree_digest[:16]}..., "
            f"registered was {version.digest[:16]}..."
        )
    return files


def _whole_baseline(
    holdout: pa.Table, unlearned: Sequence[pa.Table], *, slices: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Describe quality on the holdout; what to expect is learned from every row that the version did not learn from."""
    try:
        return quality_baseline(holdout, metric=METRIC, slices=slices, expect_from=pa.concat_tables(unlearned))
    except FlyballError as error:  # the gates have what they need; what else is not known is said
        return {"no_expectation": error.message}


def _why_not(decision: Decision) -> str:
    return "; ".join(f"{one.rule}: {one.reason}" for one in decision.results if one.verdict is not Verdict.PASS)
