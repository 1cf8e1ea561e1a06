"""Collect the figures of a run, print them as they come, and write them as a page with ratios."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.environments import machine, peer_version
from benchmarks.figures import Figure, head, ratio, row
from flyball import __version__

OURS = "flyball"


class Report:
    """Figures by work and server."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers
        self._figures: dict[str, dict[str, Figure]] = {}

    def add(self, server: str, work: str, figure: Figure) -> None:
        """Keep and print one figure."""
        self._figures.setdefault(work, {})[server] = figure
        print(f"{work:58} {server:12} {figure}", flush=True)

    def add_all(self, server: str, figures: Mapping[str, Figure]) -> None:
        """Keep and print figures."""
        for work, figure in figures.items():
            self.add(server, work, figure)

    def write(self, path: Path) -> None:
        """Write the page."""
        peers = [name for name in self._servers if name != OURS]
        columns = ["work", *self._servers, *(f"against {name}" for name in peers)]
        lines = head(columns)
        for work, found in self._figures.items():
            cells = [work, *(str(found[name]) if name in found else "" for name in self._servers)]
            lines.append(row([*cells, *(ratio(found.get(OURS), found.get(name)) for name in peers)]))
        path.write_text("\n".join([*_preface(peers), "", *lines, ""]), encoding="utf-8")


def _preface(peers: Sequence[str]) -> list[str]:
    versions = ", ".join(f"{name} {peer_version(name)}" for name in peers)
    return [
        "# Tracking, side by side",
        "",
        f"Made by `make bench-tracking` on {dt.datetime.now(dt.UTC):%Y-%m-%d}: flyball {__version__}"
        + (f", {versions}" if versions else "")
        + f"; {machine()}, SQLite {sqlite3.sqlite_version}.",
        "All in one run on one machine, each server alone while it is measured, the load beside it on the same cores. Writes",
        "are 16 connections (log-batch: 4 with 1,000 points each), each waiting for its answer; ours are on disk (fsync) when they are",
        "answered. Searches return 100 runs of 20 metrics, 20 params and 3 tags each. Memory is proportional (PSS), of all processes.",
        "A ratio says how many times better ours is.",
    ]
