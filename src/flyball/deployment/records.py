"""What the event log keeps of endpoints and rollouts: payloads and lineage."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from flyball.deployment.entities import Endpoint, Rollout
from flyball.kernel.canonical import JsonValue
from flyball.kernel.events import Edge, Ref, ref
from flyball.serving.capture_rules import rules_json


def describe_endpoint(endpoint: Endpoint) -> dict[str, JsonValue]:
    """Return what an event says of an endpoint: enough to tell who answered at any time."""
    return {
        "endpoint": endpoint.name,
        "model": endpoint.model,
        "generation": endpoint.generation,
        "state": endpoint.state.value,
        "salt": endpoint.salt,
        "routes": [
            {"version": route.version, "share": route.share, "role": route.role.value} for route in endpoint.routes
        ],
        "capture": rules_json(endpoint.capture),
    }


def describe_rollout(rollout: Rollout) -> dict[str, JsonValue]:
    """Return what an event says of a rollout."""
    return {
        "endpoint": rollout.endpoint,
        "champion": rollout.champion,
        "challenger": rollout.challenger,
        "share": rollout.share,
        "stop_rule": cast("JsonValue", asdict(rollout.stop_rule)),
        "state": rollout.state.value,
        "looks": rollout.looks,
        "reason": rollout.reason,
    }


def describe_look(rollout: Rollout) -> dict[str, JsonValue]:
    """Return the evidence of a look as it was seen, so that the verdict can be computed again from the event alone."""
    return describe_rollout(rollout) | {
        "champion_outcomes": cast("JsonValue", asdict(rollout.champion_outcomes)),
        "challenger_outcomes": cast("JsonValue", asdict(rollout.challenger_outcomes)),
        "verdict": cast("JsonValue", asdict(rollout.verdict)) if rollout.verdict else None,
    }


def serves(endpoint: Endpoint) -> Edge:
    """Return the edge from an endpoint to the version in charge."""
    version = f"{endpoint.model}/{endpoint.champion.version}"
    return Edge(subject=ref("endpoint", endpoint.name), relation="serves", object=ref("model-version", version))


def stands_on(rollout: Rollout, endpoint: Endpoint, *, allowed_by: Ref | None) -> tuple[Edge, ...]:
    """Return the edges from a rollout to the version on trial and to the approval that allows it."""
    subject = ref("rollout", rollout.id)
    version = ref("model-version", f"{endpoint.model}/{rollout.challenger}")
    of = Edge(subject=subject, relation="of", object=version)
    return (of,) if allowed_by is None else (of, Edge(subject=subject, relation="allowed-by", object=allowed_by))
