"""Load a model from its plain file, as a function from a matrix to an array; for the peers that bring no loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(folder: Path) -> Callable[[Any], Any]:
    """Return what predicts."""
    if (folder / "model.joblib").exists():
        import joblib

        return joblib.load(folder / "model.joblib").predict
    if (folder / "model.json").exists():
        from xgboost import XGBClassifier

        model = XGBClassifier()
        model.load_model(folder / "model.json")
        return model.predict
    return _torch(folder / "model.pt")


def _torch(file: Path) -> Callable[[Any], Any]:
    import numpy as np
    import torch

    model = torch.jit.load(str(file)).eval()

    def predict(rows: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))).numpy()

    return predict
