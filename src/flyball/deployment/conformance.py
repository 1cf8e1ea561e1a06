"""The promises of the ports of deployment, as a pytest class; a store passes it, or is none."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from flyball.deployment.entities import (
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
    Verdict,
    VerdictKind,
)
from flyball.deployment.ports import DeploymentStore
from flyball.kernel.errors import AlreadyExists, Conflict
from flyball.kernel.ids import new_id
from flyball.measures.sequential import Difference


def an_endpoint(name: str = "elec2") -> Endpoint:
    """Return an endpoint with everything that can vary filled in."""
    return Endpoint(
        name=name,
        model="elec2",
        generation=3,
        routes=(
            Route(version=2, share=0.9, role=Role.CHAMPION),
            Route(version=3, share=0.1, role=Role.CANARY),
            Route(version=4, share=1.0, role=Role.SHADOW),
        ),
        previous=(Route(version=1, share=1.0, role=Role.CHAMPION),),
        salt="salt",
        state=EndpointState.ACTIVE,
        changed_by="user:owner",
        created_ms=1_700_000_000_000,
        updated_ms=1_700_000_000_001,
    )


def a_rollout(endpoint: str = "elec2") -> Rollout:
    """Return a running rollout that was never looked at."""
    return Rollout(
        id=RolloutId(new_id()),
        endpoint=endpoint,
        champion=2,
        challenger=3,
        share=0.1,
        stop_rule=StopRule(metric="accuracy", alpha=0.05, margin=0.02, min_rows=100, max_rows=1000),
        state=RolloutState.RUNNING,
        champion_outcomes=Outcomes(hits=0, rows=0),
        challenger_outcomes=Outcomes(hits=0, rows=0),
        looks=0,
        verdict=None,
        reason="",
        started_by="service:loop",
        created_ms=1_700_000_000_000,
        ended_ms=None,
    )


class DeploymentStoreConformance:
    """Derive from it and give a fixture `store`."""

    def test_an_endpoint_comes_back_as_it_was_kept(self, store: DeploymentStore) -> None:
        store.add_endpoint(an_endpoint())
        assert store.find_endpoint("elec2") == an_endpoint()

    def test_an_unknown_endpoint_is_none(self, store: DeploymentStore) -> None:
        assert store.find_endpoint("nobody") is None

    def test_a_name_is_taken_once(self, store: DeploymentStore) -> None:
        store.add_endpoint(an_endpoint())
        with pytest.raises(AlreadyExists):
            store.add_endpoint(an_endpoint())

    def test_endpoints_are_listed_by_name(self, store: DeploymentStore) -> None:
        for name in ("b", "c", "a"):
            store.add_endpoint(an_endpoint(name))
        assert [endpoint.name for endpoint in store.list_endpoints()] == ["a", "b", "c"]

    def test_a_swap_from_an_old_generation_changes_nothing(self, store: DeploymentStore) -> None:
        store.add_endpoint(an_endpoint())
        newer = dataclasses.replace(an_endpoint(), generation=4)
        store.swap_endpoint(newer, expected_generation=3)
        with pytest.raises(Conflict):
            store.swap_endpoint(dataclasses.replace(newer, salt="late"), expected_generation=3)
        assert store.find_endpoint("elec2") == newer

    def test_of_many_swaps_at_once_one_wins(self, store: DeploymentStore) -> None:
        store.add_endpoint(an_endpoint())
        won: list[str] = []

        def swap(salt: str) -> None:
            changed = dataclasses.replace(an_endpoint(), generation=4, salt=salt)
            try:
                store.swap_endpoint(changed, expected_generation=3)
                won.append(salt)
            except Conflict:
                return

        threads = [threading.Thread(target=swap, args=(str(i),)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = store.find_endpoint("elec2")
        assert found is not None
        assert [found.salt] == won

    def test_a_rollout_comes_back_as_it_was_kept(self, store: DeploymentStore) -> None:
        rollout = a_rollout()
        store.add_rollout(rollout)
        verdict = Verdict(
            kind=VerdictKind.STOP,
            reason="worse",
            difference=Difference(estimate=-0.25, lower=-1.0, upper=-0.125, alpha=0.05),
        )
        looked = dataclasses.replace(
            rollout,
            looks=1,
            verdict=verdict,
            champion_outcomes=Outcomes(hits=9, rows=10),
            state=RolloutState.ROLLED_BACK,
            ended_ms=1_700_000_000_009,
        )
        store.swap_rollout(looked, expected_looks=0)
        assert store.find_rollout(rollout.id) == looked

    def test_a_rollout_that_ended_is_final(self, store: DeploymentStore) -> None:
        rollout = a_rollout()
        store.add_rollout(rollout)
        ended = dataclasses.replace(rollout, state=RolloutState.ROLLED_BACK)
        store.swap_rollout(ended, expected_looks=0)
        with pytest.raises(Conflict):
            store.swap_rollout(dataclasses.replace(rollout, state=RolloutState.PROMOTED), expected_looks=0)
        assert store.find_rollout(rollout.id) == ended

    def test_two_looks_at_one_moment_count_once(self, store: DeploymentStore) -> None:
        rollout = a_rollout()
        store.add_rollout(rollout)
        store.swap_rollout(dataclasses.replace(rollout, looks=1), expected_looks=0)
        with pytest.raises(Conflict):
            store.swap_rollout(dataclasses.replace(rollout, looks=1, reason="late"), expected_looks=0)

    def test_rollouts_are_listed_newest_first_and_by_endpoint(self, store: DeploymentStore) -> None:
        one, two, other = a_rollout(), a_rollout(), a_rollout("other")
        for rollout in (one, two, other):
            store.add_rollout(rollout)
        assert store.list_rollouts() == [other, two, one]
        assert store.list_rollouts(endpoint="elec2") == [two, one]
        assert store.find_rollout(RolloutId("nobody")) is None

    def test_the_newest_report_stays(self, store: DeploymentStore) -> None:
        new = EndpointStatus(
            endpoint="elec2", generation=2, url="http://127.0.0.1:1", pid=7, heartbeat_ms=20, loaded=(1, 2), error=""
        )
        assert store.find_status("elec2") is None
        store.put_status(dataclasses.replace(new, heartbeat_ms=10, error="starting"))
        store.put_status(new)
        store.put_status(dataclasses.replace(new, heartbeat_ms=15, error="late"))
        assert store.find_status("elec2") == new
