"""What every autologged training is held to: the run is whole, and its model comes back by alias and predicts the same."""

from __future__ import annotations

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.models import Model
from tests.protocol.serving import TrackingServer


def finished(server: TrackingServer, run_id: str) -> tuple[Run, LoggedModel]:
    """Return a run that ended well, and the one model that it made."""
    run = MlflowClient(server.url).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time >= run.info.start_time
    assert {"mlflow.source.name", "mlflow.source.type", "mlflow.user"} <= set(run.data.tags)
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert (model.status.value, model.source_run_id) == ("READY", run_id)
    return run, model


def history(server: TrackingServer, run_id: str, key: str) -> list[tuple[int, float]]:
    """Return the points of a metric as step and value, in the order of their steps."""
    points = MlflowClient(server.url).get_metric_history(run_id, key)
    return sorted((point.step, point.value) for point in points)


def files(server: TrackingServer, run_id: str, folder: str | None = None) -> set[str]:
    """Return the paths that a folder of a run lists."""
    return {entry.path for entry in MlflowClient(server.url).list_artifacts(run_id, folder)}


def comes_back(
    server: TrackingServer, model: LoggedModel, *, flavour: str, rows: object, expected: object, tolerance: float = 0.0
) -> Model:
    """Register the model, name it by an alias, load it by that alias, and hold it to its predictions."""
    client = MlflowClient(server.url)
    version = mlflow.register_model(f"models:/{model.model_id}", "trained")
    assert (version.status, version.run_id) == ("READY", model.source_run_id)
    client.set_registered_model_alias("trained", "champion", version.version)
    loaded = mlflow.pyfunc.load_model("models:/trained@champion")
    np.testing.assert_allclose(
        np.asarray(loaded.predict(rows), dtype=float).ravel(),
        np.asarray(expected, dtype=float).ravel(),
        rtol=tolerance,
        atol=tolerance,
    )
    kept = server.platform.registry.get_version("trained", int(version.version))
    assert kept.digest == server.platform.artifacts.tree_digest(f"model/{model.model_id}")
    described = mlflow.models.get_model_info("models:/trained@champion")
    assert flavour in described.flavors
    assert described.signature is not None
    assert described.signature.inputs is not None
    assert described.signature.outputs is not None
    assert server.platform.events.verify().intact
    return described
