"""Many groups at once: naming the worst, the distance, shrinkage, p-values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from elsewhere.core.gaps import group_gaps
from elsewhere.core.groups import (
    Estimates,
    against,
    benjamini_hochberg,
    disparity,
    p_values,
    partial_pooling,
    rest,
    worst_candidates,
)
from elsewhere.core.intervals import Moments, interval
from elsewhere.core.metrics import get_metric
from elsewhere.core.sampling import sample

RUNS = 400
ROUNDING = 1e-9


def losses(values: np.ndarray, metric: str) -> Estimates:
    """Mean loss of each group of rows (groups, rows), with intervals as the audit makes them."""
    groups, rows = values.shape
    chosen = get_metric(metric)
    target = np.zeros(values.size, dtype=values.dtype)
    found = sample(
        chosen,
        chosen.prepare(target, values.ravel()),
        group=np.repeat(np.arange(groups), rows),
        n_groups=groups,
    ).cells()
    cells = Moments(*(a[:, 0] for a in (found.value, found.variance, found.freedom, found.size)))
    return Estimates(cells.value, lambda level: interval(cells, chosen.scale, level))


def draw(kind: str, truth: np.ndarray, rows: int, rng: np.random.Generator) -> Estimates:
    if kind == "proportions":
        wrong = rng.random((len(truth), rows)) < truth[:, None]
        return losses(wrong.astype(int), "zero_one_loss")
    noise = rng.normal(size=(len(truth), rows))
    return losses(np.sqrt(truth)[:, None] * noise, "mean_squared_error")


@pytest.mark.parametrize("kind", ["proportions", "means"])
@pytest.mark.parametrize("groups", [3, 6, 16])
def test_equal_groups_have_no_named_worst(kind: str, groups: int) -> None:
    """At most 5 % false names; 400 runs know that to 1.1 %, and twice that is allowed for."""
    rng = np.random.default_rng([groups, 1])
    named, lost = 0, 0
    for _ in range(RUNS):
        mask = worst_candidates(draw(kind, np.full(groups, 0.2), 100, rng))
        named += mask.sum() == 1
        lost += not mask[0]
    assert named / RUNS <= 0.05
    assert lost / RUNS <= 0.05 + 2 * 0.011


@pytest.mark.parametrize("kind", ["proportions", "means"])
@pytest.mark.parametrize("groups", [3, 6, 16])
def test_a_group_that_is_worse_by_far_is_named_and_never_another(kind: str, groups: int) -> None:
    rng = np.random.default_rng([groups, 2])
    truth = np.full(groups, 0.1)
    truth[1] = 0.5
    right, wrong = 0, 0
    for _ in range(100):
        mask = worst_candidates(draw(kind, truth, 200, rng))
        right += mask.sum() == 1 and mask[1]
        wrong += not mask[1]
    assert right >= 95
    assert wrong == 0


@pytest.mark.parametrize("kind", ["proportions", "means"])
@pytest.mark.parametrize("groups", [3, 6, 16])
@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_the_distance_interval_holds_the_true_distance(
    kind: str, groups: int, spread: float
) -> None:
    rng = np.random.default_rng([groups, 3])
    truth = 0.2 + spread * np.linspace(0, 1, groups)
    held = 0
    for _ in range(200):
        estimate, low, high = disparity(draw(kind, truth, 100, rng))
        held += low <= spread + ROUNDING and spread <= high + ROUNDING
        assert low <= estimate <= high
    assert held / 200 >= 0.93


def test_fewer_than_two_groups_have_no_distance_and_are_their_own_worst() -> None:
    one = Estimates(np.array([0.2, np.nan]), lambda _: (np.array([0.1, np.nan]),) * 2)
    assert np.isnan(disparity(one)).all()
    assert worst_candidates(one).tolist() == [True, False]


def test_partial_pooling_beats_raw_values() -> None:
    rng = np.random.default_rng(0)
    raw, pooled, spreads = 0.0, 0.0, []
    for _ in range(RUNS):
        truth = np.clip(rng.normal(0.2, 0.05, 16), 0.01, 0.6)
        found = draw("proportions", truth, 50, rng)
        shrunk = partial_pooling(found)
        raw += ((found.value - truth) ** 2).sum()
        pooled += ((shrunk.value - truth) ** 2).sum()
        spreads.append(shrunk.spread)
    assert pooled < 0.65 * raw
    assert np.mean(spreads) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05, 0.1])
def test_errors_of_shrunken_values_hold_for_normal_estimates(spread: float) -> None:
    rng = np.random.default_rng([1, round(100 * spread)])
    error, held = 0.057 * rng.uniform(0.5, 1.5, 16), []
    for _ in range(RUNS):
        truth = rng.normal(0.2, spread, 16)
        value = rng.normal(truth, error)
        found = Estimates(
            value,
            lambda level, v=value: tuple(  # type: ignore[arg-type, return-value]
                v + sign * stats.norm.ppf((1 + level) / 2) * error for sign in (-1, 1)
            ),
        )
        shrunk = partial_pooling(found)
        held.append((np.abs(shrunk.value - truth) <= 1.96 * shrunk.error).mean())
    assert np.mean(held) >= 0.93


def test_partial_pooling_leaves_few_groups_and_missing_values_alone() -> None:
    rng = np.random.default_rng(0)
    three = draw("means", np.full(3, 0.2), 50, rng)
    assert partial_pooling(three).value.tolist() == three.value.tolist()
    value = np.array([0.1, 0.2, np.nan, 0.4, 0.3, 0.2])
    some = Estimates(value, lambda _: (value - 0.1, value + 0.1))
    shrunk = partial_pooling(some)
    assert np.isnan(shrunk.value).tolist() == np.isnan(value).tolist()
    known = ~np.isnan(value)
    assert np.ptp(shrunk.value[known]) < np.ptp(value[known])


def test_adjusted_p_values_equal_scipy() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 50):
        p = np.round(rng.random(n) ** 2, 2)
        np.testing.assert_allclose(
            benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-12
        )
    with_gap = benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    assert with_gap.tolist() == [0.02, pytest.approx(np.nan, nan_ok=True), 0.04]
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def two_sided(seed: int, metric: str) -> tuple:
    rng = np.random.default_rng(seed)
    groups, rows = 12, 60
    shape = (2, groups, rows)
    chosen = get_metric(metric)
    values = (rng.random(shape) < np.array([0.8, 0.7])[:, None, None]).astype(int)
    if metric == "mean_squared_error":
        values = rng.normal(size=shape) * np.array([1, 1.2])[:, None, None]
    found = sample(
        chosen,
        chosen.prepare(np.ones(values.size, dtype=values.dtype), values.ravel()),
        group=np.tile(np.repeat(np.arange(groups), rows), 2),
        n_groups=groups,
        side=np.repeat([0, 1], groups * rows),
        n_sides=2,
    )
    return found, chosen


@pytest.mark.parametrize("metric", ["accuracy", "mean_squared_error"])
def test_p_values_agree_with_the_intervals(metric: str) -> None:
    found, chosen = two_sided(0, metric)
    p = p_values(lambda level: group_gaps(found, chosen, level)[1:], found.n_groups)
    for level in (0.8, 0.95, 0.99):
        _, low, high = group_gaps(found, chosen, level)
        assert (((low > 0) | (high < 0)) == (p < 1 - level)).all()
    assert ((p >= 0) & (p <= 1)).all()


def test_p_values_of_equal_groups_are_uniform() -> None:
    """Their share below .05 is .05; 40 x 12 values know that to .01."""
    below = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chosen = get_metric("mean")
        values = rng.normal(size=12 * 40 * 2)
        found = sample(
            chosen,
            chosen.prepare(None, values),
            group=np.tile(np.repeat(np.arange(12), 40), 2),
            n_groups=12,
            side=np.repeat([0, 1], 480),
            n_sides=2,
        )
        p = p_values(lambda level, f=found, m=chosen: group_gaps(f, m, level)[1:], 12)
        below += (p < 0.05).tolist()
    assert np.mean(below) == pytest.approx(0.05, abs=0.02)


def test_a_group_without_a_side_has_no_p_value() -> None:
    found, chosen = two_sided(0, "accuracy")
    found.value[3, 0] = np.nan
    p = p_values(lambda level: group_gaps(found, chosen, level)[1:], found.n_groups)
    assert np.isnan(p).tolist() == [g == 3 for g in range(12)]


@pytest.mark.parametrize("metric", ["zero_one_loss", "mean_squared_error"])
def test_the_rest_is_the_average_of_the_other_groups(metric: str) -> None:
    chosen = get_metric(metric)
    rng = np.random.default_rng(0)
    values = rng.random((5, 40))
    values = (values < 0.3).astype(int) if metric == "zero_one_loss" else values
    found = sample(
        chosen,
        chosen.prepare(np.zeros(200, dtype=values.dtype), values.ravel()),
        group=np.repeat(np.arange(5), 40),
        n_groups=5,
    ).cells()
    cells = Moments(*(a[:, 0] for a in (found.value, found.variance, found.freedom, found.size)))
    others = rest(cells, chosen.scale)
    for g in range(5):
        own = np.arange(5) != g
        assert others.value[g] == pytest.approx(cells.value[own].mean())
        assert others.variance[g] == pytest.approx(cells.variance[own].sum() / 16, rel=0.15)
        assert others.freedom[g] > 40
    low, high = against(cells, others, chosen.scale)(0.95)
    gap = cells.value - others.value
    assert ((low < gap) & (gap < high)).all()


def test_the_rest_of_faultless_groups_has_limits() -> None:
    cells = Moments(np.ones(4), np.zeros(4), np.full(4, 1e12), np.full(4, 20.0))
    others = rest(cells, "proportion")
    low, high = interval(others, "proportion", 0.95)
    np.testing.assert_allclose(high, 1)
    assert ((low > 0.9) & (low < 0.97)).all()  # 60 rows, all right
