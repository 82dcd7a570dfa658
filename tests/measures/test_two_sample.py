"""The two-sample test: its level, its power, its probabilities, and the folds under it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from elsewhere.core.errors import InputError
from elsewhere.measures.two_sample import (
    FLOOR,
    CrossFitted,
    Sides,
    canonical_order,
    classifier_two_sample,
    cross_fit,
    deal,
)
from elsewhere.testing import measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def false_alarms(n: int, runs: int, size: int = 1) -> np.ndarray:
    """One-sided p-values on alike sides; blocks of `size` rows share most of their values."""
    found = []
    for seed in range(runs):
        g = rng(n, seed)
        block = np.arange(n) // size
        a, b = (
            0.8 * g.normal(size=(n // size, 4))[block] + 0.6 * g.normal(size=(n, 4))
            for _ in range(2)
        )
        kept = {} if size == 1 else {"first_block": block, "second_block": block + n}
        one = classifier_two_sample(a, b, seed=seed, **kept)
        assert (one.p < 0.025) == (one.low > 0.5)
        found.append(one.p)
    return np.array(found)


@pytest.mark.parametrize(("n", "size"), [(60, 1), (200, 5)])
def test_alike_sides_raise_few_alarms(n: int, size: int) -> None:
    p = false_alarms(n, 30, size)
    assert (p < 0.05).mean() <= 0.15  # .05, and two standard errors of 30 runs, and a run
    assert p.max() > 0.7


@pytest.mark.long
@pytest.mark.parametrize(("n", "size"), [(40, 1), (200, 1), (1000, 1), (200, 5), (600, 20)])
def test_the_level_holds(n: int, size: int) -> None:
    assert (false_alarms(n, 300, size) < 0.05).mean() <= 0.075


def test_a_shift_of_the_mean_is_found_and_has_the_side() -> None:
    g = rng(1)
    a, b = g.normal(size=(300, 4)), g.normal([0, 1, 0, 0], size=(200, 4))
    found = classifier_two_sample(a, b)
    swapped = classifier_two_sample(b, a)
    ideal = 0.76  # area of two normals one standard deviation apart
    assert ideal - 0.07 < found.auc < ideal + 0.05
    assert found.low > 0.6
    assert found.p < 1e-6
    assert found.n == (300, 200)
    assert swapped.low > 0.6
    assert found.probability[300:].mean() > found.probability[:300].mean() + 0.1


def test_a_shift_that_no_single_column_shows_is_found() -> None:
    g = rng(2)
    a, b = g.normal(size=(600, 2)), g.normal(size=(600, 2))
    a[:, 1] = np.where(g.random(600) < 0.9, np.sign(a[:, 0]), -np.sign(a[:, 0])) * abs(a[:, 1])
    b[:, 1] = np.where(g.random(600) < 0.9, -np.sign(b[:, 0]), np.sign(b[:, 0])) * abs(b[:, 1])
    assert classifier_two_sample(a, b).low > 0.8


def test_missing_values_are_told_apart() -> None:
    g = rng(3)
    a, b = g.normal(size=(200, 3)), g.normal(size=(200, 3))
    b[g.random(200) < 0.6, 2] = np.nan
    assert classifier_two_sample(a, b).low > 0.6
    a[:, 1] = b[:, 1] = np.nan  # a column without any value
    assert classifier_two_sample(a, b).low > 0.6
    nothing = classifier_two_sample(a[:, 1:2], b[:, 1:2])
    assert nothing.auc == 0.5
    assert np.allclose(nothing.probability, 0.5)


def test_codes_have_no_order_where_they_are_categories() -> None:
    g = rng(4)
    even, odd = (2 * g.integers(0, 100, (2000, 1)) + s for s in (0, 1))
    mixed = np.where(g.random((2000, 1)) < 0.25, odd, even)
    other = np.where(g.random((2000, 1)) < 0.25, even, odd)
    found = classifier_two_sample(mixed, other, categorical=[0])
    assert found.auc > 0.7
    assert found.auc > classifier_two_sample(mixed, other).auc + 0.05


def test_probabilities_are_density_ratios() -> None:
    g = rng(5)
    a, b = g.normal(size=(3000, 3)), g.normal([0.8, 0, 0], size=(3000, 3))
    found = classifier_two_sample(a, b)
    p = found.probability[:3000]
    true = 1 / (1 + np.exp(-(0.8 * a[:, 0] - 0.32)))
    assert np.abs(p - true).mean() < 0.05
    odds = p / (1 - p)
    assert abs(np.average(a[:, 0], weights=odds) - 0.8) < 0.1
    far = classifier_two_sample(a, b + 100)
    assert far.auc == 1
    assert far.high == 1
    assert far.low > 0.99
    assert far.p < 1e-6
    assert far.probability.min() == pytest.approx(FLOOR)
    assert far.probability.max() == pytest.approx(1 - FLOOR)


def test_a_small_side_has_equal_prior() -> None:
    g = rng(6)
    found = classifier_two_sample(g.normal(size=(3000, 3)), g.normal(size=(150, 3)))
    assert abs(found.probability.mean() - 0.5) < 0.05


def test_copies_alarm_unless_they_are_blocks() -> None:
    g = rng(7)
    a, b = (np.repeat(g.normal(size=(60, 3)), 5, axis=0) for _ in range(2))
    block = np.repeat(np.arange(60), 5)
    assert classifier_two_sample(a, b).low > 0.7
    kept = classifier_two_sample(a, b, first_block=block, second_block=block + 60)
    assert kept.low < 0.5


def test_weights_undo_a_biased_choice() -> None:
    g = rng(8)
    x = g.normal(size=(4000, 3))
    keep = 1 / (1 + np.exp(-1.5 * x[:, 0]))
    a = x[g.random(4000) < keep]
    b = g.normal(size=(2000, 3))
    plain = classifier_two_sample(a, b)
    undone = classifier_two_sample(a, b, first_weight=1 + np.exp(-1.5 * a[:, 0]))
    assert plain.low > 0.6
    assert undone.low <= 0.5
    assert undone.auc > 0.4


def test_the_area_counts_pairs_of_held_out_rows() -> None:
    g = rng(9)
    a, b = g.normal(size=(40, 2)), g.normal(size=(30, 2)) + 0.7
    x, side = np.concatenate([a, b]), np.repeat([0, 1], [40, 30])
    order = canonical_order(x, side, np.ones(70), None)
    sides = Sides(side[order], None, np.ones(70))
    fold = deal(sides, seed=3, name="two sample")
    logit = cross_fit(
        x[order], sides.side, sides, fold, (), seed=3, name="two sample", classifier=True
    ).held
    pairs = [
        0.5 * (u == v) + (u > v) for u in logit[sides.side == 1] for v in logit[sides.side == 0]
    ]
    assert classifier_two_sample(a, b, seed=3).auc == pytest.approx(np.mean(pairs), abs=1e-12)


def test_noise_is_half_of_what_new_rows_cost_more() -> None:
    """Straight lines of p coefficients through n rows: p / n of the error's variance."""
    g = rng(17)
    n, p = 600, 30
    x = g.normal(size=(n, p))
    y = x[:, 0] + g.normal(size=n)
    fold, held, inside = np.arange(n) % 3, np.empty(n), np.full((3, n), np.nan)
    for k in range(3):
        learn = fold != k
        line = np.linalg.lstsq(x[learn], y[learn], rcond=None)[0]
        held[~learn], inside[k, learn] = x[~learn] @ line, x[learn] @ line
    sides = Sides(np.arange(n) % 2, None, np.ones(n))
    assert CrossFitted(held, inside).noise(y, sides) == pytest.approx(p / 400, rel=0.35)
    assert CrossFitted(np.zeros(n), np.zeros((1, n))).noise(y, sides) == 0


@pytest.mark.parametrize("seed", range(30))
def test_folds_keep_blocks_whole_and_both_sides_in_training(seed: int) -> None:
    g = rng(10, seed)
    n = int(g.integers(20, 200))
    side = (g.random(n) < g.uniform(0.1, 0.9)).astype(int)
    unit = np.unique(g.integers(0, g.integers(3, 40), n), return_inverse=True)[1]
    if g.random() < 0.5:  # no block on both sides
        unit = np.unique(2 * unit + side, return_inverse=True)[1]
    fold = deal(Sides(side, unit, np.ones(n)), seed=seed, name="test")
    blocks = [len(np.unique(unit[side == s])) for s in (0, 1)]
    if not len(fold):
        assert min(blocks) < 2 or len(np.unique(unit)) < 6
        return
    for u in np.unique(unit):
        assert len(np.unique(fold[unit == u])) == 1
    for k in np.unique(fold):
        assert len(np.unique(side[fold != k])) == 2


def test_folds_of_single_rows_are_even() -> None:
    side = np.repeat([0, 1], [53, 11])
    fold = deal(Sides(side, None, np.ones(64)), seed=0, name="test")
    for s in (0, 1):
        rows = np.bincount(fold[side == s])
        assert rows.max() - rows.min() <= 1
    assert not np.array_equal(fold, deal(Sides(side, None, np.ones(64)), seed=1, name="test"))


def test_what_cannot_be_tested_says_why() -> None:
    g = rng(11)
    few = classifier_two_sample(g.normal(size=(9, 2)), g.normal(size=(50, 2)))
    assert np.isnan(few.auc)
    assert np.isnan(few.probability).all()
    assert few.reason == "a side has fewer than 10 rows (9 and 50)"
    whole = classifier_two_sample(
        g.normal(size=(40, 2)),
        g.normal(size=(40, 2)),
        first_block=np.zeros(40),
        second_block=np.arange(40) + 1,
    )
    assert np.isnan(whole.p)
    assert "one block only" in whole.reason


def test_real_rows() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    order = rng(12).permutation(len(x))
    halves = classifier_two_sample(x[order[:284]], x[order[284:]])
    assert halves.low <= 0.5
    kinds = classifier_two_sample(x[y == 0], x[y == 1])
    assert kinds.low > 0.97


def test_order_by_content() -> None:
    x = np.array([[0.0, 1.0], [np.nan, 2.0], [-0.0, 1.0], [1.0, 0.0]])
    order = canonical_order(x, None)
    mixed = np.array([3, 2, 0, 1])
    again = canonical_order(x[mixed], None)
    assert np.array_equal(x[order], x[mixed][again], equal_nan=True)
    small = np.array([[a, b] for a in range(40) for b in range(40)], dtype=float)
    placed = small[canonical_order(small)]
    assert len(np.unique(placed, axis=0)) == 1600
    assert not np.array_equal(placed, small)


X, Z = rng(13).normal(size=(60, 3)), rng(14).normal(size=(50, 3)) + 0.5
X[:, 2] = rng(15).integers(0, 4, 60)
Z[:, 2] = rng(16).integers(0, 4, 50)
CHECKS = dict(
    measure_checks(
        classifier_two_sample,
        {"first": X, "first_block": np.arange(60) // 2},
        {"second": Z, "second_block": 30 + np.arange(50) // 2},
        by_row=["probability"],
        categorical=[2],
        seed=1,
    )
)


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"first": np.ones(5)}, "first", "shape"),
        ({"first": [["a", "b", "c"]]}, "first", "numbers"),
        ({"first": np.full((20, 3), np.inf)}, "first", "infinite"),
        ({"second": np.ones((20, 2))}, "second", "2 columns; expected 3"),
        ({"categorical": [3]}, "categorical", "names column 3; expected 0 to 2"),
        ({"categorical": [0]}, "categorical", "codes"),
        ({"first_block": np.arange(60)}, "second_block", "absent"),
        ({"first_block": [1], "second_block": [1]}, "first_block", "has 1 rows"),
        ({"first_weight": -np.ones(60)}, "first_weight", "negative"),
        ({"level": 95}, "level", "between 0 and 1"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"first": X, "second": Z} | changes
    with pytest.raises(InputError, match=words) as error:
        classifier_two_sample(**given)
    assert error.value.argument == argument


def test_too_many_codes() -> None:
    many = np.arange(300.0)[:, None]
    with pytest.raises(InputError, match="300 codes; expected at most 254"):
        classifier_two_sample(many, many, categorical=[0])
