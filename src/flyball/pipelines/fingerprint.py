"""Fingerprint the code that a step may run, and the packages installed beside it.

A cache key must change whenever the result may. So the digest covers more than the function: the whole module, every
loaded module of the same package, and every loaded module that lies outside the Python installation (a project's own
files). Packages inside the installation are covered by their names and versions. It errs on the side of running again.

The project's own files are compiled from their source each time: Python's bytecode cache tells two versions of a file
apart by size and whole seconds, and would run the old one after a quick edit, under the digest of the new one.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from flyball.kernel.canonical import Digest, digest_bytes, digest_json

if TYPE_CHECKING:
    from importlib.abc import PathEntryFinder  # 25 ms at run time, in every child

_INSTALLED = tuple({f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# What started this process; the second is how multiprocessing calls it in a child.
_MAIN = frozenset({"__main__", "__mp_main__"})
_METADATA_SUFFIXES = (".dist-info", ".egg-info")
_compiled: dict[str, Digest] = {}
"""The digest of each source file as it was when it was compiled, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A loaded module and the file it came from."""

    module: str
    path: str

    @property
    def digest(self) -> Digest:
        """The digest of the file, as it was when it was compiled where that is known."""
        return _digest(self.path)

    @property
    def package(self) -> str:
        """The name before the first dot."""
        return self.module.partition(".")[0]

    @property
    def of_project(self) -> bool:
        """Whether it is a file of the user's own: neither in the Python installation nor of Flyball.

        Flyball stands in every key by its version, also where it is run from a checkout.
        """
        return self.package != "flyball" and not _is_installed(self.path)


class _FromSource(SourceFileLoader):
    """Compile from source, and remember what was compiled."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        data = self.get_data(path)
        _compiled[path] = digest_bytes(data)
        code: CodeType = self.source_to_code(data, path)
        return code


def compile_projects_from_source() -> None:
    """Let every import from outside the Python installation be compiled afresh, in this process from now on."""
    find = FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))

    def hook(path: str) -> PathEntryFinder:
        if _is_installed(os.path.join(path, "")):  # noqa: PTH118 -- the import system speaks in text
            raise ImportError(path)
        return find(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def loaded_sources(packages: Iterable[str]) -> list[Source]:
    """Return the modules of these packages, and those outside the installation, that are loaded at this moment."""
    wanted = set(packages)
    found = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in _MAIN or not isinstance(file, str):
            continue
        source = Source(module=name, path=str(Path(file).absolute()))
        if (source.of_project or source.package in wanted) and Path(source.path).is_file():
            found.append(source)
    return found


def code_digest(package: str, sources: Iterable[Source]) -> Digest:
    """Digest what a step of `package` may run. Paths play no part, so that two checkouts share a cache."""
    return digest_json(
        {source.module: source.digest for source in sources if source.package == package or source.of_project}
    )


def changed_source(sources: Mapping[str, str]) -> str | None:
    """Return the first of the files (path to digest) that is another now, None when all are the same."""
    for path, digest in sources.items():
        try:
            if _digest(path) != digest:
                return path
        except OSError:
            return path
    return None


def unplanned_sources(sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the project's loaded files that are not among these."""
    return tuple(source.path for source in loaded_sources(()) if source.path not in sources)


def packages_digest() -> Digest:
    """Digest the name and version of every installed distribution, read from the names of their metadata folders."""
    found: set[str] = set()
    for folder in map(Path, sys.path):
        if folder.is_dir():
            found.update(path.name for path in folder.iterdir() if path.name.endswith(_METADATA_SUFFIXES))
    return digest_json(sorted(found))


def _digest(path: str) -> Digest:
    return _compiled.get(path) or digest_bytes(Path(path).read_bytes())


def _is_installed(path: str) -> bool:
    return path.startswith(_INSTALLED)
