"""Many groups at once: which is worst, how far apart they are, and what chance alone does.

The lowest of many noisy values lies too low, and the distance between the extremes of equal groups
is never zero. So the worst group is named only if it separates from every other one, intervals hold
for all groups together, and each group is shown beside its value after partial pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, chunks
from elsewhere.core.intervals import (
    Moments,
    Scale,
    difference,
    interval,
    quantile,
    simultaneous,
)
from elsewhere.core.sampling import steadied

Limits: TypeAlias = Callable[[float | Floats], tuple[Floats, Floats]]
"""Maps a confidence level (one for all, or one each) to all groups' lower and upper limits."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """One estimate for each group, higher is worse.

    Args:
        value: Estimates, NaN where there is none, shape (groups,).
        limits: Their intervals at any level.
    """

    value: Floats
    limits: Limits

    @property
    def known(self) -> Booleans:
        """Groups that have a value."""
        return ~np.isnan(self.value)

    @property
    def error(self) -> Floats:
        """Standard errors that match the 95 % intervals, never 0 for want of variation."""
        low, high = self.limits(0.95)
        return (high - low) / (2 * float(quantile(0.975, np.inf)))


@dataclass(frozen=True, eq=False)
class Pooled:
    """Estimates drawn towards their mean by as much as chance explains their spread.

    Args:
        value: Shrunken estimates, shape (groups,).
        error: Their standard errors.
        mean: Mean of the groups' true values.
        spread: Standard deviation between the groups' true values.
    """

    value: Floats
    error: Floats
    mean: float
    spread: float


def partial_pooling(estimates: Estimates) -> Pooled:
    """Shrink estimates towards their mean (normal random-effects model, empirical Bayes).

    Args:
        estimates: At least one known estimate.

    Returns:
        Shrunken estimates; with fewer than 4 groups the spread is taken as unknown and nothing
        is shrunk.

    Reference: Paule and Mandel 1982, "Consensus values and weighting factors" (between-group
        variance); Morris 1983, "Parametric empirical Bayes inference" (errors of shrunken values).
    """
    known, error = estimates.known, estimates.error
    value = np.where(known, estimates.value, np.nan)
    usable = known & np.isfinite(error) & (error > 0)
    n = int(usable.sum())
    if n < 4:
        mean = float(value[known].mean()) if known.any() else np.nan
        return Pooled(value, error, mean, np.nan)
    y, s2 = value[usable], error[usable] ** 2
    between = _between(y, s2)
    weight = 1 / (s2 + between)
    mean = float(weight @ y / weight.sum())
    own = s2 / (s2 + between) * (n - 3) / (n - 1)
    shrunk, shrunk_error = value.copy(), error.copy()
    shrunk[usable] = y - own * (y - mean)
    variance = s2 * (1 - own) + own**2 / weight.sum() + 2 / (n - 3) * own**2 * (y - mean) ** 2
    shrunk_error[usable] = np.sqrt(variance)
    return Pooled(shrunk, shrunk_error, mean, float(np.sqrt(between)))


def _between(value: Floats, variance: Floats) -> float:
    """Variance between groups at which the weighted spread equals its expectation."""

    def excess(between: float) -> float:
        weight = 1 / (variance + between)
        mean = weight @ value / weight.sum()
        return float(weight @ (value - mean) ** 2) - (len(value) - 1)

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.ptp(value)) ** 2 * len(value)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def worst_candidates(estimates: Estimates, level: float = 0.95) -> Booleans:
    """Find the groups that may be the worst: with confidence `level` the worst is among them.

    A group leaves the set if some other group is worse beyond what chance explains over all
    comparisons with it.

    Args:
        estimates: Estimates, higher is worse.
        level: Confidence level.

    Returns:
        Mask of candidates, shape (groups,). One candidate means that the worst group separates.

    Cost: groups squared, in chunks of 256 MB.

    Reference: Hsu 1981, "Simultaneous confidence intervals for all distances from the best"; the
        critical value by Slepian's inequality, safe for estimates that share rows.
    """
    known = estimates.known
    n = int(known.sum())
    found = np.zeros(len(known), dtype=bool)
    if n < 2:
        found[known] = True
        return found
    one_sided = simultaneous(level, n - 1)
    low, high = (limit[known] for limit in estimates.limits(2 * one_sided - 1))
    value = estimates.value[known]
    beaten = np.zeros(n, dtype=bool)
    for part in chunks(n, 64 * n):
        own = (value[part, None], low[part, None], high[part, None])
        # Lower limit of (other - own): above 0 means that the other is worse.
        worse, _ = difference((value[None], low[None], high[None]), own)
        beaten[part] = (worse > 0).any(axis=1)
    found[known] = ~beaten
    return found


def disparity(estimates: Estimates, level: float = 0.95) -> tuple[float, float, float]:
    """Distance between the worst and the best group, with an interval for the true distance.

    Args:
        estimates: Estimates, higher is worse.
        level: Confidence level.

    Returns:
        Estimate (max - min), lower and upper limit. The estimate itself is biased upwards; the
        limits come from intervals that hold for all pairs together, so they are not.

    Cost: groups squared, in chunks of 256 MB.
    """
    known = estimates.known
    n = int(known.sum())
    if n < 2:
        return np.nan, np.nan, np.nan
    value = estimates.value[known]
    low, high = (a[known] for a in estimates.limits(simultaneous(level, n * (n - 1) // 2)))
    least, most = 0.0, 0.0
    for part in chunks(n, 64 * n):
        own = (value[part, None], low[part, None], high[part, None])
        lower, upper = difference((value[None], low[None], high[None]), own)
        away = np.arange(n)[part, None] != np.arange(n)[None]
        least = max(least, float(lower[away].max(initial=0.0)))
        most = max(most, float(upper[away].max(initial=0.0)))
    return float(value.max() - value.min()), least, most


def rest(values: Moments, scale: Scale) -> Moments:
    """Average of the other groups, for each group.

    Args:
        values: Moments by group, NaN where a group has no value, shape (groups,).
        scale: Interval rule of the metric.

    Returns:
        Moments of the average over all other known groups, shape (groups,).
    """
    known = ~np.isnan(values.value)
    n = int(known.sum()) - known.astype(np.int64)

    def others(column: Floats) -> Floats:
        filled = np.where(known, column, 0.0)
        return filled.sum() - filled

    variance = values.variance
    if scale != "real":
        variance = steadied(variance, values.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = others(variance)
        degrees = total**2 / others(variance**2 / np.maximum(values.freedom, 1e-9))
        degrees = np.where(total > 0, degrees, others(values.freedom))
        size = n**2 / others(1 / values.size)
        return Moments(others(values.value) / n, total / n**2, degrees, size)


def against(first: Moments, second: Moments, scale: Scale) -> Limits:
    """Intervals of first minus second, from separate rows, at any level.

    Args:
        first: Moments by group.
        second: Moments by group.
        scale: Interval rule of the metric.

    Returns:
        Function from level to limits.
    """

    def limits(level: float | Floats) -> tuple[Floats, Floats]:
        return difference(
            (first.value, *interval(first, scale, level)),
            (second.value, *interval(second, scale, level)),
        )

    return limits


def p_values(limits: Limits, n: int) -> Floats:
    """Two-sided p-values that agree with the intervals: below .05 where 95 % excludes 0.

    Args:
        limits: Function from levels (one for each group) to limits.
        n: Number of groups.

    Returns:
        P-values, NaN where there is no interval, shape (n,).

    Cost: 40 evaluations of the intervals.
    """
    low, high = np.full(n, 0.0), np.full(n, 1.0 - 1e-12)
    for _ in range(40):
        middle = (low + high) / 2
        below, above = limits(middle)
        outside = (below > 0) | (above < 0)
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    p = 1 - (low + high) / 2
    known = ~np.isnan(limits(np.full(n, 0.5))[0])
    return np.where(known, p, np.nan)


def benjamini_hochberg(p: Floats) -> Floats:
    """Adjust p-values so that a cut at q keeps the expected share of false finds below q.

    Args:
        p: P-values, NaN for those that take no part, shape (n,).

    Returns:
        Adjusted values, shape (n,).

    Reference: Benjamini and Hochberg 1995, "Controlling the false discovery rate".
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if len(known) == 0:
        return adjusted
    order = known[np.argsort(p[known])]
    n = len(order)
    scaled = p[order] * n / np.arange(1, n + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
