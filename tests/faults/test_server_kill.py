"""The server is killed at any moment under load, a hundred times: nothing acknowledged is lost, nothing is there by half."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from tests.faults.server_load import Load, RunNotes, check
from tests.faults.servers import PATIENCE_S, Servers, kill

SEEDS = range(100)
GROUP = 20
# From the first acknowledged write to the kill.
LONGEST_S = 0.25


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(tmp_path_factory.mktemp("killed"))
    yield made
    made.close()


def killed_under_load(servers: Servers, pid: int, seed: int) -> list[RunNotes]:
    """Put load on a server and kill it in the middle; return what the clients noted."""
    load = Load(servers.url, servers.token())
    assert load.first.wait(PATIENCE_S)
    time.sleep(random.Random(seed).uniform(0, LONGEST_S))
    kill(pid)
    load.join()
    return load.notes


@pytest.mark.parametrize("first", SEEDS[::GROUP])
def test_a_server_killed_under_load_loses_nothing_acknowledged_and_leaves_a_chain_that_verifies(
    servers: Servers, first: int
) -> None:
    pid = servers.start()
    noted: list[RunNotes] = []
    before = servers.verify()
    for seed in range(first, first + GROUP):
        notes = killed_under_load(servers, pid, seed)
        noted += notes
        pid = servers.start()
        api = servers.api()
        for run in notes:
            check(api, run)
        after = servers.verify()
        assert after >= before + len(notes)  # each run that was made has its event
        before = after
    api = servers.api()
    for run in noted:
        check(api, run)
    kill(pid)
    assert sum(len(run.done) for run in noted) > GROUP
