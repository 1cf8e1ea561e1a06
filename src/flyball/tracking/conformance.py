"""The promises of the stores of tracking as a test class: subclass it, give it stores, and pytest holds them to it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import msgspec
import pytest

from flyball.kernel.ids import new_id
from flyball.tracking.entities import (
    DATASET_CONTEXT_TAG,
    DatasetInput,
    DatasetSummary,
    Experiment,
    ExperimentId,
    Lifecycle,
    LoggedDataset,
    LoggedModel,
    Metric,
    ModelId,
    ModelOutput,
    ModelStatus,
    RunId,
    RunInfo,
    RunStatus,
    View,
)
from flyball.tracking.ports import TrackingStores
from flyball.tracking.search import MODELS, RUNS, Place, parse_filter, parse_order


def experiment(name: str, *, created_ms: int = 1) -> Experiment:
    """Make an experiment for a test."""
    return Experiment(
        experiment_id=ExperimentId(""),
        name=name,
        artifact_location="mlflow-artifacts:/{id}",
        lifecycle=Lifecycle.ACTIVE,
        created_ms=created_ms,
        updated_ms=created_ms,
        tags={"team": name},
    )


def run(experiment_id: ExperimentId, *, start_ms: int = 1) -> RunInfo:
    """Make a run for a test."""
    run_id = RunId(new_id())
    return RunInfo(
        run_id=run_id,
        experiment_id=experiment_id,
        name=f"run-{start_ms}",
        user_id="ada",
        status=RunStatus.RUNNING,
        start_ms=start_ms,
        artifact_uri=f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts",
    )


def point(key: str, value: float, *, step: int = 0, timestamp_ms: int = 0) -> Metric:
    """Make a point for a test."""
    return Metric(key=key, value=value, step=step, timestamp_ms=timestamp_ms)


def put(stores: TrackingStores, info: RunInfo, points: Sequence[Metric]) -> None:
    """Add points to a run."""
    stores.metrics.add([(info, points)])


def all_pages(stores: TrackingStores, home: ExperimentId, text: str, order: str, *, limit: int) -> list[str]:
    """Walk over the pages of a search to its end."""
    found: list[str] = []
    place: Place | None = {}
    while place is not None:
        page = stores.runs.search(
            [home],
            parse_filter(text, RUNS),
            view=View.ALL,
            order=parse_order([order] if order else [], RUNS),
            place=place,
            limit=limit,
        )
        found += page.ids
        place = page.next_place
    return found


def model(experiment_id: ExperimentId, name: str, *, created_ms: int = 1) -> LoggedModel:
    """Make a logged model for a test."""
    return LoggedModel(
        model_id=ModelId(f"m-{new_id()}"),
        experiment_id=experiment_id,
        name=name,
        artifact_uri="mlflow-artifacts:/1/models/x/artifacts",
        status=ModelStatus.PENDING,
        created_ms=created_ms,
        updated_ms=created_ms,
        tags={"kind": name},
        params={"alpha": "0.1"},
    )


class TrackingStoresConformance:
    """Promises of the stores of tracking. A subclass gives the fixture `stores`: empty ones that belong together."""

    @pytest.fixture
    def home(self, stores: TrackingStores) -> ExperimentId:
        """Make an experiment."""
        made = stores.experiments.insert(experiment("home"))
        assert made is not None
        return made.experiment_id

    @pytest.fixture
    def going(self, stores: TrackingStores, home: ExperimentId) -> RunInfo:
        """Start a run."""
        info = run(home)
        stores.runs.insert(info)
        return info

    def test_an_experiment_gets_the_next_number_and_its_place_in_the_location(self, stores: TrackingStores) -> None:
        first, second = stores.experiments.insert(experiment("a")), stores.experiments.insert(experiment("b"))
        assert first is not None
        assert second is not None
        assert int(second.experiment_id) == int(first.experiment_id) + 1
        assert first.artifact_location == f"mlflow-artifacts:/{first.experiment_id}"
        assert stores.experiments.find(first.experiment_id) == first

    def test_a_taken_name_is_refused_and_the_transaction_goes_on(self, stores: TrackingStores) -> None:
        stores.experiments.insert(experiment("a"))
        assert stores.experiments.insert(experiment("a")) is None
        assert stores.experiments.insert(experiment("b")) is not None

    def test_a_rename_to_a_taken_name_changes_nothing(self, stores: TrackingStores) -> None:
        first, second = stores.experiments.insert(experiment("a")), stores.experiments.insert(experiment("b"))
        assert first is not None
        assert second is not None
        assert stores.experiments.update(dataclasses.replace(second, name="a")) is False
        assert stores.experiments.find_name("b") == second

    @pytest.mark.parametrize("text", ["", "x", "-1", "99999999999999999999", "٣"])
    def test_an_id_that_is_no_number_finds_nothing(self, stores: TrackingStores, text: str) -> None:
        assert stores.experiments.find(text) is None
        assert stores.experiments.lock(text) is None

    def test_runs_go_and_come_back_with_their_experiment(self, stores: TrackingStores, home: ExperimentId) -> None:
        stays, gone = run(home), run(home)
        stores.runs.insert(stays)
        stores.runs.insert(gone)
        stores.runs.update(dataclasses.replace(gone, lifecycle=Lifecycle.DELETED))
        assert stores.runs.delete_with_experiment(home) == 1
        assert stores.runs.search([home], (), view=View.ACTIVE_ONLY, order=(), place={}, limit=9).ids == []
        assert stores.runs.restore_with_experiment(home) == 2
        back = stores.runs.search([home], (), view=View.ACTIVE_ONLY, order=(), place={}, limit=9).ids
        assert set(back) == {stays.run_id, gone.run_id}

    def test_runs_are_loaded_in_the_order_asked_for(self, stores: TrackingStores, home: ExperimentId) -> None:
        infos = [run(home, start_ms=at) for at in range(3)]
        for info in infos:
            stores.runs.insert(info)
        wanted = [infos[2].run_id, "f" * 32, infos[0].run_id]
        assert [found.info for found in stores.runs.load(wanted)] == [infos[2], infos[0]]

    def test_the_latest_point_is_the_greatest_by_step_then_time_then_value(
        self, stores: TrackingStores, going: RunInfo
    ) -> None:
        late = point("m", 1.0, step=2, timestamp_ms=5)
        put(stores, going, [late, point("m", 9.0, step=1, timestamp_ms=99)])
        put(stores, going, [point("m", 0.5, step=2, timestamp_ms=5), point("m", -7.0, step=0)])
        kept = stores.runs.load([going.run_id])[0].metrics["m"]
        assert (kept.latest, kept.minimum, kept.maximum) == (late, -7.0, 9.0)

    def test_not_a_number_and_infinities_are_kept_and_read_back(self, stores: TrackingStores, going: RunInfo) -> None:
        values = [math.nan, math.inf, -math.inf]
        put(stores, going, [point("m", value, timestamp_ms=at) for at, value in enumerate(values)])
        history = stores.metrics.history(going.run_id, "m", limit=None)
        assert [str(found.value) for found in history] == ["nan", "inf", "-inf"]
        kept = stores.runs.load([going.run_id])[0].metrics["m"]
        assert (kept.minimum, kept.maximum) == (-math.inf, math.inf)

    def test_a_metric_that_was_never_a_number_has_no_extremes(self, stores: TrackingStores, going: RunInfo) -> None:
        put(stores, going, [point("m", math.nan)])
        kept = stores.runs.load([going.run_id])[0].metrics["m"]
        assert (kept.minimum, kept.maximum) == (None, None)
        assert math.isnan(kept.latest.value)

    def test_an_exact_repeat_of_a_point_is_dropped(self, stores: TrackingStores, going: RunInfo) -> None:
        same = [point("m", 1.0), point("m", 1.0), point("m", math.nan), point("m", math.nan)]
        put(stores, going, same)
        put(stores, going, same)
        assert len(stores.metrics.history(going.run_id, "m", limit=None)) == 2

    def test_a_history_comes_in_order_of_time_and_in_pages(self, stores: TrackingStores, going: RunInfo) -> None:
        points = [point("m", float(at), step=-at, timestamp_ms=at) for at in range(5)]
        put(stores, going, points[::-1])
        assert stores.metrics.history(going.run_id, "m", offset=1, limit=2) == points[1:3]
        assert stores.metrics.history(going.run_id, "m", after=points[1], limit=2) == points[2:4]
        assert stores.metrics.history(going.run_id, "other", limit=None) == []

    def test_a_history_goes_on_after_each_of_its_points(self, stores: TrackingStores, going: RunInfo) -> None:
        values = [0.1, -0.0, math.inf, math.nan, -math.inf, 5e-324]
        put(
            stores,
            going,
            [point("m", value, step=at // 3, timestamp_ms=at // 4) for at, value in enumerate(values * 2)],
        )
        whole = stores.metrics.history(going.run_id, "m", limit=None)
        for at, one in enumerate(whole):
            assert repr(stores.metrics.history(going.run_id, "m", after=one, limit=None)) == repr(whole[at + 1 :])

    def test_missing_values_sort_last_and_nan_just_before(self, stores: TrackingStores, home: ExperimentId) -> None:
        values = {"two": 2.0, "nan": math.nan, "one": 1.0, "none": None}
        ids: dict[str, str] = {}
        for at, (name, value) in enumerate(values.items()):
            info = run(home, start_ms=at)
            stores.runs.insert(info)
            ids[info.run_id] = name
            if value is not None:
                put(stores, info, [point("m", value)])
        for text, expected in (
            ("metrics.m DESC", ["two", "one", "nan", "none"]),
            ("metrics.m", ["one", "two", "nan", "none"]),
        ):
            order = parse_order([text], RUNS)
            found = stores.runs.search([home], (), view=View.ALL, order=order, place={}, limit=9).ids
            assert [ids[run_id] for run_id in found] == expected

    @pytest.mark.parametrize("order", ["", "start_time ASC", "metrics.m DESC", "metrics.m", "params.p DESC"])
    @pytest.mark.parametrize("text", ["", "params.p != '1' AND tags.t = 'yes'", "metrics.m > 0.5", "params.p = '2'"])
    def test_pages_one_after_the_other_are_what_one_page_would_be(
        self, stores: TrackingStores, home: ExperimentId, order: str, text: str
    ) -> None:
        values = itertools.cycle([None, 1.0, math.nan, 0.5, 1.0, math.inf, -math.inf])
        for at in range(20):
            info = dataclasses.replace(
                run(home, start_ms=at // 3), lifecycle=Lifecycle.DELETED if at % 5 == 0 else Lifecycle.ACTIVE
            )
            stores.runs.insert(info)
            stores.data.add_params(info, {"p": str(at % 3)})
            stores.data.put_tags(info, {"t": "yes" if at % 2 else "no"})
            value = next(values)
            if value is not None:
                put(stores, info, [point("m", value)])
        whole = all_pages(stores, home, text, order, limit=50)
        assert all_pages(stores, home, text, order, limit=3) == whole
        assert len(set(whole)) == len(whole) > 3

    def test_points_of_several_runs_are_added_at_once(self, stores: TrackingStores, home: ExperimentId) -> None:
        infos = [run(home), run(home)]
        for info in infos:
            stores.runs.insert(info)
        stores.metrics.add([(info, [point("m", float(at)), point("n", -float(at))]) for at, info in enumerate(infos)])
        found = stores.runs.load([info.run_id for info in infos])
        assert [{key: kept.latest.value for key, kept in item.metrics.items()} for item in found] == [
            {"m": 0.0, "n": 0.0},
            {"m": 1.0, "n": -1.0},
        ]

    @pytest.mark.parametrize("count", [5, 300, 2_000])
    def test_a_curve_keeps_the_ends_and_the_extremes(self, stores: TrackingStores, going: RunInfo, count: int) -> None:
        points = [point("m", math.sin(at), step=at, timestamp_ms=at) for at in range(count)]
        points[count // 2] = point("m", 1e9, step=count // 2, timestamp_ms=count // 2)
        points.insert(3, point("m", math.nan, step=3, timestamp_ms=3))
        for at in range(0, len(points), 70):
            put(stores, going, points[at : at + 70])
        drawn = stores.metrics.draw(going.run_id, "m", points=10)
        assert drawn is not None
        assert len(drawn.points) <= 10
        assert max(shown.value for shown in drawn.points) == 1e9
        assert min(shown.value for shown in drawn.points) == min(sent.value for sent in points if sent.value < 2)
        assert [shown.step for shown in drawn.points] == sorted(shown.step for shown in drawn.points)
        assert drawn.count == count + 1
        assert stores.metrics.draw(going.run_id, "other", points=10) is None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("params.p LIKE 'a%'", ["a*b", "a[b", "a\\b", "ab"]),
            ("params.p LIKE 'a_b'", ["a*b", "a[b", "a\\b"]),
            ("params.p LIKE 'a*b'", ["a*b"]),
            ("params.p LIKE 'a[b'", ["a[b"]),
            ("params.p LIKE 'a\\b'", ["a\\b"]),
            ("params.p ILIKE 'AB'", ["AB", "ab"]),
            ("params.p = 'AB' AND params.q IS NULL", ["AB"]),
            ("params.p != 'AB' AND params.p ILIKE 'ab'", ["ab"]),
            ("params.p IS NOT NULL", ["AB", "a*b", "a[b", "a\\b", "ab"]),
        ],
    )
    def test_text_is_compared_and_sorted_alike_by_every_store(
        self, stores: TrackingStores, home: ExperimentId, text: str, expected: list[str]
    ) -> None:
        for value in ("ab", "a*b", "a[b", "a\\b", "AB"):
            info = run(home)
            stores.runs.insert(info)
            stores.data.add_params(info, {"p": value})
        found = stores.runs.search(
            [home], parse_filter(text, RUNS), view=View.ALL, order=parse_order(["params.p"], RUNS), place={}, limit=9
        ).ids
        assert [loaded.params["p"] for loaded in stores.runs.load(found)] == expected

    def test_one_dataset_of_an_experiment_is_kept_once_and_linked_to_each_run(
        self, stores: TrackingStores, home: ExperimentId
    ) -> None:
        dataset = LoggedDataset(name="d", digest="1", source_type="flyball", source="dataset-version:d/1")
        item = DatasetInput(dataset=dataset, tags={DATASET_CONTEXT_TAG: "training"})
        infos = [run(home), run(home)]
        for info in infos:
            stores.runs.insert(info)
            stores.data.add_datasets(info.run_id, home, [item, item])
        assert [found.datasets for found in stores.runs.load([info.run_id for info in infos])] == [(item,), (item,)]
        clauses = parse_filter("datasets.context = 'training' AND dataset.digest IN ('1', '2')", RUNS)
        assert len(stores.runs.search([home], clauses, view=View.ALL, order=(), place={}, limit=9).ids) == 2
        known = DatasetSummary(experiment_id=home, name="d", digest="1", context="training")
        assert stores.datasets.summaries([home, "77", "nonsense"], limit=9) == [known]
        assert stores.datasets.summaries(["77"], limit=9) == stores.datasets.summaries([home], limit=0) == []

    def test_models_read_and_made_by_a_run_are_kept_once(self, stores: TrackingStores, going: RunInfo) -> None:
        made, read = model(going.experiment_id, "made"), model(going.experiment_id, "read")
        for item in (made, read):
            stores.models.insert(item)
        for _ in range(2):
            stores.data.add_model_inputs(going.run_id, [read.model_id])
            stores.data.add_model_outputs(going.run_id, [ModelOutput(model_id=made.model_id, step=3)])
        found = stores.runs.load([going.run_id])[0]
        assert found.model_inputs == (read.model_id,)
        assert found.model_outputs == (ModelOutput(model_id=made.model_id, step=3),)

    def test_a_logged_model_comes_back_as_it_was_put(self, stores: TrackingStores, home: ExperimentId) -> None:
        made = model(home, "a")
        stores.models.insert(made)
        assert stores.models.find(made.model_id) == made
        assert stores.models.find(f"m-{'0' * 32}") is None

    def test_models_are_found_by_their_metrics_on_a_dataset(self, stores: TrackingStores, going: RunInfo) -> None:
        good, bad = model(going.experiment_id, "good"), model(going.experiment_id, "bad")
        for item, value in ((good, 0.9), (bad, 0.1)):
            stores.models.insert(item)
            measured = msgspec.structs.replace(
                point("acc", value), model_id=item.model_id, run_id=going.run_id, dataset_name="test"
            )
            stores.models.add_metrics([measured, measured])
        clauses = parse_filter("metrics.acc > 0.5 AND tags.kind LIKE 'go%'", MODELS)
        for dataset, expected in (("test", ["good"]), ("train", [])):
            found = stores.models.search(
                [going.experiment_id], clauses, datasets=[(dataset, None)], order=(), offset=0, limit=9
            )
            assert [item.name for item in found] == expected
