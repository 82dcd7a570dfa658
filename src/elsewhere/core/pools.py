"""Many models at once: does progress here arrive elsewhere? Records of a report."""

from __future__ import annotations

from dataclasses import dataclass

BEST_MINUS_WORST = "best minus worst group"
"""What the disparity of each model is where no pair of groups is named; noise alone makes it
positive."""


@dataclass(frozen=True)
class Slope:
    """Slope of a straight line over models.

    Args:
        name: What changes with the score here.
        value: Change of it for one unit of the score here.
        low: Lower limit over models; families of them count as a whole.
        high: Upper limit.
        logit: The same slope with both sides on the logit scale; NaN where scores leave (0, 1).
        logit_low: Lower limit.
        logit_high: Upper limit.
        weakest: Value of it for the model that is weakest here.
        best: Value of it for the model that is best here.
    """

    name: str
    value: float
    low: float
    high: float
    logit: float
    logit_low: float
    logit_high: float
    weakest: float
    best: float


@dataclass(frozen=True)
class PoolModel:
    """One model of a pool.

    Args:
        name: Its name.
        family: Models of one family are not independent; the name where none is given.
        here: Score here.
        scores: Scores elsewhere, in the order of `Pool.rates`.
        disparity: Score of the first named group minus that of the second, or of the best group
            minus the worst.
    """

    name: str
    family: str
    here: float
    scores: tuple[float, ...]
    disparity: float


@dataclass(frozen=True)
class Pool:
    """Progress of a pool of models here and elsewhere.

    Args:
        rates: Progress rate of each benchmark elsewhere: slope of its score over the score here.
        gaps: Progress gaps: the first rate minus each other; above 0, the others lag behind.
        disparity: Slope of the difference between groups over the score here; above 0, better
            models are less equal.
        here: What the score here is, in words.
        groups: What the disparity is, in words, such as "Europe minus Africa".
        lowest: Smallest score here: slopes say nothing outside of these two.
        highest: Largest score here.
        n_families: Independent families among the models.
        models: The models, weakest here first.
        level: Confidence level of each interval.
        reason: Why there are no slopes; empty if there are.
    """

    rates: tuple[Slope, ...]
    gaps: tuple[Slope, ...]
    disparity: Slope | None
    here: str
    groups: str
    lowest: float
    highest: float
    n_families: int
    models: tuple[PoolModel, ...]
    level: float
    reason: str = ""
