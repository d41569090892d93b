"""Whether claims' truth can be told from their wording alone, by a trivial classifier that never sees an image.

A policy that finds such a tell is rewarded for reading and not for looking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vapo.core.intervals import clustered_interval
from vapo.types import Claim

MIN_GROUPS = 10
"""Images below which nothing is computed: most words would stand in one image only."""

MAX_CLAIMS = 40_000
TOLERATED = 0.55
"""Balanced accuracy up to which wording is called harmless: it then tells a tenth of what there is to tell."""

_FOLDS = 5
_MIN_SHARE_OF_ITS_OWN = 0.2
_WORD = r"(?u)\b\w+\b"


@dataclass(frozen=True, slots=True)
class Tell:
    """A word, or two in a row, that goes with one truth.

    Attributes:
        words: in lower case.
        num_claims: claims that hold it.
        num_true: those of them that are true.
    """

    words: str
    num_claims: int
    num_true: int


@dataclass(frozen=True, slots=True)
class BlindTest:
    """What wording alone tells.

    Attributes:
        num_claims, num_groups: claims looked at, and the images they are about.
        accuracy, low, high: balanced accuracy of the classifier on images it was not trained on, and its 95 %
            interval; 0.5 is guessing, whatever the share of true claims.
        tells: the words that tell the truth most surely, surest first.
        words_if_true, words_if_false: mean length.
        longer_is_true: of two claims about one image, of different truth and length, how often the longer one is
            true, with its 95 % interval; None if there is no such pair.
    """

    num_claims: int
    num_groups: int
    accuracy: float
    low: float
    high: float
    tells: tuple[Tell, ...]
    words_if_true: float
    words_if_false: float
    longer_is_true: tuple[float, float, float] | None

    @property
    def gives_away(self) -> bool:
        """Whether the classifier is better than `TOLERATED`, beyond chance."""
        return self.low > TOLERATED


def measure_wording(
    claims: Sequence[Claim], groups: Sequence[int], *, max_tells: int = 8, seed: int = 0
) -> BlindTest | None:
    """Try to tell claims' truth from their words and lengths.

    A logistic regression on words, pairs of words and length is trained on four fifths of the images and asked about
    the rest, five times. Words are reported that go with one truth more than the set as a whole does, at 95 %
    confidence for all words together.

    Args:
        claims: the claims.
        groups: per claim, the number of the image that it is about.
        max_tells: words reported at most.
        seed: of the folds, and of the images chosen where there are more than `MAX_CLAIMS` claims.

    Returns:
        None where there are fewer than `MIN_GROUPS` images, or all claims have the same truth.

    Raises:
        ValueError: there is not one group per claim.
    """
    if len(claims) != len(groups):
        raise ValueError(f"there are {len(claims)} claims but {len(groups)} groups; name one image per claim")
    rng = np.random.default_rng(seed)
    chosen = _choose(np.asarray(groups, dtype=np.int64), rng)
    texts = [claims[number].text for number in chosen]
    truth = np.array([claims[number].is_true for number in chosen], dtype=np.bool_)
    _, group_N = np.unique(np.asarray(groups, dtype=np.int64)[chosen], return_inverse=True)
    num_groups = int(group_N.max()) + 1 if len(group_N) else 0
    if num_groups < MIN_GROUPS or truth.all() or not truth.any():
        return None
    words = import_module("sklearn.feature_extraction.text").CountVectorizer(
        ngram_range=(1, 2), binary=True, token_pattern=_WORD
    )
    held_NW = words.fit_transform(texts)
    lengths = np.array([len(text.split()) for text in texts], dtype=np.float64)
    accuracy, low, high = _classify(held_NW, lengths, truth, group_N, rng)
    names = [str(name) for name in words.get_feature_names_out()]
    return BlindTest(
        num_claims=len(texts),
        num_groups=num_groups,
        accuracy=accuracy,
        low=low,
        high=high,
        tells=tuple(_find_tells(held_NW.tocsc(), names, truth, group_N, max_tells)),
        words_if_true=float(lengths[truth].mean()),
        words_if_false=float(lengths[~truth].mean()),
        longer_is_true=_compare_lengths(lengths, truth, group_N),
    )


def _choose(groups: NDArray[np.int64], rng: np.random.Generator) -> list[int]:
    """Return the claims to look at: all, or those of images drawn at random."""
    if len(groups) <= MAX_CLAIMS:
        return list(range(len(groups)))
    names, number_N = np.unique(groups, return_inverse=True)
    order = rng.permutation(len(names))
    enough = np.searchsorted(np.cumsum(np.bincount(number_N)[order]), MAX_CLAIMS, side="right")
    return [int(row) for row in np.flatnonzero(np.isin(number_N, order[: max(MIN_GROUPS, enough)]))]


def _classify(
    held_NW: Any, lengths: NDArray[np.float64], truth: NDArray[np.bool_], group_N: NDArray[Any], rng: Any
) -> tuple[float, float, float]:
    sparse = import_module("scipy.sparse")
    scaled = (lengths - lengths.mean()) / max(float(lengths.std()), 1e-9)
    features = sparse.hstack([held_NW, scaled[:, None]], format="csr")
    fold_G = rng.permutation(int(group_N.max()) + 1) % _FOLDS
    right = np.zeros(len(truth), dtype=np.bool_)
    for fold in range(_FOLDS):
        asked = fold_G[group_N] == fold
        if len(set(truth[~asked])) < 2:
            continue  # nothing to learn from; what it is not asked counts as wrong
        classifier = import_module("sklearn.linear_model").LogisticRegression(max_iter=1000, class_weight="balanced")
        classifier.fit(features[~asked], truth[~asked])
        right[asked] = classifier.predict(features[asked]) == truth[asked]
    # Weighed so that true and false claims count the same in all: a constant answer comes to 0.5.
    share = float(truth.mean())
    weights: NDArray[np.float64] = np.where(truth, 0.5 / share, 0.5 / (1 - share))
    right_G, all_G = (np.bincount(group_N, weights=weights * kept) for kept in (right, np.ones(len(right))))
    # Answers of one fold come from one classifier, and classifiers share what they learned from: over the scatter
    # between images, that of an accuracy from k folds is greater by 1 + k / (k - 1) (Nadeau and Bengio, "Inference for
    # the generalization error", Machine Learning 52, 2003).
    interval = clustered_interval(right_G, all_G, variance_factor=1 + _FOLDS / (_FOLDS - 1))
    return float(right_G.sum() / all_G.sum()), *interval


def _find_tells(
    held_WN: Any, names: Sequence[str], truth: NDArray[np.bool_], group_N: NDArray[Any], most: int
) -> Iterator[Tell]:
    """Yield the words that tell most surely, passing over those that mostly stand beside one that was told already."""
    num_W = np.asarray(held_WN.sum(axis=0)).ravel()
    true_W = np.asarray(held_WN[truth].sum(axis=0)).ravel()
    share = truth.mean()
    # In standard deviations of a word that tells nothing: what is always false comes before what is often true.
    excess_W = np.abs(true_W - num_W * share) / np.sqrt(num_W * share * (1 - share))
    confidence = 1 - 0.05 / max(1, len(names))
    parts = np.zeros(len(truth), dtype=bool)
    surest_first = np.lexsort(([name.count(" ") for name in names], -excess_W))  # and one word before two
    for word in map(int, surest_first):
        if most == 0 or excess_W[word] < 2:
            return
        rows = held_WN.indices[held_WN.indptr[word] : held_WN.indptr[word + 1]]
        if (~parts[rows]).mean() < _MIN_SHARE_OF_ITS_OWN:
            continue
        true_G, all_G = np.bincount(group_N[rows], weights=truth[rows]), np.bincount(group_N[rows])
        low, high = clustered_interval(true_G, all_G, confidence)
        if not low <= share <= high:
            yield Tell(names[word], int(num_W[word]), int(true_W[word]))
            parts[rows] = True
            most -= 1


def _compare_lengths(
    lengths: NDArray[np.float64], truth: NDArray[np.bool_], group_N: NDArray[Any]
) -> tuple[float, float, float] | None:
    longer_G: list[int] = []
    pairs_G: list[int] = []
    order = np.argsort(group_N, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group_N[order])) + 1):
        difference = lengths[rows][truth[rows]][:, None] - lengths[rows][~truth[rows]][None, :]
        longer_G.append(int((difference > 0).sum()))
        pairs_G.append(int((difference != 0).sum()))
    if sum(pairs_G) == 0:
        return None
    return sum(longer_G) / sum(pairs_G), *clustered_interval(longer_G, pairs_G)
