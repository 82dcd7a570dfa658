"""Learning curves by group: the fit, its intervals, subsets, and what they refuse."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge

from elsewhere.core.errors import InputError
from elsewhere.measures.learning_curves import (
    BOUNDS,
    crossed_means,
    group_learning_curves,
    learning_curve,
    subsets,
)
from elsewhere.ops.power_law import fit_power_law, power_law
from elsewhere.testing import measure_checks

SIZES = np.array([40, 60, 90, 140, 200])


def noisy(
    seed: int, *, a: float = 0.3, b: float = 8.0, p: float = 1.0, rows: int = 60, repeats: int = 4
) -> np.ndarray:
    """Losses with effects of row, of subset, and of both, shape (rows, sizes, subsets)."""
    g = np.random.default_rng([25, seed])
    row = g.normal(0, 0.05, (rows, 1, 1))
    subset = g.normal(0, 0.02, (1, len(SIZES), repeats))
    both = g.normal(0, 0.05, (rows, len(SIZES), repeats))
    return np.maximum((a + b * SIZES**-p)[None, :, None] + row + subset + both, 0.0)


# --- the fit -----------------------------------------------------------------------------------


def by_normal_equations(n: np.ndarray, loss: np.ndarray, p: float) -> tuple[float, float]:
    """Weighted least squares in loops."""
    m = np.zeros((2, 2))
    v = np.zeros(2)
    for size, value in zip(n, loss, strict=True):
        z = np.array([1.0, size**-p])
        m += size * np.outer(z, z)
        v += size * z * value
    a, b = np.linalg.solve(m, v)
    return float(a), float(b)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.4])
def test_the_fit_is_weighted_least_squares(p):
    g = np.random.default_rng(1)
    for _ in range(20):
        loss = 0.3 + 8 * SIZES**-p + g.normal(0, 0.01, len(SIZES))
        a, b = by_normal_equations(SIZES, loss, p)
        if a > 0 and b > 0:
            assert fit_power_law(SIZES.astype(float), loss, p) == pytest.approx((a, b, p), rel=1e-9)


def test_a_planted_power_is_found():
    loss = power_law(0.2, 3.0, 0.6, SIZES)
    a, b, p = fit_power_law(SIZES.astype(float), loss, BOUNDS)
    assert (a, b, p) == pytest.approx((0.2, 3.0, 0.6), rel=1e-4)
    assert fit_power_law(SIZES.astype(float), loss, (0.8, 1.5))[2] == pytest.approx(0.8)
    assert fit_power_law(SIZES.astype(float), loss, (0.7, 0.7))[2] == 0.7


def test_losses_that_rise_or_fall_below_zero_stay_at_the_bound():
    n = SIZES.astype(float)
    a, b, _ = fit_power_law(n, 0.5 - 4 / n)
    assert b == 0
    assert a == pytest.approx(float((n / n.sum()) @ (0.5 - 4 / n)))
    a, b, _ = fit_power_law(n, 30 / n - 0.01)
    assert a == 0
    assert b > 0


def test_the_curve_is_the_fit_of_the_means():
    losses = noisy(0)
    curve = learning_curve(losses, SIZES)
    a, b, _ = fit_power_law(SIZES.astype(float), losses.mean(axis=(0, 2)))
    assert (curve.a, curve.b) == pytest.approx((a, b))
    assert curve.losses == pytest.approx(losses.mean(axis=(0, 2)))
    assert curve.per_hundred == pytest.approx(b * (1 / 200 - 1 / 300))
    assert curve.n_rows == 200
    value, low, high = curve.predict([200, 400])
    assert value == pytest.approx(a + b / np.array([200, 400]))
    assert (low < value).all()
    assert (value < high).all()
    assert curve.per_hundred_low < curve.per_hundred < curve.per_hundred_high


def test_order_of_sizes_does_not_matter():
    losses = noisy(0)
    order = [3, 0, 4, 1, 2]
    one, other = learning_curve(losses, SIZES), learning_curve(losses[:, order], SIZES[order])
    assert one.per_hundred_low == pytest.approx(other.per_hundred_low)
    assert one.sizes.tolist() == other.sizes.tolist()


# --- intervals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [1.0, BOUNDS])
def test_limits_cover(exponent):
    truth = 8 * (1 / 200 - 1 / 300)
    hits, at_400 = [], []
    for seed in range(200):
        curve = learning_curve(noisy(seed), SIZES, exponent=exponent)
        hits.append(curve.per_hundred_low <= truth <= curve.per_hundred_high)
        _, low, high = curve.predict(400)
        at_400.append(low <= 0.3 + 8 / 400 <= high)
    assert 0.9 <= np.mean(hits) <= 0.995
    assert 0.9 <= np.mean(at_400) <= 0.995


def test_limits_are_two_jackknives_in_loops():
    """Leaving out rows, and leaving out subsets, for the mean at one size."""
    values = noisy(3, rows=25)[:, 2]
    n, m = values.shape
    by_row = [np.delete(values, i, axis=0).mean() for i in range(n)]
    rows = (n - 1) / n * ((np.array(by_row) - np.mean(by_row)) ** 2).sum()
    between = values.mean(axis=0).var(ddof=1)
    rest = [
        (values[i, j] - values[i].mean() - values[:, j].mean() + values.mean()) ** 2
        for i in range(n)
        for j in range(m)
    ]
    both = sum(rest) / ((n - 1) * (m - 1)) / n
    total = rows + max(between - both, 0) / m
    ((mean, low, high),) = crossed_means([values], [None])
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 / 2 == pytest.approx(np.sqrt(total), rel=0.35)  # t between 1.97 and 3
    assert (high - low) / 2 > 1.96 * np.sqrt(total)


def test_blocks_of_copies_count_once():
    losses = noisy(1, rows=30)
    plain = learning_curve(losses, SIZES, block=np.arange(30))
    copied = learning_curve(np.repeat(losses, 3, axis=0), SIZES, block=np.repeat(np.arange(30), 3))
    assert copied.per_hundred_low == pytest.approx(plain.per_hundred_low)
    loose = learning_curve(np.repeat(losses, 3, axis=0), SIZES)
    assert loose.per_hundred_high - loose.per_hundred_low < (
        plain.per_hundred_high - plain.per_hundred_low
    )


def test_few_models_share_their_variance():
    g = np.random.default_rng(0)
    tables = [noisy(s, repeats=2)[:, 0] for s in range(8)]
    pooled = crossed_means(tables, [None] * 8)
    alone = np.concatenate([crossed_means([t], [None]) for t in tables])
    assert pooled[:, 0] == pytest.approx(alone[:, 0])
    assert np.ptp(pooled[:, 2] - pooled[:, 1]) < np.ptp(alone[:, 2] - alone[:, 1])
    assert np.isnan(crossed_means([np.ones((1, 2))], [None])[0]).all()
    with pytest.raises(InputError, match="expected"):
        crossed_means([g.normal(size=3)], [None])


@pytest.mark.parametrize("exponent", [1.0, BOUNDS])
def test_refits_spread_as_the_limits_say(exponent):
    curve = learning_curve(noisy(0, rows=200), SIZES, exponent=exponent)
    found = curve.refits([200, 300], 4000)
    low, high = np.quantile(found[:, 0] - found[:, 1], [0.025, 0.975])
    assert low == pytest.approx(curve.per_hundred_low, rel=0.15, abs=1e-3)
    assert high == pytest.approx(curve.per_hundred_high, rel=0.15)
    assert np.array_equal(found, curve.refits([200, 300], 4000))
    assert found[:, 1:] == pytest.approx(curve.refits([300], 4000))
    assert not np.array_equal(found, curve.refits([200, 300], 4000, 0, "other"))


@pytest.mark.parametrize(
    ("name", "check"),
    list(
        measure_checks(
            learning_curve,
            {"losses": noisy(2).astype(np.float32).astype(float), "block": np.arange(60) // 2},
            sizes=SIZES,
        )
    ),
)
def test_promises_of_a_measure(name, check):
    check()


# --- what cannot be told -----------------------------------------------------------------------


def test_sizes_below_twice_the_parameters_do_not_take_part():
    losses = noisy(0)
    losses[:, :2] += 5.0  # the region where the curve is no power of n
    plain = learning_curve(losses, SIZES)
    careful = learning_curve(losses, SIZES, n_parameters=40)
    assert careful.used.tolist() == [False, False, True, True, True]
    assert 0 < careful.b < 20
    assert plain.b > 100
    assert "2 sizes below 80 rows" in careful.reason
    assert np.isnan(careful.predict(79)[0])
    assert np.isfinite(careful.predict(80)[0])


def test_reasons():
    few = learning_curve(noisy(0), SIZES, n_parameters=90)
    assert np.isnan([few.a, few.per_hundred, float(few.predict(300)[0])]).all()
    assert "fewer than two sizes of at least 180 rows" in few.reason
    assert np.isnan(few.refits([9], 3)).all()
    one = learning_curve(noisy(0)[:1], SIZES)
    assert "only 1 held-out rows" in one.reason
    none = learning_curve(noisy(0)[:0], SIZES)
    assert np.isnan(none.losses).all()
    assert "only 0 held-out rows" in none.reason
    block = learning_curve(noisy(0), SIZES, block=np.zeros(60))
    assert "only 1 held-out blocks" in block.reason
    gap = noisy(0)
    gap[:, 0, 1] = np.nan
    assert learning_curve(gap, SIZES).used.tolist() == [False, True, True, True, True]
    assert "one subset a size" in learning_curve(noisy(0)[:, :, :1], SIZES).reason


def test_accuracy_in_place_of_error_is_noticed():
    accuracy = 1 - noisy(0)
    found = learning_curve(np.maximum(accuracy, 0), SIZES)
    assert found.b == 0
    assert "the loss rises with rows" in found.reason
    flat = learning_curve(noisy(1, b=0.0), SIZES)
    assert "rises" not in flat.reason
    assert flat.per_hundred_low <= 0 <= flat.per_hundred_high


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"losses": np.ones((5, 3))}, "has shape"),
        ({"losses": -np.ones((5, 5, 2))}, "the error instead of a score"),
        ({"losses": np.full((5, 5, 2), np.inf)}, "infinite"),
        ({"losses": "no"}, "no numbers"),
        ({"losses": [[["x"]]]}, "no numbers"),
        ({"sizes": [1, 2]}, "as many as losses"),
        ({"sizes": [0, 1, 2, 3, 4]}, "at least 1"),
        ({"exponent": 0.0}, "exponent is 0"),
        ({"exponent": (1.0, 0.5)}, "least, largest"),
        ({"n_parameters": -1}, "n_parameters is -1"),
        ({"n_rows": 0}, "n_rows is 0"),
        ({"level": 1.0}, "level"),
        ({"block": [1, 2]}, "one for each row"),
    ],
)
def test_bad_input(changes, words):
    given = {"losses": np.ones((5, 5, 2)), "sizes": SIZES, **changes}
    with pytest.raises(InputError, match=words):
        learning_curve(**given)


# --- subsets -----------------------------------------------------------------------------------


def test_subsets_are_random_whole_and_of_the_asked_size():
    group = np.repeat(["a", "b"], [120, 60])
    block = np.arange(180) // 4
    rows = np.flatnonzero(np.arange(180) % 40 >= 8)
    keys, drawn = subsets(group, rows=rows, block=block, shares=(0.5, 1.0), repeats=3, seed=1)
    assert keys == ("a", "b")
    assert len(drawn) == 12
    for subset in drawn:
        own = rows[group[rows] == keys[subset.group]]
        assert np.isin(subset.rows, own).all()
        assert len(subset.rows) == round((0.5, 1.0)[subset.size] * len(own))
        inside = np.bincount(block[subset.rows], minlength=45)
        whole = np.bincount(block[own], minlength=45)
        assert ((inside == whole) | (inside == 0)).sum() >= 44  # all but one block are whole
    first = [s.rows.tolist() for s in drawn if s.size == 0 and s.group == 0]
    assert len({tuple(rows) for rows in first}) == 3  # every repeat has a stream of its own
    again = subsets(group, rows=rows, block=block, shares=(0.5, 1.0), repeats=3, seed=1)[1]
    assert all(np.array_equal(s.rows, t.rows) for s, t in zip(drawn, again, strict=True))
    with pytest.raises(InputError, match="ascending"):
        subsets(group, shares=(1.0, 0.5))
    with pytest.raises(InputError, match="repeats"):
        subsets(group, repeats=0)


def test_curves_of_a_real_table():
    """Ridge on the diabetes data: men and women learn, and a constant model does not."""
    x, y = load_diabetes(return_X_y=True)
    group = np.where(x[:, 1] > 0, "first", "second")
    held_out = np.random.default_rng(0).random(len(y)) < 0.35
    block = np.arange(len(y))
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def ridge(train, test):
        seen.append((train, test))
        return (Ridge(1e-3).fit(x[train], y[train]).predict(x[test]) - y[test]) ** 2

    found = group_learning_curves(ridge, group, held_out, block=block, n_parameters=10)
    assert sorted(found) == ["first", "second"]
    for train, test in seen:
        assert held_out[test].all()
        assert not held_out[train].any()
        assert len(np.unique(group[np.concatenate([train, test])])) == 1
    for key, curve in found.items():
        assert curve.per_hundred > 0, key
        assert 1500 < curve.a < 4000
        assert curve.n_rows == (~held_out & (group == key)).sum()
    flat = group_learning_curves(lambda _, test: np.full(len(test), 2.0), group, held_out)
    assert [curve.per_hundred for curve in flat.values()] == [0.0, 0.0]


def test_blocks_of_held_out_rows_never_train():
    block = np.arange(40) // 4
    held_out = np.arange(40) % 8 == 0

    def check(train, test):
        assert not np.isin(block[train], block[held_out]).any()
        return np.ones(len(test))

    group_learning_curves(check, np.repeat(["a", "b"], 20), held_out, block=block)


def test_a_group_without_held_out_rows_has_a_reason():
    held_out = np.repeat([True, False], [10, 30])
    group = np.repeat(["a", "b"], [20, 20])
    found = group_learning_curves(lambda _, test: np.ones(len(test)), group, held_out)
    assert "only 0 held-out rows" in found["b"].reason
    with pytest.raises(InputError, match="one loss for each held-out row"):
        group_learning_curves(lambda *_: np.ones(3), group, held_out)


def test_a_linear_model_has_the_theorys_curve():
    """Least squares on Gaussian features: the mean squared error is s^2 (1 + d / (n - d - 1))."""
    d, sd = 5, 2.0
    g = np.random.default_rng(2)
    x = g.normal(size=(1300, d))
    y = x @ np.ones(d) + sd * g.normal(size=1300)
    held_out = np.arange(1300) < 900

    def fit(train, test):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return (LinearRegression().fit(x[train], y[train]).predict(x[test]) - y[test]) ** 2

    (curve,) = group_learning_curves(fit, np.zeros(1300), held_out, repeats=8).values()
    assert curve.a == pytest.approx(sd**2, rel=0.1)
    assert curve.b == pytest.approx(sd**2 * d, rel=0.5)
