"""The supervisor and its children: killed, stubborn, orphaned; and the whole of `flyball up`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
from tests.ports import free_port

from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import access

PATIENCE_S = 240.0

# A supervisor of its own over small children, so that what is tried is the supervising and not the platform.
SCRIPT = """
import signal, sys
from flyball.kernel.logs import configure_logs
from flyball.kernel.settings import Settings
from flyball.server.children import Pace
from flyball.server.supervisor import Supervisor

configure_logs(Settings(log_format="json"), process="supervisor")
child = {child!r}
wanted = {{name: [sys.executable, "-u", "-c", child, name] for name in {names!r}}}
pace = Pace(look_every_s=0.02, first_delay_s=0.1, longest_delay_s=0.4, healthy_s=60.0, drain_s=1.0)
supervisor = Supervisor(lambda: wanted, pace=pace)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: supervisor.stop())
supervisor.run()
"""
# One write a line: several processes share the log, and `print` may write a line in pieces that others come between.
GENTLE = """
import os, signal, sys, time
from flyball.server.supervisor import follow_parent
def end(*_):
    os.write(2, f"drained {sys.argv[1]}\\n".encode())
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
follow_parent(drain_s=1.0)
os.write(2, f"up {sys.argv[1]}\\n".encode())
while True:
    time.sleep(0.05)
"""
STUBBORN = GENTLE.replace("    sys.exit(0)\n", "").replace("drained", "ignored")
CRASHING = "import sys; sys.exit(7)"


def eventually(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Running:
    """A supervisor in a process of its own, and what it and its children wrote."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    def logged(self, event: str) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self.lines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def pid_of(self, child: str) -> int:
        return next(int(str(line["pid"])) for line in reversed(self.logged("started")) if line["child"] == child)

    def wait_up(self, *names: str) -> None:
        eventually(lambda: all(f"up {name}" in self.lines() for name in names), f"{names} did not start")

    def all_pids(self) -> list[int]:
        return [int(str(line["pid"])) for line in self.logged("started")]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(child: str, names: list[str]) -> Running:
        log = tmp_path / f"log-{len(started)}"
        script = SCRIPT.format(child=child, names=names)
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-c", script], stderr=file, stdout=file)
        started.append(Running(process, log))
        return started[-1]

    yield run
    for running in started:
        running.process.kill()
        running.process.wait()
        for pid in running.all_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_child_is_restarted_and_its_reason_is_logged(supervise: Callable[..., Running]) -> None:
    running = supervise(GENTLE, ["a", "b"])
    running.wait_up("a", "b")
    first, other = running.pid_of("a"), running.pid_of("b")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: running.pid_of("a") != first, "the child was not restarted")
    (ended,) = running.logged("child_ended")
    assert (ended["child"], ended["reason"]) == ("a", "killed by signal 9 (Killed)")
    assert running.logged("started")[-1]["restarts"] == 1
    assert running.pid_of("b") == other
    assert not is_gone(other)


def test_a_child_that_crashes_again_and_again_is_restarted_ever_more_slowly(supervise: Callable[..., Running]) -> None:
    running = supervise(CRASHING, ["a"])
    eventually(lambda: len(running.logged("child_ended")) >= 5, "the child was not restarted")
    ended = running.logged("child_ended")[:5]
    assert [line["restart_in_s"] for line in ended] == [0.1, 0.2, 0.4, 0.4, 0.4]
    assert {line["reason"] for line in ended} == {"exited with status 7"}


def test_children_drain_one_after_the_other_the_last_started_first(supervise: Callable[..., Running]) -> None:
    running = supervise(GENTLE, ["a", "b", "c"])
    running.wait_up("a", "b", "c")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_S) == 0
    assert [line for line in running.lines() if line.startswith("drained")] == ["drained c", "drained b", "drained a"]
    assert [line["child"] for line in running.logged("stopped")] == ["c", "b", "a"]
    assert running.logged("child_ended") == []


def test_a_child_that_ignores_sigterm_is_killed_after_its_drain_time(supervise: Callable[..., Running]) -> None:
    running = supervise(STUBBORN, ["a"])
    running.wait_up("a")
    pid = running.pid_of("a")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_S) == 0
    assert "ignored a" in running.lines()
    assert running.logged("did_not_drain")[0]["child"] == "a"
    assert running.logged("stopped")[0]["reason"] == "killed by signal 9 (Killed)"
    assert is_gone(pid)


def test_children_end_when_their_supervisor_is_killed(supervise: Callable[..., Running]) -> None:
    running = supervise(GENTLE, ["a", "b"])
    running.wait_up("a", "b")
    pids = running.all_pids()
    running.process.kill()
    running.process.wait()
    eventually(lambda: all(map(is_gone, pids)), "an orphan is left")
    # What they printed last comes through a pipe, a moment after they are gone.
    eventually(lambda: {"drained a", "drained b"} <= set(running.lines()), "an orphan ended without draining")


def test_even_a_stubborn_child_ends_when_its_supervisor_is_killed(supervise: Callable[..., Running]) -> None:
    running = supervise(STUBBORN, ["a"])
    running.wait_up("a")
    pid = running.pid_of("a")
    running.process.kill()
    running.process.wait()
    eventually(lambda: is_gone(pid), "an orphan is left")


# -- the whole of it


class Installation:
    """`flyball up` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.with_name("up.log")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLYBALL_")},
            "FLYBALL_HOME": str(home),
            "FLYBALL_PORT": str(self.port),
            "FLYBALL_LOG_FORMAT": "json",
        }
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flyball.cli.main", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def up(self) -> None:
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flyball.cli.main", "up"], env=self.environment, stdout=file, stderr=file
            )
        eventually(lambda: "Flyball is ready" in self.text(), "not ready")

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def down(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()  # the children follow
        made.process.wait()


def test_up_serves_an_empty_home_guards_it_and_drains(installation: Installation) -> None:
    installation.up()
    home = installation.home
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "owner.token").stat().st_mode & 0o777 == 0o600
    listening = [
        one.laddr.ip for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == installation.port
    ]
    assert set(listening) <= {"127.0.0.1"}
    assert urllib3.request("GET", f"{installation.url}/api/v1/me", retries=False, timeout=60).status == 401
    token = (home / "owner.token").read_text(encoding="utf-8").strip()
    me = Client(url=installation.url, token=token).call("GET", api("me"), response=access.Me)
    assert me.identity == "user:owner"
    assert token not in installation.text()

    second = installation.command("up")
    assert (second.returncode, "runs already in" in second.stderr) == (1, True), second.stderr
    elsewhere = installation.command("up", FLYBALL_HOME=str(home.with_name("other")))
    assert elsewhere.returncode == 1
    assert f"127.0.0.1:{installation.port} already; stop it, or set FLYBALL_PORT" in elsewhere.stderr
    assert "Traceback" not in second.stderr + elsewhere.stderr
    healthy = installation.command("doctor")
    assert (healthy.returncode, "BAD" in healthy.stdout) == (0, False), healthy.stdout

    assert installation.down() == 0
    ended = {str(line["child"]): line["reason"] for line in installation.logged("stopped")}
    assert ended["server"] == "exited with status 0"
    assert installation.logged("did_not_drain") == []
    assert "Traceback" not in installation.text()


def test_a_killed_server_comes_back_with_the_same_data_and_token(installation: Installation) -> None:
    installation.up()
    token = (installation.home / "owner.token").read_text(encoding="utf-8").strip()
    client = Client(url=installation.url, token=token)
    body = access.NewIdentity(name="user:ann", role="viewer")
    client.call("POST", api("identities"), body=body, response=access.IdentityInfo)
    (started,) = [line for line in installation.logged("started") if line["child"] == "server"]
    os.kill(int(str(started["pid"])), signal.SIGKILL)
    eventually(lambda: len([x for x in installation.logged("started") if x["child"] == "server"]) == 2, "no restart")
    eventually(lambda: answers(installation.url), "the server did not come back")
    found = client.call("GET", api("identities"), response=access.Identities)
    assert "user:ann" in {one.name for one in found.identities}
    assert installation.logged("child_ended")[0]["reason"] == "killed by signal 9 (Killed)"


def test_no_process_outlives_a_killed_supervisor(installation: Installation) -> None:
    installation.up()
    assert installation.process is not None
    children = [child.pid for child in psutil.Process(installation.process.pid).children(recursive=True)]
    assert len(children) >= 2
    installation.process.kill()
    installation.process.wait()
    eventually(lambda: all(map(is_gone, children)), "an orphan is left")
    installation.up()  # the home is free again at once


def answers(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/health", retries=False, timeout=30.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@pytest.mark.parametrize(("revision", "remedy"), [("0001", "flyball db upgrade"), ("9999", "newer than this release")])
def test_a_schema_of_another_release_is_refused_with_its_remedy_and_not_touched(
    installation: Installation, revision: str, remedy: str
) -> None:
    assert installation.command("db", "upgrade").returncode == 0
    database = installation.home / "flyball.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
    refused = installation.command("up")
    assert refused.returncode == 1
    assert remedy in refused.stderr
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]


def test_env_prints_what_a_shell_can_evaluate(installation: Installation) -> None:
    installation.up()
    printed = installation.command("env").stdout
    shown = subprocess.run(
        ["sh", "-c", f'{printed}\nprintf "%s %s" "$MLFLOW_TRACKING_URI" "$MLFLOW_TRACKING_TOKEN"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    token = (installation.home / "owner.token").read_text(encoding="utf-8").strip()
    assert shown == f"{installation.url} {token}"
    link = installation.command("ui").stdout.strip()
    assert re.fullmatch(re.escape(installation.url) + r"/ui/login\?code=[\w-]{40,}", link)
