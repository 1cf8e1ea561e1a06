"""E-mail by SMTP: encrypted by STARTTLS or from the start, or in plain where the operator allows that host in plain."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum
from typing import ClassVar

import msgspec

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.monitoring.sinks.entities import Notice
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.rendering import text_of, title

MOST_RECIPIENTS = 50
MOST_PORT = 65_535
_HOST = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9:])?")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


class Security(StrEnum):
    """How the connection is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class EmailOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mail server, and from whom to whom.

    `security: none` is refused unless the operator allows the host as `http://host:port`, which stands for whatever is in
    plain. `ca_from` names a file of certificates (PEM) where the server's is from an authority of your own.
    """

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    security: Security = Security.STARTTLS
    user: str = ""
    password_from: str = ""
    ca_from: str = ""


class EmailSink:
    """Send one mail a notice."""

    options: ClassVar[type[msgspec.Struct]] = EmailOptions
    hold_ms = 0

    def __init__(self, options: EmailOptions, outside: Outside) -> None:
        _check(options)
        for reference, field in ((options.password_from, "password_from"), (options.ca_from, "ca_from")):
            if reference:
                outside.secrets.check(reference, field=field)
        self._options = options
        self._outside = outside

    def send(self, notice: Notice) -> str:
        """Hand it to the mail server; a mail that was handed over twice has the same Message-ID."""
        options = self._options
        message = _message(options, notice, now_ms=self._outside.clock.now_ms())
        context = self._context()
        password = self._outside.secrets.read(options.password_from) if options.password_from else ""
        scheme = "http" if options.security is Security.NONE else "smtp"
        with self._outside.egress.connection(options.host, options.port, scheme=scheme) as opened:
            try:
                return _converse(opened, options, message, context=context, password=password)
            except (smtplib.SMTPException, ssl.SSLError) as error:
                raise Unavailable(f"the mail server did not take it: {_said(error)}") from error

    def _context(self) -> ssl.SSLContext:
        if not self._options.ca_from:
            return ssl.create_default_context()
        authority = self._outside.secrets.read(self._options.ca_from)
        try:
            return ssl.create_default_context(cadata=authority)
        except ssl.SSLError as error:
            raise Unavailable("'ca_from' holds no certificate (PEM)") from error


class _Conversation(smtplib.SMTP):
    """SMTP over a connection that was checked and opened already; the name is the one that the certificate must have."""

    def __init__(self, opened: socket.socket, host: str) -> None:
        self._opened = opened
        super().__init__(local_hostname="flyball.invalid", timeout=opened.gettimeout() or 1.0)
        self._host = host
        self.connect(host, 0)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port, timeout
        return self._opened


def _converse(
    opened: socket.socket, options: EmailOptions, message: EmailMessage, *, context: ssl.SSLContext, password: str
) -> str:
    secured = options.security is Security.TLS
    stream = context.wrap_socket(opened, server_hostname=options.host) if secured else opened
    with _Conversation(stream, options.host) as server:
        if options.security is Security.STARTTLS:
            server.starttls(context=context)
        if options.user:
            server.login(options.user, password)
        refused = server.send_message(message)
    if refused:
        # Whoever was taken has the mail; a second attempt would reach them twice, and those refused again not.
        return f"taken, except for {', '.join(sorted(refused))}"
    return "taken"


def _message(options: EmailOptions, notice: Notice, *, now_ms: int) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(title(notice).split())
    message["From"] = Address("Flyball", addr_spec=options.sender)
    message["To"] = tuple(Address(addr_spec=each) for each in options.to)
    message["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, tz=UTC))
    message["Message-ID"] = f"<{notice.key}@{options.sender.rpartition('@')[2]}>"
    # Says to mail programs that nobody wrote this, so that no absence is announced to it (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text_of(notice) + "\n")
    return message


def _check(options: EmailOptions) -> None:
    if not _HOST.fullmatch(options.host):
        raise InvalidInput("'host' must be the name or the address of a mail server", field="host")
    if not 1 <= options.port <= MOST_PORT:
        raise InvalidInput(f"'port' must lie between 1 and {MOST_PORT}", field="port")
    if not 1 <= len(options.to) <= MOST_RECIPIENTS:
        raise InvalidInput(f"'to' must name 1 to {MOST_RECIPIENTS} addresses", field="to")
    for field, address in (("sender", options.sender), *(("to", each) for each in options.to)):
        if not _ADDRESS.fullmatch(address):
            raise InvalidInput(f"'{address[:120]}' is no address such as oncall@example.com", field=field)
    if bool(options.user) != bool(options.password_from):
        raise InvalidInput("'user' and 'password_from' belong together", field="password_from")
    if options.user and options.security is Security.NONE:
        raise InvalidInput("a password is not sent in plain; use starttls or tls", field="security")


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {said}"
    return str(error) or type(error).__name__
