"""The features that an endpoint will serve, by the signature of its version: what a monitor's slices and groups may name before traffic."""

from __future__ import annotations

import pyarrow as pa

from flyball.artifacts import Artifacts
from flyball.deployment.service import Deployments
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.registry import ModelVersion, Registry
from flyball.server.model_inputs import read_signature
from flyball.serving.capture import FEATURE_PREFIX
from flyball.serving.capture_rules import KEEP_ALL, CaptureRules, Treatment
from flyball.serving.entities import ColumnKind

# As the log holds them: four types, and text for whatever else is no number.
_TYPES = {
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.LONG: pa.int64(),
    ColumnKind.FLOAT: pa.float64(),
    ColumnKind.DOUBLE: pa.float64(),
}


class ServedInputs:
    """Read signatures, of the champion where there is an endpoint, else of the newest version. No model is loaded."""

    def __init__(self, deployments: Deployments, registry: Registry, artifacts: Artifacts) -> None:
        self._deployments = deployments
        self._registry = registry
        self._artifacts = artifacts

    def __call__(self, endpoint: str, model: str) -> dict[str, pa.DataType]:
        """Return the features that will come to the log, with their types; nothing where no signature says."""
        try:
            version, rules = self._version(endpoint, model)
            inputs = read_signature(self._artifacts, version).inputs
        except (NotFound, InvalidInput):
            return {}
        return {
            spec.name: _TYPES.get(spec.kind, pa.string())
            for spec in inputs
            if spec.kind is not ColumnKind.TENSOR and rules.treatment(FEATURE_PREFIX + spec.name) is Treatment.KEEP
        }

    def _version(self, endpoint: str, model: str) -> tuple[ModelVersion, CaptureRules]:
        try:
            found = self._deployments.get(endpoint)
        except NotFound:
            return self._registry.latest_version(model), KEEP_ALL
        return self._registry.get_version(found.model, found.champion.version), found.capture
