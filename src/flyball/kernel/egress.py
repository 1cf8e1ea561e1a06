"""The one way out: requests to addresses that people configured, held to an allow-list and to the address that was checked.

Whoever may name a URL could otherwise send this server to a machine that only it can reach. So the name is resolved once, every
address is checked, and the connection goes to a checked address: what the name means a moment later does not count. No redirect
is followed, no proxy of the environment is used, and time and answer are limited.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import SplitResult, urlsplit

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from flyball.kernel.errors import InvalidInput, PermissionDenied, Unavailable

ANY_HOST = "*"
PLAIN = "http://"
MOST_ANSWER_BYTES = 65_536
MOST_URL_CHARACTERS = 2_000
PORTS = {"http": 80, "https": 443}
# Carries an IPv4 address in its last 32 bits (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One entry of the allow-list."""

    host: str
    port: int | None = None
    plain: bool = False

    @property
    def exact(self) -> bool:
        """Whether it names one host, which may then have a private address."""
        return not self.host.startswith("*")

    def covers(self, host: str, port: int, *, scheme: str) -> bool:
        """Tell whether requests to a host and port are meant."""
        if (scheme == "http" and not self.plain) or self.port not in {None, port}:
            return False
        return self.host in {ANY_HOST, host} or (self.host.startswith("*.") and host.endswith(self.host[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: the status and the beginning of the body."""

    status: int
    body: bytes


def parse_destinations(text: str, *, field: str) -> tuple[Destination, ...]:
    """Read an allow-list.

    >>> parse_destinations("*, http://hooks.local:8080", field="egress_hosts")[1]
    Destination(host='hooks.local', port=8080, plain=True)

    Raises:
        InvalidInput: an entry that names no host.
    """
    return tuple(_destination(entry.strip(), field=field) for entry in text.split(",") if entry.strip())


def _destination(entry: str, *, field: str) -> Destination:
    plain = entry.startswith(PLAIN)
    rest = entry.removeprefix(PLAIN).removeprefix("https://").lower()
    try:
        url = urlsplit(f"//{rest}")
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port = "", None
    if not host or rest.strip("/") != url.netloc or "@" in rest or "*" in host.removeprefix("*"):
        raise InvalidInput(
            f"'{entry}' is no destination: write a host such as hooks.example.com, *.example.com, host:8443, "
            "http://host (plain HTTP), or * for every public host",
            field=field,
        )
    return Destination(host=host, port=port, plain=plain)


class Egress:
    """Sends requests out. Safe to share between threads."""

    def __init__(self, allowed: tuple[Destination, ...], *, timeout_s: float, resolve: Resolve | None = None) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._resolve = resolve or _resolve

    def check(self, url: str) -> None:
        """Refuse a URL that requests may not go to, as far as can be told without asking for its address.

        Raises:
            InvalidInput: it is no URL of a web server.
            PermissionDenied: the allow-list does not cover it, or it has a private address written into it.
        """
        parsed, host, port = _parse(url)
        covering = self._covering(parsed.scheme, host, port)
        if _is_address(host):
            _check_address(host, host, covering)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a body, and return what was answered, whatever its status; redirects are answers like any other.

        Raises:
            InvalidInput: it is no URL of a web server.
            PermissionDenied: the allow-list does not cover it, or its name stands for a private address.
            Unavailable: no answer in time, or no connection.
        """
        parsed, host, port = _parse(url)
        covering = self._covering(parsed.scheme, host, port)
        target = parsed.path or "/"
        if parsed.query:
            target += f"?{parsed.query}"
        address = self._checked_address(host, port, covering)
        named = {"Host": parsed.netloc.rpartition("@")[2], **headers}
        with (
            _translated(host),
            _connected(parsed.scheme, address, host, port=port, timeout_s=self._timeout_s) as opened,
        ):
            opened.request("POST", target, body=body, headers=named, preload_content=False)
            answer = opened.getresponse()
            return Reply(status=answer.status, body=_beginning(answer))

    @contextlib.contextmanager
    def connection(self, host: str, port: int, *, scheme: str) -> Iterator[socket.socket]:
        """Open a connection for another protocol than HTTP, to a checked address; cut when its time is over.

        `scheme` "http" stands for whatever is not encrypted, which the allow-list must name as such.

        Raises:
            PermissionDenied: the allow-list does not cover it, or its name stands for a private address.
            Unavailable: no connection, or it lasted too long.
        """
        address = self._checked_address(host, port, self._covering(scheme, host, port))
        with (
            _translated(host),
            contextlib.closing(socket.create_connection((address, port), self._timeout_s)) as opened,
            # Of a connection that is encrypted later, the socket goes over to somebody else; this one cuts it all the same.
            contextlib.closing(opened.dup()) as twin,
            _bounded(twin, host, timeout_s=self._timeout_s),
        ):
            yield opened

    def _covering(self, scheme: str, host: str, port: int) -> list[Destination]:
        covering = [each for each in self._allowed if each.covers(host, port, scheme=scheme)]
        if not covering:
            shown = f"{scheme}://{host}:{port}"
            raise PermissionDenied(
                f"requests to {shown} are not allowed here; the operator allows destinations in FLYBALL_EGRESS_HOSTS",
                field="url",
            )
        return covering

    def _checked_address(self, host: str, port: int, covering: list[Destination]) -> str:
        try:
            found = [host] if _is_address(host) else self._resolve(host, port)
        except OSError as error:
            raise Unavailable(f"the name '{host}' cannot be resolved") from error
        if not found:
            raise Unavailable(f"the name '{host}' has no address")
        for address in found:
            _check_address(address, host, covering)
        return found[0]


def _parse(url: str) -> tuple[SplitResult, str, int]:
    try:
        parsed = urlsplit(url)
        host, port = (parsed.hostname or "").rstrip("."), parsed.port
    except ValueError as error:
        raise InvalidInput(f"Invalid webhook URL '{url[:200]}': {error}", field="url") from error
    if parsed.scheme not in PORTS:
        raise InvalidInput(
            f"Invalid webhook URL scheme: '{parsed.scheme[:20]}'. Allowed schemes are: https, and http where the operator allows it.",
            field="url",
        )
    # The parser takes line breaks out, so they are looked for in what was given.
    if not host or not host.isascii() or not url.isprintable() or " " in url or len(url) > MOST_URL_CHARACTERS:
        raise InvalidInput(
            f"Webhook URL must include a hostname, written in ASCII, and at most {MOST_URL_CHARACTERS} characters without spaces: "
            f"'{url[:200]}'",
            field="url",
        )
    if host.replace(".", "").isdigit() and not _is_address(host):
        raise InvalidInput(f"Webhook URL host '{host}' is not a canonical IP address literal.", field="url")
    return parsed, host.lower(), port or PORTS[parsed.scheme]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _check_address(address: str, host: str, covering: list[Destination]) -> None:
    if not any(each.exact for each in covering) and not is_public(address):
        raise PermissionDenied(
            f"'{host}' has the address {address}, which is not a public one; the operator allows such a host by its full name in "
            "FLYBALL_EGRESS_HOSTS",
            field="url",
        )


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet, whatever form it is wrapped in.

    >>> is_public("8.8.8.8"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1"), is_public("64:ff9b::7f00:1")
    (True, False, False, False)
    """
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if wrapped is None and found in _NAT64:
            wrapped = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = wrapped or found
    return found.is_global and not found.is_multicast


@contextlib.contextmanager
def _connected(scheme: str, address: str, host: str, *, port: int, timeout_s: float) -> Iterator[HTTPConnection]:
    """Open a connection to a checked address that is cut when its time is over, however slowly the other side drips."""
    opened = (
        HTTPSConnection(
            address, port, timeout=timeout_s, server_hostname=host, assert_hostname=host, cert_reqs="CERT_REQUIRED"
        )
        if scheme == "https"
        else HTTPConnection(address, port, timeout=timeout_s)
    )
    deadline = threading.Timer(timeout_s, _cut, args=[opened])
    deadline.daemon = True
    started = time.monotonic()  # before the timer: what it cuts off has had its time
    deadline.start()
    try:
        opened.connect()
        yield opened
    except (HTTPError, HTTPException, OSError) as error:
        _check_time(host, started, timeout_s, cause=error)
        raise
    else:
        _check_time(host, started, timeout_s)  # an answer that was cut off may look whole
    finally:
        deadline.cancel()
        opened.close()


def _check_time(host: str, started: float, timeout_s: float, *, cause: Exception | None = None) -> None:
    if time.monotonic() - started >= timeout_s:
        raise Unavailable(f"'{host}' did not answer within {timeout_s:g} s") from cause


@contextlib.contextmanager
def _bounded(opened: socket.socket, host: str, *, timeout_s: float) -> Iterator[None]:
    deadline = threading.Timer(timeout_s, _shut, args=[opened])
    deadline.daemon = True
    started = time.monotonic()
    deadline.start()
    try:
        yield
    except OSError as error:
        _check_time(host, started, timeout_s, cause=error)
        raise
    finally:
        deadline.cancel()


def _shut(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)


def _cut(opened: HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        opened.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, HTTPException, OSError) as error:
        raise Unavailable(f"no answer from '{host}': {type(error).__name__}") from error


def _beginning(answer: HTTPResponse) -> bytes:
    return answer.read(MOST_ANSWER_BYTES, decode_content=False) or b""
