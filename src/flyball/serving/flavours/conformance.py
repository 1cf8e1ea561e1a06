"""The promises of the port `Flavour`, as a pytest class: subclass it, and give it a model that your library really trained.

The subclass has a fixture `trained` of class scope, which returns a `Trained`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.kernel.settings import Settings
from flyball.serving.entities import Array, Columns, Matrix, Prediction
from flyball.serving.flavours import offered_flavours, open_flavour
from flyball.serving.isolation.placement import IsolationChoice
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.model_folder import MLMODEL, read_model_folder
from flyball.serving.served_model import Place, ServedModel, load_model
from flyball.serving.signature import NamedRows

THREADS, ROUNDS = 8, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model folder that MLflow wrote, and what the library itself says about some rows.

    `answers` are what its `predict` returns, `chances` (n, classes) what its `predict_proba` does, None where it has none;
    they are met within `tolerance` (absolute and relative; 0 is bit for bit). `file` is the model's file, relative to the folder.
    `pickled` says that nothing but a pickle, or code of the author's, is in the folder.
    """

    folder: Path
    file: str
    rows: Mapping[str, Array]
    answers: Array
    chances: Array | None = None
    tolerance: float = 0.0
    pickled: bool = False


class FlavourConformance:
    """What holds for every flavour."""

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, trained: Trained) -> ServedModel:
        return load_model(trained.folder, allow_pickle=trained.pickled)

    def test_it_is_found_by_its_name(self, trained: Trained) -> None:
        spec = read_model_folder(trained.folder)
        assert spec.flavour in offered_flavours()
        assert callable(open_flavour(spec.flavour).load)

    def test_it_answers_as_the_library_itself_does(self, trained: Trained, served: ServedModel) -> None:
        found = served.predict(trained.rows)
        _same(found.labels, trained.answers, tolerance=trained.tolerance)
        if trained.chances is not None:
            assert found.probabilities is not None
            _same(found.probabilities, trained.chances, tolerance=trained.tolerance)

    def test_labels_are_of_the_four_types_and_one_a_row(self, trained: Trained, served: ServedModel) -> None:
        found = served.predict(trained.rows)
        assert found.labels.dtype in {np.dtype(kind) for kind in (np.bool_, np.int64, np.float64, object)}
        assert len(found.labels) == len(trained.answers)
        assert found.labels.ndim <= 2
        assert all(len(values) == len(found.labels) for values in found.outputs.values())

    def test_scores_are_the_probabilities_of_the_labels(self, trained: Trained, served: ServedModel) -> None:
        found = served.predict(trained.rows)
        assert (found.scores is None) == (found.probabilities is None)
        if found.scores is None or found.probabilities is None or found.classes is None:
            return
        assert found.scores.dtype == found.probabilities.dtype == np.float64
        place = np.argmax(found.labels[:, None] == found.classes[None, :], axis=1)
        np.testing.assert_array_equal(found.scores, found.probabilities[np.arange(len(place)), place])
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-5)

    def test_a_row_alone_is_answered_as_among_others(self, trained: Trained, served: ServedModel) -> None:
        whole = served.predict(trained.rows)
        for row in range(3):
            alone = served.predict({name: values[row : row + 1] for name, values in trained.rows.items()})
            _same(alone.labels, whole.labels[row : row + 1], tolerance=max(trained.tolerance, 1e-6))

    def test_the_same_rows_are_answered_the_same_again(self, trained: Trained, served: ServedModel) -> None:
        assert _bytes(served.predict(trained.rows)) == _bytes(served.predict(trained.rows))

    def test_what_is_given_is_not_changed(self, trained: Trained, served: ServedModel) -> None:
        before = {name: values.copy() for name, values in trained.rows.items()}
        served.predict(trained.rows)
        for name, values in trained.rows.items():
            np.testing.assert_array_equal(values, before[name])

    def test_rows_that_may_not_be_written_to_are_answered(self, trained: Trained, served: ServedModel) -> None:
        frozen = {name: values.copy() for name, values in trained.rows.items()}
        for values in frozen.values():
            values.setflags(write=False)
        assert _bytes(served.predict(frozen)) == _bytes(served.predict(trained.rows))

    def test_the_order_of_the_columns_does_not_matter(self, trained: Trained, served: ServedModel) -> None:
        turned = dict(reversed(list(trained.rows.items())))
        assert _bytes(served.predict(turned)) == _bytes(served.predict(trained.rows))

    def test_a_matrix_is_answered_as_its_columns_are(self, trained: Trained, served: ServedModel) -> None:
        columns = served.columns_of(NamedRows(columns=trained.rows))
        kinds = {values.dtype for values in columns.values()}
        if len(kinds) > 1 or any(values.ndim > 1 for values in columns.values()):
            return  # these columns cannot lie in one matrix
        matrix = Matrix(tuple(columns), np.stack(list(columns.values()), axis=1))
        _same(served.predict_rows(matrix).labels, served.predict_rows(columns).labels, tolerance=trained.tolerance)

    def test_threads_may_predict_at_once(self, trained: Trained, served: ServedModel) -> None:
        parts = [_part(trained.rows, start=number, step=THREADS) for number in range(THREADS)]
        alone = [_bytes(served.predict(part)) for part in parts]
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda part: [_bytes(served.predict(part)) for _ in range(ROUNDS)], parts))
        assert found == [[one] * ROUNDS for one in alone]

    def test_a_missing_column_is_named(self, trained: Trained, served: ServedModel) -> None:
        name, *others = trained.rows
        with pytest.raises(InvalidInput, match="missing column") as caught:
            served.predict({other: trained.rows[other] for other in others})
        assert caught.value.field == name

    def test_an_unknown_column_is_named(self, trained: Trained, served: ServedModel) -> None:
        with pytest.raises(InvalidInput, match="unknown column") as caught:
            served.predict({**trained.rows, "stranger": np.zeros(len(trained.answers))})
        assert caught.value.field == "stranger"

    def test_the_first_caller_does_not_wait(self, trained: Trained) -> None:
        load_model(trained.folder, allow_pickle=trained.pickled).warm_up()

    def test_a_damaged_file_is_refused(self, trained: Trained, tmp_path: Path) -> None:
        folder = _copy(trained, tmp_path)
        (folder / trained.file).write_bytes((folder / trained.file).read_bytes()[:100])
        with pytest.raises(InvalidInput, match="cannot be loaded"):
            load_model(folder, allow_pickle=trained.pickled)

    def test_a_missing_file_is_refused(self, trained: Trained, tmp_path: Path) -> None:
        folder = _copy(trained, tmp_path)
        (folder / trained.file).unlink()
        with pytest.raises(InvalidInput):
            load_model(folder, allow_pickle=trained.pickled)

    def test_a_model_without_a_signature_is_refused(self, trained: Trained, tmp_path: Path) -> None:
        folder = _copy(trained, tmp_path)
        text = (folder / MLMODEL).read_text(encoding="utf-8")
        (folder / MLMODEL).write_text(text.replace("\nsignature:", "\nno_signature:"), encoding="utf-8")
        with pytest.raises(InvalidInput, match="signature"):
            load_model(folder, allow_pickle=trained.pickled)

    def test_nothing_that_runs_code_is_loaded_unless_it_is_allowed(self, trained: Trained) -> None:
        if trained.pickled:
            with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
                load_model(trained.folder, allow_pickle=False)
        else:
            assert load_model(trained.folder, allow_pickle=False).signature.inputs


class IsolatedConformance:
    """What holds for a flavour whose model runs in a process of its own; add it to one subclass of `FlavourConformance`."""

    def test_it_answers_in_a_process_of_its_own_as_it_does_here(self, trained: Trained, tmp_path: Path) -> None:
        here = load_model(trained.folder, allow_pickle=trained.pickled)
        isolation = IsolationRules.by(Settings(home=tmp_path, isolation=IsolationChoice.ALWAYS.value)).open()
        there = load_model(trained.folder, allow_pickle=trained.pickled, isolation=isolation)
        try:
            assert there.about["place"] == Place.ISOLATED
            assert there.outside_bytes > 0
            parts = [dict(trained.rows), *(_part(trained.rows, start=start, step=THREADS) for start in range(THREADS))]
            with ThreadPoolExecutor(THREADS) as pool:
                found = list(pool.map(there.predict, parts))
            for part, prediction in zip(parts, found, strict=True):
                assert _bytes(prediction) == _bytes(here.predict(part))
            name = next(iter(trained.rows))
            with pytest.raises(InvalidInput, match=name):
                there.predict({other: values for other, values in trained.rows.items() if other != name})
        finally:
            there.close()


def _copy(trained: Trained, into: Path) -> Path:
    return Path(shutil.copytree(trained.folder, into / "model"))


def _part(rows: Columns, *, start: int, step: int) -> Columns:
    return {name: values[start::step] for name, values in rows.items()}


def _same(found: Array, wanted: Array, *, tolerance: float) -> None:
    wanted = np.asarray(wanted)
    wanted = wanted[:, 0] if wanted.ndim == 2 and wanted.shape[1] == 1 else wanted
    if wanted.dtype.kind == "f" and tolerance:
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, wanted)


def _bytes(prediction: Prediction) -> tuple[object, ...]:
    """Return everything a prediction says, in a form that is equal only when each bit is."""
    more = (prediction.scores, prediction.probabilities, *prediction.outputs.values())
    return (prediction.labels.tolist(), *(None if one is None else one.tolist() for one in more))
