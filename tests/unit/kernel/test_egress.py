"""Requests to the outside go where the operator allows, to the address that was checked, and end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.receiver import Receiver, receiving

from flyball.kernel.egress import Destination, Egress, is_public, parse_destinations
from flyball.kernel.errors import InvalidInput, PermissionDenied, Unavailable


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def egress(allowed: str, *, timeout_s: float = 5, addresses: list[str] | None = None) -> Egress:
    resolve = None if addresses is None else (lambda _host, _port: addresses)
    return Egress(parse_destinations(allowed, field="egress_hosts"), timeout_s=timeout_s, resolve=resolve)


def port_of(receiver: Receiver) -> str:
    return receiver.url.rpartition(":")[2]


def test_a_list_of_destinations_is_read() -> None:
    assert parse_destinations(" *.example.com , http://[::1]:80,Host:8443", field="f") == (
        Destination(host="*.example.com"),
        Destination(host="::1", port=80, plain=True),
        Destination(host="host", port=8443),
    )
    assert parse_destinations("", field="f") == ()


@pytest.mark.parametrize("entry", ["http://", "host/path", "a*b", "*.*", "host:port", "[::1", "user@host"])
def test_an_entry_that_is_no_destination_is_named(entry: str) -> None:
    with pytest.raises(InvalidInput, match="is no destination") as caught:
        parse_destinations(entry, field="egress_hosts")
    assert caught.value.field == "egress_hosts"


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("*", "https://example.com/x"),
        ("*.example.com", "https://a.b.example.com"),
        ("example.com:8443", "https://EXAMPLE.com:8443/"),
        ("http://10.0.0.1", "http://10.0.0.1/x"),
        ("*, http://hooks.local", "http://hooks.local:8080/x?y=1"),
    ],
)
def test_what_the_list_covers_is_allowed(allowed: str, url: str) -> None:
    egress(allowed).check(url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("", "https://example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://badexample.com"),
        ("example.com:8443", "https://example.com"),
        ("example.com", "http://example.com"),
        ("*", "https://127.0.0.1/"),
        ("*", "https://[::1]/"),
        ("*", "https://[::ffff:10.0.0.1]/"),
        ("*", "https://169.254.169.254/latest"),
        ("*", "http://example.com"),
        ("http://*", "http://192.168.1.1"),
    ],
)
def test_what_the_list_does_not_cover_is_refused(allowed: str, url: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        egress(allowed).check(url)
    assert "FLYBALL_EGRESS_HOSTS" in caught.value.message


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "https://", "//x", "http://[invalid", "https://exa mple.com", "https://0177.0.0.1",
            "https://127.1", "https://example.com:99999", "https://ex\nample.com", "https://bücher.example"]
)  # fmt: skip
def test_what_is_no_url_of_a_web_server_is_an_error(url: str) -> None:
    with pytest.raises(InvalidInput):
        egress("*, http://*").check(url)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
                "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1",
                "2002:7f00:1::", "64:ff9b::a00:1"]
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_internet_is_known_in_every_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"])
def test_an_address_of_the_public_internet_is_known(address: str) -> None:
    assert is_public(address)


def test_a_name_with_one_private_address_is_refused_though_the_list_covers_it() -> None:
    for addresses in (["10.0.0.1"], ["8.8.8.8", "127.0.0.1"]):
        with pytest.raises(PermissionDenied, match="not a public one"):
            egress("*", addresses=addresses).post("https://example.com/x", b"", {})


def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    out = egress("http://hooks.example", addresses=["127.0.0.1"])
    reply = out.post(f"http://hooks.example:{port_of(receiver)}/a/b?c=d", b"body", {"X-One": "1"})
    assert (reply.status, reply.body) == (200, b"thanks")
    (received,) = receiver.received
    assert (received.path, received.body, received.headers["x-one"]) == ("/a/b?c=d", "body", "1")
    assert received.headers["host"] == f"hooks.example:{port_of(receiver)}"


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [302]
    assert egress("http://127.0.0.1").post(receiver.url, b"", {}).status == 302
    assert [each.path for each in receiver.received] == ["/"]


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert egress("http://127.0.0.1").post(receiver.url, b"", {}).status == 200


def test_a_receiver_that_hangs_is_left(receiver: Receiver) -> None:
    receiver.answers = [0]
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer within"):
        egress("http://127.0.0.1", timeout_s=0.5).post(receiver.url, b"", {})
    assert time.monotonic() - started < 60


def test_a_receiver_that_drips_is_left_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.1):
                    try:
                        connection.sendall(b"X-A: b\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(Unavailable):
                egress("http://127.0.0.1", timeout_s=0.6).post(
                    f"http://127.0.0.1:{listening.getsockname()[1]}/", b"", {}
                )
        finally:
            stop.set()
            thread.join()


def test_a_name_without_address_and_a_port_nobody_listens_on_are_passing_faults() -> None:
    with pytest.raises(Unavailable, match="cannot be resolved"):
        egress("http://*").post("http://nobody.invalid/", b"", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(Unavailable):
            egress("http://127.0.0.1").post(url, b"", {})


def test_a_certificate_that_nobody_vouches_for_is_refused(receiver: Receiver) -> None:
    with pytest.raises(Unavailable):
        egress("127.0.0.1").post(receiver.url.replace("http://", "https://"), b"", {})
