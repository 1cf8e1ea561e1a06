"""Run the closed loop on real data, and tell its story: `python -m flyball.demo`."""

from __future__ import annotations

import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import msgspec
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from flyball.demo.electricity import FEATURES, JOINED_ROW, LABEL, ROWS_A_DAY, TIME, WEEK, load_market, time_of
from flyball.demo.opening import open_loop
from flyball.demo.references import hits_every_window, hits_without_retraining
from flyball.demo.replay import Replay
from flyball.demo.report import write_report
from flyball.demo.stage import People, Stage
from flyball.demo.story import Lines, Numbers, Records, gather, missing_parts, number, timeline

BROKEN_FEATURE = "nswdemand"
UNIT_ERROR = 1000.0
ACT_TWO_WEEKS = 3
CLEAN_WEEKS = 1
WIDEST = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Hits of the two lines that need no platform, and of the one with every row."""

    none: np.ndarray
    every_window: np.ndarray
    all_rows: np.ndarray


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("build/demo"), show_default=True)
@click.option(
    "--result", type=click.Path(path_type=Path), help="write the numbers as JSON, and fail if a part did not happen"
)
@click.option("--keep-running", is_flag=True, help="leave the server running at the end")
@click.option("--weeks", type=click.IntRange(min=2), help="replay only so many weeks")
def main(folder: Path, result: Path | None, weeks: int | None, *, keep_running: bool) -> None:
    """Train, deploy, replay nineteen months, watch the loop; then break the feed and watch it refuse."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the demo, what it started is drained
    started = time.monotonic()
    market = load_market()
    end = market.num_rows if weeks is None else JOINED_ROW + weeks * WEEK
    stage = Stage(folder)
    try:
        with ProcessPoolExecutor(1) as pool:
            lines_to_come = pool.submit(reference_lines, end)
            ready_s = stage.start()
            console.print(f"[bold]flyball up[/] is ready at {stage.url} after {ready_s:.1f} s")
            people = stage.people()
            open_loop(people, market.slice(0, JOINED_ROW), folder, announce=console.print)
            predicted = _act_one(people, market, end, console)
            _act_two(people, market, end, console)
            references = lines_to_come.result()
        records = gather(people.owner)
        lines = _lines(market, predicted, references, end)
        seconds = time.monotonic() - started
        numbers = number(records, lines, all_rows=references.all_rows[JOINED_ROW:end], seconds=seconds)
        _tell(console, numbers, records, folder, lines)
        missing = missing_parts(numbers, records, whole=weeks is None)
        if result is not None:
            result.parent.mkdir(parents=True, exist_ok=True)
            result.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(numbers)), indent=2) + b"\n")
        for part in missing:
            console.print(f"[bold red]did not happen:[/] {part}")
        if keep_running:
            _leave(console, stage)
        else:
            stage.stop()
    except BaseException:
        stage.stop()
        raise
    sys.exit(1 if missing else 0)


def reference_lines(end: int) -> References:
    """Compute the lines that the loop is compared with; in a process of its own, beside the replay."""
    market = load_market().slice(0, end)
    with threadpool_limits(1):  # small fits gain nothing from more threads, and the replay needs the other core
        return _reference_lines(market)


def _reference_lines(market: pa.Table) -> References:
    none = hits_without_retraining(market, trained_to=JOINED_ROW)
    every = hits_every_window(market, none, start=JOINED_ROW, all_rows=False)
    all_rows = hits_every_window(market, none, start=JOINED_ROW, all_rows=True)
    return References(none=none, every_window=every, all_rows=all_rows)


def _act_one(people: People, market: pa.Table, end: int, console: Console) -> np.ndarray:
    with _progress(console) as progress:
        task = progress.add_task("replaying the market", total=end - JOINED_ROW)
        replay = Replay(people, market, on_progress=lambda rows: progress.advance(task, rows))
        replay.connect()
        replay.run(JOINED_ROW, end)
    return replay.predicted


def _act_two(people: People, market: pa.Table, end: int, console: Console) -> None:
    console.print(
        f"[bold]Act two:[/] the feed goes on, and from its second week {BROKEN_FEATURE} comes in another unit (x{UNIT_ERROR:g})"
    )
    feed = _broken_feed(market, end)
    with _progress(console) as progress:
        task = progress.add_task("replaying the broken feed", total=feed.num_rows)
        replay = Replay(people, feed, prefix="act-two-", on_progress=lambda rows: progress.advance(task, rows))
        replay.connect()
        replay.run(0, feed.num_rows)


def _broken_feed(market: pa.Table, end: int) -> pa.Table:
    """Return the last weeks again, later in time, with a unit error from the second week on.

    The feed begins where the next window of the monitor does, so that a window is wholly clean or wholly broken.
    """
    rows = ACT_TWO_WEEKS * WEEK + ROWS_A_DAY
    first = JOINED_ROW + -(-(end - JOINED_ROW) // WEEK) * WEEK
    part = market.slice(end - rows, rows)
    columns = {name: part.column(name).to_numpy().copy() for name in (*FEATURES, LABEL)}
    columns[BROKEN_FEATURE][CLEAN_WEEKS * WEEK :] *= UNIT_ERROR
    times = np.asarray([time_of(first + row) for row in range(rows)], dtype=np.int64)
    return pa.table({TIME: times, **columns})


def _lines(market: pa.Table, predicted: np.ndarray, references: References, end: int) -> Lines:
    label = market.column(LABEL).to_numpy()
    rows = slice(JOINED_ROW, end)
    return Lines(
        none=references.none[rows],
        flyball=np.asarray(predicted[rows] == label[rows], dtype=np.int64),
        every_window=references.every_window[rows],
    )


def _tell(console: Console, numbers: Numbers, records: Records, folder: Path, lines: Lines) -> None:
    moments = timeline(records)
    console.rule("What happened, and why")
    for one in moments:
        day = one.day if one.time_ms else "start"
        console.print(f"{day:<11} [bold]{one.what}[/]  {one.why}", highlight=False, soft_wrap=True)
    console.rule("Prequential accuracy after the join")
    did = (
        f"{numbers.retrainings} trainings, {numbers.promotions} promoted, {numbers.refused_by_gate} refused by the gate"
    )
    console.print(f"never retrained         {numbers.accuracy_none:.4f}")
    console.print(f"with Flyball            {numbers.accuracy_flyball:.4f}   {did}")
    share = f"Flyball recovers {numbers.recovered_share:.0%} of the difference"
    console.print(f"retrained every window  {numbers.accuracy_every_window:.4f}   {share}")
    console.print(
        f"expected without labels: {numbers.weeks_as_expected} of {numbers.weeks_expected} weeks came true within the 95 % interval, "
        f"the concept was flagged in {numbers.weeks_concept_changed}",
        highlight=False,
        soft_wrap=True,
    )
    console.rule("flyball why, of the first alert")
    console.print(short(records.why), highlight=False, markup=False, soft_wrap=True)
    console.rule("flyball audit verify")
    verified = records.verified
    intact = f"intact: {verified.count} events, head {verified.head}"
    console.print(intact if verified.intact else f"BROKEN at entry {verified.first_bad}: {verified.reason}")
    report = folder / "report.html"
    write_report(report, numbers=numbers, lines=lines, records=records, moments=moments)
    console.print(f"report: {report.absolute()}   ({numbers.seconds:.0f} s)")


def short(why: str) -> str:
    """Return the hops of an explanation without the events of each; `flyball why` shows those too."""
    hops = [line for line in why.splitlines() if not line.lstrip("│ ").startswith("·")]
    return "\n".join(hop if len(hop) <= WIDEST else hop[: WIDEST - 1] + "…" for hop in hops)


def _leave(console: Console, stage: Stage) -> None:
    console.rule("The server keeps running")
    console.print(
        f"export FLYBALL_HOME={stage.home.absolute()} FLYBALL_PORT={stage.url.rsplit(':', 1)[1]}", highlight=False
    )
    console.print("flyball ui          a link that opens the pages\nflyball loop requests elec2\nflyball alert list")
    console.print(f"stop it: kill -INT {stage.pid}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} rows"),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    main()
