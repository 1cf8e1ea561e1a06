"""Fill the databases of the servers with the same runs, at the speed of the driver: by HTTP a large store would take days.

Each run has 20 metrics of one point, 20 params and 3 tags. The rows are those that logging would leave, in each server's own tables.
"""

from __future__ import annotations

import functools
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

METRICS = PARAMS = 20
BASE_MS = 1_700_000_000_000
PIECE = 2_000
FILTER = "metrics.m3 > 0.5 AND params.p0 = '3' AND tags.team = 'b'"
ORDER = "metrics.m7 DESC"

Rows = Iterable[tuple[Any, ...]]


def run_id(at: int) -> str:
    """Return the id of a run, in order of time as ours are."""
    return f"{BASE_MS + at * 1_000:012x}7{at:019x}"


@functools.lru_cache(maxsize=PIECE)
def values(at: int) -> list[float]:
    """Return the metrics of a run: scattered evenly over 0..1 by multiplication, the same for every server."""
    return [((at * 2_654_435_761 + metric * 40_503_001) * 48_271 % 2**31) / 2**31 for metric in range(METRICS)]


def params(at: int) -> list[tuple[str, str]]:
    """Return the params of a run."""
    return [(f"p{key}", str((at // (key + 1)) % 10)) for key in range(PARAMS)]


def tags(at: int) -> list[tuple[str, str]]:
    """Return the tags of a run."""
    return [("team", "abcd"[at % 4]), ("mlflow.user", f"user-{at % 50}"), ("mlflow.runName", f"run-{at}")]


def fill_flyball(database: Path, count: int) -> None:
    """Fill ours; indexes apart from the keys are made at the end, as a restore would."""
    _fill(
        database,
        count,
        {
            "runs (run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri, lifecycle, "
            "deleted_with_experiment)": lambda at: [
                (run_id(at), 0, f"run-{at}", "ann", "FINISHED", start_ms(at), start_ms(at) + 9, "a", "active", 0)
            ],
            "run_params (run_id, key, value, experiment_id)": lambda at: [
                (run_id(at), key, value, 0) for key, value in params(at)
            ],
            "run_tags (run_id, key, value, experiment_id)": lambda at: [
                (run_id(at), key, value, 0) for key, value in tags(at)
            ],
            "metric_series (series_id, run_id, experiment_id, key, value, is_nan, step, timestamp_ms, minimum, maximum, "
            "point_count)": lambda at: [
                (_series(at, m), run_id(at), 0, f"m{m}", value, 0, 0, start_ms(at), value, value, 1)
                for m, value in enumerate(values(at))
            ],
            "metric_points (series_id, timestamp_ms, step, value, is_nan)": lambda at: [
                (_series(at, m), start_ms(at), 0, value, 0) for m, value in enumerate(values(at))
            ],
            "metric_blocks (series_id, block, low, low_step, low_ms, high, high_step, high_ms)": lambda at: [
                (_series(at, m), 0, value, 0, start_ms(at), value, 0, start_ms(at))
                for m, value in enumerate(values(at))
            ],
        },
    )


def fill_peer(database: Path, count: int) -> None:
    """Fill a database in MLflow's tables, which fasttrackml has with columns of its own."""
    own = _columns(database, "params")
    value = "value_str" if "value_str" in own else "value"
    contexts = ("context_id",) if "context_id" in _columns(database, "metrics") else ()
    extra: tuple[Any, ...] = ()
    if contexts:
        with sqlite3.connect(database) as connection:
            connection.execute("INSERT OR IGNORE INTO contexts (id, json) VALUES (1, '{}')")
            extra = (connection.execute("SELECT min(id) FROM contexts").fetchone()[0],)
    run_columns = ["run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri"]
    run_columns += ["experiment_id", "source_type"] + (["row_num"] if "row_num" in _columns(database, "runs") else [])
    metric = ("key", "value", "timestamp", "step", "is_nan", "run_uuid", *contexts)
    iteration = ("last_iter",) if "last_iter" in _columns(database, "latest_metrics") else ()
    _fill(
        database,
        count,
        {
            f"runs ({', '.join(run_columns)})": lambda at: [
                (
                    run_id(at),
                    f"run-{at}",
                    "ann",
                    "FINISHED",
                    start_ms(at),
                    start_ms(at) + 9,
                    "active",
                    "a",
                    0,
                    "LOCAL",
                    at,
                )[: len(run_columns)]
            ],
            f"params (run_uuid, key, {value})": lambda at: [(run_id(at), *pair) for pair in params(at)],
            "tags (run_uuid, key, value)": lambda at: [(run_id(at), *pair) for pair in tags(at)],
            f"latest_metrics ({', '.join((*metric, *iteration))})": lambda at: [
                (f"m{m}", found, start_ms(at), 0, 0, run_id(at), *extra, *((1,) if iteration else ()))
                for m, found in enumerate(values(at))
            ],
            f"metrics ({', '.join(metric)})": lambda at: [
                (f"m{m}", found, start_ms(at), 0, 0, run_id(at), *extra) for m, found in enumerate(values(at))
            ],
        },
    )


def add_history(database: Path, run: str, count: int) -> None:
    """Give a run a metric `long` of so many points."""
    points = [(at, BASE_MS + at, random.Random(at).random()) for at in range(count)]
    with sqlite3.connect(database) as connection:
        if _columns(database, "metric_points"):
            _add_our_history(connection, run, points)
            return
        metric = ["key", "value", "timestamp", "step", "is_nan", "run_uuid"]
        more = [("context_id", 1)] if "context_id" in _columns(database, "metrics") else []
        if "iter" in _columns(database, "metrics"):
            more.append(("iter", 1))
        metric += [name for name, _ in more]
        tail = tuple(value for _, value in more)
        marks = ", ".join("?" * len(metric))
        connection.executemany(
            f"INSERT INTO metrics ({', '.join(metric)}) VALUES ({marks})",
            (("long", value, ms, step, 0, run, *tail) for step, ms, value in points),
        )


def _add_our_history(connection: sqlite3.Connection, run: str, points: list[tuple[int, int, float]]) -> None:
    step, ms, value = points[-1]
    low, high = min(p[2] for p in points), max(p[2] for p in points)
    made = connection.execute(
        "INSERT INTO metric_series (run_id, experiment_id, key, value, is_nan, step, timestamp_ms, minimum, maximum, "
        "point_count) VALUES (?, 0, 'long', ?, 0, ?, ?, ?, ?, ?)",
        (run, value, step, ms, low, high, len(points)),
    ).lastrowid
    connection.executemany(
        "INSERT INTO metric_points (series_id, timestamp_ms, step, value, is_nan) VALUES (?, ?, ?, ?, 0)",
        ((made, ms, step, value) for step, ms, value in points),
    )
    blocks = [points[at : at + 128] for at in range(0, len(points), 128)]
    ends = [(min(block, key=lambda p: p[2]), max(block, key=lambda p: p[2])) for block in blocks]
    connection.executemany(
        "INSERT INTO metric_blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((made, at, lo[2], lo[0], lo[1], hi[2], hi[0], hi[1]) for at, (lo, hi) in enumerate(ends)),
    )


def start_ms(at: int) -> int:
    """Return when a run began."""
    return BASE_MS + at * 1_000


def _series(at: int, metric: int) -> int:
    return 1 + at * METRICS + metric


def _columns(database: Path, table: str) -> set[str]:
    with sqlite3.connect(database) as connection:
        return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _fill(database: Path, count: int, tables: dict[str, Callable[[int], Rows]]) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")
    names = {into.split(" ", 1)[0] for into in tables}
    indexes = [
        (name, statement)
        for name, table, statement in connection.execute(
            "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index'"
        )
        if table in names and statement
    ]
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    for begin in range(0, count, PIECE):
        connection.execute("BEGIN")
        for into, rows in tables.items():
            marks = ", ".join("?" * into.count(",") + "?")
            made = itertools.chain.from_iterable(map(rows, range(begin, min(begin + PIECE, count))))
            connection.executemany(f"INSERT INTO {into} VALUES ({marks})", made)
        connection.execute("COMMIT")
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
