"""The worst slice is found where one is planted, and seldom where there is none, though hundreds are looked at."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from flyball.measures.slices import Cells, SliceSearch, worst_slices

BLOCKS, ROWS = 14, 2_800


def _cells(generator: np.random.Generator, features: int) -> list[Cells]:
    return [
        Cells(
            name=f"f{place}",
            codes=generator.integers(0, 4, ROWS),
            texts=tuple(f"f{place} = {code}" for code in range(4)),
        )
        for place in range(features)
    ]


def _search(seed: int, *, planted: float = 0.0) -> SliceSearch:
    generator = np.random.default_rng(seed)
    cells, places = _cells(generator, 8), np.repeat(np.arange(BLOCKS), ROWS // BLOCKS)
    chance = 0.2 + generator.normal(0, 0.05, BLOCKS)[places]  # some days are harder than others
    chance += planted * ((cells[2].codes == 1) & (cells[5].codes == 3))
    losses = (generator.random(ROWS) < np.clip(chance, 0, 1)).astype(float)
    found = worst_slices(losses, cells, places, min_rows=30)
    assert found is not None
    return found


def test_a_planted_slice_of_two_features_is_found_and_named() -> None:
    named = 0
    for seed in range(20):
        best = _search(seed, planted=0.5).found[0]
        named += best.p_value < 0.01 and set(best.texts) == {"f2 = 1", "f5 = 3"}
    assert named >= 17


def test_where_there_is_none_it_is_seldom_found_though_hundreds_are_looked_at() -> None:
    found = [_search(seed) for seed in range(100, 160)]
    assert min(one.tried for one in found) > 400
    wrong = sum(bool(one.found) and one.found[0].p_value < 0.05 for one in found)
    assert binom.sf(wrong - 1, len(found), 0.05) > 0.01, wrong


def test_too_few_blocks_are_no_ground_to_search_on() -> None:
    generator = np.random.default_rng(1)
    assert worst_slices(np.ones(ROWS), _cells(generator, 2), np.repeat(np.arange(5), ROWS // 5), min_rows=30) is None


def test_nearly_the_same_rows_are_one_slice() -> None:
    generator = np.random.default_rng(2)
    one = _cells(generator, 1)[0]
    twin = Cells(name="twin", codes=one.codes, texts=one.texts)
    losses = (generator.random(ROWS) < 0.1 + 0.6 * (one.codes == 2)).astype(float)
    found = worst_slices(losses, [one, twin], np.repeat(np.arange(BLOCKS), ROWS // BLOCKS), min_rows=30)
    assert found is not None
    assert found.found[0].p_value < 0.001
    first, *others = found.found
    assert all(np.sum(first.rows & other.rows) < 0.6 * first.rows.sum() for other in others)
