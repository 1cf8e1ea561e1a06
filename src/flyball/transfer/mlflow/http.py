"""Speak to an MLflow server: JSON in and out, files as streams, faults as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

import urllib3

from flyball.kernel.errors import (
    FlyballError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

# What a server answers: JSON whose fields the reader picks one by one.
Answer: TypeAlias = "dict[str, object]"
CONNECT_S = 10.0
READ_S = 120.0
RETRIES = 4
CHUNK_BYTES = 1 << 20
OK = 200
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND = 401, 403, 404
FIELD = "source"


class MlflowHttp:
    """A connection to one server, with the credentials that MLflow's own client would send."""

    def __init__(self, url: str, *, token: str = "", username: str = "", password: str = "") -> None:
        parsed = urllib3.util.parse_url(url)
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise InvalidInput(f"'{url}' is no server URL; example: http://127.0.0.1:5000", field=FIELD)
        if parsed.auth and not username:
            username, _, password = parsed.auth.partition(":")
        self.url = parsed._replace(auth=None, query=None, fragment=None).url.rstrip("/")
        self._headers = urllib3.make_headers(basic_auth=f"{username}:{password}") if username else {}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        retries = urllib3.Retry(
            RETRIES, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), allowed_methods=None
        )
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self._pool = urllib3.PoolManager(retries=retries, timeout=timeout)

    def get(self, path: str, fields: Mapping[str, str] | None = None) -> Answer:
        """Ask with GET.

        Raises:
            FlyballError: the server is out of reach, refuses, or answers something else than JSON.
        """
        return self._json("GET", path, fields=dict(fields or {}))

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Ask with POST; raises as `get`."""
        return self._json("POST", path, body=json.dumps(body).encode())

    def stream(self, path: str, fields: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """Yield the bytes of a file; raises as `get`, also when the connection breaks on the way."""
        answer = self._request("GET", path, fields=dict(fields or {}), body=None, stream=True)
        try:
            if answer.status != OK:
                raise _refusal(answer.status, answer.read(2_000), f"{self.url}{path}")
            yield from answer.stream(CHUNK_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.url} broke off in the middle of a file: {error}") from error
        finally:
            answer.release_conn()

    def text(self, path: str) -> str:
        """Return a short text; raises as `get`."""
        return b"".join(self.stream(path)).decode("utf-8", errors="replace")

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()

    def _json(
        self, method: str, path: str, *, fields: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        answer = self._request(method, path, fields=fields, body=body, stream=False)
        if answer.status != OK:
            raise _refusal(answer.status, answer.data, f"{self.url}{path}")
        try:
            found = json.loads(answer.data)
        except ValueError as error:
            raise InvalidInput(
                f"{self.url} is no MLflow server: {path} is not answered with JSON", field=FIELD
            ) from error
        return cast("Answer", found)

    def _request(
        self, method: str, path: str, *, fields: dict[str, str] | None, body: bytes | None, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        headers = {**self._headers, **({"content-type": "application/json"} if body is not None else {})}
        kept = {"fields": fields} if body is None else {"body": body}
        try:
            return self._pool.request(method, self.url + path, headers=headers, preload_content=not stream, **kept)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.url} is out of reach: {error}", field=FIELD) from error


def _refusal(status: int, body: bytes, where: str) -> FlyballError:
    try:
        message = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    said = f": {message[:300]}" if message else ""
    if status == UNAUTHENTICATED:
        remedy = "give --token, or --username and --password, or MLflow's variables for them"
        return Unauthenticated(f"{where} asks who you are{said}; {remedy}", field=FIELD)
    if status == FORBIDDEN:
        return PermissionDenied(f"{where} refuses to answer you{said}", field=FIELD)
    if status == NOT_FOUND:
        return NotFound(f"{where} is not there{said}")
    return Unsupported(f"{where} answers with status {status}{said}")
