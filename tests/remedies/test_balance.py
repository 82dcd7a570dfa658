"""Equal totals and equal counts for groups and classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from elsewhere.core.errors import InputError
from elsewhere.remedies.balance import balanced_rows, balanced_weights, cells


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


GROUP = rng(1).choice(list("abc"), 300, p=[0.7, 0.2, 0.1])
Y = (rng(2).random(300) < np.where(GROUP == "a", 0.8, 0.3)).astype(int)


@pytest.mark.parametrize("y", [None, Y])
def test_every_cell_has_the_same_total(y: np.ndarray | None) -> None:
    weight = balanced_weights(GROUP, y)
    key = GROUP if y is None else [f"{g}{c}" for g, c in zip(GROUP, y, strict=True)]
    totals = {one: weight[np.array(key) == one].sum() for one in set(key)}
    assert list(totals.values()) == pytest.approx([300 / len(totals)] * len(totals))
    assert weight.mean() == pytest.approx(1)
    for one in totals:  # rows of a cell weigh the same
        assert np.ptp(weight[np.array(key) == one]) == 0


def test_weights_are_a_loop_over_rows() -> None:
    block = rng(3).integers(0, 40, 300)
    found = balanced_weights(GROUP, Y, block=block)
    members = list(zip(GROUP.tolist(), Y.tolist(), strict=True))
    for i in range(300):
        own = [j for j in range(300) if members[j] == members[i]]
        blocks = {block[j] for j in own}
        mates = sum(block[j] == block[i] for j in own)
        assert found[i] == pytest.approx(300 / len(set(members)) / len(blocks) / mates)


def test_equal_cells_keep_weights_of_one() -> None:
    assert balanced_weights(list("aabb"), [0, 1, 0, 1]).tolist() == [1, 1, 1, 1]


def test_weights_follow_rows_and_ignore_names() -> None:
    order = rng(4).permutation(300)
    assert balanced_weights(GROUP[order], Y[order]) == pytest.approx(
        balanced_weights(GROUP, Y)[order]
    )
    renamed = np.array([{"a": 3, "b": 1, "c": 2}[g] for g in GROUP])
    assert balanced_weights(renamed, 1 - Y) == pytest.approx(balanced_weights(GROUP, Y))


@pytest.mark.parametrize("y", [None, Y])
def test_every_cell_has_as_many_rows(y: np.ndarray | None) -> None:
    cell = cells(GROUP, y)
    smallest = np.bincount(cell).min()
    rows = balanced_rows(GROUP, y, seed=3)
    assert (np.bincount(cell[rows]) == smallest).all()
    assert (np.diff(rows) > 0).all()
    some = balanced_rows(GROUP, y, size=4, seed=3)
    assert (np.bincount(cell[some]) == 4).all()
    assert set(some) <= set(rows)
    assert (balanced_rows(GROUP, y, seed=3) == rows).all()
    assert (balanced_rows(GROUP, y, seed=4) != rows).any()


def test_every_row_has_the_same_chance() -> None:
    drawn = np.zeros(10)
    for seed in range(600):
        drawn[balanced_rows(list("aaaaaaabbb"), seed=seed)] += 1
    assert drawn[7:] == pytest.approx(600)
    assert drawn[:7] == pytest.approx(600 * 3 / 7, rel=0.15)


def test_wine_weights_undo_a_thinned_class() -> None:
    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    keep = (y != 2) | (rng(5).random(len(y)) < 0.2)
    model = LogisticRegression(C=0.001)
    plain = model.fit(x[keep], y[keep]).predict(x)
    even = model.fit(x[keep], y[keep], sample_weight=balanced_weights(y[keep])).predict(x)
    third = y == 2
    assert (even == y)[third].mean() > (plain == y)[third].mean() + 0.2


def test_small_and_unusual_input() -> None:
    assert balanced_weights(["a"]).tolist() == [1]
    assert balanced_weights([]).tolist() == []
    assert balanced_weights([], [], block=[]).tolist() == []
    assert balanced_rows([]).tolist() == []
    assert balanced_rows(["a"], [1]).tolist() == [0]
    wide = np.repeat(GROUP, 2)[::2]
    wide.flags.writeable = False
    assert balanced_weights(wide, Y) == pytest.approx(balanced_weights(GROUP, Y))
    # A class that a group does not have is no cell.
    assert balanced_weights(list("aab"), [0, 1, 1]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "argument", "words"),
    [
        (lambda: balanced_weights(["a", None]), "group", "misses 1"),
        (lambda: balanced_weights(["a", "b"], [1]), "y", "1 rows; expected 2"),
        (lambda: balanced_weights(["a", "b"], block=[1]), "block", "1 rows; expected 2"),
        (lambda: balanced_rows(["a", "b", "b"], size=2), "size", "at most 1"),
        (lambda: balanced_rows(["a", "b"], [0, 1], size=2), "size", "group and class"),
        (lambda: balanced_rows(["a", "b"], size=0), "size", "at least 1"),
        (lambda: balanced_rows(["a", "b"], size=1.5), "size", "whole number"),
        (lambda: balanced_rows([1.0, np.nan]), "group", "misses 1"),
    ],
)
def test_bad_input(call, argument: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        call()
    assert error.value.argument == argument
