"""Batch scoring, in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from flyball.kernel.errors import InvalidInput, Unavailable, Unsupported
from flyball.serving.score import score, score_in_child

from .conftest import SaveModel, truth


class Killer(LinearRegression):  # type: ignore[misc]
    """A model whose pickle ends the process that loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os._exit, (9,))


class Sleeper(LinearRegression):  # type: ignore[misc]
    """A model whose pickle takes its time."""

    def __reduce__(self) -> tuple[Any, ...]:
        import time

        return (time.sleep, (30,))


def test_a_child_scores_as_the_model_does_where_it_was_trained(
    linear: Any, linear_folder: Path, frame: pd.DataFrame
) -> None:
    table = pa.Table.from_pandas(frame.assign(label=truth(frame)), preserve_index=False)
    found = score_in_child(linear_folder, table)
    assert found.schema == pa.schema([("prediction", pa.int64()), ("score", pa.float64())])
    np.testing.assert_array_equal(found.column("prediction").to_numpy(), linear.predict(frame))
    np.testing.assert_array_equal(found.column("score").to_numpy(), linear.predict_proba(frame).max(axis=1))
    assert found == score(linear_folder, table)


def test_a_model_without_probabilities_scores_null(frame: pd.DataFrame, save_model: SaveModel) -> None:
    folder = save_model(LinearRegression().fit(frame, frame["price"]), frame)
    found = score(folder, pa.Table.from_pandas(frame, preserve_index=False))
    assert found.column("score").null_count == len(frame)


def test_of_many_classes_every_probability_comes_back(frame: pd.DataFrame, save_model: SaveModel) -> None:
    model = DecisionTreeClassifier(max_depth=2).fit(frame, pd.qcut(frame["price"], 3, labels=False))
    found = score_in_child(save_model(model, frame), pa.Table.from_pandas(frame, preserve_index=False))
    chances = np.array(found.column("probabilities").to_pylist())
    np.testing.assert_array_equal(chances, model.predict_proba(frame))
    np.testing.assert_array_equal(found.column("score").to_numpy(), chances.max(axis=1))


def test_text_labels_come_back_as_text(frame: pd.DataFrame, save_model: SaveModel) -> None:
    folder = save_model(DecisionTreeClassifier().fit(frame, np.array(["down", "up"])[truth(frame)]), frame)
    found = score(folder, pa.Table.from_pandas(frame, preserve_index=False))
    assert found.schema.field("prediction").type == pa.string()
    assert set(found.column("prediction").to_pylist()) == {"down", "up"}


@pytest.mark.parametrize("run", [score, score_in_child])
def test_a_missing_column_is_named(run: Any, linear_folder: Path, frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame.drop(columns="hour"), preserve_index=False)
    with pytest.raises(InvalidInput, match="missing column 'hour'") as caught:
        run(linear_folder, table)
    assert caught.value.field == "hour"


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pa.array([1, None] * 100, pa.int64()), "'hour': row 1 .*NaN"),
        (pa.array(["1"] * 200), "'hour' wants long, and texts"),
        (pa.array([0] * 200, pa.timestamp("ms")), "'hour' is timestamp"),
    ],
)
def test_a_column_of_another_type_is_named(
    column: pa.Array, match: str, linear_folder: Path, frame: pd.DataFrame
) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.set_column(table.column_names.index("hour"), "hour", column)
    with pytest.raises(InvalidInput, match=match):
        score(linear_folder, table)


def test_a_child_refuses_a_pickle_and_the_error_crosses_over(
    linear: Any, frame: pd.DataFrame, save_model: SaveModel
) -> None:
    folder = save_model(linear, frame, serialization_format="pickle", skops_trusted_types=None)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
        score_in_child(folder, table)
    assert score_in_child(folder, table, allow_pickle=True).num_rows == len(frame)


def test_a_model_that_kills_its_process_kills_the_childs_only(
    linear_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    folder = _pickled(Killer(), linear_folder, tmp_path)
    with pytest.raises(InvalidInput, match="status 9"):
        score_in_child(folder, pa.Table.from_pandas(frame, preserve_index=False), allow_pickle=True)


def test_a_model_that_hangs_is_ended(linear_folder: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    folder = _pickled(Sleeper(), linear_folder, tmp_path)
    with pytest.raises(Unavailable, match="longer than 5 s"):
        score_in_child(folder, pa.Table.from_pandas(frame, preserve_index=False), allow_pickle=True, timeout_s=5)


def test_a_child_sees_no_token(
    linear_folder: Path, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYBALL_TOKEN", "fb_secret")
    seen = tmp_path / "seen"
    folder = _pickled(_write_environment(seen), linear_folder, tmp_path)
    with pytest.raises(InvalidInput):
        score_in_child(folder, pa.Table.from_pandas(frame, preserve_index=False), allow_pickle=True)
    assert "PATH" in seen.read_text()
    assert "fb_secret" not in seen.read_text()


def _write_environment(seen: Path) -> object:
    class Writer:
        def __reduce__(self) -> tuple[Any, ...]:
            return (eval, (f"open({str(seen)!r}, 'w').write(str(__import__('os').environ)) and None",))

    return Writer()


def _pickled(model: object, like: Path, tmp_path: Path) -> Path:
    """Return a folder that claims to hold what `like` holds, and holds this pickle."""
    import pickle

    folder = tmp_path / "model"
    folder.mkdir()
    text = (like / "MLmodel").read_text()
    (folder / "MLmodel").write_text(text.replace("serialization_format: skops", "serialization_format: pickle"))
    (folder / "model.skops").write_bytes(pickle.dumps(model))
    return folder
