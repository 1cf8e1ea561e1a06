"""Who is meant by a matcher, and which silence an alert is under."""

from __future__ import annotations

import pytest
from tests.unit.monitoring.sinks.conftest import OWNER, Telling

from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.monitoring.alerts.matching import Matcher, concerns, covers
from flyball.monitoring.alerts.silences import LONGEST_MS, silence_of
from flyball.monitoring.entities import Cause
from flyball.monitoring.sinks.conformance import an_alert

HOUR = 3_600_000


def _cause(feature: str) -> Cause:
    return Cause(feature=feature, kind="drift", score=1.0, detail="far")


def test_everything_that_is_given_must_fit() -> None:
    alert = an_alert("price", monitor="m[1]", endpoint="live")
    assert covers(Matcher(), alert)
    assert covers(Matcher(monitor="m[1]", endpoint="li*", kind="data_fault", model="*", feature="pri*"), alert)
    assert not covers(Matcher(monitor="m1", endpoint="live"), alert)
    assert not covers(Matcher(endpoint="liv?"), alert)


def test_a_feature_concerns_a_route_by_any_cause_and_a_silence_by_all() -> None:
    alert = an_alert(causes=(_cause("a"), _cause("b"), _cause("")))
    assert concerns(Matcher(feature="b"), alert)
    assert not covers(Matcher(feature="b"), alert)
    assert covers(Matcher(feature="*"), alert)
    assert not covers(Matcher(feature="*"), an_alert(causes=(_cause(""),)))


def test_an_alert_is_under_the_silence_that_lasts_longest_until_it_expires(telling: Telling) -> None:
    now = telling.clock.now_ms()
    for hours, matcher in ((1, Matcher(monitor="*")), (3, Matcher(endpoint="live")), (9, Matcher(endpoint="other"))):
        telling.silences.add(matcher, start_ms=None, end_ms=now + hours * HOUR, reason="r", actor=OWNER)
    found = silence_of(an_alert(), telling.silences.active())
    assert found is not None
    assert (found.end_ms, found.author, found.reason) == (now + 3 * HOUR, OWNER, "r")
    telling.clock.advance(3 * HOUR)
    assert silence_of(an_alert(), telling.silences.active()) is None
    assert len(telling.silences.list()) == 1
    assert len(telling.silences.list(everything=True)) == 3


def test_a_silence_may_begin_later(telling: Telling) -> None:
    now = telling.clock.now_ms()
    made = telling.silences.add(
        Matcher(monitor="*"), start_ms=now + HOUR, end_ms=now + 2 * HOUR, reason="r", actor=OWNER
    )
    assert (telling.silences.state(made), telling.silences.active()) == ("pending", [])
    telling.clock.advance(HOUR)
    assert telling.silences.active() == [made]
    telling.clock.advance(HOUR)
    assert telling.silences.state(made) == "over"


def test_a_silence_ends_once(telling: Telling) -> None:
    end_ms = telling.clock.now_ms() + HOUR
    made = telling.silences.add(Matcher(monitor="*"), start_ms=None, end_ms=end_ms, reason="r", actor=OWNER)
    assert telling.silences.end(made.id, actor="user:ann").ended_by == "user:ann"
    with pytest.raises(Conflict, match="over already"):
        telling.silences.end(made.id, actor="user:ann")
    with pytest.raises(NotFound):
        telling.silences.end("x", actor="user:ann")


@pytest.mark.parametrize(
    ("matcher", "start", "end", "reason", "field"),
    [
        (Matcher(), None, HOUR, "r", "monitor"),
        (Matcher(kind="nonsense"), None, HOUR, "r", "kind"),
        (Matcher(monitor="*"), None, HOUR, " ", "reason"),
        (Matcher(monitor="*"), None, -1, "r", "end_ms"),
        (Matcher(monitor="*"), 2 * HOUR, HOUR, "r", "end_ms"),
        (Matcher(monitor="*"), None, LONGEST_MS + 1, "r", "end_ms"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(
    telling: Telling, matcher: Matcher, start: int | None, end: int, reason: str, field: str
) -> None:
    now = telling.clock.now_ms()
    with pytest.raises(InvalidInput) as refused:
        telling.silences.add(
            matcher, start_ms=None if start is None else now + start, end_ms=now + end, reason=reason, actor=OWNER
        )
    assert refused.value.field == field
    assert telling.silences.list(everything=True) == []
