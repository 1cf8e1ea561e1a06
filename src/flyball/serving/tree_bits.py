"""Predict many rows with an ensemble of trees at once: a bit a row for each comparison, and for each node the bits of its rows.

A library walks every row through every tree, and each step of the walk waits for the one before. Here a comparison is made once
for a thousand rows, whichever trees ask for it, and the rows that reach a node are those that reach its parent and answered that
way: one AND of bits, eight rows a byte. It costs as much for one row as for a few dozen, so it is for large batches.

The idea of trees as bits, turned the other way (there a word holds the leaves of one tree), is of C. Lucchese et al., "QuickScorer: a
fast algorithm to rank documents with additive ensembles of regression trees", SIGIR 2015.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flyball.kernel.errors import Corrupted
from flyball.serving.entities import Array

Bits = npt.NDArray[np.uint8]

ROWS_A_BYTE: Final = 8
# The truths of a block stay within a cache of the processor; below some rows the calls cost more than their work.
BLOCK_BYTES, LEAST_BLOCK_ROWS, MOST_BLOCK_ROWS = 1 << 20, 128, 1_024
# So many leaves are turned into numbers at once, for the same reason.
LEAVES_AT_ONCE = 128
PLAIN, LOGISTIC, SOFTMAX = "NONE", "LOGISTIC", "SOFTMAX"
FINISHES = frozenset({PLAIN, LOGISTIC, SOFTMAX})
_ARRAYS = ("features", "thresholds", "tracked", "parents", "splits", "leaves", "weights", "base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """Trees, laid out by levels.

    A comparison is `features[u]` with `thresholds[u]`: less, or also equal where `closed`; NaN is true where `tracked`, else false.
    They are sorted by `tracked`, then by feature. A level's nodes are known by their place in it: level 0 holds the `roots`. Of each
    next level, `parents[d]` are the places in the level above, and `splits[d]` the comparisons; the children for which it is true
    come first, in this order, then all the others. `leaves[d]` are the places of leaves in level d, one more than there are steps.
    `weights` (outputs, leaves) belong to them in that order, and are added to `base` (outputs,).

    `finish` says what becomes of the sums; with `paired`, the one output is that of the second of two classes.
    """

    roots: int
    features: npt.NDArray[np.intp]
    thresholds: Array
    tracked: npt.NDArray[np.bool_]
    closed: bool
    parents: tuple[npt.NDArray[np.intp], ...]
    splits: tuple[npt.NDArray[np.intp], ...]
    leaves: tuple[npt.NDArray[np.intp], ...]
    weights: Array
    base: Array
    finish: str
    paired: bool


class TreeBits:
    """Trees that answer many rows. Any number of threads may ask."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._runs = tuple(_runs(trees))
        room = BLOCK_BYTES // max(1, len(trees.features))
        self._block = max(LEAST_BLOCK_ROWS, min(MOST_BLOCK_ROWS, room // ROWS_A_BYTE * ROWS_A_BYTE))

    def run(self, rows: Array) -> npt.NDArray[np.float64]:
        """Return the answers (n, outputs) to rows (n, columns); of two classes, the probabilities of both."""
        sums = np.empty((len(rows), len(self._trees.base)))
        for start in range(0, len(rows), self._block):
            stop = start + self._block
            sums[start:stop] = self._sums(rows[start:stop])
        return self._finished(sums)

    def _sums(self, rows: Array) -> npt.NDArray[np.float64]:
        sums = np.repeat(self._trees.base[:, None], len(rows), axis=1)
        weights, start = self._trees.weights, 0
        room = np.empty((LEAVES_AT_ONCE, len(rows)), dtype=weights.dtype)
        for bits in self._reached(self._compared(rows)):
            for part in (bits[at : at + LEAVES_AT_ONCE] for at in range(0, len(bits), LEAVES_AT_ONCE)):
                there = room[: len(part)]
                there[...] = np.unpackbits(part, axis=1, count=len(rows))
                for output in range(len(sums)):  # a product with one vector at a time: few outputs make a slow matrix
                    sums[output] += weights[output, start : start + len(part)] @ there
                start += len(part)
        return sums.T

    def _compared(self, rows: Array) -> Bits:
        """Return a bit for each comparison (u) and row."""
        trees = self._trees
        columns = np.ascontiguousarray(rows.T, dtype=trees.thresholds.dtype)
        truths = np.empty((len(trees.features), len(rows)), dtype=np.bool_)
        for compare, feature, start, stop in self._runs:
            compare(columns[feature], trees.thresholds[start:stop, None], out=truths[start:stop])
        untracked = len(trees.tracked) - int(np.count_nonzero(trees.tracked))
        np.logical_not(truths[untracked:], out=truths[untracked:])
        return np.packbits(truths, axis=1)

    def _reached(self, compared: Bits) -> Iterator[Bits]:
        """Yield, level by level, the bits of the rows that end in its leaves."""
        trees = self._trees
        level = np.full((trees.roots, compared.shape[1]), 255, dtype=np.uint8)
        for parents, splits, leaves in zip(trees.parents, trees.splits, trees.leaves, strict=False):
            yield level.take(leaves, axis=0)
            above, half = level.take(parents, axis=0), len(parents)
            level = np.empty((2 * half, compared.shape[1]), dtype=np.uint8)
            np.bitwise_and(above, compared.take(splits, axis=0), out=level[:half])
            np.bitwise_xor(above, level[:half], out=level[half:])
        yield level.take(trees.leaves[-1], axis=0)

    def _finished(self, sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        match self._trees.finish:
            case "LOGISTIC":
                with np.errstate(over="ignore"):  # far below zero it is zero
                    sums = 1.0 / (1.0 + np.exp(-sums))
            case "SOFTMAX":
                powers = np.exp(sums - sums.max(axis=1, keepdims=True))
                sums = powers / powers.sum(axis=1, keepdims=True)
        return np.hstack([1.0 - sums, sums]) if self._trees.paired else sums


def write_trees(trees: Trees) -> bytes:
    """Return trees as the bytes of an `.npz` file, which holds numbers and no code."""
    file = io.BytesIO()
    plain = {name: getattr(trees, name) for name in ("features", "thresholds", "tracked", "weights", "base")}
    levels: dict[str, Any] = {}
    for name in ("parents", "splits", "leaves"):
        parts = getattr(trees, name)
        levels[name] = np.concatenate([np.empty(0, dtype=np.intp), *parts])
        levels[f"{name}_ends"] = np.cumsum([len(part) for part in parts], dtype=np.intp)
    said = np.array([trees.finish, str(trees.roots), str(int(trees.closed)), str(int(trees.paired))])
    np.savez(file, said=said, allow_pickle=False, **plain, **levels)
    return file.getvalue()


def read_trees(content: bytes) -> Trees:
    """Read trees that `write_trees` wrote.

    Raises:
        Corrupted: it did not write this.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = {name: file[name] for name in _ARRAYS}
            for name in ("parents", "splits", "leaves"):
                found[name] = (
                    tuple(np.split(found[name], file[f"{name}_ends"][:-1])) if len(file[f"{name}_ends"]) else ()
                )
            finish, roots, closed, paired = file["said"].tolist()
        return Trees(**found, finish=finish, roots=int(roots), closed=closed == "1", paired=paired == "1")
    except Exception as error:  # whatever is wrong with a file, numpy tells it in its own way
        raise Corrupted(f"the trees cannot be read: {error}") from error


def _runs(trees: Trees) -> Iterator[tuple[Any, int, int, int]]:
    """Yield how to compare, a feature, and which comparisons (from, to) are about it in that way."""
    count = len(trees.features)
    changes = np.flatnonzero((np.diff(trees.features) != 0) | (np.diff(trees.tracked) != 0)) + 1
    edges = [0, *changes.tolist(), count] if count else []
    for start, stop in pairwise(edges):
        # What is tracked is turned round afterwards, so that NaN, for which nothing is true, comes out true.
        plain = np.less_equal if trees.closed else np.less
        turned = np.greater if trees.closed else np.greater_equal
        yield (turned if trees.tracked[start] else plain), int(trees.features[start]), start, stop
