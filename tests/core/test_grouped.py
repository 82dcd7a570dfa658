"""Grouped scores against plain loops over groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, roc_auc_score

from elsewhere import InputError, Scored, grouped_scores


@pytest.fixture
def rows():
    g = np.random.default_rng(5)
    n = 900
    group = g.choice(["x", "y", "z"], n)
    y = g.integers(0, 2, n)
    return group, y, y + g.normal(0, 1.5, n)


def test_areas_equal_a_loop(rows):
    group, y, score = rows
    found = grouped_scores(Scored(score, y=y, group=group), metric="roc_auc")
    for key in "xyz":
        assert found[key] == pytest.approx(roc_auc_score(y[group == key], score[group == key]))
    assert (found.joint_low < found.low).all()
    assert (found.high < found.joint_high).all()
    assert found.n_rows.sum() == 900


def test_accuracy_has_wilson_intervals(rows):
    group, y, score = rows
    guess = (score > 0.5).astype(int)
    found = grouped_scores(Scored(guess, y=y, group=group), metric="accuracy")
    for g, key in enumerate(found.keys):
        hits = int((guess == y)[group == key].sum())
        exact = binomtest(hits, int((group == key).sum())).proportion_ci(method="wilson")
        assert (found.low[g], found.high[g]) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_values_of_counts_equal_a_loop(rows):
    group, y, score = rows
    guess = (score > 0.5).astype(int)
    found = grouped_scores(Scored(guess, y=y, group=group), metric="f1")
    for key in "xyz":
        assert found[key] == pytest.approx(f1_score(y[group == key], guess[group == key]))


def test_blocks_count_as_units(rows):
    _group, y, score = rows
    block = np.arange(900) // 3
    found = grouped_scores(Scored(score, y=y, block=block), metric="roc_auc")
    assert found.n_units[0] == 300


def test_too_few_rows_give_a_reason_and_never_zero():
    found = grouped_scores(Scored([0.1, 0.9], y=[0, 1]), metric="roc_auc")
    assert np.isnan(found.value[0])
    assert found.reason[0].startswith("fewer than 10 rows of a class")


def test_bad_requests(rows):
    group, y, score = rows
    found = grouped_scores(Scored(score, y=y, group=group), metric="roc_auc")
    with pytest.raises(InputError, match="'w'"):
        found["w"]
    with pytest.raises(InputError, match="no rows"):
        grouped_scores(Scored([], y=[]), metric="accuracy")
    with pytest.raises(InputError, match="between 0 and 1"):
        grouped_scores(Scored(score, y=y), metric="roc_auc", level=2)
