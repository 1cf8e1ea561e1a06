"""A model in a process of its own: start it, ask it, tell how it ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.serving.isolation import bootstrap
from flyball.serving.isolation.channel import Channel, ChannelBroken
from flyball.serving.isolation.frames import Array, Frame, Words
from flyball.serving.isolation.memory import OUTGREW_STATUS
from flyball.serving.isolation.memory_watch import MemoryWatch
from flyball.serving.isolation.messages import LOAD, refusal_in
from flyball.serving.isolation.output import PrintedLines

# What a model's libraries need of our environment; everything else, and so every secret, is not passed on. That nobody is to
# be told of what runs here holds for them too.
_PASSED_ON = frozenset(
    {
        "DO_NOT_TRACK",
        "HOME",
        "KERAS_BACKEND",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "MLFLOW_DISABLE_TELEMETRY",
        "PATH",
        "TMPDIR",
        "TZ",
        "USER",
    }
)
_PASSED_ON_BEGINNINGS = ("LC_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_")
_OUTPUT_S = 2.0
# A process whose connection is closed ends by itself, unless its model's threads do not let it.
_ENDING_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model's process is started: by which interpreter, what it is told to load, and how long anything may take."""

    model: str
    python: Path
    load: Words
    environ: Mapping[str, str]
    start_s: float
    predict_s: float


class ModelProcess:
    """A running process that has loaded its model. Any number of threads may ask; one thread waits for its end."""

    def __init__(self, recipe: Recipe) -> None:
        """Start it and let it load.

        Call it from the thread that will wait for its end: on Linux the process is killed when that thread ends.

        Raises:
            FlyballError: what the model's loader said.
            InvalidInput: the process crashed while it loaded.
            Unavailable: it could not be started, or took too long.
        """
        self._recipe = recipe
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        try:
            with theirs:
                self._process = _spawn(recipe, theirs)
        except OSError as error:
            self._channel.close()
            raise Unavailable(
                f"the process of the model could not be started: {error.strerror} ({recipe.python}); if its environment is "
                "damaged, remove it with 'flyball environment remove'"
            ) from error
        assert self._process.stdout is not None
        self._life = threading.Lock()
        self._ended = threading.Event()
        self._output = PrintedLines(self._process.stdout, model=recipe.model)
        self._watch = self._watched(recipe.load.get("memory_bytes"))
        try:
            self.libraries = dict(self._load().words)
        except BaseException:
            self.kill()
            self.wait()
            raise

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    def ask(self, verb: str, *, words: Words, arrays: Mapping[str, Array]) -> Frame:
        """Ask, and return what it answers.

        Raises:
            FlyballError: the model refused; as its runtime raised it.
            Unavailable: it ended or hung; whoever waits for its end is told.
        """
        try:
            answer = self._channel.exchange(verb, words=words, arrays=arrays, timeout_s=self._recipe.predict_s)
        except ChannelBroken as error:
            self.kill()
            raise Unavailable(
                f"the process of the model went away with this request ({error}), and is started again: repeat the call"
            ) from error
        refusal = refusal_in(answer)
        if refusal is not None:
            raise refusal
        return answer

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._channel.break_off("it was ended")
        with self._life:
            if not self._ended.is_set():
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> str:
        """Wait for its end, end whatever it has started, and tell how it ended. Only one thread may wait."""
        if not self._ended.is_set():
            # Not collected yet, its number still belongs to it, and so does its group.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            if self._watch is not None:
                self._watch.stop()
            with self._life:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
                self._ended.set()
            self._channel.close()
            self._output.finish(_OUTPUT_S)
        status = self._process.returncode
        if self._watch is not None and self._watch.outgrown:
            return self._watch.outgrown
        if status == OUTGREW_STATUS:
            return "what it kept left no room to answer in under FLYBALL_ISOLATION_MEMORY_BYTES"
        return f"exit status {status}" if status >= 0 else f"killed by {_signal_name(-status)}"

    def close(self, *, drain_s: float) -> None:
        """Let it answer what it was asked, and end; another thread waits for that."""
        self._channel.finish(drain_s)
        if not self._ended.wait(_ENDING_S):
            self.kill()

    def _watched(self, limit_bytes: int | None) -> MemoryWatch | None:
        """Watch its memory, where it could reach the limit at all."""
        if limit_bytes is None or limit_bytes >= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            return None
        return MemoryWatch(self.pid, limit_bytes=limit_bytes, end=self.kill)

    def _load(self) -> Frame:
        try:
            answer = self._channel.exchange(LOAD, words=self._recipe.load, arrays={}, timeout_s=self._recipe.start_s)
        except ChannelBroken as error:
            self.kill()
            how = self.wait()
            if isinstance(error.__cause__, TimeoutError):
                raise Unavailable(
                    f"the model was not loaded within {self._recipe.start_s:g} s; set FLYBALL_ISOLATION_START_S if it needs more"
                ) from error
            raise InvalidInput(
                f"the model crashed its process while it was loaded ({how}; {error}); the log has what it printed",
                field="model",
            ) from error
        refusal = refusal_in(answer)
        if refusal is not None:
            raise refusal
        return answer


def _spawn(recipe: Recipe, theirs: socket.socket) -> subprocess.Popen[bytes]:
    command = [str(recipe.python), "-I", bootstrap.__file__, str(theirs.fileno()), str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 -- our own module, by the interpreter of an environment that we made
        command,
        cwd="/",
        env=passed_on(recipe.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(theirs.fileno(),),
    )


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that a model's process gets: no settings, no credentials.

    >>> passed_on({"PATH": "/bin", "OMP_NUM_THREADS": "1", "AWS_SECRET_ACCESS_KEY": "s", "FLYBALL_TOKEN": "t"})
    {'PATH': '/bin', 'OMP_NUM_THREADS': '1'}
    """
    return {key: value for key, value in environ.items() if key in _PASSED_ON or key.startswith(_PASSED_ON_BEGINNINGS)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
