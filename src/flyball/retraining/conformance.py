"""The promises of the request store, as a pytest class; a store passes it, or is none."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from functools import partial

import pytest

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, FlyballError
from flyball.kernel.ids import new_id
from flyball.retraining.entities import FINAL, Cause, Origin, Request, RequestState
from flyball.retraining.ports import RequestStore

RIVALS = 6


def a_request(loop: str = "churn", *, state: RequestState = RequestState.OPEN) -> Request:
    """Return a request with everything that can vary filled in."""
    return Request(
        id=new_id(),
        loop=loop,
        origin=Origin.ALERT,
        state=state,
        requested_by="service:loop",
        created_ms=1_700_000_000_000,
        updated_ms=1_700_000_000_001,
        alert_id=new_id(),
        window_start_ms=1_600_000_000_000,
        window_end_ms=1_600_600_000_000,
        cause=Cause.CONCEPT_DRIFT,
        reason="accuracy is surely below the baseline",
        training="churn-training/3",
        holdout="churn-holdout/3",
        recent="churn-recent/3",
        pipeline_run_id=new_id(),
        champion=1,
        challenger=2,
        decision_id=new_id(),
        approval_id=new_id(),
        rollout_id=new_id(),
        canary_from_ms=1_600_700_000_000,
    )


def a_bare_request(loop: str = "churn") -> Request:
    """Return a request of which nothing is known yet."""
    return Request(
        id=new_id(),
        loop=loop,
        origin=Origin.PERSON,
        state=RequestState.OPEN,
        requested_by="user:engineer",
        created_ms=1,
        updated_ms=1,
    )


class RequestStoreConformance:
    """Derive from it and give the fixtures `store` and `database`."""

    def test_a_loop_comes_back_to_the_letter(self, store: RequestStore) -> None:
        store.put_loop("churn", "loop: churn  # \u00e9\n", now_ms=1)
        assert store.find_loop("churn") == "loop: churn  # \u00e9\n"

    def test_a_loop_is_replaced_by_one_of_its_name(self, store: RequestStore) -> None:
        store.put_loop("churn", "old", now_ms=1)
        store.put_loop("churn", "new", now_ms=2)
        assert (store.find_loop("churn"), store.loops()) == ("new", ["churn"])

    def test_loops_are_sorted_and_an_unknown_one_is_none(self, store: RequestStore) -> None:
        for name in ("b", "a", "c"):
            store.put_loop(name, name, now_ms=1)
        assert store.loops() == ["a", "b", "c"]
        assert store.find_loop("d") is None

    @pytest.mark.parametrize("make", [a_request, a_bare_request])
    def test_a_request_comes_back_as_it_was_kept(self, store: RequestStore, make: Callable[[], Request]) -> None:
        request = make()
        store.add(request)
        assert store.find(request.id) == request

    def test_an_unknown_request_is_none(self, store: RequestStore) -> None:
        assert store.find("nothing") is None

    def test_a_loop_has_one_request_that_has_not_ended(self, store: RequestStore) -> None:
        store.add(a_request())
        with pytest.raises(Conflict, match="'churn' is busy"):
            store.add(a_request())
        store.add(a_request("other"))

    @pytest.mark.parametrize("state", sorted(FINAL))
    def test_a_request_that_has_ended_makes_room(self, store: RequestStore, state: RequestState) -> None:
        first = a_request()
        store.add(first)
        store.update(dataclasses.replace(first, state=state), expected=RequestState.OPEN)
        second = a_request()
        store.add(second)
        assert store.list(loop="churn") == [second, dataclasses.replace(first, state=state)]

    @pytest.mark.parametrize("state", sorted(set(RequestState) - FINAL))
    def test_every_state_on_the_way_keeps_the_loop_busy(self, store: RequestStore, state: RequestState) -> None:
        store.add(a_request(state=state))
        with pytest.raises(Conflict):
            store.add(a_request())

    def test_an_update_replaces_all_of_a_request(self, store: RequestStore) -> None:
        bare = a_bare_request()
        store.add(bare)
        moved = dataclasses.replace(a_request(), id=bare.id, state=RequestState.TRAINING)
        store.update(moved, expected=RequestState.OPEN)
        assert store.find(bare.id) == moved

    def test_an_update_from_another_state_changes_nothing(self, store: RequestStore) -> None:
        request = a_request(state=RequestState.TRAINING)
        store.add(request)
        with pytest.raises(Conflict, match="is no longer open"):
            store.update(dataclasses.replace(request, state=RequestState.REFUSED), expected=RequestState.OPEN)
        assert store.find(request.id) == request

    def test_requests_are_listed_newest_first_by_loop_and_state(self, store: RequestStore) -> None:
        ended = [a_request(state=state) for state in (RequestState.REFUSED, RequestState.PROMOTED)]
        running, other = a_request(state=RequestState.CANARY), a_request("other")
        for request in (*ended, running, other):
            store.add(request)
        assert store.list() == [other, running, ended[1], ended[0]]
        assert store.list(loop="churn") == [running, ended[1], ended[0]]
        assert store.list(loop="churn", states={RequestState.PROMOTED, RequestState.CANARY}) == [running, ended[1]]
        assert store.list(states={RequestState.FAILED}) == []

    def test_a_verb_joins_the_callers_transaction(self, store: RequestStore, database: Database) -> None:
        request = a_request()

        def change_and_fail() -> None:
            with database.transaction():
                store.put_loop("churn", "text", now_ms=1)
                store.add(request)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            change_and_fail()
        assert store.find(request.id) is None
        assert store.find_loop("churn") is None

    def test_of_many_who_open_a_request_one_succeeds(self, store: RequestStore) -> None:
        requests = [a_request() for _ in range(RIVALS)]
        refused = _together([partial(store.add, request) for request in requests])
        assert len(store.list(loop="churn")) == 1
        assert len(refused) == RIVALS - 1

    def test_of_many_who_move_a_request_one_succeeds(self, store: RequestStore) -> None:
        request = a_request()
        store.add(request)
        moved = [
            dataclasses.replace(request, state=RequestState.TRAINING, pipeline_run_id=new_id()) for _ in range(RIVALS)
        ]
        refused = _together([partial(store.update, one, expected=RequestState.OPEN) for one in moved])
        assert store.find(request.id) in moved
        assert len(refused) == RIVALS - 1

    def test_of_many_who_set_a_new_loop_the_text_of_one_stands(self, store: RequestStore) -> None:
        texts = [f"text {number}" for number in range(RIVALS)]
        refused = _together([partial(store.put_loop, "churn", text, now_ms=1) for text in texts])
        assert store.find_loop("churn") in texts
        assert len(refused) < RIVALS


def _together(works: list[Callable[[], None]]) -> list[FlyballError]:
    """Do everything at the same moment, and return what was refused."""
    barrier = threading.Barrier(len(works))
    refused: list[FlyballError] = []

    def run(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused
