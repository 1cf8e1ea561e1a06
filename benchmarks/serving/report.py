"""Collect the figures of a run, print them as they come, judge them by the issue's table, and write them as a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import machine, peer_version
from benchmarks.figures import Figure, head, ratio, row
from benchmarks.serving.servers import OURS
from flyball import __version__

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A line of the table that is to be met: what was found, said in full, and whether it is enough (None: not measured)."""

    work: str
    wanted: str
    found: str
    met: bool | None


class Report:
    """Figures by work, model and server; targets; and what went wrong."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, dict[str, Figure]]] = {}
        self.encodings: dict[str, str] = {}
        self.targets: list[Target] = []
        self.notes: list[str] = []

    def add(self, work: str, model: str, server: str, figure: Figure, *, beside: str = "") -> None:
        """Keep and print one figure; `beside` is printed only."""
        self.figures.setdefault(work, {}).setdefault(model, {})[server] = figure
        print(f"{work:34} {model:20} {server:10} {figure!s:>12} {beside}", flush=True)

    def note(self, text: str) -> None:
        """Keep and print what went wrong, or was left out."""
        self.notes.append(" ".join(text.split())[:600])
        print(f"note: {self.notes[-1]}", flush=True)

    def against_best(self, work: str) -> dict[str, tuple[float, str]]:
        """Return for each model how many times better ours is than the best peer, and which peer that is."""
        found = {}
        for model, figures in self.figures.get(work, {}).items():
            peers = {name: figure for name, figure in figures.items() if name != OURS}
            if OURS in figures and peers:
                name = min(peers, key=lambda peer: figures[OURS].times_better_than(figures[peer]))
                found[model] = (figures[OURS].times_better_than(figures[name]), name)
        return found

    def judge(self, work: str, *, at_least: float, wanted: str) -> None:
        """Judge a work by the worst model."""
        found = self.against_best(work)
        said = ", ".join(f"{model} {times:.2f} × {peer}" for model, (times, peer) in found.items())
        met = min(times for times, _ in found.values()) >= at_least if found else None
        self.judged(work, wanted=wanted, found=said, met=met)

    def judged(self, work: str, *, wanted: str, found: str, met: bool | None) -> None:
        """Keep and print a judgement."""
        target = Target(work=work, wanted=wanted, found=found or NOT_MEASURED, met=met)
        self.targets.append(target)
        print(f"{_verdict(target):12} {work}: {wanted}; {target.found}", flush=True)

    def write(self, path: Path, *, servers: Sequence[str], conditions: Sequence[str]) -> None:
        """Write the page."""
        lines = [*_preface(servers), *conditions, "", *head(["work", "at least", "found", ""])]
        lines += [row([target.work, target.wanted, target.found, _verdict(target)]) for target in self.targets]
        for work, by_model in self.figures.items():
            lines += ["", f"## {work[0].upper()}{work[1:]}", "", *_table(by_model, servers)]
        if self.encodings:
            lines += ["", "## The encodings of 1,000 rows", ""]
            lines += ["The quickest of each server, by a second of trial:", ""]
            lines += [f"- {server}: {said}" for server, said in self.encodings.items()]
        lines += ["", "## What the tables do not show", ""] if self.notes else []
        lines += [f"- {note}" for note in self.notes]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _preface(servers: Sequence[str]) -> list[str]:
    peers = ", ".join(f"{name} {peer_version(name)}" for name in servers if name != OURS)
    return [
        "# Serving, side by side",
        "",
        f"Made by `make bench-serving` on {dt.datetime.now(dt.UTC):%Y-%m-%d}: flyball {__version__}"
        + (f", {peers}" if peers else "")
        + f"; {machine()}.",
    ]


def _table(by_model: Mapping[str, Mapping[str, Figure]], servers: Sequence[str]) -> list[str]:
    present = [name for name in servers if any(name in figures for figures in by_model.values())]
    present += sorted({name for figures in by_model.values() for name in figures} - set(present))
    peers = [name for name in present if name != OURS]
    lines = head(["model", *present, *(f"against {name}" for name in peers)])
    for model, figures in by_model.items():
        cells = [str(figures[name]) if name in figures else "" for name in present]
        lines.append(row([model, *cells, *(ratio(figures.get(OURS), figures.get(name)) for name in peers)]))
    return lines


def _verdict(target: Target) -> str:
    return {True: "met", False: "not met", None: NOT_MEASURED}[target.met]
