"""Autologging of Keras, on the backend that is there anyway: a small network is really trained, and its run is whole."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is first imported

import keras
import mlflow
import numpy as np
from tests.protocol.autologged import comes_back, files, finished, history
from tests.protocol.serving import TrackingServer

EPOCHS = 3
ROWS = np.random.default_rng(11).normal(size=(64, 3)).astype(np.float32)
LABELS = (ROWS @ np.array([1.0, -2.0, 0.5], dtype=np.float32)).reshape(-1, 1)


def test_keras(tracking_server: TrackingServer) -> None:
    keras.utils.set_random_seed(11)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse", metrics=["mae"])
    mlflow.keras.autolog()
    try:
        with mlflow.start_run() as active:
            told = model.fit(
                ROWS,
                LABELS,
                epochs=EPOCHS,
                batch_size=16,
                validation_data=(ROWS[:32], LABELS[:32]),
                verbose=0,
                shuffle=False,
            ).history
    finally:
        mlflow.keras.autolog(disable=True)
    run, logged = finished(tracking_server, active.info.run_id)
    params = run.data.params
    assert (params["batch_size"], params["epochs"], params["optimizer_name"]) == (
        "16",
        str(EPOCHS),
        model.optimizer.name,
    )
    for key in ("loss", "mae", "val_loss", "val_mae"):
        points = history(tracking_server, run.info.run_id, key)
        assert ([step for step, _ in points], [value for _, value in points]) == (list(range(EPOCHS)), told[key])
    assert "model_summary.txt" in files(tracking_server, run.info.run_id)
    # The client describes validation data only where TensorFlow can be imported, whatever the backend.
    assert [used.tags[0].value for used in run.inputs.dataset_inputs] == ["train"]
    expected = model.predict(ROWS, verbose=0)
    comes_back(tracking_server, logged, flavour="keras", rows=ROWS, expected=expected, tolerance=1e-6)
