"""Rules that choose a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import f1_score, precision_recall_curve

from elsewhere.core.errors import InputError
from elsewhere.measures.thresholds import (
    Constant,
    MaxF1,
    TargetSpecificity,
    precision_recall,
    scored,
)


def rows(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return np.round(rng.normal(y, 1.0), 1), y  # rounding makes ties


def test_constant() -> None:
    assert Constant(0.3).fit(*rows(0)) == 0.3
    assert Constant().fit([1.0], [1]) == 0.5


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_specificity_is_the_share_of_negatives_below(share: float) -> None:
    score, y = np.arange(101.0), np.zeros(101, dtype=int)
    y[::2] = 1
    score[y == 1] += 1000
    chosen = TargetSpecificity(share).fit(score, y)
    assert chosen == pytest.approx(1 + 98 * share)
    assert TargetSpecificity(share).fit([1, 2, 9], [1, 1, 1]) == 2  # the median of all


def test_specificity_is_no_precision() -> None:
    """What is published as a target precision of .95 is far from it where negatives abound."""
    rng = np.random.default_rng(0)
    y = (rng.random(5000) < 0.05).astype(int)
    score = rng.normal(y * 1.5, 1.0)
    above = score >= TargetSpecificity(0.95).fit(score, y)
    assert np.mean(above[y == 0]) == pytest.approx(0.05, abs=0.002)
    assert y[above].mean() < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_max_f1_in_loops(seed: int) -> None:
    score, y = rows(seed)
    best, chosen = -1.0, np.nan
    for t in sorted(set(score)):
        f1 = f1_score(y, score >= t, zero_division=0)
        if f1 > best + 1e-9:
            best, chosen = f1, t
    assert MaxF1().fit(score, y) == chosen


def test_max_f1_with_one_class() -> None:
    assert MaxF1().fit([3, 1, 2], [1, 1, 1]) == 1
    assert MaxF1().fit([3, 1, 2], [0, 0, 0]) == 1


def test_the_curve_on_real_scores() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    score = -np.round(x[:, 0])
    precision, recall, thresholds = precision_recall_curve(y, score)
    found = precision_recall(*scored(score, y))
    for ours, theirs in zip(found, (thresholds, precision[:-1], recall[:-1]), strict=True):
        assert ours == pytest.approx(theirs)


def test_row_order_and_layout_do_not_matter() -> None:
    score, y = rows(7)
    order = np.random.default_rng(0).permutation(len(y))
    strided = np.repeat(score, 2)[::2]
    strided.flags.writeable = False
    for rule in (TargetSpecificity(), MaxF1()):
        assert rule.fit(score[order], y[order]) == rule.fit(score, y) == rule.fit(strided, y)


@pytest.mark.parametrize(
    ("score", "y", "argument", "words"),
    [
        ([], [], "score", "no rows"),
        ([0.1, np.inf], [0, 1], "score", "finite"),
        (["a"], [1], "score", "finite"),
        ([0.1], [0, 1], "y", "2 values for 1 scores"),
        ([0.1], [2], "y", "other than 0 and 1"),
    ],
)
@pytest.mark.parametrize("rule", [Constant(), TargetSpecificity(), MaxF1()])
def test_bad_input(rule, score: list, y: list, argument: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        rule.fit(score, y)
    assert error.value.argument == argument


def test_a_share_is_a_share() -> None:
    with pytest.raises(InputError, match="0 to 1"):
        TargetSpecificity(95)
