"""Intervals are as wide as they must be and no wider: half-widths against the spread of reruns."""

from __future__ import annotations

import numpy as np
import pytest

from elsewhere import Scored, gap


def rerun(seed: int, *, blocks: int, rows: int, groups: int = 6, metric: str = "roc_auc"):
    """Two sides of `groups` groups, blocks of `rows` rows that share a shift of their scores."""
    g = np.random.default_rng(seed)
    n = groups * blocks * rows
    group, block = np.repeat(np.arange(groups), n // groups), np.repeat(np.arange(n // rows), rows)
    sides = []
    for slope in (1.2, 0.8):
        y = g.integers(0, 2, n)
        score = slope * y + g.normal(size=n) + g.normal(0, 0.5, n // rows)[block]
        prediction = score if metric == "roc_auc" else (score > slope / 2).astype(int)
        sides.append(Scored(prediction, y=y, group=group, block=block))
    return gap(*sides, metric=metric)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
@pytest.mark.parametrize(("blocks", "rows"), [(20, 40), (200, 1), (60, 5)])
def test_half_widths_match_the_spread_of_reruns(metric, blocks, rows):
    found = [rerun(seed, blocks=blocks, rows=rows, metric=metric) for seed in range(200)]
    spread = np.std([f.estimate for f in found])
    half = np.mean([f.high - f.low for f in found]) / 2
    # The spread of 200 reruns is known to about 10 % (two standard errors).
    assert 0.88 < half / (1.96 * spread) < 1.25
