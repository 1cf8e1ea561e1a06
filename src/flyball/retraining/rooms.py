"""The rooms that a request passes through, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.artifacts import Artifacts
from flyball.datasets import Datasets
from flyball.deployment.service import Deployments
from flyball.governance.approvals import Approvals
from flyball.kernel.db import Database
from flyball.pipelines.service import Pipelines
from flyball.registry import Gatekeeper, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms that a request passes through."""

    artifacts: Artifacts
    datasets: Datasets
    pipelines: Pipelines
    registry: Registry
    gatekeeper: Gatekeeper
    approvals: Approvals
    deployments: Deployments
    database: Database
