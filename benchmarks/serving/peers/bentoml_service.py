"""A BentoML service with adaptive batching: `bentoml serve bentoml_service:Model`, the model's folder in BENCH_MODEL."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import plain_model

# BentoML looks at annotations while it reads the class, so they are no strings here.
Rows = np.ndarray


@bentoml.service(workers=1, traffic={"timeout": 60})
class Model:
    """One method for rows as JSON, which are batched, and one for a file of rows."""

    def __init__(self):
        self._predict = plain_model.load(Path(os.environ["BENCH_MODEL"]))

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=1_000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predict rows."""
        return self._predict(rows)

    @bentoml.api
    def predict_file(self, file: Path) -> np.ndarray:
        """Predict the rows of an `.npy` file."""
        return self._predict(np.load(file))
