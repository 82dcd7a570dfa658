"""Tables with a planted shift, for audits that fit models."""

from __future__ import annotations

import numpy as np
import pandas as pd

SITES = list("ABCDEF")
SHIFTED = ("B", "E")


def chance(x: np.ndarray, flip: np.ndarray | float = 0.0) -> np.ndarray:
    """Chance of the positive class: it bends at 0 in the first feature."""
    z = 2.5 * x[:, 0] * np.where(flip, -1.0, 1.0) + x[:, 1]
    return 1 / (1 + np.exp(-z))


def table(kind: str, n: int = 2400, seed: int = 0) -> pd.DataFrame:
    """Six sites of equal size; B and E differ by `kind`.

    Args:
        kind: "null", "y given x", "covariate" or "label".
        n: Rows.
        seed: Seed.
    """
    g = np.random.default_rng(seed)
    site = np.repeat(SITES, n // 6)
    n = len(site)
    odd = np.isin(site, SHIFTED)
    x = g.normal(size=(n, 4))
    if kind == "covariate":  # where the classes overlap
        x[odd, :2] *= 0.25
        x[~odd, 0] += np.where(g.random((~odd).sum()) < 0.5, 1.0, -1.0)
    y = (g.random(n) < chance(x, odd if kind == "y given x" else 0.0)).astype(int)
    if kind == "label":
        x, y = _of_classes(g, odd)
    found = pd.DataFrame(x, columns=list("abcd"))
    return found.assign(site=site, y=y)


def _of_classes(g: np.random.Generator, odd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw features given the class: a narrow class among a wide one, rare here, common there."""
    n = len(odd)
    y = (g.random(n) < np.where(odd, 0.65, 0.15)).astype(int)
    x = g.normal(size=(n, 4))
    x[:, 0] = np.where(y == 1, 1.0 + x[:, 0], -0.3 + x[:, 0])
    return x, y


def seasons(n: int = 2400, seed: int = 0, effect: float = 1.5) -> pd.DataFrame:
    """Six months of ten days; every day has its own weather, which month and day together name.

    Args:
        n: Rows.
        seed: Seed.
        effect: Standard deviation of the weather on the log-odds; 0 leaves no shift.
    """
    g = np.random.default_rng(seed)
    date = np.arange(n) % 60
    weather = effect * g.normal(size=60)[date]
    x = g.normal(size=(n, 2))
    y = (g.random(n) < 1 / (1 + np.exp(-(1.2 * x[:, 0] + weather)))).astype(int)
    return pd.DataFrame(x, columns=list("ab")).assign(
        month=date // 10, day=date % 10, visit=np.arange(n) // 2, y=y
    )
