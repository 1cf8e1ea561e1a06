"""What deployment refuses, and how it says so."""

from __future__ import annotations

import re

from flyball.deployment.entities import Outcomes, Rollout, RolloutState, is_automation
from flyball.kernel.errors import Conflict, InvalidInput, PermissionDenied

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_name(name: str, *, version: int) -> None:
    """Refuse a name that cannot stand in a URL, and a version below 1."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{name[:80]}' cannot name an endpoint: use up to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit",
            field="name",
        )
    if version < 1:
        raise InvalidInput(f"version {version} cannot be; versions count from 1", field="version")


def check_running(rollout: Rollout) -> None:
    """Refuse to act on a rollout that has ended."""
    if rollout.state is not RolloutState.RUNNING:
        raise Conflict(f"rollout {rollout.id} has ended: {rollout.state.value}, {rollout.reason}", field="rollout")


def check_outcomes(arm: str, outcomes: Outcomes, *, before: Outcomes) -> None:
    """Refuse outcomes that cannot be totals since the start."""
    if not 0 <= outcomes.hits <= outcomes.rows:
        raise InvalidInput(f"{arm}: {outcomes.hits} hits of {outcomes.rows} rows cannot be", field=f"{arm}.hits")
    if outcomes.rows < before.rows:
        raise InvalidInput(
            f"{arm}: {outcomes.rows} rows are fewer than the {before.rows} at the look before; give totals since the start",
            field=f"{arm}.rows",
        )


def forbid_undoing(changed_by: str, *, actor: str, what: str) -> None:
    """Refuse automation that would undo a person's change; its own it may."""
    if is_automation(actor) and not is_automation(changed_by):
        raise PermissionDenied(
            f"{actor} may not undo what {changed_by} decided about {what}; a person must", field="actor"
        )
