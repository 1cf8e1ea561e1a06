"""The demo's training pipeline: what a data scientist would write, with the official MLflow client, unmodified."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from flyball.pipelines import pipeline, step

if TYPE_CHECKING:  # the plan needs no library; a step imports what it uses
    import pyarrow as pa

EXPERIMENT = "elec2"


@step
def usable(rows: pa.Table) -> pa.Table:
    """Keep the rows that have every feature and the label."""
    return rows.drop_null()


@step(cache=False)
def fit(rows: pa.Table, *, model: str, dataset: str) -> dict[str, object]:
    """Train, log and register a version; return its number."""
    import mlflow

    from flyball.client import Client
    from flyball.demo.electricity import FEATURES, LABEL
    from flyball.demo.model import make_model

    frame = rows.select([*FEATURES, LABEL]).to_pandas()
    features, label = frame[list(FEATURES)], frame[LABEL]
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(tags={"flyball.pipeline_run": os.environ["PIPELINE_RUN_ID"]}) as run:
        Client().use_dataset(run.info.run_id, dataset, context="training")
        trained = make_model().fit(features.to_numpy(), label)
        mlflow.log_params({"rows": len(frame), "C": 1.0})
        mlflow.log_metric("training_accuracy", float(trained.score(features.to_numpy(), label)))
        logged = mlflow.sklearn.log_model(
            trained,
            name="model",
            registered_model_name=model,
            signature=mlflow.models.infer_signature(features, trained.predict(features.to_numpy())),
            pip_requirements=[
                f"{name}=={version(name)}" for name in ("numpy", "pandas", "scikit-learn", "scipy", "skops")
            ],
            skops_trusted_types=["numpy.clip", "numpy.diff", "numpy.dtype"],
        )
    return {"run_id": run.info.run_id, "version": int(logged.registered_model_version)}


@pipeline
def train(training: pa.Table, *, model: str, dataset: str) -> dict[str, object]:
    """Train a version of a model on a frozen dataset."""
    return fit(usable(training), model=model, dataset=dataset)
