"""Scenes that several tests begin with."""

from __future__ import annotations

import numpy as np
from tests.unit.retraining.stage import NAME, OWNER, Stage

from flyball.deployment.entities import Outcomes, StopRule
from flyball.retraining.entities import Request, RequestState


def waiting(stage: Stage, *, trained: int = 2) -> Request:
    """Bring a request by alert to where it waits for an approval."""
    stage.let_quality_drop()
    request = stage.conduct(trained=trained)
    assert request is not None
    assert request.state is RequestState.AWAITING_APPROVAL, request.reason
    return request


def on_trial(stage: Stage) -> Request:
    """Bring a request by alert into its canary."""
    waiting(stage)
    stage.approve()
    request = stage.conduct()
    assert request is not None
    assert request.state is RequestState.CANARY, request.reason
    return request


def ended(stage: Stage) -> Request:
    request = stage.conduct()
    assert request is not None
    return request


def promote_by_hand(stage: Stage, version: int, *, promote: bool = True) -> None:
    """Let a person put a version on trial, and in charge if wanted, around the loop."""
    rule = StopRule(metric="accuracy", alpha=0.05, margin=0.1, min_rows=1, max_rows=1)
    rollout = stage.platform.deployments.start_rollout(NAME, version, share=0.5, stop_rule=rule, actor=OWNER)
    if promote:
        one = Outcomes(hits=1, rows=1)
        stage.platform.deployments.observe(rollout.id, champion=one, challenger=one, actor=OWNER)
        stage.platform.deployments.promote(rollout.id, actor=OWNER)
        stage.platform.registry.set_alias(NAME, "champion", version, expected=1, actor=OWNER)


def half_missing(x: np.ndarray) -> np.ndarray:
    broken = x.copy()
    broken[::2] = np.nan
    return broken
