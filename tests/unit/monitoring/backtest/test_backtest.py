"""A monitor's file replayed over a table: when it fires, which incidents it catches, and how two files differ."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.monitoring.streams import DAY_MS, null_stream, planted
from click.testing import CliRunner

from flyball.cli.monitoring import monitor
from flyball.demo.electricity import load_market
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table
from flyball.monitoring.backtest.incidents import match, parse_incidents, parse_moment, read_incidents
from flyball.monitoring.backtest.results import Backtest, Fired, Incident
from flyball.monitoring.monitor import parse_monitor

ROLES = Roles(time="time_ms", prediction="prediction", label="label")
FILE = """
monitor: draft
endpoint: live
model: model
window: 1d
label_maturity: 1d
min_rows: 6
quality: {resamples: 100}
alarms: {false_alarms: 1 per 60d}
"""
OPENED = parse_moment("1997-05-05", field="start")


def shifted(days: int = 80) -> pa.Table:
    return planted(null_stream(5, days=days), "mean", from_ms=70 * DAY_MS, seed=5)


def test_an_incident_is_caught_with_its_cause_and_how_much_sooner() -> None:
    noticed = parse_incidents([{"name": "feed", "start": 70 * DAY_MS, "noticed": 78 * DAY_MS}])
    found = backtest_tables(
        parse_monitor(FILE), log_table(shifted(), ROLES), roles=ROLES, until_ms=65 * DAY_MS, incidents=noticed
    )
    caught = found.draft.caught[0]
    assert caught.fired_ms is not None
    assert 70 * DAY_MS < caught.fired_ms <= 73 * DAY_MS
    assert caught.sooner_ms == 78 * DAY_MS - caught.fired_ms
    assert caught.causes[0].startswith("load drifted")
    assert found.draft.stated.startswith("1 per 60d wanted")
    assert len(found.draft.windows) == 14


def test_a_result_comes_back_from_its_json_and_fits_on_a_page() -> None:
    draft, current = parse_monitor(FILE), parse_monitor(FILE.replace("alarms", "# alarms"))
    found = backtest_tables(draft, log_table(shifted(), ROLES), roles=ROLES, until_ms=65 * DAY_MS, current=current)
    assert Backtest.from_json(json.loads(json.dumps(found.to_json()))) == found
    page = found.to_html()
    assert "Current: draft" in page
    assert "no rate is stated" in page
    assert "<script" not in page
    assert len(page) < 100_000


def test_names_from_the_data_are_text_on_the_page() -> None:
    table = shifted().rename_columns(
        ["time_ms", "<img src=x>", "price", "heat", "wind", "colour", "prediction", "label"]
    )
    page = backtest_tables(parse_monitor(FILE), log_table(table, ROLES), roles=ROLES, until_ms=65 * DAY_MS).to_html()
    assert "<img" not in page
    assert "&lt;img" in page


def test_an_alert_lasts_as_long_as_window_after_window_shows_it() -> None:
    found = backtest_tables(parse_monitor(FILE), log_table(shifted(), ROLES), roles=ROLES, until_ms=65 * DAY_MS)
    lasting = max(found.draft.fired, key=lambda one: one.windows)
    assert lasting.kind == "covariate_drift"
    assert lasting.windows >= 4
    shown = [window.start_ms for window in found.draft.windows if "covariate_drift" in window.shown]
    assert sum(one.windows for one in found.draft.fired if one.kind == "covariate_drift") == len(shown)


def test_the_opening_of_the_market_is_found_within_two_days_and_named() -> None:
    table = load_market().drop_columns(["class", "period"])
    table = table.slice(0, 17_424 + 3 * 48)
    document = FILE.replace("1 per 60d", "1 per 90d").replace("min_rows: 6", "min_rows: 20")
    opening = parse_incidents([{"name": "Victoria joins", "start": "1997-05-05"}])
    found = backtest_tables(
        parse_monitor(document),
        log_table(table, Roles(time="time_ms")),
        roles=Roles(time="time_ms"),
        until_ms=OPENED - 10 * DAY_MS,
        incidents=opening,
    ).draft
    caught = found.caught[0]
    assert caught.after_ms is not None
    assert caught.after_ms <= 2 * DAY_MS
    assert {cause.split(" ")[0] for cause in caught.causes} == {"vicprice", "vicdemand", "transfer"}
    assert found.false_alarms == ()


def test_only_alerts_within_an_incident_are_explained_by_it() -> None:
    fired = [
        Fired(kind="k", window_start_ms=start, fired_ms=start + 10, windows=1, causes=("x",)) for start in (0, 10, 30)
    ]
    incident = Incident(name="one", start_ms=15, end_ms=25)
    explained, caught = match(fired, [incident, Incident(name="later", start_ms=50)], window_ms=10)
    assert [one.false_alarm for one in explained] == [True, False, True]
    assert [(one.fired_ms, one.after_ms) for one in caught] == [(20, 5), (None, None)]


def test_incidents_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "incidents.csv"
    path.write_text("name,start,noticed\nlate,1997-05-06T12:00:00+02:00,\nopening,862790400000,1997-05-09\n")
    first, second = read_incidents(path)
    assert (first.name, first.start_ms, first.noticed_ms) == ("opening", OPENED, parse_moment("1997-05-09", field="x"))
    assert (second.start_ms, second.noticed_ms) == (OPENED + 34 * 3_600_000, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begin\n1997-05-05\n", "column 'begin'"),
        ("start\nyesterday\n", "no date, no time and no number"),
        ("start,end\n1997-05-05,1997-05-04\n", "incident 1 ends before it starts"),
        ("start,name\n,x\n", "incident 1 needs 'start'"),
    ],
)
def test_incidents_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "incidents.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_incidents(path)


def test_without_labels_quality_is_unknown_in_every_window() -> None:
    roles = Roles(time="time_ms")
    table = log_table(shifted().drop_columns(["prediction", "label"]), roles)
    found = backtest_tables(parse_monitor(FILE), table, roles=roles, until_ms=65 * DAY_MS)
    assert {window.unknown["quality"] for window in found.draft.windows} == {
        "the history has no predictions with labels"
    }


@pytest.mark.parametrize(
    ("roles", "until", "message"),
    [
        (Roles(time="when"), 65, "no column 'when'"),
        (Roles(time="colour"), 65, "'colour' is string: a time is"),
        (ROLES, 0, "the reference holds no row"),
        (ROLES, 80, "no whole window is left"),
        (ROLES, None, "say what was normal"),
    ],
)
def test_what_cannot_be_replayed_says_why(roles: Roles, until: int | None, message: str) -> None:
    until_ms = None if until is None else until * DAY_MS
    with pytest.raises(InvalidInput, match=message):
        backtest_tables(parse_monitor(FILE), log_table(shifted(), roles), roles=roles, until_ms=until_ms)


def test_the_command_replays_a_file_without_a_server(tmp_path: Path) -> None:
    for name, content in (("monitor.yaml", FILE), ("current.yaml", FILE.replace("alarms", "# alarms"))):
        (tmp_path / name).write_text(content)
    times = shifted().column("time_ms").cast(pa.timestamp("ms"))
    pq.write_table(shifted().set_column(0, "at", times), tmp_path / "history.parquet")
    (tmp_path / "incidents.csv").write_text(f"name,start\nfeed,{70 * DAY_MS}\n")
    arguments = ["backtest", str(tmp_path / "monitor.yaml"), "--history", str(tmp_path / "history.parquet")]
    arguments += [
        "--time",
        "at",
        "--reference-until",
        str(65 * DAY_MS),
        "--prediction",
        "prediction",
        "--label",
        "label",
    ]
    arguments += ["--incidents", str(tmp_path / "incidents.csv"), "--html", str(tmp_path / "report.html")]
    shown = CliRunner().invoke(
        monitor, [*arguments, "--against", str(tmp_path / "current.yaml")], catch_exceptions=False
    )
    assert shown.exit_code == 0
    assert "caught: feed by covariate_drift" in shown.output
    assert "no rate is stated" in shown.output
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    as_json = CliRunner().invoke(monitor, [*arguments, "--json"], catch_exceptions=False)
    assert Backtest.from_json(json.loads(as_json.output)).draft.monitor == "draft"
