"""Loss against training rows as `a + b * n ** -p`: one weighted least squares fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from elsewhere.core.arrays import Floats

GRID = 25
"""Exponents tried before the best one is refined."""


def fit_power_law(
    sizes: Floats, losses: Floats, exponent: float | tuple[float, float] = 1.0
) -> tuple[float, float, float]:
    """Fit `a + b * n ** -p` by least squares weighted by n, with a and b at least 0.

    Args:
        sizes: Training rows, at least two different numbers, shape (sizes,).
        losses: Mean losses, shape (sizes,) or (sizes, repeats).
        exponent: p, or the least and the largest p that may be chosen.

    Returns:
        a, b and p.

    Cost: one closed form, or about 50 of them where the exponent is free.

    Reference: W. Cai and others 2022, "Adaptive Sampling Strategies to Construct Equitable
        Training Datasets", arXiv 2202.01327 (losses that fall as a power of the rows).

    Example:
        >>> n = np.array([50.0, 100.0, 200.0])
        >>> tuple(round(v, 6) for v in fit_power_law(n, 0.2 + 10 / n))
        (0.2, 10.0, 1.0)
    """
    mean = losses if losses.ndim == 1 else losses.mean(axis=1)
    if not isinstance(exponent, tuple):
        a, b, _ = _line(sizes, mean, exponent)
        return a, b, exponent
    low, high = exponent
    tried = np.linspace(low, high, GRID)
    rest = [_line(sizes, mean, float(p))[2] for p in tried]
    best = int(np.argmin(rest))
    p = float(tried[best])
    if low < high:
        around = (float(tried[max(best - 1, 0)]), float(tried[min(best + 1, GRID - 1)]))
        found = untyped("scipy.optimize").minimize_scalar(
            lambda q: _line(sizes, mean, float(q))[2], bounds=around, method="bounded"
        )
        if float(found.fun) < rest[best]:
            p = float(found.x)
    a, b, _ = _line(sizes, mean, p)
    return a, b, p


def power_law(a: Floats | float, b: Floats | float, p: Floats | float, n: Floats) -> Floats:
    """Compute `a + b * n ** -p`.

    Args:
        a: Loss that no number of rows removes.
        b: Size of what rows remove.
        p: Exponent.
        n: Numbers of rows, above 0; everything broadcasts.

    Returns:
        Losses.
    """
    return np.asarray(a + b * np.asarray(n, dtype=np.float64) ** -np.asarray(p))


def _line(sizes: Floats, mean: Floats, p: float) -> tuple[float, float, float]:
    """Least squares of the loss on (1, n^-p) with both coefficients at least 0, and its rest."""
    x, weight = sizes**-p, sizes / sizes.sum()
    middle, level = float(weight @ x), float(weight @ mean)
    spread = float(weight @ (x - middle) ** 2)
    b = float(weight @ ((x - middle) * (mean - level))) / spread if spread > 0 else 0.0
    a = level - b * middle
    if b < 0:
        a, b = max(level, 0.0), 0.0
    elif a < 0:
        a, b = 0.0, cast("float", float(weight @ (x * mean)) / float(weight @ x**2))
        b = max(b, 0.0)
    return a, b, float(weight @ (mean - a - b * x) ** 2)
