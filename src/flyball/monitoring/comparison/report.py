"""A comparison as one page that needs nothing else: no script, no network, at most 2 MB whatever was compared."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources

from flyball.monitoring.comparison.drawing import draw, number
from flyball.monitoring.comparison.results import ColumnComparison, Comparison, Side
from flyball.monitoring.entities import DataFault
from flyball.monitoring.multivariate.entities import JointDrift, JointMeasure

# A row with its picture takes about 3 kB, one without about 0.5 kB, however long names are.
MOST_PICTURES = 200
MOST_ROWS = 2_000
NAME_CHARACTERS = 80
NAMES_SHOWN = 8
# What is smaller has left float64.
SMALLEST_P = 1e-300
STYLE = "report.css"


def render(comparison: Comparison) -> str:
    """Render a comparison as HTML."""
    style = resources.files(__package__).joinpath(STYLE).read_text(encoding="utf-8")
    drifted, shown = comparison.drifted, comparison.columns[:MOST_ROWS]
    rows = "".join(_row(column, pictured=place < MOST_PICTURES) for place, column in enumerate(shown))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Comparison of two tables</title><style>{style}</style>"
        f"<h1>{_headline(comparison)}</h1>"
        f'<p class="soft">{comparison.reference_rows:,} rows in the reference, {comparison.current_rows:,} in the current table, '
        f"{len(comparison.columns):,} columns compared, {len(drifted):,} drifted.</p>"
        f"{_lonely(comparison)}{_together(comparison)}{_faults(comparison.faults)}"
        '<h2>Columns</h2><p class="soft key">Strongest first.<i class="r"></i>reference<i class="c"></i>current</p>'
        "<table><thead><tr><th>column<th>verdict<th>distribution"
        '<th class="n">effect<th class="n">threshold<th class="n">p, adjusted<th>reference → current</tr></thead>'
        f"<tbody>{rows}</tbody></table>{_rest(comparison)}</html>\n"
    )


def _headline(comparison: Comparison) -> str:
    if not comparison.changed:
        return '<span class="good">Nothing changed</span>'
    found = [
        (len(comparison.drifted), "drifted"),
        (int(comparison.joint is not None and comparison.joint.drifted), "change of the columns together"),
        (len(comparison.faults), "data faults"),
        (len(comparison.only_in_reference) + len(comparison.only_in_current), "columns in one table only"),
    ]
    return f'<span class="bad">{", ".join(f"{count:,} {what}" for count, what in found if count)}</span>'


def _lonely(comparison: Comparison) -> str:
    pairs = (("Vanished", comparison.only_in_reference), ("New", comparison.only_in_current))
    return "".join(f"<p>{what} columns: {_names(names)}</p>" for what, names in pairs if names)


def _faults(faults: tuple[DataFault, ...]) -> str:
    if not faults:
        return ""
    items = "".join(
        f"<tr><td class=name>{_name(fault.feature)}<td>{escape(fault.kind)}<td class=n>{fault.share:.1%}"
        f"<td>{escape(fault.detail[:300])}</tr>"
        for fault in faults[:MOST_PICTURES]
    )
    left = f"<p>And {len(faults) - MOST_PICTURES:,} more.</p>" if len(faults) > MOST_PICTURES else ""
    head = "<tr><th>column<th>fault<th class=n>rows<th>what was seen</tr>"
    return f"<h2>Data faults</h2><table><thead>{head}</thead><tbody>{items}</tbody></table>{left}"


def _row(column: ColumnComparison, *, pictured: bool) -> str:
    picture = draw(column.picture) if pictured and column.picture else ""
    drift = column.drift or (column.joint.strongest if column.joint else None)
    effect = (
        "<td class=n><td class=n><td class=n>"
        if drift is None
        else f'<td class=n title="{_measures(column)}">{number(drift.effect)}<br><span class=soft>{escape(drift.measure)}</span>'
        f"<td class=n>{number(drift.threshold)}<td class=n>{_p_value(drift.p_value)}"
    )
    name = f"{_name(column.name)}<br><span class=soft>{column.kind}</span>"
    return f"<tr><td class=name>{name}<td>{_verdict(column)}<td>{picture}{effect}<td>{_change(column)}</tr>"


def _verdict(column: ColumnComparison) -> str:
    if column.drifted:
        return "<span class=bad>drifted</span>"
    if column.faults:
        return "<span class=bad>at fault</span>"
    return f"<span class=soft>not compared: {escape(column.unwatched)}</span>" if column.unwatched else "steady"


def _p_value(value: float | None) -> str:
    return "&lt; 1e-300" if value is not None and value < SMALLEST_P else number(value)


def _measures(column: ColumnComparison) -> str:
    joint = () if column.joint is None else column.joint.measures
    listed = dict(column.measures) or {str(one.measure): one.effect for one in joint}
    return escape("\n".join(f"{name} {value:.4g}" for name, value in listed.items()))


def _together(comparison: Comparison) -> str:
    if comparison.not_joint:
        return f"<h2>Numbers together</h2><p class=soft>not compared: {escape(comparison.not_joint)}</p>"
    joint = comparison.joint
    if joint is None:
        return ""
    verdict = "<span class=bad>drifted</span>" if joint.drifted else "steady"
    measures = "".join(
        f"<tr><td>{escape(one.measure)}<td class=n>{number(one.effect)}<td class=n>{_bounds(one)}"
        f"<td class=n>{number(one.threshold)}<td class=n>{_p_value(one.p_value)}</tr>"
        for one in joint.measures
    )
    head = "<tr><th>measure<th class=n>effect<th class=n>between<th class=n>threshold<th class=n>p</tr>"
    by = f"<p>Told apart by {_shares(joint)}.</p>" if joint.named else ""
    return (
        f"<h2>Numbers together</h2><p>{joint.columns:,} columns, {joint.reference_rows:,} and {joint.rows:,} rows drawn: {verdict}</p>"
        f"<table><thead>{head}</thead><tbody>{measures}</tbody></table>{by}"
    )


def _bounds(one: JointMeasure) -> str:
    return "" if one.lower is None else f"{number(one.lower)} to {number(one.upper)}"


def _shares(joint: JointDrift) -> str:
    return ", ".join(f"{_name(one.name)} ({one.share:.0%})" for one in joint.named)


def _change(column: ColumnComparison) -> str:
    lines = [
        f"{what} {_of(column.reference, what)} → {_of(column.current, what)}"
        for what in ("mean", "median", "deviation")
        if column.reference.mean is not None
    ]
    if column.reference.missing_count or column.current.missing_count:
        lines.append(f"missing {_share(column.reference)} → {_share(column.current)}")
    if column.new_categories:
        lines.append(f"new: {_names(column.new_categories)}")
    if column.vanished_categories:
        lines.append(f"vanished: {_names(column.vanished_categories)}")
    if column.joint is not None and column.joint.named:
        lines.append(f"told apart by {_shares(column.joint)}")
    if column.rank_error:
        lines.append(f"<span class=soft>shares to within {column.rank_error:.2%}</span>")
    return "<br>".join(lines)


def _of(side: Side, what: str) -> str:
    value: float | None = getattr(side, what)
    return number(value)


def _share(side: Side) -> str:
    return "unknown" if side.missing_share is None else f"{side.missing_share:.1%}"


def _rest(comparison: Comparison) -> str:
    left = len(comparison.columns) - MOST_ROWS
    return f"<p>{left:,} more columns are in the JSON; none of them moved further.</p>" if left > 0 else ""


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMES_SHOWN:,} more" if len(listed) > NAMES_SHOWN else ""
    return ", ".join(_name(name) for name in listed[:NAMES_SHOWN]) + more


def _name(name: str) -> str:
    return escape(name if len(name) <= NAME_CHARACTERS else f"{name[:NAME_CHARACTERS]}…")
