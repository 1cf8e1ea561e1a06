"""Where the files of a version lie once its run or logged model is here: from the places that MLflow writes down to ours."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Every place ends like this, whatever stands before it: a folder, a bucket, the server's proxy.
_OF_MODEL = re.compile(r"(?:.*/)?models/(?P<key>m-[0-9a-f]{32})/artifacts(?:/(?P<folder>.+?))?/?")
_OF_RUN = re.compile(r"(?:.*/)?(?P<key>[0-9a-f]{32})/artifacts(?:/(?P<folder>.+?))?/?")
_LOGGED = re.compile(r"models:/+(?P<key>m-[0-9a-f]{32})(?:/(?P<folder>.+?))?/?")
_RUN_PATH = re.compile(r"runs:/+(?P<key>[0-9a-f]{32})(?:/(?P<folder>.+?))?/?")
_KINDS = ((_LOGGED, "model"), (_RUN_PATH, "run"), (_OF_MODEL, "model"), (_OF_RUN, "run"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A folder below the files of a run or a logged model."""

    kind: str
    key: str
    folder: str

    @property
    def root(self) -> str:
        """The root in our artifact store."""
        return f"{self.kind}/{self.key}"


def whereabouts(source: str) -> Whereabouts | None:
    """Read a version's source; None where it lies in no run and no logged model.

    >>> whereabouts("/data/mlruns/1/0123456789abcdef0123456789abcdef/artifacts/model").root
    'run/0123456789abcdef0123456789abcdef'
    """
    for pattern, kind in _KINDS:
        found = pattern.fullmatch(source)
        if found is not None:
            return Whereabouts(kind=kind, key=found["key"], folder=found["folder"] or "")
    return None
