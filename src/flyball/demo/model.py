"""The model of the demo: logistic regression on prices, their spread, demands, and the time of day."""

from __future__ import annotations

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler

from flyball.demo.electricity import FEATURES

# Prices are skewed over three orders of magnitude; below this they are noise.
LOWEST_PRICE = 1e-3
PRICES = ["nswprice", "vicprice"]
# Two hours a bin follow the two peaks of a day.
HOURS_OF_DAY = 12


def make_model() -> Pipeline:
    """Return the untrained model. It takes a matrix whose columns are `FEATURES`, in that order.

    The spread between the two states' prices is what moves power over the interconnector. Before Victoria joined the market
    its price stood still, and the spread said nothing that the own price did not say: the model could not learn its
    worth, and leans on it wrongly once it moves.
    """
    logs = [
        FunctionTransformer(np.clip, kw_args={"a_min": LOWEST_PRICE, "a_max": 1.0}),
        FunctionTransformer(np.log),
    ]
    features = ColumnTransformer(
        [
            ("prices", make_pipeline(*logs), _columns(*PRICES)),
            ("spread", make_pipeline(*logs, FunctionTransformer(np.diff, kw_args={"axis": 1})), _columns(*PRICES)),
            (
                "time of day",
                KBinsDiscretizer(HOURS_OF_DAY, encode="onehot-dense", strategy="uniform"),
                _columns("period"),
            ),
            ("rest", "passthrough", _columns("nswdemand", "vicdemand", "transfer")),
        ]
    )
    return make_pipeline(features, StandardScaler(), LogisticRegression(C=1.0, max_iter=300))


def _columns(*names: str) -> list[int]:
    # By place, not by name: rows then stay a plain matrix on their way through the model, which is four times faster.
    return [FEATURES.index(name) for name in names]
