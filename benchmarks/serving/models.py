"""Train the models that are served, and write each as every server wants it, with what it must answer.

Run as `python -m benchmarks.serving.models FOLDER NAME...` in an environment that has the models' libraries. A folder holds
`mlflow/` (what MLflow writes, with a signature), a plain file for the peers (`model.joblib`, `model.json`, `model.pt`), and
`rows.npy` with `answers.npy`, which are the model's own predictions for these rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

# Enough for the largest request; the data set has 569 rows, which are repeated.
ROWS = 1_000
FEATURES = 30
# What is stored with a model; ours compares its ONNX form with the original on these rows before it serves from it.
EXAMPLE_ROWS = 100
SEED = 7


def main(folder: Path, names: list[str]) -> None:
    """Write the models that are named."""
    for name in names:
        home = folder / name
        home.mkdir(parents=True)
        MODELS[name](home, *_data())


def _data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer(return_X_y=True)
    return np.ascontiguousarray(found[0]), found[1]


def gradient_boosting(home: Path, rows: Any, labels: Any) -> None:
    """Train scikit-learn's gradient boosting, with its defaults."""
    from sklearn.ensemble import GradientBoostingClassifier

    _write_sklearn(home, GradientBoostingClassifier(random_state=SEED).fit(rows, labels), rows)


def logistic_regression(home: Path, rows: Any, labels: Any) -> None:
    """Train scikit-learn's logistic regression behind a scaler."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _write_sklearn(home, make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels), rows)


def random_forest(home: Path, rows: Any, labels: Any) -> None:
    """Train a forest that is large enough to be slow."""
    from sklearn.ensemble import RandomForestClassifier

    _write_sklearn(home, RandomForestClassifier(300, random_state=SEED).fit(rows, labels), rows)


def xgboost(home: Path, rows: Any, labels: Any) -> None:
    """Train XGBoost's classifier, with its defaults."""
    import mlflow.xgboost
    from mlflow.models import infer_signature
    from xgboost import XGBClassifier

    model = XGBClassifier(random_state=SEED).fit(rows, labels)
    signature = infer_signature(rows, model.predict(rows))
    mlflow.xgboost.save_model(
        model,
        str(home / "mlflow"),
        signature=signature,
        model_format="json",
        input_example=rows[:EXAMPLE_ROWS],
        pip_requirements=_pinned("xgboost-cpu", "scikit-learn"),
    )
    model.save_model(home / "model.json")
    _write_answers(home, rows, model.predict)


def torch(home: Path, rows: Any, labels: Any) -> None:
    """Train a small network in PyTorch; it answers a probability for each of the two labels."""
    import mlflow.pytorch
    import torch as library
    from mlflow.models import infer_signature
    from torch import nn

    library.manual_seed(SEED)
    scaled = library.tensor((rows - rows.mean(0)) / rows.std(0), dtype=library.float32)
    inner = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    optimiser, wanted = library.optim.Adam(inner.parameters(), lr=0.01), library.tensor(labels)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.cross_entropy(inner(scaled), wanted).backward()
        optimiser.step()
    with library.no_grad():  # the scaling goes into the first layer, so that the model takes the rows as they are
        first, mean, std = inner[0], library.tensor(rows.mean(0)).float(), library.tensor(rows.std(0)).float()
        first.weight /= std
        first.bias -= first.weight @ mean
    model = nn.Sequential(inner, nn.Softmax(dim=1)).eval()
    rows = rows.astype(np.float32)

    def predict(batch: Any) -> Any:
        with library.no_grad():
            return model(library.from_numpy(batch)).numpy()

    mlflow.pytorch.save_model(
        model,
        str(home / "mlflow"),
        signature=infer_signature(rows, predict(rows)),
        input_example=rows[:EXAMPLE_ROWS],
        pip_requirements=_pinned("torch"),
    )
    library.jit.trace(model, library.from_numpy(rows[:1])).save(str(home / "model.pt"))
    _write_answers(home, rows, predict)


def _write_sklearn(home: Path, model: Any, rows: Any) -> None:
    import joblib
    import mlflow.sklearn
    from mlflow.models import infer_signature

    # MLflow trusts no tree in a skops file by itself; the server that loads it has a list of its own.
    mlflow.sklearn.save_model(
        model,
        str(home / "mlflow"),
        serialization_format="skops",
        skops_trusted_types=_types(model),
        signature=infer_signature(rows, model.predict(rows)),
        input_example=rows[:EXAMPLE_ROWS],
        pip_requirements=_pinned("scikit-learn", "skops"),
    )
    joblib.dump(model, home / "model.joblib")
    _write_answers(home, rows, model.predict)


def _types(model: Any) -> list[str]:
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


def _pinned(*packages: str) -> list[str]:
    """Say what a model needs; left to itself, MLflow finds out by loading the model in another process, for a minute."""
    return [f"{package}=={metadata.version(package).partition('+')[0]}" for package in packages]


def _write_answers(home: Path, rows: Any, predict: Callable[[Any], Any]) -> None:
    repeated = np.resize(rows, (ROWS, FEATURES))
    np.save(home / "rows.npy", repeated)
    np.save(home / "answers.npy", predict(repeated))


SLOW = "random-forest"
MODELS: dict[str, Callable[[Path, Any, Any], None]] = {
    "gradient-boosting": gradient_boosting,
    "logistic-regression": logistic_regression,
    SLOW: random_forest,
    "xgboost": xgboost,
    "torch": torch,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
