"""Shapes of pipeline runs."""

from __future__ import annotations

import msgspec

from flyball.wire.v1 import Body, Shape


class NewPipelineRun(Body):
    """A pipeline as `module:function`, and its parameters; `{"dataset": "<name>/<n>"}` stands for a dataset version."""

    pipeline: str
    parameters: dict[str, msgspec.Raw]


class StepInfo(Shape):
    """A step of a run."""

    name: str
    state: str
    cached: bool
    error: str


class PipelineRunInfo(Shape):
    """A pipeline run; `result` is the JSON value the pipeline returned."""

    id: str
    pipeline: str
    state: str
    steps: list[StepInfo]
    result: msgspec.Raw
    error: str


class PipelineRunList(Shape):
    """Pipeline runs, newest first."""

    runs: list[PipelineRunInfo]
