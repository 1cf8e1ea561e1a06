"""The targets, and the conditions under which a run is measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.serving.alone import CAPTURE, GRPC, MEMORY, NO_OP, NOOP, START, WITHOUT
from benchmarks.serving.comparing import LARGE, ONE_AT_1, ONE_AT_32, P99_AT_32, Plan
from benchmarks.serving.report import Report
from benchmarks.serving.servers import OURS

CONDITIONS = """while the others are stopped. Answers are held against the model's own predictions before the first round and after the
last. One process of each predicts, with one thread a library; batching is on: MLServer and LitServe 32 requests or 1 ms, BentoML's
adaptive one; `mlflow models serve` has none. Ours captures every prediction. One row travels as JSON, 1,000 rows in each server's
quickest encoding over 4 connections. Ratios say how many times better ours is. The share is of an ASGI application that answers a
constant on our HTTP server; beside it stands one that takes requests without a task, as ours does. Memory is proportional (PSS), of all
processes of a server."""


def judge(report: Report) -> None:
    """Hold every figure of a run against what was asked for."""
    report.judge(ONE_AT_32, at_least=5, wanted="5 × the best peer")
    report.judge(P99_AT_32, at_least=1, wanted="not worse than any peer's")
    report.judge(ONE_AT_1, at_least=3, wanted="3 × the best peer")
    report.judge(LARGE, at_least=3, wanted="3 × the best peer")
    _judge_share(report, NOOP, beside=NO_OP, at_least=0.3, wanted="0.3")
    _judge_share(report, CAPTURE, beside=WITHOUT, at_least=0.9, wanted="0.9 of the throughput without")
    _judge_start(report)
    report.judge(MEMORY, at_least=2, wanted="half of MLServer's")
    report.judge(GRPC, at_least=2, wanted="2 × MLServer's")


def conditions(plan: Plan, took_min: float) -> Sequence[str]:
    """Say how it was measured."""
    rounds = (
        f"A figure is the median of {plan.rounds} rounds of {plan.seconds} s after a warm-up (of 1 s at one connection and of 1,000 rows); "
        "in each round every server has its turn"
    )
    return [
        f"All in one run of {took_min:.0f} minutes on one machine, the load beside the servers on the same cores. {rounds}",
        *CONDITIONS.splitlines(),
    ]


def _judge_share(report: Report, work: str, *, beside: str, at_least: float, wanted: str) -> None:
    shares = {
        model: figures[OURS].value / figures[beside].value
        for model, figures in report.figures.get(work, {}).items()
        if OURS in figures and beside in figures
    }
    said = ", ".join(f"{model} {share:.2f}" for model, share in shares.items())
    report.judged(work, wanted=wanted, found=said, met=min(shares.values()) >= at_least if shares else None)


def _judge_start(report: Report) -> None:
    found = [figures[OURS] for figures in report.figures.get(START, {}).values() if OURS in figures]
    said = ", ".join(str(figure) for figure in found)
    report.judged(START, wanted="2 s", found=said, met=all(figure.value <= 2 for figure in found) if found else None)
