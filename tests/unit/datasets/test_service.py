"""The verbs of the room: equal content is one version, and every version can be read back and explained."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from flyball.artifacts import Artifacts
from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.sql import SqlNameStore
from flyball.datasets import Column, DatasetEvent, Datasets, profile_table
from flyball.datasets.service import content_digest
from flyball.datasets.sql import SqlDatasetStore
from flyball.kernel.canonical import digest_bytes
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import Corrupted, InvalidInput, NotFound, Unavailable, Unsupported
from flyball.kernel.events import Draft, Edge, Event, EventLog, ref
from flyball.kernel.events.sql import SqlEventStore

ROWS = pa.table({"x": [1.5, None, float("nan")], "label": ["yes", "no", "yes"]})
OTHER = pa.table({"x": [1.5, None, 2.0], "label": ["yes", "no", "yes"]})
OWNER = "user:owner"


@pytest.fixture
def events(database: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(database), clock)


@pytest.fixture
def datasets(database: Database, clock: ManualClock, events: EventLog, tmp_path: Path) -> Datasets:
    artifacts = Artifacts(FolderBlobStore(tmp_path / "artifacts"), SqlNameStore(database), database)
    return Datasets(SqlDatasetStore(database), artifacts, events, clock, database)


def _add(datasets: Datasets, table: pa.Table, name: str = "churn") -> int:
    return datasets.add_table(name, table, source="a test", actor=OWNER).version


def test_a_version_describes_its_rows(datasets: Datasets, clock: ManualClock) -> None:
    version = datasets.add_table("churn", ROWS, source="a test", actor=OWNER, context={"role": "training"})
    assert (version.name, version.version, version.row_count) == ("churn", 1, 3)
    assert version.columns == (
        Column(name="x", type="double", nullable=True),
        Column(name="label", type="string", nullable=False),
    )
    assert (version.source, version.context, version.created_ms) == ("a test", {"role": "training"}, clock.now_ms())
    assert datasets.get("churn", 1) == datasets.latest("churn") == datasets.find_digest(version.digest) == version


def test_rows_and_profile_come_back(datasets: Datasets) -> None:
    _add(datasets, OTHER)
    assert datasets.table("churn", 1).equals(OTHER.cast(datasets.table("churn", 1).schema))
    assert datasets.profile("churn", 1) == profile_table(OTHER)


def test_the_digest_can_be_computed_from_the_stored_file(datasets: Datasets, tmp_path: Path) -> None:
    version = datasets.add_table("churn", ROWS, source="a test", actor=OWNER)
    files = {digest_bytes(path.read_bytes()) for path in (tmp_path / "artifacts" / "sha256").glob("*/*")}
    assert version.digest in {content_digest(digest, version.columns) for digest in files}


def test_equal_content_is_the_same_version_however_it_was_built(datasets: Datasets, events: EventLog) -> None:
    first = _add(datasets, pa.table({"n": pa.array([1, 2, 3, 1]), "t": ["a", "b", None, "a"]}))
    built = pa.table(
        {
            "n": pa.chunked_array([[1, 2], [3], [1]]),
            "t": pa.chunked_array([pa.array(["a", "b", None, "a"], pa.large_string()).dictionary_encode()]),
        }
    ).replace_schema_metadata({"pandas": "{}"})
    assert _add(datasets, built) == _add(datasets, built.slice(0)) == first == 1
    assert len(list(events.all())) == 1


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"n": [1, 2, 4]}),
        pa.table({"m": [1, 2, 3]}),
        pa.table({"n": [1.0, 2.0, 3.0]}),
        pa.table({"n": [1, 2, None]}),
        pa.table({"n": [3, 2, 1]}),
        pa.table({"n": [1, 2]}),
    ],
)
def test_other_content_is_another_version(datasets: Datasets, other: pa.Table) -> None:
    assert [_add(datasets, pa.table({"n": [1, 2, 3]})), _add(datasets, other)] == [1, 2]


def test_content_that_returns_is_the_old_version(datasets: Datasets) -> None:
    assert [_add(datasets, ROWS), _add(datasets, OTHER), _add(datasets, ROWS)] == [1, 2, 1]


def test_the_same_content_under_two_names_is_two_versions_with_one_digest(datasets: Datasets) -> None:
    _add(datasets, ROWS, "b")
    _add(datasets, ROWS, "a")
    assert [(version.name, version.version) for version in datasets.list()] == [("a", 1), ("b", 1)]
    assert len({version.digest for version in datasets.list()}) == 1


def test_adding_is_recorded_with_its_lineage(datasets: Datasets, events: EventLog) -> None:
    window = ref("window", "hourly/0")
    version = datasets.add_table("churn", ROWS, source="traffic", actor="service:loop", edges=[("from", window)])
    [event] = events.history(version.ref)
    assert (event.kind, event.actor) == (DatasetEvent.VERSION_ADDED, "service:loop")
    assert event.payload["digest"] == version.digest
    assert event.edges == (Edge(subject=ref("dataset-version", "churn/1"), relation="from", object=window),)


def test_what_is_new_about_known_rows_is_recorded_once(datasets: Datasets, events: EventLog) -> None:
    first, second = ref("window", "hourly/0"), ref("window", "hourly/1")
    for window in (first, first, second, second):
        datasets.add_table("churn", ROWS, source="traffic", actor=OWNER, edges=[("from", window)])
    history = events.history(ref("dataset-version", "churn/1"))
    assert [(event.kind, [edge.object for edge in event.edges]) for event in history] == [
        (DatasetEvent.VERSION_ADDED, [first]),
        (DatasetEvent.VERSION_READDED, [second]),
    ]


def test_another_origin_of_known_rows_is_recorded_and_changes_nothing(datasets: Datasets, events: EventLog) -> None:
    version = datasets.add_table("churn", ROWS, source="a file", actor=OWNER)
    assert datasets.add_table("churn", ROWS, source="traffic", actor=OWNER, context={"request": "7"}) == version
    last = events.history(version.ref)[-1]
    assert last.kind == DatasetEvent.VERSION_READDED
    assert last.payload == {"digest": version.digest, "source": "traffic", "context": {"request": "7"}}


def test_without_its_event_a_version_does_not_exist(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    class BrokenEventStore(SqlEventStore):
        def append(self, draft: Draft) -> Event:
            raise Unavailable("the event log is out of reach")

    artifacts = Artifacts(FolderBlobStore(tmp_path), SqlNameStore(database), database)
    events = EventLog(BrokenEventStore(database), clock)
    datasets = Datasets(SqlDatasetStore(database), artifacts, events, clock, database)
    with pytest.raises(Unavailable):
        _add(datasets, ROWS)
    assert datasets.list() == []
    assert artifacts.walk("dataset/churn/1") == []


def test_writers_of_the_same_rows_at_once_get_the_same_version(datasets: Datasets, events: EventLog) -> None:
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda: numbers.append(_add(datasets, ROWS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert numbers == [1, 1, 1, 1]
    assert len(list(events.all())) == 1


def test_what_is_not_there_is_not_found(datasets: Datasets) -> None:
    with pytest.raises(NotFound, match="churn"):
        datasets.latest("churn")
    with pytest.raises(NotFound, match="churn"):
        datasets.table("churn", 1)
    _add(datasets, ROWS)
    with pytest.raises(NotFound, match="newest is 1"):
        datasets.get("churn", 2)
    assert datasets.find_digest(digest_bytes(b"")) is None
    assert datasets.list("other") == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 129, "größe"])
def test_a_name_that_is_none_is_refused(datasets: Datasets, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _add(datasets, ROWS, name)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({}), "0"),
        (pa.table({"x": pa.array([], pa.float64())}), "no rows"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), "'x'"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", " "]), "column 2"),
        (pa.table({"d": pa.array([1], pa.date64())}), "'d'"),
    ],
)
def test_a_table_that_makes_no_dataset_is_refused_and_leaves_nothing(
    datasets: Datasets, events: EventLog, table: pa.Table, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        _add(datasets, table)
    assert datasets.list() == []
    assert list(events.all()) == []


@pytest.mark.parametrize("values", [[[1, 2]], [b"raw"], [{"a": 1}]])
def test_a_column_of_a_type_that_is_not_kept_is_named(datasets: Datasets, values: list[object]) -> None:
    with pytest.raises(Unsupported, match="'nested'"):
        _add(datasets, pa.table({"fine": [1], "nested": values}))


def test_a_context_without_canonical_form_is_refused(datasets: Datasets) -> None:
    with pytest.raises(InvalidInput):
        datasets.add_table("churn", ROWS, source="a test", actor=OWNER, context={"share": float("nan")})
    assert datasets.list() == []


def test_damaged_rows_are_never_returned(datasets: Datasets, tmp_path: Path) -> None:
    _add(datasets, ROWS)
    for path in (tmp_path / "artifacts" / "sha256").glob("*/*"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Corrupted):
        datasets.table("churn", 1)
    with pytest.raises(Corrupted):
        datasets.profile("churn", 1)


def test_a_file_is_added_like_a_table(datasets: Datasets, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,label\n1.5,yes\n,no\n2.0,yes\n")
    assert datasets.add_file("churn", path, source="rows.csv", actor=OWNER).version == 1
    assert _add(datasets, OTHER) == 1
