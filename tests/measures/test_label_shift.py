"""Class shares elsewhere from predictions alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from elsewhere.core.errors import InputError
from elsewhere.measures.label_shift import black_box_shift
from elsewhere.testing import measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


Y = np.repeat([0, 1], [10, 10])
GUESS = np.concatenate([np.repeat([0, 1], [8, 2]), np.repeat([0, 1], [1, 9])])


def test_two_classes_by_hand() -> None:
    # P(guess 1) = .2 (1 - q) + .9 q = .55, so q = .5; .69 gives q = .7.
    there = np.repeat([0, 1], [31, 69])
    found = black_box_shift(Y, GUESS, there, n_classes=2)
    assert found.shares == pytest.approx([0.3, 0.7])
    assert found.weights == pytest.approx([0.6, 1.4])
    assert found.shares_here == pytest.approx([0.5, 0.5])
    singular = np.linalg.svd([[0.8, 0.1], [0.2, 0.9]], compute_uv=False)
    assert found.condition == pytest.approx(singular[0] / singular[1])
    assert (found.low < found.shares).all()
    assert (found.shares < found.high).all()


def test_the_same_mix_gives_weights_of_one() -> None:
    found = black_box_shift(Y, GUESS, GUESS, n_classes=2)
    assert found.weights == pytest.approx([1, 1])


def test_impossible_mixes_are_cut_off() -> None:
    found = black_box_shift(Y, GUESS, np.ones(50, dtype=int), n_classes=2)
    assert found.shares == pytest.approx([0, 1])
    assert found.weights == pytest.approx([0, 2])
    assert (found.low >= 0).all()
    assert (found.high <= 1).all()


def test_probabilities_of_a_sure_model_are_its_classes() -> None:
    there = rng().integers(0, 2, 40)
    hard = black_box_shift(Y, GUESS, there, n_classes=2)
    soft = black_box_shift(Y, np.eye(2)[GUESS], np.eye(2)[there], n_classes=2)
    assert hard.shares == pytest.approx(soft.shares)
    assert hard.high == pytest.approx(soft.high)


def test_limits_are_those_of_leaving_rows_out() -> None:
    """The jackknife, in loops."""
    g = rng(1)
    y, there = g.integers(0, 3, 150), g.integers(0, 3, 120)
    guess = np.where(g.random(150) < 0.7, y, g.integers(0, 3, 150))

    def shares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        c = np.array([[np.mean(guess[a][y[a] == j] == i) for j in range(3)] for i in range(3)])
        return np.linalg.solve(c, [np.mean(there[b] == i) for i in range(3)])

    one, two = np.arange(150), np.arange(120)
    variance = np.zeros(3)
    for n, leave in (
        (150, lambda i: shares(np.delete(one, i), two)),
        (120, lambda i: shares(one, np.delete(two, i))),
    ):
        left = np.array([leave(i) for i in range(n)])
        variance += (n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0)
    found = black_box_shift(y, guess, there, n_classes=3)
    assert found.shares == pytest.approx(shares(one, two))
    half = (found.high - found.low) / 2 / 1.98
    assert half == pytest.approx(np.sqrt(variance), rel=0.03)


def mixed(seed: int, n: int, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = rng(2, seed)
    y, z = (g.random(n) < 0.4).astype(int), (g.random(n) < q).astype(int)
    return y, *(np.where(g.random(n) < 0.8, c, 1 - c) for c in (y, z))


def test_limits_cover() -> None:
    hits = [
        found.low[1] <= 0.7 <= found.high[1]
        for found in (black_box_shift(*mixed(s, 300, 0.7), n_classes=2) for s in range(400))
    ]
    assert 0.925 <= np.mean(hits) <= 0.98


def test_blocks_of_copies_count_once() -> None:
    y, guess, there = mixed(0, 100, 0.6)
    block = np.arange(100)
    plain = black_box_shift(
        y, guess, there, n_classes=2, block_here=block, block_elsewhere=block + 100
    )
    copied = black_box_shift(
        *(np.repeat(v, 4) for v in (y, guess, there)),
        n_classes=2,
        block_here=np.repeat(block, 4),
        block_elsewhere=np.repeat(block + 100, 4),
    )
    assert copied.low == pytest.approx(plain.low)
    assert copied.high == pytest.approx(plain.high)


def test_what_cannot_be_told_says_why() -> None:
    blind = black_box_shift([0, 0, 1, 1], [0, 1, 0, 1], [0, 1], n_classes=2)
    assert np.isnan(blind.shares).all()
    assert np.isnan(blind.weights).all()
    assert "hardly depend on the class" in blind.reason
    assert blind.condition > 100
    unseen = black_box_shift([0, 0, 1, 1], [0, 0, 1, 1], [0, 2], n_classes=3)
    assert np.isnan(unseen.weights).all()
    assert "no rows of class 2" in unseen.reason
    assert unseen.shares_here == pytest.approx([0.5, 0.5, 0])


def test_digits() -> None:
    x, y = load_digits(return_X_y=True)
    order = rng(3).permutation(len(y))
    learn, here, rest = np.split(order, [500, 1100])
    model = LogisticRegression(C=0.01, max_iter=500).fit(x[learn] / 16, y[learn])
    keep = rest[rng(4).random(len(rest)) < np.where(y[rest] < 5, 1.0, 0.25)]
    found = black_box_shift(
        y[here], model.predict(x[here] / 16), model.predict(x[keep] / 16), n_classes=10
    )
    true = np.bincount(y[keep], minlength=10) / len(keep)
    assert np.abs(found.shares - true).max() < 0.04
    assert np.abs(found.shares - true).sum() < np.abs(found.shares_here - true).sum() / 3
    assert ((found.low <= true) & (true <= found.high)).sum() >= 9


CHECKS = dict(
    measure_checks(
        black_box_shift,
        {"y_here": mixed(5, 80, 0.6)[0], "predicted_here": mixed(5, 80, 0.6)[1]},
        {"predicted_elsewhere": mixed(5, 80, 0.6)[2]},
        n_classes=2,
    )
)


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"y_here": [0, 2]}, "y_here", "holds 2; expected class codes 0 to 1"),
        ({"y_here": ["a", "b"]}, "y_here", "number the classes"),
        ({"y_here": [0, 0.5]}, "y_here", "holds 0.5"),
        ({"predicted_here": [0]}, "predicted_here", "1 rows; expected 2"),
        ({"predicted_here": [[0.5, 0.6], [0.5, 0.5]]}, "predicted_here", "add up to 1"),
        ({"predicted_elsewhere": [[0.2, 0.3, 0.5]]}, "predicted_elsewhere", "3 columns"),
        ({"predicted_elsewhere": []}, "predicted_elsewhere", "no rows"),
        ({"predicted_elsewhere": [0, None]}, "predicted_elsewhere", "misses 1"),
        ({"n_classes": 1}, "n_classes", "at least 2"),
        ({"level": 0}, "level", "between 0 and 1"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"y_here": [0, 1], "predicted_here": [0, 1], "predicted_elsewhere": [0, 1]}
    with pytest.raises(InputError, match=words) as error:
        black_box_shift(**({"n_classes": 2} | given | changes))
    assert error.value.argument == argument
