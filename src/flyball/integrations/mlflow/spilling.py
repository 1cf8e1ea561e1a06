"""What is too long for a row goes into an artifact of the run; the row keeps its beginning and says where the whole is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from flyball.tracking.limits import MAX_KEY_LENGTH

FOLDER = "flyball/long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spilled:
    """The whole of something that was cut."""

    path: str
    content: bytes


def fit(text: str, *, limit: int) -> tuple[str, Spilled | None]:
    """Return a text as a row can hold it, and the whole where it was cut.

    A NUL, which PostgreSQL cannot keep, is shown as U+2400 in the row.
    """
    if len(text) <= limit and "\x00" not in text:
        return text, None
    whole = _whole(text.encode(errors="surrogatepass"), "txt")
    marker = f" [cut by flyball: all {len(text)} characters are in the artifact {whole.path}]"
    return text[: limit - len(marker)].replace("\x00", "\u2400") + marker, whole


def fit_key(key: str) -> tuple[str, Spilled | None]:
    """Return a name as a row can hold it: a long one is cut, and ends in its digest."""
    if len(key) <= MAX_KEY_LENGTH:
        return key, None
    whole = _whole(key.encode(errors="surrogatepass"), "name.txt")
    mark = f"...{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:16]}"
    return key[: MAX_KEY_LENGTH - len(mark)] + mark, whole


def fit_json(text: str, *, limit: int) -> tuple[str, Spilled | None]:
    """Return a JSON document as a row can hold it: a long one is replaced by one that says where it is."""
    if len(text) <= limit and "\x00" not in text:
        return text, None
    whole = _whole(text.encode(errors="surrogatepass"), "json")
    return json.dumps({"flyball_artifact": whole.path, "characters": len(text)}), whole


def _whole(content: bytes, suffix: str) -> Spilled:
    return Spilled(path=f"{FOLDER}/sha256-{hashlib.sha256(content).hexdigest()}.{suffix}", content=content)
