"""What a model was trained with, as its folder says, and whether that is what is installed here.

MLflow writes two files beside a model: `requirements.txt` (in a project of uv: the exported lock) and `python_env.yaml`. Together
they are the model's lock. A line of it is a name with a version, and nothing else: where packages come from is the operator's
to say, so an option, a URL or a path in a model's requirements is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from flyball.kernel.errors import InvalidInput, Unsupported

REQUIREMENTS = "requirements.txt"
PYTHON_ENV = "python_env.yaml"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
# A lock of a thousand packages with all their digests is about two megabytes.
_LARGEST_BYTES = 20_000_000
# What MLflow adds to every model, because its own server needs it; ours needs it only where a model is loaded through it.
_MLFLOW = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})
_LOADED_THROUGH_MLFLOW = frozenset({"python_function"})
_HASH = re.compile(r"\s--hash[=\s]([a-z0-9]+:[0-9a-fA-F]+)")
_VERSION = re.compile(r"\s*(\d+)\.(\d+)\b")

InstalledVersion: TypeAlias = Callable[[str], str | None]
"""Return the installed version of a distribution, None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A line of the lock: a requirement, and the digests its files may have (none: any)."""

    requirement: Requirement
    hashes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The line as it is handed to the installer."""
        return " ".join([str(self.requirement), *(f"--hash={digest}" for digest in self.hashes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLock:
    """The lock of a model: the Python it was trained with ("3.11"; None where it does not say), and its packages."""

    python: str | None
    pinned: tuple[Pinned, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines in an order that does not depend on how they were written."""
        return tuple(sorted(pinned.line for pinned in self.pinned))


def read_lock(folder: Path, *, flavour: str) -> ModelLock:
    """Read the lock of a model folder. What MLflow adds for itself plays no part where `flavour` does not load through it.

    Raises:
        InvalidInput: a file or a line that cannot be read; the message names it.
        Unsupported: an option, a URL or a path among the requirements.
    """
    ignored = frozenset() if flavour in _LOADED_THROUGH_MLFLOW else _MLFLOW
    text = _text(folder / REQUIREMENTS)
    pinned = tuple(_pinned(line) for line in _logical_lines(text or ""))
    return ModelLock(
        python=_python(_text(folder / PYTHON_ENV)),
        pinned=tuple(pin for pin in pinned if canonicalize_name(pin.requirement.name) not in ignored),
    )


def installed_version(name: str) -> str | None:
    """Return the version of a distribution that this process would import."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def differences(lock: ModelLock, *, installed: InstalledVersion = installed_version, python: str = HERE) -> list[str]:
    """Return in what this environment differs from a lock, as one phrase each; none: the model may run here.

    Every requirement counts, whatever the model does with it, because nobody knows what it does with it. A requirement whose
    marker does not hold here is none. Of Python the minor version counts.
    """
    found = []
    if lock.python not in {None, python}:
        found.append(f"Python {lock.python} is wanted, {python} runs here")
    for pinned in lock.pinned:
        wanted = pinned.requirement
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        there = installed(wanted.name)
        if there is None:
            found.append(f"{wanted.name}{wanted.specifier} is wanted, and not installed")
        elif not wanted.specifier.contains(there, prereleases=True):
            found.append(f"{wanted.name}{wanted.specifier} is wanted, {there} is installed")
    return found


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    if path.stat().st_size > _LARGEST_BYTES:
        raise InvalidInput(f"{path.name} of the model is larger than {_LARGEST_BYTES} bytes", field=path.name)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} of the model is no text in UTF-8", field=path.name) from error


def _logical_lines(text: str) -> Iterator[str]:
    """Join what a backslash continues, and leave out comments, which may also stand between continued lines."""
    kept = (re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in text.splitlines())
    joined = "\n".join(line for line in kept if line.strip())
    for line in re.sub(r"\\\n", " ", joined).splitlines():
        yield line.strip().removesuffix("\\").strip()


def _pinned(line: str) -> Pinned:
    if line.startswith("-"):
        raise Unsupported(
            f"'{line}' in the model's {REQUIREMENTS} is an option of the installer; where packages come from is set on the "
            "machine that serves (docs/isolation.md), so leave it out",
            field=REQUIREMENTS,
        )
    hashes = tuple(sorted(_HASH.findall(line)))
    try:
        requirement = Requirement(_HASH.sub("", line).strip())
    except InvalidRequirement as error:
        raise InvalidInput(
            f"'{line}' in the model's {REQUIREMENTS} is no requirement such as scikit-learn==1.6.1; paths and folders are "
            "not installed, publish the package to an index",
            field=REQUIREMENTS,
        ) from error
    if requirement.url:
        raise Unsupported(
            f"'{line}' in the model's {REQUIREMENTS} comes from a URL; publish it to an index, and pin its version",
            field=REQUIREMENTS,
        )
    return Pinned(requirement=requirement, hashes=hashes)


def _python(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"the model's {PYTHON_ENV} cannot be read: {error}", field=PYTHON_ENV) from error
    named = str(document.get("python") or "") if isinstance(document, dict) else ""
    if not named:
        return None
    match = _VERSION.match(named)
    if match is None:
        raise InvalidInput(f"the model's {PYTHON_ENV} names Python '{named}', which is no version", field=PYTHON_ENV)
    return f"{match[1]}.{match[2]}"
