"""What deliveries to addresses outside have in common: how one is signed, and how long it waits before it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac

SIGNATURE_VERSION = "v1"
FIRST_PAUSE_MS = 1_000
# 1 s, 4 s, 16 s, ... eight attempts span an hour and a half: longer than a restart of the receiver, shorter than a lost day.
PAUSE_FACTOR = 4
LONGEST_PAUSE_MS = 3_600_000


def signature(secret: str, delivery_id: str, *, moment: str, body: str) -> str:
    """Sign a delivery: HMAC-SHA256 over its id, the time of the attempt and the body, joined by points.

    >>> signature("key", "d1", moment="1700000000", body="{}")
    'v1,RQgESqs9IW4P4+a7EMExtXumM3E+hwEBKsGuUJpW/JI='
    """
    content = f"{delivery_id}.{moment}.{body}".encode()
    made = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{SIGNATURE_VERSION},{base64.b64encode(made).decode()}"


def pause_ms(attempts: int) -> int:
    """Return how long to wait after a number of attempts, from 1.

    >>> [pause_ms(attempts) // 1_000 for attempts in (1, 2, 3, 9)]
    [1, 4, 16, 3600]
    """
    return min(FIRST_PAUSE_MS * int(PAUSE_FACTOR ** (attempts - 1)), LONGEST_PAUSE_MS)
