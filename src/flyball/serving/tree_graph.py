"""Find the trees in a converted model: the one node of ONNX that holds an ensemble, and nothing that computes beside it.

Whatever is unusual (an operator before or behind the trees, comparisons of several kinds, an average in place of a sum) is left to
ONNX Runtime; what is read here in a way that ONNX does not mean is found by the comparison with the original.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flyball.serving.conversion import MATRIX
from flyball.serving.entities import Array
from flyball.serving.tree_bits import FINISHES, LOGISTIC, PLAIN, Trees

# Laying out more than these takes longer than the comparison itself, and their bits fit into no cache.
MOST_NODES = 1_000_000
_LEAF = "LEAF"
_CLOSED = {"BRANCH_LEQ": True, "BRANCH_LT": False}
_PASS_ON = frozenset({"Identity", "Cast"})
_ENSEMBLES = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}
_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nodes:
    """The nodes of all trees, in one row each; children and roots are places in it."""

    leaf: npt.NDArray[np.bool_]
    split: npt.NDArray[np.intp]
    true: npt.NDArray[np.intp]
    false: npt.NDArray[np.intp]
    roots: npt.NDArray[np.intp]


def trees_of(content: bytes, *, output: str) -> Trees | None:
    """Return the trees that a model in ONNX consists of, None where it is anything else.

    Args:
        content: the model.
        output: the name of the output that is asked for.
    """
    import onnx

    node = _ensemble(onnx.load_model_from_string(content).graph, output)
    if node is None:
        return None
    given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    values = {
        name.removesuffix("_as_tensor"): onnx.numpy_helper.to_array(value) if name.endswith("_as_tensor") else value
        for name, value in given.items()
    }
    return _trees(values, kind=_ENSEMBLES[node.op_type])


def _ensemble(graph: Any, output: str) -> Any:  # noqa: ANN401 -- of ONNX, without types
    """Return the node of the trees when it makes the output of the rows, and nothing else does."""
    makers = {name: node for node in graph.node for name in node.output}
    wanted, node = output, makers.get(output)
    while node is not None and node.op_type in _PASS_ON:
        wanted, node = node.input[0], makers.get(node.input[0])
    if node is None or node.op_type not in _ENSEMBLES or wanted != node.output[-1]:
        return None
    source, before = node.input[0], makers.get(node.input[0])
    while before is not None and before.op_type == "Identity":
        source, before = before.input[0], makers.get(before.input[0])
    return node if source == MATRIX else None


def _trees(given: Mapping[str, Any], *, kind: str) -> Trees | None:
    modes = np.array(_texts(given["nodes_modes"]))
    leaf = modes == _LEAF
    compared = set(modes[~leaf].tolist())
    finish = _text(given.get("post_transform", PLAIN))
    if len(compared) != 1 or not compared <= _CLOSED.keys() or len(modes) > MOST_NODES or finish not in FINISHES:
        return None
    if kind == "target" and (_text(given.get("aggregate_function", "SUM")) != "SUM" or finish != PLAIN):
        return None
    weights = _weights(given, kind=kind)
    if weights is None:
        return None
    values, base, paired = weights
    if paired and finish not in {PLAIN, LOGISTIC}:
        return None
    features, thresholds, tracked, split = _comparisons(given, leaf)
    nodes = _nodes(given, leaf, split)
    parents, splits, leaves, order = _levels(nodes)
    return Trees(
        roots=len(nodes.roots),
        features=features,
        thresholds=thresholds,
        tracked=tracked,
        closed=_CLOSED[compared.pop()],
        parents=parents,
        splits=splits,
        leaves=leaves,
        weights=np.ascontiguousarray(values[order].T),
        base=base,
        finish=finish,
        paired=paired,
    )


def _comparisons(
    given: Mapping[str, Any], leaf: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], Array, npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Return every comparison once, sorted, and which one each node makes."""
    thresholds = _numbers(given["nodes_values"])
    tracked = np.array(given.get("nodes_missing_value_tracks_true") or np.zeros(len(leaf)), dtype=np.bool_)
    kinds = [("tracked", np.bool_), ("feature", np.intp), ("threshold", thresholds.dtype)]
    every = np.empty(len(leaf), dtype=kinds)
    every["tracked"], every["feature"], every["threshold"] = tracked, given["nodes_featureids"], thresholds
    found, place = np.unique(every[~leaf], return_inverse=True)
    split = np.zeros(len(leaf), dtype=np.intp)
    split[~leaf] = place
    return found["feature"].copy(), found["threshold"].copy(), found["tracked"].copy(), split


def _nodes(given: Mapping[str, Any], leaf: npt.NDArray[np.bool_], split: npt.NDArray[np.intp]) -> _Nodes:
    tree, number = given["nodes_treeids"], given["nodes_nodeids"]
    places = {key: place for place, key in enumerate(zip(tree, number, strict=True))}

    def children(name: str) -> npt.NDArray[np.intp]:
        ends = zip(tree, given[name], leaf.tolist(), strict=True)
        return np.array([0 if last else places[one, child] for one, child, last in ends], dtype=np.intp)

    true, false = children("nodes_truenodeids"), children("nodes_falsenodeids")
    child = np.zeros(len(leaf), dtype=np.bool_)
    child[true[~leaf]] = child[false[~leaf]] = True
    return _Nodes(leaf=leaf, split=split, true=true, false=false, roots=np.flatnonzero(~child))


def _levels(nodes: _Nodes) -> tuple[Any, Any, Any, npt.NDArray[np.intp]]:
    """Return the levels' parents, comparisons and leaves, and all leaves in their order."""
    parents: list[npt.NDArray[np.intp]] = []
    splits: list[npt.NDArray[np.intp]] = []
    leaves: list[npt.NDArray[np.intp]] = []
    order: list[npt.NDArray[np.intp]] = []
    level = nodes.roots
    while True:
        ends = nodes.leaf[level]
        leaves.append(np.flatnonzero(ends))
        order.append(level[ends])
        inner = np.flatnonzero(~ends)
        if not len(inner):
            return tuple(parents), tuple(splits), tuple(leaves), np.concatenate(order)
        above = level[inner]
        parents.append(inner)
        splits.append(nodes.split[above])
        level = np.concatenate([nodes.true[above], nodes.false[above]])


def _weights(given: Mapping[str, Any], *, kind: str) -> tuple[Array, Array, bool] | None:
    """Return what each node adds to each output, what is there before, and whether one output stands for two classes."""
    labels = max(len(given.get("classlabels_int64s", ())), len(given.get("classlabels_strings", ())))
    ids = np.array(given[f"{kind}_ids"], dtype=np.intp)
    paired = kind == "class" and labels == _TWO and len(set(ids.tolist())) == 1
    outputs = 1 if paired else labels if kind == "class" else int(given.get("n_targets", 1))
    base = np.array(_numbers(given.get("base_values") or np.zeros(outputs)), dtype=np.float64)
    if len(base) != outputs:
        return None
    weights = _numbers(given[f"{kind}_weights"])
    places = {key: place for place, key in enumerate(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))}
    keys = zip(given[f"{kind}_treeids"], given[f"{kind}_nodeids"], strict=True)
    at = np.array([places[key] for key in keys], dtype=np.intp)
    values = np.zeros((len(places), outputs), dtype=weights.dtype)
    np.add.at(values.reshape(-1), at * outputs + (0 if paired else ids), weights)
    return values, base, paired


def _numbers(values: Sequence[float] | Array) -> Array:
    """Return numbers of ONNX: what it holds as attributes has 32 bits, tensors have their own."""
    return values if isinstance(values, np.ndarray) else np.array(values, dtype=np.float32)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _texts(values: Sequence[bytes | str]) -> list[str]:
    return [_text(value) for value in values]
