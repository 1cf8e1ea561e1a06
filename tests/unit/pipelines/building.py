"""Build the service and the modules of a project for the tests of pipelines."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.service import Artifacts
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events.service import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.pipelines.entities import PipelineRun
from flyball.pipelines.limits import Limits
from flyball.pipelines.ports import DatasetResolver
from flyball.pipelines.service import Pipelines
from flyball.pipelines.sql import SqlPipelineStore


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder of user code, and the service that runs it."""

    code: Path
    pipelines: Pipelines
    artifacts: Artifacts
    events: EventLog

    def write(self, source: str, module: str = "shop") -> None:
        (self.code / f"{module}.py").write_text(
            "from flyball.pipelines import pipeline, step\n" + textwrap.dedent(source), encoding="utf-8"
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.code), "PATH": os.environ["PATH"]}

    def run(self, pipeline: str = "shop:main", **parameters: JsonValue) -> PipelineRun:
        submitted = self.pipelines.submit(pipeline, parameters, actor="user:owner")
        return self.pipelines.execute(submitted.id, environment=self.environment, holder="test")

    def again(self, run: PipelineRun) -> PipelineRun:
        self.pipelines.resume(run.id, actor="user:owner")
        return self.pipelines.execute(run.id, environment=self.environment, holder="test")

    def log(self, run: PipelineRun, step: str | None = None) -> str:
        return b"".join(self.pipelines.log(run.id, step)).decode()

    def kinds(self, run: PipelineRun) -> list[str]:
        return [event.kind.removeprefix("pipeline_run.") for event in self.events.history(run.ref)]


def build_project(
    folder: Path,
    database: Database,
    clock: Clock,
    *,
    resolver: DatasetResolver | None = None,
    limits: Limits | None = None,
) -> Project:
    code = folder / "code"
    code.mkdir(exist_ok=True)
    artifacts = Artifacts(FolderBlobStore(folder / "artifacts"), SqlNameStore(database), database)
    events = EventLog(SqlEventStore(database), clock)
    pipelines = Pipelines(
        SqlPipelineStore(database),
        artifacts,
        SqlLeaseStore(database, clock),
        events,
        clock,
        database,
        resolver=resolver,
        limits=limits,
    )
    return Project(code=code, pipelines=pipelines, artifacts=artifacts, events=events)
