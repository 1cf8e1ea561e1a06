"""A monitor comes from the endpoint's traffic, its version's evidence, and the file in the model's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import predictions
from tests.unit.server.conftest import SettingsFor

from flyball.kernel.db import open_database
from flyball.monitoring import Monitor, describe
from flyball.monitoring.entities import Label
from flyball.server.home import prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform, open_platform
from flyball.server.proposing import propose, set_monitors
from flyball.server.worker import Worker

ACTOR = "user:owner"
MODEL_ID = "m-" + "0" * 31 + "1"
HOUR_MS = 3_600_000


@pytest.fixture
def deployed(settings_for: SettingsFor) -> Iterator[Platform]:
    """Return a platform whose endpoint answers with a described version, and whose monitors set themselves."""
    settings = settings_for(port="1", monitors="set")
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as platform:
        platform.artifacts.put(f"model/{MODEL_ID}", "MLmodel", [b"flavors: {}\n"])
        platform.registry.create_model("elec", actor=ACTOR)
        source = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
        platform.registry.create_version("elec", source=source, model_id=MODEL_ID, actor=ACTOR)
        for kind, content in describe(pa.table({"x": np.arange(300) / 7})).items():
            platform.registry.attach("elec", 1, kind, platform.artifacts.put_json(content), actor=ACTOR)
        platform.deployments.create("live", "elec", 1, actor=ACTOR)
        yield platform


def _serve(platform: Platform, rows: int) -> None:
    ids, times = [f"p{row}" for row in range(rows)], [row * 60_000 for row in range(rows)]
    platform.predictions.accept("live", predictions(ids, times, [1] * rows, features={"x": [1.0] * rows}))
    labels = [Label(prediction_id=ids[row], value=1, time_ms=times[row] + 5 * HOUR_MS) for row in range(rows)]
    platform.predictions.add_labels("live", labels, revise=False, actor=ACTOR)


def test_a_proposal_follows_from_the_log(deployed: Platform) -> None:
    _serve(deployed, 1_500)
    found = propose(deployed, "live")
    assert (found.monitor.name, found.monitor.model) == ("live", "elec")
    assert (found.monitor.window, found.monitor.label_maturity) == ("1d", "5h")
    assert deployed.monitors.list() == []


def test_the_file_in_the_model_s_folder_stands(deployed: Platform) -> None:
    deployed.artifacts.put(f"model/{MODEL_ID}", "monitor.yaml", [b"monitor: elec-live\nwindow: 7d\n"])
    found = propose(deployed, "live").monitor
    assert (found.name, found.window, found.endpoint) == ("elec-live", "7d", "live")


def test_a_monitor_sets_itself_once_there_is_traffic(deployed: Platform) -> None:
    assert set_monitors(deployed, actor=ACTOR) == []
    _serve(deployed, 1_500)
    Worker(deployed).round()
    assert [one.name for one in deployed.monitors.list()] == ["live"]
    assert deployed.monitors.unmonitored(deployed.deployments.list()) == ()
    assert set_monitors(deployed, actor=ACTOR) == []


def test_a_monitor_written_in_python_is_the_same_file(deployed: Platform) -> None:
    written = Monitor(monitor="own", endpoint="live", model="elec", window="1d", label_maturity="1d")
    assert deployed.monitors.put(written.to_json(), actor=ACTOR) == written
