"""Features that go with a class and with no group."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

from elsewhere.core.errors import InputError
from elsewhere.ops.association import npmi
from elsewhere.remedies.feature_filter import npmi_filter
from elsewhere.testing import measure_checks


def world(seed: int = 0, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A word of the class, a word of one group, a word that one group lacks, noise, a rare word."""
    rng = np.random.default_rng(seed)
    group, y = rng.choice(list("abcdef"), n), rng.integers(0, 2, n)
    x = np.column_stack(
        [
            rng.random(n) < np.where(y, 0.8, 0.1),
            (group == "a") & (rng.random(n) < 0.9),
            (group != "b") & (rng.random(n) < np.where(y, 0.8, 0.1)),
            rng.random(n) < 0.4,
            np.arange(n) < 3,
        ]
    )
    return x * rng.uniform(0.5, 4, x.shape), y, group


def test_the_word_of_the_class_stays() -> None:
    x, y, group = world()
    found = npmi_filter(x, y, group, signed=True)
    assert found.kept.tolist() == [True, False, True, False, False]
    assert found.group[1] == "a"
    assert found.with_group[1] > 0.5
    assert found.frequency == pytest.approx((x > 0).mean(axis=0))


def test_absolute_values_reject_what_never_fires_in_one_group() -> None:
    """The published rule, pinned beside the signed one."""
    x, y, group = world()
    absolute, signed = npmi_filter(x, y, group), npmi_filter(x, y, group, signed=True)
    assert absolute.kept.tolist() == [True, False, False, False, False]
    assert absolute.group[2] == "b"
    assert absolute.with_group[2] == pytest.approx(-0.9, abs=0.1)
    assert signed.kept[2]
    assert 0 < signed.with_group[2] < 0.5


def test_one_feature_and_group_at_a_time_gives_the_same() -> None:
    x, y, group = world(1)
    for signed in (False, True):
        found = npmi_filter(x, y, group, signed=signed)
        for j in range(x.shape[1]):
            fired = (x[:, [j]] > 0).astype(int)
            each = {g: npmi(fired, (group == g).astype(int))[0] for g in "abcdef"}
            top = max(each, key=lambda g: each[g] if signed else abs(each[g]))
            size = each[top] if signed else abs(each[top])
            with_class = npmi(fired, y)[0]
            kept = abs(with_class) > 0.1 and size < 0.5 and fired.mean() > 0.01
            assert found.kept[j] == kept
            assert found.group[j] == top
            assert found.with_group[j] == pytest.approx(each[top])
            assert found.with_class[j] == pytest.approx(with_class)


def test_sparse_and_plain_labels() -> None:
    x, y, group = world(2)
    plain = npmi_filter(x, y, group)
    for found in (npmi_filter(csr_array(x), y, group), npmi_filter(x, y == 1, group.tolist())):
        assert found.kept.tolist() == plain.kept.tolist()
        assert found.with_class == pytest.approx(plain.with_class)


def test_thresholds_matter() -> None:
    x, y, group = world()
    assert not npmi_filter(x, y, group, class_least=1).kept.any()
    assert not npmi_filter(x, y, group, group_most=0).kept.any()
    loose = npmi_filter(x, y, group, class_least=0, group_most=1, least_frequency=0, signed=True)
    assert loose.kept.all()


def test_pixels_of_digits_that_tell_a_digit_apart() -> None:
    pixels, digit = load_digits(return_X_y=True)
    halves = np.arange(len(digit)) % 2  # no pixel tells the two halves apart
    found = npmi_filter(pixels > 8, digit == 0, halves)
    assert 5 < found.kept.sum() < 50
    own = npmi_filter(pixels > 8, digit == 0, digit)
    assert not own.kept[np.abs(own.with_class) >= 0.5].any()


CHECKS = dict(
    measure_checks(npmi_filter, {"x": world(3)[0], "y": world(3)[1], "group": world(3)[2]})
)


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


def test_one_row_keeps_nothing() -> None:
    assert npmi_filter([[1.0, 0.0]], [1], ["a"]).kept.tolist() == [False, False]


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"y": ["a", "b"]}, "y", "holds 'b'; expected 0 or 1"),
        ({"y": [0]}, "y", "1 values for 2 rows"),
        ({"group": ["a"]}, "group", "1 values for 2 rows"),
        ({"group": ["a", None]}, "group", "misses 1"),
        ({"x": [[1.0], [np.nan]]}, "x", "missing or infinite"),
        ({"class_least": -1}, "class_least", "from 0 to 1"),
        ({"group_most": 2}, "group_most", "from 0 to 1"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"x": [[1.0], [0.0]], "y": [0, 1], "group": ["a", "b"]} | changes
    with pytest.raises(InputError, match=words) as error:
        npmi_filter(**given)
    assert error.value.argument == argument
