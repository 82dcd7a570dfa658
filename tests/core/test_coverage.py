"""How often the intervals hold the truth, by simulation through the public functions.

Nominal .95, demanded .93. A share of runs has a standard error: .016 at .93 for the 250 runs of the
quick grid, where twice that is allowed for. The full grid (.0066 for 1500 runs, .0047 for 3000,
seeds fixed) demands .93 itself.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from simulate import (
    Areas,
    Errors,
    Proportions,
    cover_areas,
    cover_errors,
    cover_proportions,
)

from elsewhere.core.gaps import gap
from elsewhere.core.scores import Scored

DEMANDED = 0.93
QUICK_RUNS = 250
QUICK_SLACK = 2 * float(np.sqrt(DEMANDED * (1 - DEMANDED) / QUICK_RUNS))

QUICK = [
    Proportions(p, rows, groups, gaps, paired)
    for (rows, groups), p, (gaps, paired) in itertools.product(
        ((20, 3), (20, 6), (50, 16)),
        (0.5, 0.95, 0.99),
        (("none", False), ("same", True), ("normal", False)),
    )
]
FULL = [
    Proportions(p, rows, groups, gaps, paired)
    for rows, groups, p, gaps, paired in itertools.product(
        (20, 50, 500),
        (3, 6, 16),
        (0.5, 0.8, 0.95, 0.99),
        ("none", "same", "uniform", "normal"),
        (False, True),
    )
]
QUICK_AREAS = [
    Areas(60, 6, 0.2, (2.0, 1.0)),
    Areas(200, 3, 0.5, (1.0, 1.0), block=5, shared=0.4),
    Areas(100, 6, 0.5, (2.0, 1.0), block=5, shared=0.4, paired=True),
]
FULL_AREAS = [
    Areas(rows, groups, positive, shifts, *blocks, paired)
    for (rows, groups), positive, shifts, blocks, paired in itertools.product(
        ((60, 6), (200, 3), (200, 12)),
        (0.5, 0.2),
        ((1.0, 1.0), (2.0, 1.0)),
        ((1, 0.0), (5, 0.4)),
        (False, True),
    )
]
FULL_ERRORS = [
    Errors(rows, groups, ratio, paired)
    for rows, groups, ratio, paired in itertools.product(
        (50, 500), (3, 6, 16), (1.0, 1.5), (False, True)
    )
]


@pytest.mark.parametrize("design", QUICK, ids=str)
def test_proportions(design: Proportions) -> None:
    share = cover_proportions(design, QUICK_RUNS, seed=1).share
    assert min(share.values()) >= DEMANDED - QUICK_SLACK, share
    assert ("next_true" in share) == (design.groups >= 5)


@pytest.mark.parametrize("design", QUICK_AREAS, ids=str)
def test_areas(design: Areas) -> None:
    share = cover_areas(design, QUICK_RUNS, seed=1).share
    assert min(share.values()) >= DEMANDED - QUICK_SLACK, share


@pytest.mark.parametrize("paired", [False, True])
def test_squared_errors(paired: bool) -> None:
    share = cover_errors(Errors(50, 6, 1.5, paired), QUICK_RUNS, seed=1).share
    assert min(share.values()) >= DEMANDED - QUICK_SLACK, share


@pytest.mark.long
@pytest.mark.parametrize("design", FULL, ids=str)
def test_proportions_full(design: Proportions) -> None:
    share = cover_proportions(design, 1500, seed=0).share
    assert min(share.values()) >= DEMANDED, share


@pytest.mark.long
@pytest.mark.parametrize("design", FULL_AREAS, ids=str)
def test_areas_full(design: Areas) -> None:
    share = cover_areas(design, 3000, seed=0).share
    assert min(share.values()) >= DEMANDED, share


@pytest.mark.long
@pytest.mark.parametrize("design", FULL_ERRORS, ids=str)
def test_squared_errors_full(design: Errors) -> None:
    share = cover_errors(design, 1000, seed=0).share
    assert min(share.values()) >= DEMANDED, share


def recalibrated(seed: int) -> tuple[Scored, Scored]:
    """16 groups, equally well ranked within on both sides; elsewhere each group's scores shift."""
    rng = np.random.default_rng(seed)
    groups, rows = 16, 150
    group = np.repeat(np.arange(groups), rows)
    sides = []
    for spread in (0.0, 1.5):
        y = (rng.random(group.size) < 0.4).astype(int)
        offset = spread * rng.normal(size=groups)
        sides.append(
            Scored(1.2 * y + rng.normal(size=group.size) + offset[group], y=y, group=group)
        )
    return sides[0], sides[1]


def test_shifted_calibration_is_no_gap_within_groups_and_one_when_pooled() -> None:
    within, pooled = 0, 0
    for seed in range(40):
        sides = recalibrated(seed)
        g = gap(*sides, metric="roc_auc")
        within += g.low <= 0 <= g.high
        g = gap(*sides, metric="roc_auc", average="pooled")
        pooled += g.low <= 0 <= g.high
    assert within >= 36  # 38 expected; fewer than 36 has chance .05
    assert pooled <= 2


def mixed_classes(seed: int) -> tuple[Scored, Scored]:
    """Sides that differ only in the shares of an easy class (right .95) and a hard one (.6)."""
    rng = np.random.default_rng(seed)
    sides = []
    for share in (0.8, 0.3):
        easy = np.tile(np.arange(500) < 500 * share, 4)
        right = np.zeros(2000, dtype=bool)
        for one, chance in ((True, 0.95), (False, 0.6)):
            own = np.flatnonzero(easy == one)
            right[rng.permutation(own)[: round(chance * len(own))]] = True
        y = np.where(easy, "easy", "hard")
        other = np.where(easy, "hard", "easy")
        sides.append(Scored(np.where(right, y, other), y=y, group=np.repeat(list("abcd"), 500)))
    return sides[0], sides[1]


def test_groups_that_differ_in_class_shares_only_have_no_gap_at_equal_shares() -> None:
    sides = mixed_classes(0)
    found = gap(*sides, metric="accuracy")
    assert found.estimate == pytest.approx(0.5 * 0.35, abs=0.01)
    assert found.low > 0.1
    for mix in ("balanced", "matched"):
        at_equal = gap(*sides, metric="accuracy", mix=mix)  # type: ignore[arg-type]
        assert at_equal.estimate == pytest.approx(0, abs=0.02)
        assert at_equal.low < 0 < at_equal.high
