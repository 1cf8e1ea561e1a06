"""Requests: open them under the loop's limits, and move them from state to state, each move one event."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events import Edge, EventLog, Ref, ref
from flyball.kernel.ids import new_id
from flyball.kernel.leases import Lease, LeaseStore
from flyball.retraining.entities import FINAL, Origin, Request, RequestState, RetrainingEvent
from flyball.retraining.loops import Loop, parse_dataset_name, parse_loop
from flyball.retraining.ports import RequestStore

LOOP_ACTOR = "service:loop"
_RUNNING = frozenset(RequestState) - FINAL


class Requests:
    """The loops and their requests."""

    def __init__(
        self, store: RequestStore, *, leases: LeaseStore, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._store = store
        self._leases = leases
        self._events = events
        self._clock = clock
        self._database = database

    def put_loop(self, text: str, *, actor: str) -> Loop:
        """Set a loop from its file.

        Raises:
            InvalidInput: the file says something a loop cannot be; `field` names it.
            Conflict: a request is under way, and the file is about another endpoint, model or monitor than it.
        """
        loop = parse_loop(text)
        with self._database.transaction():
            self._refuse_other_subject(loop)
            self._store.put_loop(loop.loop, text, now_ms=self._clock.now_ms())
            self._events.record(
                RetrainingEvent.LOOP_SET,
                actor=actor,
                subject=ref("loop", loop.loop),
                payload={"document": text},
                edges=[Edge(subject=ref("loop", loop.loop), relation="guards", object=ref("endpoint", loop.endpoint))],
            )
        return loop

    def loop(self, name: str) -> Loop:
        """Return a loop.

        Raises:
            NotFound: there is none of that name.
        """
        text = self._store.find_loop(name)
        if text is None:
            raise NotFound(f"no loop '{name}'; loops: {', '.join(self._store.loops()) or 'none'}", field="loop")
        return parse_loop(text)

    def loops(self) -> list[Loop]:
        """Return every loop."""
        return [self.loop(name) for name in self._store.loops()]

    def get(self, request_id: str) -> Request:
        """Return a request.

        Raises:
            NotFound: there is none of that id.
        """
        found = self._store.find(request_id)
        if found is None:
            raise NotFound(f"no request '{request_id[:80]}'", field="request")
        return found

    def list(self, *, loop: str | None = None) -> list[Request]:
        """Return requests, newest first."""
        return self._store.list(loop=loop)

    def running(self, loop: str) -> Request | None:
        """Return the request of a loop that has not ended; there is one at most."""
        return next(iter(self._store.list(loop=loop, states=_RUNNING)), None)

    def open_by_alert(
        self, loop: Loop, *, alert_id: str, start_ms: int, end_ms: int, champion: int, lease: Lease
    ) -> Request:
        """Open a request because of an alert about a window.

        The lease keeps one window to one request: only its holder opens any, and it has seen those before.

        Raises:
            LeaseLost: another worker conducts this loop now; nothing is written.
            Conflict: the loop is busy with another request.
        """
        request = self._new(loop, origin=Origin.ALERT, requested_by=LOOP_ACTOR)
        request = dataclasses.replace(
            request, alert_id=alert_id, window_start_ms=start_ms, window_end_ms=end_ms, champion=champion
        )
        with self._database.transaction():
            self._leases.fence(lease)
            return self._open(request, causes=[ref("alert", alert_id)])

    def open_by_person(
        self,
        loop: Loop,
        *,
        version: int,
        training: str,
        holdout: str,
        champion: int | None,
        actor: str,
        recent: str = "",
    ) -> Request:
        """Open a person's request to promote a version that exists: it skips diagnosis and training, and no gate.

        Raises:
            InvalidInput: a dataset is not named as `<name>/<n>`.
            Conflict: the version is in charge already, or the loop is busy with another request.
        """
        for field, name in (("training", training), ("holdout", holdout), ("recent", recent)):
            if name or field != "recent":  # what a policy asks for on rows that are not given stays undecided
                parse_dataset_name(name, field=field)
        if version == champion:
            raise Conflict(f"version {version} is in charge of '{loop.endpoint}' already", field="version")
        request = self._new(loop, origin=Origin.PERSON, requested_by=actor)
        request = dataclasses.replace(
            request,
            state=RequestState.EVALUATING,
            challenger=version,
            champion=champion,
            training=training,
            holdout=holdout,
            recent=recent,
        )
        return self._open(request, causes=[ref("model-version", f"{loop.model}/{version}")])

    def move(
        self,
        request: Request,
        *,
        before: Request,
        lease: Lease,
        payload: dict[str, JsonValue],
        edges: Iterable[Edge] = (),
    ) -> Request:
        """Take a request to its next state, if its holder still may, and record why. Joins the caller's transaction.

        Raises:
            LeaseLost: another worker conducts this loop now; nothing is written.
            Conflict: the request moved meanwhile.
        """
        moved = dataclasses.replace(request, updated_ms=self._clock.now_ms())
        with self._database.transaction():
            self._leases.fence(lease)
            self._store.update(moved, expected=before.state)
            self._events.record(
                RetrainingEvent(f"request.{moved.state}"),
                actor=LOOP_ACTOR,
                subject=ref("request", moved.id),
                payload={"loop": moved.loop, "reason": moved.reason, **payload},
                edges=edges,
            )
        return moved

    def end(
        self,
        request: Request,
        state: RequestState,
        reason: str,
        *,
        lease: Lease,
        payload: dict[str, JsonValue] | None = None,
    ) -> Request:
        """Take a request to a final state, and say why; otherwise as `move`."""
        ended = dataclasses.replace(request, state=state, reason=reason)
        return self.move(ended, before=request, lease=lease, payload=payload or {})

    def fence(self, lease: Lease) -> None:
        """Stop a worker that another one has overtaken, inside the transaction that is about to write.

        Raises:
            LeaseLost: another worker conducts this loop now.
        """
        self._leases.fence(lease)

    def _new(self, loop: Loop, *, origin: Origin, requested_by: str) -> Request:
        now = self._clock.now_ms()
        return Request(
            id=new_id(),
            loop=loop.loop,
            origin=origin,
            state=RequestState.OPEN,
            requested_by=requested_by,
            created_ms=now,
            updated_ms=now,
        )

    def _refuse_other_subject(self, loop: Loop) -> None:
        running, text = self.running(loop.loop), self._store.find_loop(loop.loop)
        if running is None or text is None:
            return
        known = parse_loop(text)
        for field in ("endpoint", "model", "monitor"):
            if getattr(known, field) != getattr(loop, field):
                raise Conflict(
                    f"request {running.id} of loop '{loop.loop}' is about {field} '{getattr(known, field)}'; "
                    "wait until it has ended, or set a loop of another name",
                    field=field,
                )

    def _open(self, request: Request, *, causes: Sequence[Ref]) -> Request:
        subject = ref("request", request.id)
        with self._database.transaction():
            self._store.add(request)
            self._events.record(
                RetrainingEvent.OPENED,
                actor=request.requested_by,
                subject=subject,
                payload={"loop": request.loop, "origin": request.origin.value, "window_end_ms": request.window_end_ms},
                edges=[Edge(subject=subject, relation="caused-by", object=cause) for cause in causes],
            )
        return request
