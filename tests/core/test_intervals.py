"""Intervals against published examples, scipy, naive variances and the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import (
    area,
    delong,
    obuchowski,
    placements,
    scikit_value,
    score_limits,
    square_and_add,
)
from scipy import stats

from elsewhere.core.gaps import gap, group_gaps, join
from elsewhere.core.intervals import Moments, difference, interval, quantile, simultaneous, wilson
from elsewhere.core.metrics import get_metric
from elsewhere.core.sampling import Sampling, sample
from elsewhere.core.scores import Scored

ACCURACY = get_metric("accuracy")


def hits(right: int, n: int) -> Scored:
    return Scored([1] * right + [0] * (n - right), y=[1] * n)


# Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10 (score limits combined).
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0000),
    (10, 10, 0, 10, 0.6075, 1.0000),
]


@pytest.mark.parametrize(("a", "m", "b", "n", "low", "high"), NEWCOMBE)
def test_differences_of_proportions_equal_newcombes_examples(
    a: int, m: int, b: int, n: int, low: float, high: float
) -> None:
    g = gap(hits(a, m), hits(b, n), metric="accuracy")
    assert round(g.low, 4) == low
    assert round(g.high, 4) == high


@pytest.mark.parametrize(("a", "m", "b", "n", "low", "high"), NEWCOMBE)
def test_differences_of_recall_equal_newcombes_examples(
    a: int, m: int, b: int, n: int, low: float, high: float
) -> None:
    """Recall is a proportion of the positives, whatever stands beside them."""

    def among_negatives(right: int, positives: int) -> Scored:
        y = [1] * positives + [0] * 37
        return Scored([1] * right + [0] * (positives - right) + [0] * 20 + [1] * 17, y=y)

    g = gap(among_negatives(a, m), among_negatives(b, n), metric="recall")
    assert round(g.low, 4) == low
    assert round(g.high, 4) == high


def paired_sides(both: int, first: int, second: int, none: int) -> tuple[Scored, Scored]:
    one = [1] * (both + first) + [0] * (second + none)
    other = [1] * both + [0] * first + [1] * second + [0] * none
    n = len(one)
    return tuple(Scored(side, y=[1] * n, row=range(n)) for side in (one, other))  # type: ignore[return-value]


def test_models_that_agree_on_a_few_rows_are_not_known_to_agree_everywhere():
    g = gap(*paired_sides(7, 0, 0, 7), metric="accuracy")
    assert g.low < -0.1
    assert g.high > 0.1


@pytest.mark.parametrize(
    "counts",
    [(14, 5, 0, 22), (36, 12, 2, 0), (20, 10, 4, 30), (43, 0, 1, 0), (30, 5, 0, 3), (2, 8, 7, 3)],
)
def test_paired_differences_of_proportions_equal_square_and_add(
    counts: tuple[int, int, int, int],
) -> None:
    g = gap(*paired_sides(*counts), metric="accuracy")
    np.testing.assert_allclose((g.estimate, g.low, g.high), square_and_add(*counts), atol=1e-10)
    both = [
        Scored(s.prediction, y=s.y, row=s.row, group=["a"] * s.n) for s in paired_sides(*counts)
    ]
    _, low, high = group_gaps(join(*both, ACCURACY).sampling(), ACCURACY, 0.95)
    np.testing.assert_allclose((low[0], high[0]), (g.low, g.high), atol=1e-10)
    apart = gap(*(Scored(s.prediction, y=s.y) for s in paired_sides(*counts)), metric="accuracy")
    if counts[0] * counts[3] - counts[1] * counts[2] > sum(counts) / 2:
        assert g.high - g.low < apart.high - apart.low


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 17), (95, 100)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_one_proportion_equals_scipys_score_interval(right: int, n: int, level: float) -> None:
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    g = gap(hits(right, n), hits(right, n), metric="accuracy", level=level)
    np.testing.assert_allclose((g.here_low, g.here_high), expected, atol=1e-9)
    np.testing.assert_allclose(score_limits(right, n, level), expected, atol=1e-9)
    critical = stats.norm.ppf((1 + level) / 2)
    np.testing.assert_allclose(
        wilson(np.array(right / n), np.array(float(n)), critical), expected, atol=1e-9
    )


def test_equal_weights_of_any_size_leave_the_score_interval() -> None:
    expected = stats.binomtest(15, 20).proportion_ci(method="wilson")
    for weight in (0.01, 1, 300):
        side = Scored([1] * 15 + [0] * 5, y=[1] * 20, weight=[weight] * 20)
        for metric in ("accuracy", "recall"):
            g = gap(side, side, metric=metric)
            np.testing.assert_allclose((g.here_low, g.here_high), expected, atol=1e-9)


def test_means_equal_students_intervals() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=12), rng.normal(1, 2, size=9)
    g = gap(Scored(a), Scored(b), metric="mean")
    for x, low, high in ((a, g.here_low, g.here_high), (b, g.elsewhere_low, g.elsewhere_high)):
        expected = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
        np.testing.assert_allclose((low, high), expected, atol=1e-12)


def test_paired_means_are_near_students_paired_interval() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=80)
    b = a + 0.3 * rng.normal(size=80) + 0.1
    g = gap(Scored(a, row=range(80)), Scored(b, row=range(80)), metric="mean")
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose((g.low, g.high), expected, atol=1e-9)


def test_normal_and_student_quantiles_equal_scipy() -> None:
    for freedom in (1, 2.5, 30, 1e6):
        assert float(quantile(0.975, freedom)) == pytest.approx(stats.t.ppf(0.975, freedom))
    assert float(quantile(0.975, np.inf)) == pytest.approx(stats.norm.ppf(0.975))
    assert float(quantile(0.975, 0)) == np.inf


def test_nan_in_gives_nan_out_and_no_variance_estimate_gives_no_limits() -> None:
    nan = Moments(*(np.array([x, 0.5]) for x in (np.nan, 0.01, 10.0, 10.0)))
    for scale in ("real", "proportion", "area"):
        low, high = interval(nan, scale, 0.95)
        assert np.isnan((low[0], high[0])).all()
    one = Moments(*(np.array(x) for x in (0.5, 0.0, 0.0, 1.0)))
    assert [float(x) for x in interval(one, "real", 0.95)] == [-np.inf, np.inf]
    assert [float(x) for x in interval(one, "area", 0.95)] == [0.0, 1.0]


def test_perfectly_correlated_sides_have_an_exact_difference() -> None:
    end = (np.array(0.7), np.array(0.6), np.array(0.8))
    low, high = difference(end, end, 1.0)
    assert abs(float(low)) < 1e-12
    assert float(high - low) == pytest.approx(0, abs=1e-9)


def test_simultaneous_levels_multiply_to_the_joint_level() -> None:
    assert simultaneous(0.95, 7) ** 7 == pytest.approx(0.95)
    assert simultaneous(0.95, 0) == simultaneous(0.95, 1) == 0.95


def rank_rows(seed: int, n: int = 90, *, ties: bool) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(n) % 3 % 2
    first = y + rng.normal(size=n)
    second = 0.6 * first + 0.3 * y + 0.8 * rng.normal(size=n)
    if ties:
        first, second = np.round(first), np.round(second)
    return y, first, second


def areas(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, block: np.ndarray | None = None
) -> Sampling:
    """Both scores as two sides of the same rows."""
    n = len(y)
    metric = get_metric("roc_auc")
    unit = np.tile(np.arange(n) if block is None else block, 2)
    return sample(
        metric,
        metric.prepare(np.tile(y, 2), np.concatenate([first, second])),
        group=np.zeros(2 * n, dtype=int),
        n_groups=1,
        side=np.repeat([0, 1], n),
        n_sides=2,
        unit=unit,
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_areas_equal_delongs_covariance(seed: int, ties: bool) -> None:
    y, first, second = rank_rows(seed, ties=ties)
    found, expected = areas(y, first, second), delong(y, first, second)
    np.testing.assert_allclose(found.value[0], [area(y, first), area(y, second)], atol=1e-12)
    np.testing.assert_allclose(found.cells().variance[0], np.diag(expected), rtol=1e-9)
    assert found.covariance()[0] == pytest.approx(expected[0, 1], rel=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_in_blocks_equal_obuchowskis_covariance(ties: bool) -> None:
    y, first, second = rank_rows(1, ties=ties)
    block = np.empty(len(y), dtype=int)
    for k in (0, 1):  # every block has rows of both classes
        block[y == k] = np.arange((y == k).sum()) % 12
    found, expected = areas(y, first, second, block), obuchowski(y, block, first, second)
    np.testing.assert_allclose(found.cells().variance[0], np.diag(expected), rtol=1e-9)
    assert found.covariance()[0] == pytest.approx(expected[0, 1], rel=1e-9)


def test_area_limits_are_symmetric_on_the_logit() -> None:
    y, first, _ = rank_rows(0, ties=False)
    side = Scored(first, y=y)
    g = gap(side, side, metric="roc_auc")
    value, error = area(y, first), np.sqrt(delong(y, first)[0, 0])
    half = stats.t.ppf(0.975, len(y) - 1) * error / (value * (1 - value))
    logit = np.log(value / (1 - value))
    expected = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
    np.testing.assert_allclose((g.here_low, g.here_high), expected, atol=1e-12)


def test_a_perfect_area_is_not_certain() -> None:
    y = np.repeat([0, 1], 12)
    g = gap(Scored(y * 1.0, y=y), Scored(y * 1.0, y=y), metric="roc_auc")
    assert g.here == 1
    assert 0.5 < g.here_low < 0.9


def test_the_placements_of_a_tie_are_halves() -> None:
    up, down = placements(np.array([1, 0, 0]), np.array([0.5, 0.5, 0.1]))
    assert up.tolist() == [0.75]
    assert down.tolist() == [0.5, 1.0]


def _bootstrap(name: str, y: np.ndarray, p: np.ndarray, needs: str, draws: int) -> float:
    """Width of the percentile interval."""
    rng = np.random.default_rng(1)
    values = []
    for _ in range(draws):
        rows = rng.integers(0, len(y), len(y))
        values.append(scikit_value(name, y[rows], p[rows], None, needs))
    return float(np.subtract(*np.quantile(values, [0.975, 0.025])))


@pytest.mark.parametrize(
    "name",
    [
        "roc_auc",
        "average_precision",
        "f1",
        "f1_macro",
        "balanced_accuracy",
        "r2",
        "matthews_corrcoef",
        "neg_log_loss",
        "neg_root_mean_squared_error",
        "precision",
    ],
)
def test_interval_widths_are_those_of_the_bootstrap(name: str) -> None:
    """Within 15 %: 400 draws know the width of a percentile interval to about 6 %."""
    rng = np.random.default_rng(0)
    n = 500
    y = (rng.random(n) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-(1.5 * y - 0.75 + rng.normal(size=n))))
    metric = get_metric(name)
    p = {
        "label": (score > 0.5).astype(int),
        "score": score,
        "probability": score,
        "value": y * 1.3 + rng.normal(size=n),
    }[metric.needs]
    y = y + rng.normal(size=n) if metric.needs == "value" else y
    side = Scored(p, y=y)
    g = gap(side, side, metric=name)
    expected = _bootstrap(name, y, p, metric.needs, 400)
    assert g.here_high - g.here_low == pytest.approx(expected, rel=0.15)
