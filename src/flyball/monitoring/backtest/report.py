"""A backtest as one page that needs nothing else: no script, no network, small whatever was replayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources

from flyball.monitoring.backtest.results import Backtest, Caught, Fired, Replayed

MOST_LINES = 500
TEXT_CHARACTERS = 300
# The line of time is cut into at most this many pieces, each as dark as its windows alarm.
PIECES = 240
WIDTH, ROW_HEIGHT, LABEL_WIDTH = 960, 18, 130
HOUR_MS = 3_600_000


def render(backtest: Backtest) -> str:
    """Render a backtest as HTML."""
    style = resources.files("flyball.monitoring.comparison").joinpath("report.css").read_text(encoding="utf-8")
    runs = [backtest.draft] if backtest.current is None else [backtest.draft, backtest.current]
    names = ("Draft", "Current") if backtest.current is not None else ("",)
    body = "".join(_run(run, name) for run, name in zip(runs, names, strict=True))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Backtest of {_text(backtest.draft.monitor)}</title><style>{style}"
        "svg.time{width:100%;height:auto}svg.time rect{fill:var(--mark)}svg.time line{stroke:var(--line)}</style>"
        f"<h1>{_headline(backtest)}</h1>{_differences(backtest)}{body}</html>\n"
    )


def _headline(backtest: Backtest) -> str:
    run = backtest.draft
    caught = sum(one.fired_ms is not None for one in run.caught)
    said = f"{len(run.fired):,} alerts in {len(run.windows):,} windows"
    if run.caught:
        said += (
            f"; {caught:,} of {len(run.caught):,} incidents caught, {len(run.false_alarms):,} alerts explained by none"
        )
    return f"Backtest of {_text(run.monitor)}: {said}"


def _differences(backtest: Backtest) -> str:
    if backtest.current is None:
        return ""
    pairs = [
        ("alerts", len(backtest.draft.fired), len(backtest.current.fired)),
        ("explained by no incident", len(backtest.draft.false_alarms), len(backtest.current.false_alarms)),
        ("incidents caught", _caught_count(backtest.draft), _caught_count(backtest.current)),
    ]
    rows = "".join(f"<tr><td>{what}<td class=n>{ours:,}<td class=n>{theirs:,}</tr>" for what, ours, theirs in pairs)
    head = "<tr><th><th class=n>draft<th class=n>current</tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _caught_count(run: Replayed) -> int:
    return sum(one.fired_ms is not None for one in run.caught)


def _run(run: Replayed, name: str) -> str:
    title = f"<h2>{name}: {_text(run.monitor)}</h2>" if name else ""
    return (
        f'{title}<p class="soft">{_moment(run.from_ms)} to {_moment(run.to_ms)}, windows of {_duration(run.window_ms)}. '
        f"False alarms: {_text(run.stated)}.</p>{_timeline(run)}{_rates(run)}{_incidents(run.caught)}{_fired(run.fired)}{_unknown(run)}"
    )


def _timeline(run: Replayed) -> str:
    kinds = sorted({kind for window in run.windows for kind in window.shown})
    if not kinds:
        return "<p class=good>No window alarmed.</p>"
    width = (WIDTH - LABEL_WIDTH) / PIECES
    span = max(1, run.to_ms - run.from_ms)
    lines = []
    for row, kind in enumerate(kinds):
        total, hit = [0] * PIECES, [0] * PIECES
        for window in run.windows:
            piece = min(PIECES - 1, (window.start_ms - run.from_ms) * PIECES // span)
            total[piece] += 1
            hit[piece] += kind in window.shown
        lines.append(f'<text x="0" y="{row * ROW_HEIGHT + 12}">{escape(kind)}</text>')
        lines += [
            f'<rect x="{LABEL_WIDTH + place * width:.1f}" y="{row * ROW_HEIGHT + 2}" width="{max(width, 1.5):.1f}" '
            f'height="{ROW_HEIGHT - 4}" opacity="{0.25 + 0.75 * hit[place] / total[place]:.2f}"/>'
            for place in range(PIECES)
            if hit[place]
        ]
    head = f'<svg class="time" viewBox="0 0 {WIDTH} {len(kinds) * ROW_HEIGHT}" role="img">'
    return f"{head}<title>Windows that alarm, over time</title>{''.join(lines)}</svg>"


def _rates(run: Replayed) -> str:
    if not run.rates:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.kind)}<td class=n>{one.count:,}<td class=n>{one.per_30d:.3g}"
        f"<td class=n>{one.lower:.3g} to {one.upper:.3g}</tr>"
        for one in run.rates
    )
    head = "<tr><th>kind<th class=n>alerts<th class=n>in 30 days<th class=n>95 % bounds</tr>"
    return f"<h2>How often</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _incidents(caught: Sequence[Caught]) -> str:
    if not caught:
        return ""
    rows = "".join(_incident(one) for one in caught[:MOST_LINES])
    head = "<tr><th>incident<th>began<th>alert<th class=n>after<th class=n>sooner than people<th>likely cause</tr>"
    return f"<h2>Incidents</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>{_left(len(caught))}"


def _incident(one: Caught) -> str:
    start = f"<tr><td class=name>{_text(one.incident.name)}<td>{_moment(one.incident.start_ms)}"
    if one.fired_ms is None:
        return f"{start}<td class=bad>missed<td><td><td></tr>"
    sooner = "unknown" if one.sooner_ms is None else _duration(one.sooner_ms)
    return (
        f"{start}<td>{escape(one.kind)} {_moment(one.fired_ms)}<td class=n>{_duration(one.after_ms or 0)}"
        f"<td class=n>{sooner}<td>{_causes(one.causes)}</tr>"
    )


def _fired(fired: Sequence[Fired]) -> str:
    if not fired:
        return ""
    rows = "".join(
        f"<tr><td>{_moment(one.fired_ms)}<td>{escape(one.kind)}<td class=n>{one.windows:,}"
        f"<td>{'none' if one.false_alarm else 'yes'}<td>{_causes(one.causes)}</tr>"
        for one in fired[:MOST_LINES]
    )
    head = "<tr><th>fires<th>kind<th class=n>windows<th>incident<th>likely cause</tr>"
    return f"<h2>Alerts</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>{_left(len(fired))}"


def _unknown(run: Replayed) -> str:
    counted: dict[tuple[str, str], int] = {}
    for window in run.windows:
        for what, reason in window.unknown.items():
            counted[what, reason] = counted.get((what, reason), 0) + 1
    if not counted:
        return ""
    most = sorted(counted.items(), key=lambda entry: -entry[1])[:MOST_LINES]
    items = "".join(
        f"<tr><td>{_text(what)}<td class=n>{count:,}<td>{_text(reason)}</tr>" for (what, reason), count in most
    )
    head = "<tr><th>unknown<th class=n>windows<th>reason</tr>"
    return f"<h2>What could not be judged</h2><table><thead>{head}</thead><tbody>{items}</tbody></table>"


def _left(count: int) -> str:
    return f"<p>{count - MOST_LINES:,} more are in the JSON.</p>" if count > MOST_LINES else ""


def _causes(causes: Sequence[str]) -> str:
    return "<br>".join(_text(cause) for cause in causes)


def _text(text: str) -> str:
    return escape(text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}…")


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _duration(ms: int) -> str:
    hours = ms / HOUR_MS
    return f"{hours / 24:.1f} days" if abs(hours) >= 48 else f"{hours:.1f} hours"  # noqa: PLR2004 -- as people say it
