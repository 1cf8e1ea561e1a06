"""An approval taken back over HTTP: by who asked or an owner, once, with a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.protocol.serving import TrackingServer

CONTENT = {"model": "0" * 64}


@pytest.fixture
def asked(server: TrackingServer, token_for: Callable[..., str]) -> str:
    """An approval that the engineer asked for."""
    token_for("engineer")
    return str(server.platform.approvals.request("d1", CONTENT, requested_by="user:engineer").id)


def withdraw(server: TrackingServer, approval: str, token: str, reason: str = "not now") -> tuple[int, object]:
    answer = server.request("POST", f"/api/v1/approvals/{approval}/withdraw", json={"reason": reason}, token=token)
    said = answer.json()
    return answer.status, said["error"]["code"] if "error" in said else (said["state"], said["decided_by"])


def test_who_asked_takes_it_back_once(server: TrackingServer, token_for: Callable[..., str], asked: str) -> None:
    token = token_for("engineer")
    assert withdraw(server, asked, token) == (200, ("withdrawn", "user:engineer"))
    assert withdraw(server, asked, token) == (409, "conflict")


def test_an_owner_takes_back_any(server: TrackingServer, asked: str) -> None:
    assert withdraw(server, asked, server.token) == (200, ("withdrawn", "user:owner"))


@pytest.mark.parametrize("role", ["approver", "viewer", "nobody"])
def test_others_do_not(server: TrackingServer, token_for: Callable[..., str], asked: str, role: str) -> None:
    before = server.platform.audit.verify().count
    token = token_for(role) if role != "nobody" else "fb_none"
    status, _ = withdraw(server, asked, token)
    assert status in {401, 403}
    assert server.platform.approvals.get(asked).state == "pending"
    assert server.platform.audit.verify().count <= before + 2  # the identity and its token, where one was made


def test_a_withdrawal_without_a_reason_is_refused(server: TrackingServer, asked: str) -> None:
    assert withdraw(server, asked, server.token, " ") == (400, "invalid_input")
    assert server.platform.approvals.get(asked).state == "pending"
