"""New versions are loaded and warmed before the switch; what fails leaves the old routing in place and is told."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest

from flyball.deployment.conformance import an_endpoint
from flyball.deployment.entities import Endpoint, EndpointStatus, Role, Route
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import InvalidInput, NotFound, Unavailable
from flyball.server.inference.warming import load_warm_model
from flyball.server.inference.watcher import HEARTBEAT_MS, RoutingWatcher
from flyball.serving.capture import PredictionBatch
from flyball.serving.capture_rules import KEEP_ALL, CaptureRules, Treatment
from flyball.serving.entities import ModelFolder
from flyball.serving.plane import DataPlane
from flyball.serving.requests import InferRequest
from flyball.serving.served_model import ServedModel
from flyball.serving.signature import NamedRows


class Capture:
    def offer(self, *batches: PredictionBatch) -> bool:
        return True


class World:
    """An endpoint, model folders by version, and all that the watcher did with them."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.plane = DataPlane("elec2", "power", capture=Capture(), clock=clock)
        self.endpoint = only(1)
        self.folders = {1: folder}
        self.fetched: list[int] = []
        self.loaded_before_switch: list[int] = []
        self.statuses: list[EndpointStatus] = []
        self.configured: list[tuple[CaptureRules, int]] = []
        self.away = False
        self.deaf = False
        self.watcher = RoutingWatcher(
            self.plane,
            current_routing=self.current_routing,
            fetch_model=self.fetch,
            report=self.report,
            load=self.load,
            clock=clock,
            poll_ms=5,
            url="http://127.0.0.1:1",
            pid=42,
            configure=self.configure,
        )

    def configure(self, rules: CaptureRules) -> None:
        self.configured.append((rules, self.plane.routing.generation if self.plane.ready else 0))

    def current_routing(self) -> Endpoint:
        if self.away:
            raise Unavailable("the database is out of reach")
        return self.endpoint

    def fetch(self, version: int) -> ModelFolder:
        self.fetched.append(version)
        if version not in self.folders:
            raise NotFound(f"no version {version}")
        return ModelFolder(path=self.folders[version], digest=str(version) * 64)

    def load(self, folder: ModelFolder) -> ServedModel:
        if self.plane.ready:
            self.loaded_before_switch.append(self.plane.routing.generation)
        return load_warm_model(folder.path, allow_pickle=False)

    def report(self, status: EndpointStatus) -> None:
        if self.deaf:
            raise Unavailable("nobody listens")
        self.statuses.append(status)

    @property
    def status(self) -> EndpointStatus:
        return self.statuses[-1]


def only(version: int, *, generation: int = 1, previous: int | None = None) -> Endpoint:
    return dataclasses.replace(
        an_endpoint(),
        generation=generation,
        routes=(Route(version=version, share=1.0, role=Role.CHAMPION),),
        previous=() if previous is None else (Route(version=previous, share=1.0, role=Role.CHAMPION),),
    )


def split(champion: int, canary: int, *, generation: int) -> Endpoint:
    routes = (
        Route(version=champion, share=0.5, role=Role.CHAMPION),
        Route(version=canary, share=0.5, role=Role.CANARY),
    )
    return dataclasses.replace(an_endpoint(), generation=generation, routes=routes, previous=())


@pytest.fixture
def world(linear_folder: Path, clock: ManualClock) -> World:
    made = World(linear_folder, clock)
    made.watcher.look()
    return made


def test_the_first_look_brings_the_champion_into_service(world: World) -> None:
    assert world.plane.routing.generation == 1
    assert world.status == EndpointStatus(
        endpoint="elec2",
        generation=1,
        url="http://127.0.0.1:1",
        pid=42,
        heartbeat_ms=world.clock.now_ms(),
        loaded=(1,),
        error="",
    )


def test_the_rules_of_a_generation_are_in_force_before_it_answers(world: World) -> None:
    hidden = CaptureRules(columns={"feature.price": Treatment.DROP})
    world.endpoint = dataclasses.replace(world.endpoint, generation=2, capture=hidden)
    world.watcher.look()
    assert world.configured == [(KEEP_ALL, 0), (hidden, 1)]


def test_a_new_generation_is_loaded_before_it_is_switched_to(world: World) -> None:
    world.folders[2] = world.folders[1]
    world.endpoint = split(1, 2, generation=2)
    world.watcher.look()
    assert world.fetched == [1, 2]
    assert world.loaded_before_switch == [1]
    assert (world.plane.routing.generation, sorted(world.plane.routing.versions)) == (2, [1, 2])
    assert (world.status.generation, world.status.loaded) == (2, (1, 2))


def test_requests_follow_the_shares_of_the_endpoint(world: World, frame: pd.DataFrame) -> None:
    world.folders[2] = world.folders[1]
    world.endpoint = split(1, 2, generation=2)
    world.watcher.look()
    rows = NamedRows(columns={str(name): frame[name].to_numpy()[:1] for name in frame.columns})
    answers = [world.plane.infer(InferRequest(rows=rows, sticky_key=str(i))) for i in range(200)]
    assert 60 < sum(answer.version == 2 for answer in answers) < 140
    assert {(answer.version, answer.role) for answer in answers} == {(1, "champion"), (2, "canary")}


def test_the_champion_before_stays_loaded_for_a_rollback_and_others_go(world: World) -> None:
    world.folders |= {2: world.folders[1], 3: world.folders[1]}
    world.endpoint = only(2, generation=2, previous=1)
    world.watcher.look()
    assert world.status.loaded == (1, 2)
    world.endpoint = only(1, generation=3, previous=2)
    world.watcher.look()
    assert world.fetched == [1, 2]
    world.endpoint = only(3, generation=4, previous=1)
    world.watcher.look()
    assert world.status.loaded == (1, 3)


def test_a_version_that_cannot_be_loaded_leaves_the_old_routing_and_is_told(world: World, tmp_path: Path) -> None:
    world.folders[2] = tmp_path  # no MLmodel file
    world.endpoint = only(2, generation=2)
    world.watcher.look()
    assert world.plane.routing.generation == 1
    assert (world.status.generation, world.status.loaded) == (1, (1,))
    assert world.status.error.startswith("version 2: ")
    assert "no MLmodel file" in world.status.error


def test_a_failed_version_is_tried_again_but_not_at_every_look(world: World, tmp_path: Path) -> None:
    world.folders[2] = tmp_path / "late"
    (tmp_path / "late").mkdir()
    world.endpoint = only(2, generation=2)
    for _ in range(10):
        world.watcher.look()
    assert world.fetched == [1, 2]
    shutil.copytree(world.folders[1], tmp_path / "late", dirs_exist_ok=True)
    world.clock.advance(1_000)
    world.watcher.look()
    assert world.fetched == [1, 2, 2]
    assert (world.plane.routing.generation, world.status.error) == (2, "")


def test_a_newer_generation_does_not_wait_for_the_failed_one(world: World, tmp_path: Path) -> None:
    world.folders |= {2: tmp_path, 3: world.folders[1]}
    world.endpoint = only(2, generation=2)
    world.watcher.look()
    world.endpoint = only(3, generation=3)
    world.watcher.look()
    assert (world.plane.routing.generation, world.status.error) == (3, "")


def test_a_broken_champion_before_does_not_stop_the_new_one(world: World) -> None:
    world.folders[2] = world.folders[1]
    world.endpoint = only(2, generation=2, previous=9)
    world.watcher.look()
    assert world.plane.routing.generation == 2
    assert world.status.error == "version 9: no version 9"


def test_a_store_that_is_away_stops_no_answers_and_is_told(world: World, frame: pd.DataFrame) -> None:
    world.away = True
    world.watcher.look()
    assert world.status.error == "the routing cannot be read: the database is out of reach"
    assert world.plane.ready
    world.away = False
    world.watcher.look()
    assert world.status.error == ""
    assert world.fetched == [1]


def test_the_inside_of_a_foreign_error_is_not_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_folder: Path) -> ServedModel:
        raise RuntimeError("secret path")

    monkeypatch.setattr(world.watcher, "_load", explode)
    world.folders[2] = world.folders[1]
    world.endpoint = only(2, generation=2)
    world.watcher.look()
    assert world.status.error == "version 2: RuntimeError, see the log of the endpoint"


def test_a_version_whose_signature_it_cannot_fulfil_is_not_switched_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: ServedModel) -> bool:
        raise InvalidInput("the model refuses these rows")

    monkeypatch.setattr(ServedModel, "warm_up", refuse)
    world.folders[2] = world.folders[1]
    world.endpoint = only(2, generation=2)
    world.watcher.look()
    assert world.plane.routing.generation == 1
    assert world.status.error == "version 2: the model refuses these rows"


def test_a_beat_is_reported_once_a_second_and_every_change_at_once(world: World) -> None:
    for _ in range(5):
        world.watcher.look()
    assert len(world.statuses) == 1
    world.clock.advance(HEARTBEAT_MS)
    world.watcher.look()
    assert len(world.statuses) == 2


def test_a_report_that_nobody_takes_is_told_again(world: World) -> None:
    world.deaf = True
    world.clock.advance(HEARTBEAT_MS)
    world.watcher.look()
    world.deaf = False
    world.watcher.look()
    assert world.status.heartbeat_ms == world.clock.now_ms()
