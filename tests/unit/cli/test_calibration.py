"""`flyball monitor calibrate` and `backtest` against a real server, over predictions that it has taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer
from tests.unit.monitoring.conftest import DAY, predictions

from flyball.cli.main import main
from flyball.datasets.profiling import profile_table
from flyball.server.studying import Desk

MODEL_ID = "m-" + "2" * 32
DAYS, ROWS = 16, 120
FILE = """
monitor: watch
endpoint: live
model: elec
window: 1d
label_maturity: 1d
alarms: {false_alarms: 1 per 10d}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("calibration") / "home"
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as found:
        platform = found.platform
        platform.registry.create_model("elec", actor="user:owner")
        source = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
        platform.artifacts.put(f"model/{MODEL_ID}", "MLmodel", [b"flavors: {}\n"])
        platform.registry.create_version("elec", source=source, model_id=MODEL_ID, actor="user:owner")
        generator = np.random.default_rng(9)
        profile = profile_table(pa.table({"x": generator.normal(size=5_000)}))
        digest = platform.artifacts.put_json(profile.to_json())
        platform.registry.attach("elec", 1, "profile", digest, actor="user:owner")
        for day in range(DAYS):
            ids = [f"{day}-{row}" for row in range(ROWS)]
            times = [day * DAY + row * DAY // ROWS for row in range(ROWS)]
            values = generator.normal(3.0 * (day >= DAYS - 3), 1.0, ROWS).tolist()
            platform.predictions.accept("live", predictions(ids, times, [1] * ROWS, features={"x": values}))
        yield found


@pytest.fixture
def desk(server: TrackingServer) -> Iterator[None]:
    """Compute what is asked for, as a worker does, and nothing else that a worker does."""
    found = Desk(server.platform.studies, holder="worker:test")
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            found.turn()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ended.set()
    thread.join()
    found.close()


@pytest.fixture
def run(
    server: TrackingServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    monkeypatch.setenv("FLYBALL_HOME", str(server.platform.settings.home))
    monkeypatch.setenv("FLYBALL_SERVER_URL", server.url)

    def call(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        assert int(ended.value.code or 0) == status, printed.err
        return printed.out if status == 0 else printed.err

    return call


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yaml"
    path.write_text(FILE)
    return path


@pytest.mark.usefixtures("desk")
def test_a_monitor_is_calibrated_and_shows_what_its_alarms_rest_on(run: Callable[..., str], document: Path) -> None:
    run("monitor", "set", str(document))
    assert "not calibrated for version 1" in run("monitor", "calibrate", "watch", "--show", status=1)
    shown = run("monitor", "calibrate", "watch", "--until", str(12 * DAY))
    assert "version 1, 12 windows from 1970-01-01 00:00 to 1970-01-13 00:00, pieces" in shown
    assert "false alarms: 1 per 10d wanted; 0.77 on average" in shown
    assert "not kept apart: the year, because the history has 12 days, 730 are needed" in shown
    assert "finds a shift of 2 standard deviations of x within 3 windows" in shown
    assert run("monitor", "calibrate", "watch", "--show") == shown
    kept = json.loads(run("monitor", "calibrate", "watch", "--show", "--json"))
    assert shown.startswith(f"calibration {kept['digest']}\n")


def test_a_time_that_is_none_is_refused_before_anything_is_asked(run: Callable[..., str]) -> None:
    assert "no date, no time and no number" in run("monitor", "calibrate", "watch", "--since", "soon", status=1)


@pytest.mark.usefixtures("desk")
def test_a_share_of_false_discoveries_is_shown_or_what_it_lacks(run: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "share.yaml"
    share = FILE.replace("watch", "share").replace("false_alarms: 1 per 10d", "false_discoveries: 0.5, memory: 5d")
    path.write_text(share)
    run("monitor", "set", str(path))
    shown = run("monitor", "calibrate", "share", "--until", str(12 * DAY))
    assert "false discoveries: 0.5 (memory 5d) wanted; no window is held to a level below 0.09" in shown
    assert "false alarms in its memory, while nothing changes: 0.38 on average" in shown
    assert run("monitor", "calibrate", "share", "--show") == shown
    path.write_text(share.replace("5d", "50d"))
    run("monitor", "set", str(path))
    shown = run("monitor", "calibrate", "share", "--until", str(12 * DAY))
    assert "unknown: cannot alarm: false discoveries: 0.5 (memory 50d) needs 111 windows of history, has 12" in shown


@pytest.mark.usefixtures("desk")
def test_a_file_is_replayed_over_the_log(run: Callable[..., str], document: Path, tmp_path: Path) -> None:
    incidents = tmp_path / "incidents.csv"
    incidents.write_text(f"name,start\nfeed,{(DAYS - 3) * DAY}\n")
    shown = run(
        "monitor", "backtest", str(document), "--reference-until", str(12 * DAY), "--incidents", str(incidents)
    )  # fmt: skip
    assert "watch: 3 windows from 1970-01-13 00:00 to 1970-01-16 00:00" in shown
    assert "caught: feed by covariate_drift at 1970-01-15 00:00: x drifted" in shown


def test_whoever_does_not_wait_is_told_where_to_look(
    run: Callable[..., str], document: Path, tmp_path: Path, server: TrackingServer
) -> None:
    study = run("monitor", "backtest", str(document), "--reference-until", str(11 * DAY), "--no-wait").strip()
    assert run("monitor", "study", "show", study).strip() == "backtest of watch queued:"
    listed = run("monitor", "study", "list", "--state", "queued", "--kind", "backtest")
    assert study in listed.splitlines()[1]
    server.platform.studies.execute(study, holder="worker:test", stopping=lambda: False)
    page = tmp_path / "backtest.html"
    assert "watch: 4 windows" in run("monitor", "study", "show", study, "--html", str(page))
    assert "Backtest of watch" in page.read_text(encoding="utf-8")
    assert run("monitor", "study", "wait", study) == run("monitor", "study", "show", study)


def test_a_cancelled_study_has_no_result(run: Callable[..., str], document: Path) -> None:
    study = run("monitor", "backtest", str(document), "--reference-until", str(13 * DAY), "--no-wait").strip()
    assert run("monitor", "study", "cancel", study).strip() == f"{study} cancelled"
    assert "the backtest was cancelled" in run("monitor", "study", "wait", study, status=1)
    assert "is no state; known: queued" in run("monitor", "study", "list", "--state", "dead", status=1)


def test_a_file_that_is_none_is_refused_with_its_key(run: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(FILE.replace("1 per 10d", "seldom"))
    assert "alarms.false_alarms" in run("monitor", "backtest", str(path), status=1)


def test_a_window_that_was_never_reported_is_an_error_and_none_at_all_is_said(
    run: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere.yaml"
    path.write_text(FILE.replace("watch", "elsewhere").replace("live", "nowhere"))
    run("monitor", "set", str(path))
    assert run("monitor", "report", "elsewhere") == ""
    assert "has reported no window that starts at 5" in run("monitor", "revisions", "elsewhere", "5", status=1)


def test_options_that_would_say_nothing_are_refused(run: Callable[..., str], document: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.parquet"
    history.write_bytes(b"")
    assert "--show shows" in run("monitor", "calibrate", "watch", "--show", "--since", "1970-01-02", status=1)
    assert "name it with --history" in run("monitor", "backtest", str(document), "--label", "truth", status=1)
    refused = run("monitor", "backtest", str(document), "--history", str(history), "--no-wait", status=1)
    assert "leave --no-wait out" in refused
