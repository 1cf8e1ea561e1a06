"""One class that speaks to the server: typed in, typed out, errors mapped back to ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from flyball.client.failures import raise_for
from flyball.client.paths import api, versioned
from flyball.kernel.errors import FlyballError, InvalidInput, Unauthenticated, Unavailable
from flyball.kernel.settings import Settings, load_settings
from flyball.wire.v1 import Done, datasets, models, monitors

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)

TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
# A dataset is read, profiled and stored before the server answers.
UPLOAD_TIMEOUT = urllib3.Timeout(connect=10.0, read=1_800.0)
# What may be repeated without harm when the server is starting, busy or gone for a moment. A connection that could not be
# made is tried again for every method.
RETRIES = urllib3.Retry(
    total=4,
    backoff_factor=0.2,
    status_forcelist=(429, 503),
    allowed_methods=frozenset({"GET", "HEAD", "PUT", "DELETE"}),
    raise_on_status=False,
    respect_retry_after_header=True,
    retry_after_max=2,  # seconds; a person waits for this, and the default of urllib3 is six hours
)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CHUNK = 1 << 20
_FIRST_REFUSAL = 300


class Client:
    """A connection to a server. Safe to share between threads.

    `url` and `token` come from the settings when they are not given: `FLYBALL_SERVER_URL` and `FLYBALL_TOKEN`, or the owner's
    token file on the same account. The owner's token is for this machine: it is never sent to another.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, retries: urllib3.Retry = RETRIES) -> None:
        settings = load_settings()
        self.url = (url or settings.resolved_server_url).rstrip("/")
        self.token = token or settings.token or _owner_token(settings, self.url)
        if not self.token.isascii() or not self.token.isprintable():
            raise InvalidInput(
                "the token has characters that no token has; check that it was copied whole", field="token"
            )
        self._pool = urllib3.PoolManager(retries=retries, timeout=TIMEOUT, maxsize=4)

    def call(self, method: str, path: str, *, response: type[ShapeT], body: msgspec.Struct | None = None) -> ShapeT:
        """Call a route and return its answer.

        Raises:
            FlyballError: the server refused, or failed; the class says how.
            Unavailable: nothing answers.
        """
        if body is None:
            return _read(self._request(method, path), response)
        headers = {"content-type": "application/json"}
        return _read(self._request(method, path, body=msgspec.json.encode(body), headers=headers), response)

    def upload(self, path: str, file: Path, *, query: Mapping[str, str], response: type[ShapeT]) -> ShapeT:
        """Send the bytes of a file, streamed."""
        with file.open("rb") as content:
            chunks = iter(lambda: content.read(_CHUNK), b"")
            headers = {"content-type": "application/octet-stream"}
            answer = self._request(
                "POST", f"{path}?{urlencode(query)}", body=chunks, headers=headers, timeout=UPLOAD_TIMEOUT
            )
        return _read(answer, response)

    def send(self, method: str, path: str, content: bytes | BinaryIO, *, response: type[ShapeT]) -> ShapeT:
        """Send bytes, or a whole file, and return the answer."""
        headers = {"content-type": "application/octet-stream"}
        timeout = TIMEOUT
        if not isinstance(content, bytes):
            headers["content-length"] = str(os.fstat(content.fileno()).st_size)
            timeout = UPLOAD_TIMEOUT
        return _read(self._request(method, path, body=content, headers=headers, timeout=timeout), response)

    def download(self, path: str, into: Path) -> None:
        """Write what a route streams to a file, whole or not at all.

        Raises:
            Unavailable: the answer ended too early.
        """
        draft = into.with_name(into.name + ".part")
        answer = self._request("GET", path, preload_content=False)
        try:
            with self._translated(), draft.open("wb") as file:
                for chunk in answer.stream(_CHUNK):
                    file.write(chunk)
            draft.replace(into)
        finally:
            draft.unlink(missing_ok=True)
            answer.release_conn()

    def use_dataset(self, run_id: str, dataset: str, *, context: str = "training") -> None:
        """Note that a run used a dataset version (`<name>/<n>`)."""
        body = datasets.UseDataset(dataset=dataset, context=context)
        self.call("POST", api("runs", run_id, "datasets"), body=body, response=Done)

    def set_monitor(self, document: str | Mapping[str, object]) -> monitors.MonitorInfo:
        """Set a monitor from the text of its file, or from what `flyball.monitoring.Monitor(...).to_json()` returns."""
        text = document if isinstance(document, str) else msgspec.json.encode(document).decode()
        body = monitors.MonitorDocument(document=text)
        return self.call("POST", api("monitors"), body=body, response=monitors.MonitorInfo)

    def attach_evidence(self, version: str, evidence: Mapping[str, object]) -> models.ModelVersionInfo:
        """Attach evidence to a version (`<name>/<n>`), by kind, as `flyball.monitoring.describe` makes it; return the version."""
        path = versioned("models", version)
        answer = self.call("GET", path, response=models.ModelVersionInfo)
        for kind, content in evidence.items():
            body = msgspec.json.encode(content)
            answer = self.send("PUT", f"{path}/evidence/{kind}", body, response=models.ModelVersionInfo)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | BinaryIO | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: urllib3.Timeout = TIMEOUT,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        with self._translated():
            answer = self._pool.request(
                method,
                self.url + path,
                body=body,
                headers={"authorization": f"Bearer {self.token}", **(headers or {})},
                timeout=timeout,
                redirect=False,
                preload_content=preload_content,
            )
            if answer.status >= _FIRST_REFUSAL:
                raise_for(answer.status, answer.data)
        return answer

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(self._what_failed(error)) from error

    def _what_failed(self, error: urllib3.exceptions.HTTPError) -> str:
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            return f"{self.url} did not answer in time; look at its log, or with 'flyball doctor'"
        if isinstance(reason, urllib3.exceptions.ProtocolError):
            return f"{self.url} broke the connection off; look at its log, then repeat the call"
        return f"nothing answers at {self.url}; start it with 'flyball up', or look with 'flyball doctor'"


def _read(answer: urllib3.BaseHTTPResponse, shape: type[ShapeT]) -> ShapeT:
    try:
        return msgspec.json.decode(answer.data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FlyballError(f"the server's answer is none that this release knows: {error}") from error


def _owner_token(settings: Settings, url: str) -> str:
    path = settings.owner_token_file
    host = urlsplit(url).hostname or ""
    if host not in LOOPBACK and host != settings.host:
        raise Unauthenticated(f"no token for {url}: set FLYBALL_TOKEN (the owner's token is for this machine only)")
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unauthenticated(
            f"no token: set FLYBALL_TOKEN, or run this on the server's own account, where {path} is"
        ) from error
