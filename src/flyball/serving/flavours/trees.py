"""Check the trees of a loaded scikit-learn model before anyone predicts with it.

Tree models keep raw node indices that scikit-learn follows without bounds checks, so a forged file could crash the process
or read foreign memory at its first prediction (the reason why skops does not trust these types by itself, see
`skops.io.exceptions`). Here every index is checked once, at load: then the types can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput

_LEAF = -1
# A bitset over 256 categories is eight words of 32 bits (sklearn.ensemble._hist_gradient_boosting.common).
_BITSET_WORDS = 8


def check_trees(model: object) -> None:
    """Walk everything a model holds and check each tree against the number of columns that reaches it.

    Raises:
        InvalidInput: an index that leaves its tree or its columns.
    """
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[object, int, object]] = [(model, 0, None)]
    while waiting:
        value, columns, owner = waiting.pop()
        if (id(value), columns) in seen:
            continue
        seen.add((id(value), columns))
        if isinstance(value, Tree):
            _check_tree(value, columns)
        elif isinstance(value, TreePredictor):
            _check_predictor(value, columns, owner)
        else:
            columns, owner = _columns(value, columns, owner)
            waiting.extend((part, columns, owner) for part in parts(value))


def _columns(value: object, columns: int, owner: object) -> tuple[int, object]:
    """Return how many columns the trees inside a value may count on, and the ensemble that hands them over."""
    own = getattr(value, "n_features_in_", None)
    if not isinstance(own, int):
        return columns, owner
    # These ensembles check the columns once, against their own count, and their trees check nothing any more.
    if owner is not None:
        return min(columns, own), owner
    return own, value if _hands_over_unchecked(value) else None


def _hands_over_unchecked(value: object) -> bool:
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting

    return isinstance(value, (BaseForest, BaseGradientBoosting, BaseHistGradientBoosting))


def parts(value: object) -> Iterable[object]:
    """Return what a value of a fitted model holds directly."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, np.ndarray):
        return value.ravel().tolist() if value.dtype == object else ()
    return vars(value).values() if hasattr(value, "__dict__") and not isinstance(value, type) else ()


def _check_tree(tree: Any, columns: int) -> None:  # noqa: ANN401 -- a compiled class without types
    left, right = tree.children_left, tree.children_right
    inner = left != _LEAF
    _check_nodes(len(left), inner=inner, left=left, right=right, features=tree.feature, columns=columns)


def _check_predictor(predictor: Any, columns: int, owner: object) -> None:  # noqa: ANN401 -- a class without types
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    features = nodes["feature_idx"]
    _check_nodes(len(nodes), inner=inner, left=nodes["left"], right=nodes["right"], features=features, columns=columns)
    by_category = inner & (nodes["is_categorical"] != 0)
    if by_category.any():
        _check_categories(predictor, owner, features=features[by_category], bitsets=nodes["bitset_idx"][by_category])


def _check_nodes(
    count: int,
    *,
    inner: np.ndarray[Any, Any],
    left: np.ndarray[Any, Any],
    right: np.ndarray[Any, Any],
    features: np.ndarray[Any, Any],
    columns: int,
) -> None:
    place = np.arange(count)[inner]
    # Children stand behind their parent, in every tree that scikit-learn builds; so no walk can run in a circle.
    good = (
        count > 0
        and bool(np.all((left[inner] > place) & (left[inner] < count)))
        and bool(np.all((right[inner] > place) & (right[inner] < count)))
        and bool(np.all((features[inner] >= 0) & (features[inner] < columns)))
    )
    if not good:
        raise InvalidInput(
            "a tree of the model points outside its own nodes or columns; the file is damaged or forged", field="model"
        )


def _check_categories(
    predictor: Any,  # noqa: ANN401 -- a class without types
    owner: object,
    *,
    features: np.ndarray[Any, Any],
    bitsets: np.ndarray[Any, Any],
) -> None:
    mapper = getattr(owner, "_bin_mapper", None)
    known = np.asarray(getattr(mapper, "is_categorical_", ()))
    table = predictor.raw_left_cat_bitsets
    good = (
        len(known) == getattr(owner, "n_features_in_", -1)
        and bool(np.all(known[features] != 0))
        and table.ndim == 2  # noqa: PLR2004 -- rows of words
        and table.shape[1] == _BITSET_WORDS
        and bool(np.all(bitsets < len(table)))
    )
    if not good:
        raise InvalidInput(
            "a tree of the model splits on categories that the model does not have; the file is damaged or forged",
            field="model",
        )
