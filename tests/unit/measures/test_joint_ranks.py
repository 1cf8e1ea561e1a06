"""One limit for many features: exceeded as often as it says, however few the windows and however many the features."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.measures.joint_ranks import joint_ranks
from flyball.measures.permutation import allowed_above, rank_threshold
from flyball.measures.samples import Floats

AFTER = 200


def effects(generator: np.random.Generator, rows: int, features: int) -> Floats:
    """Return skewed effects, each feature in a unit of its own."""
    drawn: Floats = np.abs(generator.normal(size=(rows, features))) ** 1.3 * np.exp(generator.normal(size=features))
    return drawn


@pytest.mark.parametrize(
    ("windows", "features", "chance", "histories"), [(29, 30, 1 / 30, 800), (60, 30, 0.1, 400), (180, 5, 1 / 30, 500)]
)
def test_the_limit_is_exceeded_as_often_as_it_says(windows: int, features: int, chance: float, histories: int) -> None:
    generator = np.random.default_rng(11)
    beyond = []
    for _ in range(histories):
        drawn = effects(generator, windows + AFTER, features)
        found = joint_ranks(drawn[:windows], chance, whole=windows)
        beyond.append(np.mean(found.standardised(drawn[windows:]).max(axis=1) > found.limit))
    stated = allowed_above(windows, chance) / (windows + 1)
    # Four standard errors of this many histories; with units read off the ranked windows themselves it is 1.1 to 2 times.
    error = float(np.std(beyond)) / np.sqrt(histories)
    assert error < 0.05 * stated
    assert np.mean(beyond) == pytest.approx(stated, abs=max(4 * error, 0.02 * stated))


def test_one_feature_needs_no_unit() -> None:
    known = effects(np.random.default_rng(12), 99, 1)
    found = joint_ranks(known, 0.05, whole=99)
    assert found.centre[0] + found.limit * found.scale[0] == pytest.approx(rank_threshold(known[:, 0], 0.05))


def test_the_unit_of_a_feature_changes_nothing() -> None:
    known = effects(np.random.default_rng(13), 99, 4)
    factor = np.array([1.0, 1e3, 1e-3, 7.0])
    ours, theirs = (joint_ranks(one, 0.05, whole=99) for one in (known, known * factor))
    assert theirs.limit == pytest.approx(ours.limit)
    assert theirs.scale == pytest.approx(ours.scale * factor)


def test_a_feature_that_never_moved_alarms_at_the_first_move() -> None:
    known = effects(np.random.default_rng(14), 99, 2)
    known[:, 1] = 0.0
    found = joint_ranks(known, 0.05, whole=99)
    assert found.standardised(np.array([[0.0, 0.01]])).max() > found.limit


def test_windows_that_share_rows_weigh_less() -> None:
    known = effects(np.random.default_rng(15), 420, 6)
    together, alone = (joint_ranks(known, 0.05, whole=whole) for whole in (60, 420))
    assert together.limit == alone.limit
    assert (together.scale >= alone.scale).all()
    assert together.scale.sum() > alone.scale.sum()
