"""The files that people of these tests write: monitor, policy, loop, and a training pipeline."""

from __future__ import annotations

MONITOR: dict[str, object] = {
    "monitor": "price",
    "endpoint": "price",
    "model": "price",
    "window": "2d",
    "label_maturity": "1d",
    "origin_ms": 10_000 * 86_400_000,
    "min_rows": 50,
}

POLICY = """
policy: production
rules:
  - rule: signature_present
  - rule: environment_locked
  - rule: beats_champion
    on: recent
    confidence: 0.8
    margin: 0.0
  - rule: no_corrupted_window
"""

LOOP = """
loop: price
endpoint: price
model: price
monitor: price
pipeline: shop:train
policy: production
label_column: up
cool_down: 4d
max_requests: 2
period: 60d
training: {span: 12d, recent: 2d, holdout_every: 3}
canary: {share: 0.5, alpha: 0.05, margin: 0.05, min_rows: 20, max_rows: 60}
"""

# What a data scientist would write, but for the fitting: which version was registered, the test says.
TRAINING = """
import os
import pyarrow as pa
from flyball.pipelines import pipeline, step

@step(cache=False)
def fit(rows: pa.Table, *, model: str, dataset: str) -> dict[str, object]:
    if os.environ["TRAINED"] == "nothing":
        raise RuntimeError("the data does not fit")
    return {"version": int(os.environ["TRAINED"]), "rows": rows.num_rows, "model": model, "dataset": dataset}

@pipeline
def train(training: pa.Table, *, model: str, dataset: str) -> dict[str, object]:
    return fit(training, model=model, dataset=dataset)
"""
