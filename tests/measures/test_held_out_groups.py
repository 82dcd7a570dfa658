"""A model and a threshold on groups that neither has seen."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import (
    accuracy_score,
    auc,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from elsewhere.core.errors import InputError
from elsewhere.measures.held_out_groups import (
    DecisionScores,
    held_out_group_scores,
    merge_groups,
    score_decisions,
)
from elsewhere.measures.thresholds import Constant, MaxF1, TargetSpecificity
from elsewhere.testing import measure_checks


def world(seed: int = 0, n: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group a is all positive, b all negative, the others are mixed."""
    rng = np.random.default_rng(seed)
    group = rng.choice(list("abcde"), n)
    y = rng.integers(0, 2, n)
    y[group == "a"], y[group == "b"] = 1, 0
    return rng.normal(size=(n, 4)) + y[:, None] * [1.0, 0.5, 0, 0], y, group


class Remembers(ClassifierMixin, BaseEstimator):
    """Knows every row that it was fitted on, and says .5 to others."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.seen_ = {row.tobytes(): label for row, label in zip(x, y, strict=True)}
        return self

    def predict_proba(self, x):
        one = np.array([self.seen_.get(row.tobytes(), 0.5) for row in x], dtype=float)
        return np.column_stack([1 - one, one])


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 50)
    score = np.round(rng.normal(y, 1.0), 1)
    found = score_decisions(score, y, 0.4)
    decided = score >= 0.4
    precision, recall, _ = precision_recall_curve(y, score)
    assert found == DecisionScores(
        *(
            pytest.approx(value)
            for value in (
                accuracy_score(y, decided),
                f1_score(y, decided),
                f1_score(y, decided, pos_label=0),
                f1_score(y, decided, average="macro"),
                roc_auc_score(y, score),
                auc(recall, precision),
                0.4,
                recall_score(y, decided),
                precision_score(y, decided),
                decided[y == 0].mean(),
            )
        )
    )


def test_the_published_recall_is_read_off_the_curve() -> None:
    """At the nearest threshold of the curve: one row off, and 1 in a group without positives."""
    score, y = [0.1, 0.3, 0.6, 0.7, 0.9], [0, 1, 1, 0, 1]
    decisions = score_decisions(score, y, 0.45 - 0.01)
    curve = score_decisions(score, y, 0.45 - 0.01, read_from="curve")
    assert (decisions.recall, decisions.precision) == pytest.approx((2 / 3, 2 / 3))
    assert (curve.recall, curve.precision) == pytest.approx((1, 3 / 4))
    negative = score_decisions([0.1, 0.2], [0, 0], 0.5, read_from="curve")
    assert (negative.recall, negative.precision) == (1, 0)
    assert np.isnan(score_decisions([0.1, 0.2], [0, 0], 0.5).recall)


def test_one_class_has_recall_or_false_positive_rate() -> None:
    attacks = score_decisions([0.2, 0.8, 0.9], [1, 1, 1], 0.5)
    assert attacks.recall == pytest.approx(2 / 3)
    assert attacks.f1_negative == 0
    assert attacks.pr_auc == 1
    assert np.isnan([attacks.false_positive_rate, attacks.roc_auc]).all()
    harmless = score_decisions([0.2, 0.8, 0.9], [0, 0, 0], 0.5)
    assert harmless.false_positive_rate == pytest.approx(2 / 3)
    assert np.isnan([harmless.recall, harmless.roc_auc, harmless.pr_auc]).all()
    right = score_decisions([0.9], [1], 0.5)
    assert (right.f1_positive, right.f1_macro) == (1, 1)
    assert np.isnan(right.f1_negative)


@pytest.mark.parametrize("rule", [Constant(), TargetSpecificity(), MaxF1()])
def test_each_fold_in_a_loop(rule) -> None:
    x, y, group = world()
    model = LogisticRegression()
    found = held_out_group_scores(model, x, y, group, rule=rule)
    scores = np.empty(len(y))
    for entry in found.groups:
        own = group == entry.key
        fitted = LogisticRegression().fit(x[~own], y[~own])
        threshold = rule.fit(fitted.predict_proba(x[~own])[:, 1], y[~own])
        scores[own] = fitted.predict_proba(x[own])[:, 1]
        expected = score_decisions(scores[own], y[own], threshold)
        for field in fields(DecisionScores):
            value = getattr(expected, field.name)
            assert getattr(entry.scores, field.name) == pytest.approx(value, nan_ok=True)
        assert (found.decided[own] == (scores[own] >= threshold)).all()
        assert (entry.n_rows, entry.n_positive) == (own.sum(), y[own].sum())
    assert found.roc_auc == pytest.approx(roc_auc_score(y, scores))
    assert not hasattr(model, "coef_")


def test_means_skip_groups_without_a_value_and_say_so() -> None:
    x, y, group = world()
    found = held_out_group_scores(GaussianNB(), x, y, group)
    assert found.skipped["roc_auc"] == ("a", "b")
    assert found.skipped["recall"] == ("b",)
    assert found.skipped["false_positive_rate"] == ("a",)
    assert found.skipped["accuracy"] == ()
    rows = np.array([g.n_rows for g in found.groups])
    accuracy = [g.scores.accuracy for g in found.groups]
    assert found.weighted["accuracy"] == pytest.approx(np.average(accuracy, weights=rows))
    assert found.weighted["accuracy"] == pytest.approx(np.mean(found.decided == y))
    areas = [g.scores.roc_auc for g in found.groups[2:]]
    assert found.weighted["roc_auc"] == pytest.approx(np.average(areas, weights=rows[2:]))


def test_merging_keeps_kin_out_of_training() -> None:
    x, y, group = world()
    assert merge_groups(group, None).tolist() == group.tolist()
    found = held_out_group_scores(GaussianNB(), x, y, group, merge={"e": "d", "c": "new"})
    assert [g.key for g in found.groups] == ["a", "b", "d", "new"]
    renamed = np.array(["d" if g == "e" else g for g in group])
    plain = held_out_group_scores(GaussianNB(), x, y, renamed)
    assert found.score == pytest.approx(plain.score)
    # Kin in training give a model that remembers their labels.
    copied = np.concatenate([x, x]), np.concatenate([y, y])
    edition = np.concatenate([group, np.char.add(group, "2")])
    kin = {f"{g}2": g for g in "abcde"}
    assert held_out_group_scores(Remembers(), *copied, edition).roc_auc == 1
    assert held_out_group_scores(Remembers(), *copied, edition, merge=kin).roc_auc == 0.5


def test_labels_of_a_group_leave_its_model_and_threshold_alone() -> None:
    x, y, group = world(1)
    own = group == "c"
    other = y.copy()
    other[own] = np.random.default_rng(0).permutation(1 - y[own])
    for rule in (TargetSpecificity(), MaxF1()):
        for train_folds in (0, 3):
            one, two = (
                held_out_group_scores(
                    GaussianNB(), x, labels, group, rule=rule, train_folds=train_folds
                )
                for labels in (y, other)
            )
            assert one.score[own].tolist() == two.score[own].tolist()
            assert one.groups[2].scores.threshold == two.groups[2].scores.threshold
            assert one.score[~own].tolist() != two.score[~own].tolist()


def test_scores_out_of_fold_are_not_those_remembered() -> None:
    x, y, group = world()
    inside = held_out_group_scores(Remembers(), x, y, group, rule=MaxF1())
    outside = held_out_group_scores(Remembers(), x, y, group, rule=MaxF1(), train_folds=3)
    assert {g.scores.threshold for g in inside.groups} == {1.0}
    assert {g.scores.threshold for g in outside.groups} == {0.5}


def test_shuffled_labels_are_at_chance() -> None:
    x, y, group = world(n=600)
    found = held_out_group_scores(GaussianNB(), x, y, group, control_draws=6, seed=1)
    again = held_out_group_scores(GaussianNB(), x, y, group, control_draws=6, seed=1)
    assert found.control == again.control
    assert len(found.control) == 6
    assert np.mean(found.control) == pytest.approx(0.5, abs=0.05)
    assert found.roc_auc > 0.6


def test_breast_cancer_as_scikit_learn_holds_groups_out() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    group = np.digitize(x[:, 4], np.quantile(x[:, 4], [0.25, 0.5, 0.75]))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    found = held_out_group_scores(model, x, y, group)
    theirs = cross_val_predict(
        model, x, y, groups=group, cv=LeaveOneGroupOut(), method="predict_proba"
    )
    assert found.score == pytest.approx(theirs[:, 1])
    assert found.roc_auc == pytest.approx(roc_auc_score(y, theirs[:, 1]))
    assert found.roc_auc > 0.98


def test_sparse_tables_and_decision_functions() -> None:
    x, y, group = world()
    x = np.maximum(x, 0)
    for model in (LogisticRegression(), RidgeClassifier()):
        dense = held_out_group_scores(model, x, y, group)
        sparse = held_out_group_scores(model, csr_array(x), y, group)
        assert sparse.roc_auc == pytest.approx(dense.roc_auc, abs=1e-3)


def test_a_group_that_cannot_be_left_out_has_a_reason() -> None:
    x, y, group = world()
    keep = np.isin(group, ["a", "b"])
    found = held_out_group_scores(GaussianNB(), x[keep], y[keep], group[keep])
    assert np.isnan(found.roc_auc)
    assert "no model" in found.reason
    assert [g.scores for g in found.groups] == [None, None]
    assert found.groups[0].reason == "the other groups hold one class (0)"
    assert np.isnan(found.score).all()
    assert not found.decided.any()
    assert np.isnan(found.weighted["accuracy"])


def without_tables(**given):
    """Means by name are compared elsewhere."""
    return replace(held_out_group_scores(GaussianNB(), **given), weighted={}, skipped={})


SIDE = dict(zip(("x", "y", "group"), world(3), strict=True))
CHECKS = dict(measure_checks(without_tables, SIDE, by_row=("score", "decided"), rule=MaxF1()))


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"y": np.arange(4)}, "y", "other than 0 and 1"),
        ({"y": [0, 1]}, "y", "2 values for 4 rows"),
        ({"group": list("aaaa")}, "group", "one group"),
        ({"group": list("ab")}, "group", "2 values for 4 rows"),
        ({"merge": {"z": "a"}}, "merge", "'z', which no row has"),
        ({"train_folds": 1}, "train_folds", "at least 2"),
        ({"train_folds": 2}, "train_folds", "leaves one class"),
        ({"control_draws": -1}, "control_draws", "0 or more"),
        ({"read_from": "top"}, "read_from", "'decisions' or 'curve'"),
        ({"x": [[np.nan]] * 4}, "x", "missing or infinite"),
        ({"estimator": StandardScaler()}, "estimator", "neither predict_proba"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {
        "estimator": GaussianNB(),
        "x": [[0.0], [1.0], [0.1], [1.1]],
        "y": [0, 1, 0, 1],
        "group": list("aabb"),
    }
    with pytest.raises(InputError, match=words) as error:
        held_out_group_scores(**(given | changes))
    assert error.value.argument == argument
