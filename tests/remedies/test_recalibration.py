"""Shrunken Platt scaling, temperatures, and lines near the identity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax
from sklearn import metrics
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from elsewhere.core.errors import InputError
from elsewhere.remedies.recalibration import Recalibration, recalibrate
from elsewhere.testing import check_measure


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def shifted(n: int, seed: int, a: float = -1.0, s: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of a model and classes with log-odds a + s * those."""
    g = rng(seed)
    odds = g.normal(0, 2, n)
    return odds, (g.random(n) < expit(a + s * odds)).astype(int)


def log_loss(odds: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, odds) - y * odds))


@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
def test_two_classes_reach_the_minimum_of_a_general_optimiser(penalty: float) -> None:
    odds, y = shifted(80, 1)
    weight = rng(2).random(80)

    def loss(v: np.ndarray) -> float:
        each = [
            w * (np.log1p(np.exp(v[0] + v[1] * l)) - t * (v[0] + v[1] * l))
            for l, t, w in zip(odds, y, weight, strict=True)  # noqa: E741
        ]
        return sum(each) + penalty / 2 * (v[0] ** 2 + (v[1] - 1) ** 2)

    best = minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-7})
    found = recalibrate(odds, y, kind="logits", penalty=penalty, weight=weight)
    assert [found.intercept, found.slope] == pytest.approx(best.x, abs=1e-5)
    assert loss(np.array([found.intercept, found.slope])) <= best.fun + 1e-12


def test_more_classes_reach_the_minimum_of_a_general_optimiser() -> None:
    g = rng(3)
    logits = g.normal(0, 2, (90, 4))
    y = np.array([g.choice(4, p=softmax(0.5 * row + [1, 0, 0, -1])) for row in logits])

    def loss(v: np.ndarray) -> float:
        moved = log_softmax(v[0] * logits + v[1:], axis=1)
        return -moved[np.arange(90), y].sum() + ((v[0] - 1) ** 2 + (v[1:] ** 2).sum())

    best = minimize(loss, [1.0, 0, 0, 0, 0], method="BFGS", options={"gtol": 1e-7})
    found = recalibrate(logits, y, kind="logits", penalty=2.0)
    assert [found.slope, *found.intercept] == pytest.approx(best.x, abs=1e-5)
    assert found.intercept.sum() == pytest.approx(0, abs=1e-12)
    moved = softmax(found.slope * logits + found.intercept, axis=1)
    given = softmax(logits, axis=1)
    same = recalibrate(given, y, kind="probability", penalty=2.0)
    np.testing.assert_allclose(same.apply(given), moved, atol=1e-9)


def test_numbers_by_hand() -> None:
    p, y = np.array([1.0, 2, 3, 6]), np.array([3.0, 3, 7, 9])
    middle, apart, miss = 3.0, p - 3, y - p
    level = miss.sum() / (4 + 5)
    tilt = (miss * apart).sum() / ((apart**2).sum() * (1 + 5 / 4))
    found = recalibrate(p, y, kind="number", penalty=5.0)
    assert found.slope == pytest.approx(1 + tilt)
    np.testing.assert_allclose(found.apply(p), p + level + tilt * (p - middle))


def test_numbers_follow_their_unit() -> None:
    g = rng(4)
    p = g.normal(20, 5, 30)
    y = 3 + 0.8 * p + g.normal(size=30)
    celsius = recalibrate(p, y, kind="number").apply(p)
    fahrenheit = recalibrate(32 + 1.8 * p, 32 + 1.8 * y, kind="number").apply(32 + 1.8 * p)
    np.testing.assert_allclose(fahrenheit, 32 + 1.8 * celsius)
    assert recalibrate([2.0], [3.0], kind="number", penalty=1.0).apply([2.0, 5.0]).tolist() == [
        2.5,
        5.5,
    ]


def test_no_rows_change_nothing_to_the_last_bit() -> None:
    for kind, given in (
        ("probability", np.array([0.0, 0.1, 1.0])),
        ("probability", np.array([[0.2, 0.5, 0.3]])),
        ("logits", np.array([[3.0, -1.0]])),
        ("number", np.array([3.5, 1e6])),
    ):
        found = recalibrate(given[:0], [], kind=kind)
        np.testing.assert_array_equal(found.apply(given), given)
        assert found.slope == 1


def test_a_large_penalty_changes_nothing_and_a_small_one_is_plain_platt_scaling() -> None:
    odds, y = shifted(400, 5)
    stiff = recalibrate(odds, y, kind="logits", penalty=1e12)
    np.testing.assert_allclose(stiff.apply(odds), odds, atol=1e-9)
    found = recalibrate(odds, y, kind="logits", penalty=1e-9)
    plain = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], y)
    assert found.slope == pytest.approx(plain.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(plain.intercept_[0], abs=1e-5)


def test_many_rows_repair_and_few_do_no_harm() -> None:
    odds, y = shifted(20000, 6)
    many = recalibrate(odds[:2000], y[:2000], kind="logits")
    assert many.slope == pytest.approx(0.6, abs=0.1)
    assert many.intercept == pytest.approx(-1, abs=0.15)
    assert log_loss(many.apply(odds), y) < log_loss(odds, y) - 0.1
    right, classes = shifted(20000, 7, a=0.0, s=1.0)
    harm = []
    for draw in range(40):
        few = rng(8, draw).choice(20000, 5)
        found = recalibrate(right[few], classes[few], kind="logits")
        harm.append(log_loss(found.apply(right), classes) - log_loss(right, classes))
    assert np.mean(harm) < 0.01


@pytest.mark.parametrize(
    ("prediction", "y"),
    [
        ([0.9, 0.8], [1, 1]),
        ([0.0, 0.0, 1.0], [1, 1, 0]),
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
        ([0.5], [0]),
    ],
)
def test_one_class_and_separable_rows_have_a_minimum(prediction: list, y: list) -> None:
    found = recalibrate(prediction, y, kind="probability", penalty=1e-6)
    assert np.isfinite([found.intercept, found.slope]).all()
    odds = logit(np.clip(prediction, 1e-9, 1 - 1e-9))
    left = expit(found.intercept + found.slope * odds) - y
    assert left.sum() + 1e-6 * found.intercept == pytest.approx(0, abs=1e-8)
    assert left @ odds + 1e-6 * (found.slope - 1) == pytest.approx(0, abs=1e-7)


def test_three_classes_of_which_one_is_seen() -> None:
    found = recalibrate([[0.2, 0.3, 0.5]] * 4, list("aaaa"), kind="probability", classes="abc")
    after = found.apply([[0.2, 0.3, 0.5]])
    assert after[0, 0] > 0.2
    assert after.sum() == pytest.approx(1)


def test_two_columns_are_one_logit() -> None:
    odds, y = shifted(50, 9)
    p = expit(odds)
    one = recalibrate(p, y, kind="probability")
    two = recalibrate(np.stack([1 - p, p], axis=1), y, kind="probability")
    assert one.slope == pytest.approx(two.slope)
    np.testing.assert_allclose(two.apply(np.stack([1 - p, p], axis=1))[:, 1], one.apply(p))
    logits = np.stack([5 - odds / 2, 5 + odds / 2], axis=1)
    moved = recalibrate(logits, y, kind="logits").apply(logits)
    np.testing.assert_allclose(moved[:, 1] - moved[:, 0], logit(one.apply(p)))
    np.testing.assert_allclose(moved.mean(axis=1), 5)


def test_order_within_a_site_stays() -> None:
    odds, y = shifted(60, 10)
    after = recalibrate(odds, y, kind="logits").apply(odds)
    np.testing.assert_array_equal(np.argsort(after), np.argsort(odds))


def test_promises_of_a_measure() -> None:
    odds, y = shifted(60, 11)
    check_measure(recalibrate, {"prediction": odds, "y": y}, kind="logits")
    check_measure(recalibrate, {"prediction": expit(odds), "y": y}, kind="probability")
    check_measure(recalibrate, {"prediction": odds, "y": y.astype(float)}, kind="number")
    table = rng(12).normal(size=(60, 3))
    check_measure(recalibrate, {"prediction": table, "y": np.arange(60) % 3}, kind="logits")


def test_naive_bayes_is_too_sure_of_tumours_elsewhere() -> None:
    """Thirty measures of one tumour are not thirty witnesses; some probabilities are exactly 0."""
    x, y = load_breast_cancer(return_X_y=True)
    here = x[:, 1] < np.median(x[:, 1])
    p = GaussianNB().fit(x[here], y[here]).predict_proba(x[~here])
    turn = rng(13).permutation(len(p))
    labelled, rest = turn[:100], turn[100:]
    found = recalibrate(p[labelled], y[~here][labelled], kind="probability")
    assert found.slope < 0.7
    before, after = p[rest], found.apply(p[rest])
    assert metrics.log_loss(y[~here][rest], after) < 0.7 * metrics.log_loss(y[~here][rest], before)
    assert after.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "odds"}, "kind"),
        ({"penalty": 0}, "penalty is 0"),
        ({"penalty": np.inf}, "penalty is inf"),
        ({"y": [0, 1]}, "y has 2 rows"),
        ({"y": [0, 1, 2]}, "unknown values"),
        ({"prediction": [0.1, 0.2, 1.4]}, "outside 0 to 1"),
        ({"prediction": ["a", "b", "c"]}, "other than numbers"),
        ({"prediction": [0.1, np.nan, 0.4]}, "misses 1 of 3"),
        ({"prediction": [[0.1], [0.2], [0.3]]}, "one column for each class"),
        ({"prediction": [0.1, 0.2, np.inf], "kind": "logits"}, "infinite"),
        ({"prediction": [[1, 2]] * 3, "kind": "number"}, "one number a row"),
        ({"weight": [1, 2]}, "weight has 2 rows"),
        ({"weight": [1, 2, -1]}, "negative"),
        ({"classes": [1, 1]}, "classes has 1 distinct"),
        ({"classes": [0, 1], "kind": "number"}, "classes is given"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    given = {"prediction": [0.1, 0.2, 0.4], "y": [0, 1, 0], "kind": "probability"} | change
    with pytest.raises(InputError, match=message):
        recalibrate(**given)


def test_apply_wants_what_was_fitted() -> None:
    found = recalibrate([0.1, 0.2], [0, 1], kind="probability")
    assert isinstance(found, Recalibration)
    with pytest.raises(InputError, match="has 3 classes; expected 2"):
        found.apply([[0.2, 0.3, 0.5]])
