"""Forecasts without labels of elsewhere: by hand, by loops, and where the truth is known."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import elsewhere.measures
from elsewhere.core.errors import InputError
from elsewhere.measures import forecasts
from elsewhere.measures.forecasts import (
    agreement,
    average_thresholded_confidence,
    compare_forecasts,
    difference_of_confidences,
    importance_weighted_loss,
    label_shift_weighted_loss,
)
from elsewhere.measures.label_shift import black_box_shift
from elsewhere.measures.two_sample import classifier_two_sample
from elsewhere.testing import check_measure, measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def calibrated(move: float, seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A feature, true probabilities of class 1 as a model's output, and classes."""
    g = rng(20, seed)
    x = g.normal(size=n) + move
    p = 1 / (1 + np.exp(-2 * x))
    return x, p, (g.random(n) < p).astype(int)


REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize(
    "name", [found.name for found in pkgutil.iter_modules(elsewhere.measures.__path__)]
)
def test_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"elsewhere.measures.{name}"))
    assert found.failed == 0
    public = f"::: elsewhere.measures.{name}\n" in REFERENCE.read_text(encoding="utf-8")
    assert found.attempted > 0 or not public


# --- sealed ------------------------------------------------------------------------------------


def test_no_forecast_takes_labels_of_elsewhere() -> None:
    for name in (
        "average_thresholded_confidence",
        "difference_of_confidences",
        "agreement",
        "importance_weighted_loss",
        "label_shift_weighted_loss",
    ):
        taken = inspect.signature(getattr(forecasts, name)).parameters
        elsewhere = {p for p in taken if "elsewhere" in p}
        assert elsewhere <= {
            "probability_elsewhere",
            "probability_of_elsewhere",
            "first_elsewhere",
            "second_elsewhere",
        }


# --- confidence ---------------------------------------------------------------------------------


def test_threshold_by_hand() -> None:
    here = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4], [0.45, 0.55]]
    y = [0, 1, 0, 1, 0]  # the last two are wrong: the threshold is the third smallest, .7
    found = average_thresholded_confidence(here, y, [0.95, 0.35, 0.7, 0.75])
    assert found.threshold == pytest.approx(0.7)
    assert found.here == pytest.approx(0.6)
    assert found.value == pytest.approx(3 / 4)  # .95, .7 (tied, all of the tie is right), .75


def test_ties_count_by_proportion() -> None:
    here, y = np.full(10, 0.8), np.repeat([1, 0], [7, 3])
    found = average_thresholded_confidence(here, y, [0.8, 0.8, 0.9, 0.6])
    assert found.value == pytest.approx((1 + 2 * 0.7) / 4)


@pytest.mark.parametrize("score", ["confidence", "negative entropy"])
@pytest.mark.parametrize("seed", range(4))
def test_here_is_forecast_exactly(score: str, seed: int) -> None:
    g = rng(21, seed)
    here = g.dirichlet([1, 1, 1], 50).round(1) if seed % 2 else g.dirichlet([1, 1, 1], 50)
    here = here / here.sum(axis=1, keepdims=True)
    y = g.integers(0, 3, 50)
    found = average_thresholded_confidence(here, y, here, score=score)
    assert found.value == pytest.approx(found.here)
    assert found.here == pytest.approx(np.mean(here.argmax(axis=1) == y))


def test_all_right_and_all_wrong() -> None:
    sure, y = [0.9, 0.8, 0.7], np.array([1, 1, 1])
    assert average_thresholded_confidence(sure, y, [0.95, 0.75, 0.6]).value == pytest.approx(2 / 3)
    assert average_thresholded_confidence(sure, 1 - y, [0.99, 0.5]).value == 0


def test_entropy_looks_at_all_classes() -> None:
    # The same largest probability, the rest spread or not.
    here, y = [[0.5, 0.5, 0], [0.5, 0.25, 0.25]], [0, 1]
    there = [[0.5, 0, 0.5], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    assert average_thresholded_confidence(here, y, there).value == pytest.approx(0.5)
    found = average_thresholded_confidence(here, y, there, score="negative entropy")
    assert found.value == pytest.approx(1 / 3)
    assert found.threshold == pytest.approx(np.log(0.5))


def test_difference_by_hand() -> None:
    found = difference_of_confidences([0.9, 0.3], [1, 1], [[0.4, 0.6], [0.5, 0.5]])
    assert found.here == 0.5
    assert found.fall == pytest.approx(0.8 - 0.55)
    assert found.value == pytest.approx(0.25)
    assert difference_of_confidences([0.9, 0.9], [0, 0], [0.5]).value == 0  # kept within [0, 1]


def test_confidence_forecasts_follow_a_calibrated_model() -> None:
    (_, p, y), (_, q, z) = calibrated(1.0, 1), calibrated(0.0, 2)
    actual = np.mean((q > 0.5) == z)
    here = np.mean((p > 0.5) == y)
    assert here - actual > 0.05
    assert abs(difference_of_confidences(p, y, q).value - actual) < 0.02
    for score in ("confidence", "negative entropy"):
        found = average_thresholded_confidence(p, y, q, score=score).value
        assert abs(found - actual) < abs(here - actual)
        assert found < here - 0.05


# --- agreement ------------------------------------------------------------------------------------


def test_agreement_by_hand() -> None:
    one, two, y = ["a", "b", "a", "b"], ["a", "b", "b", "b"], ["a", "b", "a", "a"]
    found = agreement(one, two, y, ["a", "a"], ["a", "b"])
    assert found.here == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert (found.agreement_here, found.agreement_elsewhere) == (0.75, 0.5)
    assert found.value == pytest.approx(0.5 + 0.625 - 0.75)
    assert agreement(one, two, y, ["a", "a"], ["a", "b"], corrected=False).value == 0.5
    other = agreement(one, two, y, ["a", "a"], ["a", "b"], accuracy_here=1.0)
    assert other.value == pytest.approx(0.75)
    assert agreement(one, one, y, one, one).value == pytest.approx(0.75)


# --- weights ------------------------------------------------------------------------------------


def test_weights_by_hand() -> None:
    found = importance_weighted_loss([1.0, 2.0, 4.0], [0.0, 0.5, 0.75])  # weights 0, 1, 3
    assert found.value == pytest.approx(14 / 4)
    assert found.here == pytest.approx(7 / 3)
    assert found.effective_rows == pytest.approx(16 / 10)
    by_class = label_shift_weighted_loss([1.0, 2.0, 4.0], [0, 1, 1], [0.5, 1.5])
    assert by_class.value == pytest.approx((0.5 + 3 + 6) / 3.5)


def test_no_weights_no_forecast() -> None:
    gone = importance_weighted_loss([1.0, 2.0], [np.nan, np.nan])
    assert np.isnan(gone.value)
    assert gone.reason
    none = importance_weighted_loss([1.0, 2.0], [0.0, 0.0])
    assert np.isnan(none.value)
    assert none.effective_rows == 0
    blind = label_shift_weighted_loss([1.0, 2.0], [0, 1], [np.nan, np.nan])
    assert np.isnan(blind.value)
    assert "could not be estimated" in blind.reason


def test_density_weights_forecast_covariate_shift() -> None:
    """With true density ratios, and with those of the two-sample test, for a squared error."""
    g = rng(22)
    x, z = g.normal(size=(4000, 2)), g.normal([0.8, 0], size=(4000, 2))
    loss, actual = x[:, 0] ** 2, float(np.mean(z[:, 0] ** 2))
    true = 1 / (1 + np.exp(-(0.8 * x[:, 0] - 0.32)))
    exact = importance_weighted_loss(loss, true)
    assert abs(exact.value - 1.64) < 0.15
    assert exact.effective_rows == pytest.approx(4000 / np.exp(0.64), rel=0.25)
    found = importance_weighted_loss(loss, classifier_two_sample(x, z).probability[:4000])
    assert abs(found.value - actual) < abs(found.here - actual) / 3


def test_class_weights_forecast_label_shift_on_digits() -> None:
    x, y = load_digits(return_X_y=True)
    learn, here, rest = np.split(rng(23).permutation(len(y)), [200, 1000])
    model = LogisticRegression(C=0.02, max_iter=500).fit(x[learn] / 16, y[learn])
    guess, there = model.predict(x[here] / 16), model.predict(x[rest] / 16)
    loss = (guess != y[here]).astype(float)
    hard = np.argsort(np.bincount(y[here], loss) / np.bincount(y[here]))[-3:]
    keep = np.isin(y[rest], hard) | (rng(24).random(len(rest)) < 0.15)
    actual = float(np.mean(there[keep] != y[rest][keep]))
    weights = black_box_shift(y[here], guess, there[keep], n_classes=10).weights
    found = label_shift_weighted_loss(loss, y[here], weights)
    assert actual - found.here > 0.03
    assert abs(found.value - actual) < abs(found.here - actual) / 2


# --- comparison -----------------------------------------------------------------------------------


KEYS = [(("site", name),) for name in "abc"]


def test_comparison_by_hand() -> None:
    actual = [0.7, 0.8, 0.6]
    better, worse = compare_forecasts(
        {
            "no change": [(k, 0.9, a) for k, a in zip(KEYS, actual, strict=True)],
            "half way": [
                (k, a + m, a) for k, a, m in zip(KEYS, actual, (0.1, -0.1, 0.1), strict=True)
            ],
        },
        quantity="accuracy",
    )
    assert (better.method, worse.method) == ("half way", "no change")
    assert better.error == pytest.approx(0.1)
    assert better.low == better.high == pytest.approx(0.1)
    assert worse.error == pytest.approx(0.2)
    gains = np.array([0.1, 0.0, 0.2])
    assert better.gain == pytest.approx(0.1)
    half = 4.302652729911275 * gains.std(ddof=1) / np.sqrt(3)
    assert better.gain_low == pytest.approx(0.1 - half)
    assert better.gain_high == pytest.approx(0.1 + half)
    assert (worse.gain, worse.gain_low, worse.gain_high) == (0, 0, 0)
    assert better.rows[1].key == KEYS[1]
    assert better.rows[1].forecast == pytest.approx(0.7)
    assert not better.reason


def test_a_method_without_some_forecasts() -> None:
    found = {
        one.method: one
        for one in compare_forecasts(
            {
                "no change": [(KEYS[0], 0.9, 0.7), (KEYS[1], 0.9, 0.8), (KEYS[2], 0.9, 0.1)],
                "gappy": [(KEYS[0], 0.7, 0.7), (KEYS[1], np.nan, 0.8), (KEYS[2], 0.2, 0.1)],
                "rare": [(KEYS[0], 0.8, 0.7)],
            }
        )
    }
    assert list(found) == ["gappy", "no change", "rare"]
    assert found["gappy"].error == pytest.approx(0.05)
    assert found["gappy"].gain == pytest.approx((0.2 + 0.7) / 2)
    assert np.isnan(found["rare"].error)
    assert np.isnan(found["rare"].gain)
    assert found["rare"].reason.startswith("one group")
    assert len(found["gappy"].rows) == 3


def test_limits_cover_the_mean_error() -> None:
    hits = []
    for seed in range(300):
        miss = rng(25, seed).normal(0, 0.1, 12)
        keys = [(("site", i),) for i in range(12)]
        (one,) = compare_forecasts(
            {"no change": [(k, 0.5 + m, 0.5) for k, m in zip(keys, miss, strict=True)]}
        )
        hits.append(one.low <= 0.1 * np.sqrt(2 / np.pi) <= one.high)
    assert 0.9 <= np.mean(hits) <= 0.98


# --- conformance and bad input --------------------------------------------------------------------


P, Q = rng(26).dirichlet([1, 1, 1], 40), rng(27).dirichlet([2, 1, 1], 30)
LABELS = rng(28).integers(0, 3, 40)
MEASURES = {
    "thresholded": (
        average_thresholded_confidence,
        ({"probability_here": P, "y_here": LABELS}, {"probability_elsewhere": Q}),
        {"score": "negative entropy", "tolerance": 1e-6},
    ),
    "difference": (
        difference_of_confidences,
        ({"probability_here": P, "y_here": LABELS}, {"probability_elsewhere": Q}),
        {},
    ),
    "agreement": (
        agreement,
        (
            {"first_here": LABELS, "second_here": P.argmax(axis=1), "y_here": LABELS[::-1]},
            {"first_elsewhere": Q.argmax(axis=1), "second_elsewhere": Q.argmin(axis=1)},
        ),
        {},
    ),
    "importance": (
        importance_weighted_loss,
        ({"loss_here": P[:, 0], "probability_of_elsewhere": P[:, 1]},),
        {},
    ),
    "by class": (
        label_shift_weighted_loss,
        ({"loss_here": P[:, 0], "y_here": LABELS},),
        {"weights": [0.5, 1, 2]},
    ),
}
CHECKS = {
    f"{measure}: {name}": check
    for measure, (function, sides, settings) in MEASURES.items()
    for name, check in measure_checks(function, *sides, **settings)
}


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@dataclass(frozen=True)
class Answer:
    value: float


@dataclass
class Loose:
    value: float


STATE = iter(range(1000))


def writes(x: np.ndarray) -> Answer:
    x *= 1.0
    return Answer(float(x.mean()))


def changes(x: np.ndarray) -> Answer:
    if x.flags.writeable:
        x[0] += 1.0
    return Answer(float(x.mean()))


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (lambda x: float(x.mean()), "answer"),
        (lambda x: Loose(float(x.mean())), "answer"),
        (lambda x: Answer(float("nan")), "answer"),
        (lambda x: Answer(float(next(STATE))), "repeats"),
        (lambda x: Answer(float(x[0])), "row_order"),
        (lambda x: Answer(float((x * x * x).sum())), "float32"),
        (lambda x: Answer(float(x.flags.c_contiguous)), "layouts"),
        (writes, "layouts"),
        (changes, "inputs_kept"),
        (lambda x: Answer(float(x.mean() + 0 * np.random.random())), "global_state"),  # noqa: NPY002
    ],
)
def test_the_check_finds_what_is_broken(broken, check: str) -> None:
    side = {"x": rng(29).normal(size=40)}
    with pytest.raises(AssertionError, match="measure"):
        check_measure(broken, side)
    with pytest.raises(AssertionError, match="measure"):
        dict(measure_checks(broken, side))[check]()
    check_measure(lambda x: Answer(float(np.sort(x).astype(float).mean())), side)


@pytest.mark.parametrize(
    ("call", "argument", "words"),
    [
        (lambda: average_thresholded_confidence(P, LABELS[1:], Q), "y_here", "39 rows"),
        (lambda: average_thresholded_confidence(P, LABELS, Q[:, :2]), "probability_else", "2 col"),
        (lambda: average_thresholded_confidence(P, LABELS, 2 * Q), "probability_else", "add up"),
        (lambda: average_thresholded_confidence(P, LABELS, Q, score="margin"), "score", "margin"),
        (lambda: average_thresholded_confidence([], [], [0.5]), "probability_here", "no rows"),
        (lambda: difference_of_confidences(P, LABELS + 1, Q), "y_here", "class codes 0 to 2"),
        (lambda: difference_of_confidences(["a"], [0], [0.5]), "probability_here", "'a'"),
        (lambda: agreement([0], [0, 1], [0], [0], [0]), "second_here", "2 rows"),
        (lambda: agreement([0], [0], [0], [], []), "first_elsewhere", "no rows"),
        (lambda: agreement([0], [0], [0], [0], [0], accuracy_here=2), "accuracy_here", "is 2"),
        (lambda: importance_weighted_loss([1, 2], [0.5]), "probability_of", "shape"),
        (lambda: importance_weighted_loss([1, 2], [0.5, 1.0]), "probability_of", "0 <= p < 1"),
        (lambda: importance_weighted_loss([1, None], [0.5, 0.5]), "loss_here", "misses 1"),
        (lambda: label_shift_weighted_loss([1], [0], [-1, 1]), "weights", "negative"),
        (lambda: label_shift_weighted_loss([1], [2], [1, 1]), "y_here", "holds 2"),
        (lambda: compare_forecasts({}), "rows", "lacks 'no change'"),
        (
            lambda: compare_forecasts({"no change": [(KEYS[0], 1, 1), (KEYS[0], 1, 1)]}),
            "rows",
            "twice",
        ),
    ],
)
def test_bad_input(call, argument: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        call()
    assert error.value.argument.startswith(argument)
