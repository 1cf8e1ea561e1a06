"""Two changes at once, on both databases: one wins, the other is told, nothing is lost."""

from __future__ import annotations

import threading

import pytest

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.registry import Registry

OWNER = "user:owner"


@pytest.fixture
def room_database(database: Database) -> Database:
    return database


def test_an_alias_moved_twice_at_once_has_one_winner(elec: Registry, source: str) -> None:
    for _ in range(6):
        elec.create_version("elec", source=source, actor=OWNER)
    elec.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    gate = threading.Barrier(6)
    outcomes: dict[int, str] = {}

    def move(to: int) -> None:
        gate.wait()
        try:
            elec.set_alias("elec", "champion", to, expected=1, actor=OWNER)
            outcomes[to] = "moved"
        except Conflict:
            outcomes[to] = "conflict"

    movers = [threading.Thread(target=move, args=(to,)) for to in range(2, 8)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert sorted(outcomes.values()) == ["conflict"] * 5 + ["moved"]
    assert outcomes[elec.version_by_alias("elec", "champion").version] == "moved"


def test_versions_created_at_once_get_different_numbers(elec: Registry, source: str) -> None:
    numbers: list[int] = []

    def create() -> None:
        numbers.append(elec.create_version("elec", source=source, actor=OWNER).version)

    makers = [threading.Thread(target=create) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert sorted(numbers) == list(range(3, 11))
