"""Autologging of PyTorch by Lightning: a small network is really trained, and the run it leaves is whole."""

from __future__ import annotations

from pathlib import Path

import lightning
import mlflow
import numpy as np
import torch
from mlflow import MlflowClient
from tests.protocol.autologged import comes_back, files, finished, history
from tests.protocol.serving import TrackingServer
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
RATE = 0.05
ROWS = np.random.default_rng(11).normal(size=(64, 3)).astype(np.float32)
LABELS = (ROWS @ np.array([1.0, -2.0, 0.5], dtype=np.float32)).reshape(-1, 1)


class Line(lightning.LightningModule):  # type: ignore[misc]
    """A straight line, which three epochs can nearly find."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(rows)
        return found

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> None:
        self.log("val_loss", torch.nn.functional.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=RATE)


def test_lightning(tracking_server: TrackingServer, tmp_path: Path) -> None:
    torch.manual_seed(11)
    batches = DataLoader(TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(LABELS)), batch_size=16)
    model = Line()
    mlflow.pytorch.autolog()
    try:
        with mlflow.start_run() as active:
            trainer = lightning.Trainer(
                max_epochs=EPOCHS,
                accelerator="cpu",
                default_root_dir=tmp_path,
                enable_progress_bar=False,
                logger=False,
                enable_checkpointing=False,
            )
            trainer.fit(model, batches, batches)
    finally:
        mlflow.pytorch.autolog(disable=True)
    run, logged = finished(tracking_server, active.info.run_id)
    params = run.data.params
    assert (params["epochs"], params["optimizer_name"], params["lr"]) == (str(EPOCHS), "Adam", str(RATE))
    losses = history(tracking_server, run.info.run_id, "train_loss")
    assert [step for step, _ in losses] == list(range(EPOCHS))
    assert losses[-1][1] < losses[0][1]
    assert losses[-1][1] == float(trainer.callback_metrics["train_loss"])
    assert "model_summary.txt" in files(tracking_server, run.info.run_id)
    assert run.data.tags["Mode"] == "training"
    with torch.no_grad():
        expected = model(torch.from_numpy(ROWS)).numpy()
    comes_back(tracking_server, logged, flavour="pytorch", rows=ROWS, expected=expected, tolerance=1e-6)


def test_checkpoints_are_files_of_the_run(tracking_server: TrackingServer, tmp_path: Path) -> None:
    torch.manual_seed(11)
    batches = DataLoader(TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(LABELS)), batch_size=16)
    model = Line()
    mlflow.pytorch.autolog(log_models=False, checkpoint=True, checkpoint_monitor="val_loss")
    try:
        with mlflow.start_run() as active:
            lightning.Trainer(
                max_epochs=EPOCHS, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, logger=False
            ).fit(model, batches, batches)
    finally:
        mlflow.pytorch.autolog(disable=True)
    run_id = active.info.run_id
    assert MlflowClient(tracking_server.url).get_run(run_id).info.status == "FINISHED"
    assert files(tracking_server, run_id, "checkpoints") == {
        "checkpoints/latest_checkpoint.pth",
        "checkpoints/latest_checkpoint_metrics.json",
    }
    restored = mlflow.pytorch.load_checkpoint(Line, run_id)
    assert torch.equal(restored.layer.weight, model.layer.weight)
