from __future__ import annotations

from dataclasses import replace

from tests.unit.monitoring.conftest import World

from flyball.deployment.entities import Endpoint, EndpointState, Role, Route


def _endpoint(name: str, model: str = "model") -> Endpoint:
    return Endpoint(
        name=name,
        model=model,
        generation=1,
        routes=(Route(version=1, share=1.0, role=Role.CHAMPION),),
        previous=(),
        salt="s",
        state=EndpointState.ACTIVE,
        changed_by="user:tester",
        created_ms=0,
        updated_ms=0,
    )


def test_an_endpoint_is_unmonitored_until_a_monitor_watches_its_model_there(world: World) -> None:
    live, other = _endpoint("live"), _endpoint("other")
    assert world.monitors.unmonitored([live, other]) == (live, other)
    world.set_monitor()
    assert world.monitors.unmonitored([live, other]) == (other,)
    assert world.monitors.unmonitored([_endpoint("live", model="another")]) == (_endpoint("live", model="another"),)


def test_an_endpoint_that_is_stopped_answers_nobody(world: World) -> None:
    assert world.monitors.unmonitored([replace(_endpoint("live"), state=EndpointState.STOPPED)]) == ()
