"""An environment with numpy and a flavour of its own, and models that run in it."""

from __future__ import annotations

import dataclasses
import os
import time
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from flyball.serving.isolation.model_process import Recipe
from flyball.serving.isolation.runtime import RemoteRuntime
from flyball.serving.isolation.supervisor import RestartPolicy

TOY = Path(__file__).with_name("toy")
PATIENCE_S = 240
# Restarts at once, and does not give up before a test wants it to.
EAGER = RestartPolicy(first_s=0.01, longest_s=0.01, most=50, window_s=600)


def make_environment(folder: Path) -> Path:
    """Make an environment that holds numpy and the toy and nothing else, and return its interpreter."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    numpy = distribution("numpy")
    for top in {str(file).split("/")[0] for file in numpy.files or () if not str(file).startswith("..")}:
        (packages / top).symlink_to(Path(str(numpy.locate_file(top))))
    for part in TOY.iterdir():
        if part.name != "__pycache__":
            (packages / part.name).symlink_to(part)
    return folder / "bin" / "python"


@dataclasses.dataclass(frozen=True)
class Toys:
    """Makes models of the toy flavour, each in a folder of its own."""

    python: Path
    folder: Path

    def recipe(self, name: str = "toy", *, start: str = "", **changes: object) -> Recipe:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "start").write_text(start)
        recipe = Recipe(
            model=name,
            python=self.python,
            load={
                "folder": str(folder),
                "flavour": "toy",
                "loader": "toy_flavour:ToyFlavour",
                "document": {"flavors": {"toy": {}}, "signature": {"inputs": [{"name": "x", "type": "double"}]}},
                "allow_pickle": False,
                "memory_bytes": 1 << 31,
            },
            environ=dict(os.environ),
            start_s=PATIENCE_S,
            predict_s=PATIENCE_S,
        )
        return dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]

    def runtime(
        self, name: str = "toy", *, policy: RestartPolicy = EAGER, start: str = "", **changes: object
    ) -> RemoteRuntime:
        return RemoteRuntime(self.recipe(name, start=start, **changes), environment="the toy's", policy=policy)


def rows(*values: float, do: int = 0) -> dict[str, np.ndarray]:
    """Return rows, and what the model should do with them."""
    return {"x": np.array(values, dtype=np.float64), "do": np.full(len(values), do)}


def await_(happened: Callable[[], bool]) -> None:
    """Wait for something that will happen."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has collected has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}
