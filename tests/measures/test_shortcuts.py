"""Features that carry a model on groups that it has seen, and not elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, normalize

from elsewhere.core.errors import InputError
from elsewhere.measures.shortcuts import importance_shortcuts, shortcut_features
from elsewhere.testing import measure_checks


def texts(seed: int = 0, n: int = 600, noise: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group a is nearly all of class 1 and has a style; one word goes with the class anywhere."""
    rng = np.random.default_rng(seed)
    group = rng.choice(list("abcdef"), n)
    y = (rng.random(n) < np.where(group == "a", 0.95, 0.4)).astype(int)
    style = (group == "a") & (rng.random(n) < 0.7)
    word = rng.random(n) < np.where(y, 0.7, 0.2)
    other = rng.random(n) < np.where(y, 0.2, 0.6)
    x = np.column_stack([style, word, other, rng.random((n, noise)) < 0.3]).astype(float)
    return x, y, group


def flagged(found: Any) -> list[str]:
    return [row.feature for row in found.rows if row.shortcut]


# --- coefficients ------------------------------------------------------------------------------


def test_the_style_of_a_group_is_found_and_its_words_are_not() -> None:
    x, y, group = texts()
    found = shortcut_features(x, y, group)
    rows = {row.feature: row for row in found.rows}
    assert flagged(found) == ["0"]
    assert found.n == 1
    assert rows["0"].blamed == "a"
    assert abs(rows["0"].retention) < 0.05
    assert rows["0"].floor > 0.5
    assert rows["0"].quadrant == "context-dependent"
    assert rows["1"].quadrant == "generalisable"
    assert rows["1"].weight > 0 > rows["2"].weight
    assert rows["2"].firing == pytest.approx(np.mean(x[y == 0, 2]) / np.mean(x[y == 1, 2]))
    assert [abs(row.weight) for row in found.rows] == sorted(
        (abs(row.weight) for row in found.rows), reverse=True
    )


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("balanced", [True, False])
def test_refits_one_by_one_give_the_same(normalized: bool, balanced: bool) -> None:
    x, y, group = texts(1, 200)
    z = normalize(x) if normalized else x
    count = np.bincount(y)
    weight = (len(y) / (2 * count))[y] if balanced else np.ones(len(y))
    model = LogisticRegression(C=1 / 2, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    every = model.fit(z, y, sample_weight=weight).coef_[0].copy()
    share = {}
    for key in "abcdef":
        rest = group != key
        share[key] = model.fit(z[rest], y[rest], sample_weight=weight[rest]).coef_[0] / every
    found = shortcut_features(
        x,
        y,
        group,
        penalty=2.0,
        balanced=balanced,
        normalize="rows" if normalized else "none",
        draws=0,
    )
    assert len(found.rows) == x.shape[1]
    for row in found.rows:
        j = int(row.feature)
        blamed = min("abcdef", key=lambda key: share[key][j])
        assert row.weight == pytest.approx(every[j], rel=1e-6)
        assert row.retention == pytest.approx(share[blamed][j], rel=1e-5, abs=1e-7)
        assert row.blamed == blamed
        assert np.isnan(row.floor)
        assert row.shortcut == (row.retention < 0.5)


def test_sparse_tables_give_the_same() -> None:
    x, y, group = texts(2)
    dense = shortcut_features(x, y, group, draws=3)
    sparse = shortcut_features(csr_array(x), y, group, draws=3)
    for one, other in zip(dense.rows, sparse.rows, strict=True):
        assert (one.feature, one.blamed, one.shortcut) == (
            other.feature,
            other.blamed,
            other.shortcut,
        )
        for name in ("weight", "retention", "floor", "firing"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-4, abs=1e-5)


def test_counts_in_narrow_integers_do_not_overflow() -> None:
    x, y, group = texts(2)
    x = x * 90
    narrow = csr_array(x.astype(np.int8))
    plain, found = (
        shortcut_features(form, y, group, draws=0, top=3) for form in (csr_array(x), narrow)
    )
    assert [row.weight for row in found.rows] == [row.weight for row in plain.rows]
    assert [row.retention for row in found.rows] == [row.retention for row in plain.rows]


def test_class_weights_are_counted_once_unless_published() -> None:
    """In the published fits a row's weight depends on what was left out."""
    x, y, group = texts(3)
    settings = {"signs": "positive", "draws": 0, "normalize": "none", "top": 3}
    ours = shortcut_features(x, y, group, **settings)
    published = shortcut_features(x, y, group, solver="published", **settings)
    rest = group != "a"
    each = LogisticRegression(class_weight="balanced", max_iter=1000).fit(x[rest], y[rest])
    row = {r.feature: r for r in published.rows}["0"]
    assert row.retention == pytest.approx(each.coef_[0, 0] / row.weight, rel=1e-6, abs=1e-9)
    apart = [
        abs(one.retention - other.retention)
        for one, other in zip(ours.rows, published.rows, strict=True)
    ]
    assert max(apart) > 1e-4


def test_the_published_rule_flags_noise_and_the_floor_does_not() -> None:
    n_published, n_ours = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        y, group = rng.integers(0, 2, 300), rng.integers(0, 8, 300)
        word = rng.random((300, 2)) < np.where(y, 0.6, 0.3)[:, None]
        x = np.column_stack([word, rng.random((300, 10)) < 0.4]).astype(float)
        n_published.append(shortcut_features(x, y, group, signs="positive", draws=0).n)
        n_ours.append(shortcut_features(x, y, group, draws=10, seed=seed).n)
    assert np.mean(n_published) > 2
    assert np.sum(n_ours) <= 2


@pytest.mark.long
def test_random_labels_flag_one_table_in_twenty() -> None:
    any_flag = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y, group = rng.integers(0, 2, 300), rng.integers(0, 10, 300)
        word = rng.random((300, 2)) < np.where(y, 0.6, 0.35)[:, None]
        x = np.column_stack([word, rng.random((300, 10)) < 0.4]).astype(float)
        any_flag.append(shortcut_features(x, y, group, seed=seed, normalize="none").n > 0)
    assert np.mean(any_flag) < 0.1


def test_positive_only_and_top() -> None:
    x, y, group = texts()
    found = shortcut_features(x, y, group, signs="positive", top=2, draws=0)
    assert {row.feature for row in found.rows} == {"0", "1"}
    everything = shortcut_features(x, y, group, signs="positive", draws=0)
    assert all(row.weight > 0 for row in everything.rows)
    assert len(everything.rows) < x.shape[1]


def test_swapped_classes_turn_signs_only() -> None:
    x, y, group = texts()
    plain = shortcut_features(x, y, group, draws=4)
    turned = shortcut_features(x, np.where(y, "attack", "harmless"), group, draws=4)
    assert [row.feature for row in plain.rows] == [row.feature for row in turned.rows]
    for one, other in zip(plain.rows, turned.rows, strict=True):
        assert one.weight == pytest.approx(-other.weight)
        assert one.firing == pytest.approx(other.firing)
        assert one.shortcut == other.shortcut
        assert one.retention == pytest.approx(other.retention, abs=1e-7)


def test_firing_has_no_meaning_below_0() -> None:
    x, y, group = texts()
    x[:, 1] -= 0.5
    rows = {row.feature: row for row in shortcut_features(x, y, group, draws=0).rows}
    assert np.isnan(rows["1"].firing)
    assert rows["1"].quadrant == ""
    assert rows["2"].quadrant


def test_quadrants() -> None:
    x, y, group = texts()
    low = shortcut_features(x, y, group, draws=0, top=3, least_firing=1000)
    assert {row.quadrant for row in low.rows} == {"pure shortcut", "robust but correlated"}
    high = shortcut_features(x, y, group, draws=0, top=3, least_firing=1e-9)
    assert {row.quadrant for row in high.rows} == {"context-dependent", "generalisable"}


def test_names() -> None:
    x, y, group = texts(noise=1)
    frame = pd.DataFrame(x, columns=["style", "word", "other", "noise"])
    assert flagged(shortcut_features(frame, y, group, draws=5)) == ["style"]
    assert flagged(shortcut_features(x, y, group, names=list("swon"), draws=5)) == ["s"]


def test_constant_columns_and_columns_of_zeros_are_left_out() -> None:
    x, y, group = texts(noise=1)
    x = np.column_stack([x, np.zeros(len(x)), np.full(len(x), 0.3)])
    found = shortcut_features(x, y, group, draws=0, normalize="none")
    assert {row.feature for row in found.rows} == {"0", "1", "2", "3"}


def test_a_seed_repeats() -> None:
    x, y, group = texts()
    one, two, three = (shortcut_features(x, y, group, draws=3, seed=s) for s in (1, 1, 2))
    assert one == two
    assert one != three


def test_breast_cancer_in_random_groups_has_no_shortcut() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    group = np.random.default_rng(0).integers(0, 8, len(y))
    found = shortcut_features(x, y, group, normalize="none", draws=10)
    assert found.n == 0
    assert {row.quadrant for row in found.rows} == {""}
    # A column that only says which hospital a row comes from, where one hospital has the ill.
    hospital = np.where(y == 0, "ward", np.where(np.arange(len(y)) % 2, "north", "south"))
    mixed = np.random.default_rng(1).random(len(y)) < 0.3
    hospital = np.where(
        mixed, np.random.default_rng(2).choice(["north", "south"], len(y)), hospital
    )
    marked = np.column_stack([x[:, :5], 3.0 * (hospital == "ward")])
    rows = shortcut_features(marked, y, hospital, normalize="none", draws=10).rows
    (mark,) = [row for row in rows if row.feature == "5"]
    assert mark.shortcut
    assert mark.blamed == "ward"


def test_one_class_and_one_group_have_a_reason() -> None:
    x, y, group = texts(n=60)
    for found in (
        shortcut_features(x, np.ones(60), group),
        shortcut_features(x, y, np.full(60, "a")),
        shortcut_features([[1.0, 2.0]], [1], ["a"]),
    ):
        assert (found.n, found.rows) == (0, ())
        assert "has one value" in found.reason
    assert shortcut_features(np.zeros((60, 2)), y, group, draws=0).reason == (
        "no feature has a coefficient"
    )


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_a_group_that_cannot_be_left_out_is_named(form: Any) -> None:
    x, y, group = texts(n=300)
    keep = (y == 0) | (group == "b")
    found = shortcut_features(form(x[keep]), y[keep], group[keep], draws=2)
    assert "without 'b': one class (0) among" in found.reason
    assert found.rows
    assert "b" not in {row.blamed for row in found.rows}
    alone = np.where(y[keep] == 1, "p", "q")
    nothing = shortcut_features(form(x[keep]), y[keep], alone, draws=2)
    assert nothing.rows == ()
    assert "without 'p'" in nothing.reason
    assert "without 'q'" in nothing.reason


SIDE = dict(zip(("x", "y", "group"), texts(5, 150), strict=True))
CHECKS = dict(measure_checks(shortcut_features, SIDE, draws=0, tolerance=1e-7))


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"y": [0, 1, 2, 0]}, "y", "3 classes; expected two"),
        ({"y": [0, 1]}, "y", "2 values for 4 rows"),
        ({"group": [0, 1]}, "group", "2 values for 4 rows"),
        ({"group": ["a", None, "b", "b"]}, "group", "misses 1"),
        ({"x": [[np.inf]] * 4}, "x", "missing or infinite"),
        ({"names": ["a", "b"]}, "names", "2 names for 1 features"),
        ({"top": 0}, "top", "at least 1"),
        ({"signs": "negative"}, "signs", "'negative'"),
        ({"normalize": "l2"}, "normalize", "'l2'"),
        ({"threshold": 2}, "threshold", "0 to 1"),
        ({"least_firing": 0}, "least_firing", "above 0"),
        ({"penalty": 0}, "penalty", "above 0"),
        ({"draws": -1}, "draws", "0 or more"),
        ({"solver": "lbfgs"}, "solver", "'converged' or 'published'"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"x": [[0.0], [1.0], [0.0], [1.0]], "y": [0, 1, 1, 0], "group": list("aabb")}
    with pytest.raises(InputError, match=words) as error:
        shortcut_features(**(given | changes))
    assert error.value.argument == argument


# --- permutation importance --------------------------------------------------------------------


def importances(
    seed: int, n_groups: int, n_features: int, uneven: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Importances of the same size with and without each group, noise in both."""
    rng = np.random.default_rng(seed)
    size = np.abs(rng.normal(size=n_features)) * 0.05 + 0.01
    size[n_features // 2 :] = 0
    true = size * np.exp(0.4 * rng.normal(size=(n_groups, n_features)))
    sd = 0.01 * np.exp(uneven * rng.normal(size=(n_groups, 1)))
    shared, one, two = rng.normal(size=(3, n_groups, n_features))
    return true + sd * (shared + one), true + sd * (shared + two)


@pytest.mark.parametrize(("n_groups", "uneven"), [(4, 0.0), (8, 0.7), (15, 0.7)])
def test_noise_alone_flags_one_table_in_twenty(n_groups: int, uneven: float) -> None:
    tables = (importances(seed, n_groups, 12, uneven) for seed in range(200))
    flags = [
        importance_shortcuts(seen, unseen, range(12), range(n_groups)).n for seen, unseen in tables
    ]
    assert np.mean(np.array(flags) > 0) <= 0.07  # .05, and what 200 tables cannot tell from it


def test_a_feature_that_only_seen_groups_can_use_is_found() -> None:
    hits = []
    for seed in range(40):
        seen, unseen = importances(seed, 8, 12)
        seen[:, 3], unseen[:, 3] = seen[:, 3] + 0.08, unseen[:, 3] * 0.1
        hits.append("3" in flagged(importance_shortcuts(seen, unseen, range(12), range(8))))
    assert np.mean(hits) > 0.9


def test_a_feature_that_fails_in_one_group_is_found_and_the_group_blamed() -> None:
    hits = []
    for seed in range(40):
        seen, unseen = importances(seed, 8, 12)
        seen, unseen = seen / 3, unseen / 3
        seen[:, 3] += 0.08
        unseen[:, 3] += np.where(np.arange(8) == 5, -0.02, 0.08)
        found = importance_shortcuts(seen, unseen, range(12), list("pqrstuvw"))
        hits.append(any(r.feature == "3" and r.blamed == "u" and r.shortcut for r in found.rows))
    assert np.mean(hits) > 0.9


def test_importances_by_hand() -> None:
    seen = np.array([[0.4, 0.2, 0.0], [0.6, 0.2, 0.0], [0.5, 0.2, 0.0]])
    unseen = np.array([[0.4, 0.02, 0.0], [0.6, 0.04, 0.0], [0.1, 0.03, 0.0]])
    found = importance_shortcuts(seen, unseen, ["a", "b", "c"], ["x", "y", "z"])
    assert (found.what, found.draws, found.threshold) == ("permutation importance", 0, 0.5)
    a, b, c = found.rows
    assert [row.feature for row in found.rows] == ["a", "b", "c"]
    assert (a.weight, a.retention, a.blamed) == (pytest.approx(0.5), pytest.approx(0.2), "z")
    assert (b.weight, b.retention, b.blamed) == (pytest.approx(0.2), pytest.approx(0.1), "x")
    assert b.floor == pytest.approx(1)  # the mean fall is clear: the least share seen
    assert b.shortcut
    assert c.weight == 0
    assert np.isnan([c.retention, c.floor, a.firing]).all()
    assert not c.shortcut
    # Falls of 0 and 0 beside one of .4: no chance is left, so the floor is what was seen there.
    assert a.floor == pytest.approx(0.4 / 0.5)
    assert a.shortcut


def test_a_group_in_which_a_feature_is_of_no_use_anyway_is_no_evidence() -> None:
    seen = np.array([[0.5], [0.5], [0.5], [0.01], [0.5]])
    found = importance_shortcuts(seen, seen - 0.001, ["a"], range(5))
    (row,) = found.rows
    assert row.retention < 0.05
    assert not row.shortcut
    # The same with a small fall that is clear and a group where it is noise.
    rng = np.random.default_rng(0)
    flags = 0
    for _ in range(100):
        seen = 0.5 + 0.01 * rng.normal(size=(8, 1))
        seen[3] = 0.01 * rng.normal()
        unseen = seen - 0.05 + 0.01 * rng.normal(size=(8, 1))
        flags += importance_shortcuts(seen, unseen, ["a"], range(8)).n
    assert flags <= 5


def test_groups_without_an_importance_are_left_out() -> None:
    seen, unseen = importances(0, 6, 4)
    gappy = seen.copy()
    gappy[2] = np.nan
    unseen[4, 1] = np.nan
    found = importance_shortcuts(gappy, unseen, range(4), range(6))
    rows = {row.feature: row for row in found.rows}
    keep = [0, 1, 3, 5]
    assert rows["1"].weight == pytest.approx(seen[keep, 1].mean())
    assert all(row.blamed != 2 for row in found.rows)
    nothing = importance_shortcuts([[0.1], [np.nan]], [[0.1], [0.1]], ["a"], [0, 1])
    assert nothing.rows == ()
    assert "two groups" in nothing.reason
    assert importance_shortcuts([[0.1]], [[0.0]], ["a"], [0]).reason


def test_order_of_groups_does_not_matter_and_input_is_kept() -> None:
    seen, unseen = importances(3, 8, 6)
    unseen[:, 0] -= 0.1
    before = seen.copy(), unseen.copy()
    seen.flags.writeable = unseen.flags.writeable = False
    plain = importance_shortcuts(seen, unseen, range(6), range(8))
    order = np.random.default_rng(0).permutation(8)
    mixed = importance_shortcuts(seen[order], unseen[order], range(6), order)
    for one, other in zip(plain.rows, mixed.rows, strict=True):
        assert (one.feature, one.blamed, one.shortcut) == (
            other.feature,
            other.blamed,
            other.shortcut,
        )
        assert one.floor == pytest.approx(other.floor, nan_ok=True)
    assert (seen == before[0]).all()
    assert (unseen == before[1]).all()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"unseen": [[0.1], [0.2]]}, "unseen", r"\(2, 1\); expected \(2, 2\)"),
        ({"seen": [["a", "b"], ["c", "d"]]}, "seen", "other than numbers"),
        ({"seen": [0.1, 0.2]}, "seen", "shape"),
        ({"seen": [[np.inf, 0], [0, 0]]}, "seen", "infinite"),
        ({"names": ["a"]}, "names", "1 names for 2 features"),
        ({"keys": ["a"]}, "keys", "1 groups for 2 rows"),
        ({"level": 1}, "level", "between 0 and 1"),
        ({"threshold": -1}, "threshold", "0 to 1"),
        ({"top": 0}, "top", "at least 1"),
    ],
)
def test_bad_importances(changes: dict, argument: str, words: str) -> None:
    table = [[0.1, 0.2], [0.1, 0.2]]
    given = {"seen": table, "unseen": table, "names": ["a", "b"], "keys": ["x", "y"]}
    with pytest.raises(InputError, match=words) as error:
        importance_shortcuts(**(given | changes))
    assert error.value.argument == argument
