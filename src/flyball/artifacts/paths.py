r"""Clean paths: what a caller may name a file, and how folders follow from the names.

A clean path is never joined to the store's own folders (bytes live under digests). It is joined to a folder only when a
tree is copied out, and then it must not lead elsewhere, on any layer that decodes or normalises it once more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from flyball.artifacts.entities import Entry
from flyball.kernel.errors import Conflict, InvalidInput

# Most file systems hold 255 bytes a name; Linux and object stores hold about 1,024 to 4,096 a path.
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1_024
# A dot, slash, backslash, hash or control character that is still percent-encoded: some later layer would decode it.
# Other escapes are harmless and stay what they are, part of a name.
_ENCODED = re.compile(r"%(2e|2f|5c|23|7f|[01][0-9a-f])", re.IGNORECASE)
# Control characters, lone surrogates, line and paragraph separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def clean_path(text: str, *, field: str = "path") -> str:
    """Accept a relative path with forward slashes, as it is; never mend one.

    >>> clean_path("model/MLmodel")
    'model/MLmodel'

    Raises:
        InvalidInput: it is empty, absolute, too long, or has a part that is empty, '.' or '..', or a backslash, a '#', a
            control character, or a percent-encoded form of these.
    """
    faults = (_fault(layer) or _parts_fault(layer.split("/")) for layer in _layers(text))
    fault = next(filter(None, faults), "") or _length_fault(text)
    if fault:
        raise InvalidInput(f"{text[:200]!a} is no artifact path: {fault}", field=field)
    return text


def clean_folder(text: str, *, field: str = "path") -> str:
    """Accept a clean path, or empty text for the root itself.

    Raises:
        InvalidInput: it is neither.
    """
    return clean_path(text, field=field) if text else ""


def _layers(text: str) -> Iterator[str]:
    """Yield the text, decoded once, decoded twice, and so on: '%25%32%65' needs two rounds to show its dot."""
    yield text
    while (decoded := unquote(text)) != text:
        text = decoded
        yield text


def _fault(text: str) -> str:
    if not text:
        return "it is empty"
    if text.startswith("/"):
        return "it is absolute; name it relative to its root"
    if "\\" in text or "#" in text:
        return "it has a backslash or a '#'; separate folders by '/'"
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text):
        return "it has a control character"
    if _ENCODED.search(text):
        return "it has a percent-encoded dot, slash, backslash, '#' or control character; decode it first"
    return ""


def _parts_fault(parts: list[str]) -> str:
    if "" in parts:
        return "it has an empty part; use single slashes and none at the end"
    if "." in parts or ".." in parts:
        return "it has a part '.' or '..'"
    return ""


def _length_fault(text: str) -> str:
    longest = max(len(part.encode()) for part in text.split("/"))
    if longest > MAX_NAME_BYTES or len(text.encode()) > MAX_PATH_BYTES:
        return f"it is too long; at most {MAX_PATH_BYTES} bytes, and {MAX_NAME_BYTES} between two slashes"
    return ""


def folders_of(path: str) -> list[str]:
    """Return the folders that a path lies in, outermost first.

    >>> folders_of("a/b/c.txt")
    ['a', 'a/b']
    """
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def below(path: str, folder: str) -> str:
    """Return a path relative to a folder that it lies in (empty text: the root).

    >>> below("a/b/c.txt", "a")
    'b/c.txt'
    """
    return path[len(folder) + 1 :] if folder else path


def direct_children(files: Iterable[Entry], *, folder: str) -> list[Entry]:
    """Return the files directly in a folder and the folders that the paths of the others imply, sorted by path."""
    children: dict[str, Entry] = {}
    for file in files:
        name, _, rest = below(file.path, folder).partition("/")
        path = f"{folder}/{name}" if folder else name
        children[path] = Entry.of_folder(path) if rest else file
    return [children[path] for path in sorted(children)]


def file_and_folder(path: str, *, clash: str) -> Conflict:
    """Say that one name cannot be both."""
    return Conflict(f"'{path}' cannot be stored beside '{clash}': a name is a file or a folder, not both", field="path")
