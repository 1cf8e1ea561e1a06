"""A classifier that tells two sets of points apart, against scikit-learn and by planted changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, rankdata
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from flyball.measures import separation
from flyball.measures.points import (
    BUCKETS,
    DIMENSIONS,
    bucket_of,
    frequent_words,
    hashed_words,
    normal_scores,
    shortened,
    words_of,
)
from flyball.measures.separation import domain_classifier, linear_classifier


def test_a_classifier_cannot_tell_what_is_the_same_and_tells_a_shift_and_a_scale() -> None:
    generator = np.random.default_rng(6)
    ours = generator.normal(size=(800, 5))
    assert domain_classifier(ours, generator.normal(size=(600, 5))).area.lower < 0.5
    for moved in (generator.normal(0.5, 1, (600, 5)), generator.normal(0, 1.6, (600, 5))):
        assert domain_classifier(ours, moved).area.lower > 0.6


def test_the_bounds_of_the_area_hold_when_nothing_changed() -> None:
    missed = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        found = domain_classifier(
            generator.normal(size=(150, 3)), generator.normal(size=(150, 3)), confidence=0.9, seed=seed
        ).area
        missed += not found.lower <= 0.5 <= found.upper
    # 0.1 of 200 is 20; four standard deviations are 17.
    assert 3 <= missed <= 37


def test_the_area_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(8)
    negative, positive = generator.integers(0, 9, 70).astype(float), generator.integers(3, 12, 40).astype(float)
    area, variance = separation._area(negative, positive)
    truth = np.repeat([0, 1], [70, 40])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([negative, positive])), rel=1e-12)
    drawn = [separation._area(generator.choice(negative, 70), generator.choice(positive, 40))[0] for _ in range(2_000)]
    assert variance == pytest.approx(np.var(drawn), rel=0.15)


def _pairs(seed: int, *, rows: int = 1_000, together: float) -> np.ndarray:
    """Return five columns, of which the third and the fourth move together."""
    points = np.random.default_rng(seed).normal(size=(rows, 5))
    points[:, 3] = together * points[:, 2] + np.sqrt(1 - together**2) * points[:, 3]
    return points


def test_two_columns_that_turn_against_each_other_are_found_and_named() -> None:
    found = domain_classifier(_pairs(1, together=0.7), _pairs(2, together=-0.7))
    assert found.area.lower > 0.7
    assert found.p_value < 1e-20
    assert set(np.argsort(-found.shares)[:2]) == {2, 3}
    assert found.shares[[2, 3]].sum() > 0.9
    assert found.shares.sum() == pytest.approx(1.0)


def test_a_column_that_moved_is_named() -> None:
    moved = _pairs(4, together=0.7) + np.array([0.0, 0.6, 0.0, 0.0, 0.0])
    found = domain_classifier(_pairs(3, together=0.7), moved)
    assert np.argmax(found.shares) == 1
    assert found.shares[1] > 0.8


def test_the_weights_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(5)
    rows = np.column_stack([generator.normal(size=(200, 3)), np.ones(200)])
    side = (generator.random(200) < 1 / (1 + np.exp(-rows[:, 0]))).astype(float)
    oracle = LogisticRegression(C=1 / separation.RIDGE, tol=1e-10, max_iter=1_000).fit(rows[:, :3], side)
    found = separation._fitted(rows, side)
    assert found == pytest.approx([*oracle.coef_[0], oracle.intercept_[0]], abs=1e-5)


def test_the_p_value_is_one_sided_and_certain_where_nothing_is_left_to_doubt() -> None:
    assert domain_classifier(np.zeros((40, 1)), np.ones((40, 1))).p_value == 0.0
    assert domain_classifier(np.zeros((40, 1)), np.zeros((40, 1))).p_value == 1.0
    assert domain_classifier(np.zeros((40, 1)), np.zeros((40, 1))).shares.tolist() == [0.0]


def test_normal_scores_are_those_of_scipy_and_know_no_unit() -> None:
    generator = np.random.default_rng(7)
    ours, theirs = generator.lognormal(size=(300, 2)), generator.integers(0, 9, size=(200, 2)).astype(float)
    found = np.concatenate(normal_scores(ours, theirs))
    oracle = norm.ppf(rankdata(np.concatenate([ours, theirs]), axis=0) / 501)
    assert found == pytest.approx(oracle, abs=1e-3)
    assert np.concatenate(normal_scores(1_000 * ours, 1_000 * theirs)) == pytest.approx(found)


def test_equal_values_have_equal_scores_and_missing_ones_the_middle() -> None:
    ours, theirs = normal_scores(np.array([[1.0], [1.0], [np.nan]]), np.array([[5.0], [1.0], [5.0]]))
    assert ours[0, 0] == ours[1, 0] == theirs[1, 0] < 0 < theirs[0, 0] == theirs[2, 0]
    assert ours[2, 0] == 0.0


def test_words_are_counted_as_scikit_learn_counts_them() -> None:
    texts = ["The bill was not paid", "the bill, the BILL!", ""]
    oracle = CountVectorizer(analyzer=words_of).fit(texts)
    counts = np.zeros((3, BUCKETS))
    for word, place in oracle.vocabulary_.items():
        counts[:, bucket_of(word)] += oracle.transform(texts).toarray()[:, place]
    expected = np.sqrt(counts) / np.maximum(np.linalg.norm(np.sqrt(counts), axis=1, keepdims=True), 1e-12)
    assert hashed_words(texts) == pytest.approx(expected)
    assert hashed_words(texts)[2].tolist() == [0.0] * BUCKETS


def test_other_words_are_found_and_named() -> None:
    generator = np.random.default_rng(8)

    def letters(words: list[str], rows: int) -> list[str]:
        return [" ".join(generator.choice(words, 8)) for _ in range(rows)]

    usual = ["invoice", "payment", "late", "please", "thanks", "account"]
    ours, same = letters(usual, 300), letters(usual, 300)
    other = letters([*usual, "refund"], 300)
    assert linear_classifier(hashed_words(ours), hashed_words(same)).area.lower < 0.5
    found = linear_classifier(hashed_words(ours), hashed_words(other))
    assert found.area.lower > 0.6
    named = frequent_words([*ours, *other])
    assert "refund" in [named.get(place) for place in np.argsort(-found.shares)[:3]]


def test_long_points_are_made_short_the_same_way_each_time_and_keep_their_distances() -> None:
    points = np.random.default_rng(9).normal(size=(60, 400))
    found = shortened(points)
    assert found.shape == (60, DIMENSIONS)
    assert shortened(points[:3]) == pytest.approx(found[:3])
    before = np.linalg.norm(points[:30] - points[30:], axis=1)
    after = np.linalg.norm(found[:30] - found[30:], axis=1)
    assert np.abs(after / before - 1).mean() < 0.15
    assert shortened(points[:, :5]) == pytest.approx(points[:, :5])
