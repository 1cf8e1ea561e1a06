"""Open a runner by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flyball.kernel.plugins import load_plugin
from flyball.kernel.runners.ports import PartRunner

GROUP = "runners"


def open_runner(name: str) -> PartRunner:
    """Return the runner of a name: `local`, or one that is installed beside.

    Raises:
        NotFound: there is none; the message lists what there is.
        MissingExtra: what it needs is not installed.
    """
    return cast("Callable[[], PartRunner]", load_plugin(GROUP, name))()
