"""Null windows: whole pieces of the history where there are enough, else windows glued from blocks that remember."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from flyball.measures.permutation import memory_of
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.cells import Cells
from flyball.monitoring.calibration.effects import Index, phase_expectations
from flyball.monitoring.calibration.entities import Cycle
from flyball.monitoring.calibration.seasons import YEAR_MS

MOST_PIECES = 2_000
GLUED_WINDOWS = 2_000
# A glued window shows what dependence within a block does; four times the memory leaves little beyond it.
_BLOCKS_OF_MEMORY = 4
_FEW_BLOCKS = 20
_FEWEST_WINDOWS = 4


def pieces(cells: Cells, k: int, *, step: int, min_rows: int, most: int = MOST_PIECES) -> Index:
    """Return the windows of `k` cells in a row, every `step` cells, that hold enough rows: shape (n, k), at most `most`."""
    starts = np.arange(0, cells.count - k + 1, step)
    index = starts[:, None] + np.arange(k)
    full: Index = index[cells.rows[index].sum(axis=1) >= min_rows]
    if len(full) > most:
        full = full[np.linspace(0, len(full) - 1, most).astype(np.int64)]
    return full


def glued(cells: Cells, k: int, phases: Index, *, block: int, min_rows: int, seed: int) -> Index:
    """Return windows put together from blocks of `block` cells, drawn where the history is in the same phase: shape (n, k)."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, cells.count - k + 1, GLUED_WINDOWS)
    parts = [
        _draw(targets + first, phases, length=min(block, k - first), generator=generator)
        for first in range(0, k, block)
    ]
    index = np.concatenate(parts, axis=1)
    full: Index = index[cells.rows[index].sum(axis=1) >= min_rows]
    return full


def memory_in(cells: Cells, phases: Index) -> int:
    """Return over how many cells the features' means depend on each other, the phases' own means taken away."""
    means = np.stack([_mean_codes(cells, phases, feature) for feature in range(len(cells.bins))], axis=1)
    return memory_of(means[cells.rows > 0])


def guard_of(memory: int, cycles: Collection[Cycle], cell_ms: int) -> int:
    """Return how many cells beside a window know of it: those it remembers, and its own year where years are told apart."""
    return max(memory, YEAR_MS // 2 // cell_ms) if Cycle.YEAR in cycles else memory


def block_of(memory: int, k: int) -> int:
    """Return the length of a block, in cells."""
    return int(min(k, max(1, _BLOCKS_OF_MEMORY * memory)))


def fewest_glued(block: int, k: int) -> int:
    """Return how many whole windows the history must hold before gluing says anything."""
    return max(_FEWEST_WINDOWS, -(-_FEW_BLOCKS * block // k))


def _draw(targets: Index, phases: Index, *, length: int, generator: np.random.Generator) -> Index:
    """Draw for each target the start of a block in the target's phase, and return its cells, shape (n, length)."""
    starts = np.arange(len(phases) - length + 1)
    order = starts[np.argsort(phases[starts], kind="stable")]
    grouped = phases[order]
    wanted = phases[targets]
    low, high = (np.searchsorted(grouped, wanted, side=side) for side in ("left", "right"))
    # A phase that begins no block at all can only be at the very end of the history: it stands for itself.
    chosen = np.minimum(
        low + (generator.random(len(targets)) * np.maximum(high - low, 1)).astype(np.int64), len(order) - 1
    )
    drawn: Index = order[chosen][:, None] + np.arange(length)
    return drawn


def _mean_codes(cells: Cells, phases: Index, feature: int) -> Floats:
    """Return each cell's mean place among the bins, without its phase's: 0 where it holds nothing."""
    places = np.arange(cells.bins[feature].count, dtype=np.float64)
    expected = phase_expectations(cells, phases, count=int(phases.max()) + 1, feature=feature) @ places
    counted = cells.counts[feature].sum(axis=1)
    means = cells.counts[feature] @ places / np.maximum(counted, 1.0)
    return np.where(counted > 0, means - expected[phases], 0.0)
