"""Search the slice where rows fare worst: cells of one feature and of two, found on every other block, confirmed on the rest.

The best of a thousand slices is good by luck. Here the luck is spent on one half of the blocks; the other half has not been
searched, so a slice that is worse there too is worse, and its figures there are not flattered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from flyball.measures.distributions import student_t_cdf
from flyball.measures.multiplicity import holm
from flyball.measures.resampling import Places, sum_in_blocks
from flyball.measures.samples import Floats

# Of the features, those whose own cells differ most are combined in pairs: 66 pairs of at most 100 cells.
MOST_PAIRED = 12
MOST_CELLS = 10
# So many of the found slices are confirmed; each costs the others a part of their significance (Holm).
CONFIRMED = 3
FEWEST_BLOCKS_A_HALF = 3

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """A feature cut into cells: `codes` (n,) says in which each row lies, -1 in none; `texts` says what each cell is."""

    name: str
    codes: Codes
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundSlice:
    """A slice that the search found: which rows, and on the confirming half by how much more they lose than all others."""

    texts: tuple[str, ...]
    features: tuple[str, ...]
    rows: NDArray[np.bool_]
    excess: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceSearch:
    """What came of a search: the best confirmed slice first in `found`, `tried` cells, and the rows that confirmed."""

    found: tuple[FoundSlice, ...]
    tried: int
    confirming: NDArray[np.bool_]


def worst_slices(losses: Floats, cells: Sequence[Cells], places: Places, *, min_rows: int) -> SliceSearch | None:
    """Search the slices whose rows lose most, and test the best three on blocks that were not searched.

    Args:
        losses: shape (n,), finite; more is worse.
        cells: the features.
        places: the block of each row, numbered from 0 in the order of time.
        min_rows: rows that a slice has at least, in either half.

    Returns:
        Slices with p-values adjusted by Holm, smallest first; None when either half has fewer than three blocks.
    """
    searching = places % 2 == 0
    halves = [len(np.unique(places[half])) for half in (searching, ~searching)]
    if min(halves) < FEWEST_BLOCKS_A_HALF:
        return None
    ranked, tried = _ranked(losses, cells, searching, min_rows=min_rows)
    tested = [
        (names, rows, *_excess(losses, rows, places, ~searching))
        for names, rows in ranked
        if _both(rows, ~searching, min_rows)
    ]
    adjusted = holm([p_value for *_, p_value in tested]) if tested else np.empty(0)
    found = [
        FoundSlice(
            texts=tuple(one.texts[code] for one, code in names),
            features=tuple(one.name for one, _ in names),
            rows=rows,
            excess=excess,
            p_value=float(p_value),
        )
        for (names, rows, excess, _), p_value in zip(tested, adjusted, strict=True)
    ]
    found.sort(key=lambda one: (one.p_value, -one.excess))
    return SliceSearch(found=tuple(found), tried=tried, confirming=~searching)


_Names = tuple[tuple[Cells, int], ...]


def _ranked(
    losses: Floats, cells: Sequence[Cells], half: NDArray[np.bool_], *, min_rows: int
) -> tuple[list[tuple[_Names, NDArray[np.bool_]]], int]:
    """Return the cells that stand out most in one half, and how many were looked at."""
    mine = losses[half]
    singles = [((one,), _scores(mine, one.codes[half], len(one.texts), min_rows=min_rows)) for one in cells]
    best = sorted(singles, key=lambda pair: -float(np.max(pair[1], initial=-math.inf)))
    paired = [one[0] for one, _ in best[:MOST_PAIRED]]
    scored: list[tuple[tuple[Cells, ...], Floats]] = list(singles)
    for one, two in combinations(paired, 2):
        codes = _joined(one, two)[half]
        scored.append(((one, two), _scores(mine, codes, len(one.texts) * len(two.texts), min_rows=min_rows)))
    tried = sum(int(np.isfinite(scores).sum()) for _, scores in scored)
    flat = [(float(score), each, code) for each, scores in scored for code, score in enumerate(scores) if score > 0]
    flat.sort(key=lambda entry: -entry[0])
    kept: list[tuple[_Names, NDArray[np.bool_]]] = []
    for _, each, code in flat:
        names = _names(each, code)
        rows = np.logical_and.reduce([one.codes == place for one, place in names])
        if not any(_same(rows, other) for _, other in kept):
            kept.append((names, rows))
        if len(kept) == CONFIRMED:
            break
    return kept, tried


def _joined(one: Cells, two: Cells) -> Codes:
    joined: Codes = np.where((one.codes < 0) | (two.codes < 0), -1, one.codes * len(two.texts) + two.codes)
    return joined


def _names(each: tuple[Cells, ...], code: int) -> _Names:
    if len(each) == 1:
        return ((each[0], code),)
    first, second = divmod(code, len(each[1].texts))
    return ((each[0], first), (each[1], second))


def _same(rows: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Tell whether two slices are nearly the same rows: one of them says it all."""
    return bool(2 * np.sum(rows & other) > np.sum(rows | other))


def _scores(losses: Floats, codes: Codes, count: int, *, min_rows: int) -> Floats:
    """Return how far each cell's mean loss stands above that of all other rows, in standard errors of independent rows."""
    inside = codes >= 0
    rows = np.bincount(codes[inside], minlength=count).astype(np.float64)
    sums = np.bincount(codes[inside], weights=losses[inside], minlength=count)
    others = len(losses) - rows
    spread = float(losses.std()) or 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums / rows - (losses.sum() - sums) / others
        scores = apart / (spread * np.sqrt(1.0 / rows + 1.0 / others))
    found: Floats = np.where((rows >= min_rows) & (others >= min_rows), scores, -math.inf)
    return found


def _both(rows: NDArray[np.bool_], half: NDArray[np.bool_], min_rows: int) -> bool:
    return bool(np.sum(rows & half) >= min_rows and np.sum(~rows & half) >= min_rows)


def _excess(losses: Floats, rows: NDArray[np.bool_], places: Places, half: NDArray[np.bool_]) -> tuple[float, float]:
    """Return by how much a slice's mean loss is above the others' in one half, and the one-sided p-value over its blocks.

    The variance is that of the blocks' shares in the difference of two ratios (Cochran 1977, section 6.4), so rows of one block
    may resemble each other as they like.
    """
    kept, mine = losses[half], rows[half]
    _, block = np.unique(places[half], return_inverse=True)
    blocks = int(block.max()) + 1
    inside, outside = float(kept[mine].mean()), float(kept[~mine].mean())
    share = np.where(mine, (kept - inside) / mine.sum(), -(kept - outside) / (~mine).sum())
    each = sum_in_blocks(share, block.astype(np.int64), blocks)
    error = math.sqrt(blocks / (blocks - 1) * float(each @ each))
    excess = inside - outside
    if error == 0.0:
        return excess, 0.0 if excess > 0 else 1.0
    return excess, 1.0 - student_t_cdf(excess / error, blocks - 1)
