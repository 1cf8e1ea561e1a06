"""A window's rows held against the sample that travels with the version: together, text by text, embedding by embedding. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from flyball.monitoring.multivariate.entities import JointDrift
from flyball.monitoring.multivariate.judging import judge_samples
from flyball.monitoring.multivariate.rules import MultivariateRules
from flyball.monitoring.multivariate.samples import RowSample, draw_places, sample_of
from flyball.monitoring.multivariate.tables import columns_of
from flyball.monitoring.schema import FEATURE_PREFIX, TENSOR_PREFIX

NO_SAMPLE = (
    "the version carries no sample of rows: describe it again (`flyball model describe`), where its training data is"
)
NOTHING_SERVED = "nothing that the version's sample of rows knows was served"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowJoint:
    """What was found, why nothing could be said (empty where it could), and why a feature was left out."""

    drift: tuple[JointDrift, ...] = ()
    unknown: str = ""
    unwatched: Mapping[str, str] = field(default_factory=dict)

    @property
    def watched(self) -> frozenset[str]:
        """The texts and embeddings that were judged."""
        return frozenset(one.subject for one in self.drift)


def judge_joint(
    table: pa.Table, rules: MultivariateRules, reference: RowSample | None, *, without: Collection[str] = ()
) -> WindowJoint:
    """Judge the rows of a window.

    Args:
        table: all rows of the window, in the schema of the prediction log.
        rules: when it counts as drift.
        reference: the sample of the version.
        without: features whose data is at fault.
    """
    if reference is None:
        return WindowJoint(unknown=NO_SAMPLE)
    sample = window_sample(table, reference, rules.rows)
    if sample is None:
        return WindowJoint(unknown=NOTHING_SERVED)
    found = judge_samples(reference, sample, rules, without=without)
    if not found.drift:
        return WindowJoint(unknown="; ".join(sorted(set(found.unwatched.values()))) or NOTHING_SERVED)
    return WindowJoint(drift=found.drift, unwatched=found.unwatched)


def window_sample(table: pa.Table, reference: RowSample, rows: int) -> RowSample | None:
    """Draw rows of a window and make points of what the reference knows; None where nothing of it was served."""
    served = {
        name.removeprefix(prefix): name
        for prefix in (TENSOR_PREFIX, FEATURE_PREFIX)
        for name in table.column_names
        if name.startswith(prefix)
    }
    wanted = {name: served[name] for name in _known(reference) if name in served}
    if not wanted or not table.num_rows:
        return None
    drawn = _drawn(table, list(wanted.values()), rows).rename_columns(list(wanted))
    sorted_out = columns_of(drawn, [name for name in wanted if name in reference.names or name in reference.embeddings])
    return sample_of(
        drawn,
        numbers=[name for name in sorted_out.numbers if name in reference.names],
        texts=[
            name for name in reference.texts if name in wanted and pa.types.is_string(drawn.schema.field(name).type)
        ],
        embeddings=[name for name in sorted_out.lists if name in reference.embeddings],
    )


def _known(reference: RowSample) -> list[str]:
    return [*reference.names, *reference.texts, *reference.embeddings]


def _drawn(table: pa.Table, names: list[str], count: int) -> pa.Table:
    """Draw rows by their times and ids, so that it does not matter in which files and in which order they came."""
    if table.num_rows <= count:
        return table.select(names)
    order = pc.sort_indices(table, sort_keys=[("time_ms", "ascending"), ("prediction_id", "ascending")])
    return table.select(names).take(order.take(pa.array(draw_places(table.num_rows, count))))
