"""Levels of one test after the other: straight from the formula, within the budget that the proof needs, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.false_discovery import MOST_KEPT, Discoveries, DiscoveryRule, hold_to_level, level_at, went_on

RATE = 0.1


def spending(step: int) -> float:
    return 0.0 if step < 1 else step**-1.6 / 2.2857657


def by_the_formula(decay: float, found: list[int], step: int) -> float:
    """The level as the module's documentation writes it, summed over all steps before."""
    marks = [1 if earlier in found else 0 for earlier in range(step)]
    paid, seen = 0.0, 0
    for earlier in range(1, step):
        if marks[earlier]:
            seen += 1
            back = RATE if decay == 1 and seen > 1 else RATE - 0.9 * RATE
            paid += back * math.pow(decay, step - earlier) * spending(step - earlier)
    return 0.9 * RATE * (1 - decay) + 0.9 * RATE * math.pow(decay, step) * spending(step) + paid


def drawn(decay: float, steps: int, *, seed: int, real: float = 0.0, known: int = 0) -> list[tuple[bool, bool, float]]:
    """Hold p-values to their levels: (a discovery, nothing had changed, level). Of `known` null values they are ranks."""
    generator = np.random.default_rng(seed)
    null = np.sort(generator.normal(size=known))
    rule, state, made = DiscoveryRule(rate=RATE, decay=decay), Discoveries(), []
    for step in range(1, steps + 1):
        changed = step % 100 >= 95
        value = generator.normal() + (real if changed else 0.0)
        p_value = 0.5 * math.erfc(value / math.sqrt(2))
        if known:
            p_value = float(1 + known - np.searchsorted(null, value)) / (known + 1)
        tested = hold_to_level(rule, state, p_value)
        state = tested.after
        made.append((tested.rejected, not (changed and real), tested.level))
    return made


@pytest.mark.parametrize("decay", [1.0, 0.99, 0.9, 0.5])
def test_levels_are_those_of_the_formula(decay: float) -> None:
    generator = np.random.default_rng(4)
    rule, state, found = DiscoveryRule(rate=RATE, decay=decay), Discoveries(), list[int]()
    for step in range(1, 150):
        assert level_at(rule, state, step) == pytest.approx(by_the_formula(decay, found, step), rel=1e-12)
        tested = hold_to_level(rule, state, 0.0 if generator.random() < 0.1 else 1.0)
        state = tested.after
        found += [step] if tested.rejected else []
    assert state.found == tuple(found)
    assert len(found) > 5


def test_a_decay_of_one_is_lord_plus_plus() -> None:
    rule = DiscoveryRule(rate=RATE)
    state = Discoveries(step=9, found=(2, 5, 9))
    base = 0.9 * RATE
    first = base * spending(11) + (RATE - base) * spending(9)
    assert level_at(rule, state, 11) == pytest.approx(first + RATE * (spending(6) + spending(2)))
    assert rule.floor == 0.0


@pytest.mark.parametrize("decay", [1.0, 0.99, 0.9, 0.3])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_what_is_spent_is_never_more_than_what_discoveries_allow(decay: float, share: float) -> None:
    generator = np.random.default_rng(7)
    rule, state = DiscoveryRule(rate=RATE, decay=decay), Discoveries()
    spent = weight = 0.0
    for step in range(1, 600):
        level = level_at(rule, state, step)
        spent = spent * decay + level
        assert spent <= RATE * max(1.0, weight * decay) * (1 + 1e-12)
        found = bool(generator.random() < share)
        state = went_on(state, step, found=found)
        weight = weight * decay + found
        assert level >= rule.floor


def test_the_more_was_discovered_the_higher_is_the_level() -> None:
    rule = DiscoveryRule(rate=RATE, decay=0.95)
    fewer, more = Discoveries(step=9, found=(3, 8)), Discoveries(step=9, found=(3, 5, 8))
    assert all(level_at(rule, more, step) > level_at(rule, fewer, step) for step in range(10, 60))


def test_steps_left_out_are_time_that_passed() -> None:
    rule = DiscoveryRule(rate=RATE, decay=0.9)
    tested = hold_to_level(rule, Discoveries(), 0.5, step=40)
    assert (tested.rejected, tested.after) == (False, Discoveries(step=40))
    assert tested.level == pytest.approx(by_the_formula(0.9, [], 40))
    assert level_at(rule, Discoveries(step=40, found=(3,)), 4_000) == pytest.approx(rule.floor)


def test_forgetting_the_oldest_only_lowers_the_level() -> None:
    rule, state = DiscoveryRule(rate=RATE, decay=0.999), Discoveries()
    for step in range(1, MOST_KEPT + 51):
        state = went_on(state, step, found=True)
    assert (len(state.found), state.found[0]) == (MOST_KEPT, 51)
    step = state.step + 1
    assert level_at(rule, state, step) < by_the_formula(0.999, list(range(1, step)), step)


def test_the_share_of_false_discoveries_is_kept_and_long_spells_are_found() -> None:
    # 60 streams of 1,000 steps, five of every hundred changed by four standard deviations; p-values are ranks among 333.
    decay = 1 - 1 / 30
    shares, found, spells = [], 0, 0
    for seed in range(60):
        false = every = 0.0
        stream = drawn(decay, 1_000, seed=seed, real=4.0, known=333)
        for rejected, null, _level in stream:
            false, every = false * decay + (rejected and null), every * decay + rejected
            shares.append(false / max(1.0, every))
        hits = [rejected for rejected, null, _level in stream if not null]
        found += sum(any(hits[at : at + 5]) for at in range(0, len(hits), 5))
        spells += len(hits) // 5
    assert np.mean(shares) < RATE
    assert found / spells > 0.95


def test_where_nothing_changes_false_alarms_are_as_many_as_the_floor_says() -> None:
    decay = 1 - 1 / 30
    false = sum(rejected for seed in range(60) for rejected, _null, _level in drawn(decay, 500, seed=seed))
    floor = DiscoveryRule(rate=RATE, decay=decay).floor
    # Each step has the floor at least; the weight of false ones is at most the rate, which is 100 in 30,000 steps.
    assert 30_000 * floor - 3 * math.sqrt(90) < false < 100 + 3 * math.sqrt(100)


def test_without_forgetting_no_rank_among_a_year_of_days_is_ever_low_enough() -> None:
    levels = [level for _rejected, _null, level in drawn(1.0, 40, seed=1, known=365)]
    assert levels[-1] < 1 / 366 < levels[0]


@pytest.mark.parametrize(("rate", "decay"), [(0.0, 0.9), (1.0, 0.9), (0.1, 0.0), (0.1, 1.1)])
def test_rules_out_of_range_are_refused(rate: float, decay: float) -> None:
    with pytest.raises(InvalidInput):
        DiscoveryRule(rate=rate, decay=decay)


def test_p_values_and_steps_out_of_range_are_refused() -> None:
    rule = DiscoveryRule(rate=RATE)
    with pytest.raises(InvalidInput, match="outside 0"):
        hold_to_level(rule, Discoveries(), float("nan"))
    with pytest.raises(InvalidInput, match="does not come after"):
        hold_to_level(rule, Discoveries(step=3), 0.5, step=3)
