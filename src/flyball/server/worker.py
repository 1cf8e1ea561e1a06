"""The worker: sweeps, monitors, loops and pipelines, each under a lease, round after round.

Nothing is remembered between rounds: what is to be done is read from the store, so that a worker may die at any moment
and another goes on.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

from flyball.artifacts.ports import DELETION
from flyball.governance.permissions import Role
from flyball.kernel.errors import AlreadyExists, Conflict, FlyballError
from flyball.kernel.leases import Lease
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.logs import get_logger
from flyball.pipelines.entities import RunState
from flyball.retraining.loops import Loop
from flyball.server.courier import Courier
from flyball.server.exporting import exported
from flyball.server.platform import Platform
from flyball.server.proposing import set_monitors
from flyball.server.retaining import retention_of
from flyball.server.studying import Desk

SERVICE = "service:pipelines"
MONITOR_ACTOR = "service:monitor"
# The token of a run is revoked at its end; a worker that was killed leaves one that ends by itself.
TOKEN_S = 86_400
# Whether an hour's segments are merged a minute sooner or later is nobody's matter.
COMPACTION_EVERY_S = 60.0
# A delivery or a study that is over may stay an hour longer.
TIDY_EVERY_S = 3_600.0
# A new endpoint waits so long for the monitor that sets itself.
PROPOSE_EVERY_S = 10.0
# How long a queued run is left alone after an attempt at it was refused.
LEAVE_S = 5.0
# Steps may see these and nothing else of the worker's environment: a training script must not find its secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "OMP_NUM_THREADS")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}

_log = get_logger("worker")


def passed_on() -> dict[str, str]:
    """Return what every child of a worker may know of its environment; no setting and no secret is in it."""
    return {**{name: os.environ[name] for name in PASSED_ON if name in os.environ}, **QUIET}


class Worker:
    """One worker process. Any number may run; leases keep them out of each other's way."""

    def __init__(self, platform: Platform, *, pipelines_at_once: int = 1) -> None:
        self._platform = platform
        self._holder = f"worker:{socket.gethostname()}:{os.getpid()}"
        self._stopping = False
        # A queue of this kind may be put to in a signal handler at any moment; an Event may not.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._complaints: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(pipelines_at_once, thread_name_prefix="pipeline")
        self._running: dict[str, Future[None]] = {}
        self._left: dict[str, float] = {}
        self._compact_after = 0.0
        self._tidy_after = 0.0
        self._retention = retention_of(platform)
        self._propose_after = 0.0
        self._slots = pipelines_at_once
        ttl_ms = platform.settings.lease_ttl_ms
        self._holdings = Holdings(platform.leases, holder=self._holder, ttl_ms=ttl_ms)
        self._desk = Desk(platform.studies, holder=self._holder)
        self._couriers = tuple(
            Courier(what, deliverer, leases=platform.leases, holdings=self._holdings)
            for what, deliverer in (("webhook", platform.deliverer), ("alert-sink", platform.alerts.deliverer))
        )

    def run(self) -> None:
        """Work until `stop`; an error in one task is logged and does not keep the others from their turn."""
        pause_s = self._platform.settings.worker_poll_ms / 1000
        with exported(self._platform, self._holdings):
            while not self._stopping:
                if not self.round():
                    with contextlib.suppress(Empty):
                        self._wake.get(timeout=pause_s)
        self._pool.shutdown(wait=True, cancel_futures=True)
        for courier in self._couriers:
            courier.close()
        self._desk.close()
        self._holdings.close()

    def stop(self) -> None:
        """Ask `run` to end after the present task. Safe in a signal handler."""
        self._stopping = True
        self._desk.stop()
        self._wake.put(None)

    def round(self) -> bool:
        """Do everything that is due once; return whether anything was done."""
        tasks: tuple[Callable[[], bool], ...] = (
            self._sweep,
            self._start_pipelines,
            self._tell_outside,
            self._study,
            self._set_monitors,
            self._evaluate,
            self._conduct,
            self._compact,
            self._tidy,
        )
        done = [self._guarded(task.__name__.removeprefix("_"), task) for task in tasks]  # each has its turn
        return any(done)

    def _guarded(self, name: str, task: Callable[[], bool]) -> bool:
        try:
            done = task()
        except Conflict as error:
            _log.debug("task_yielded", task=name, message=error.message)  # another worker was faster
            return False
        except FlyballError as error:
            self._complain(name, code=error.code.value, message=error.message)
            return False
        except Exception as error:  # noqa: BLE001 -- the last boundary of the worker: log it, go on with the other tasks
            self._complain(name, message=repr(error), cause=error)
            return False
        self._complaints.pop(name, None)
        return done

    def _complain(self, name: str, *, message: str, code: str = "internal", cause: BaseException | None = None) -> None:
        """Log an error once, not in every round for as long as it lasts."""
        if self._complaints.get(name) != message:
            self._complaints[name] = message
            _log.error("task_failed", task=name, code=code, message=message, exc_info=cause)

    def _sweep(self) -> bool:
        lost = self._platform.leases.sweep()
        for lease in lost:
            _log.warning("lease_lost", name=lease.name, holder=lease.holder)
        return bool(self._platform.pipelines.sweep_lost())

    def _tell_outside(self) -> bool:
        started = [courier.turn() for courier in self._couriers]  # each has its turn
        return any(started)

    def _study(self) -> bool:
        return self._desk.turn()

    def _start_pipelines(self) -> bool:
        self._running = {run_id: future for run_id, future in self._running.items() if not future.done()}
        queued = self._platform.pipelines.list(state=RunState.QUEUED)
        started = False
        for run in reversed(queued):
            if len(self._running) >= self._slots:
                break
            if run.id not in self._running and not self._was_left_lately(run.id):
                self._running[run.id] = self._pool.submit(self._execute, run.id)
                started = True
        return started

    def _was_left_lately(self, run_id: str) -> bool:
        """Tell whether an attempt at a run was refused a moment ago: its former holder may not count as lost yet."""
        left = self._left.get(run_id)
        return left is not None and time.monotonic() - left < LEAVE_S

    def _execute(self, run_id: str) -> None:
        try:
            with self._environment() as environment:
                self._platform.pipelines.execute(run_id, environment=environment, holder=self._holder)
        except Conflict as error:  # somebody else has it, or it was cancelled
            _log.info("pipeline_left", run=run_id, message=error.message)
            self._left[run_id] = time.monotonic()
        except Exception as error:  # noqa: BLE001 -- the end of this thread: whatever it was goes to the log
            _log.error("pipeline_failed", run=run_id, exc_info=error)
            self._left[run_id] = time.monotonic()

    @contextlib.contextmanager
    def _environment(self) -> Iterator[dict[str, str]]:
        """Lend what a step may know: how to reach the server, with a token of its own that ends with the run."""
        platform = self._platform
        with contextlib.suppress(AlreadyExists):
            platform.access.create_identity(SERVICE, Role.SERVICE, actor=SERVICE)
        token, secret = platform.access.issue(SERVICE, expires_in_s=TOKEN_S, label="pipeline run", actor=SERVICE)
        url = platform.settings.resolved_server_url
        tracking = {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": secret}
        try:
            yield {**passed_on(), **tracking, "FLYBALL_SERVER_URL": url, "FLYBALL_TOKEN": secret}
        finally:
            platform.access.revoke(token.id, actor=SERVICE)

    def _set_monitors(self) -> bool:
        if self._platform.settings.monitors != "set" or time.monotonic() < self._propose_after:
            return False
        self._propose_after = time.monotonic() + PROPOSE_EVERY_S
        return bool(set_monitors(self._platform, actor=MONITOR_ACTOR))

    def _evaluate(self) -> bool:
        return self._each(
            "monitor",
            [(one.name, functools.partial(self._evaluate_one, one.name)) for one in self._platform.monitors.list()],
        )

    def _evaluate_one(self, monitor: str) -> bool:
        if not self._platform.monitors.has_work(monitor):
            return False
        lease = self._holdings.take(f"monitor/{monitor}")
        if lease is None:
            return False
        fence = functools.partial(self._platform.leases.fence, lease)
        self._platform.monitors.evaluate(monitor, actor=MONITOR_ACTOR, fence=fence)
        return True

    def _conduct(self) -> bool:
        return self._each(
            "loop", [(one.loop, functools.partial(self._conduct_one, one)) for one in self._platform.requests.loops()]
        )

    def _conduct_one(self, loop: Loop) -> bool:
        lease = self._holdings.take(f"loop/{loop.loop}")
        return lease is not None and self._turn(loop, lease)

    def _compact(self) -> bool:
        if time.monotonic() < self._compact_after:
            return False
        self._compact_after = time.monotonic() + COMPACTION_EVERY_S
        due = sorted({*self._platform.compaction.due(), *self._retention.due()})
        return self._each("predictions", [(name, functools.partial(self._compact_one, name)) for name in due])

    def _compact_one(self, endpoint: str) -> bool:
        lease = self._holdings.take(f"predictions/{endpoint}")
        if lease is None:
            return False
        fence = functools.partial(self._platform.leases.fence, lease)
        merged = self._platform.compaction.merge(endpoint, actor=MONITOR_ACTOR, fence=fence)
        # What the last turn expired is swept before this one expires more: between the two, whoever was reading has ended.
        freed = self._free(endpoint, fence)
        expired = self._retention.expire(endpoint, actor=MONITOR_ACTOR, fence=fence)
        return freed or bool(merged or expired)

    def _free(self, endpoint: str, fence: Callable[[], None]) -> bool:
        """Free merged bytes; while a backup copies, nothing is deleted."""
        leases, ttl_ms = self._platform.leases, self._platform.settings.lease_ttl_ms
        deletion = leases.acquire(DELETION, holder=self._holder, ttl_ms=ttl_ms)
        try:
            swept = self._retention.sweep(endpoint, fence=fence)
            return bool(self._platform.compaction.free(endpoint, fence=fence) + swept)
        finally:
            leases.release(deletion)

    def _tidy(self) -> bool:
        """Remove what ended long ago, a batch of each a turn, until nothing is left for an hour."""
        if time.monotonic() < self._tidy_after:
            return False
        lease = self._holdings.take("tidying")
        fence = None if lease is None else functools.partial(self._platform.leases.fence, lease)
        removers = (self._platform.alerts.pruning.remove_old, self._platform.studies.remove_old)
        removed = [] if fence is None else [remove(fence=fence) for remove in removers]
        if not any(removed):
            self._tidy_after = time.monotonic() + TIDY_EVERY_S
        return any(removed)

    def _each(self, kind: str, turns: list[tuple[str, Callable[[], bool]]]) -> bool:
        """Give each its turn; one that fails does not keep the others from theirs."""
        done = [self._guarded(f"{kind}/{name}", turn) for name, turn in turns if not self._stopping]
        return any(done)

    def _turn(self, loop: Loop, lease: Lease) -> bool:
        before = self._platform.requests.running(loop.loop)
        after = self._platform.conductor.turn(loop, lease)
        return after is not None and after != before
