"""What this process knows of the runs and logged models that it makes, so that logging needs no answer from a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class KnownRun:
    """A run. `made_here` tells whether all that it was made with is known."""

    run_id: str
    made_here: bool
    experiment_id: str = ""
    artifact_uri: str = ""
    name: str = ""
    user_id: str = ""
    status: str = "RUNNING"
    start_ms: int = 0
    end_ms: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    latest: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    dataset_inputs: list[Any] = field(default_factory=list)
    model_inputs: list[Any] = field(default_factory=list)
    model_outputs: list[Any] = field(default_factory=list)

    def note_point(self, key: str, step: int, timestamp_ms: int, value: float) -> None:
        """Keep a point if it is the latest: by step, then by time."""
        before = self.latest.get(key)
        if before is None or (step, timestamp_ms) >= before[:2]:
            self.latest[key] = (step, timestamp_ms, value)


@dataclass(slots=True, kw_only=True)
class KnownModel:
    """A logged model that this process makes."""

    model_id: str
    experiment_id: str
    artifact_uri: str
    name: str
    model_type: str
    source_run_id: str
    created_ms: int
    status: str = "PENDING"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
