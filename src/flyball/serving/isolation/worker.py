"""The process of an isolated model: load it, then answer until the other end is gone. It runs in the model's environment."""

from __future__ import annotations

import gc
import resource
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import cast

from flyball.kernel.errors import Corrupted, FlyballError, LimitExceeded, Unsupported
from flyball.kernel.plugins import GROUP_PREFIX
from flyball.serving.flavours import GROUP
from flyball.serving.isolation.frames import Frame, Words, encode, receive, send
from flyball.serving.isolation.memory import OUTGREW_STATUS, data_bytes
from flyball.serving.isolation.messages import LOADED, PREDICTED, pack_prediction, refusal_of, unpack_columns
from flyball.serving.model_folder import spec_of
from flyball.serving.ports import Flavour, Runtime

_SPOKE_OUT_OF_TURN = 5
_OURS = "flyball."
# What is told of the environment, where it is there.
_TOLD = (
    "numpy",
    "pandas",
    "scikit-learn",
    "xgboost",
    "lightgbm",
    "torch",
    "keras",
    "tensorflow",
    "onnxruntime",
    "mlflow",
)


def work(stream: socket.socket) -> int:
    """Answer the questions of a socket, and return the exit status."""
    try:
        asked = receive(stream)
        try:
            runtime = _load(asked.words)
        except Exception as error:  # noqa: BLE001 -- libraries fail in any way, and who asked must be told
            send(stream, encode(_refusal(error, number=asked.number)))
            return 0
        send(stream, encode(Frame(verb=LOADED, number=asked.number, words=_libraries())))
        room = _Room()
        while True:
            send(stream, _answer(runtime, receive(stream), room))
            if room.is_gone():
                return OUTGREW_STATUS
    except (EOFError, ConnectionError):
        return 0
    except Corrupted as error:
        print(error.message, file=sys.stderr)  # noqa: T201 -- standard error goes to the log of the model server
        return _SPOKE_OUT_OF_TURN


class _Room:
    """What the limit of memory leaves a model to answer in.

    One that wants too much for one answer goes on. One that keeps more and more would refuse every request from some time on: it ends
    when there was no memory and it has grown over half of what loading it left.
    """

    def __init__(self) -> None:
        self._at_load_bytes = data_bytes()
        self._was_short = False

    def ran_short(self) -> None:
        """Note that there was no memory for an answer."""
        self._was_short = True

    def is_gone(self) -> bool:
        """Tell whether it was short, and stays so."""
        if not self._was_short:
            return False
        self._was_short = False
        gc.collect()
        limit_bytes, _ = resource.getrlimit(resource.RLIMIT_DATA)
        return data_bytes() - self._at_load_bytes > (limit_bytes - self._at_load_bytes) / 2


def _answer(runtime: Runtime, asked: Frame, room: _Room) -> list[memoryview]:
    """Return the answer as it is sent; what cannot be put into a frame is refused like anything else."""
    columns = unpack_columns(asked)
    try:
        arrays = pack_prediction(runtime.predict(columns))
        return encode(Frame(verb=PREDICTED, number=asked.number, arrays=arrays))
    except Exception as error:  # noqa: BLE001 -- as above; the process goes on
        if isinstance(error, MemoryError):
            room.ran_short()
        return encode(_refusal(error, number=asked.number))


def _refusal(error: Exception, *, number: int) -> Frame:
    if isinstance(error, FlyballError):
        return refusal_of(error, number=number)
    traceback.print_exc()
    if isinstance(error, MemoryError):
        said: FlyballError = LimitExceeded(
            "the model needs more memory than FLYBALL_ISOLATION_MEMORY_BYTES gives it; raise the limit, or send fewer rows"
        )
    else:
        said = FlyballError(
            f"the model failed with a {type(error).__name__}; the log of the model server has the details"
        )
    return refusal_of(said, number=number)


def _load(words: Words) -> Runtime:
    _limit_memory(words["memory_bytes"])
    flavour = _flavour(words["flavour"], words["loader"])
    spec = spec_of(words["document"], folder=Path(words["folder"]), flavour=words["flavour"])
    return flavour.load(spec, allow_pickle=words["allow_pickle"])


def _limit_memory(limit_bytes: int | None) -> None:
    """Limit what the process may allocate: not its address space, of which libraries reserve far more than they use."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def _flavour(name: str, loader: str) -> Flavour:
    """Return a flavour: one of ours from our code, any other one from the model's own environment."""
    if loader.startswith(_OURS):
        module, _, attribute = loader.partition(":")
        return cast("type[Flavour]", getattr(import_module(module), attribute))()
    for offer in entry_points(group=GROUP_PREFIX + GROUP, name=name):
        return cast("type[Flavour]", offer.load())()
    raise Unsupported(
        f"flavour '{name}' is loaded by {loader}, which is not in the model's environment; add its package to the requirements"
    )


def _libraries() -> Mapping[str, str]:
    found = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"}
    for name in _TOLD:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
