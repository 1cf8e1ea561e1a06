"""Silences: for a while, some alerts are not told to anybody outside; they fire, stand in the record and are shown as always."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.kernel.events import EventLog, Ref, ref
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.matching import Matcher, check_matcher, covers
from flyball.monitoring.alerts.ports import Release, SilenceStore
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import Alert, MonitoringEvent

REASON_CHARACTERS = 500
LONGEST_MS = 366 * 86_400_000


class SilenceState(StrEnum):
    """Where a silence stands in wall-clock time."""

    PENDING = "pending"
    ACTIVE = "active"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A matcher with a span of wall-clock time, start included, end not. It expires by itself."""

    id: str
    matcher: Matcher
    start_ms: int
    end_ms: int
    reason: str
    author: str
    created_ms: int
    ended_by: str = ""

    @property
    def ref(self) -> Ref:
        """Name this silence in events."""
        return ref("silence", self.id)

    def state(self, now_ms: int) -> SilenceState:
        """Return where it stands at a moment."""
        if now_ms < self.start_ms < self.end_ms:
            return SilenceState.PENDING
        return SilenceState.ACTIVE if self.start_ms <= now_ms < self.end_ms else SilenceState.OVER


class Silences:
    """The verbs of silences. `release` is told when one ends before its time, so that what waited for it goes out."""

    def __init__(
        self, store: SilenceStore, *, release: Release, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._store = store
        self._release = release
        self._events = events
        self._clock = clock
        self._database = database

    def add(self, matcher: Matcher, *, start_ms: int | None, end_ms: int, reason: str, actor: str) -> Silence:
        """Silence what a matcher covers, from now or from a moment on.

        Raises:
            InvalidInput: a matcher that says nothing, no reason, or a span that is over or longer than a year.
        """
        now_ms = self._clock.now_ms()
        begins_ms = now_ms if start_ms is None else start_ms
        _check(matcher, begins_ms, end_ms, reason=reason, now_ms=now_ms)
        silence = Silence(
            id=new_id(),
            matcher=matcher,
            start_ms=begins_ms,
            end_ms=end_ms,
            reason=reason.strip(),
            author=actor,
            created_ms=now_ms,
        )
        with self._database.transaction():
            self._store.add(silence)
            self._events.record(
                MonitoringEvent.SILENCE_SET,
                actor=actor,
                subject=silence.ref,
                payload={
                    "matcher": to_json(matcher),
                    "start_ms": begins_ms,
                    "end_ms": end_ms,
                    "reason": silence.reason,
                },
            )
        return silence

    def end(self, silence_id: str, *, actor: str) -> Silence:
        """End a silence before its time.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is over already.
        """
        with self._database.transaction():
            silence, now_ms = self.get(silence_id), self._clock.now_ms()
            if silence.state(now_ms) is SilenceState.OVER:
                raise Conflict(f"silence {silence_id} is over already", field="silence")
            ended = replace(silence, end_ms=now_ms, ended_by=actor)
            self._store.end(ended)
            self._release.release(now_ms=now_ms)
            self._events.record(
                MonitoringEvent.SILENCE_ENDED, actor=actor, subject=silence.ref, payload={"end_ms": now_ms}
            )
        return ended

    def get(self, silence_id: str) -> Silence:
        """Return a silence.

        Raises:
            NotFound: there is none of this id.
        """
        silence = self._store.find(silence_id) if "\x00" not in silence_id else None
        if silence is None:
            raise NotFound(f"there is no silence '{silence_id[:80]}'", field="silence")
        return silence

    def state(self, silence: Silence) -> SilenceState:
        """Return where a silence stands now."""
        return silence.state(self._clock.now_ms())

    def active(self) -> list[Silence]:
        """Return the silences that hold now."""
        now_ms = self._clock.now_ms()
        return [one for one in self._store.list(not_over_ms=now_ms) if one.state(now_ms) is SilenceState.ACTIVE]

    def list(self, *, everything: bool = False) -> list[Silence]:
        """Return silences that are not over, or all, newest first."""
        return self._store.list(not_over_ms=None if everything else self._clock.now_ms())


def silence_of(alert: Alert, silences: Iterable[Silence]) -> Silence | None:
    """Return the silence that an alert is under the longest, None when it is under none of them."""
    covering = [silence for silence in silences if covers(silence.matcher, alert)]
    return max(covering, key=lambda silence: silence.end_ms, default=None)


def _check(matcher: Matcher, start_ms: int, end_ms: int, *, reason: str, now_ms: int) -> None:
    check_matcher(matcher, field="")
    if not matcher.given:
        raise InvalidInput(
            "a silence says what it covers: monitor, endpoint, model, kind or feature (monitor '*' is everything)",
            field="monitor",
        )
    if not reason.strip() or len(reason) > REASON_CHARACTERS or "\x00" in reason:
        raise InvalidInput(f"a silence needs a reason, of at most {REASON_CHARACTERS} characters", field="reason")
    if end_ms <= max(start_ms, now_ms):
        raise InvalidInput("a silence ends after its start, and in the future", field="end_ms")
    if start_ms < 0 or end_ms - start_ms > LONGEST_MS:
        raise InvalidInput("a silence lasts at most 366 days; who needs no alert changes the monitor", field="end_ms")
