"""What travels with a version, made from its training data and from rows with labels that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from flyball.datasets.profile import Profile
from flyball.datasets.profiling import profile_table
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.monitoring.baselines import Baseline, quality_baseline
from flyball.monitoring.multivariate.evidence import MOST_ROWS
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, PREDICTION, SCORE
from flyball.monitoring.sketches import Sketches, sketch_table
from flyball.registry.entities import EvidenceKind

TIME = "time_ms"
_ANSWERS = frozenset({PREDICTION, LABEL, SCORE, TIME})


def describe(
    training: pa.Table,
    *,
    features: Sequence[str] = (),
    evaluation: pa.Table | None = None,
    metric: str = "",
    slices: Mapping[str, str] | None = None,
    dataset: str = "",
    sample_rows: int = MOST_ROWS,
) -> dict[str, JsonValue]:
    """Return the evidence of a version, by kind, for `Client.attach_evidence`.

    Args:
        training: the rows that the version learned from.
        features: its features; all columns of `training` that `evaluation` has too when not given, else all.
        evaluation: rows that it was not trained on, as it answered them: features by their names, `prediction`, `label`, and
            where they are known `score` (the probability of the answer) and `time_ms`.
        metric: the measure of quality to watch; accuracy, or the mean absolute error of numbers, when not given.
        slices: SQL predicates over the features, by name, whose quality is kept too.
        dataset: what the evaluation's rows are, for people.
        sample_rows: how many rows of numbers, texts and embeddings travel with the version as points, for `multivariate` monitors;
            0 for none.

    Raises:
        InvalidInput: no rows, or a column that is not there.
    """
    names = list(features) or _shared(training, evaluation)
    answers = {} if evaluation is None else {name: evaluation.column(name) for name in _answers(evaluation)}
    made: dict[str, JsonValue] = {
        EvidenceKind.PROFILE: profile_table(training).to_json(),
        EvidenceKind.SKETCHES: sketch_table(
            training,
            features=names,
            predictions=answers.get(PREDICTION),
            scores=answers.get(SCORE),
            sample_rows=sample_rows,
        ).to_json(),
    }
    if evaluation is not None:
        renamed = [name if name in _ANSWERS else FEATURE_PREFIX + name for name in evaluation.column_names]
        made[EvidenceKind.BASELINE] = quality_baseline(
            evaluation.rename_columns(renamed), metric=metric, slices=slices, dataset=dataset
        )
    return made


def check_evidence(kind: EvidenceKind, content: JsonValue) -> None:
    """Check what somebody brings as evidence.

    Raises:
        InvalidInput: it is none of its kind.
        Unsupported: a kind that the platform writes alone.
    """
    readers = {
        EvidenceKind.PROFILE: Profile.from_json,
        EvidenceKind.SKETCHES: Sketches.from_json,
        EvidenceKind.BASELINE: Baseline.from_json,
    }
    if kind not in readers:
        raise Unsupported(
            f"evidence of the kind '{kind}' is made by the platform; bring {', '.join(readers)}", field="kind"
        )
    readers[kind](content)


def _shared(training: pa.Table, evaluation: pa.Table | None) -> list[str]:
    if evaluation is None:
        return list(training.column_names)
    found = [name for name in training.column_names if name in evaluation.column_names and name not in _ANSWERS]
    if not found:
        raise InvalidInput("the training and the evaluation table share no feature", field="evaluation")
    return found


def _answers(evaluation: pa.Table) -> list[str]:
    return [name for name in (PREDICTION, SCORE) if name in evaluation.column_names]
