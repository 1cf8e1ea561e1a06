"""A process that holds an isolated model, and is killed; it says the model's process id first."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.isolated import Toys

from flyball.kernel.logs import configure_logs
from flyball.kernel.settings import load_settings

if __name__ == "__main__":
    configure_logs(load_settings(), process="test")  # to standard error: what the model says must not run into the id
    runtime = Toys(python=Path(sys.argv[1]), folder=Path(sys.argv[2])).runtime("orphan")
    sys.stdout.write(f"{runtime.pid}\n")
    sys.stdout.flush()
    time.sleep(1_000)
