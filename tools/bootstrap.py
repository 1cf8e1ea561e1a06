"""Make `.venv` from the lock with nothing but a Python and its standard library.

Run as `python3 tools/bootstrap.py`, or with the name of another environment: `frameworks` for the heavy libraries, `clients` for the
clients that ask the model server, `ray` for a Ray cluster, `tensorflow` for models of TensorFlow. It is safe to run again: it ends at
once when the environment already matches the lock.
"""

from __future__ import annotations

import hashlib
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
UV = "uv==0.13.9"
# Only where Python came without pip: its wheel needs nothing but itself, and brings the rest by its own configuration.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PATIENCE_S = 60
SUPPORTED = ((3, 11), (3, 12), (3, 13))


@dataclass(frozen=True)
class Environment:
    """A folder, the lock it is made from, the files of what pip itself has to install first, and whether this project is in it.

    uv does not look where pip is set to look, and PyTorch is the one package whose builds differ by where they come from.
    """

    folder: pathlib.Path
    lock: pathlib.Path
    by_pip: tuple[pathlib.Path, ...] = ()
    with_project: bool = True

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def stamp(self) -> pathlib.Path:
        """Where the environment says what it was made from."""
        return self.folder / ".flyball-lock"

    def fingerprint(self) -> str:
        """Return the digest of everything that the environment is made from."""
        sources = (self.lock, *self.by_pip, ROOT / "pyproject.toml")
        return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


ENVIRONMENTS = {
    "dev": Environment(folder=ROOT / ".venv", lock=REQUIREMENTS / "dev.lock"),
    "frameworks": Environment(
        folder=ROOT / ".venv-frameworks",
        lock=REQUIREMENTS / "frameworks.lock",
        by_pip=(REQUIREMENTS / "torch.txt",),
    ),
    "ray": Environment(folder=ROOT / ".venv-ray", lock=REQUIREMENTS / "ray.lock"),
    "tensorflow": Environment(folder=ROOT / ".venv-tensorflow", lock=REQUIREMENTS / "tensorflow.lock"),
    "clients": Environment(folder=ROOT / ".venv-clients", lock=REQUIREMENTS / "clients.lock", with_project=False),
}


def main(words: list[str]) -> int:
    """Create the environment, or say in one sentence what is missing."""
    name = words[0] if words else "dev"
    if name not in ENVIRONMENTS or len(words) > 1:
        print(f"usage: bootstrap.py [{' | '.join(ENVIRONMENTS)}]")
        return 2
    environment = ENVIRONMENTS[name]
    if environment.stamp.exists() and environment.stamp.read_text(encoding="utf-8") == environment.fingerprint():
        return 0
    python = _python()
    if python is None:
        print("flyball needs Python 3.11, 3.12 or 3.13 on the PATH (Debian, Ubuntu: apt-get install python3).")
        return 1
    if not (environment.folder / "bin" / "pip").exists() and not _make_venv(python, environment.folder):
        return 1
    _install(environment)
    environment.stamp.write_text(environment.fingerprint(), encoding="utf-8")
    print(f"environment ready in {environment.folder}")
    return 0


def _install(environment: Environment) -> None:
    """Install what pip has to, then the lock by hashes (it is complete, so nothing else), then this project as it lies here."""
    pip = [environment.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, UV], check=True)
    for listed in environment.by_pip:
        subprocess.run([*pip, "--no-compile", "-r", str(listed)], check=True)
    uv = [str(environment.folder / "bin" / "uv"), "pip", "install", "--quiet", "--python", environment.python]
    subprocess.run(
        [*uv, "--compile-bytecode", "--require-hashes", "--no-deps", "-r", str(environment.lock)], check=True
    )
    if not environment.with_project:
        return
    subprocess.run([*uv, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
    # What lies here is not compiled by installing it; where Python may write no bytecode, every process would do it anew.
    subprocess.run([environment.python, "-m", "compileall", "-q", str(ROOT / "src")], check=True)


def _python() -> str | None:
    """Return the first supported interpreter on the PATH, asking each what it is instead of trusting its name."""
    for name in ("python3.11", "python3.12", "python3.13", "python3", sys.executable):
        path = shutil.which(name)
        if path is None:
            continue
        ask = [path, "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and tuple(int(part) for part in answer.stdout.split()) in SUPPORTED:
            return path
    return None


def _make_venv(python: str, folder: pathlib.Path) -> bool:
    """Make the environment. Debian ships Python without `ensurepip`; then pip comes from the index, and at last from apt."""
    if _succeeds(python, "-m", "venv", "--clear", str(folder)):
        return True
    if _succeeds(python, "-m", "venv", "--clear", "--without-pip", str(folder)) and _bring_pip(folder):
        return True
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        subprocess.run([apt, "update", "-qq"], check=False)
        subprocess.run([apt, "install", "-y", "-qq", "python3-venv"], check=False)
        if _succeeds(python, "-m", "venv", "--clear", str(folder)):
            return True
    print(
        "Python has no pip here, and it could not be fetched. Install it (Debian, Ubuntu: apt-get install python3-venv) "
        "and run make again."
    )
    return False


def _bring_pip(folder: pathlib.Path) -> bool:
    """Fetch pip's wheel, and let it install itself; the digest makes sure that it is the one we mean."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    try:
        link = re.search(rf'href="([^"]*\b{re.escape(PIP_WHEEL)}[^"]*)"', _fetch(index).decode())
        wheel = _fetch(urllib.parse.urljoin(index, html.unescape(link[1]))) if link else b""
    except (OSError, ValueError) as error:
        print(f"pip could not be fetched from {index}: {error}")
        return False
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        print(f"{index} has no {PIP_WHEEL}, or another one than ours")
        return False
    kept = folder / PIP_WHEEL
    kept.write_bytes(wheel)
    return _succeeds(str(folder / "bin" / "python"), f"{kept}/pip", "install", "--quiet", "--no-index", str(kept))


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 -- the index is the user's own choice
        return bytes(answer.read())


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
