"""Drift of many columns together, against scikit-learn and by planted changes that no single column shows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel

from flyball.kernel.errors import InvalidInput
from flyball.measures.multivariate import mean_discrepancy, reconstruction
from flyball.measures.separation import domain_classifier


def _points(seed: int, rows: int, *, together: float = 0.9) -> np.ndarray:
    """Return four columns with the same margins whatever `together`, by which pairs of them move."""
    generator = np.random.default_rng(seed)
    hidden, noise = generator.normal(size=(2, rows, 2)), generator.normal(size=(rows, 2))
    return np.hstack([hidden[0], together * hidden[0] + np.sqrt(1 - together**2) * noise])


def test_columns_that_part_are_found_though_none_has_changed() -> None:
    ours, same, parted = _points(1, 2_000), _points(2, 1_500), _points(3, 1_500, together=0.0)
    assert abs(reconstruction(ours, same).effect) < 0.1
    assert reconstruction(ours, same).test.p_value > 0.01
    found = reconstruction(ours, parted)
    assert (found.components, found.effect > 1, found.test.p_value < 1e-6) == (2, True, True)
    assert found.shares.sum() == pytest.approx(1.0)
    assert mean_discrepancy(ours, parted).p_value < 0.01
    assert mean_discrepancy(ours, same).p_value > 0.01


def test_the_error_is_that_of_scikit_learn_s_components() -> None:
    ours, theirs = _points(4, 200), _points(5, 100, together=0.2)
    found = reconstruction(ours, theirs, seed=7)
    order = np.random.default_rng(7).permutation(200)
    learned, held = ours[order[:100]], ours[order[100:]]
    centre, unit = learned.mean(axis=0), learned.std(axis=0)
    oracle = PCA(n_components=found.components, svd_solver="full").fit((learned - centre) / unit)
    errors = []
    for part in (held, theirs):
        scaled = (part - centre) / unit
        errors.append(np.linalg.norm(scaled - oracle.inverse_transform(oracle.transform(scaled)), axis=1))
    assert found.effect == pytest.approx((errors[1].mean() - errors[0].mean()) / errors[0].std(), rel=1e-9)


def test_the_discrepancy_is_that_of_its_definition() -> None:
    ours, theirs = _points(9, 30), _points(10, 20) + 0.5
    points = np.concatenate([ours, theirs])
    apart = np.square(points[:, None, :] - points[None, :, :]).sum(axis=2)
    kernel = rbf_kernel(points, gamma=1 / (2 * np.median(apart[np.triu_indices(50, 1)])))
    within = [(kernel[side][:, side].sum() - len(kernel[side])) for side in (slice(0, 30), slice(30, 50))]
    expected = within[0] / (30 * 29) + within[1] / (20 * 19) - 2 * kernel[:30, 30:].mean()
    assert mean_discrepancy(ours, theirs, permutations=1).statistic == pytest.approx(expected, rel=1e-9)


def test_p_values_of_the_discrepancy_are_spread_evenly_when_nothing_changed() -> None:
    found = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        ours, theirs = generator.normal(size=(40, 2)), generator.normal(size=(30, 2))
        found.append(mean_discrepancy(ours, theirs, permutations=99, seed=seed).p_value)
    assert 0.3 < np.mean(found) < 0.7
    assert sum(value <= 0.1 for value in found) <= 12


def test_many_rows_are_drawn_from_and_equal_points_do_not_divide_by_nothing() -> None:
    ours = np.random.default_rng(11).normal(size=(3_000, 3))
    assert mean_discrepancy(ours, ours + 2, permutations=20).p_value == pytest.approx(1 / 21)
    assert mean_discrepancy(np.ones((5, 1)), np.ones((5, 1)), permutations=9).p_value == 1.0


def test_what_makes_no_sense_is_refused() -> None:
    good = np.random.default_rng(12).normal(size=(30, 2))
    for wrong in (good[:, :1], good[:1], good[0], np.full((30, 2), np.nan)):
        for measure in (reconstruction, domain_classifier, mean_discrepancy):
            with pytest.raises(InvalidInput):
                measure(good, wrong) if measure is not reconstruction else measure(wrong, good)
    with pytest.raises(InvalidInput, match="does not vary"):
        reconstruction(np.ones((30, 2)), good)
    with pytest.raises(InvalidInput, match="share"):
        reconstruction(good, good, kept_share=1.0)
    with pytest.raises(InvalidInput, match="permutation"):
        mean_discrepancy(good, good, permutations=0)
