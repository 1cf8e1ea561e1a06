"""The files that the demo's engineer wrote, and the training plan among them: who compares reads the same as the loop."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from flyball.demo.electricity import DAY_MS, STEP_MS
from flyball.retraining.loops import TrainingPlan, parse_loop


def written(name: str) -> str:
    """Return the text of a file of the demo."""
    return files("flyball.demo").joinpath("files").joinpath(name).read_text(encoding="utf-8")


def training_plan() -> TrainingPlan:
    """Return which rows the demo's loop trains on and judges by."""
    return parse_loop(written("loop.yaml")).training


def is_held_out(times_ms: np.ndarray, plan: TrainingPlan) -> np.ndarray:
    """Tell of each event time whether its day is a day of the holdout, shape (n,)."""
    held: np.ndarray = (times_ms // DAY_MS) % plan.holdout_every == 0
    return held


def rows_in(duration_ms: int) -> int:
    """Return how many rows of the market a duration has."""
    return duration_ms // STEP_MS
