"""The worker: sweeps, monitors, loops and pipelines, each under a lease, round after round.

Nothing is remembered between rounds: what is to be done is read from the store, so that a worker may die at any moment
and another goes on.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from flyball.governance.permissions import Role
from flyball.kernel.errors import AlreadyExists, Conflict, FlyballError
from flyball.kernel.leases import Lease
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.logs import get_logger
from flyball.pipelines.entities import PipelineRun, RunState
from flyball.retraining.loops import Loop
from flyball.server.platform import Platform

SERVICE = "service:pipelines"
MONITOR_ACTOR = "service:monitor"
TOKEN_S = 86_400
# Steps may see these and nothing else of the worker's environment: a training script must not find its secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "OMP_NUM_THREADS")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}

_log = get_logger("worker")


class Worker:
    """One worker process. Any number may run; leases keep them out of each other's way."""

    def __init__(self, platform: Platform, *, pipelines_at_once: int = 1) -> None:
        self._platform = platform
        self._holder = f"worker:{socket.gethostname()}:{os.getpid()}"
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(pipelines_at_once, thread_name_prefix="pipeline")
        self._running: dict[str, Future[PipelineRun]] = {}
        self._slots = pipelines_at_once
        ttl_ms = platform.settings.lease_ttl_ms
        self._holdings = Holdings(platform.leases, holder=self._holder, ttl_ms=ttl_ms)

    def run(self) -> None:
        """Work until `stop`; an error in one task is logged and does not keep the others from their turn."""
        pause_s = self._platform.settings.worker_poll_ms / 1000
        while not self._stopping.is_set():
            if not self.round():
                self._stopping.wait(pause_s)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._holdings.close()

    def stop(self) -> None:
        """Ask `run` to end after the present task. Safe in a signal handler."""
        self._stopping.set()

    def round(self) -> bool:
        """Do everything that is due once; return whether anything was done."""
        tasks: tuple[Callable[[], bool], ...] = (self._sweep, self._start_pipelines, self._evaluate, self._conduct)
        done = [self._guarded(task) for task in tasks]  # every task has its turn, whatever the others did
        return any(done)

    def _guarded(self, task: Callable[[], bool]) -> bool:
        try:
            return task()
        except Conflict:
            return False  # another worker was faster
        except FlyballError as error:
            _log.error("task_failed", task=task.__name__, code=error.code.value, message=error.message)
        except Exception as error:  # noqa: BLE001 -- the last boundary of the worker: log it, go on with the other tasks
            _log.error("task_failed", task=task.__name__, exc_info=error)
        return False

    def _sweep(self) -> bool:
        lost = self._platform.leases.sweep()
        for lease in lost:
            _log.warning("lease_lost", name=lease.name, holder=lease.holder)
        return bool(self._platform.pipelines.sweep_lost())

    def _start_pipelines(self) -> bool:
        self._running = {run_id: future for run_id, future in self._running.items() if not future.done()}
        queued = self._platform.pipelines.list(state=RunState.QUEUED)
        started = False
        for run in reversed(queued):
            if len(self._running) >= self._slots:
                break
            if run.id not in self._running:
                self._running[run.id] = self._pool.submit(self._execute, run.id)
                started = True
        return started

    def _execute(self, run_id: str) -> PipelineRun:
        try:
            return self._platform.pipelines.execute(run_id, environment=self._environment(), holder=self._holder)
        except Exception as error:
            _log.error("pipeline_failed", run=run_id, exc_info=error)
            raise

    def _environment(self) -> dict[str, str]:
        """Return what a step may know: how to reach the server, with a token of its own that expires."""
        platform = self._platform
        with contextlib.suppress(AlreadyExists):
            platform.access.create_identity(SERVICE, Role.SERVICE, actor=SERVICE)
        lifetime_s = min(TOKEN_S, platform.settings.step_timeout_s * 2)
        _, secret = platform.access.issue(SERVICE, expires_in_s=lifetime_s, label="pipeline run", actor=SERVICE)
        url = platform.settings.resolved_server_url
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        tracking = {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": secret}
        return {**passed, **QUIET, **tracking, "FLYBALL_SERVER_URL": url, "FLYBALL_TOKEN": secret}

    def _evaluate(self) -> bool:
        done = False
        for monitor in self._platform.monitors.list():
            if not self._platform.monitors.has_work(monitor.name):
                continue
            lease = self._holdings.take(f"monitor/{monitor.name}")
            if lease is not None:
                fence = functools.partial(self._platform.leases.fence, lease)
                self._platform.monitors.evaluate(monitor.name, actor=MONITOR_ACTOR, fence=fence)
                done = True
        return done

    def _conduct(self) -> bool:
        moved = False
        for loop in self._platform.requests.loops():
            lease = self._holdings.take(f"loop/{loop.loop}")
            if lease is not None:
                moved |= self._turn(loop, lease)
        return moved

    def _turn(self, loop: Loop, lease: Lease) -> bool:
        before = self._platform.requests.running(loop.loop)
        after = self._platform.conductor.turn(loop, lease)
        return after is not None and after != before
