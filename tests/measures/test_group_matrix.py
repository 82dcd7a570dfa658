"""Every group's model on every group's held-out rows, and what may be done instead."""

from __future__ import annotations

import doctest
import importlib
from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from elsewhere.core.errors import InputError
from elsewhere.measures import group_fits
from elsewhere.measures import group_matrix as module
from elsewhere.measures.group_matrix import group_matrix, group_strategies, majority_vote
from elsewhere.testing import measure_checks


class Centroids(ClassifierMixin, BaseEstimator):
    """The class whose mean is nearer, without the checks that take most of a small fit's time."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        a, b = (X[y == c].mean(axis=0) for c in self.classes_)
        self.slope_, self.middle_ = b - a, (a + b) / 2
        return self

    def decision_function(self, X):
        return (X - self.middle_) @ self.slope_

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


QUICK = Centroids()
TREE = DecisionTreeClassifier(max_depth=10)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def world(signs=(1, 1, 1, -1), rows: int = 60, shift: float = 1.5, seed: int = 0, noise: int = 2):
    """Groups whose first feature points to the class, in the direction of their sign."""
    g = rng(seed)
    n = rows * len(signs)
    group, y = np.repeat(np.arange(len(signs)), rows), np.tile([0, 1], n // 2)
    x = g.normal(size=(n, 1 + noise))
    x[:, 0] += np.array(signs)[group] * shift * (2 * y - 1)
    return x, y, np.array(list("abcdefgh"))[group]


@pytest.mark.parametrize("name", ["group_matrix", "group_fits"])
def test_the_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"elsewhere.measures.{name}"))
    assert found.failed == 0


def test_a_planted_sign_is_seen() -> None:
    found = group_matrix(QUICK, *world(), permutations=5)
    assert found.groups == ("a", "b", "c", "d")
    assert found.accuracy.diagonal().min() > 0.8
    assert found.accuracy[:3, :3].min() > 0.8
    assert found.accuracy[3, :3].max() < 0.25
    assert found.auc[3, :3].max() < 0.1
    # The wrong way round no threshold helps.
    assert found.best_accuracy[3, :3].max() < 0.6
    assert found.gap == pytest.approx(found.here - found.elsewhere)
    assert found.here == pytest.approx(found.accuracy.diagonal().mean())
    assert found.elsewhere == pytest.approx((found.accuracy.sum() - 4 * found.here) / 12)
    assert found.p == pytest.approx(1 / 6)
    assert (found.n_rows, found.n_train) == ((60,) * 4, 48)


def test_a_rule_for_all_carries_over() -> None:
    found = group_matrix(QUICK, *world((1,) * 5), permutations=5)
    assert found.low < 0 < found.high
    assert found.verdict == "no clear gap"
    assert "no clear gap: 0.9" in found.sentence


def test_signatures_of_their_own_are_a_gap() -> None:
    g = rng(1)
    group, y = np.repeat(np.arange(5), 80), np.tile([0, 1], 200)
    x = g.normal(size=(400, 5))
    x[np.arange(400), group] += 3 * y
    found = group_matrix(QUICK, x, y, group, permutations=4)
    assert found.verdict == "gap"
    assert found.low > 0.25
    assert found.sentence.startswith("gap: 0.9")


def test_memory_is_no_signal() -> None:
    x, y, group = world(shift=0, rows=80, noise=6)
    found = group_matrix(TREE, x, y, group, permutations=6)
    assert found.in_sample.min() > 0.95
    assert abs(found.here - 0.5) < 3 * (0.25 / 320) ** 0.5
    assert found.verdict == "no signal"
    assert found.sentence.startswith("no signal: held-out rows")
    assert found.sentence.endswith("on the training rows is memory")
    assert found.null_here[1] < 0.5 < found.null_here[2]
    # What a model that remembers nothing shows.
    flat = group_matrix(DummyClassifier(), x, y, group, permutations=4)
    assert flat.verdict == "no signal"
    assert "memory" not in flat.sentence
    assert flat.accuracy == pytest.approx(np.full((4, 4), 0.5))
    assert flat.auc == pytest.approx(np.full((4, 4), 0.5))


def test_permuted_labels_fill_the_null() -> None:
    x, y, group = world(rows=80)
    found = group_matrix(QUICK, x, y, group, permutations=12)
    for null, value in (
        (found.null_accuracy, found.accuracy),
        (found.null_auc, found.auc),
        (found.null_best_accuracy, found.best_accuracy),
    ):
        assert null.mean.shape == (4, 4)
        assert (null.low <= null.mean).all()
        assert (null.mean <= null.high).all()
        assert (value.diagonal() > null.high.diagonal()).all()
    assert found.null_accuracy.mean.mean() == pytest.approx(0.5, abs=0.02)
    assert found.null_auc.mean.mean() == pytest.approx(0.5, abs=0.02)
    # Choosing the threshold on the tested rows gains where there is nothing.
    assert found.null_best_accuracy.mean.mean() > 0.53


def alarms(n: int, **settings) -> int:
    """Draw empty data n times and count diagonals above their band."""
    return sum(
        group_matrix(QUICK, *world(shift=0, seed=k, rows=40), folds=2, **settings).verdict
        != "no signal"
        for k in range(n)
    )


def test_nothing_is_hardly_ever_taken_for_signal() -> None:
    assert alarms(6, permutations=5) <= 1


@pytest.mark.long
def test_the_null_keeps_its_level() -> None:
    """The diagonal leaves its band on one side in 2.5 % of empty data: 10 of 400, and 3 sd."""
    assert alarms(400, permutations=10) <= 20


def test_the_same_fits_in_loops() -> None:
    """Folds and draws are ours; everything else is done again by hand."""
    x, y, group = world(seed=3)
    found = group_matrix(QUICK, x, y, group, folds=3, permutations=0, seed=5)
    rows, _ = group_fits.prepare(x, y, group, None, 3)
    fold = group_fits.deal(rows, 3, 5)
    plan = group_fits.plan_of(rows, fold, 5)
    assert sorted(map(tuple, rows.x)) == sorted(map(tuple, x))
    for i in range(4):
        for j in range(4):
            right, won, pairs, scores, truth = 0.0, 0.0, 0, [], []
            for f in range(3):
                train = plan.train[i, f]
                assert set(fold[train]).isdisjoint({f})
                assert set(rows.group[train]) == {i}
                model = clone(QUICK).fit(rows.x[train], rows.y[train])
                test = [r for r in range(len(y)) if fold[r] == f and rows.group[r] == j]
                right += (model.predict(rows.x[test]) == rows.y[test]).sum()
                p = model.decision_function(rows.x[test])
                n = (rows.y[test] == 1).sum() * (rows.y[test] == 0).sum()
                won += n * roc_auc_score(rows.y[test], p)
                pairs += n
                scores += p.tolist()
                truth += rows.y[test].tolist()
            s, t = np.array(scores), np.array(truth)
            best = max(((s >= cut) == t).mean() for cut in [*s, np.inf])
            assert found.accuracy[i, j] == pytest.approx(right / 60)
            assert found.auc[i, j] == pytest.approx(won / pairs)
            assert found.best_accuracy[i, j] == pytest.approx(best)
    assert found.verdict == "not tested"
    assert "permuted" in found.sentence
    assert np.isnan(found.null_accuracy.mean).all()


def test_limits_are_those_of_leaving_groups_out() -> None:
    found = group_matrix(QUICK, *world((1, 1, -1, 1, -1)), permutations=0)
    cells, left = found.accuracy, []
    for g in range(5):
        keep = [k for k in range(5) if k != g]
        own = [cells[k, k] for k in keep]
        rest = [cells[i, j] for i in keep for j in keep if i != j]
        left.append(np.mean(own) - np.mean(rest))
    error = np.sqrt(4 / 5 * sum((v - np.mean(left)) ** 2 for v in left))
    assert (found.high - found.low) / 2 == pytest.approx(2.7764451 * error)
    assert (found.high + found.low) / 2 == pytest.approx(found.gap)


def test_two_groups_have_a_gap_and_no_interval() -> None:
    found = group_matrix(QUICK, *world((1, -1)), permutations=4)
    assert found.gap > 0.5
    assert np.isnan(found.low)
    assert found.verdict == "no clear gap"
    assert "no interval" in found.sentence


def test_all_models_learn_from_equally_many_rows() -> None:
    x, y, group = world()
    keep = (group != "b") | (np.cumsum(group == "b") <= 30)
    found = group_matrix(QUICK, x[keep], y[keep], group[keep], permutations=0)
    assert found.n_rows == (60, 30, 60, 60)
    assert found.n_train == 24


def test_blocks_never_straddle() -> None:
    """Each row twice: without blocks a neighbour finds its copy on the other side."""
    x, y, group = world(shift=0, rows=40)
    two = (np.repeat(x, 2, axis=0), np.repeat(y, 2), np.repeat(group, 2))
    near, block = KNeighborsClassifier(1), np.repeat(np.arange(len(y)), 2)
    loose = group_matrix(near, *two, folds=3, permutations=4)
    tight = group_matrix(near, *two, block=block, folds=3, permutations=4)
    assert loose.here > 0.7
    assert loose.verdict != "no signal"
    assert abs(tight.here - 0.5) < 0.12
    assert tight.verdict == "no signal"


def test_blocks_across_groups_and_classes_are_dealt_whole_and_evenly() -> None:
    x, y, group = world(rows=80)
    task = np.tile(np.repeat(np.arange(20), 4), 4)
    rows, _ = group_fits.prepare(x, y, group, task, 4)
    fold = group_fits.deal(rows, 4, 0)
    for block in np.unique(rows.block):
        assert len(np.unique(fold[rows.block == block])) == 1
    counts = np.array(
        [[np.sum((fold == f) & (rows.group == g)) for g in range(4)] for f in range(4)]
    )
    assert (counts == 20).all()
    mixed = group_fits.permuted(rows, fold, rng())
    assert (mixed != rows.y).any()
    for block in np.unique(rows.block):
        for g in range(4):
            own = (rows.block == block) & (rows.group == g)
            assert sorted(mixed[own]) == sorted(rows.y[own])


def test_pure_blocks_swap_their_class() -> None:
    x, y, group = world(rows=40)
    y = np.repeat([0, 1], 10).tolist() * 8
    block = np.repeat(np.arange(32), 5)
    rows, _ = group_fits.prepare(x, y, group, block, 4)
    mixed = group_fits.permuted(rows, group_fits.deal(rows, 4, 0), rng())
    assert (mixed != rows.y).any()
    for one in np.unique(rows.block):
        assert len(set(mixed[rows.block == one])) == 1
    for g in range(4):
        assert mixed[rows.group == g].sum() == 20


def test_permuted_labels_keep_the_share_of_every_fold() -> None:
    rows, _ = group_fits.prepare(*world(), None, 5)
    fold = group_fits.deal(rows, 5, 0)
    mixed = group_fits.permuted(rows, fold, rng())
    assert (mixed != rows.y).any()
    for g in range(4):
        for f in range(5):
            own = (rows.group == g) & (fold == f)
            assert mixed[own].sum() == rows.y[own].sum()


def test_labels_of_other_groups_have_no_say() -> None:
    """Permuting them leaves every model, and every cell between other groups, as it was."""
    x, y, group = world()
    mixed = y.copy()
    own = np.flatnonzero(group == "c")
    mixed[own] = y[rng(8).permutation(own)]
    assert (mixed != y).any()
    one, other = (group_matrix(TREE, x, t, group, permutations=0) for t in (y, mixed))
    keep = np.ix_([0, 1, 3], [0, 1, 3])
    assert (one.accuracy[keep] == other.accuracy[keep]).all()
    assert (one.auc[keep] == other.auc[keep]).all()
    assert (one.in_sample[[0, 1, 3]] == other.in_sample[[0, 1, 3]]).all()
    assert (one.accuracy[:, 2] != other.accuracy[:, 2]).any()
    a, b = (group_fits.prepare(x, t, group, None, 5)[0] for t in (y, mixed))
    folds = [group_fits.deal(rows, 5, 0) for rows in (a, b)]
    predicted = [
        group_fits.predictions(
            group_fits.template_of(TREE, 0), r, r.y, group_fits.plan_of(r, f, 0), f
        ).score[[0, 1, 3]][:, r.group != 2]
        for r, f in zip((a, b), folds, strict=True)
    ]
    assert predicted[0].tobytes() == predicted[1].tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    given = world(shift=0.5)
    one, same, other = (group_matrix(TREE, *given, permutations=3, seed=s) for s in (1, 1, 2))
    assert one.accuracy.tobytes() == same.accuracy.tobytes()
    assert one.null_auc.mean.tobytes() == same.null_auc.mean.tobytes()
    assert one.accuracy.tobytes() != other.accuracy.tobytes()


def test_any_classifier_will_do() -> None:
    x, y, group = world((1, 1), rows=40)
    for estimator in (LinearSVC(), LogisticRegression(), GaussianNB(), KNeighborsClassifier()):
        before = estimator.get_params()
        found = group_matrix(estimator, x, y, group, folds=2, permutations=0)
        assert found.accuracy.min() > 0.75
        assert found.auc.min() > 0.75
        assert estimator.get_params() == before
        assert not hasattr(estimator, "classes_")


def test_frames_are_taken_as_they_are() -> None:
    x, y, group = world()
    table = pd.DataFrame(x, columns=["p", "q", "r"]).assign(y=y, domain=group)
    given = table[["p", "q", "r"]], table["y"], table["domain"]
    one, other = (group_matrix(QUICK, *v, permutations=0) for v in (given, (x, y, group)))
    assert (one.accuracy == other.accuracy).all()


def test_classes_may_have_names() -> None:
    x, y, group = world()
    named = np.array(["bad", "good"])[y]
    one, other = (group_matrix(QUICK, x, t, group, permutations=0) for t in (y, named))
    assert one.auc == pytest.approx(other.auc)


def test_the_default_is_the_published_forest() -> None:
    found = group_fits.template_of(None, 0)
    assert [type(s).__name__ for _, s in found.steps] == [
        "StandardScaler",
        "RandomForestClassifier",
    ]
    assert (found[-1].n_estimators, found[-1].max_depth) == (100, 10)


def test_small_groups_are_left_out_with_a_reason() -> None:
    x, y, group = world()
    keep = (group != "d") | (np.cumsum(group == "d") <= 12)
    found = group_matrix(QUICK, x[keep], y[keep], group[keep], permutations=2)
    assert found.groups == ("a", "b", "c")
    assert found.left_out == (("d", "6 rows of a class, fewer than 10"),)
    same = group_matrix(QUICK, *(v[group != "d"] for v in (x, y, group)), permutations=2)
    assert same.accuracy == pytest.approx(found.accuracy)


def test_no_two_usable_groups() -> None:
    x, y, group = world((1,))
    one = group_matrix(QUICK, x, y, group)
    assert one.reason == "1 of 1 groups can be used, and two are needed"
    few = group_matrix(QUICK, x[:4], y[:4], ["a", "a", "b", "b"])
    assert few.groups == ()
    assert "0 of 2 groups" in few.reason
    assert "'a' has 1 rows of a class" in few.reason
    for found in (one, few):
        assert np.isnan(found.gap)
        assert found.verdict == "not tested"
        assert found.sentence == f"not tested: {found.reason}"
    ways = group_strategies(QUICK, x, y, group)
    assert (ways.rows, ways.reason) == ((), one.reason)
    assert np.isnan(ways.best)


def test_groups_of_a_block_a_class_have_no_diagonal() -> None:
    x, y, group = world((1, 1), rows=40)
    found = group_matrix(QUICK, x, y, group, block=y, folds=2, permutations=3)
    assert np.isnan(found.here)
    assert found.verdict == "not tested"
    assert "training rows of both classes" in found.sentence
    single = group_matrix(QUICK, x, y, group, block=group, folds=2)
    assert "one block only" in single.reason


X, Y, GROUP = world(rows=40, seed=4)


@pytest.mark.parametrize("of", ["matrix", "strategies"])
@pytest.mark.parametrize("block", [None, np.arange(160) // 4])
def test_what_every_measure_promises(of, block) -> None:
    side = {"x": X, "y": Y, "group": GROUP} | ({} if block is None else {"block": block})
    measure = (
        partial(group_matrix, QUICK, folds=3, permutations=4)
        if of == "matrix"
        else partial(group_strategies, QUICK, folds=3)
    )
    for _, check in measure_checks(measure, side):
        check()


# --- strategies --------------------------------------------------------------------------------


def test_pooling_repairs_what_is_known_only() -> None:
    g = rng(1)
    group, y = np.repeat(np.arange(5), 80), np.tile([0, 1], 200)
    x = g.normal(size=(400, 5))
    x[np.arange(400), group] += 3.5 * y
    found = group_strategies(TREE, x, y, group)
    single = found["single"]
    assert single.gap > 0.3
    assert found["pooled"].overall > single.cross + 0.15
    assert found["group-aware"].overall > found["pooled"].overall - 0.02
    assert found.best == max(row.overall for row in found.rows[:5])
    assert found["pooled, group unseen"].overall < 0.6
    assert np.isnan(found["pooled, group unseen"].same)
    assert [row.name for row in found.rows] == [
        "single",
        "pooled",
        "pooled, as few rows",
        "voting",
        "group-aware",
        "pooled, group unseen",
        "group-aware, group unseen",
    ]
    sizes = [row.n_train for row in found.rows]
    assert sizes == [64, 320, 64, 64, 320, 320, 320]
    for row in found.rows:
        assert row.by_group.shape == (5,)
        assert row.low <= row.overall <= row.high


def test_the_single_row_is_the_matrix() -> None:
    given = world()
    matrix, ways = group_matrix(QUICK, *given, permutations=0), group_strategies(QUICK, *given)
    assert ways["single"].same == matrix.here
    assert ways["single"].cross == matrix.elsewhere
    assert ways["single"].gap == matrix.gap
    assert ways["single"].by_group == pytest.approx(matrix.accuracy.mean(axis=0))


def test_the_published_protocol_finds_everything_in_nothing() -> None:
    """Scored on training rows, memory looks like detection, and a vote like a weak one."""
    x, y, group = world((1,) * 6, shift=0, rows=100, noise=6)
    tree = DecisionTreeClassifier()
    published = group_strategies(tree, x, y, group, identity="integer", in_sample=True)
    assert published["single"].same == 1
    assert published["single"].cross == pytest.approx(0.5, abs=0.04)
    assert published["pooled"].overall == published["group-aware"].overall == 1
    assert 0.62 < published["voting"].overall < 0.69
    honest = group_strategies(tree, x, y, group)
    for row in honest.rows:
        assert row.overall == pytest.approx(0.5, abs=3.5 * (0.25 / 600) ** 0.5)
    assert honest["single"].same == pytest.approx(0.5, abs=3.5 * (0.25 / 600) ** 0.5)
    assert (published.in_sample, honest.in_sample) == (True, False)
    # Groups that are left out are held out in any case.
    for name in ("pooled, group unseen", "group-aware, group unseen"):
        assert published[name].overall == pytest.approx(0.5, abs=0.07)
    with pytest.raises(InputError, match="name is 'pooled, as few rows'"):
        published["pooled, as few rows"]


def test_how_a_model_is_told_the_group() -> None:
    given = world((1, -1, 1, -1), rows=80)
    linear = LogisticRegression()
    by = {
        identity: group_strategies(linear, *given, identity=identity)["group-aware"].overall
        for identity in ("one-hot", "integer", "interactions")
    }
    # A column of its own shifts the intercept of a linear model and no more.
    assert by["one-hot"] < 0.65
    assert by["integer"] < 0.65
    assert by["interactions"] > 0.85
    deep = group_strategies(TREE, *given)
    assert deep["group-aware"].overall > 0.7
    # A group that was never seen is no help: half the groups point the wrong way.
    assert deep["group-aware, group unseen"].overall < 0.6


def test_told_columns_by_hand() -> None:
    rows = group_fits.Rows(
        np.array([[1.0], [2.0]]), np.array([0, 1]), np.array([0, 1]), None, ("a", "b")
    )
    assert group_fits.with_group(rows, "integer").tolist() == [[1, 0], [2, 1]]
    assert group_fits.with_group(rows, "one-hot").tolist() == [[1, 1, 0], [2, 0, 1]]
    crossed = group_fits.with_group(rows, "interactions")
    assert crossed.tolist() == [[1, 1, 0, 1, 0], [2, 0, 1, 0, 2]]


def test_votes_of_held_out_models() -> None:
    given = world((1, 1, 1, -1))
    found = group_strategies(QUICK, *given)
    by_group = found["voting"].by_group
    assert by_group[:3].min() > 0.8
    assert by_group[3] < 0.25
    one, other = (
        group_strategies(QUICK, *world((1, -1)), ties=ties)["voting"].by_group
        for ties in ("negative", "positive")
    )
    assert one != pytest.approx(other)


def test_votes_by_hand() -> None:
    votes = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0], [0, 1, 1, 0]])
    assert majority_vote(votes).tolist() == [0, 0, 1, 0]
    assert majority_vote(votes, ties="positive").tolist() == [0, 1, 1, 1]
    assert majority_vote(votes[:3]).tolist() == [0, 0, 1, 1]
    assert majority_vote(np.ones((1, 0))).tolist() == []


def test_votes_round_to_even() -> None:
    g = rng(2)
    for n in range(1, 8):
        votes = g.integers(0, 2, (n, 50))
        assert majority_vote(votes).tolist() == np.round(votes.mean(axis=0)).astype(int).tolist()


def test_on_a_table_of_others() -> None:
    cells = load_breast_cancer()
    size = cells.data[:, 0]
    group = np.digitize(size, np.quantile(size, [0.33, 0.66]))
    # Small cells are nearly all benign, so thirds by size cannot all be trained on.
    found = group_matrix(QUICK, cells.data, cells.target, group, permutations=4)
    assert len(found.left_out) >= 1
    random = group_matrix(
        GaussianNB(), cells.data, cells.target, np.arange(569) % 3, permutations=4
    )
    assert random.verdict == "no clear gap"
    assert random.here > 0.9
    assert abs(random.gap) < 0.03
    assert random.auc.min() > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [0, 1, 2] * 80}, "y has 3 classes; expected two"),
        ({"y": [0] * 240}, "y has 1 classes"),
        ({"y": [0, 1]}, "y has 2 rows; expected 240"),
        ({"group": ["a"]}, "group has 1 rows"),
        ({"block": [1]}, "block has 1 rows"),
        ({"folds": 1}, "folds is 1; expected at least 2"),
        ({"level": 1.0}, "level is 1.0"),
        ({"x": np.full((240, 1), np.inf)}, "x holds infinite"),
        ({"estimator": LinearRegression()}, "estimator is a LinearRegression, no classifier"),
        ({"estimator": "forest"}, "estimator cannot be cloned"),
        (
            {"x": np.full((240, 1), np.nan), "estimator": GaussianNB()},
            r"estimator cannot be fitted \(Input X contains NaN",
        ),
        ({"block": np.tile([0, 1], 120)}, "block holds 2 distinct values; expected at least 5"),
    ],
)
def test_bad_input(change, message) -> None:
    x, y, group = world()
    given = {"estimator": QUICK, "x": x, "y": y, "group": group} | change
    for measure in (group_matrix, group_strategies):
        with pytest.raises(InputError, match=message):
            measure(**given)


def test_bad_options() -> None:
    given = (QUICK, *world())
    with pytest.raises(InputError, match="permutations is -1"):
        group_matrix(*given, permutations=-1)
    with pytest.raises(InputError, match=r"identity is 'onehot'.*did you mean 'one-hot'"):
        group_strategies(*given, identity="onehot")
    with pytest.raises(InputError, match="ties is 'none'"):
        group_strategies(*given, ties="none")
    for votes in ([0, 1], np.empty((0, 3)), [[0, 2]], [[0.5, 1]]):
        with pytest.raises(InputError, match="votes"):
            majority_vote(votes)
    with pytest.raises(InputError, match="ties is 'x'"):
        majority_vote([[1]], ties="x")


def test_the_record_is_frozen_and_leads_with_the_gap() -> None:
    assert [f.name for f in fields(module.GroupMatrix)][:3] == ["gap", "low", "high"]
