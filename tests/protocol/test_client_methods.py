"""Every method of `MlflowClient` that classic machine learning uses is called, and a method that is new is noticed."""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

EXPERIMENTS = {
    "create_experiment", "get_experiment", "get_experiment_by_name", "search_experiments", "rename_experiment",
    "set_experiment_tag", "delete_experiment_tag", "delete_experiment", "restore_experiment",
}  # fmt: skip
RUNS = {
    "create_run", "get_run", "get_parent_run", "search_runs", "update_run", "set_terminated", "delete_run", "restore_run",
    "log_param", "log_metric", "log_batch", "set_tag", "delete_tag", "log_inputs", "log_outputs", "get_metric_history",
}  # fmt: skip
ARTIFACTS = {
    "log_artifact", "log_artifacts", "log_dict", "log_figure", "log_image", "log_stream", "log_table", "log_text", "load_table",
    "list_artifacts", "download_artifacts",
}  # fmt: skip
LOGGED_MODELS = {
    "create_logged_model", "get_logged_model", "search_logged_models", "finalize_logged_model", "delete_logged_model",
    "set_logged_model_tags", "delete_logged_model_tag", "log_model_params", "log_model_artifact", "log_model_artifacts",
    "list_logged_model_artifacts",
}  # fmt: skip
REGISTRY = {
    "create_registered_model", "get_registered_model", "search_registered_models", "update_registered_model",
    "rename_registered_model", "delete_registered_model", "set_registered_model_tag", "delete_registered_model_tag",
    "set_registered_model_alias", "delete_registered_model_alias", "get_model_version_by_alias", "create_model_version",
    "get_model_version", "search_model_versions", "update_model_version", "delete_model_version", "set_model_version_tag",
    "delete_model_version_tag", "copy_model_version", "get_latest_versions", "get_model_version_download_uri",
    "get_model_version_stages", "transition_model_version_stage",
}  # fmt: skip
CLASSIC = EXPERIMENTS | RUNS | ARTIFACTS | LOGGED_MODELS | REGISTRY | {"tracking_uri"}
# Tried elsewhere (prompts, webhooks), or of the generative half, which is answered as "not there".
OTHER_SUBJECTS = ("prompt", "webhook", "trace", "span", "workspace", "mcp_")
EVALUATION_DATASETS = {
    "create_dataset", "get_dataset", "delete_dataset", "search_datasets", "set_dataset_tags", "delete_dataset_tag",
    "add_dataset_to_experiments", "remove_dataset_from_experiments",
}  # fmt: skip


def public_methods() -> dict[str, Callable[..., object]]:
    return {name: value for name, value in inspect.getmembers(MlflowClient) if not name.startswith("_")}


def test_a_method_that_is_new_in_a_release_of_the_client_is_looked_at() -> None:
    others = {name for name in public_methods() if any(word in name for word in OTHER_SUBJECTS)}
    assert set(public_methods()) == CLASSIC | EVALUATION_DATASETS | others


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Note each method that a test calls on the client, and call it."""
    names: set[str] = set()

    def noting(name: str, original: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(original)
        def call(*args: object, **kwargs: object) -> object:
            names.add(name)
            return original(*args, **kwargs)

        return call

    for name, method in public_methods().items():
        if callable(method):
            monkeypatch.setattr(MlflowClient, name, noting(name, method))
    return names


@pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")
def test_each_is_called_and_does_what_it_says(
    tracking_server: TrackingServer, called: set[str], tmp_path: Path
) -> None:
    client = MlflowClient(tracking_server.url)
    assert client.tracking_uri == tracking_server.url
    experiment_id = _experiments(client)
    run_id = _runs(client, experiment_id)
    _artifacts(client, experiment_id, run_id, tmp_path)
    model_id = _logged_models(client, experiment_id, run_id, tmp_path)
    _registry(client, model_id)
    assert CLASSIC - {"tracking_uri"} - called == set()
    assert tracking_server.platform.events.verify().intact


def _experiments(client: MlflowClient) -> str:
    key = client.create_experiment("wind", tags={"team": "grid"})
    client.rename_experiment(key, "solar")
    client.set_experiment_tag(key, "phase", "1")
    client.delete_experiment_tag(key, "team")
    assert client.get_experiment(key).tags == {"phase": "1"}
    client.delete_experiment(key)
    assert client.get_experiment_by_name("solar").lifecycle_stage == "deleted"
    client.restore_experiment(key)
    assert [each.name for each in client.search_experiments(filter_string="tags.phase = '1'")] == ["solar"]
    return str(key)


def _runs(client: MlflowClient, experiment_id: str) -> str:
    parent = client.create_run(experiment_id, run_name="parent")
    run = client.create_run(experiment_id, tags={"mlflow.parentRunId": parent.info.run_id})
    run_id = run.info.run_id
    assert client.get_parent_run(run_id).info.run_name == "parent"
    client.log_param(run_id, "depth", 3)
    client.log_metric(run_id, "loss", 0.5, timestamp=1, step=1)
    client.log_batch(run_id, [Metric("loss", 0.25, 2, 2)], [Param("rate", "0.1")], [RunTag("kept", "1")])
    client.set_tag(run_id, "gone", "1")
    client.delete_tag(run_id, "gone")
    rows = mlflow.data.from_pandas(pd.DataFrame({"x": [1.0]}), name="rows")
    array = mlflow.data.from_numpy(np.ones((2, 2)), name="array")
    for dataset, context in ((rows, "training"), (array, "validation")):
        client.log_inputs(
            run_id, [DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])]
        )
    client.update_run(run_id, status="RUNNING", name="child")
    client.delete_run(run_id)
    client.restore_run(run_id)
    client.set_terminated(run_id, "FINISHED", end_time=5)
    found = client.get_run(run_id)
    assert (found.info.run_name, found.info.status, found.info.end_time) == ("child", "FINISHED", 5)
    assert (found.data.params, found.data.metrics) == ({"depth": "3", "rate": "0.1"}, {"loss": 0.25})
    assert ("kept" in found.data.tags, "gone" in found.data.tags) == (True, False)
    used = {each.dataset.name: each.tags[0].value for each in found.inputs.dataset_inputs}
    assert used == {"rows": "training", "array": "validation"}
    assert [(point.step, point.value) for point in client.get_metric_history(run_id, "loss")] == [(1, 0.5), (2, 0.25)]
    assert [each.info.run_id for each in client.search_runs([experiment_id], "params.depth = '3'")] == [run_id]
    return str(run_id)


def _artifacts(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> None:
    sent = folder / "sent"
    sent.mkdir()
    (sent / "a.bin").write_bytes(bytes(range(256)))
    client.log_artifact(run_id, str(sent / "a.bin"))
    client.log_artifacts(run_id, str(sent), "all")
    client.log_text(run_id, "words", "notes/a.txt")
    client.log_dict(run_id, {"a": [1]}, "notes/a.yaml")
    client.log_stream(run_id, io.BytesIO(b"streamed"), "stream.bin")
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2])
    client.log_figure(run_id, figure, "figure.png")
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    client.log_image(run_id, image, "image.png")
    client.log_image(run_id, image, key="steps", step=3)
    for text in ("one", "two"):  # the second is appended to what the first wrote
        client.log_table(run_id, {"text": [text], "length": [len(text)]}, "table.json")
    listed = {entry.path for entry in client.list_artifacts(run_id)}
    assert listed == {"a.bin", "all", "figure.png", "image.png", "images", "notes", "stream.bin", "table.json"}
    fetched = Path(client.download_artifacts(run_id, "", str(folder)))
    assert (fetched / "all" / "a.bin").read_bytes() == bytes(range(256))
    assert ((fetched / "notes" / "a.txt").read_text(), (fetched / "stream.bin").read_bytes()) == ("words", b"streamed")
    assert (fetched / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name.partition("+timestamp")[0] for path in (fetched / "images").iterdir()} == {"steps+step+3"}
    table = client.load_table(experiment_id, "table.json", run_ids=[run_id], extra_columns=["run_id"])
    assert table.to_dict("list") == {"text": ["one", "two"], "length": [3, 3], "run_id": [run_id, run_id]}


def _logged_models(client: MlflowClient, experiment_id: str, run_id: str, folder: Path) -> str:
    made = client.create_logged_model(experiment_id, name="clf", source_run_id=run_id, model_type="classifier")
    model_id = made.model_id
    client.log_model_params(model_id, {"depth": "3"})
    client.set_logged_model_tags(model_id, {"good": "yes", "old": "1"})
    client.delete_logged_model_tag(model_id, "old")
    (folder / "MLmodel").write_text("flavors: {}\n")
    client.log_model_artifact(model_id, str(folder / "MLmodel"))
    client.log_model_artifacts(model_id, str(folder / "sent"), "data")
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=1)])
    client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
    client.log_metric(run_id, "acc", 0.9, model_id=model_id, dataset_name="rows", dataset_digest="d")
    found = client.get_logged_model(model_id)
    assert (found.params, found.tags["good"], "old" in found.tags) == ({"depth": "3"}, "yes", False)
    assert [(each.key, each.value, each.dataset_name) for each in found.metrics] == [("acc", 0.9, "rows")]
    assert {entry.path for entry in client.list_logged_model_artifacts(model_id)} == {"MLmodel", "data"}
    assert [entry.path for entry in client.list_logged_model_artifacts(model_id, "data")] == ["data/a.bin"]
    best = client.search_logged_models([experiment_id], "metrics.acc > 0.5", order_by=[{"field_name": "metrics.acc"}])
    assert [each.model_id for each in best] == [model_id]
    second = client.create_logged_model(experiment_id).model_id
    client.delete_logged_model(second)
    with pytest.raises(MlflowException, match="not found"):
        client.get_logged_model(second)
    return str(model_id)


def _registry(client: MlflowClient, model_id: str) -> None:
    client.create_registered_model("elec", tags={"team": "grid"})
    source = client.get_logged_model(model_id).artifact_location
    first = client.create_model_version("elec", source, model_id=model_id, tags={"a": "1"})
    assert (first.version, first.status, first.run_id) == (
        "1",
        "READY",
        client.get_logged_model(model_id).source_run_id,
    )
    client.update_registered_model("elec", description="prices")
    client.set_registered_model_tag("elec", "phase", "1")
    client.delete_registered_model_tag("elec", "team")
    client.update_model_version("elec", "1", description="first")
    client.set_model_version_tag("elec", "1", "checked", "yes")
    client.delete_model_version_tag("elec", "1", "a")
    client.set_registered_model_alias("elec", "champion", "1")
    assert client.get_model_version_by_alias("elec", "champion").tags == {"checked": "yes"}
    assert client.copy_model_version("models:/elec@champion", "copies").version == "1"
    assert client.get_model_version_stages("elec", "1") == ["None", "Staging", "Production", "Archived"]
    client.transition_model_version_stage("elec", "1", "Staging")
    assert [each.version for each in client.get_latest_versions("elec", ["Staging"])] == ["1"]
    assert client.get_model_version_download_uri("elec", "1") == source
    client.delete_registered_model_alias("elec", "champion")
    client.rename_registered_model("elec", "power")
    assert client.get_model_version("power", "1").description == "first"
    found = client.get_registered_model("power")
    assert (found.description, found.tags, found.aliases) == ("prices", {"phase": "1"}, {})
    assert {each.name for each in client.search_registered_models()} == {"copies", "power"}
    client.delete_model_version("power", "1")
    assert [each.name for each in client.search_model_versions()] == ["copies"]
    client.delete_registered_model("power")
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model("power")
