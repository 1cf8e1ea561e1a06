"""A process that wants the environment of a model folder; it says where its interpreter is."""

from __future__ import annotations

import sys
from pathlib import Path

from flyball.kernel.settings import Settings
from flyball.serving.isolation.placement import environments_of
from flyball.serving.isolation.requirements import read_lock

if __name__ == "__main__":
    lock = read_lock(Path(sys.argv[2]), flavour="sklearn")
    with environments_of(Settings(home=Path(sys.argv[1]))).hold(lock) as held:
        sys.stdout.write(f"python={held.python}\n")
