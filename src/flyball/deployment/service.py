"""The verbs of deployment: endpoints, the trial of a challenger, and the way back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from flyball.deployment import transitions
from flyball.deployment.entities import (
    DeploymentEvent,
    Endpoint,
    EndpointState,
    EndpointStatus,
    Outcomes,
    Role,
    Rollout,
    RolloutId,
    RolloutState,
    Route,
    StopRule,
    VerdictKind,
)
from flyball.deployment.ports import DeploymentStore
from flyball.deployment.records import describe_endpoint, describe_look, describe_rollout, serves, stands_on
from flyball.deployment.refusals import check_name, check_outcomes, check_running, forbid_undoing
from flyball.deployment.stop_rules import check_stop_rule, judge
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events import Edge, EventLog, Ref, ref
from flyball.kernel.ids import new_id
from flyball.serving.capture_rules import CaptureRules

_NOTHING = Outcomes(hits=0, rows=0)


class Deployments:
    """Endpoints and rollouts, whatever the store. Safe to share between threads."""

    def __init__(self, store: DeploymentStore, events: EventLog, clock: Clock, database: Database) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._database = database

    def create(self, name: str, model: str, version: int, *, actor: str, edges: Iterable[Edge] = ()) -> Endpoint:
        """Make an endpoint whose champion is a version of a registered model.

        Raises:
            InvalidInput: a name that cannot stand in a URL, or a version below 1.
            AlreadyExists: the name is taken.
        """
        check_name(name, version=version)
        now = self._clock.now_ms()
        endpoint = Endpoint(
            name=name,
            model=model,
            generation=1,
            routes=(Route(version=version, share=1.0, role=Role.CHAMPION),),
            previous=(),
            salt=new_id(),
            state=EndpointState.ACTIVE,
            changed_by=actor,
            created_ms=now,
            updated_ms=now,
        )
        with self._database.transaction():
            self._store.add_endpoint(endpoint)
            self._record(DeploymentEvent.ENDPOINT_CREATED, endpoint, actor=actor, edges=(serves(endpoint), *edges))
        return endpoint

    def get(self, name: str) -> Endpoint:
        """Return an endpoint.

        Raises:
            NotFound: there is none of that name.
        """
        found = self._store.find_endpoint(name)
        if found is None:
            known = ", ".join(endpoint.name for endpoint in self._store.list_endpoints()) or "none"
            raise NotFound(f"no endpoint '{name}'; there are: {known}", field="endpoint")
        return found

    def list(self) -> list[Endpoint]:
        """Return all endpoints by name."""
        return self._store.list_endpoints()

    def shadow(self, name: str, version: int, *, share: float, actor: str) -> Endpoint:
        """Let a version watch a share (0..1) of the requests without answering; a share of 0 ends it.

        Raises:
            InvalidInput: the share is not from 0 to 1.
            Conflict: the version answers requests already.
        """
        check_name(name, version=version)
        changed = transitions.set_shadow(self.get(name), version, share=share, now_ms=self._clock.now_ms())
        return self._keep(changed, DeploymentEvent.ENDPOINT_SHADOWED, actor=actor)

    def stop(self, name: str, *, actor: str) -> Endpoint:
        """Take an endpoint out of service; its routes stay.

        Raises:
            PermissionDenied: automation may not take a person's endpoint away.
        """
        endpoint = self.get(name)
        forbid_undoing(endpoint.changed_by, actor=actor, what=f"endpoint '{name}'")
        return self._set_state(endpoint, EndpointState.STOPPED, actor=actor)

    def resume(self, name: str, *, actor: str) -> Endpoint:
        """Put a stopped endpoint back into service."""
        return self._set_state(self.get(name), EndpointState.ACTIVE, actor=actor)

    def set_capture(self, name: str, rules: CaptureRules, *, actor: str) -> Endpoint:
        """Let an endpoint's prediction log keep what the rules say, from now on; the same rules again change nothing.

        Who sets them has checked that their columns are columns of the endpoint's versions.

        Raises:
            NotFound: there is no such endpoint.
        """
        endpoint = self.get(name)
        if endpoint.capture == rules:
            return endpoint
        changed = transitions.set_capture(endpoint, rules, now_ms=self._clock.now_ms())
        return self._keep(changed, DeploymentEvent.ENDPOINT_CAPTURE_SET, actor=actor)

    def rollback_endpoint(self, name: str, *, actor: str, reason: str = "") -> Endpoint:
        """Go back: end the running rollout, or, when none runs, make the champion before the champion again.

        Raises:
            Conflict: there is nothing to go back to.
            PermissionDenied: automation may not undo a person's change.
        """
        running = self.find_running(name)
        if running is not None:
            self.rollback(running.id, actor=actor, reason=reason)
            return self.get(name)
        endpoint = self.get(name)
        forbid_undoing(endpoint.changed_by, actor=actor, what=f"the champion of '{name}'")
        changed = transitions.flip_back(endpoint, actor=actor, now_ms=self._clock.now_ms())
        return self._keep(changed, DeploymentEvent.ENDPOINT_ROLLED_BACK, actor=actor, reason=reason)

    def start_rollout(
        self,
        endpoint: str,
        version: int,
        *,
        share: float,
        stop_rule: StopRule | None,
        actor: str,
        allowed_by: Ref | None = None,
        edges: Iterable[Edge] = (),
    ) -> Rollout:
        """Put a version on trial with a share (0..1) of the answers; `allowed_by` is the approval it rests on.

        Raises:
            InvalidInput: no stop rule, or a number out of its range.
            Conflict: a rollout runs already, the version is the champion, or the endpoint is stopped.
        """
        rule = check_stop_rule(stop_rule)
        check_name(endpoint, version=version)
        now, before = self._clock.now_ms(), self.get(endpoint)
        rollout = Rollout(
            id=RolloutId(new_id()),
            endpoint=endpoint,
            champion=before.champion.version,
            challenger=version,
            share=share,
            stop_rule=rule,
            state=RolloutState.RUNNING,
            champion_outcomes=_NOTHING,
            challenger_outcomes=_NOTHING,
            looks=0,
            verdict=None,
            reason="",
            started_by=actor,
            created_ms=now,
            ended_ms=None,
        )
        after = transitions.start_canary(before, version, share=share, salt=rollout.id, now_ms=now)
        causes = stands_on(rollout, after, allowed_by=allowed_by)
        with self._database.transaction():
            self._store.swap_endpoint(after, expected_generation=before.generation)
            self._store.add_rollout(rollout)
            self._record_rollout(DeploymentEvent.ROLLOUT_STARTED, rollout, after, actor=actor, edges=(*causes, *edges))
        return rollout

    def observe(self, rollout_id: RolloutId, *, champion: Outcomes, challenger: Outcomes, actor: str) -> Rollout:
        """Look at a rollout with all labelled outcomes since its start, and act on a stop at once.

        The verdict is that of the returned rollout; `promote` is left to the caller, `stop` has rolled back already. The
        same outcomes again are no new look.

        Raises:
            InvalidInput: more hits than rows, or fewer rows than at the look before.
            Conflict: the rollout has ended, or somebody looked at the same moment.
        """
        rollout = self.get_rollout(rollout_id)
        check_running(rollout)
        check_outcomes("champion", champion, before=rollout.champion_outcomes)
        check_outcomes("challenger", challenger, before=rollout.challenger_outcomes)
        if rollout.looks and (champion, challenger) == (rollout.champion_outcomes, rollout.challenger_outcomes):
            return rollout
        verdict = judge(rollout.stop_rule, champion=champion, challenger=challenger)
        looked = dataclasses.replace(
            rollout,
            champion_outcomes=champion,
            challenger_outcomes=challenger,
            looks=rollout.looks + 1,
            verdict=verdict,
            reason=verdict.reason,
        )
        with self._database.transaction():
            self._store.swap_rollout(looked, expected_looks=rollout.looks)
            self._events.record(
                DeploymentEvent.ROLLOUT_OBSERVED,
                actor=actor,
                subject=ref("rollout", rollout_id),
                payload=describe_look(looked),
            )
            if verdict.kind is VerdictKind.STOP:
                return self._end(looked, RolloutState.ROLLED_BACK, actor=actor, reason=f"stopped: {verdict.reason}")
        return looked

    def promote(self, rollout_id: RolloutId, *, actor: str) -> Rollout:
        """Make the challenger the champion.

        Raises:
            Conflict: the rollout has ended, or its newest look does not allow it; the message says why.
        """
        rollout = self.get_rollout(rollout_id)
        check_running(rollout)
        if rollout.verdict is None or rollout.verdict.kind is not VerdictKind.PROMOTE:
            why = rollout.verdict.reason if rollout.verdict else "it was never observed"
            raise Conflict(f"rollout {rollout_id} may not be promoted yet; {why}", field="rollout")
        return self._end(rollout, RolloutState.PROMOTED, actor=actor, reason=rollout.verdict.reason)

    def rollback(self, rollout_id: RolloutId, *, actor: str, reason: str) -> Rollout:
        """End a rollout with the champion in charge; one that was rolled back already is returned as it is.

        Raises:
            Conflict: it was promoted; roll back the endpoint instead.
            PermissionDenied: automation may not end a person's rollout before its stop rule does.
        """
        rollout = self.get_rollout(rollout_id)
        if rollout.state is RolloutState.ROLLED_BACK:
            return rollout
        check_running(rollout)
        forbid_undoing(rollout.started_by, actor=actor, what=f"rollout {rollout_id}")
        return self._end(rollout, RolloutState.ROLLED_BACK, actor=actor, reason=reason)

    def get_rollout(self, rollout_id: RolloutId) -> Rollout:
        """Return a rollout.

        Raises:
            NotFound: there is none of that id.
        """
        found = self._store.find_rollout(rollout_id)
        if found is None:
            raise NotFound(f"no rollout '{rollout_id}'", field="rollout")
        return found

    def find_running(self, endpoint: str) -> Rollout | None:
        """Return the running rollout of an endpoint, None when there is none."""
        rollouts = self._store.list_rollouts(endpoint=endpoint)
        return next((rollout for rollout in rollouts if rollout.state is RolloutState.RUNNING), None)

    def list_rollouts(self, endpoint: str | None = None) -> Sequence[Rollout]:
        """Return rollouts, newest first."""
        return self._store.list_rollouts(endpoint=endpoint)

    def report_status(self, status: EndpointStatus) -> None:
        """Keep what a model server says of itself."""
        self._store.put_status(status)

    def find_status(self, name: str) -> EndpointStatus | None:
        """Return the newest report of an endpoint's process, None when it never reported."""
        return self._store.find_status(name)

    def status(self, name: str) -> EndpointStatus:
        """Return the newest report of an endpoint's process.

        Raises:
            NotFound: it never reported, or there is no such endpoint.
        """
        found = self.find_status(self.get(name).name)
        if found is None:
            raise NotFound(f"the model server of '{name}' has not reported yet; is `flyball up` running?", field=name)
        return found

    def _end(self, rollout: Rollout, state: RolloutState, *, actor: str, reason: str) -> Rollout:
        now, before = self._clock.now_ms(), self.get(rollout.endpoint)
        ended = dataclasses.replace(rollout, state=state, reason=reason, ended_ms=now)
        if state is RolloutState.PROMOTED:
            kind = DeploymentEvent.ROLLOUT_PROMOTED
            after = transitions.crown(before, rollout.challenger, actor=actor, now_ms=now)
        else:
            kind = DeploymentEvent.ROLLOUT_ROLLED_BACK
            after = transitions.end_canary(before, now_ms=now)
        with self._database.transaction():
            self._store.swap_rollout(ended, expected_looks=rollout.looks)
            self._store.swap_endpoint(after, expected_generation=before.generation)
            self._record_rollout(kind, ended, after, actor=actor, edges=(serves(after),))
        return ended

    def _keep(self, endpoint: Endpoint, kind: DeploymentEvent, *, actor: str, reason: str = "") -> Endpoint:
        with self._database.transaction():
            self._store.swap_endpoint(endpoint, expected_generation=endpoint.generation - 1)
            self._record(kind, endpoint, actor=actor, edges=(serves(endpoint),), reason=reason)
        return endpoint

    def _set_state(self, endpoint: Endpoint, state: EndpointState, *, actor: str) -> Endpoint:
        if endpoint.state is state:
            return endpoint
        stopped = state is EndpointState.STOPPED
        kind = DeploymentEvent.ENDPOINT_STOPPED if stopped else DeploymentEvent.ENDPOINT_RESUMED
        return self._keep(transitions.set_state(endpoint, state, now_ms=self._clock.now_ms()), kind, actor=actor)

    def _record(
        self, kind: DeploymentEvent, endpoint: Endpoint, *, actor: str, edges: Iterable[Edge], reason: str = ""
    ) -> None:
        payload = describe_endpoint(endpoint) | ({"reason": reason} if reason else {})
        self._events.record(kind, actor=actor, subject=ref("endpoint", endpoint.name), payload=payload, edges=edges)

    def _record_rollout(
        self, kind: DeploymentEvent, rollout: Rollout, endpoint: Endpoint, *, actor: str, edges: Iterable[Edge]
    ) -> None:
        payload = describe_rollout(rollout) | {"routing": describe_endpoint(endpoint)}
        self._events.record(kind, actor=actor, subject=ref("rollout", rollout.id), payload=payload, edges=edges)
