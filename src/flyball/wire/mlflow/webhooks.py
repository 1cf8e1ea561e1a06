"""Messages about webhooks."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, Message


class WebhookEvent(Message):
    """What a webhook is told of: enumerations, by name or number."""

    entity: str | int | None = None
    action: str | int | None = None


class Webhook(Message):
    """A webhook; its secret is in no answer."""

    webhook_id: str
    name: str
    url: str
    events: tuple[WebhookEvent, ...]
    status: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None


class WebhookAnswer(Message):
    """Answer: one webhook."""

    webhook: Webhook


class Webhooks(Message):
    """Answer: a page of webhooks."""

    webhooks: tuple[Webhook, ...] = ()
    next_page_token: str | None = None


class WebhookTestResult(Message, omit_defaults=False):
    """What came of trying a webhook out."""

    success: bool


class WebhookAnswered(WebhookTestResult):
    """The address answered, well or badly."""

    response_status: int
    response_body: str


class WebhookUnanswered(WebhookTestResult):
    """The address did not answer, or must not be asked."""

    error_message: str


class WebhookTest(Message):
    """Answer: what came of trying a webhook out."""

    result: WebhookTestResult


class CreateWebhook(Message):
    """Request: have an address told of some events."""

    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: tuple[WebhookEvent, ...] | None = None
    secret: str | None = None
    status: str | int | None = None


class ListWebhooks(Message):
    """Request: a page of webhooks."""

    max_results: Int64 | None = None
    page_token: str | None = None


class TestWebhook(Message):
    """Request: try a webhook out."""

    event: WebhookEvent | None = None
