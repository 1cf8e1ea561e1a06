"""A real mail server on loopback, with a certificate of its own, that takes mails, asks for a password, or refuses."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email
import email.policy
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "flyball", "open-sesame"


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """What came, and what is answered to the next mail; empty takes it."""

    port: int = 0
    certificate: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    refusal: str = ""

    async def handle_DATA(self, _server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 -- the name that the server calls
        """Take a mail, or refuse it."""
        if self.refusal:
            return self.refusal
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.secured.append(session.ssl is not None)
        self.senders.append(session.auth_data.decode() if session.authenticated else "")
        return "250 taken"


class _AnyPort(Controller):
    """Learns which port the system chose before it connects to itself, which is how it knows that it listens."""

    def _trigger_server(self) -> None:
        self.port = cast("asyncio.Server", self.server).sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def mailbox(*, password: bool = False, secure: bool = True) -> Iterator[Mailbox]:
    """Listen on a port that the system chooses; with `password` for nobody without it, with `secure` by STARTTLS only."""
    certificate, key = _certificate()
    made = Mailbox(certificate=certificate)
    server = _AnyPort(
        made,
        hostname="127.0.0.1",
        port=0,
        ready_timeout=60.0,
        tls_context=_context(certificate, key) if secure else None,
        require_starttls=secure,
        authenticator=_authenticate if password else None,
        auth_required=password,
    )
    server.start()
    try:
        made.port = server.port
        yield made
    finally:
        server.stop()


def _authenticate(_server: SMTP, _session: object, _envelope: object, _mechanism: str, data: object) -> AuthResult:
    fits = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=fits, handled=False, auth_data=USER.encode())


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        chain, private = Path(folder, "chain"), Path(folder, "key")
        chain.write_text(certificate)
        private.write_text(key)
        context.load_cert_chain(chain, private)
    return context


@lru_cache
def _certificate() -> tuple[str, str]:
    """Make a certificate for `localhost`, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
