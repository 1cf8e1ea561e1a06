"""Which MLflow clients are served: one of another generation gets an error with a remedy, not half of what it asks for.

The client says its version in every request (`User-Agent: mlflow-python-client/3.17.2`). Clients of other makes, which say nothing
of the kind, are served.
"""

from __future__ import annotations

import functools
import re

from flyball.kernel.errors import InvalidInput

OLDEST_MAJOR = 2
NEWEST_MAJOR = 3
SUPPORTED = f"mlflow>={OLDEST_MAJOR},<{NEWEST_MAJOR + 1}"
# As many as there can be releases about; a stranger who sends another name each time costs one match each.
_REMEMBERED = 256
_PRODUCT = re.compile(r"mlflow-python-client/(?P<version>(?P<major>\d{1,4})[^\s]{0,40})")


def check_client(user_agent: str) -> None:
    """Accept the client that a request comes from.

    Raises:
        InvalidInput: it is an MLflow client of a generation that speaks another protocol.
    """
    reason = _reason_against(user_agent[:200])
    if reason:
        raise InvalidInput(reason, field="user-agent")


@functools.lru_cache(maxsize=_REMEMBERED)
def _reason_against(user_agent: str) -> str:
    found = _PRODUCT.search(user_agent)
    if found is None:
        return ""
    major = int(found["major"])
    if major < OLDEST_MAJOR:
        age, why = "old", "it asks for paths that the protocol no longer has"
    elif major > NEWEST_MAJOR:
        age, why = "new", "nobody has tried whether it asks for what is offered here"
    else:
        return ""
    return (
        f"The MLflow client {found['version']} is too {age} for this server: {why}. "
        f"Install one that it works with: pip install '{SUPPORTED}'."
    )
