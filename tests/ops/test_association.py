"""Association of features that fire with classes and groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from sklearn.datasets import load_digits

from elsewhere.core.errors import InputError
from elsewhere.ops.association import feature_rows, fires, npmi, npmi_by_group


def table(seed: int, n: int = 200, d: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (rng.random((n, d)) < rng.random(d) ** 2).astype(float)
    return x, rng.integers(0, 2, n), rng.choice(["a", "b", "c"], n)


def in_loops(x: np.ndarray, y: np.ndarray, least: float) -> list[float]:
    """The rule row by row."""
    found = []
    for j in range(x.shape[1]):
        fired = both = given = 0
        for i in range(len(x)):
            fired += x[i, j] == 1
            given += y[i] == 1
            both += x[i, j] == 1 and y[i] == 1
        f, p, both = fired / len(x), given / len(x), both / len(x)
        value = 0.0
        if f > least and p > 0 and both < 1:
            value = math.log2((both + 1e-10) / ((f + 1e-10) * p)) / -math.log2(both + 1e-10)
        found.append(value)
    return found


def test_loops_give_the_same() -> None:
    x, y, group = table(0)
    for least in (0.01, 0.2):
        expected = in_loops(x, y, least)
        assert npmi(x, y, least_frequency=least) == pytest.approx(expected, abs=1e-12)
    values, groups = npmi_by_group(x, group)
    assert groups.keys == ("a", "b", "c")
    for g, key in enumerate(groups.keys):
        assert values[:, g] == pytest.approx(in_loops(x, group == key, 0.01), abs=1e-12)


def test_by_hand() -> None:
    # f = p = 1/2: together always, by chance, never.
    x = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
    never = -1 - math.log2(0.25) / -math.log2(1e-10)
    assert npmi(x, [1, 1, 0, 0]) == pytest.approx([1, 0, never], abs=1e-6)


def test_what_has_no_value_is_0() -> None:
    x = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0]])
    assert npmi(x, [0, 0, 0]).tolist() == [0, 0, 0]
    assert npmi(x, [1, 1, 1])[1] == 0
    assert npmi(x, [1, 0, 0], least_frequency=1 / 3) == pytest.approx([0, 0, 0], abs=1e-9)
    assert npmi(x, [1, 0, 0], least_frequency=0.3)[2] == pytest.approx(1)
    assert npmi([[1, 0]], [1]).tolist() == [0, 0]


def test_sparse_tables_give_the_same() -> None:
    x, y, group = table(1)
    for sparse in (csr_array(x), coo_array(x), csr_array(x.astype(np.int8))):
        assert npmi(sparse, y) == pytest.approx(npmi(x, y), abs=1e-12)
        assert npmi_by_group(sparse, group)[0] == pytest.approx(npmi_by_group(x, group)[0])


def test_rows_of_features_stay_as_they_were() -> None:
    x = csr_array(np.array([[0.0, 2.0], [-1.0, 0.0]]))
    x.data[0] = 0.0
    found = feature_rows(x)
    assert (found.nnz, x.nnz) == (1, 2)
    assert fires(found).toarray().tolist() == [[0, 0], [0, 0]]
    assert fires(np.array([[0.5, -1, 0]])).tolist() == [[1, 0, 0]]


def test_read_only_and_strided_tables() -> None:
    x, y, _ = table(2)
    wide = np.repeat(x, 2, axis=0)[::2]
    wide.flags.writeable = False
    assert npmi(wide, y) == pytest.approx(npmi(x, y))
    assert npmi(x.astype(bool), y == 1) == pytest.approx(npmi(x, y))


def test_pixels_of_digits() -> None:
    pixels, digit = load_digits(return_X_y=True)
    lit = (pixels > 8).astype(int)
    values, digits = npmi_by_group(lit, digit)
    centre = 8 * 3 + 3  # dark in a zero, lit in most others
    assert values[centre, digits.keys.index(0)] == values[centre].min()
    assert values[centre].max() > 0 > values[centre, 0]
    assert (values[lit.mean(axis=0) <= 0.01] == 0).all()


@pytest.mark.parametrize(
    ("x", "y", "argument", "words"),
    [
        ([[2, 0]], [1], "x_binary", "other than 0 and 1.*x > 0"),
        (csr_array(np.array([[2.0, 0]])), [1], "x_binary", "other than 0 and 1"),
        ([[1, 0]], [3], "y_binary", "other than 0 and 1"),
        ([[1, 0]], [1, 0], "y_binary", "2 rows for 1"),
        (np.empty((0, 2)), [], "x_binary", "no rows"),
        (csr_array((0, 2)), [], "x_binary", "shape"),
        ([[np.nan, 0]], [1], "x_binary", "missing or infinite"),
        (csr_array(np.array([[np.nan, 0]])), [1], "x_binary", "missing or infinite"),
    ],
)
def test_bad_input(x: object, y: list[int], argument: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        npmi(x, y)
    assert error.value.argument == argument
