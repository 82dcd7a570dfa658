"""Levels and effects of features from group to group."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

import elsewhere.measures.stability
from elsewhere.core.errors import InputError
from elsewhere.measures.stability import effect_sizes, feature_stability
from elsewhere.testing import measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def rows_of(found):
    return {row.feature: row for row in found.rows}


def world(seed: int = 0, n: int = 90):
    g = rng(seed)
    group = g.integers(0, 4, n)
    y = g.integers(0, 2, n)
    x = g.gamma(4.0, 1.0, (n, 5))
    x[:, 1] *= 1 + group
    x[:, 2] += 2 * y * np.where(group == 2, -1, 1)
    x[:, 3] = 7.0
    x[:, 4] -= 20
    return x, group, y


def test_the_examples_run() -> None:
    assert doctest.testmod(elsewhere.measures.stability).failed == 0


def slow(x, group, y):
    """Variation, share and effects in plain loops."""
    found = []
    for k in range(x.shape[1]):
        own = [(x[i, k], group[i]) for i in range(len(x)) if y[i] == 0 and x[i, k] == x[i, k]]
        keys = sorted({g for _, g in own})
        means = [np.mean([v for v, g in own if g == key]) for key in keys]
        middle = sum(means) / len(means)
        spread = (sum((m - middle) ** 2 for m in means) / len(means)) ** 0.5
        overall = sum(v for v, _ in own) / len(own)
        total = sum((v - overall) ** 2 for v, _ in own)
        between = sum((means[keys.index(g)] - overall) ** 2 for _, g in own)
        effects = []
        for key in sorted(set(group.tolist())):
            a, b = (
                np.array(
                    [
                        x[i, k]
                        for i in range(len(x))
                        if group[i] == key and y[i] == c and x[i, k] == x[i, k]
                    ]
                )
                for c in (0, 1)
            )
            if len(a) and len(b):
                pooled = ((a.var() + b.var()) / 2) ** 0.5
                effects.append((b.mean() - a.mean()) / pooled if pooled else 0.0)
        turn = -1 if sum(effects) < 0 else 1
        found.append(
            (
                spread / middle if middle > 0 else np.nan,
                between / total if total else np.nan,
                min(turn * e for e in effects),
                max(turn * e for e in effects),
            )
        )
    return np.array(found)


@pytest.mark.parametrize("gone", [0.0, 0.2])
def test_as_in_loops(gone: float) -> None:
    x, group, y = world(1)
    x[rng(2).random(x.shape) < gone] = np.nan
    rows = rows_of(feature_stability(x, group, y=y))
    fast = [
        (r.variation, r.share, r.weakest, r.strongest) for r in (rows[str(k)] for k in range(5))
    ]
    assert np.array(fast) == pytest.approx(slow(x, group, y), rel=1e-9, abs=1e-12, nan_ok=True)


def test_what_was_planted_is_found() -> None:
    x, group, y = world(n=2000)
    found = feature_stability(x, group, y=y, names=["same", "scaled", "turned", "still", "below"])
    rows = rows_of(found)
    assert found.n == 4
    assert found.rows[0].feature == "scaled"
    assert found.rows[-1].feature == "still"
    # Factors 1 to 4: population spread sqrt(1.25) over 2.5.
    assert rows["scaled"].variation == pytest.approx(1.25**0.5 / 2.5, abs=0.03)
    assert rows["same"].share < 0.01
    assert rows["turned"].weakest < -0.8
    assert rows["turned"].strongest > 0.8
    assert rows["same"].band == "high"
    assert (rows["scaled"].band, rows["still"].band) == ("medium", "constant")


def test_levels_are_those_of_the_reference_class() -> None:
    g = rng(3)
    group = np.repeat([0, 1], 200)
    y = (g.random(400) < np.where(group == 0, 0.1, 0.9)).astype(int)
    x = g.normal(10, 1, (400, 1)) + 20 * y[:, None]
    # Only the class mix differs.
    assert feature_stability(x, group, y=y).rows[0].variation < 0.05
    assert feature_stability(x, group).rows[0].variation > 0.3
    other = feature_stability(x, group, y=y, reference_class=1).rows[0]
    assert other.variation == pytest.approx(
        np.std([x[(group == k) & (y == 1)].mean() for k in (0, 1)]) / 30, rel=0.05
    )


def test_bands_of_the_code_and_of_the_paper() -> None:
    x = np.array([[1.0, 1.0, 1.0]] * 2 + [[1.2, 4.0, 20.0]] * 2)
    x[::2] *= 0.999
    group = [0, 0, 1, 1]
    by_code = [rows_of(feature_stability(x, group))[k].band for k in "012"]
    by_paper = [rows_of(feature_stability(x, group, bands="paper"))[k].band for k in "012"]
    assert by_code == ["high", "low", "low"]
    assert by_paper == ["high", "medium", "low"]


def test_negative_means_have_no_variation_and_were_published_as_perfect() -> None:
    x, group, y = world()
    right = rows_of(feature_stability(x - 15, group, y=y))["1"]
    published = rows_of(feature_stability(x - 15, group, y=y, not_above_zero="zero"))["1"]
    assert 0 < x[y == 0, 1].mean() < 15
    assert np.isnan(right.variation)
    assert right.band == "low"
    assert (published.variation, published.band) == (0.0, "high")
    # The share does not care where zero lies.
    assert right.share == pytest.approx(rows_of(feature_stability(x, group, y=y))["1"].share)
    # A sign is no instability.
    plain = rows_of(feature_stability(x[:, :1], group))["0"]
    assert rows_of(feature_stability(-x[:, :1], group))["0"].band == plain.band == "high"


def test_constants_are_not_stable_features() -> None:
    x = np.full((30, 2), 0.1)
    x[:, 1] = np.arange(30)
    found = feature_stability(x, np.arange(30) % 3)
    assert found.n == 1
    row = rows_of(found)["0"]
    assert (row.band, row.variation) == ("constant", 0.0)
    assert np.isnan(row.share)


def test_a_feature_that_moves_in_the_other_class_only_is_no_constant() -> None:
    x = np.zeros((40, 1))
    y = np.tile([0, 1], 20)
    x[y == 1, 0] = rng().normal(size=20)
    row = feature_stability(x, np.repeat([0, 1], 20), y=y).rows[0]
    assert row.band == "high"
    assert np.isnan(row.share)
    assert np.isfinite(row.weakest)


def test_effects_are_published_as_none_where_a_feature_parts_the_classes_perfectly() -> None:
    x, y = np.array([[0.1, 1.0]] * 3 + [[0.7, 1.0]] * 3), [0, 0, 0, 1, 1, 1]
    group = ["a"] * 6
    assert [e.d for e in effect_sizes(x, y, group)["a"]] == [np.inf, 0.0]
    assert [e.d for e in effect_sizes(x, y, group, no_spread="zero")["a"]] == [0.0, 0.0]
    both = feature_stability(np.tile(x, (2, 1)), np.repeat([0, 1], 6), y=y * 2)
    assert rows_of(both)["0"].strongest == np.inf
    turned = np.concatenate([x, -x])
    opposite = rows_of(feature_stability(turned, np.repeat([0, 1], 6), y=y * 2))["0"]
    assert (opposite.weakest, opposite.strongest) == (-np.inf, np.inf)


def test_equal_means_after_rounding_have_no_effect() -> None:
    x, y = np.full((10, 1), 0.1), [0] * 3 + [1] * 7
    assert effect_sizes(x, y, ["a"] * 10)["a"][0].d == 0


def test_ties_stay_in_the_order_of_the_features() -> None:
    x = np.repeat(rng().normal(size=(20, 1)), 3, axis=1)
    x[:, 2] = np.nan
    effects = effect_sizes(x, np.tile([0, 1], 10), ["a"] * 20, names=["b", "a", "gone"])["a"]
    assert [e.feature for e in effects] == ["b", "a", "gone"]
    assert np.isnan(effects[2].d)


def test_one_row_a_group_and_no_second_class() -> None:
    found = feature_stability([[1.0], [3.0]], ["a", "b"])
    assert found.rows[0].variation == 0.5
    assert np.isnan(found.rows[0].weakest)
    assert np.isnan(
        feature_stability([[1.0], [3.0], [2.0]], [0, 1, 1], y=[0, 1, 2]).rows[0].weakest
    )


@pytest.mark.parametrize(("x", "group"), [([[1.0]], ["a"]), (np.empty((0, 2)), [])])
def test_a_single_group_and_no_rows_are_told(x, group) -> None:
    found = feature_stability(x, group)
    assert (found.n, found.rows) == (0, ())
    assert found.reason == f"needs at least two groups, not {len(group)}"


def test_a_feature_that_is_known_in_one_group_only() -> None:
    x = np.array([[1.0, 1.0], [2.0, 2.0], [np.nan, 3.0], [np.nan, 4.0]])
    row = rows_of(feature_stability(x, [0, 0, 1, 1]))["0"]
    assert np.isnan(row.variation)
    assert np.isnan(row.share)
    assert row.band == "low"


def test_groups_are_keyed_by_value() -> None:
    x, group, y = world()
    names = np.array(["d", "c", "b", "a"])
    one, other = feature_stability(x, group, y=y), feature_stability(x, names[group], y=y)
    for a, b in zip(one.rows, other.rows, strict=True):
        assert a.feature == b.feature
        assert a.variation == pytest.approx(b.variation, nan_ok=True)
    assert set(effect_sizes(x, y, names[group])) == set(names)


def test_units_do_not_matter() -> None:
    x, group, y = world()
    a, b = feature_stability(x, group, y=y), feature_stability(1000 * x, group, y=y)
    for one, other in zip(a.rows, b.rows, strict=True):
        assert one.variation == pytest.approx(other.variation, nan_ok=True)
        assert one.share == pytest.approx(other.share, nan_ok=True)


def test_on_tables_of_others() -> None:
    wine = load_wine()
    rows = rows_of(feature_stability(wine.data, wine.target, names=wine.feature_names))
    # Cultivars differ most in flavanoids and proline, and hardly in ash and magnesium.
    assert max(rows.values(), key=lambda r: r.share).feature in ("flavanoids", "proline")
    assert min(rows.values(), key=lambda r: r.share).feature in ("ash", "magnesium")
    cells = load_breast_cancer()
    x, y = cells.data, cells.target
    group = np.arange(len(x)) % 4
    for row in feature_stability(x, group, y=y, names=cells.feature_names).rows:
        # Groups of chance: levels alike, effects of one sign where they are large.
        assert row.share < 0.06
        assert row.strongest < 1.5 or row.weakest > 0.5
    one = effect_sizes(x, y, np.zeros(len(x)), names=cells.feature_names)[0.0]
    assert one[0].d < -1.5
    a, b = (x[y == c, list(cells.feature_names).index(one[0].feature)] for c in (0, 1))
    assert one[0].d == pytest.approx((b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2))


X, GROUP, Y = world(5)


def test_what_every_measure_promises() -> None:
    for _, check in measure_checks(feature_stability, {"x": np.abs(X), "group": GROUP, "y": Y}):
        check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [["a"], ["b"]]}, "x holds something else than numbers"),
        ({"x": [[1.0], [np.inf]]}, "x holds infinite values"),
        ({"group": ["a"]}, "group has 1 rows; expected 2, as many as x"),
        ({"y": [0]}, "y has 1 rows"),
        ({"names": ["a", "b"]}, "names has 2 names; expected 1"),
        ({"bands": "papers"}, "bands is 'papers'.*did you mean 'paper'"),
        ({"y": [0, 1], "reference_class": 2}, "reference_class is 2, which is no class"),
        ({"reference_class": 1}, "reference_class is given without y"),
        ({"not_above_zero": "none"}, "not_above_zero is 'none'"),
    ],
)
def test_bad_input(change, message) -> None:
    given = {"x": [[1.0], [2.0]], "group": ["a", "b"]} | change
    with pytest.raises(InputError, match=message):
        feature_stability(given.pop("x"), given.pop("group"), **given)


def test_effects_need_two_classes() -> None:
    with pytest.raises(InputError, match="y has 3 classes; expected two"):
        effect_sizes([[1.0]] * 3, [0, 1, 2], [0, 0, 0])
    with pytest.raises(InputError, match="no_spread is 'x'"):
        effect_sizes([[1.0]] * 2, [0, 1], [0, 0], no_spread="x")
