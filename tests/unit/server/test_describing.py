"""A version whose run says what it was trained on carries that data's profile and sketches from its registration on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flyball.datasets import DatasetVersion
from flyball.monitoring.sketches import Sketches
from flyball.registry import EvidenceKind, ModelVersion
from flyball.server import describing
from flyball.server.describing import describe_from_run
from flyball.server.platform import Platform

ACTOR = "user:owner"
MODEL_ID = "m-" + "0" * 31 + "1"
ML_MODEL = b"""
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}, {"type": "string", "name": "kind", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""


@pytest.fixture
def training(platform: Platform) -> DatasetVersion:
    generator = np.random.default_rng(1)
    rows = {
        "x": generator.normal(0, 1, 500),
        "kind": generator.choice(["a", "b"], 500),
        "label": generator.integers(0, 2, 500),
    }
    return platform.datasets.add_table("power", pa.table(rows), source="made", actor=ACTOR)


def _version(platform: Platform, training: DatasetVersion | None, *, context: str = "training") -> ModelVersion:
    run = platform.tracking.runs.create("0", actor=ACTOR).info.run_id
    if training is not None:
        platform.note_use(run, training, context=context, actor=ACTOR)
    platform.artifacts.put(f"model/{MODEL_ID}", "MLmodel", [ML_MODEL])
    platform.registry.create_model("elec", actor=ACTOR)
    source = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
    return platform.registry.create_version("elec", source=source, model_id=MODEL_ID, run_id=run, actor=ACTOR)


def test_the_features_of_the_training_set_travel_with_the_version(platform: Platform, training: DatasetVersion) -> None:
    version = _version(platform, training)
    describe_from_run(platform, version, actor=ACTOR)
    evidence = platform.registry.evidence("elec", 1)
    assert evidence[EvidenceKind.PROFILE] == training.profile_digest
    sketches = Sketches.from_json(platform.artifacts.read_json(evidence[EvidenceKind.SKETCHES]))
    assert set(sketches.inputs.columns) == {"x", "kind"}
    assert sketches.inputs.rows == 500


def test_what_is_too_large_to_sketch_at_once_has_a_profile_only(
    platform: Platform, training: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "MOST_CELLS", 999)
    describe_from_run(platform, _version(platform, training), actor=ACTOR)
    assert set(platform.registry.evidence("elec", 1)) == {EvidenceKind.PROFILE}


def test_a_version_without_a_training_set_is_registered_all_the_same(
    platform: Platform, training: DatasetVersion
) -> None:
    describe_from_run(platform, _version(platform, training, context="evaluation"), actor=ACTOR)
    assert platform.registry.evidence("elec", 1) == {}
