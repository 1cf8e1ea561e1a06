"""A forged tree is found at load, before anyone follows its indices."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from flyball.kernel.errors import InvalidInput
from flyball.serving.flavours.trees import check_trees

from .conftest import truth

FITTED = [
    DecisionTreeClassifier(),
    RandomForestClassifier(n_estimators=3),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3),
    AdaBoostClassifier(n_estimators=2),
    BaggingClassifier(n_estimators=2, max_features=0.5),
    StackingClassifier(
        [("tree", DecisionTreeClassifier())], final_estimator=RandomForestClassifier(3), passthrough=True
    ),
]


def forge(tree: Any, field: str, value: int) -> Any:
    """Return the tree with one field of its root changed, as a forged file would bring it."""
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    rebuild, arguments, _ = tree.__reduce__()
    forged = rebuild(*arguments)
    forged.__setstate__(state)
    return forged


@pytest.mark.parametrize("estimator", FITTED, ids=lambda one: type(one).__name__)
def test_an_honest_model_passes(estimator: Any, frame: pd.DataFrame) -> None:
    check_trees(estimator.fit(frame, truth(frame)))


def test_honest_trees_behind_an_encoder_may_see_more_columns_than_were_sent() -> None:
    frame = pd.DataFrame({"state": [f"s{i % 9}" for i in range(90)]})
    encode = ColumnTransformer([("state", OneHotEncoder(sparse_output=False), ["state"])])
    check_trees(make_pipeline(encode, RandomForestClassifier(3)).fit(frame, np.arange(90) % 2))


def test_honest_categories_pass() -> None:
    frame = pd.DataFrame({"state": np.arange(90) % 9, "price": np.arange(90.0)})
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=["state"], min_samples_leaf=2)
    model.fit(frame, (np.arange(90) % 9 > 4).astype(int))
    assert any(bool(p.nodes["is_categorical"].any()) for stage in model._predictors for p in stage)
    check_trees(model)


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**9), ("right_child", -7), ("left_child", 0), ("feature", 10**6), ("feature", -1)],
)
def test_a_tree_that_points_outside_is_refused(field: str, value: int, frame: pd.DataFrame) -> None:
    model = DecisionTreeClassifier().fit(frame, truth(frame))
    model.tree_ = forge(model.tree_, field, value)
    with pytest.raises(InvalidInput, match="forged"):
        check_trees(make_pipeline(model))


@pytest.mark.parametrize("kind", [RandomForestClassifier, GradientBoostingClassifier])
def test_a_tree_of_an_ensemble_may_not_claim_more_columns_than_the_ensemble_checks(
    kind: Any, frame: pd.DataFrame
) -> None:
    model = kind(n_estimators=3).fit(frame, truth(frame))
    inner = np.asarray(model.estimators_, dtype=object).ravel()[-1]
    inner.n_features_in_ = 1_000
    inner.tree_ = forge(inner.tree_, "feature", 999)
    with pytest.raises(InvalidInput, match="forged"):
        check_trees(model)


def test_a_tree_that_nobody_guards_with_a_column_count_is_refused(frame: pd.DataFrame) -> None:
    model = DecisionTreeClassifier().fit(frame, truth(frame))
    del model.n_features_in_
    with pytest.raises(InvalidInput, match="forged"):
        check_trees(model)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**9), ("right", 0), ("feature_idx", 5), ("feature_idx", -1), ("is_categorical", 1)]
)
def test_a_predictor_that_points_outside_is_refused(field: str, value: int, frame: pd.DataFrame) -> None:
    model = copy.deepcopy(HistGradientBoostingClassifier(max_iter=2).fit(frame, truth(frame)))
    model._predictors[1][0].nodes[field][0] = value
    with pytest.raises(InvalidInput, match="forged"):
        check_trees(model)


def test_a_tree_without_nodes_is_refused(frame: pd.DataFrame) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame, truth(frame))
    model._predictors[0][0].nodes = model._predictors[0][0].nodes[:0]
    with pytest.raises(InvalidInput, match="forged"):
        check_trees(model)


def test_a_model_that_holds_itself_is_walked_once(frame: pd.DataFrame) -> None:
    model = LogisticRegression().fit(frame, truth(frame))
    model.mirror = [model]
    check_trees(model)
