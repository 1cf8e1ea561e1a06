"""`flyball model certify` against a real server: a real model is fetched, compared, and its certificate kept as evidence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from tests.protocol.serving import TrackingServer
from tests.unit.cli.test_commands import Run, run, server

from flyball.registry import EvidenceKind

__all__ = ["run", "server"]  # fixtures


@pytest.fixture
def registered(server: TrackingServer, tmp_path: Path) -> Callable[[str, int], str]:
    def register(name: str, example_rows: int) -> str:
        frame = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40.0) % 7})
        model = LinearRegression().fit(frame, frame["x"] + 2 * frame["y"])
        folder = tmp_path / name
        mlflow.sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(frame, model.predict(frame)),
            input_example=frame[:example_rows],
            pip_requirements=["scikit-learn"],
        )
        platform, model_id = server.platform, f"m-{name.encode().hex():0>32}"
        for path in folder.rglob("*"):
            if path.is_file():
                platform.artifacts.put(f"model/{model_id}", str(path.relative_to(folder)), [path.read_bytes()])
        platform.registry.create_model(name, actor="user:owner")
        source = f"mlflow-artifacts:/1/models/{model_id}/artifacts"
        platform.registry.create_version(name, source=source, model_id=model_id, actor="user:owner")
        return f"{name}/1"

    return register


def parity_of(server: TrackingServer, name: str) -> Any:
    kept = server.platform.registry.evidence(name, 1)[EvidenceKind.PARITY]
    return kept, server.platform.artifacts.read_json(kept)


def test_a_version_within_tolerance_is_certified_and_the_proof_is_kept(
    server: TrackingServer, run: Run, registered: Callable[[str, int], str]
) -> None:
    shown = run("model", "certify", registered("line", 20))
    assert (shown.status, shown.err) == (0, "")
    digest, certificate = parity_of(server, "line")
    said = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert said["verdict"] == "within"
    assert said["evidence"] == digest
    assert said["sample"] == f"{certificate['rows']} rows, 20 of them given, {certificate['sample_digest']}"
    assert "(tolerance 10 ppm)" in said["maximum"]
    assert said["label"] == "agreement     1"
    assert said["large"] == "batches       no form of their own"
    assert certificate["verdict"] == "within"
    assert certificate["model_digest"] == server.platform.registry.get_version("line", 1).digest
    event = [event for event in server.platform.events.all() if event.kind == "evidence.attached"][-1]
    assert (event.payload["kind"], event.payload["digest"]) == ("parity", digest)
    assert list((server.platform.settings.home / "fast_path").glob("*/model.onnx"))
    again = run("model", "certify", "line/1")
    assert (again.status, again.out) == (0, shown.out)

    for change, status, match in (
        ({"model_digest": "b" * 64}, 409, "is about the files"),
        ({"verdict": "surely"}, 400, "no parity certificate"),
        ({"signed": "by me"}, 400, "has no 'signed'"),
    ):
        refused = server.request("PUT", "/api/v1/models/line/1/evidence/parity", json={**certificate, **change})
        assert (refused.status, match in json.dumps(refused.json())) == (status, True), refused.data
    assert parity_of(server, "line")[0] == digest


def test_a_sample_that_is_too_small_leaves_it_undecided_and_that_is_evidence_too(
    server: TrackingServer, run: Run, registered: Callable[[str, int], str]
) -> None:
    shown = run("model", "certify", registered("few", 2))
    assert shown.status == 4
    assert "undecided: the sample stored with the model has 2 rows" in shown.out
    assert parity_of(server, "few")[1]["verdict"] == "undecided"


def test_a_version_that_is_not_there_is_an_error(run: Run) -> None:
    shown = run("model", "certify", "nothing/7")
    assert (shown.status, "nothing" in shown.err) == (1, True)
    assert run("model", "certify", "nothing").status == 1
