"""The environments of the peers, and what the machine is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
# Where they are already, somebody may say so, and nothing is installed with `--no-build`.
PEERS = Path(os.environ.get("BENCH_PEERS", ROOT / ".venv-peers"))


def make_peers(names: Sequence[str]) -> None:
    """Install each peer into an environment of its own, where that is not done yet."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "peers.py"), *names], check=True)


def peer_version(peer: str, package: str = "") -> str:
    """Return the version of a package in the environment of a peer; of the peer itself when none is named."""
    ask = f"import importlib.metadata; print(importlib.metadata.version({package or peer!r}))"
    done = subprocess.run([PEERS / peer / "bin" / "python", "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine() -> str:
    """Describe what was measured on."""
    memory = psutil.virtual_memory().total / 1e9
    return f"CPython {platform.python_version()}, {os.cpu_count()} cores, {memory:.0f} GB"
