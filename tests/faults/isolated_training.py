"""Train a forest with the scikit-learn of an old environment, where Flyball is not installed, and keep what it answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import sklearn
import skops.io
from sklearn.ensemble import RandomForestClassifier

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    rows = np.random.default_rng(7).random((120, 3))
    model = RandomForestClassifier(n_estimators=3, random_state=0).fit(rows, (rows[:, 0] > rows[:, 1]).astype(int))
    skops.io.dump(model, folder / "model.skops")
    answers = {
        "version": sklearn.__version__,
        "rows": rows[:20].tolist(),
        "labels": model.predict(rows[:20]).tolist(),
        "scores": model.predict_proba(rows[:20]).max(axis=1).tolist(),
    }
    (folder / "answers.json").write_text(json.dumps(answers))
