"""An MLflow server as a source, over its REST protocol; what the protocol does not show cannot be taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.tracking.entities import Experiment, ExperimentId, Lifecycle, LoggedModel
from flyball.transfer.entities import BATCH_POINTS, Census, FoundModel, FoundRun, Point, SourceDescription
from flyball.transfer.mlflow.answers import read_logged_model, read_number, read_pairs, read_run
from flyball.transfer.mlflow.http import Answer, MlflowHttp
from flyball.transfer.mlflow.proxy import ProxyFiles
from flyball.transfer.mlflow.server_registry import ServerRegistry
from flyball.transfer.ports import FileSource

API = "/api/2.0/mlflow/"
PAGE = 1_000
# The most that a server gives in one answer.
HISTORY_PAGE = 25_000
NOT_SHOWN = (
    "deleted logged models, evaluation datasets, webhooks, users: the protocol gives no list of them that is read here"
)


class MlflowServer:
    """The source behind a server's URL."""

    def __init__(self, http: MlflowHttp) -> None:
        self._http = http
        self._files = ProxyFiles(http)
        self._registry = ServerRegistry(http)
        self._has_logged_models = True
        version = self._version()
        self._found = list(self._pages("experiments/search", {"view_type": "ALL"}, "experiments"))
        self._description = SourceDescription(
            name=http.url, kind="MLflow server", detail={"version": version, "not shown": NOT_SHOWN}
        )

    @property
    def description(self) -> SourceDescription:
        return self._description

    @property
    def files(self) -> FileSource:
        return self._files

    def census(self) -> Census:
        return Census(experiments=len(self._found))

    def experiments(self) -> Iterator[Experiment]:
        for each in sorted(self._found, key=lambda each: int(str(each["experiment_id"]))):
            yield Experiment(
                experiment_id=ExperimentId(str(each["experiment_id"])),
                name=str(each["name"]),
                artifact_location=str(each.get("artifact_location", "")),
                lifecycle=Lifecycle(str(each.get("lifecycle_stage", "active"))),
                created_ms=read_number(each, "creation_time"),
                updated_ms=read_number(each, "last_update_time"),
                tags=read_pairs(each.get("tags")),
            )

    def runs(self, experiment_id: str) -> Iterator[FoundRun]:
        asked = {"experiment_ids": [experiment_id], "run_view_type": "ALL", "order_by": ["attributes.run_id"]}
        for each in self._pages("runs/search", asked, "runs"):
            run = read_run(each)
            data = cast("Answer", each.get("data") or {})
            keys = sorted(str(metric["key"]) for metric in cast("list[Answer]", data.get("metrics") or []))
            yield FoundRun(run=run, batches=self._batches(run.info.run_id, keys))

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        if not self._has_logged_models:
            return
        try:
            for each in self._pages("logged-models/search", {"experiment_ids": [experiment_id]}, "models", most=50):
                yield read_logged_model(each)
        except NotFound:  # a server before MLflow 3
            self._has_logged_models = False

    def registered_models(self) -> Iterator[FoundModel]:
        return self._registry.models()

    def not_taken(self) -> Mapping[str, int]:
        return {name: count for name, count in {"traces": self._count_traces()}.items() if count}

    def damaged(self) -> Sequence[str]:
        return ()

    def close(self) -> None:
        self._http.close()

    def _version(self) -> str:
        try:
            version = self._http.text("/version").strip()
        except NotFound as error:
            raise InvalidInput(f"{self._http.url} is no MLflow server: it has no /version", field="source") from error
        if not version[:1].isdigit():
            raise InvalidInput(f"{self._http.url} is no MLflow server: /version is no version", field="source")
        return version[:40]

    def _pages(self, path: str, asked: Mapping[str, object], field: str, *, most: int = PAGE) -> Iterator[Answer]:
        token = ""
        while True:
            body = {**asked, "max_results": most, **({"page_token": token} if token else {})}
            answer = self._http.post(API + path, body)
            yield from cast("list[Answer]", answer.get(field) or [])
            token = str(answer.get("next_page_token") or "")
            if not token:
                return

    def _batches(self, run_id: str, keys: Sequence[str]) -> Iterator[list[Point]]:
        batch: list[Point] = []
        for key in keys:
            for point in self._history(run_id, key):
                batch.append(point)
                if len(batch) == BATCH_POINTS:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _history(self, run_id: str, key: str) -> Iterator[Point]:
        token = ""
        while True:
            asked = {"run_id": run_id, "metric_key": key, "max_results": str(HISTORY_PAGE)}
            answer = self._http.get(API + "metrics/get-history", {**asked, **({"page_token": token} if token else {})})
            for each in cast("list[Answer]", answer.get("metrics") or []):
                value = float(str(each.get("value", math.nan)))
                yield key, read_number(each, "timestamp"), read_number(each, "step"), value
            token = str(answer.get("next_page_token") or "")
            if not token:
                return

    def _count_traces(self) -> int:
        """Count traces as far as one page shows, enough to say that there are some."""
        found = 0
        for each in self._found:
            asked = {
                "locations": [
                    {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": each["experiment_id"]}}
                ],
                "max_results": 100,
            }
            try:
                found += len(
                    cast("list[Answer]", self._http.post("/api/3.0/mlflow/traces/search", asked).get("traces") or [])
                )
            except NotFound:
                return 0
        return found
