"""What breaks the schema of the reference beyond single values: categories, uniqueness, repeated rows, rows that come late."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.measures.intervals import wilson
from flyball.monitoring.entities import DataFault, FaultKind
from flyball.monitoring.monitor import DataRules
from flyball.monitoring.summaries import ColumnSummary, TableSummary

CONFIDENCE = 0.95
# Fewer rows of the reference do not show that a column's values are never the same twice.
FEWEST_UNIQUE = 100
ROWS = "rows"
"""What stands in a feature's place where a fault is one of whole rows."""


def schema_faults(
    reference: Mapping[str, ColumnSummary], window: Mapping[str, ColumnSummary], rules: DataRules
) -> list[DataFault]:
    """Judge the features of a window that the reference knows."""
    faults: list[DataFault] = []
    for name, known in reference.items():
        if name in window:
            faults += _category_faults(name, known, window[name], rules)
            faults += _repeated_values(name, known, window[name], rules)
    return faults


def row_faults(reference: TableSummary, window: TableSummary, rules: DataRules) -> list[DataFault]:
    """Judge a window's rows as a whole; how rows repeat each other is judged only where the reference counted it."""
    return _repeated_rows(reference, window, rules) + _late_rows(window, rules)


def _category_faults(name: str, known: ColumnSummary, now: ColumnSummary, rules: DataRules) -> list[DataFault]:
    if known.counts is None or known.other or not known.counts:
        return []  # numbers, or a reference that does not name all of its categories
    counts = now.as_categories().counts
    if not counts:
        return []
    return _new_categories(name, known.counts, counts, rules) + _vanished_categories(name, known.counts, counts, rules)


def _new_categories(
    name: str, known: Mapping[str, int], counts: Mapping[str, int], rules: DataRules
) -> list[DataFault]:
    new = {text: count for text, count in counts.items() if text not in known}
    found = wilson(sum(new.values()), sum(counts.values()), confidence=CONFIDENCE)
    # The share of what was not seen is about that of what was seen once (Good 1953, "The population frequencies of species").
    once = wilson(sum(count == 1 for count in known.values()), sum(known.values()), confidence=CONFIDENCE)
    if found.lower <= once.upper + rules.new_category_share:
        return []
    most = max(new, key=lambda text: (new[text], text))
    detail = f"{found.estimate:.1%} of the values are of {len(new)} categories that the reference does not know, most '{most[:80]}'"
    return [DataFault(feature=name, kind=FaultKind.NEW_CATEGORY, share=found.estimate, detail=detail)]


def _vanished_categories(
    name: str, known: Mapping[str, int], counts: Mapping[str, int], rules: DataRules
) -> list[DataFault]:
    gone = {text: count for text, count in known.items() if text not in counts}
    if rules.vanished_category_share is None or not gone:
        return []
    share = sum(gone.values()) / sum(known.values())
    # So many rows would hold one of them by chance alone with a probability of 1 - (1 - share)^n.
    by_chance = (1.0 - share) ** sum(counts.values())
    if share <= rules.vanished_category_share or by_chance > 1.0 - CONFIDENCE:
        return []
    most = max(gone, key=lambda text: (gone[text], text))
    detail = f"{len(gone)} categories of {share:.1%} of the reference's values do not occur, most '{most[:80]}'"
    return [DataFault(feature=name, kind=FaultKind.VANISHED_CATEGORY, share=share, detail=detail)]


def _repeated_values(name: str, known: ColumnSummary, now: ColumnSummary, rules: DataRules) -> list[DataFault]:
    there, seen = known.rows - known.missing, now.rows - now.missing
    unique = there >= FEWEST_UNIQUE and known.distinct_count == there
    if not unique or now.distinct_count <= 1 or seen < 1:
        return []
    expected = _expected(repeated=0, rows=there, seen=seen)
    found = wilson(max(0, seen - now.distinct_count), seen, confidence=CONFIDENCE)
    if found.lower <= expected + rules.repeated_jump:
        return []
    detail = f"{found.estimate:.1%} of the values repeat another one; in the reference no value occurs twice"
    return [DataFault(feature=name, kind=FaultKind.NOT_UNIQUE, share=found.estimate, detail=detail)]


def _repeated_rows(reference: TableSummary, window: TableSummary, rules: DataRules) -> list[DataFault]:
    ours, theirs = reference.repeats, window.repeats
    if ours is None or theirs is None or not ours.rows or not theirs.rows:
        return []
    expected = _expected(repeated=ours.repeated, rows=ours.rows, seen=theirs.rows)
    found = wilson(theirs.repeated, theirs.rows, confidence=CONFIDENCE)
    if found.lower <= expected + rules.repeated_jump:
        return []
    detail = f"{found.estimate:.1%} of the rows repeat another one, {ours.repeated / ours.rows:.1%} in the reference"
    return [DataFault(feature=ROWS, kind=FaultKind.REPEATED_ROWS, share=found.estimate, detail=detail)]


def _late_rows(window: TableSummary, rules: DataRules) -> list[DataFault]:
    found = wilson(window.late, window.rows, confidence=CONFIDENCE)
    if found.lower <= rules.stale_share:
        return []
    detail = f"{found.estimate:.1%} of the rows came when traffic was a whole window further: their time stands still or is wrong"
    return [DataFault(feature=ROWS, kind=FaultKind.STALE, share=found.estimate, detail=detail)]


def _expected(*, repeated: int, rows: int, seen: int) -> float:
    """Return the share of rows that may repeat another one: that of the reference, grown with the number of rows.

    Among n rows drawn from a fixed set about n times as many pairs are equal as rows, so the share grows with n.
    """
    return min(1.0, wilson(repeated, rows, confidence=CONFIDENCE).upper * max(1.0, seen / rows))
