"""A python function with code of its own runs in the environment that its requirements ask for, which is really made."""

from __future__ import annotations

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.kernel.settings import Settings
from flyball.serving.flavours.pyfunc import PyfuncFlavour
from flyball.serving.isolation.placement import environments_of
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.model_folder import read_model_folder
from flyball.serving.served_model import Place, ServedModel, load_model

TRAINED_WITH = "2.3.3"
CODE = "telling_of_the_author"
TELLING = """
import mlflow.pyfunc
import pandas


class Teller(mlflow.pyfunc.PythonModel):
    def __init__(self, factor):
        self.factor = factor

    def predict(self, context, model_input, params=None):
        if (model_input["size"] < 0).any():
            raise ValueError("a size below zero")
        return {"grown": model_input["size"].to_numpy() * self.factor, "by": [pandas.__version__] * len(model_input)}
"""
SIZES = np.linspace(0.0, 9.0, 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    code, folder = tmp_path_factory.mktemp("code") / f"{CODE}.py", tmp_path_factory.mktemp("pyfunc") / "model"
    code.write_text(TELLING)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(code.parent))
        frame = pd.DataFrame({"size": SIZES})
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=import_module(CODE).Teller(1.5),
            code_paths=[str(code)],
            signature=infer_signature(frame, {"grown": SIZES, "by": np.array(["2"] * 40)}),
            pip_requirements=[f"mlflow-skinny=={version('mlflow-skinny')}", f"pandas=={TRAINED_WITH}", "numpy==2.2.6"],
        )
    del sys.modules[CODE]
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def there(folder: Path, settings: Settings) -> Iterator[ServedModel]:
    model = load_model(folder, allow_pickle=True, isolation=IsolationRules.by(settings).open())
    yield model
    model.close()


def test_it_answers_with_the_library_it_was_logged_with(there: ServedModel) -> None:
    assert version("pandas") != TRAINED_WITH
    assert there.about["place"] == Place.ISOLATED
    assert f"pandas {TRAINED_WITH}" in there.place
    with ThreadPoolExecutor(4) as pool:
        parts = [SIZES[start::4] for start in range(4)]
        for part, found in zip(parts, pool.map(lambda one: there.predict({"size": one}), parts), strict=True):
            np.testing.assert_array_equal(found.labels, part * 1.5)
            assert found.outputs["by"].tolist() == [TRAINED_WITH] * len(part)


def test_what_it_refuses_is_the_callers_to_hear(there: ServedModel) -> None:
    with pytest.raises(InvalidInput, match="a size below zero"):
        there.predict({"size": np.array([-1.0])})
    assert len(there.predict({"size": SIZES}).labels) == len(SIZES)


def test_its_environment_holds_what_it_asks_for_and_nothing_of_ours(there: ServedModel, settings: Settings) -> None:
    (kept,) = environments_of(settings).kept()
    assert {f"pandas=={TRAINED_WITH}", "numpy==2.2.6"} < set(kept.description.installed)
    assert not [name for name in kept.description.installed if name.startswith("flyball")]
    assert kept.in_use


def test_its_code_stays_out_of_this_process(there: ServedModel, folder: Path) -> None:
    assert there.predict({"size": SIZES[:1]}).labels.tolist() == [0.0]
    assert CODE not in sys.modules
    assert not [path for path in sys.path if Path(path).is_relative_to(folder)]


def test_another_environment_does_not_make_it_allowed(folder: Path, settings: Settings) -> None:
    with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
        load_model(folder, allow_pickle=False, isolation=IsolationRules.by(settings).open())
    with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
        PyfuncFlavour().load(read_model_folder(folder), allow_pickle=False)
