"""Calibration of probabilities by group: a debiased error, the bias, and the reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, sums
from elsewhere.core.intervals import Moments, interval, quantile
from elsewhere.core.untyped import untyped


@dataclass(frozen=True)
class Bin:
    """Rows of similar predicted probability.

    Args:
        predicted: Mean predicted probability.
        observed: Share of positives.
        low: Lower limit of the share.
        high: Upper limit of the share.
        n_rows: Number of rows.
    """

    predicted: float
    observed: float
    low: float
    high: float
    n_rows: int


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from frequencies.

    Args:
        error: Root mean squared distance between predicted and observed, over bins, with the
            part that chance alone produces taken away; 0 where chance explains all of it.
        low: Lower limit of the error.
        high: Upper limit of the error.
        bias: Mean predicted minus mean observed; positive means that risks are overstated.
        bias_low: Lower limit of the bias.
        bias_high: Upper limit of the bias.
        n_rows: Number of rows.
        n_blocks: Number of independent units.
        curve: Reliability curve, by rising probability.
        reason: Why there is no number; empty if there is one.
    """

    error: float
    low: float
    high: float
    bias: float
    bias_low: float
    bias_high: float
    n_rows: int
    n_blocks: int
    curve: tuple[Bin, ...]
    reason: str = ""


MIN_BIN_ROWS = 20
"""Rows that a bin should have on average: fewer rows make fewer bins."""


def calibration(
    y: Integers,
    probability: Floats,
    *,
    unit: Integers | None = None,
    weight: Floats | None = None,
    bins: int = 15,
    level: float = 0.95,
) -> Calibration:
    """Measure calibration in bins of equal numbers of rows.

    The plain binned error is biased upwards: a calibrated model shows an error too. Here the
    expected contribution of chance is subtracted, with blocks if there are any, and the interval
    follows from the variance of a quadratic form of the bins' mean residuals.

    Args:
        y: Outcomes 0 or 1, shape (n,).
        probability: Predicted probabilities of 1, shape (n,).
        unit: Independent unit of each row, shape (n,); each row when absent.
        weight: Sample weights, shape (n,).
        bins: Largest number of bins.
        level: Confidence level.

    Returns:
        Error, bias and curve; NaN with a reason below 40 rows that weigh anything.

    Cost: one sort of n numbers; units x bins numbers of memory where units have several rows.

    Reference: Kumar, Liang, Ma 2019, "Verified Uncertainty Calibration", arXiv 1909.10155,
        section 5 (debiased estimator).
    """
    n = len(y)
    n_weighed = n if weight is None else int((weight > 0).sum())
    if n_weighed < 2 * MIN_BIN_ROWS:
        nan = float("nan")
        why = f"{n_weighed} rows; at least {2 * MIN_BIN_ROWS} needed"
        return Calibration(nan, nan, nan, nan, nan, nan, n, n, (), why)
    n_bins = int(min(bins, n // MIN_BIN_ROWS))
    bin_of = _equal_bins(probability, n_bins)
    n_bins = int(bin_of.max()) + 1
    w = np.ones(n) if weight is None else weight
    mass = sums(bin_of, n_bins, w)
    keep = mass > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        predicted = sums(bin_of, n_bins, w * probability) / mass
        observed = sums(bin_of, n_bins, w * y) / mass
    residual = predicted - observed
    moved = w * (probability - y - residual[bin_of]) / np.where(mass > 0, mass, 1)[bin_of]
    covariance, n_units = _covariance(moved, bin_of, n_bins, unit)
    share = mass / mass.sum()
    residual, covariance, share = residual[keep], covariance[np.ix_(keep, keep)], share[keep]
    weighted = share[:, None] * covariance
    square = float(share @ residual**2) - float(np.trace(weighted))
    signal = np.outer(residual, residual) - covariance
    spread = 4 * max(float(np.einsum("i,ij,ij,j->", share, covariance, signal, share)), 0.0)
    spread += 2 * float(np.trace(weighted @ weighted))
    half = float(quantile((1 + level) / 2, np.inf)) * np.sqrt(spread)
    error, low, high = (float(np.sqrt(max(v, 0.0))) for v in (square, square - half, square + half))
    bias = float(share @ residual)
    reach = float(quantile((1 + level) / 2, n_units - 1)) * float(
        np.sqrt(max(share @ covariance @ share, 0.0))
    )
    curve = _curve(predicted, observed, mass, bin_of, w, np.diag(_full(covariance, keep)), level)
    return Calibration(error, low, high, bias, bias - reach, bias + reach, n, n_units, curve)


def _equal_bins(probability: Floats, n_bins: int) -> Integers:
    """Cut at quantiles that are probabilities themselves, so that copies of rows move no edge."""
    cuts = np.arange(1, n_bins) / n_bins
    edges = np.unique(np.quantile(probability, cuts, method="inverted_cdf"))
    found = np.searchsorted(edges, probability, side="left")
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _covariance(
    moved: Floats, bin_of: Integers, n_bins: int, unit: Integers | None
) -> tuple[Floats, int]:
    """Covariance of the bins' mean residuals, and the number of units."""
    n = len(moved)
    if unit is None:
        rows = sums(bin_of, n_bins)
        factor = np.where(rows > 1, rows / np.maximum(rows - 1, 1), 1.0)
        return np.diag(factor * sums(bin_of, n_bins, moved**2)), n
    sparse = untyped("scipy.sparse")
    codes = np.unique(unit, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    table = sparse.coo_array((moved, (codes, bin_of)), shape=(n_units, n_bins)).tocsr()
    product = np.asarray((table.T @ table).todense(), dtype=np.float64)
    return product * n_units / max(n_units - 1, 1), n_units


def _full(covariance: Floats, keep: Booleans) -> Floats:
    """Put the kept bins back into their places."""
    full = np.zeros((len(keep), len(keep)))
    full[np.ix_(keep, keep)] = covariance
    return full


def _curve(
    predicted: Floats,
    observed: Floats,
    mass: Floats,
    bin_of: Integers,
    w: Floats,
    variance: Floats,
    level: float,
) -> tuple[Bin, ...]:
    """List the bins with an interval for the observed share."""
    n_bins = len(mass)
    rows = sums(bin_of, n_bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = mass**2 / sums(bin_of, n_bins, w**2)
    moments = Moments(observed, variance, np.maximum(rows - 1, 1), size)
    low, high = interval(moments, "proportion", level)
    return tuple(
        Bin(float(predicted[b]), float(observed[b]), float(low[b]), float(high[b]), int(rows[b]))
        for b in range(n_bins)
        if mass[b] > 0
    )
