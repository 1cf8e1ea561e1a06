"""Make an environment for each peer that the benchmarks compare with, in `.venv-peers`.

Run as `.venv/bin/python tools/peers.py NAME...`, or without a name to see which there are. It is safe to run again: an
environment that matches what is asked for is left alone. All get the model libraries in the versions of our own lock, so
that every server predicts with the same code.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-peers"
LOCK = ROOT / "requirements" / "dev.lock"
# PyTorch comes by pip, from wherever it is set to look (docs/decisions/0021); uv does not look there.
TORCH = ROOT / "requirements" / "torch.txt"
MODEL_LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "xgboost-cpu")
_PINNED = re.compile(r"^([\w-]+)==[^\\]+", re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """What is installed for a peer: by resolution, by pip, and at last without what it asks for."""

    packages: tuple[str, ...]
    by_pip: pathlib.Path | None = None
    bare: tuple[str, ...] = ()
    free: frozenset[str] = frozenset()  # model libraries whose version the peer chooses

    def fingerprint(self) -> str:
        """Return the digest of everything that the environment is made from."""
        pins = constraints(self.free)
        named = repr((self.packages, self.bare, pins, self.by_pip and self.by_pip.read_text(encoding="utf-8")))
        return hashlib.sha256(named.encode()).hexdigest()


PEERS = {
    # It brings the MLflow client of its time, and that the libraries of its time.
    "fasttrackml": Peer(packages=("fasttrackml==0.6.*",), free=frozenset(MODEL_LIBRARIES)),
    # mlserver-xgboost asks for the build of XGBoost with CUDA; the same library without it is there already.
    "mlserver": Peer(
        packages=("mlserver==1.7.*", "mlserver-sklearn==1.7.*", "xgboost-cpu"),
        by_pip=TORCH,
        bare=("mlserver-xgboost==1.7.*",),
    ),
    "bentoml": Peer(packages=("bentoml==1.4.*", "scikit-learn", "xgboost-cpu"), by_pip=TORCH),
    # LitServe reads forms, which carry arrays, with python-multipart alone.
    "litserve": Peer(packages=("litserve==0.2.*", "python-multipart", "scikit-learn", "xgboost-cpu"), by_pip=TORCH),
    # It resolves with pandas 3, and fails when it is imported.
    "evidently": Peer(packages=("evidently==0.7.*", "pandas<3", "pyarrow"), free=frozenset({"pandas"})),
    # 3.18 pins a companion that was never published. skops is what the models are kept in.
    "mlflow": Peer(packages=("mlflow==3.17.2", "skops", "xgboost-cpu"), by_pip=TORCH),
}


def main(names: list[str]) -> int:
    """Make the environments of the peers that are named."""
    unknown = [name for name in names if name not in PEERS]
    if unknown or not names:
        print(f"usage: peers.py [{' | '.join(PEERS)}]...")
        return 2
    for name in names:
        _make(FOLDER / name, PEERS[name])
    return 0


def constraints(free: frozenset[str] = frozenset()) -> str:
    """Return the lines of our lock that pin the model libraries, but for those left free."""
    pins = [found[0].strip() for found in _PINNED.finditer(LOCK.read_text(encoding="utf-8"))]
    return "\n".join(pin for pin in pins if pin.partition("==")[0] in set(MODEL_LIBRARIES) - free) + "\n"


def _make(home: pathlib.Path, peer: Peer) -> None:
    stamp = home / ".flyball-peer"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == peer.fingerprint():
        return
    print(f"installing {', '.join((*peer.packages, *peer.bare))}", flush=True)
    uv, python = str(pathlib.Path(sys.executable).parent / "uv"), str(home / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
    if peer.by_pip is not None:
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
        subprocess.run([*pip, "-r", str(peer.by_pip)], check=True)
    pinned = home / "constraints.txt"
    pinned.write_text(constraints(peer.free), encoding="utf-8")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, "--constraint", str(pinned), *peer.packages], check=True)
    if peer.bare:
        subprocess.run([*install, "--no-deps", *peer.bare], check=True)
    stamp.write_text(peer.fingerprint(), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
