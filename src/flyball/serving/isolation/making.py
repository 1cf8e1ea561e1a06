"""Make an environment from a model's lock with uv, in a folder of its own, and say what went wrong in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from flyball.kernel.errors import FlyballError, InvalidInput, MissingExtra, StoreFull, Unavailable, Unsupported
from flyball.serving.isolation.pip_configuration import uv_environment
from flyball.serving.isolation.requirements import HERE, REQUIREMENTS, ModelLock

# Our own code runs in these environments too, see docs/decisions/0029.
SUPPORTED_PYTHONS = ("3.11", "3.12", "3.13")
# Frames are numpy arrays, so numpy is there even where a model does not name it.
_NEEDED = "numpy"
_SHOWN_CHARACTERS = 1_500
_NO_SOLUTION = 1
_FULL = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b")
_NO_NETWORK = re.compile(
    r"Failed to fetch|error sending request|network was disabled|dns error|timed out|Connection reset"
)
_NO_WHEEL = re.compile(r"no usable wheels|no wheels with a matching|building from source is disabled")
_WRONG_HASH = re.compile(r"Hash mismatch|hash mismatch")
_PASSWORD = re.compile(r"(://)[^/\s@]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Make environments by uv. `environ` is what surrounds us; `timeout_s` is for one environment."""

    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def make(self, folder: Path, lock: ModelLock, *, keep_open: int) -> list[str]:
        """Fill a folder that does not exist yet, and return the names and versions of what is in it.

        `keep_open` is a file descriptor that uv inherits, so that a lock on it outlives us when we are killed.
        When it fails the folder is in any state.

        Raises:
            MissingExtra: uv is not there.
            Unsupported: the Python of the lock is not on this machine, or our code does not run on it.
            InvalidInput: the requirements cannot be installed: no such version, no wheel for this machine, ...
            Unavailable: the index cannot be reached, or it took too long.
            StoreFull: the disk is full.
        """
        run = _Run(uv=find_uv(), environ=uv_environment(self.environ), timeout_s=self.timeout_s, keep_open=keep_open)
        run(["venv", "--quiet", "--no-project", "--relocatable", "--python", _interpreter(lock), str(folder)], lock)
        listed = folder / REQUIREMENTS
        listed.write_text("\n".join(_lines(lock)) + "\n", encoding="utf-8")
        python = str(folder / "bin" / "python")
        # Wheels only: installing one runs nothing of it, while building from source runs whatever its author wrote.
        run(["pip", "install", "--quiet", "--no-build", "--python", python, "--requirements", str(listed)], lock)
        return run(["pip", "freeze", "--quiet", "--python", python], lock).split("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    uv: str
    environ: Mapping[str, str]
    timeout_s: float
    keep_open: int

    def __call__(self, arguments: Sequence[str], lock: ModelLock) -> str:
        # From the root folder, so that no project's settings are found on the way up; in a session of its own, so that all
        # of it can be ended.
        process = subprocess.Popen(  # noqa: S603 -- uv with arguments of ours; names and versions are in a file
            [self.uv, *arguments],
            cwd="/",
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(self.keep_open,),
        )
        try:
            said, complained = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"making the model's environment took longer than {self.timeout_s:g} s and was given up; set "
                "FLYBALL_ISOLATION_MAKE_S if it needs more"
            ) from error
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode:
            raise fault_of(process.returncode, complained, lock)
        return said.strip()


def find_uv() -> str:
    """Return the path of uv: of the package beside us, or else of the machine.

    Raises:
        MissingExtra: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found is None:
            raise MissingExtra.named("uv", "isolation") from error
        return found


def _interpreter(lock: ModelLock) -> str:
    wanted = lock.python or HERE
    if wanted not in SUPPORTED_PYTHONS:
        raise Unsupported(
            f"the model was trained with Python {wanted}; isolated models run on {', '.join(SUPPORTED_PYTHONS)}: train it on "
            "one of these, or set FLYBALL_ISOLATION=never to try it in the environment of the server",
            field="python_env.yaml",
        )
    return os.path.realpath(sys.executable) if wanted == HERE else wanted


def _lines(lock: ModelLock) -> list[str]:
    named = {canonicalize_name(pinned.requirement.name) for pinned in lock.pinned}
    # Where every line carries digests, one without would be refused; such a lock is complete, and names numpy itself.
    return [*lock.lines, *([_NEEDED] if _NEEDED not in named else [])]


def _because(complained: str, lock: ModelLock) -> str:
    """Name the lines of the lock that a complaint is about; no words where it names none of them."""
    named = [pinned.requirement for pinned in lock.pinned]
    about = [
        str(one) for one in named if re.search(rf"(?<![\w.-]){re.escape(one.name)}(?![\w-])", complained, re.IGNORECASE)
    ]
    return f" because of {' and '.join(about)}" if about else ""


def fault_of(status: int, complained: str, lock: ModelLock) -> FlyballError:
    """Return what uv's exit status and complaint mean for the model, and what to do about it."""
    said = _PASSWORD.sub(r"\1[hidden]@", complained.strip())[:_SHOWN_CHARACTERS]
    if _FULL.search(complained):
        return StoreFull(
            "the disk is full: the model's environment could not be made; free space, for example with "
            f"'flyball environment prune', and it is tried again. uv said: {said}"
        )
    if "No interpreter found" in complained or "inspect Python interpreter" in complained:
        return Unsupported(
            f"the model was trained with Python {lock.python}, which is not on this machine; install it, or set "
            f"UV_PYTHON_DOWNLOADS=automatic to let uv fetch it, or FLYBALL_ISOLATION=never to serve with {HERE}",
            field="python_env.yaml",
        )
    if _NO_WHEEL.search(complained):
        return InvalidInput(
            f"the model's {REQUIREMENTS} cannot be installed{_because(complained, lock)}: there is no wheel for this machine, and nothing "
            f"is built from source here; build a wheel and publish it to your index, or train with a version that has one. uv said: {said}",
            field=REQUIREMENTS,
        )
    if _NO_NETWORK.search(complained):
        return Unavailable(
            "the package index cannot be reached, so the model's environment could not be made; look after the network or set "
            f"an index that can be reached (docs/isolation.md), and it is tried again. uv said: {said}"
        )
    if status == _NO_SOLUTION or _WRONG_HASH.search(complained):
        return InvalidInput(
            f"the model's {REQUIREMENTS} cannot be installed{_because(complained, lock)}; log the model again with requirements "
            f"that exist and go together. uv said: {said}",
            field=REQUIREMENTS,
        )
    return Unavailable(f"the model's environment could not be made, and it is tried again. uv said: {said}")
