"""Webhooks, what they can be told of, and the deliveries that wait, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flyball.kernel.canonical import JsonValue
from flyball.kernel.events import EventKind, Ref, ref


class WebhookEvent(EventKind):
    """What happens to webhooks; documented in `docs/reference/events.md`."""

    CREATED = "webhook.created"
    UPDATED = "webhook.updated"
    DELETED = "webhook.deleted"
    GIVEN_UP = "webhook.given_up"


class WebhookStatus(StrEnum):
    """Whether a webhook is told anything."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class Occasion(StrEnum):
    """What a webhook can be told of, as `<entity>.<action>` of the protocol."""

    REGISTERED_MODEL_CREATED = "registered_model.created"
    MODEL_VERSION_CREATED = "model_version.created"
    MODEL_VERSION_TAG_SET = "model_version_tag.set"
    MODEL_VERSION_TAG_DELETED = "model_version_tag.deleted"
    MODEL_VERSION_ALIAS_CREATED = "model_version_alias.created"
    MODEL_VERSION_ALIAS_DELETED = "model_version_alias.deleted"
    PROMPT_CREATED = "prompt.created"
    PROMPT_VERSION_CREATED = "prompt_version.created"
    PROMPT_TAG_SET = "prompt_tag.set"
    PROMPT_TAG_DELETED = "prompt_tag.deleted"
    PROMPT_VERSION_TAG_SET = "prompt_version_tag.set"
    PROMPT_VERSION_TAG_DELETED = "prompt_version_tag.deleted"
    PROMPT_ALIAS_CREATED = "prompt_alias.created"
    PROMPT_ALIAS_DELETED = "prompt_alias.deleted"
    BUDGET_POLICY_EXCEEDED = "budget_policy.exceeded"
    """Known to clients; never happens here, where there is no gateway with budgets."""

    @property
    def entity(self) -> str:
        """What it happens to."""
        return self.value.partition(".")[0]

    @property
    def action(self) -> str:
        """What happens to it."""
        return self.value.partition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is told of some occasions. The secret signs what is sent, and is shown to nobody."""

    id: str
    name: str
    url: str = field(repr=False)
    """May carry a token of the receiver, so logs do not show it."""
    occasions: tuple[Occasion, ...]
    description: str = ""
    status: WebhookStatus = WebhookStatus.ACTIVE
    secret: str = field(default="", repr=False)
    created_ms: int
    updated_ms: int

    @property
    def ref(self) -> Ref:
        """Name this webhook in events."""
        return ref("webhook", self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened, with what the protocol tells about it."""

    occasion: Occasion
    data: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notice on its way to one webhook: the same id and the same body at every attempt."""

    id: str
    webhook_id: str
    occasion: Occasion
    body: str = field(repr=False)
    attempts: int = 0
    due_ms: int
    created_ms: int
