"""Keep a model's process running: start it again when it ends, ever more seldom, and give up when it will not stay."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flyball.kernel.errors import FlyballError, Unavailable
from flyball.kernel.logs import get_logger
from flyball.serving.isolation.model_process import ModelProcess

_log = get_logger("isolation")


_JOIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """After crash n within the window, wait `first_s` * 2**(n-1), at most `longest_s`; after more than `most`, give up.

    Six crashes in ten minutes: a model that dies of a rare request lives on, one that dies of its first one does not keep a
    core busy with starting it.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    most: int = 5
    window_s: float = 600.0


class Supervisor:
    """One model's process, and the thread that starts it and waits for its end."""

    def __init__(
        self, start: Callable[[], ModelProcess], *, model: str, policy: RestartPolicy, at_end: Callable[[], None]
    ) -> None:
        self._start = start
        self._at_end = at_end
        self._model = model
        self._policy = policy
        self._changed = threading.Condition()
        self._process: ModelProcess | None = None
        self._fault = ""
        self._refused: BaseException | None = None
        self._crashes: deque[float] = deque()
        self._ending = threading.Event()
        # The process is killed with the thread that started it, so this one lives as long as it should.
        self._thread = threading.Thread(target=self._run, name="model-supervisor", daemon=True)

    @property
    def fault(self) -> str:
        """Why there is no process that could answer; empty while there is one."""
        return self._fault

    def begin(self) -> ModelProcess:
        """Start the process for the first time, and return it.

        Raises:
            FlyballError: it could not be started, or could not load its model.
        """
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._process is not None or self._refused is not None)
            if self._refused is not None:
                raise self._refused
            assert self._process is not None
            return self._process

    def process(self) -> ModelProcess:
        """Return the process that answers.

        Raises:
            Unavailable: there is none at present, and why.
        """
        process = self._process
        if process is None:
            raise Unavailable(self._fault)
        return process

    def end(self, *, drain_s: float) -> None:
        """Take no more questions, let those under way be answered, and end the process."""
        with self._changed:
            self._fault = f"model {self._model} was unloaded"
            process, self._process = self._process, None
            self._ending.set()
        if process is not None:
            process.close(drain_s=drain_s)
        # One that is starting the process again is not waited for; it ends what it has started.
        self._thread.join(_JOIN_S)

    def end_at_once(self) -> None:
        """End the process without waiting for anything."""
        self._ending.set()
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _run(self) -> None:
        try:
            process = self._first()
            while process is not None:
                how = process.wait()
                with self._changed:
                    self._process = None
                process = self._again(how)
        finally:
            self._at_end()

    def _first(self) -> ModelProcess | None:
        try:
            process = self._start()
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits for it
            with self._changed:
                self._refused = error
                self._changed.notify_all()
            return None
        self._take(process)
        return process

    def _take(self, process: ModelProcess) -> None:
        with self._changed:
            if self._ending.is_set():
                process.kill()
                return
            self._process, self._fault = process, ""
            self._changed.notify_all()

    def _again(self, how: str) -> ModelProcess | None:
        """Start it again, as often as the policy allows; None when it is over."""
        while not self._ending.is_set():
            delay_s = self._count_crash(how)
            if delay_s is None or self._ending.wait(delay_s):
                return None
            try:
                process = self._start()
            except FlyballError as error:
                how = error.message
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next attempt may succeed
                _log.exception("model_not_started", model=self._model)
                how = type(error).__name__
            else:
                self._take(process)
                _log.info("model_restarted", model=self._model, pid=process.pid)
                return process
        return None

    def _count_crash(self, how: str) -> float | None:
        """Remember a crash, say it, and return how long to wait; None when it was one too many."""
        if self._ending.is_set():
            return None
        now_s, policy = time.monotonic(), self._policy
        self._crashes.append(now_s)
        while now_s - self._crashes[0] > policy.window_s:
            self._crashes.popleft()
        count = len(self._crashes)
        if count > policy.most:
            self._say(
                f"the process of model {self._model} crashed {count} times within {policy.window_s:g} s (at last: {how}) and is "
                "not started any more; look into the log, and load the model again"
            )
            _log.error("model_given_up", model=self._model, how=how, crashes=count)
            return None
        self._say(f"the process of model {self._model} crashed ({how}) and is started again; repeat the call")
        delay_s = min(policy.first_s * 2.0 ** (count - 1), policy.longest_s)
        _log.error("model_crashed", model=self._model, how=how, crashes=count, next_start_s=delay_s)
        return delay_s

    def _say(self, fault: str) -> None:
        with self._changed:
            if not self._ending.is_set():
                self._fault = fault
