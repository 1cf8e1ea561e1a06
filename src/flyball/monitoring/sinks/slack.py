"""Incoming webhooks as Slack has them, and Mattermost, Rocket.Chat and others after it: a text with a little markup."""

from __future__ import annotations

import json
from typing import ClassVar

import msgspec

from flyball.monitoring.sinks.entities import Notice
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.posting import JSON, Address
from flyball.monitoring.sinks.rendering import MOST_ALERTS, lines_of, link_to, title

# Slack cuts a text at 40,000 characters.
MOST_CHARACTERS = 20_000


class SlackOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url_from` names the secret that holds the webhook's address: whoever knows the address may write to the channel."""

    url_from: str


class SlackSink:
    """Post a text with Slack's markup."""

    options: ClassVar[type[msgspec.Struct]] = SlackOptions
    hold_ms = 0

    def __init__(self, options: SlackOptions, outside: Outside) -> None:
        self._address = Address("", options.url_from, outside)

    def send(self, notice: Notice) -> str:
        """Post it."""
        parts = [f"*{escaped(title(notice))}*"]
        for alert in notice.alerts[:MOST_ALERTS]:
            lines = [escaped(line) for line in lines_of(alert) if line]
            parts.append("\n".join([*lines, f"<{link_to(alert, notice.server_url)}|look at it>"]))
        more = len(notice.alerts) - MOST_ALERTS
        if more > 0:
            parts.append(f"and {more} more alerts")
        body = json.dumps({"text": "\n\n".join(parts)[:MOST_CHARACTERS]})
        return self._address.post(body.encode(), JSON)


def escaped(text: str) -> str:
    """Take from a text what Slack would read as a link or as a call to everybody.

    >>> escaped("<!channel> & x")
    '&lt;!channel&gt; &amp; x'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
