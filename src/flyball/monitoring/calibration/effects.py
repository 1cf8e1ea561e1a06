"""Effects of many windows at once, each against what its phases of the cycles lead to expect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flyball.measures.binned import jensen_shannon_rows, stability_rows, wasserstein_rows
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.cells import Cells
from flyball.monitoring.calibration.entities import FeatureBins
from flyball.monitoring.monitor import Effect

Index = NDArray[np.int64]
# Windows treated at a time: bounds the memory at this many times the cells of the history.
_CHUNK = 256


def effects_of(bins: FeatureBins, ours: Floats, theirs: Floats, beyond: Floats) -> Floats:
    """Return the effect of each window, shape (n,).

    Args:
        bins: how the feature is counted, and by what it is measured.
        ours: what is expected, in any unit, shape (n, bins); a row without anything gives effect 0.
        theirs: the window's counts, shape (n, bins).
        beyond: the window's sum of distances outside the cuts, shape (n,).
    """
    rows = theirs.sum(axis=1)
    shares, found = _shares(ours), _shares(theirs)
    if bins.measure == Effect.WASSERSTEIN:
        mean_beyond = beyond / np.maximum(rows, 1.0)
        effect = wasserstein_rows(shares, found, cuts=np.asarray(bins.cuts), beyond=mean_beyond) / bins.unit
    elif bins.measure == Effect.STABILITY:
        effect = stability_rows(shares, found, rows=rows)
    else:
        effect = jensen_shannon_rows(shares, found)
    return np.where((rows > 0) & (ours.sum(axis=1) > 0), effect, 0.0)


def window_sums(cells: Cells, index: Index, feature: int) -> tuple[Floats, Floats]:
    """Return counts (n, bins) and sums beyond the cuts (n,) of windows made of the cells `index` (n, k)."""
    counts: Floats = cells.counts[feature][index].sum(axis=1, dtype=np.float64)
    beyond: Floats = cells.beyond[feature][index].sum(axis=1)
    return counts, beyond


def null_effects(cells: Cells, index: Index, phases: Index, *, guard: int) -> Floats:
    """Return each window's effects (n, features) against the rest of the history, phase by phase.

    Args:
        cells: the history.
        index: the cells that each window is made of, shape (n, k).
        phases: the phase of every cell of the history.
        guard: this many cells on both sides of each of a window's cells are left out too: they know of it.
    """
    found = np.empty((len(index), len(cells.bins)))
    for start in range(0, len(index), _CHUNK):
        part = index[start : start + _CHUNK]
        weights = _weights(cells.rows, part, phases, guard=guard)
        for feature, bins in enumerate(cells.bins):
            ours = weights @ cells.counts[feature]
            theirs, beyond = window_sums(cells, part, feature)
            found[start : start + len(part), feature] = effects_of(bins, ours.astype(np.float64), theirs, beyond)
    return found


def expected_counts(cells: Cells, index: Index, phases: Index, *, guard: int, feature: int) -> Floats:
    """Return what the rest of the history leads to expect of each window in one feature, shape (n, bins)."""
    weights = _weights(cells.rows, index, phases, guard=guard)
    expected: Floats = (weights @ cells.counts[feature]).astype(np.float64)
    return expected


def phase_shares(rows: Floats, phases: Index, *, count: int) -> Floats:
    """Return the share of rows in each phase, shape (n, count), for windows of rows (n, k) in phases (n, k)."""
    found = np.zeros((len(rows), count))
    np.add.at(found, (np.arange(len(rows))[:, None], phases), rows)
    shares: Floats = found / np.maximum(found.sum(axis=1, keepdims=True), 1.0)
    return shares


def phase_expectations(cells: Cells, phases: Index, *, count: int, feature: int) -> Floats:
    """Return the counts of each bin a row of each phase, shape (count, bins)."""
    rows = np.bincount(phases, weights=cells.rows, minlength=count)
    summed = (onehot(phases, count).T @ cells.counts[feature]).astype(np.float64)
    expected: Floats = summed / np.maximum(rows, 1.0)[:, None]
    return expected


def onehot(phases: Index, count: int) -> NDArray[np.float32]:
    """Return a 1 in the column of each cell's phase, shape (n, count): summing by phase is then a matrix product."""
    found = np.zeros((len(phases), count), dtype=np.float32)
    found[np.arange(len(phases)), phases] = 1.0
    return found


def _weights(rows: Floats, index: Index, phases: Index, *, guard: int) -> NDArray[np.float32]:
    """Return by how much each cell (columns) speaks of what is expected of each window (rows): not at all near the window."""
    count = int(phases.max()) + 1
    left = _away(index, len(rows), guard=guard) * rows.astype(np.float32)
    there = left @ onehot(phases, count)
    wanted = phase_shares(rows[index], phases[index], count=count)
    factor = np.divide(wanted, there, out=np.zeros_like(wanted), where=there > 0).astype(np.float32)
    # Counts carry their rows already; what is left out is left out by a factor of zero.
    weights: NDArray[np.float32] = factor[:, phases] * (left > 0)
    return weights


def _away(index: Index, cells: int, *, guard: int) -> NDArray[np.float32]:
    """Return 1 for cells further than `guard` from all of a window's, else 0; shape (n, cells)."""
    steps = np.zeros((len(index), cells + 1), dtype=np.int32)
    lines = np.arange(len(index))[:, None]
    np.add.at(steps, (lines, np.maximum(index - guard, 0)), 1)
    np.add.at(steps, (lines, np.minimum(index + guard + 1, cells)), -1)
    away: NDArray[np.float32] = (np.cumsum(steps[:, :cells], axis=1) == 0).astype(np.float32)
    return away


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    return shares
