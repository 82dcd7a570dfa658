"""Is a rank metric low because the model is worse, or because the rows are alike?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elsewhere.core.arrays import Floats, Integers, as_array, number, sums
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import Moments, interval
from elsewhere.core.metrics import get_metric
from elsewhere.core.metrics.base import Prepared
from elsewhere.measures.two_sample import check_level, vector, weights

NAN = float("nan")

HALVINGS = 100
"""Halvings of the range of log odds in which the weight of the positives is sought."""

MOST_ODDS = 50.0
"""Largest log odds, either way, by which positives are weighted."""


@dataclass(frozen=True)
class StandardisedArea:
    """Area under the curve of some rows as if their predictions were spread as in a reference.

    Args:
        value: The area after weighting; NaN where there is none.
        low: Lower limit.
        high: Upper limit.
        plain: The area without weights.
        expected: The area that the predictions promise for these rows; see `expected_auc`.
        n_rows: Number of rows.
        effective_rows: Number of equally weighted rows that are worth as much: (sum of weights)^2
            over the sum of their squares; 0 where there are no weights.
        reason: Why there is no value; empty if there is one.
    """

    value: float
    low: float
    high: float
    plain: float
    expected: float
    n_rows: int
    effective_rows: float
    reason: str = ""


def expected_auc(probability: Any, *, weight: Any = None) -> float:
    """Area under the curve that probabilities promise: what they would get if they were right.

    Where rows are alike their probabilities lie close together, and no model can rank them well.
    This number holds that apart from a model that ranks them badly. It needs no labels: a pair of
    rows i, j consists of a positive i and a negative j with probability p_i (1 - p_j), and the
    area is the share of such pairs in which p_i is the larger, equal ones counted half.

    Args:
        probability: Probability of the positive class, in [0, 1], shape (n,).
        weight: Weights of rows >= 0, shape (n,); ones when absent.

    Returns:
        The expected area; NaN where no pair can have both classes (fewer than two rows, or all
        probabilities 0 or all 1). It says nothing of whether the probabilities are right.

    Raises:
        InputError: Values outside [0, 1], missing values, weights that do not fit.

    Cost: one sort. Memory: a few arrays of n numbers.

    Reference: van Klaveren, Gönen, Steyerberg, Vergouwe 2016, "A new concordance measure
        for risk prediction models in external validation settings", the model-based concordance.

    Example:
        >>> round(expected_auc([0.2, 0.8]), 4), round(expected_auc([0.45, 0.55]), 4)
        (0.9412, 0.599)
    """
    p = probabilities_of_one(probability, "probability")
    w = weights(weight, len(p), "weight")
    order = np.argsort(p)
    p, w = p[order], w[order]
    up, down = w * p, w * (1 - p)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(p)) + 1, [len(p)]])
    below = np.concatenate([[0.0], np.cumsum(down)])
    beaten = np.repeat((below[edges[:-1]] + below[edges[1:]]) / 2, np.diff(edges))
    # A row is no pair with itself, but stands in the sums as a tie.
    itself = float(up @ down)
    pairs = float(up.sum()) * float(down.sum()) - itself
    if not pairs > 0:
        return NAN
    return float(np.clip((float(up @ beaten) - itself / 2) / pairs, 0.0, 1.0))


def standardised_auc(
    probability: Any,
    y: Any,
    reference_probability: Any,
    *,
    prevalence: float | None = None,
    block: Any = None,
    bins: int = 10,
    level: float = 0.95,
) -> StandardisedArea:
    """Area under the curve of some rows, weighted to the case mix of other rows.

    Rows get weights so that their predictions fall into the reference's quantile bins as often as
    the reference's do, and so that the share of positives is the reference's: one factor for each
    bin, and one for positives. What then differs from the reference's area is not a narrower
    range of predictions.

    Args:
        probability: Probability of the positive class, in [0, 1], shape (n,).
        y: Outcomes, 0 or 1, shape (n,).
        reference_probability: Predictions of the rows to compare with, in [0, 1], shape (m,).
        prevalence: Share of positives to weight to, in (0, 1); the mean of
            `reference_probability` when absent, which is right where that is calibrated.
        block: What belongs together, shape (n,); each row by itself when absent.
        bins: Quantile bins of the reference, at least 2; fewer where its predictions tie. Within a
            bin nothing is matched.
        level: Confidence level in (0, 1).

    Returns:
        The area with an interval on the logit scale, the reference taken as known. NaN and the
        reason where a class has fewer than 10 rows, where a bin of the reference has no rows, or
        where no weights give the share of positives.

    Raises:
        InputError: Values outside [0, 1], arrays of unlike length, an empty reference.

    Cost: two sorts. The variance follows from each row's influence less what its bin and class
        explain, since their totals are fixed by the weights; no resampling.

    Reference: Deville and Särndal 1992, "Calibration estimators in survey sampling" (influences
        under such weights); DeLong, DeLong, Clarke-Pearson 1988 (those of the area).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> everyone = 1 / (1 + np.exp(-rng.normal(0, 2, 4000)))
        >>> alike = 1 / (1 + np.exp(-rng.normal(0, 1, 4000)))
        >>> y = rng.random(4000) < alike
        >>> found = standardised_auc(alike, y.astype(int), everyone)
        >>> print(f"{found.plain:.2f} {found.value:.2f} {expected_auc(everyone):.2f}")
        0.75 0.85 0.86
    """
    check_level(level)
    if bins < 2:
        raise InputError("bins", f"is {bins}", "at least 2", "10")
    p = probabilities_of_one(probability, "probability")
    target = outcomes(y, len(p), "y")
    reference = probabilities_of_one(reference_probability, "reference_probability")
    if len(reference) == 0:
        raise InputError("reference_probability", "has no rows", "rows to compare with")
    wanted = float(reference.mean()) if prevalence is None else float(prevalence)
    if prevalence is not None and not 0 < wanted < 1:
        raise InputError("prevalence", f"is {prevalence}", "a share between 0 and 1")
    unit = None
    if block is not None:
        given = as_array(block, "block")
        if len(given) != len(p):
            raise InputError("block", f"has {len(given)} rows", f"{len(p)}")
        unit = number(given)

    metric = get_metric("roc_auc")
    data, cell = Prepared(target, p, (0, 1)), np.zeros(len(p), dtype=np.int64)
    rows = np.arange(len(p)) if unit is None else unit
    plain = metric.evaluate(data, None, cell, 1, rows)
    known, expected = float(plain.value[0]), expected_auc(p)
    if plain.reason[0]:
        return StandardisedArea(NAN, NAN, NAN, known, expected, len(p), 0.0, plain.reason[0])
    bin_of, weight, reason = _case_weights(p, target, reference, wanted, bins)
    if reason:
        return StandardisedArea(NAN, NAN, NAN, known, expected, len(p), 0.0, reason)
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    found = metric.evaluate(data, weight, cell, 1, rows)
    value = float(found.value[0])
    if found.reason[0]:
        return StandardisedArea(NAN, NAN, NAN, known, expected, len(p), effective, found.reason[0])
    moved = _residual(found.influence, weight, bin_of, target)
    if unit is not None:
        moved = sums(unit, int(unit.max()) + 1, moved)
    units = len(moved)
    variance = float(moved @ moved) * units / max(units - 1, 1)
    moments = Moments(
        *(np.asarray(v, dtype=np.float64) for v in (value, variance, units - 1, effective))
    )
    low, high = interval(moments, "area", level)
    return StandardisedArea(value, float(low), float(high), known, expected, len(p), effective)


def outcomes(given: Any, n: int, argument: str) -> Integers:
    """Take outcomes of two classes.

    Args:
        given: Array-like of 0 and 1, or of booleans, shape (n,).
        n: Number of rows.
        argument: Name for the message.

    Returns:
        The outcomes, shape (n,).

    Raises:
        InputError: Anything else than 0 and 1.
    """
    found = vector(given, n, argument)
    odd = found[(found != 0) & (found != 1)]
    if len(odd):
        raise InputError(
            argument,
            f"holds {odd[0]:g}",
            "0 and 1",
            "compare with the positive class first: y == 'yes'",
        )
    return found.astype(np.int64)


def probabilities_of_one(given: Any, argument: str) -> Floats:
    """Take probabilities of the positive class.

    Args:
        given: Array-like in [0, 1], shape (n,).
        argument: Name for the message.

    Returns:
        The probabilities in float64.

    Raises:
        InputError: Values outside [0, 1], or missing.
    """
    array = as_array(given, argument)
    found = vector(array, len(array), argument)
    if ((found < 0) | (found > 1)).any():
        odd = float(found[(found < 0) | (found > 1)][0])
        raise InputError(
            argument,
            f"holds {odd:g}",
            "probabilities of the positive class, 0 to 1",
            "predict_proba(...)[:, 1], not scores",
        )
    return found


# --- helpers ------------------------------------------------------------------------------------


def _case_weights(
    p: Floats, y: Integers, reference: Floats, prevalence: float, bins: int
) -> tuple[Integers, Floats, str]:
    """Bin of each row and weights that match bins and share of positives, or why there are none."""
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    n_bins = len(edges) + 1
    own = np.searchsorted(edges, p, side="right")
    share = sums(np.searchsorted(edges, reference, side="right"), n_bins) / len(reference)
    up = sums(own, n_bins, y.astype(np.float64))
    down = sums(own, n_bins) - up
    empty = np.flatnonzero((share > 0) & (up + down == 0))
    if len(empty):
        low, high = np.append(0.0, edges)[empty[0]], np.append(edges, 1.0)[empty[-1]]
        return (
            own,
            p,
            (
                f"no rows in {len(empty)} of {int((share > 0).sum())} bins of predictions "
                f"(between {low:.3g} and {high:.3g}), where the reference has "
                f"{share[empty].sum():.0%} of its rows"
            ),
        )
    used = share > 0
    least, most = share[used & (down == 0)].sum(), share[used & (up > 0)].sum()
    if not least < prevalence < most:
        return (
            own,
            p,
            (
                f"no weights give a share of {prevalence:.3g} positives: bins of predictions that "
                "hold a single class allow "
                f"{least:.3g} to {most:.3g}"
            ),
        )
    below, above = -MOST_ODDS, MOST_ODDS
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        raised = np.exp(middle) * up[used]
        enough = float(share[used] @ (raised / (down[used] + raised))) >= prevalence
        below, above = (below, middle) if enough else (middle, above)
    factor = np.exp((below + above) / 2)
    per_row = np.zeros(n_bins)
    per_row[used] = share[used] / (down[used] + factor * up[used])
    weight = per_row[own] * np.where(y == 1, factor, 1.0)
    return own, weight * (len(p) / weight.sum()), ""


def _residual(influence: Floats, weight: Floats, bin_of: Integers, y: Integers) -> Floats:
    """Influence of each row once the weights hold the totals of bins and of positives fixed."""
    n_bins = int(bin_of.max()) + 1
    mass = np.maximum(sums(bin_of, n_bins, weight), 1e-300)
    present = weight > 0
    pull = np.divide(influence, weight, out=np.zeros(len(weight)), where=present)
    pull = pull - (sums(bin_of, n_bins, weight * pull) / mass)[bin_of]
    positive = y - (sums(bin_of, n_bins, weight * y) / mass)[bin_of]
    spread = float(weight @ positive**2)
    slope = float(weight @ (positive * pull)) / spread if spread > 0 else 0.0
    # As for a variance within bins: a bin of few rows hides part of its own.
    rows = sums(bin_of, n_bins)
    hidden = np.sqrt(rows / np.maximum(rows - 1, 1))[bin_of]
    return weight * (pull - slope * positive) * hidden
