"""One detector, from the memory of the windows before through the values of one window. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache

from flyball.measures.distributions import normal_cdf
from flyball.measures.online import AdaptiveWindow, Cusum, PageHinkley, cusum_limit, cusum_run_length
from flyball.measures.self_starting import SelfStarting
from flyball.measures.wrong_answers import WrongAnswers, wrong_answers_chart, wrong_answers_run_length
from flyball.monitoring.online.figures import LastingChange, Memory
from flyball.monitoring.online.rules import CONFIDENCE, LEARNED, RISE, SHIFT, TOLERANCE, Detector, OnlineRule

# Page and Hinkley's mean is its own, and needs some values to be one. With so few values neither a cut is looked for.
_LEAST_ROWS, _LEAST_WINDOWS = 30, 5
_ROWS_A_LOOK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What single rows are held against: the mean error of the version's baseline, and its deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What became of the values: the memory after them, and the first change found in them."""

    memory: Memory
    change: LastingChange | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How often a detector cries wolf: on average once in `run_length` values, None where nobody knows; and in words."""

    run_length: float | None
    text: str


def start(rule: OnlineRule, usual: Usual | None) -> Memory:
    """Return the memory of a detector that has seen nothing; of rows it needs what is usual.

    Raises:
        InvalidInput: what is usual leaves no room for the rise, or the run length cannot be kept.
    """
    series = None if rule.of_rows else _series(rule)
    if rule.detector is Detector.ADWIN:
        every, least = (_ROWS_A_LOOK, _LEAST_WINDOWS) if rule.of_rows else (1, _LEAST_WINDOWS)
        return Memory(
            series=series, adwin=AdaptiveWindow(confidence=rule.delta or CONFIDENCE, every=every, least=least)
        )
    if rule.detector is Detector.PAGE_HINKLEY:
        return Memory(series=series, rising=_page_hinkley(rule), falling=None if rule.of_rows else _page_hinkley(rule))
    if rule.of_rows:
        return Memory(answers=_chart(rule, usual))
    return Memory(series=series, cusum=_cusum(rule))


def promise(rule: OnlineRule, memory: Memory, usual: Usual | None) -> Promise:
    """Say how often a detector cries wolf, and on which assumptions."""
    if memory.answers is not None and usual is not None:
        return _promise_of_answers(rule, memory.answers, usual)
    if memory.cusum is not None:
        return _promise_of_cusum(rule, memory.cusum)
    if rule.detector is Detector.ADWIN:
        text = f"a look at a steady series finds a change with a chance of at most {rule.delta or CONFIDENCE:g}"
        return Promise(run_length=None, text=f"{text}; no run length is stated")
    return Promise(run_length=None, text="no run length is stated: a backtest shows how often it fires")


def step_rows(memory: Memory, errors: Sequence[float], marks: Sequence[int], *, usual: Usual | None) -> Stepped:
    """Feed the errors of single rows, in order of event time; of a rise only the first is told."""
    known = deepcopy(memory)
    update = _rows_into(known, usual)
    change: LastingChange | None = None
    taken = known.taken
    for error, mark in zip(errors, marks, strict=True):
        taken += 1
        found = update(error, mark)
        if found is not None:
            taken = 0
            change = change or LastingChange(found_ms=mark, since_ms=found[0], rose=found[1], alarms=found[1])
    return Stepped(memory=replace(known, taken=taken), change=change)


def step_window(rule: OnlineRule, memory: Memory, value: float, mark: int) -> Stepped:
    """Feed the value of a window. After a change all is learned anew: the level before says nothing of the one after."""
    known = deepcopy(memory)
    assert known.series is not None, "windows are held against those before them"
    score = known.series.update(value)
    after = replace(known, taken=known.taken + 1)
    if score is None:
        return Stepped(memory=after)
    found = _window_into(known, score, mark)
    if found is None:
        return Stepped(memory=after, score=score)
    since, rose = found
    change = LastingChange(found_ms=mark, since_ms=since, rose=rose, alarms=rose or not rule.of_labels)
    return Stepped(memory=start(rule, None), change=change, score=score)


def statistic(memory: Memory) -> tuple[float | None, float | None]:
    """Return how far a detector has come, and where it fires; nothing for one that has no such number."""
    if memory.answers is not None:
        return float(memory.answers.total), float(memory.answers.limit)
    if memory.cusum is not None:
        return max(memory.cusum.upper, memory.cusum.lower), memory.cusum.limit
    sides = [side for side in (memory.rising, memory.falling) if side is not None]
    return (max(side.total - side.lowest for side in sides), sides[0].limit) if sides else (None, None)


Found = tuple[int, bool] | None


def _rows_into(memory: Memory, usual: Usual | None) -> Callable[[float, int], Found]:
    """Return what takes a row's error, and says since when it is another one, and whether it is larger."""
    answers, rising, adwin = memory.answers, memory.rising, memory.adwin
    if answers is not None:
        return lambda error, mark: (answers.since, True) if answers.update(error > 0, mark) else None
    if adwin is not None:
        return lambda error, mark: (adwin.since, adwin.rose) if adwin.update(error, mark) else None
    assert rising is not None, "there is no fourth detector"
    assert usual is not None, "rows are held against what is usual"
    mean, unit = usual.mean, usual.deviation
    return lambda error, mark: (rising.since, True) if rising.update((error - mean) / unit, mark) else None


def _window_into(memory: Memory, score: float, mark: int) -> Found:
    if memory.cusum is not None:
        return (memory.cusum.since, memory.cusum.rose) if memory.cusum.update(score, mark) else None
    if memory.adwin is not None:
        return (memory.adwin.since, memory.adwin.rose) if memory.adwin.update(normal_cdf(score), mark) else None
    assert memory.rising is not None, "there is no fourth detector"
    assert memory.falling is not None, "windows are looked at from both sides"
    rose, fell = memory.rising.update(score, mark), memory.falling.update(-score, mark)
    if not rose and not fell:
        return None
    return (memory.rising.since, True) if rose else (memory.falling.since, False)


def _series(rule: OnlineRule) -> SelfStarting:
    learn = rule.learn or LEARNED
    return SelfStarting(learn=learn, until=None if rule.detector is Detector.CUSUM else learn)


def _page_hinkley(rule: OnlineRule) -> PageHinkley:
    assert rule.limit is not None, "the file was checked"
    tolerance = TOLERANCE if rule.tolerance is None else rule.tolerance
    return PageHinkley(limit=rule.limit, tolerance=tolerance, least=_LEAST_ROWS if rule.of_rows else _LEAST_WINDOWS)


def _cusum(rule: OnlineRule) -> Cusum:
    allowance = (rule.shift or SHIFT) / 2.0
    return Cusum(mean=0.0, deviation=1.0, allowance=allowance, limit=_limit(rule.run_length or 0.0, allowance))


@lru_cache(maxsize=256)  # a monitor asks for the same one in every window
def _limit(run_length: float, allowance: float) -> float:
    return cusum_limit(run_length, allowance=allowance)


def _chart(rule: OnlineRule, usual: Usual | None) -> WrongAnswers:
    assert usual is not None, "rows are held against what is usual"
    return wrong_answers_chart(usual.mean, rise=rule.rise or RISE, run_length=rule.run_length or 0.0)


@lru_cache(maxsize=256)
def _answers_length(share: float, plan: tuple[int, int, int]) -> float:
    up, down, limit = plan
    return wrong_answers_run_length(share, up=up, down=down, limit=limit)


def _promise_of_answers(rule: OnlineRule, answers: WrongAnswers, usual: Usual) -> Promise:
    plan, rise = (answers.up, answers.down, answers.limit), rule.rise or RISE
    quiet, found = (_answers_length(share, plan) for share in (usual.mean, usual.mean + rise))
    text = (
        f"one false alarm in {quiet:,.0f} rows on average, while {usual.mean:.2%} of the answers are wrong, as in the baseline, "
        f"and rows are independent; a rise by {rise:.2%} takes {found:,.0f} rows on average"
    )
    return Promise(run_length=quiet, text=text)


def _promise_of_cusum(rule: OnlineRule, cusum: Cusum) -> Promise:
    shift = rule.shift or SHIFT
    found = cusum_run_length(cusum.limit, allowance=cusum.allowance, shift=shift)
    text = (
        f"one false alarm in {rule.run_length:g} windows on average, of either side, while windows vary normally about what the one before "
        f"lets expect; a shift by {shift:g} standard deviations takes {math.ceil(found)} windows on average"
    )
    return Promise(run_length=rule.run_length, text=text)
