"""Rules that choose the score from which a row is called positive, on training rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from elsewhere.core.arrays import Floats, Integers, as_array
from elsewhere.core.errors import InputError


class ThresholdRule(Protocol):
    """What chooses a threshold: `fit(score, y)` gives it."""

    def fit(self, score: Any, y: Any) -> float:
        """Choose a threshold from scores and 0/1 labels of training rows."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same threshold whatever the rows.

    Args:
        value: The threshold.

    Example:
        >>> Constant().fit([0.1, 0.9], [0, 1])
        0.5
    """

    value: float = 0.5

    def fit(self, score: Any, y: Any) -> float:
        """Return the value; scores and labels are checked only."""
        scored(score, y)
        return float(self.value)


@dataclass(frozen=True)
class TargetSpecificity:
    """The threshold below which a given share of negative training rows lies.

    Published as "target precision", which it is not: it looks at negative rows only.

    Args:
        share: Share of negative rows to call negative, 0 to 1.

    Reference: arXiv 2602.14161, threshold rules of its code; the percentile is linear.

    Example:
        >>> TargetSpecificity(0.75).fit([0.1, 0.2, 0.3, 0.4, 0.5, 0.9], [0, 0, 0, 0, 0, 1])
        0.4
    """

    share: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError("share", f"is {self.share}", "a number from 0 to 1", "0.95")

    def fit(self, score: Any, y: Any) -> float:
        """Take the percentile of the negative rows; the median of all rows if none is negative."""
        scores, labels = scored(score, y)
        negative = scores[labels == 0]
        if not len(negative):
            return float(np.median(scores))
        return float(np.percentile(negative, self.share * 100))


@dataclass(frozen=True)
class MaxF1:
    """The score whose use as a threshold gives the largest F1 on the training rows.

    Candidates are the scores of the rows; the lowest of equally good ones is taken. F1 has 1e-10
    added to its denominator, as published.

    Reference: arXiv 2602.14161, threshold rules of its code.

    Example:
        >>> MaxF1().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
        0.4
    """

    def fit(self, score: Any, y: Any) -> float:
        """Choose among the scores; without a positive row all do equally badly: the lowest."""
        scores, labels = scored(score, y)
        candidates, precision, recall = precision_recall(scores, labels)
        f1 = 2 * precision * recall / (precision + recall + 1e-10)
        return float(candidates[f1.argmax()])


def precision_recall(score: Floats, y: Integers) -> tuple[Floats, Floats, Floats]:
    """Precision and recall of `score >= threshold` at every threshold that is a score.

    Args:
        score: Shape (rows,), at least one row.
        y: 0 or 1, shape (rows,).

    Returns:
        Thresholds in rising order, the distinct scores; precision; recall, 1 without positives.

    Cost: one sort.
    """
    order = np.argsort(score, kind="stable")
    values, positive = score[order], y[order]
    first = np.flatnonzero(np.concatenate([[True], values[1:] > values[:-1]]))
    above = np.concatenate([[0], np.cumsum(positive)]).astype(np.float64)
    hits = above[-1] - above[first]
    precision = hits / (len(score) - first)
    recall = hits / above[-1] if above[-1] else np.ones(len(first))
    return values[first], precision, recall


def scored(score: Any, y: Any) -> tuple[Floats, Integers]:
    """Check scores and 0/1 labels, at least one row.

    Args:
        score: Finite numbers, shape (rows,).
        y: 0 or 1, shape (rows,).

    Returns:
        Both as arrays.

    Raises:
        InputError: Something else.
    """
    given = as_array(score, "score")
    if not len(given):
        raise InputError("score", "has no rows", "at least one row")
    if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise InputError("score", "holds something other than finite numbers", "one score a row")
    labels = as_array(y, "y")
    if len(labels) != len(given):
        raise InputError("y", f"has {len(labels)} values for {len(given)} scores", "one each")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("y", "holds values other than 0 and 1", "0 or 1", "y == 'attack'")
    return given.astype(np.float64), labels.astype(np.int64)
