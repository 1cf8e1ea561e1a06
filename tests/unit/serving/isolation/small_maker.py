"""A maker of environments without packages, for tests of their keeping; run as a program, it makes one and says when."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from flyball.kernel.clock import SystemClock
from flyball.serving.isolation.environments import Environments
from flyball.serving.isolation.requirements import ModelLock

LOCK = ModelLock(python=None, pinned=())


class SmallMaker:
    """Make a folder with a link to our interpreter, which is what an environment is without its packages."""

    def __init__(self, *, count: Path | None = None, pause: Path | None = None) -> None:
        self._count = count
        self._pause = pause

    def make(self, folder: Path, lock: ModelLock, *, keep_open: int) -> list[str]:
        (folder / "bin").mkdir(parents=True)
        if self._count is not None:
            with self._count.open("a") as file:
                file.write("made\n")
        while self._pause is not None and not self._pause.exists():
            time.sleep(0.01)
        (folder / "bin" / "python").symlink_to(sys.executable)
        return ["numpy==2.2.6"]


def main(home: str, count: str, pause: str) -> None:
    maker = SmallMaker(count=Path(count), pause=Path(pause))
    with Environments(Path(home), maker=maker, clock=SystemClock()).hold(LOCK) as held:
        sys.stdout.write(f"{held.digest}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
