"""The demo's report: one HTML file that needs nothing else, with the plot, the timeline and the proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from flyball.demo.electricity import JOINED_ROW, WEEK, time_of
from flyball.demo.story import Lines, Moment, Numbers, Records

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 1040, 340, 48, 28, 14
COLOURS = {"none": "#b42318", "flyball": "#1f5fbf", "every_window": "#98a2b3"}
NAMES = {"none": "never retrained", "flyball": "with Flyball", "every_window": "retrained every week, no gate"}

STYLE = """
body{font:16px/1.55 system-ui,sans-serif;color:#1d2430;background:#fbfcfd;max-width:70rem;margin:0 auto;padding:2rem 1.5rem}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2.2rem 0 .5rem}p{max-width:46rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{text-align:left;padding:.25rem 1.2rem .25rem 0;
border-bottom:1px solid #d9dee6;vertical-align:top}th{color:#5c6675;font-weight:500}pre{overflow-x:auto;font:13px/1.45 ui-monospace,
monospace;border:1px solid #d9dee6;padding:.8rem}svg{width:100%;height:auto}svg text{font-size:12px;fill:#5c6675}.scroll{overflow-x:auto}
.scroll td:nth-child(-n+2){white-space:nowrap}.legend span{margin-right:1.5rem;white-space:nowrap}
"""


def write_report(path: Path, *, numbers: Numbers, lines: Lines, records: Records, moments: list[Moment]) -> None:
    """Write the report, whole or not at all."""
    rows = "".join(
        f"<tr><td>{one.day if one.time_ms else 'start'}</td><td>{escape(one.what)}</td><td>{escape(one.why)}</td></tr>"
        for one in moments
    )
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_show(value))}</td></tr>" for name, value in asdict(numbers).items()
    )
    verified = records.verified
    proof = (
        f"intact: {verified.count} events, head {verified.head}" if verified.intact else f"BROKEN: {verified.reason}"
    )
    html = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Flyball: the closed loop</title>
<style>{STYLE}</style></head><body>
<h1>A market changed, and the model followed</h1>
<p>New South Wales electricity market, {len(lines.flyball):,} half hours after Victoria joined on 1997-05-05, replayed over HTTP. Accuracy
of predicting whether the price is above its mean of the last day, each week, as served at the time:</p>
{_plot(lines, records)}
<h2>Numbers of this run</h2><table>{facts}</table>
<h2>What happened, and why</h2><div class="scroll"><table><tr><th>event time</th><th>what</th><th>why</th></tr>{rows}</table></div>
<h2>Why the first alert</h2><pre>{escape(records.why)}</pre>
<h2>Audit</h2><p>{escape(proof)}</p>
<p>Data: M. Harries, <cite>Splice-2 comparative evaluation: Electricity pricing</cite>, University of New South Wales, 1999.</p>
</body></html>"""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(html, encoding="utf-8")
    draft.replace(path)


def _plot(lines: Lines, records: Records) -> str:
    weekly = lines.weekly()
    weeks = len(weekly["flyball"])
    low = min(min(line) for line in weekly.values()) - 0.02

    def x(week: float) -> float:
        return LEFT + week / max(weeks - 1, 1) * (WIDTH - LEFT - 10)

    def y(value: float) -> float:
        return TOP + (1 - value) / (1 - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(low, y)]
    for name, line in weekly.items():
        points = " ".join(f"{x(week):.1f},{y(value):.1f}" for week, value in enumerate(line))
        width = 2.2 if name == "flyball" else 1.3
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="{width}"/>')
    for one in records.ended("promoted"):
        week = (one.window_end_ms - time_of(JOINED_ROW)) / (time_of(WEEK) - time_of(0))
        title = f"version {one.challenger} requested {_day(one.window_end_ms)}"
        parts.append(
            f'<path d="M{x(week):.1f},{HEIGHT - BOTTOM}l-5,8h10z" fill="#1f5fbf"><title>{escape(title)}</title></path>'
        )
    parts += [
        f'<text x="{x(week):.1f}" y="{HEIGHT - 4}">{_day(time_of(JOINED_ROW + week * WEEK))}</text>'
        for week in range(0, weeks - 4, 13)
    ]
    legend = "".join(f'<span style="color:{COLOURS[name]}">&#9632; {NAMES[name]}</span>' for name in weekly)
    label = "Weekly accuracy of the three lines"
    chart = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<p class="legend">{legend}<span>&#9650; version promoted</span></p>{chart}'


def _grid(low: float, place: Callable[[float], float]) -> str:
    marks = [step / 20 for step in range(21) if step / 20 >= low]
    return "".join(
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{place(value):.1f}" y2="{place(value):.1f}" stroke="#e4e8ee"/>'
        f'<text x="8" y="{place(value) + 4:.1f}">{value:.2f}</text>'
        for value in marks
    )


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d")


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
