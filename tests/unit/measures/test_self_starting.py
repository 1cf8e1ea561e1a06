"""A series held against its own past: scores that a chart with a stated run length can take."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_cdf
from flyball.measures.online import Cusum, cusum_limit
from flyball.measures.self_starting import SelfStarting


def _scores(values: np.ndarray, *, learn: int = 30) -> list[float]:
    series = SelfStarting(learn=learn)
    return [score for value in values if (score := series.update(float(value))) is not None]


def _walk(generator: np.random.Generator, count: int, memory: float) -> np.ndarray:
    values = np.zeros(count)
    for place in range(1, count):
        values[place] = memory * values[place - 1] + generator.normal()
    return 5.0 + 3.0 * values


def test_a_score_is_the_recursive_residual_of_a_regression() -> None:
    values = _walk(np.random.default_rng(1), 40, 0.5)
    series = SelfStarting(learn=5)
    found = [series.update(float(value)) for value in values]
    # The second source: least squares on everything before, and Student's distribution from SciPy.
    before, after = values[:38], values[1:39]
    design = np.column_stack([np.ones(38), before])
    known, residual, _rank, _sizes = np.linalg.lstsq(design, after, rcond=None)
    new = np.array([1.0, values[38]])
    spread = 1.0 + new @ np.linalg.inv(design.T @ design) @ new
    ratio = (values[39] - new @ known) / np.sqrt(residual[0] / 36 * spread)
    assert found[39] == pytest.approx(stats.norm.ppf(stats.t.cdf(ratio, 36)), rel=1e-6)
    assert found[:5] == [None] * 5


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_scores_of_a_steady_series_are_standard_normal_and_forget_each_other(memory: float) -> None:
    scores = np.array(_scores(_walk(np.random.default_rng(2), 3_000, memory)))
    assert stats.kstest(scores, "norm").pvalue > 0.01
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 3 / np.sqrt(len(scores))


@pytest.mark.parametrize(("memory", "within"), [(0.0, 0.25), (0.6, 0.35)])
def test_a_chart_of_a_series_that_is_learned_keeps_its_run_length(memory: float, within: float) -> None:
    generator = np.random.default_rng(3)
    values, alarms, limit = 0, 0, cusum_limit(100)
    for _ in range(60):
        chart = Cusum(mean=0, deviation=1, limit=limit)
        scores = _scores(_walk(generator, 400, memory))
        values += len(scores)
        alarms += sum(chart.update(score) for score in scores)
    # About 220 alarms, so that chance alone is off by 7 % (one deviation).
    assert values / alarms == pytest.approx(100, rel=within)


def test_what_does_not_vary_has_no_score_and_a_jump_out_of_it_is_none_either() -> None:
    assert _scores(np.full(100, 7.25)) == []


def test_a_far_value_has_a_finite_score() -> None:
    values = [*np.random.default_rng(4).normal(0, 1, 60), 1e9]
    assert _scores(np.array(values))[-1] == pytest.approx(25, abs=16)
    assert 0 <= normal_cdf(_scores(np.array(values))[-1]) <= 1


def test_too_little_to_learn_from_and_no_number_are_refused() -> None:
    with pytest.raises(InvalidInput):
        SelfStarting(learn=2)
    with pytest.raises(InvalidInput):
        SelfStarting().update(float("nan"))
