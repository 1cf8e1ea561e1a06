"""Quality of the probabilities of many classes: log loss, Brier score, ROC AUC of each class against the rest, calibration.

`Answers.chances` (n, k) are the probabilities of the k classes, `Answers.column` (n,) which of them is the row's true class;
`truth` says whether the answer was right, `chance` the probability of the answer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flyball.measures.classification import (
    LEAST_CHANCE,
    area_of_ranks,
    error_of_bins,
    exact_area,
    mean_of_sums,
    means_in_blocks,
    of_chances,
    sums_in_bins,
)
from flyball.measures.metrics import Answers, Better
from flyball.measures.resampling import Places, sum_in_blocks
from flyball.measures.samples import Floats

# Ranks are counted for every class and block, so the bounds of more classes would cost more than they are worth.
MOST_CLASSES = 100
# For the bounds, the chances of a class are told apart in this many steps; the figure itself uses every chance.
STEPS = 32


def _chances(answers: Answers) -> Floats:
    assert answers.chances is not None, "the metric says that it needs the chances of every class"
    return answers.chances


def _column(answers: Answers) -> NDArray[np.int64]:
    assert answers.column is not None, "the chances of every class come with the class of every row"
    return answers.column


def _of_truth(answers: Answers) -> Floats:
    given: Floats = _chances(answers)[np.arange(answers.rows), _column(answers)]
    return given


def _log_losses(answers: Answers, places: Places, blocks: int) -> Floats:
    """Sum -log of the chance that the true class was given (Good 1952)."""
    return means_in_blocks(-np.log(np.clip(_of_truth(answers), LEAST_CHANCE, 1.0)), places, blocks)


def _briers(answers: Answers, places: Places, blocks: int) -> Floats:
    """Sum the squared distances from the truth over all classes (Brier 1950)."""
    squares = np.square(_chances(answers)).sum(axis=1)
    return means_in_blocks(squares - 2.0 * _of_truth(answers) + 1.0, places, blocks)


def _in_ranks(answers: Answers, places: Places, blocks: int) -> Floats:
    """Count, class by class, the rows of others and its own by step of its chance, lowest first: (blocks, k * 2 * STEPS)."""
    truth = _column(answers)
    each = []
    for place, chance in enumerate(_chances(answers).T):
        edges = np.unique(np.quantile(chance, np.linspace(0, 1, STEPS + 1)[1:-1]))
        cells = (places * 2 + (truth == place)) * STEPS + np.searchsorted(edges, chance, side="right")
        each.append(sum_in_blocks(np.ones(len(cells)), cells, blocks * 2 * STEPS).reshape(blocks, -1))
    return np.concatenate(each, axis=1)


def _mean_area(sums: Floats) -> Floats:
    found: Floats = area_of_ranks(sums.reshape(*sums.shape[:-1], -1, 2 * STEPS)).mean(axis=-1)
    return found


def mean_area(answers: Answers) -> float:
    """Return the mean over all classes of the area under the ROC curve of one against the rest (Provost and Domingos 2003).

    Every class counts alike, however few rows it has (macro); NaN where a class has no label, or every one.
    """
    truth = _column(answers)
    against = [
        exact_area(Answers(truth=truth == place, said=truth == place, chance=chance))
        for place, chance in enumerate(_chances(answers).T)
    ]
    return float(np.mean(against))


METRICS = (
    of_chances("multi_log_loss", _log_losses, mean_of_sums, high=math.inf, of_every_class=True),
    of_chances("multi_brier", _briers, mean_of_sums, high=2.0, of_every_class=True),
    of_chances(
        "multi_roc_auc",
        _in_ranks,
        _mean_area,
        better=Better.HIGHER,
        exact=mean_area,
        undefined="a class has no label, or every one",
        of_every_class=True,
    ),
    of_chances("multi_calibration_error", sums_in_bins, error_of_bins, of_every_class=True),
)
"""Of all classes at once. The calibration error is that of the answer's own chance (Guo et al. 2017), in ten equal bins."""
