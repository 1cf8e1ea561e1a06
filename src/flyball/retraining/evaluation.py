"""Score champion and challenger on the same frozen rows, and put the hits side by side, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from flyball.datasets import Datasets, DatasetVersion
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import block_bootstrap
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.schema import FEATURE_PREFIX
from flyball.registry.gates.evidence import BlockScore, PairedEvaluation
from flyball.retraining.freeze import day_blocks
from flyball.retraining.loops import Loop
from flyball.retraining.ports import Scorer

METRIC: Literal["accuracy"] = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What the gates judge, and the rows that the challenger did not learn from as it answered them, by set."""

    evaluations: tuple[PairedEvaluation, ...]
    answered: Mapping[str, pa.Table]

    @property
    def holdout(self) -> pa.Table | None:
        """The holdout as the challenger answered it, None where there is none."""
        return self.answered.get("holdout")


def evaluate(
    loop: Loop,
    *,
    champion: int | None,
    challenger: int,
    sets: Mapping[str, DatasetVersion],
    datasets: Datasets,
    scorer: Scorer,
) -> Evaluated:
    """Return one paired evaluation a frozen set, and what the challenger answered to each.

    Without a champion its hits are 0 and no gate compares them.

    Raises:
        InvalidInput: a set lacks the label or the time, or the sets have different columns.
    """
    tables = {
        role: _require_columns(loop, dataset, datasets.table(dataset.name, dataset.version))
        for role, dataset in sets.items()
    }
    rows = _stack(tables)
    truth = rows.column(loop.label_column)
    with ThreadPoolExecutor(2) as pool:  # each model answers in a process of its own, so both may work at once
        scored = pool.submit(_answers_of, loop, challenger, rows, scorer=scorer)
        champion_hits = np.zeros(rows.num_rows, dtype=np.int64)
        if champion is not None:
            champion_hits = hits(_answers_of(loop, champion, rows, scorer=scorer).column("prediction"), truth)
        answers = scored.result()
    challenger_hits = hits(answers.column("prediction"), truth)
    found: list[PairedEvaluation] = []
    first, answered = 0, {}
    for role, table in tables.items():
        part = slice(first, first + table.num_rows)
        first = part.stop
        answered[role] = _answered(loop, table, answers.slice(part.start, table.num_rows))
        found.append(
            PairedEvaluation(
                role=_role(role),
                dataset=f"{sets[role].name}/{sets[role].version}",
                dataset_digest=sets[role].digest,
                metric=METRIC,
                blocks=blocks(table.column(loop.time_column).to_numpy(), champion_hits[part], challenger_hits[part]),
            )
        )
    return Evaluated(evaluations=tuple(found), answered=answered)


def _answered(loop: Loop, table: pa.Table, answers: pa.Table) -> pa.Table:
    """Return rows as monitoring describes a version by them: `feature.<name>`, the answers, `label` and `time_ms`."""
    features = table.drop_columns([loop.label_column, loop.time_column])
    return pa.table(
        {
            **{f"{FEATURE_PREFIX}{name}": features.column(name) for name in features.column_names},
            **{name: answers.column(name) for name in answers.column_names},
            "label": table.column(loop.label_column),
            "time_ms": table.column(loop.time_column),
        }
    )


def _role(name: str) -> Literal["holdout", "recent"]:
    return "holdout" if name == "holdout" else "recent"


def _require_columns(loop: Loop, dataset: DatasetVersion, table: pa.Table) -> pa.Table:
    for field, name in (("label_column", loop.label_column), ("time_column", loop.time_column)):
        if name not in table.column_names:
            raise InvalidInput(f"dataset {dataset.name}/{dataset.version} lacks the column '{name}'", field=field)
    return table


def _stack(tables: Mapping[str, pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables.values())
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"the sets {', '.join(tables)} have different columns: {error}", field="dataset") from error


def _answers_of(loop: Loop, version: int, rows: pa.Table, *, scorer: Scorer) -> pa.Table:
    features = rows.drop_columns([loop.label_column, loop.time_column])
    predicted = scorer.score(loop.model, version, features)
    if predicted.num_rows != rows.num_rows:
        raise InvalidInput(
            f"{loop.model}/{version} gave {predicted.num_rows} answers to {rows.num_rows} rows", field="version"
        )
    return predicted


def hits(predicted: pa.ChunkedArray, truth: pa.ChunkedArray) -> np.ndarray:
    """Return 1 where the prediction is the label and 0 elsewhere, shape (n,); numbers compare as numbers."""
    left, right = np.asarray(predicted.to_pylist(), dtype=object), np.asarray(truth.to_pylist(), dtype=object)
    return np.asarray(left == right, dtype=np.int64)


def blocks(times_ms: np.ndarray, champion_hits: np.ndarray, challenger_hits: np.ndarray) -> tuple[BlockScore, ...]:
    """Sum the hits of each day."""
    days, index = day_blocks(times_ms)
    rows = np.bincount(index)
    champion, challenger = np.bincount(index, weights=champion_hits), np.bincount(index, weights=challenger_hits)
    return tuple(
        BlockScore(block=str(int(day)), rows=int(n), champion_hits=int(a), challenger_hits=int(b))
        for day, n, a, b in zip(days, rows, champion, challenger, strict=True)
    )


def baseline_of(evaluations: tuple[PairedEvaluation, ...]) -> dict[str, JsonValue]:
    """Return what the challenger is expected to reach from now on: its accuracy on the holdout, with a 95 % interval.

    The interval is a bootstrap over days, because rows of one day are not independent.

    Raises:
        InvalidInput: there is no holdout.
    """
    holdout = next((one for one in evaluations if one.role == "holdout"), None)
    if holdout is None:
        raise InvalidInput("a version without a holdout has no baseline", field="holdout")
    hit = [block.challenger_hits for block in holdout.blocks]
    rows = [block.rows for block in holdout.blocks]
    interval = block_bootstrap(np.asarray(hit), np.asarray(rows), confidence=0.975, seed=0)
    return {
        "metric": METRIC,
        "value": interval.estimate,
        "lower": interval.lower,
        "upper": interval.upper,
        "rows": holdout.rows,
        "dataset": holdout.dataset,
    }


def ratcheted(own: dict[str, JsonValue], champion: JsonValue) -> dict[str, JsonValue]:
    """Return a baseline that lies no lower than the champion's; what the version reached itself stays under `own`.

    Without the ratchet, each replacement of a model in a hard time would lower the bar for the next, and a slow decline
    would never count as a drop.

    Raises:
        InvalidInput: the champion's is no baseline.
    """
    bar = Baseline.from_json(champion)
    if bar.metric != own["metric"] or bar.value <= cast("float", own["value"]):
        return own
    known = cast("dict[str, JsonValue]", champion)
    raised: dict[str, JsonValue] = {name: known.get(name, bar.value) for name in ("lower", "upper")}
    return own | raised | {"value": bar.value, "own": {name: own[name] for name in ("value", "lower", "upper")}}
