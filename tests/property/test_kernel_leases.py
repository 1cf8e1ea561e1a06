"""The lease store on a database does what the one in memory does, whatever is done to both."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import ErrorCode, FlyballError
from flyball.kernel.leases import Lease, LeaseStore
from flyball.kernel.leases.memory import MemoryLeaseStore
from flyball.kernel.leases.sql import SqlLeaseStore

HOLDERS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["one", "two"])
TTLS = st.integers(1, 20)
STEPS = st.lists(
    st.tuples(st.just("acquire"), NAMES, HOLDERS, TTLS)
    | st.tuples(st.sampled_from(["renew", "fence", "release"]), NAMES, st.integers(0, 5), TTLS)
    | st.tuples(st.sampled_from(["sweep", "find"]), NAMES, st.just(0), TTLS)
    | st.tuples(st.just("advance"), NAMES, st.just(0), TTLS),
    max_size=25,
)
Outcome = Lease | list[Lease] | ErrorCode | None
numbers = itertools.count()


@pytest.fixture(scope="module")
def database(sqlite_template: Path) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copy(sqlite_template, folder)
        with contextlib.closing(open_database(f"sqlite:///{path}")) as opened:
            yield opened


class Bench:
    """A store, and the leases it gave out so far."""

    def __init__(self, store: LeaseStore) -> None:
        self.store = store
        self.given: list[Lease] = []

    def do(self, verb: str, name: str, which: str | int, ttl_ms: int) -> Outcome:
        try:
            return self._try(verb, name, which, ttl_ms)
        except FlyballError as error:
            return error.code

    def _try(self, verb: str, name: str, which: str | int, ttl_ms: int) -> Outcome:
        if verb == "acquire":
            self.given.append(self.store.acquire(name, holder=str(which), ttl_ms=ttl_ms))
            return self.given[-1]
        if verb == "find":
            return self.store.find(name)
        if verb == "sweep":
            return sorted(self.store.sweep(), key=lambda lease: lease.name)
        if not self.given:
            return None
        lease = self.given[int(which) % len(self.given)]
        if verb == "renew":
            return self.store.renew(lease, ttl_ms=ttl_ms)
        act: Callable[[Lease], None] = self.store.fence if verb == "fence" else self.store.release
        act(lease)
        return None


@settings(deadline=None)
@given(steps=STEPS)
def test_both_stores_give_the_same_answers(database: Database, steps: list[tuple[str, str, str | int, int]]) -> None:
    clock = ManualClock(next(numbers) * 10_000)  # far behind the leases of the examples before
    run = next(numbers)
    memory, sql = Bench(MemoryLeaseStore(clock)), Bench(SqlLeaseStore(database, clock))
    sql.store.sweep()
    for verb, name, which, ttl_ms in steps:
        if verb == "advance":
            clock.advance(ttl_ms)
            continue
        step = (verb, f"{run}/{name}", which, ttl_ms)
        assert sql.do(*step) == memory.do(*step)
