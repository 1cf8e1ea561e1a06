"""Rows made into points that can be measured together: numbers by their ranks, texts by their words, long lists made short."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from flyball.measures.distributions import normal_quantile
from flyball.measures.samples import Floats, Matrix

# Words fall into so many buckets; a classifier on more would learn little else from a thousand texts.
BUCKETS = 512
# A text longer than this is known by its beginning.
TEXT_CHARACTERS = 2_000
# Distances in so many random directions are off by an eighth or so (Johnson & Lindenstrauss 1984).
DIMENSIONS = 64
_WORD = re.compile(r"\w+")
_LETTERS = 3


def normal_scores(reference: Matrix, sample: Matrix) -> tuple[Matrix, Matrix]:
    """Put each column of both by its rank among all rows on the scale of a normal distribution (van der Waerden 1952).

    Neither a unit nor a heavy tail counts then. Ranks are of both together: where nothing changed, rows of either are alike also
    after it, which they would not be by ranks of the reference alone. NaN becomes 0, the middle.

    Args:
        reference: shape (n, d).
        sample: shape (m, d).
    """
    both = np.concatenate([reference, sample])
    scores = np.zeros(both.shape)
    for column in range(both.shape[1]):
        there = np.isfinite(both[:, column])
        scores[there, column] = _scores(both[there, column])
    return scores[: len(reference)], scores[len(reference) :]


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, and of each word of more than three letters its runs of three.

    >>> words_of("Not paid")
    ['not', 'paid', '^pai', 'aid$']
    """
    found: list[str] = []
    for word in _WORD.findall(text[:TEXT_CHARACTERS].lower()):
        found.append(word)
        if len(word) > _LETTERS:
            marked = f"^{word}$"
            runs = range(0, len(marked) - _LETTERS, _LETTERS)
            found += [marked[start : start + _LETTERS + 1] for start in runs]
    return found


def hashed_words(texts: Sequence[str]) -> Matrix:
    """Return texts as points of length one, shape (n, 512): square roots of how many of their words fall into each bucket.

    After Weinberger et al. 2009, "Feature hashing for large scale multitask learning". A text without a word is all zeros.
    """
    found = np.zeros((len(texts), BUCKETS))
    for place, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            found[place, bucket_of(word)] += count
    return _of_length_one(np.sqrt(found))


def bucket_of(word: str) -> int:
    """Return the bucket of a word, 0..511."""
    return zlib.crc32(word.encode()) % BUCKETS


def frequent_words(texts: Sequence[str]) -> dict[int, str]:
    """Return for each bucket the word that most texts have of it; where no whole word falls into it, that of a run of letters."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(_WORD.findall(text[:TEXT_CHARACTERS].lower())))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    named: dict[int, str] = {}
    for word in ordered:
        named.setdefault(bucket_of(word), word)
    for word in ordered:
        for run in words_of(word):
            named.setdefault(bucket_of(run), word)
    return named


def shortened(points: Matrix) -> Matrix:
    """Return points of shape (n, d) in 64 random directions, the same for every set of this width; as they are up to that."""
    width = points.shape[1]
    if width <= DIMENSIONS:
        return points
    directions = np.random.default_rng(width).normal(size=(width, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    found: Matrix = points @ directions
    return found


def _scores(values: Floats) -> Floats:
    ranked, places = np.unique(values, return_inverse=True)
    counts = np.bincount(places, minlength=len(ranked))
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    levels = middle / (len(values) + 1.0)
    scores = np.interp(levels, *_normal_scale())
    found: Floats = scores[places]
    return found


@lru_cache(maxsize=1)
def _normal_scale() -> tuple[Floats, Floats]:
    """Return levels 1/8,192 apart and closer at the ends, and their normal quantiles."""
    near = np.geomspace(1e-7, 1 / 4_096, 64)
    levels = np.concatenate([near, np.arange(2, 8_191) / 8_192, 1.0 - near[::-1]])
    levels = np.unique(levels)
    return levels, np.array([normal_quantile(float(level)) for level in levels])


def _of_length_one(points: Matrix) -> Matrix:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    found: Matrix = points / np.where(lengths > 0, lengths, 1.0)
    return found
