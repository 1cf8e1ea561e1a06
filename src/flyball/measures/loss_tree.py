"""The loss to expect of a predicted number, by the region its row lies in: a small regression tree of the losses.

Direct loss estimation (DLE): what a model is wrong by depends on the row, so a second, smaller model can learn it. A tree of
few leaves is plain numbers that can travel in a version and be read by anybody; a boosted ensemble would need its library,
or a pickle, wherever a window is judged. Its leaves are means of many losses, so it need not be calibrated again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.samples import Floats

MOST_LEAVES = 16
LEAST_ROWS_A_LEAF = 100
# Cuts tried at a feature: between its 32 parts of equal rows.
CUTS = 31
# A cut that explains less than this share of the variance is noise; it would make the leaves follow single rows.
LEAST_GAIN = 0.002
LEAF = -1

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossTree:
    """A tree in parallel lists, one entry a node, the root first.

    `feature` is a column's place, -1 in a leaf. A row goes to `left` when its value is at most `cut` or is missing, else to
    `right`; both lie behind their parent. `mean`, `variance` and `rows` are of the losses that were learned there.
    """

    feature: tuple[int, ...]
    cut: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    rows: tuple[int, ...]

    def leaves(self, columns: Floats) -> Rows:
        """Return the leaf of each row of `columns` (n, d)."""
        place = np.zeros(len(columns), dtype=np.int64)
        for node, feature in enumerate(self.feature):
            if feature == LEAF:
                continue
            here = place == node
            right = columns[:, feature] > self.cut[node]
            place[here & right] = self.right[node]
            place[here & ~right] = self.left[node]
        return place

    def expected(self, columns: Floats) -> Floats:
        """Return the loss to expect of each row, shape (n,)."""
        found: Floats = np.asarray(self.mean)[self.leaves(columns)]
        return found

    def variance_of_mean(self, columns: Floats) -> float:
        """Return the variance of the mean loss of these rows, were they independent: of their draw and of the leaves'."""
        leaves = self.leaves(columns)
        share = np.bincount(leaves, minlength=len(self.mean)) / len(leaves)
        spread = np.asarray(self.variance)
        return float(share @ spread) / len(leaves) + float(np.square(share) @ (spread / np.asarray(self.rows)))


def grow_loss_tree(columns: Floats, losses: Floats, *, most_leaves: int = MOST_LEAVES) -> LossTree:
    """Learn a tree (Breiman et al. 1984): the leaf whose best cut explains most is cut first.

    Args:
        columns: shape (n, d); NaN where a value is missing.
        losses: shape (n,), finite.
        most_leaves: when to stop.

    Raises:
        InvalidInput: no rows, or shapes that do not fit.
    """
    if columns.ndim != 2 or not len(losses) or len(columns) != len(losses) or not np.all(np.isfinite(losses)):  # noqa: PLR2004
        raise InvalidInput(f"{columns.shape} columns and {losses.shape} finite losses are no pair", field="losses")
    nodes = [_Node(np.arange(len(losses)), columns, losses)]
    least = LEAST_GAIN * nodes[0].variance * len(losses)
    for _ in range(most_leaves - 1):
        open_nodes = [node for node in nodes if node.left < 0 and node.gain > least]
        if not open_nodes:
            break
        best = max(open_nodes, key=lambda node: node.gain)
        right = columns[best.rows, best.feature] > best.cut
        best.left, best.right = len(nodes), len(nodes) + 1
        nodes += [_Node(best.rows[~right], columns, losses), _Node(best.rows[right], columns, losses)]
    return _tree(nodes)


class _Node:
    """A node in the making, with the best cut of its rows."""

    def __init__(self, rows: Rows, columns: Floats, losses: Floats) -> None:
        mine = losses[rows]
        self.rows, self.mean, self.variance = rows, float(mine.mean()), float(mine.var())
        self.left = self.right = -1
        self.gain, self.feature, self.cut = max(
            (_best_cut(columns[rows, place], mine, place) for place in range(columns.shape[1])),
            default=(0.0, LEAF, 0.0),
        )


def _best_cut(values: Floats, losses: Floats, place: int) -> tuple[float, int, float]:
    """Return what the best cut of one column explains of the sum of squares, the column, and the cut."""
    present = np.isfinite(values)
    if present.sum() < 2 * LEAST_ROWS_A_LEAF:
        return (0.0, LEAF, 0.0)
    cuts = np.unique(np.quantile(values[present], np.linspace(0, 1, CUTS + 2)[1:-1]))
    step = np.where(present, np.searchsorted(cuts, values, side="left"), 0)
    rows = np.cumsum(np.bincount(step, minlength=len(cuts) + 1))[:-1]
    sums = np.cumsum(np.bincount(step, weights=losses, minlength=len(cuts) + 1))[:-1]
    others = len(losses) - rows
    allowed = (rows >= LEAST_ROWS_A_LEAF) & (others >= LEAST_ROWS_A_LEAF)
    if not np.any(allowed):
        return (0.0, LEAF, 0.0)
    left, right = rows[allowed], others[allowed]
    total = losses.sum()
    apart = sums[allowed] / left - (total - sums[allowed]) / right
    gains = np.square(apart) * left * right / len(losses)
    best = int(np.argmax(gains))
    return (float(gains[best]), place, float(cuts[allowed][best]))


def _tree(nodes: list[_Node]) -> LossTree:
    return LossTree(
        feature=tuple(node.feature if node.left >= 0 else LEAF for node in nodes),
        cut=tuple(node.cut if node.left >= 0 else 0.0 for node in nodes),
        left=tuple(node.left for node in nodes),
        right=tuple(node.right for node in nodes),
        mean=tuple(node.mean for node in nodes),
        variance=tuple(node.variance for node in nodes),
        rows=tuple(len(node.rows) for node in nodes),
    )
