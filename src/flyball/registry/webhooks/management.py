"""The verbs of webhooks: who is told of what, and whether an address answers."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterable, Mapping

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.egress import Egress
from flyball.kernel.errors import InvalidInput, LimitExceeded, NotFound
from flyball.kernel.events import EventLog
from flyball.registry.webhooks.entities import Occasion, Webhook, WebhookEvent, WebhookStatus
from flyball.registry.webhooks.ports import DeliveryStore, WebhookStore
from flyball.tracking.entities import Page
from flyball.tracking.search import page_of, parse_page_token

MOST_PER_PAGE = 1_000
PER_PAGE = 100
DESCRIPTION_CHARACTERS = 1_000
SECRET_CHARACTERS = 4_000
_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStores:
    """Where webhooks and their deliveries are kept."""

    webhooks: WebhookStore
    deliveries: DeliveryStore


class Webhooks:
    """Webhooks, by people who may manage them. A URL is checked when it is given and again at every request to it."""

    def __init__(
        self, stores: WebhookStores, *, egress: Egress, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._store = stores.webhooks
        self._deliveries = stores.deliveries
        self._egress = egress
        self._events = events
        self._clock = clock
        self._database = database

    def create(
        self,
        name: str,
        *,
        url: str,
        occasions: Iterable[Occasion],
        actor: str,
        description: str = "",
        secret: str = "",
        status: WebhookStatus = WebhookStatus.ACTIVE,
    ) -> Webhook:
        """Have an address told of some occasions.

        Raises:
            InvalidInput: a name, a URL or a list of occasions that cannot be.
            PermissionDenied: requests to this URL are not allowed.
        """
        now = self._clock.now_ms()
        made = Webhook(
            id=str(uuid.uuid4()),
            name=_clean_name(name),
            url=self._clean_url(url),
            occasions=_clean_occasions(occasions),
            description=_within(description, DESCRIPTION_CHARACTERS, field="description"),
            secret=_within(secret, SECRET_CHARACTERS, field="secret"),
            status=status,
            created_ms=now,
            updated_ms=now,
        )
        with self._database.transaction():
            self._store.add(made)
            self._record(WebhookEvent.CREATED, made, _shown(made), actor=actor)
        return made

    def get(self, webhook_id: str) -> Webhook:
        """Return a webhook.

        Raises:
            NotFound: there is none of this id.
        """
        found = self._store.find(webhook_id) if "\x00" not in webhook_id else None
        if found is None:
            raise NotFound(f"Webhook with ID {webhook_id[:80]} not found.", field="webhook_id")
        return found

    def list(self, *, limit: int | None = None, page_token: str = "") -> Page[Webhook]:
        """Return webhooks, newest first.

        Raises:
            InvalidInput: a limit or a page token that cannot be read.
        """
        size = limit or PER_PAGE
        if not 1 <= size <= MOST_PER_PAGE:
            raise InvalidInput(f"max_results must be between 1 and {MOST_PER_PAGE}.", field="max_results")
        offset = parse_page_token(page_token)
        return page_of(self._store.page(offset=offset, limit=size + 1), offset=offset, limit=size)

    def update(
        self,
        webhook_id: str,
        *,
        actor: str,
        name: str | None = None,
        url: str | None = None,
        occasions: Iterable[Occasion] | None = None,
        description: str | None = None,
        secret: str | None = None,
        status: WebhookStatus | None = None,
    ) -> Webhook:
        """Change what is given. A webhook that is disabled forgets the deliveries that wait for it.

        Raises:
            NotFound: there is none of this id.
            InvalidInput: a name, a URL or a list of occasions that cannot be.
            PermissionDenied: requests to this URL are not allowed.
        """
        given = {
            "name": None if name is None else _clean_name(name),
            "url": None if url is None else self._clean_url(url),
            "occasions": None if occasions is None else _clean_occasions(occasions),
            "description": description and _within(description, DESCRIPTION_CHARACTERS, field="description"),
            "secret": secret and _within(secret, SECRET_CHARACTERS, field="secret"),
            "status": status,
        }
        changes = {key: value for key, value in given.items() if value is not None}
        with self._database.transaction():
            before = self.get(webhook_id)
            # A clock may stand still between two changes; the protocol's clients see the second by a later time.
            now = max(self._clock.now_ms(), before.updated_ms + 1)
            changed = dataclasses.replace(before, updated_ms=now, **changes)  # type: ignore[arg-type]
            self._store.save(changed)
            dropped = self._deliveries.drop(webhook_id) if changed.status is WebhookStatus.DISABLED else 0
            payload = {**_shown(changed), "changed": sorted(changes), "dropped": dropped}
            self._record(WebhookEvent.UPDATED, changed, payload, actor=actor)
        return changed

    def delete(self, webhook_id: str, *, actor: str) -> None:
        """Remove a webhook and the deliveries that wait for it.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.transaction():
            gone = self.get(webhook_id)
            dropped = self._deliveries.drop(webhook_id)
            self._store.remove(webhook_id)
            self._record(WebhookEvent.DELETED, gone, {"name": gone.name, "dropped": dropped}, actor=actor)

    def _clean_url(self, url: str) -> str:
        if not url.strip():
            raise InvalidInput(f"Webhook URL cannot be empty or just whitespace: '{url[:80]}'", field="url")
        self._egress.check(url)
        return url

    def _record(self, kind: WebhookEvent, webhook: Webhook, payload: Mapping[str, JsonValue], *, actor: str) -> None:
        self._events.record(kind, actor=actor, subject=webhook.ref, payload=payload)


def _shown(webhook: Webhook) -> dict[str, JsonValue]:
    """Write what the record may show: neither the secret nor the URL, whose path may be one."""
    host = webhook.url.split("/", maxsplit=3)[2].rpartition("@")[2]
    occasions: list[JsonValue] = [occasion.value for occasion in webhook.occasions]
    return {"name": webhook.name, "host": host, "occasions": occasions, "status": webhook.status.value}


def _clean_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"Webhook name '{name[:80]}' is invalid. It must start and end with a letter or digit, be less than 63 characters "
            "long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-).",
            field="name",
        )
    return name


def _clean_occasions(occasions: Iterable[Occasion]) -> tuple[Occasion, ...]:
    found = tuple(dict.fromkeys(occasions))
    if not found:
        raise InvalidInput("Webhook events must be a non-empty list of WebhookEvent objects", field="events")
    return found


def _within(text: str, limit: int, *, field: str) -> str:
    if "\x00" in text:
        raise InvalidInput(f"'{field}' has a NUL character, which no database keeps", field=field)
    if len(text) > limit:
        raise LimitExceeded(f"'{field}' exceeds the maximum length of {limit} characters", field=field)
    return text
