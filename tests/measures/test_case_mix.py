import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import scale

from elsewhere.core.errors import InputError
from elsewhere.measures.case_mix import StandardisedArea, expected_auc, standardised_auc
from elsewhere.testing import measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def table(seed: int, n: int, spread: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and their outcomes."""
    g = rng(seed, n)
    p = 1 / (1 + np.exp(-g.normal(shift, spread, n)))
    return p, (g.random(n) < p).astype(int)


def pairs(p: np.ndarray, w: np.ndarray) -> float:
    """Expected area over all pairs, in loops."""
    above = below = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                weight = w[i] * w[j] * p[i] * (1 - p[j])
                below += weight
                above += weight * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
    return above / below


@pytest.mark.parametrize("digits", [1, 9])
def test_expected_area_is_that_of_all_pairs(digits: int) -> None:
    g = rng(1)
    p, w = np.round(g.random(45), digits), np.round(g.random(45), 1)
    assert expected_auc(p) == pytest.approx(pairs(p, np.ones(45)), abs=1e-12)
    assert expected_auc(p, weight=w) == pytest.approx(pairs(p, w), abs=1e-12)


def test_expected_area_is_the_mean_of_areas_of_outcomes_drawn_from_it() -> None:
    p, _ = table(0, 400, 1.2)
    g = rng(2)
    drawn = np.mean([roc_auc_score(g.random(400) < p, p) for _ in range(120)])
    assert expected_auc(p) == pytest.approx(drawn, abs=0.008)


def test_expected_area_of_no_pairs_or_of_equal_rows() -> None:
    for given in ([], [0.3], [0.0, 0.0], [1.0, 1.0]):
        assert np.isnan(expected_auc(given))
    assert expected_auc([0.2, 0.2, 0.2]) == pytest.approx(0.5)
    assert expected_auc([0.0, 1.0]) == 1


def test_expected_area_on_a_table_of_others() -> None:
    """A calibrated model gets about what it promises; one that is too sure gets less."""
    x, y = load_breast_cancer(return_X_y=True)
    x = scale(x[:, :3])
    model = LogisticRegression()
    p = cross_val_predict(model, x, y, cv=5, method="predict_proba")[:, 1]
    observed = roc_auc_score(y, p)
    assert expected_auc(p) == pytest.approx(observed, abs=0.015)
    sure = p**4 / (p**4 + (1 - p) ** 4)
    assert roc_auc_score(y, sure) == pytest.approx(observed)
    assert expected_auc(sure) > observed + 0.02


def test_standardised_to_itself_nothing_changes() -> None:
    p, y = table(3, 900, 1.5)
    found = standardised_auc(p, y, p, prevalence=y.mean())
    assert found.value == pytest.approx(roc_auc_score(y, p), abs=1e-9)
    assert found.plain == pytest.approx(found.value, abs=1e-9)
    assert found.effective_rows == pytest.approx(900)
    assert found.expected == expected_auc(p)


def test_weights_give_the_shares_of_bins_and_of_positives() -> None:
    """The same in loops: raking until both margins stand."""
    p, y = table(4, 500, 1.0)
    reference, _ = table(5, 3000, 1.6, 0.4)
    edges = np.quantile(reference, [0.25, 0.5, 0.75])
    own, other = np.searchsorted(edges, p, "right"), np.searchsorted(edges, reference, "right")
    w = np.ones(500)
    for _ in range(500):
        for k in range(4):
            w[own == k] *= np.mean(other == k) / w[own == k].sum()
        for c, share in ((0, 0.4), (1, 0.6)):
            w[y == c] *= share / w[y == c].sum()
    found = standardised_auc(p, y, reference, prevalence=0.6, bins=4)
    assert found.value == pytest.approx(roc_auc_score(y, p, sample_weight=w), abs=1e-8)
    assert found.effective_rows == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-6)


def test_a_narrower_range_is_taken_out_and_a_worse_model_is_not() -> None:
    everyone, _ = table(6, 20_000, 1.6)
    all_rows = expected_auc(everyone)
    p, y = table(7, 4000, 0.9)
    found = standardised_auc(p, y, everyone)
    assert found.plain < all_rows - 0.08
    assert found.value > all_rows - 0.03
    assert found.value - found.plain > 0.06
    noisy, _ = table(8, 4000, 1.6)
    blind = standardised_auc(noisy, y[::-1], everyone)
    assert blind.value < 0.55


def test_limits_are_those_of_leaving_rows_or_blocks_out() -> None:
    """The jackknife, in loops."""
    p, y = table(9, 240, 1.1)
    reference, _ = table(10, 2000, 1.4)
    block = np.arange(240) // 3
    for unit, given in ((np.arange(240), None), (block, block)):
        left = np.array(
            [
                standardised_auc(
                    p[unit != b], y[unit != b], reference, prevalence=0.5, bins=4
                ).value
                for b in np.unique(unit)
            ]
        )
        n = len(left)
        error = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
        found = standardised_auc(p, y, reference, prevalence=0.5, bins=4, block=given)
        odds = np.log([found.low / (1 - found.low), found.high / (1 - found.high)])
        half = (odds[1] - odds[0]) / 2 / 1.975 * found.value * (1 - found.value)
        assert half == pytest.approx(error, rel=0.1)


def test_limits_cover() -> None:
    reference, _ = table(11, 40_000, 1.3)
    truth = expected_auc(reference)
    hits = []
    for s in range(150):
        p, y = table(100 + s, 600, 1.1)
        found = standardised_auc(p, y, reference)
        hits.append(found.low <= truth <= found.high)
    assert np.mean(hits) >= 0.89


def test_blocks_of_copies_count_once() -> None:
    p, y = table(12, 200, 1.2)
    reference, _ = table(13, 1000, 1.2)
    plain = standardised_auc(p, y, reference, bins=4, block=np.arange(200))
    copied = standardised_auc(
        np.repeat(p, 3), np.repeat(y, 3), reference, bins=4, block=np.repeat(np.arange(200), 3)
    )
    assert copied.low == pytest.approx(plain.low, abs=0.003)
    assert copied.value == pytest.approx(plain.value)


def test_what_cannot_be_standardised_says_why() -> None:
    p, y = table(14, 300, 0.3)
    everyone, _ = table(15, 3000, 2.5)
    found = standardised_auc(p, y, everyone)
    assert np.isnan(found.value)
    assert "no rows in" in found.reason
    assert "of its rows" in found.reason
    assert found.plain == pytest.approx(roc_auc_score(y, p))
    few = standardised_auc(p[:12], y[:12], everyone)
    assert np.isnan([few.value, few.plain]).all()
    assert "fewer than 10 rows of a class" in few.reason
    assert few.n_rows == 12
    none = standardised_auc([], [], everyone)
    assert none.reason == "no rows"
    assert none.n_rows == 0
    one = standardised_auc([0.4], [1], everyone)
    assert "one class only" in one.reason
    split = np.repeat([0.2, 0.8], 50)
    apart = standardised_auc(split, (split > 0.5).astype(int), split, bins=2, prevalence=0.1)
    assert "no weights give a share of 0.1 positives" in apart.reason


def checked(probability, y) -> StandardisedArea:
    return standardised_auc(probability, y, REFERENCE, bins=4)


REFERENCE = table(16, 500, 1.3)[0]
CHECKS = dict(
    measure_checks(checked, dict(zip(("probability", "y"), table(17, 200, 1.2), strict=True)))
)


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"probability": [0.5, 1.5]}, "probability", "predict_proba"),
        ({"probability": [0.5, None]}, "probability", "misses 1"),
        ({"probability": ["a", "b"]}, "probability", "numbers"),
        ({"y": [0, 2]}, "y", "holds 2; expected 0 and 1"),
        ({"y": [0]}, "y", "1 rows; expected 2"),
        ({"reference_probability": []}, "reference_probability", "no rows"),
        ({"reference_probability": [-0.1]}, "reference_probability", "-0.1"),
        ({"prevalence": 1}, "prevalence", "between 0 and 1"),
        ({"bins": 1}, "bins", "at least 2"),
        ({"block": [1]}, "block", "1 rows; expected 2"),
        ({"level": 1}, "level", "between 0 and 1"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"probability": [0.2, 0.7], "y": [0, 1], "reference_probability": [0.1, 0.5]}
    with pytest.raises(InputError, match=words) as error:
        standardised_auc(**(given | changes))
    assert error.value.argument == argument


def test_bad_weights() -> None:
    with pytest.raises(InputError, match="weight"):
        expected_auc([0.2, 0.4], weight=[-1, 1])
