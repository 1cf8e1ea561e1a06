"""Webhooks of the MLflow protocol."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.registry.webhooks import Occasion, Webhook, WebhookStatus
from flyball.registry.webhooks.delivery import Trial
from flyball.server.mlflow.reading import one_of, required
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.wire.mlflow import webhooks as shapes
from flyball.wire.mlflow.message import Empty

# The numbers are those of the protocol's enumerations, which it accepts in the place of the names.
_NUMBERED_ENTITIES = (
    "registered_model",
    "model_version",
    "model_version_tag",
    "model_version_alias",
    "prompt",
    "prompt_version",
    "prompt_tag",
    "prompt_version_tag",
    "prompt_alias",
    "budget_policy",
)
_NUMBERED_ACTIONS = ("created", "updated", "deleted", "set", "exceeded")


def _names(numbered: tuple[str, ...]) -> Mapping[str, str]:
    return {
        **{name.upper(): name for name in numbered},
        **{str(number): name for number, name in enumerate(numbered, start=1)},
    }


_ENTITIES, _ACTIONS = _names(_NUMBERED_ENTITIES), _names(_NUMBERED_ACTIONS)
_STATUSES: Mapping[str, WebhookStatus] = {
    **{status.value: status for status in WebhookStatus},
    "1": WebhookStatus.ACTIVE,
    "2": WebhookStatus.DISABLED,
}


def create(call: Call[shapes.CreateWebhook]) -> shapes.WebhookAnswer:
    """Have an address told of some events."""
    body = call.body
    made = call.platform.webhooks.create(
        required(body.name, "name"),
        url=required(body.url, "url"),
        occasions=_occasions(required(body.events, "events")),
        description=body.description or "",
        secret=body.secret or "",
        status=_status(body.status) or WebhookStatus.ACTIVE,
        actor=call.actor,
    )
    return shapes.WebhookAnswer(webhook=_webhook(made))


def get(call: Call[None]) -> shapes.WebhookAnswer:
    """Return a webhook."""
    return shapes.WebhookAnswer(webhook=_webhook(call.platform.webhooks.get(call.path["webhook_id"])))


def list_all(call: Call[shapes.ListWebhooks]) -> shapes.Webhooks:
    """Return a page of webhooks."""
    page = call.platform.webhooks.list(limit=call.body.max_results, page_token=call.body.page_token or "")
    return shapes.Webhooks(webhooks=tuple(_webhook(each) for each in page.items), next_page_token=page.next_token)


def update(call: Call[shapes.CreateWebhook]) -> shapes.WebhookAnswer:
    """Change what is given of a webhook."""
    body = call.body
    changed = call.platform.webhooks.update(
        call.path["webhook_id"],
        name=body.name or None,
        url=body.url or None,
        occasions=_occasions(body.events) if body.events else None,
        description=body.description,
        secret=body.secret,
        status=_status(body.status),
        actor=call.actor,
    )
    return shapes.WebhookAnswer(webhook=_webhook(changed))


def delete(call: Call[None]) -> Empty:
    """Remove a webhook."""
    call.platform.webhooks.delete(call.path["webhook_id"], actor=call.actor)
    return Empty()


def try_out(call: Call[shapes.TestWebhook]) -> shapes.WebhookTest:
    """Send a made-up event to a webhook now, and return what was answered."""
    event = call.body.event
    trial = call.platform.deliverer.try_out(call.path["webhook_id"], _occasion(event) if event else None)
    return shapes.WebhookTest(result=_result(trial))


def _result(trial: Trial) -> shapes.WebhookTestResult:
    if trial.status is None:
        return shapes.WebhookUnanswered(success=trial.success, error_message=trial.error or "")
    return shapes.WebhookAnswered(success=trial.success, response_status=trial.status, response_body=trial.body or "")


def _webhook(found: Webhook) -> shapes.Webhook:
    return shapes.Webhook(
        webhook_id=found.id,
        name=found.name,
        description=found.description or None,
        url=found.url,
        events=tuple(
            shapes.WebhookEvent(entity=occasion.entity.upper(), action=occasion.action.upper())
            for occasion in found.occasions
        ),
        status=found.status.value,
        creation_timestamp=found.created_ms,
        last_updated_timestamp=found.updated_ms,
    )


def _status(value: str | int | None) -> WebhookStatus | None:
    return None if value is None or value == "" else one_of(value, _STATUSES, field="status")


def _occasions(events: tuple[shapes.WebhookEvent, ...]) -> list[Occasion]:
    return [_occasion(event) for event in events]


def _occasion(event: shapes.WebhookEvent) -> Occasion:
    entity = one_of(event.entity, _ENTITIES, field="events.entity")
    action = one_of(event.action, _ACTIONS, field="events.action")
    try:
        return Occasion(f"{entity}.{action}")
    except ValueError as error:
        valid = sorted(each.action for each in Occasion if each.entity == entity)
        raise InvalidInput(
            f"Invalid action '{action}' for entity '{entity}'. Valid actions are: {valid}", field="events"
        ) from error


_MANAGE = Permission.WEBHOOKS_MANAGE
_ONE = "webhooks/{webhook_id}"

ROUTES = (
    row("POST", "webhooks", permission=_MANAGE, handler=create, request=shapes.CreateWebhook,
        response=shapes.WebhookAnswer),
    row("GET", "webhooks", permission=_MANAGE, handler=list_all, request=shapes.ListWebhooks, response=shapes.Webhooks),
    row("GET", _ONE, permission=_MANAGE, handler=get, response=shapes.WebhookAnswer),
    row("PATCH", _ONE, permission=_MANAGE, handler=update, request=shapes.CreateWebhook,
        response=shapes.WebhookAnswer),
    row("DELETE", _ONE, permission=_MANAGE, handler=delete, response=Empty),
    row("POST", f"{_ONE}/test", permission=_MANAGE, handler=try_out, request=shapes.TestWebhook,
        response=shapes.WebhookTest),
)  # fmt: skip
