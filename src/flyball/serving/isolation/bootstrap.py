"""Begin the process of an isolated model: make Flyball's code importable there, and nothing else of our environment.

Run by its path: `python -I bootstrap.py SOCKET PARENT`, with the number of an open socket and the process that listens at its
other end. Flyball is not installed where a model runs, and its folder must not be put on the module path either, because all our
other packages lie beside it: so the package is given to the interpreter by itself.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path

_PACKAGE = "flyball"
_PR_SET_PDEATHSIG = 1
_PARENT_GONE = 4


def main(words: list[str]) -> int:
    """Do what the module says, and return the exit status."""
    with socket.socket(fileno=int(words[0])) as stream:
        # What the model starts must not keep the connection open after the model itself has ended.
        stream.set_inheritable(False)
        if not die_with(int(words[1])):
            return _PARENT_GONE
        provide_package(Path(__file__).resolve().parents[2])
        from flyball.serving.isolation.worker import work

        return work(stream)


def die_with(parent: int) -> bool:
    """Ask Linux to kill this process when its parent ends; elsewhere it ends with the connection. False: it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    return os.getppid() == parent


def provide_package(folder: Path) -> None:
    """Make one package importable from a folder whose neighbours stay unknown."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
