from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from elsewhere.measures.permuting import (
    Scores,
    association,
    level_scores,
    rank_correlations,
    rank_scores,
)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def p_of(scores: Scores, failing, group, block=None, *, draws: int = 4000, seed: int = 0) -> float:
    return float(
        association(
            [scores],
            np.asarray(failing, bool),
            np.asarray(group),
            block,
            draws=draws,
            rng=rng(seed),
        )[0]
    )


# --- rows within groups -------------------------------------------------------------------------

GROUP = np.repeat([0, 1], [5, 4])
FAILING = np.array([0, 0, 1, 1, 0, 0, 1, 0, 1], bool)
VALUES = np.array([1.0, 2.0, 2.0, 9.0, 3.0, 5.0, 6.0, 1.0, 8.0])
LEVELS = np.array([0, 1, 1, 1, 0, 0, 1, 2, 2])


def within_groups(values: np.ndarray):
    """Every order of values within the two groups."""
    for one, other in product(permutations(values[:5]), permutations(values[5:])):
        yield np.array([*one, *other])


def test_ranks_within_groups() -> None:
    found = rank_scores(np.array([3.0, 1.0, 3.0, np.nan, 7.0]), np.array([0, 0, 0, 0, 1])).values
    # Ranks 2.5, 1, 2.5 of 3 over 4, less a half; missing and alone: nothing.
    assert found[:, 0] == pytest.approx([0.125, -0.25, 0.125, 0, 0])


def test_p_of_numbers_is_the_share_of_all_orders_within_groups() -> None:
    ranks = np.concatenate([[1, 2.5, 2.5, 5, 4], [2, 3, 1, 4]]) / np.repeat([6, 5], [5, 4])
    ranks -= 0.5

    def statistic(fails: np.ndarray) -> float:
        return abs(float((ranks * fails).sum()))

    observed = statistic(FAILING)
    exact = np.mean([statistic(f) >= observed - 1e-9 for f in within_groups(FAILING * 1.0)])
    assert 0.01 < exact < 0.5
    assert p_of(rank_scores(VALUES, GROUP), FAILING, GROUP) == pytest.approx(exact, abs=0.02)


def test_p_of_texts_is_the_share_of_all_orders_within_groups() -> None:
    def statistic(fails: np.ndarray) -> float:
        total = 0.0
        for level in range(3):
            expected = sum(
                (LEVELS[g == GROUP] == level).sum() * FAILING[g == GROUP].mean() for g in (0, 1)
            )
            total += (fails[level == LEVELS].sum() - expected) ** 2 / expected
        return float(total)

    observed = statistic(FAILING * 1.0)
    exact = np.mean([statistic(f) >= observed - 1e-9 for f in within_groups(FAILING * 1.0)])
    scores = level_scores(LEVELS, GROUP, FAILING)
    assert p_of(scores, FAILING, GROUP) == pytest.approx(exact, abs=0.025)


def test_groups_that_differ_are_no_association() -> None:
    """One group has large values and many failures: nothing inside."""
    g = rng(1)
    group = np.repeat([0, 1], 300)
    values = g.normal(size=600) + 5 * group
    failing = g.random(600) < np.where(group == 1, 0.6, 0.1)
    assert p_of(rank_scores(values, group), failing, group, draws=400) > 0.05
    everyone = np.zeros(600, dtype=int)
    assert p_of(rank_scores(values, everyone), failing, everyone, draws=400) < 0.01


def test_what_does_not_vary_has_no_p() -> None:
    assert np.isnan(p_of(rank_scores(np.ones(9), GROUP), FAILING, GROUP, draws=10))
    assert np.isnan(p_of(rank_scores(np.full(9, np.nan), GROUP), FAILING, GROUP, draws=10))
    assert np.isnan(p_of(level_scores(GROUP, GROUP, FAILING), FAILING, GROUP, draws=10))


@pytest.mark.parametrize("sizes", ["equal", "unequal"])
def test_blocks_keep_the_error_rate_that_rows_do_not(sizes: str) -> None:
    """Failing and the column are the same within a block, and unrelated."""
    rates = {"blocks": 0, "rows": 0}
    for s in range(80):
        g = rng(2, s)
        many = np.full(60, 5) if sizes == "equal" else g.integers(1, 9, 60)
        block = np.repeat(np.arange(60), many)
        group = (np.arange(60) % 3)[block]
        values = g.normal(size=60)[block]
        failing = (g.random(60) < 0.4)[block]
        scores = rank_scores(values, group)
        rates["blocks"] += p_of(scores, failing, group, block, draws=99, seed=s) <= 0.05
        rates["rows"] += p_of(scores, failing, group, None, draws=99, seed=s) <= 0.05
    assert rates["blocks"] <= 10  # 4 expected
    assert rates["rows"] >= 20


def test_blocks_of_equal_size_trade_places_whole() -> None:
    """Six blocks of two rows in one group: all 720 orders in a loop."""
    block = np.repeat(np.arange(6), 2)
    group = np.zeros(12, dtype=int)
    values = np.array([1, 2, 3, 9, 4, 5, 8, 7, 6, 10, 12, 11], dtype=float)
    failing = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1], bool)
    ranks = values / 13 - 0.5
    observed = abs((ranks * failing).sum())
    pairs = failing.reshape(6, 2)
    exact = np.mean(
        [
            abs((ranks * pairs[list(order)].ravel()).sum()) >= observed - 1e-9
            for order in permutations(range(6))
        ]
    )
    assert p_of(rank_scores(values, group), failing, group, block) == pytest.approx(exact, abs=0.02)


def test_a_block_over_two_groups_is_two_pieces() -> None:
    block, group = np.repeat([0, 1, 2], 4), np.tile([0, 0, 1, 1], 3)
    scores = rank_scores(np.arange(12.0), group)
    assert 0 < p_of(scores, np.arange(12) % 3 == 0, group, block, draws=50) <= 1


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_correlation_and_exact_p_of_few_groups_are_those_of_scipy(seed: int) -> None:
    g = rng(3, seed)
    loss, trait = g.normal(size=5), np.round(g.normal(size=5), 0 if seed % 2 else 9)
    value, p, n = rank_correlations(loss, [trait], 0)
    assert value[0] == pytest.approx(spearmanr(loss, trait).statistic)
    found = permutation_test(
        (loss,),
        lambda x: spearmanr(x, trait).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
        alternative="two-sided",
        vectorized=False,
    )
    two_sided = np.mean(np.abs(found.null_distribution) >= abs(found.statistic) - 1e-9)
    assert p[0] == pytest.approx(two_sided)
    assert n.tolist() == [5]


def test_random_orders_of_many_groups_are_near_the_exact_ones() -> None:
    g = rng(4)
    loss = g.normal(size=40)
    trait = loss + g.normal(0, 2.0, 40)
    value, p, _ = rank_correlations(loss, [trait, trait, g.normal(size=40)], 0)
    assert p[0] == pytest.approx(spearmanr(loss, trait).pvalue, abs=0.01)
    assert (value[0], p[0]) == (value[1], p[1])
    assert rank_correlations(loss, [loss], 0)[1][0] == pytest.approx(1 / 10_001)


def test_groups_without_a_value_are_left_out() -> None:
    loss = np.array([1.0, 2, 3, 4, 5])
    value, p, n = rank_correlations(
        loss, [np.array([1, np.nan, 2, 3, np.nan]), np.ones(5), np.array([np.nan] * 3 + [1, 2])], 0
    )
    assert value[0] == pytest.approx(1)
    assert p[0] == pytest.approx(2 / 6)
    assert np.isnan([value[1], p[1], value[2], p[2]]).all()
    assert n.tolist() == [3, 5, 2]
