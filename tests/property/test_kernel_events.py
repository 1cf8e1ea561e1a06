"""Laws of the chain: what is recorded verifies and survives an export, and no change to it goes unnoticed."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from flyball.kernel.clock import ManualClock
from flyball.kernel.events import Draft, Edge, Event, EventLog, Ref, export_events, parse_export, verify_chain
from flyball.kernel.events.memory import MemoryEventStore

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
REFS = NAMES.map(lambda name: Ref(f"thing:{name}"))
EDGES = st.builds(lambda s, r, o: Edge(subject=s, relation=r, object=o), REFS, NAMES, REFS)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | NAMES
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
DRAFTS = st.builds(
    Draft,
    time_ms=st.integers(0, 2**45),
    actor=NAMES,
    kind=NAMES,
    project=NAMES,
    subject=REFS,
    payload=st.dictionaries(NAMES, SCALARS | NUMBERS | st.lists(SCALARS | NUMBERS, max_size=3), max_size=3),
    edges=st.lists(EDGES, max_size=3).map(tuple),
)
CHAINS = st.lists(DRAFTS, min_size=1, max_size=6)


def recorded(drafts: list[Draft]) -> list[Event]:
    store = MemoryEventStore()
    for draft in drafts:
        store.append(draft)
    assert EventLog(store, ManualClock()).verify().intact
    return store.read(after=0, limit=len(drafts) + 1)


@given(CHAINS)
def test_an_export_is_read_back_as_it_was(drafts: list[Draft]) -> None:
    events = recorded(drafts)
    assert list(parse_export(export_events(events))) == events


@given(CHAINS, st.data())
def test_an_event_taken_away_before_the_last_is_found_at_its_place(drafts: list[Draft], data: st.DataObject) -> None:
    events = recorded(drafts)
    gone = data.draw(st.integers(0, len(events) - 1))
    rest = events[:gone] + events[gone + 1 :]
    found = verify_chain(rest, witness=events[-1].digest)
    assert not found.intact
    assert found.first_bad == gone + 1


@given(CHAINS, DRAFTS, st.data())
def test_an_edited_field_is_found_at_its_place(drafts: list[Draft], other: Draft, data: st.DataObject) -> None:
    events = recorded(drafts)
    place = data.draw(st.integers(0, len(events) - 1))
    field = data.draw(st.sampled_from(["time_ms", "actor", "kind", "project", "subject", "payload", "edges"]))
    changed = {field: getattr(other, field)}
    edited = dataclasses.replace(events[place], **changed)
    found = verify_chain([*events[:place], edited, *events[place + 1 :]])
    assert found.intact == (edited == events[place])
    assert found.first_bad == (None if found.intact else place + 1)


@given(CHAINS, st.data())
def test_two_events_that_changed_places_are_found(drafts: list[Draft], data: st.DataObject) -> None:
    events = recorded(drafts)
    one = data.draw(st.integers(0, len(events) - 1))
    two = data.draw(st.integers(0, len(events) - 1))
    moved = list(events)
    moved[one], moved[two] = moved[two], moved[one]
    found = verify_chain(moved)
    assert found.intact == (one == two)
    assert found.first_bad == (None if one == two else min(one, two) + 1)
