"""Compare the comparers in one run: `python -m benchmarks.monitoring`, or `make bench-monitoring`.

Prints a table with ratios and writes `docs/benchmarks/monitoring.md`. Each runs in a process of its own, one after the other, on
the same files.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.environments import PEERS, ROOT, machine, make_peers, peer_version
from benchmarks.monitoring.tables import Size, write_tables
from flyball import __version__

PEER = "evidently"
SIZES = {
    "small": Size(rows=100_000, numbers=50, categories=10),
    "million": Size(rows=1_000_000, numbers=50, categories=10),
}
LARGE = Size(rows=10_000_000, numbers=190, categories=10)
QUIET = {"DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"}

Took = dict[str, float]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="small,million,large")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "monitoring.md")
    asked = parser.parse_args()
    rows: list[list[str]] = []
    make_peers([PEER])
    for part in asked.parts.split(","):
        with tempfile.TemporaryDirectory(prefix="flyball-bench-") as folder:
            rows += _large(Path(folder)) if part == "large" else _beside(Path(folder), SIZES[part])
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("\n".join([*_preface(), "", *_table(rows), ""]), encoding="utf-8")
    print(f"written to {asked.out}")


def _beside(folder: Path, size: Size) -> list[list[str]]:
    paths = write_tables(folder, size)
    ours = _run(Path(sys.executable), "flyball_run", folder, paths)
    frames = _run(Path(sys.executable), "flyball_run", folder, paths, "frames")
    peer = _run(PEERS / PEER / "bin" / "python", "evidently_run", folder, paths)
    whole = [took["read_s"] + took["compare_s"] for took in (ours, peer)]
    return [
        _row(f"{size.text}, files to result", *whole, unit="s"),
        _row(f"{size.text}, frames in memory to result", frames["compare_s"], peer["compare_s"], unit="s"),
        _row(f"{size.text}, the page besides", ours["page_s"], peer["page_s"], unit="s"),
        _row(f"{size.text}, peak memory of the process", ours["peak_mb"], peer["peak_mb"], unit="MB"),
        _row(f"{size.text}, size of the page", ours["page_mb"], peer["page_mb"], unit="MB"),
        [f"{size.text}, columns found drifted", f"{ours['drifted']:.0f}", f"{peer['drifted']:.0f}", ""],
    ]


def _large(folder: Path) -> list[list[str]]:
    ours = _run(Path(sys.executable), "flyball_run", folder, write_tables(folder, LARGE))
    return [
        [f"{LARGE.text}, files to result", f"{ours['compare_s']:.1f} s", "", ""],
        [f"{LARGE.text}, peak memory of the process", f"{ours['peak_mb']:,.0f} MB", "", ""],
        [f"{LARGE.text}, size of the page", f"{ours['page_mb']:.2f} MB", "", ""],
    ]


def _run(python: Path, script: str, folder: Path, paths: tuple[Path, Path], *more: str) -> Took:
    command = [python, Path(__file__).with_name(f"{script}.py"), *paths, folder / f"{script}.html", *more]
    done = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed: {done.stderr[-2_000:]}")
    took: Took = json.loads(done.stdout.splitlines()[-1])
    print(f"{script} {' '.join(more)}: {took}", flush=True)
    return took


def _row(work: str, ours: float, theirs: float, *, unit: str) -> list[str]:
    return [work, f"{ours:,.3g} {unit}", f"{theirs:,.4g} {unit}", f"{theirs / ours:,.1f} ×"]


def _preface() -> list[str]:
    made = f"Made by `make bench-monitoring` on {dt.datetime.now(dt.UTC):%Y-%m-%d}: flyball {__version__}"
    return [
        "# Comparing tables, side by side",
        "",
        f"{made}, Evidently {peer_version(PEER)} (its DataDriftPreset);",
        f"{machine()}. Each in a process of its own, one after the other, on the",
        "same Parquet files; every fifth column has moved. Ours reads the files column by column while it compares, the peer reads them",
        "into pandas first. Of a column ours measures Wasserstein, Kolmogorov-Smirnov, energy, population stability, Jensen-Shannon,",
        "Hellinger, total variation and chi-square; the preset measures one distance. A ratio says how many times better ours is.",
    ]


def _table(rows: list[list[str]]) -> list[str]:
    head = ["work", "flyball", "evidently", "against evidently"]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    sys.exit(main())
