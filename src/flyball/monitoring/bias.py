"""How groups of people are treated, window by window: rates with intervals, the largest gap, and what can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.measures.groups import Fairness, GroupFigure, GroupGap, GroupRate, group_rates, largest_gap, share_ratio
from flyball.measures.intervals import side_confidence
from flyball.monitoring.columns import category_text
from flyball.monitoring.figures import GroupFigures, GroupShare
from flyball.monitoring.monitor_file import MONITOR_FILE, require
from flyball.monitoring.schema import FEATURE_PREFIX, LABEL, PREDICTION

TWO = 2
MOST_GROUPS = 50
DEFAULT_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


class GroupRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A protected column, and the outcome that the rates count: the `favourable` one, or the `adverse` one.

    `rates` are those of `measures/groups.py`. `compare` names the groups that are held against each other, by default all that
    have `min_rows` rows. `tolerance` is how far two groups' rates may differ; `confidence` is that of the verdict.
    """

    column: str
    favourable: float | str | bool | None = None
    adverse: float | str | bool | None = None
    rates: tuple[str, ...] = DEFAULT_RATES
    compare: tuple[str, ...] = ()
    tolerance: float = 0.1
    min_rows: int = 30
    confidence: float = 0.95

    @property
    def outcome(self) -> float | str | bool:
        """The outcome that counts as positive."""
        given = self.adverse if self.favourable is None else self.favourable
        assert given is not None, "the check of the file asked for one of them"
        return given


def check_group_rules(rules: Sequence[GroupRule]) -> None:
    """Check what the types do not say.

    Raises:
        InvalidInput: a value out of its range, or not exactly one of favourable and adverse; `field` names it.
        UnknownKey: a rate that is not offered, with near misses.
    """
    for place, rule in enumerate(rules):
        where = f"groups[{place}]"
        require(bool(rule.column), f"{where}.column", "must name a feature")
        if (rule.favourable is None) is (rule.adverse is None):
            raise InvalidInput(
                f"{MONITOR_FILE}: '{where}' needs either 'favourable' or 'adverse': the answer that the rates count",
                field=f"{where}.favourable",
            )
        for rate in rule.rates:
            if rate not in set(GroupRate):
                raise UnknownKey.among(rate, list(GroupRate), where=f"'{where}.rates' of the monitor file")
        require(0 <= rule.tolerance < 1, f"{where}.tolerance", "must be at least 0 and below 1")
        require(0 < rule.confidence < 1, f"{where}.confidence", "must lie between 0 and 1")
        require(rule.min_rows >= 1, f"{where}.min_rows", "must be at least 1")
        require(bool(rule.rates), f"{where}.rates", "must name a rate")
        require(len(rule.compare) != 1, f"{where}.compare", "must name two groups at least, or none")


def judge_groups(table: pa.Table, rules: Sequence[GroupRule]) -> tuple[tuple[GroupFigures, ...], Mapping[str, str]]:
    """Return the rates of every rule, and by column why there are none.

    Args:
        table: the rows of one version in a mature window; the selection rate is of all, the others of those with labels.
        rules: checked.
    """
    found: list[GroupFigures] = []
    unknown: dict[str, str] = {}
    for rule in rules:
        reason = _missing(table, rule)
        if reason:
            unknown[f"groups.{rule.column}"] = reason
            continue
        found += [_figures(table, rule, GroupRate(rate)) for rate in rule.rates]
    return tuple(found), unknown


def _missing(table: pa.Table, rule: GroupRule) -> str:
    column = FEATURE_PREFIX + rule.column
    if column not in table.column_names:
        return f"the rows have no feature '{rule.column}'"
    kind = table.column(PREDICTION).type
    if isinstance(rule.outcome, str) is not pa.types.is_string(kind):
        return f"the outcome {rule.outcome!r} is not of the type of the answers, {kind}"
    groups = len(pc.unique(table.column(column)))
    return (
        f"'{rule.column}' has {groups} values, no more than {MOST_GROUPS} make groups" if groups > MOST_GROUPS else ""
    )


def _figures(table: pa.Table, rule: GroupRule, rate: GroupRate) -> GroupFigures:
    of_answers = rate is GroupRate.SELECTION
    rows = table if of_answers else table.filter(pc.field(LABEL).is_valid())
    rates: dict[str, GroupFigure] = {}
    if rows.num_rows:
        said = _positive(rows, PREDICTION, rule)
        truth = said if of_answers else _positive(rows, LABEL, rule)
        names = [category_text(value) for value in rows.column(FEATURE_PREFIX + rule.column).to_pylist()]
        rates = group_rates(rate, truth, said, names, confidence=rule.confidence)
    compared = {
        name: figure
        for name, figure in rates.items()
        if figure.rows >= rule.min_rows and (not rule.compare or name in rule.compare)
    }
    shares = tuple(_share(name, figure, rule) for name, figure in rates.items())
    if len(compared) < TWO:
        return _undecided(rule, rate, shares)
    gap = largest_gap(compared, tolerance=rule.tolerance, confidence=rule.confidence)
    return _with_gap(rule, rate, shares, gap=gap, ratio_of=(rates[gap.lower], rates[gap.higher]))


def _positive(rows: pa.Table, column: str, rule: GroupRule) -> np.ndarray:
    kind = rows.column(column).type
    outcome = rule.outcome if isinstance(rule.outcome, str) else float(rule.outcome)
    return np.asarray(pc.equal(rows.column(column), pa.scalar(outcome).cast(kind)).to_numpy(), dtype=bool)


def _share(name: str, figure: GroupFigure, rule: GroupRule) -> GroupShare:
    some = figure.rows > 0
    return GroupShare(
        group=name,
        rows=figure.rows,
        hits=figure.hits,
        value=figure.interval.estimate if some else None,
        lower=figure.interval.lower if some else None,
        upper=figure.interval.upper if some else None,
        undecided=figure.rows < rule.min_rows,
    )


def _undecided(rule: GroupRule, rate: GroupRate, shares: tuple[GroupShare, ...]) -> GroupFigures:
    return GroupFigures(
        column=rule.column,
        rate=rate,
        groups=shares,
        higher="",
        lower="",
        difference=None,
        difference_bounds=None,
        ratio=None,
        ratio_bounds=None,
        tolerance=rule.tolerance,
        verdict=Fairness.UNDECIDED,
        reason=f"fewer than two groups have the {rule.min_rows} rows that {rate} needs",
    )


def _with_gap(
    rule: GroupRule,
    rate: GroupRate,
    shares: tuple[GroupShare, ...],
    *,
    gap: GroupGap,
    ratio_of: tuple[GroupFigure, GroupFigure],
) -> GroupFigures:
    ratio = share_ratio(*ratio_of, confidence=side_confidence(rule.confidence))
    low, high = gap.difference.lower, gap.difference.upper
    return GroupFigures(
        column=rule.column,
        rate=rate,
        groups=shares,
        higher=gap.higher,
        lower=gap.lower,
        difference=gap.difference.estimate,
        difference_bounds=(low, high),
        ratio=None if ratio is None else ratio.estimate,
        ratio_bounds=None if ratio is None else (ratio.lower, ratio.upper),
        tolerance=rule.tolerance,
        verdict=gap.verdict,
        reason=f"the difference {gap.difference.estimate:.3f} ({low:.3f} to {high:.3f}), {rule.tolerance:g} is tolerated",
    )
