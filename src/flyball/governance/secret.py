"""Secrets: how they are made, taken apart and compared.

A secret is kept only as its SHA-256. That suffices, and no slow password hash is needed: a slow hash protects secrets that
people choose, because there are few of them to try. Ours has 256 random bits, so that trying them is hopeless at any speed,
and a fast hash keeps the check of each request cheap.
"""

from __future__ import annotations

import hmac
import secrets

from flyball.governance.entities import TokenId
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import Unauthenticated

PREFIX = "fb"
RANDOM_BYTES = 32
ID_LENGTH = 32
# The longest thing looked at; whatever is longer is no secret of ours and is not worth hashing.
MAX_LENGTH = 256


def make_secret(token: TokenId) -> str:
    """Make the secret of a token: `fb_<id>_<256 random bits>`, recognisable by scanners for leaked secrets."""
    return f"{PREFIX}_{token}_{secrets.token_urlsafe(RANDOM_BYTES)}"


def make_code() -> str:
    """Make the code of a login link."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def token_of(secret: str) -> TokenId:
    """Return the id that a secret carries.

    Raises:
        Unauthenticated: this is no secret of ours.
    """
    parts = secret.split("_", 2)
    if len(secret) > MAX_LENGTH or len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) != ID_LENGTH:  # noqa: PLR2004
        raise Unauthenticated("this is no Flyball token; a token looks like fb_<id>_<secret>", field="token")
    return TokenId(parts[1])


def digest_secret(secret: str) -> Digest:
    """Return what is kept of a secret."""
    return digest_bytes(secret.encode("utf-8", errors="surrogatepass"))


def matches(secret: str, kept: Digest) -> bool:
    """Compare in a time that tells nothing about where the two differ."""
    return hmac.compare_digest(digest_secret(secret), kept)
