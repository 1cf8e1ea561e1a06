from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from flyball.governance.secret import make_secret
from flyball.kernel.ids import new_id
from flyball.kernel.logs import configure_logs, get_logger, hide_secrets, quote_values
from flyball.kernel.settings import Settings

SECRET = make_secret(new_id())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def fresh_structlog() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


def test_a_foreign_error_is_logged_without_its_text_where_values_are_hidden(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(Settings(log_format="json"), process="endpoint")
    quote_values(allowed=False)
    try:
        float("Ada Lovelace")
    except ValueError:
        get_logger("inference").exception("request_failed")
    quote_values(allowed=True)
    shown = json.loads(capsys.readouterr().err)
    assert "Lovelace" not in shown["exception"].partition("float(")[0]
    assert shown["exception"].endswith("ValueError")
    assert "could not convert" not in shown["exception"]


def test_a_line_is_json_with_process_room_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"), process="worker")
    get_logger("monitoring").info("window_closed", rows=5)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "window_closed", "level": "info", "process": "worker", "room": "monitoring", "rows": 5}


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json", log_level="warning"), process="worker")
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_is_hidden_wherever_it_stands(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format=log_format), process="server")
    log = get_logger("server")
    log.info("a", token="hush", Authorization="hush", set_cookie="hush", s3_secret_access_key="hush", password="hush")
    log.info("b", headers={"Authorization": "hush", "X-Api-Key": "hush", "deep": [{"cookie": "hush"}]})
    text = f"c {SECRET}"
    log.info(text, url=f"http://x/?t={SECRET}", items=[SECRET], thing=RuntimeError(SECRET))
    log.info("d", sent="Authorization: Bearer hush.hush", basic="Basic aHVzaA==", url="postgresql://u:hush@h/d")
    log.info("e", url="/ui/login?code=hush-hush&x=1")
    try:
        raise ValueError(SECRET)  # noqa: TRY301 -- an exception with a traceback is what is tested
    except ValueError:
        log.exception("f")
    shown = capsys.readouterr().err
    assert "hush" not in shown
    assert "aHVzaA" not in shown
    assert SECRET.split("_", 2)[2] not in shown
    assert "Traceback" in shown
    assert "x=1" in shown


def test_what_is_no_secret_stays() -> None:
    event = {"event": "served", "rows": 5, "share": 0.5, "ok": True, "none": None, "names": ["a", "b"]}
    assert hide_secrets(None, "info", dict(event)) == event
