"""What single columns cannot show: numbers together, free text and lists, on a bounded sample of the rows of both tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from flyball.datasets.profile import ColumnKind
from flyball.monitoring.comparison.results import ColumnComparison
from flyball.monitoring.comparison.sources import Source
from flyball.monitoring.multivariate.entities import TOGETHER, JointDrift
from flyball.monitoring.multivariate.judging import JointFindings, judge_samples
from flyball.monitoring.multivariate.rules import MultivariateRules
from flyball.monitoring.multivariate.samples import sample_of

TOO_FEW_COLUMNS = "fewer than two columns of numbers can be compared"
_NUMBERS = frozenset({ColumnKind.NUMERIC, ColumnKind.BOOLEAN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """The columns with what was found of texts and lists, and what the numbers show together, or why they do not."""

    columns: Sequence[ColumnComparison]
    joint: JointDrift | None = None
    not_joint: str = ""


def compare_together(
    ours: Source,
    theirs: Source,
    columns: Sequence[ColumnComparison],
    *,
    rules: MultivariateRules,
    ignore: Collection[str],
    numbers: bool,
) -> Together:
    """Hold samples of both tables against each other. Without text, list or numbers that are wanted nothing is read.

    A column that is ignored, at fault, or of another type in one of the tables has no part in it.
    """
    usable = [one for one in columns if one.name not in ignore and not one.faults]
    wanted = {
        kind: [one.name for one in usable if one.kind is kind and theirs.kinds[one.name] is ours.kinds[one.name]]
        for kind in (ColumnKind.TEXT, ColumnKind.LIST)
    }
    texts, lists = wanted[ColumnKind.TEXT], wanted[ColumnKind.LIST]
    together = [one.name for one in usable if numbers and one.kind in _NUMBERS and one.drift is not None]
    if len(together) < 2:  # noqa: PLR2004 -- one column moves with nothing
        together = []
    found = _judged(ours, theirs, rules, numbers=together, texts=texts, lists=lists)
    by_subject = {one.subject: one for one in found.drift if one.subject != TOGETHER}
    joint = next((one for one in found.drift if one.subject == TOGETHER), None)
    reason = found.unwatched.get(TOGETHER, TOO_FEW_COLUMNS) if numbers and joint is None else ""
    return Together(
        columns=[_with(one, by_subject, found) if one.name in {*texts, *lists} else one for one in columns],
        joint=joint,
        not_joint=reason,
    )


def _judged(
    ours: Source,
    theirs: Source,
    rules: MultivariateRules,
    *,
    numbers: Sequence[str],
    texts: Sequence[str],
    lists: Sequence[str],
) -> JointFindings:
    names = [*numbers, *texts, *lists]
    if not names:
        return JointFindings()
    samples = [
        sample_of(source.sample(names, rules.rows), numbers=numbers, texts=texts, embeddings=lists)
        for source in (ours, theirs)
    ]
    return judge_samples(samples[0], samples[1], rules)


def _with(column: ColumnComparison, found: dict[str, JointDrift], all_found: JointFindings) -> ColumnComparison:
    if column.name in found:
        return replace(column, joint=found[column.name], unwatched="")
    return replace(column, unwatched=all_found.unwatched.get(column.name, "ignored by the rules"))
