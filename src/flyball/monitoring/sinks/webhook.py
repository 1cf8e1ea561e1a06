"""Signed webhooks: the notice as JSON, with an HMAC over its key, the time and the body."""

from __future__ import annotations

import json
from typing import ClassVar

import msgspec

from flyball.kernel.delivery import signature
from flyball.monitoring.sinks.entities import Notice
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.posting import JSON, Address
from flyball.monitoring.sinks.rendering import json_of

SIGNATURE_HEADER = "X-Flyball-Signature"
TIMESTAMP_HEADER = "X-Flyball-Timestamp"
DELIVERY_HEADER = "X-Flyball-Delivery-Id"


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to, and what signs it. `url_from` and `secret_from` name secrets: `env:FLYBALL_SECRET_...` or `file:NAME`."""

    secret_from: str
    url: str = ""
    url_from: str = ""


class WebhookSink:
    """Post JSON, signed by HMAC-SHA256."""

    options: ClassVar[type[msgspec.Struct]] = WebhookOptions
    hold_ms = 0

    def __init__(self, options: WebhookOptions, outside: Outside) -> None:
        self._address = Address(options.url, options.url_from, outside)
        self._secret_from = outside.secrets.check(options.secret_from, field="secret_from")
        self._outside = outside

    def send(self, notice: Notice) -> str:
        """Post it. The time and the signature are those of the attempt, so that a receiver may refuse old ones."""
        body = json.dumps(json_of(notice))
        moment = str(self._outside.clock.now_ms() // 1000)
        signed = signature(self._outside.secrets.read(self._secret_from), notice.key, moment=moment, body=body)
        headers = {**JSON, DELIVERY_HEADER: notice.key, TIMESTAMP_HEADER: moment, SIGNATURE_HEADER: signed}
        return self._address.post(body.encode(), headers)
