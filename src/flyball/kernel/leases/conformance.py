"""The promises of the lease store; a store passes by subclassing, with a fresh `store` on the fixture `clock`."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Conflict, LeaseLost
from flyball.kernel.leases.entities import Lease
from flyball.kernel.leases.ports import LeaseStore

TTL_MS = 1_000
NAME = "run/1"
RIVALS = 8


def take(store: LeaseStore, holder: str = "a", *, name: str = NAME) -> Lease:
    """Take a lease of the usual length."""
    return store.acquire(name, holder=holder, ttl_ms=TTL_MS)


class LeaseStoreConformance:
    """What every lease store promises."""

    def test_a_free_name_is_taken(self, store: LeaseStore, clock: ManualClock) -> None:
        lease = take(store)
        assert lease == Lease(name=NAME, holder="a", token=1, expires_ms=clock.now_ms() + TTL_MS)
        assert store.find(NAME) == lease

    def test_a_held_name_is_refused_and_the_holder_named(self, store: LeaseStore) -> None:
        take(store)
        with pytest.raises(Conflict, match="'run/1' is held by a until"):
            take(store, "b")
        with pytest.raises(Conflict):
            take(store, "a")

    def test_names_do_not_know_each_other(self, store: LeaseStore) -> None:
        assert take(store).token == take(store, "b", name="run/2").token == 1

    def test_a_released_name_is_free_and_its_token_grows(self, store: LeaseStore) -> None:
        lease = take(store)
        store.release(lease)
        assert store.find(NAME) is None
        assert take(store, "b").token == lease.token + 1

    def test_a_lease_ends_at_its_expiry(self, store: LeaseStore, clock: ManualClock) -> None:
        lease = take(store)
        clock.advance(TTL_MS - 1)
        store.fence(lease)
        clock.advance(1)
        assert store.find(NAME) is None
        with pytest.raises(LeaseLost, match="a lost the lease on 'run/1'"):
            store.fence(lease)

    def test_an_expired_name_is_taken_over_with_a_greater_token(self, store: LeaseStore, clock: ManualClock) -> None:
        late = take(store)
        clock.advance(TTL_MS)
        assert take(store, "b").token == late.token + 1

    def test_a_late_holder_can_neither_write_nor_renew_nor_release(self, store: LeaseStore, clock: ManualClock) -> None:
        late = take(store)
        clock.advance(TTL_MS)
        present = take(store, "b")
        with pytest.raises(LeaseLost):
            store.fence(late)
        with pytest.raises(LeaseLost):
            store.renew(late, ttl_ms=TTL_MS)
        store.release(late)
        assert store.find(NAME) == present

    def test_an_expired_lease_cannot_be_renewed_although_nobody_took_it(
        self, store: LeaseStore, clock: ManualClock
    ) -> None:
        lease = take(store)
        clock.advance(TTL_MS)
        with pytest.raises(LeaseLost):
            store.renew(lease, ttl_ms=TTL_MS)

    def test_renewing_prolongs_and_keeps_the_token(self, store: LeaseStore, clock: ManualClock) -> None:
        lease = take(store)
        clock.advance(TTL_MS - 1)
        renewed = store.renew(lease, ttl_ms=TTL_MS)
        assert (renewed.token, renewed.expires_ms) == (lease.token, clock.now_ms() + TTL_MS)
        clock.advance(TTL_MS - 1)
        store.fence(lease)
        assert store.find(NAME) == renewed

    def test_releasing_twice_is_releasing_once(self, store: LeaseStore) -> None:
        lease = take(store)
        store.release(lease)
        store.release(lease)
        with pytest.raises(LeaseLost):
            store.fence(lease)

    def test_a_sweep_takes_the_expired_and_returns_each_once(self, store: LeaseStore, clock: ManualClock) -> None:
        expired = take(store)
        clock.advance(TTL_MS)
        alive = take(store, "b", name="run/2")
        assert store.sweep() == [expired]
        assert store.sweep() == []
        assert store.find("run/2") == alive

    def test_a_released_lease_is_not_swept(self, store: LeaseStore, clock: ManualClock) -> None:
        store.release(take(store))
        clock.advance(TTL_MS)
        assert store.sweep() == []

    def test_a_swept_holder_is_lost_and_the_token_grows(self, store: LeaseStore, clock: ManualClock) -> None:
        late = take(store)
        clock.advance(TTL_MS)
        store.sweep()
        with pytest.raises(LeaseLost):
            store.fence(late)
        assert take(store, "b").token == late.token + 1

    def test_of_many_who_compete_for_a_new_name_one_wins(self, store: LeaseStore) -> None:
        assert self._compete(store) == [1]

    def test_of_many_who_compete_for_an_expired_name_one_wins(self, store: LeaseStore, clock: ManualClock) -> None:
        take(store)
        clock.advance(TTL_MS)
        assert self._compete(store) == [2]

    def test_of_many_sweeps_at_once_one_returns_a_lease(self, store: LeaseStore, clock: ManualClock) -> None:
        expired = [take(store, name=f"run/{number}") for number in range(RIVALS)]
        clock.advance(TTL_MS)
        swept: list[Lease] = []
        _together(lambda _: swept.extend(store.sweep()))
        assert sorted(swept, key=lambda lease: lease.name) == expired

    def _compete(self, store: LeaseStore) -> list[int]:
        won: list[int] = []

        def rival(number: int) -> None:
            try:
                won.append(take(store, f"rival-{number}").token)
            except Conflict:
                return

        _together(rival)
        return won


def _together(work: Callable[[int], object]) -> None:
    barrier = threading.Barrier(RIVALS)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
