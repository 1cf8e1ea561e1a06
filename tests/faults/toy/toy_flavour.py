"""A flavour that is not ours, in an environment of its own: its model does to its process whatever the rows say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Columns, ModelSpec, Prediction

DOUBLE, REFUSE, FAIL, CRASH, HANG, ALLOCATE, SLOW, STRANGE, WRONG_ROWS, KEEP, SPAWN = range(11)
KEPT_BYTES = 64 << 20
# Two of these together are more than any of them may have.
_HUNGRY = "import time; kept = b'x' * (150 << 20); time.sleep(1000)"


class ToyFlavour:
    """Load a folder whose file `start` says what loading does."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> ToyRuntime:
        start = (spec.folder / "start").read_text() if (spec.folder / "start").exists() else ""
        sys.stdout.write(f"starting {start or 'well'}\n")
        sys.stdout.flush()
        if start == "crash":
            os._exit(7)
        if start == "hang":
            time.sleep(1_000)
        if start == "refuse":
            raise InvalidInput("this model is not for loading", field="start")
        if start == "fail":
            raise RuntimeError("inner text")
        if start == "fork":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], close_fds=False)
        return ToyRuntime(spec.folder)


class ToyRuntime:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[np.ndarray] = []
        self._one_at_a_time = threading.Lock()

    def predict(self, columns: Columns) -> Prediction:
        assert self._one_at_a_time.acquire(blocking=False), "two threads at once"
        try:
            return self._predict(columns)
        finally:
            self._one_at_a_time.release()

    def _predict(self, columns: Columns) -> Prediction:
        x = columns["x"]
        what = int(columns["do"][0]) if "do" in columns else DOUBLE
        self._misbehave(what)
        if what == STRANGE:
            return Prediction(labels=x.astype(complex), scores=None)
        if what == WRONG_ROWS:
            return Prediction(labels=np.zeros(len(x) + 1), scores=None)
        environ = np.array([",".join(sorted(os.environ))] * len(x), dtype=object)
        others = {name: values for name, values in columns.items() if name != "x"}
        return Prediction(labels=2 * x, scores=x / 10, outputs=others | {"environ": environ})

    def _misbehave(self, what: int) -> None:
        if what == REFUSE:
            raise InvalidInput("the model refuses these rows", field="x")
        if what == FAIL:
            raise RuntimeError("inner text")
        if what == CRASH:
            os.kill(os.getpid(), 11)
        if what == ALLOCATE:
            np.ones(1 << 31, dtype=np.uint8)
        self._grow(what)
        if what in {HANG, SLOW, SPAWN}:
            (self._folder / "begun").touch()
            while not (self._folder / "go").exists():
                time.sleep(0.01)

    def _grow(self, what: int) -> None:
        if what == KEEP:
            self._kept.append(np.ones(KEPT_BYTES, dtype=np.uint8))
        if what == SPAWN:
            for _ in range(2):
                subprocess.Popen([sys.executable, "-c", _HUNGRY])
