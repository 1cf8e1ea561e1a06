"""One class that speaks to the server: typed in, typed out, errors mapped back to ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from flyball.client.failures import raise_for
from flyball.kernel.errors import Unauthenticated, Unavailable
from flyball.kernel.settings import load_settings
from flyball.wire.v1 import Done, datasets

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)

TOKEN_FILE = "owner.token"  # noqa: S105 -- the name of a file
TIMEOUT_S = 60.0
# What may be repeated without harm when the server is starting, busy or gone for a moment.
RETRIES = urllib3.Retry(
    total=4,
    backoff_factor=0.2,
    status_forcelist=(429, 503),
    allowed_methods=frozenset({"GET", "HEAD", "PUT", "DELETE"}),
    raise_on_status=False,
    respect_retry_after_header=True,
)
_CHUNK = 1 << 20


class Client:
    """A connection to a server. Safe to share between threads.

    `url` and `token` come from the settings when they are not given: `FLYBALL_SERVER_URL` and `FLYBALL_TOKEN`, or the owner's
    token file on the same account.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        settings = load_settings()
        self.url = (url or settings.resolved_server_url).rstrip("/")
        self.token = token or settings.token or _owner_token(settings.home / TOKEN_FILE)
        self._pool = urllib3.PoolManager(retries=RETRIES, timeout=TIMEOUT_S, maxsize=4)

    def call(self, method: str, path: str, *, response: type[ShapeT], body: msgspec.Struct | None = None) -> ShapeT:
        """Call a route and return its answer.

        Raises:
            FlyballError: the server refused, or failed; the class says how.
            Unavailable: nothing answers.
        """
        return self.send(method, path, None if body is None else msgspec.json.encode(body), response=response)

    def send(self, method: str, path: str, content: bytes | None, *, response: type[ShapeT]) -> ShapeT:
        """Call a route with a body that is JSON already."""
        headers = {} if content is None else {"content-type": "application/json"}
        answer = self._request(method, path, body=content, headers=headers)
        return msgspec.json.decode(answer.data, type=response)

    def upload(self, path: str, file: Path, *, query: Mapping[str, str], response: type[ShapeT]) -> ShapeT:
        """Send the bytes of a file, streamed."""
        with file.open("rb") as content:
            answer = self._request("POST", f"{path}?{urlencode(query)}", body=iter(lambda: content.read(_CHUNK), b""))
        return msgspec.json.decode(answer.data, type=response)

    def download(self, path: str, into: Path) -> None:
        """Write what a route streams to a file, whole or not at all."""
        draft = into.with_name(into.name + ".part")
        answer = self._request("GET", path, preload_content=False)
        with draft.open("wb") as file:
            for chunk in answer.stream(_CHUNK):
                file.write(chunk)
        answer.release_conn()
        draft.replace(into)

    def use_dataset(self, run_id: str, dataset: str, *, context: str = "training") -> None:
        """Note that a run used a dataset version (`<name>/<n>`)."""
        body = datasets.UseDataset(dataset=dataset, context=context)
        self.call("POST", f"/api/v1/runs/{quote(run_id, safe='')}/datasets", body=body, response=Done)

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                body=body,  # type: ignore[arg-type]  # urllib3 takes bytes and iterators; its alias is private
                headers={"authorization": f"Bearer {self.token}", **(headers or {})},
                preload_content=preload_content,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(
                f"nothing answers at {self.url}; start it with 'flyball up', or look with 'flyball doctor'"
            ) from error
        if answer.status >= 400:  # noqa: PLR2004 -- where HTTP's errors begin
            raise_for(answer.status, answer.data)
        return answer


def _owner_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unauthenticated(
            f"no token: set FLYBALL_TOKEN, or run this on the server's own account, where {path} is"
        ) from error
