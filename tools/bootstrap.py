"""Make `.venv` from the lock with nothing but a Python and its standard library.

Run as `python3 tools/bootstrap.py`. It is safe to run again: it ends at once when the environment already matches the lock.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.lock"
STAMP = VENV / ".flyball-lock"
UV = "uv==0.13.9"
SUPPORTED = ((3, 11), (3, 12), (3, 13))


def main() -> int:
    """Create the environment, or say in one sentence what is missing."""
    wanted = _fingerprint()
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return 0
    python = _python()
    if python is None:
        print(
            "flyball needs Python 3.11, 3.12 or 3.13 on the PATH (Debian, Ubuntu: apt-get install python3 python3-venv)."
        )
        return 1
    if not (VENV / "bin" / "pip").exists() and not _make_venv(python):
        return 1
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, UV], check=True)
    uv = [str(VENV / "bin" / "uv"), "pip"]
    target = ["--python", str(VENV / "bin" / "python")]
    subprocess.run(
        [*uv, "install", "--quiet", "--compile-bytecode", *target, "--require-hashes", "-r", str(LOCK)], check=True
    )
    editable = ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    subprocess.run([*uv, "install", "--quiet", *target, *editable], check=True)
    STAMP.write_text(wanted, encoding="utf-8")
    print(f"environment ready in {VENV}")
    return 0


def _fingerprint() -> str:
    return hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


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


def _make_venv(python: str) -> bool:
    """Make the environment; Debian ships Python without `ensurepip`, so fetch that package where we may."""
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([python, "-m", "venv", str(VENV)], capture_output=True, check=False).returncode == 0:
        return True
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        subprocess.run([apt, "update", "-qq"], check=False)
        subprocess.run([apt, "install", "-y", "-qq", "python3-venv"], check=False)
        shutil.rmtree(VENV, ignore_errors=True)
        if subprocess.run([python, "-m", "venv", str(VENV)], check=False).returncode == 0:
            return True
    print(
        "Python's venv module is incomplete here. Install it (Debian, Ubuntu: apt-get install python3-venv) and run make again."
    )
    return False


if __name__ == "__main__":
    raise SystemExit(main())
