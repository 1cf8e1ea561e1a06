"""Find the run that a verb is about, and refuse what its state forbids."""

from __future__ import annotations

import re

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.tracking.entities import Experiment, Lifecycle, RunInfo
from flyball.tracking.ports import ExperimentStore, RunStore

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_EXPERIMENT_ID = re.compile(r"\s*\+?(?P<sign>-?)(?P<digits>[0-9]+)\s*")


def is_run_id(text: str) -> bool:
    """Tell whether a text has the form of a run's id."""
    return _RUN_ID.fullmatch(text) is not None


def is_model_id(text: str) -> bool:
    """Tell whether a text has the form of a logged model's id."""
    return _MODEL_ID.fullmatch(text) is not None


def run_not_found(run_id: str) -> NotFound:
    """Say that there is no such run."""
    return NotFound(f"Run with id={run_id} not found", field="run_id")


def model_not_found(model_id: str) -> NotFound:
    """Say that there is no such logged model."""
    return NotFound(f"Logged model with ID '{model_id}' not found.", field="model_id")


def read_experiment_id(text: str) -> str:
    """Return the id of an experiment as it is kept: digits without a sign or leading zeros.

    Raises:
        InvalidInput: it is no whole number.
    """
    found = _EXPERIMENT_ID.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"Invalid experiment ID '{text[:100]}'. Experiment ID must be a valid integer.", field="experiment_id"
        )
    return f"{found['sign']}{found['digits'].lstrip('0') or '0'}"


def experiment_not_found(experiment_id: str) -> NotFound:
    """Say that there is no such experiment."""
    return NotFound(f"No Experiment with id={experiment_id} exists", field="experiment_id")


def lock_run(store: RunStore, run_id: str) -> RunInfo:
    """Lock a run, deleted or not.

    Raises:
        NotFound: there is none.
    """
    info = store.lock(run_id) if is_run_id(run_id) else None
    if info is None:
        raise run_not_found(run_id)
    return info


def lock_active_run(store: RunStore, run_id: str) -> RunInfo:
    """Lock a run that may be written to.

    Raises:
        NotFound: there is none.
        InvalidInput: it is deleted.
    """
    info = lock_run(store, run_id)
    if info.lifecycle is not Lifecycle.ACTIVE:
        raise InvalidInput(
            f"The run {run_id} must be in the 'active' state. Current state is {info.lifecycle}.", field="run_id"
        )
    return info


def lock_active_experiment(store: ExperimentStore, experiment_id: str) -> Experiment:
    """Lock an experiment that may get runs and models.

    Raises:
        NotFound: there is none.
        InvalidInput: it is deleted.
    """
    experiment = store.lock(read_experiment_id(experiment_id))
    if experiment is None:
        raise experiment_not_found(experiment_id)
    if experiment.lifecycle is not Lifecycle.ACTIVE:
        raise InvalidInput(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is {experiment.lifecycle}.",
            field="experiment_id",
        )
    return experiment
