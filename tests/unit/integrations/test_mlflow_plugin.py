"""The plugin without a server: addresses, what a full journal does, what other processes of the machine know, what import costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from flyball.client.journal.folder import JournalFolder, journals_in
from flyball.client.journal.reader import Reader
from flyball.integrations import mlflow as plugin
from flyball.integrations.mlflow import opening
from flyball.integrations.mlflow.opening import address_of
from flyball.integrations.mlflow.session import DROPPED_TAG
from flyball.integrations.mlflow.spilling import fit, fit_json, fit_key
from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the client at a folder."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    uri = f"flyball+file://{tmp_path / 'journals'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield tmp_path / "journals"
    while mlflow.active_run() is not None:
        mlflow.end_run()
    if uri in plugin._sessions:
        plugin._sessions.pop(uri).close()
    mlflow.set_tracking_uri(before)


def records(folder: Path) -> list[shapes.Record]:
    return records_of(journals_in(folder)[0])


def records_of(journal: JournalFolder) -> list[shapes.Record]:
    reader, found = Reader(journal), list[shapes.Record]()
    while (piece := reader.piece()) is not None:
        found += [shapes.decode(record) for record in frames.records_in(piece.body)]
        reader.skip(piece)
    return found


@pytest.mark.parametrize(
    "uri",
    ["flyball://", "flyball+file://host/folder", "flyball+file:", "flyball://user:secret@host:1", "flyball+ftp://h"],
)
def test_a_uri_that_leads_nowhere_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput, match="flyball://HOST:PORT"):
        address_of(uri)


def test_uris_lead_to_servers_and_folders() -> None:
    assert address_of("flyball://h:5757/prefix/").server == "http://h:5757/prefix"
    assert address_of("flyball+https://h").server == "https://h"
    assert address_of("flyball+file:///a%20b").folder == "/a b"


def test_what_fits_stays_as_it_is_and_what_does_not_names_its_artifact() -> None:
    assert fit("short", limit=10) == ("short", None)
    assert fit_key("loss") == ("loss", None)
    text, whole = fit("x" * 7_000, limit=6_000)
    assert whole is not None
    assert (len(text), whole.content) == (6_000, b"x" * 7_000)
    assert whole.path in text
    key, named = fit_key("k" * 300)
    assert named is not None
    assert len(key) == 250
    assert fit_key("k" * 301)[0] != key
    shown, hidden = fit("a\x00b", limit=100)
    assert hidden is not None
    assert "\x00" not in shown
    assert fit_json("[" + "1," * 50 + "1]", limit=50)[0].startswith('{"flyball_artifact"')


def test_an_experiment_of_a_name_is_a_stand_in_that_other_processes_can_read(folder: Path) -> None:
    found = mlflow.set_experiment("grid load")
    assert found.experiment_id == "name:grid%20load"
    assert MlflowClient().get_experiment(found.experiment_id).name == "grid load"
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0)
    made = records(folder)[0]
    assert isinstance(made, shapes.MakeRun)
    assert (made.experiment_id, made.experiment_name) == ("", "grid load")


def test_reading_fails_at_once_and_says_why(folder: Path) -> None:
    reads: tuple[Callable[[], object], ...] = (
        lambda: mlflow.search_runs(experiment_ids=["0"]),
        lambda: MlflowClient().get_metric_history("a" * 32, "loss"),
        lambda: MlflowClient().get_run("a" * 32),
        lambda: MlflowClient().get_registered_model("grid"),
        lambda: MlflowClient().get_experiment("17"),
    )
    for read in reads:
        with pytest.raises(MlflowException, match="flyball sync"):
            read()


def test_what_was_logged_can_be_asked_of_the_process_that_logged_it(folder: Path) -> None:
    with mlflow.start_run(run_name="night") as run:
        mlflow.log_params({"a": 1})
        for step, value in ((1, 0.5), (3, 0.1), (2, 0.9)):
            mlflow.log_metric("loss", value, step=step)
    found = MlflowClient().get_run(run.info.run_id)
    assert (found.data.params, found.data.metrics) == ({"a": "1"}, {"loss": 0.1})
    assert (found.info.run_name, found.info.status) == ("night", "FINISHED")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (lambda: mlflow.log_metric("a?b", 1.0), "Names may only contain"),
        (lambda: mlflow.log_metric("a", 1.0, step=2**70), "64-bit"),
        (lambda: mlflow.set_tag("../x", "1"), "must not resolve"),
    ],
)
def test_what_no_server_would_take_is_refused_at_the_call(folder: Path, log: Callable[[], None], said: str) -> None:
    with mlflow.start_run(), pytest.raises(MlflowException, match=said):
        log()


def test_a_full_journal_drops_points_says_so_and_lets_the_training_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FLYBALL_JOURNAL_MAX_BYTES", "20000")
    big = tmp_path / "weights.bin"
    big.write_bytes(b"w" * 50_000)
    with mlflow.start_run() as run:
        for step in range(2_000):
            mlflow.log_metric("loss", 1.0, step=step)
        mlflow.log_artifact(str(big))
        mlflow.log_param("depth", 3)
    assert capfd.readouterr().err.count("FLYBALL_JOURNAL_MAX_BYTES") == 1
    found = records(folder)
    kept = sum(isinstance(record, shapes.Point) for record in found)
    tags = {key: value for record in found if isinstance(record, shapes.Batch) for key, value in record.tags}
    assert 0 < kept < 2_000
    assert tags[DROPPED_TAG] == f"1 File, {2_000 - kept} Point were dropped because the journal was full"
    assert isinstance(found[-1], shapes.ChangeRun)
    assert ("depth", "3") in [pair for record in found if isinstance(record, shapes.Batch) for pair in record.params]
    assert MlflowClient().get_run(run.info.run_id).info.status == "FINISHED"


def test_a_run_begun_by_another_process_of_the_machine_can_be_resumed(folder: Path) -> None:
    code = "import mlflow; print(mlflow.start_run(run_name='other').info.run_id)"
    environ = {**os.environ, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    with mlflow.start_run(run_id=done.stdout.split()[0]) as run:
        assert run.info.run_name == "other"
        mlflow.log_metric("more", 1.0)


def test_a_run_that_nobody_ended_is_ended_at_exit(folder: Path) -> None:
    code = "import mlflow; mlflow.start_run(); mlflow.log_metric('a', 1.0)"
    environ = {**os.environ, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    last = records(folder)[-1]
    assert isinstance(last, shapes.ChangeRun)
    assert last.status == "FINISHED"
    assert done.stderr.count("flyball sync") == 1


def test_threads_that_log_while_the_session_is_closed_lose_nothing(folder: Path) -> None:
    session = opening.session_for(mlflow.get_tracking_uri())
    client, run_id = MlflowClient(), MlflowClient().create_run("0").info.run_id
    faults: list[Exception] = []

    def log(number: int) -> None:
        try:
            for step in range(300):
                client.log_metric(run_id, f"loss-{number}", 1.0, step=step)
                if step % 100 == 0:
                    client.log_text(run_id, f"{number} at {step}", f"{number}-{step}.txt")
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test shows it
            faults.append(error)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        session.close()
    for thread in threads:
        thread.join()
    assert faults == []
    session.close()
    found = [record for one in journals_in(folder) for record in records_of(one)]
    assert sum(isinstance(record, shapes.Point) for record in found) == 4 * 300
    assert sum(isinstance(record, shapes.File) for record in found) == 4 * 3


def test_other_tracking_uris_keep_mlflow_s_own_artifacts() -> None:
    uri = f"mlflow-artifacts:/0/{'a' * 32}/artifacts"
    found = get_artifact_repository(uri, tracking_uri="http://127.0.0.1:1")
    assert type(found) is MlflowArtifactsRepository


def test_the_plugin_imports_nothing_until_it_is_used() -> None:
    code = (
        "import flyball.integrations.mlflow, sys; heavy = {'urllib3', 'msgspec', 'mlflow', 'click'}; "
        "print([name for name in sys.modules if name.split('.')[0] in heavy])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_token_is_ever_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "fb_secret")
    monkeypatch.setenv("FLYBALL_TOKEN", "fb_secret")
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0)
        mlflow.log_text("x", "a.txt")
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(contents) > 3
    assert not [content for content in contents if b"fb_secret" in content]
