"""Experiments where the server may be away: one that is only known by name has an id that says its name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from mlflow.entities import Experiment, LifecycleStage

from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_NAME

_BY_NAME = "name:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """How a record names an experiment, and where the artifacts of its runs are taken to be until the server says."""

    experiment_id: str
    name: str
    location: str


def id_by_name(name: str) -> str:
    """Return the id of an experiment that the server will find or make when the journal is shipped.

    >>> id_by_name("grid load")
    'name:grid%20load'
    """
    return _BY_NAME + quote(name, safe="")


def name_in(experiment_id: str) -> str | None:
    """Return the name in such an id; None for an id that the server gave."""
    return unquote(experiment_id.removeprefix(_BY_NAME)) if experiment_id.startswith(_BY_NAME) else None


def unresolved(name: str) -> Experiment:
    """Stand in for an experiment of a name, of which nothing else is known."""
    experiment_id = id_by_name(name)
    return Experiment(experiment_id, name, f"mlflow-artifacts:/{experiment_id}", LifecycleStage.ACTIVE)


def default() -> Experiment:
    """Stand in for the experiment that every server has."""
    return Experiment(
        DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_NAME, f"mlflow-artifacts:/{DEFAULT_EXPERIMENT}", LifecycleStage.ACTIVE
    )


def whereabouts(experiment_id: str, known: dict[str, Experiment]) -> Whereabouts:
    """Say how a record names an experiment.

    Raises:
        InvalidInput: the id is neither a number nor one with a name in it.
    """
    name = name_in(experiment_id)
    if name is not None:
        return Whereabouts(experiment_id="", name=name, location=f"mlflow-artifacts:/{experiment_id}")
    if experiment_id in known:
        return Whereabouts(experiment_id=experiment_id, name="", location=known[experiment_id].artifact_location)
    if not experiment_id.isdigit():
        raise InvalidInput(f"'{experiment_id}' is no id of an experiment", field="experiment_id")
    return Whereabouts(experiment_id=experiment_id, name="", location=f"mlflow-artifacts:/{experiment_id}")
