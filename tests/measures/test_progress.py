"""Progress over a pool of models: slopes, gaps, disparities and their limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from elsewhere.core.errors import InputError
from elsewhere.core.pools import BEST_MINUS_WORST
from elsewhere.core.seeding import generator
from elsewhere.measures.progress import progress
from elsewhere.testing import measure_checks


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


HERE = rng(1).uniform(0.3, 0.9, 14)
FAMILY = np.array(list("aaabbbbccdefgh"))
SCORES = {
    "first": 0.9 * HERE + 0.02 * rng(2).normal(size=14),
    "second": 0.4 * HERE + 0.1 + 0.02 * rng(3).normal(size=14),
    "third": 0.2 * HERE + 0.1 + 0.02 * rng(4).normal(size=14),
}
GROUPS = {
    "Europe": 0.8 * HERE + 0.01 * rng(5).normal(size=14),
    "Africa": 0.3 * HERE + 0.1 + 0.01 * rng(6).normal(size=14),
    "Asia": 0.5 * HERE + 0.05 + 0.01 * rng(7).normal(size=14),
}


def naive(x: np.ndarray, y: np.ndarray, family: np.ndarray) -> tuple[float, float, float]:
    """Slope, standard error and degrees of freedom by the textbook's matrices."""
    n = len(x)
    design = np.column_stack([np.ones(n), x])
    bread = np.linalg.inv(design.T @ design)
    maker = np.eye(n) - design @ bread @ design.T
    beta = bread @ design.T @ y
    residual = y - design @ beta
    variance, vectors = 0.0, []
    for one in np.unique(family):
        own = np.flatnonzero(family == one)
        root = np.linalg.inv(linalg.sqrtm(maker[np.ix_(own, own)]).real)
        inner = bread @ design[own].T @ root
        variance += float((inner @ residual[own])[1] ** 2)
        vectors.append(maker[:, own] @ inner[1])
    omega = sum(np.outer(v, v) for v in vectors)
    size = np.linalg.eigvalsh(omega)
    return beta[1], np.sqrt(variance), size.sum() ** 2 / (size**2).sum()


@pytest.mark.parametrize("family", [np.arange(14), FAMILY])
def test_slopes_and_limits_are_those_of_the_textbook(family: np.ndarray) -> None:
    pool = progress(HERE, SCORES, family=family, level=0.9)
    for slope, y in zip(pool.rates, SCORES.values(), strict=True):
        value, error, freedom = naive(HERE, y, family)
        half = stats.t.ppf(0.95, freedom) * error
        assert slope.value == pytest.approx(np.polyfit(HERE, y, 1)[0])
        assert [slope.value, slope.low, slope.high] == pytest.approx(
            [value, value - half, value + half]
        )
    assert pool.n_families == len(np.unique(family))


def test_models_by_themselves_get_the_errors_of_mackinnon_and_white() -> None:
    x, y = HERE, SCORES["second"]
    centred = x - x.mean()
    leverage = 1 / 14 + centred**2 / (centred @ centred)
    residual = y - y.mean() - np.polyfit(x, y, 1)[0] * centred
    error = np.sqrt((centred**2 * residual**2 / (1 - leverage)).sum()) / (centred @ centred)
    _, found, _ = naive(x, y, np.arange(14))
    assert found == pytest.approx(error)


def test_the_gap_is_the_first_rate_minus_another() -> None:
    pool = progress(HERE, SCORES)
    assert [slope.name for slope in pool.rates] == ["first", "second", "third"]
    assert [slope.name for slope in pool.gaps] == ["first minus second", "first minus third"]
    for gap, other, name in zip(pool.gaps, pool.rates[1:], ("second", "third"), strict=True):
        assert gap.value == pytest.approx(pool.rates[0].value - other.value)
        assert gap.logit == pytest.approx(pool.rates[0].logit - other.logit)
        y = SCORES["first"] - SCORES[name]
        assert gap.value == pytest.approx(np.polyfit(HERE, y, 1)[0])
        assert (gap.weakest, gap.best) == pytest.approx((y[HERE.argmin()], y[HERE.argmax()]))
        assert gap.low > 0


def test_disparity_of_two_groups_has_a_sign() -> None:
    pool = progress(HERE, SCORES, groups=GROUPS, pair=("Europe", "Africa"))
    back = progress(HERE, SCORES, groups=GROUPS, pair=("Africa", "Europe"))
    y = GROUPS["Europe"] - GROUPS["Africa"]
    assert pool.groups == "Europe minus Africa"
    assert pool.disparity.value == pytest.approx(np.polyfit(HERE, y, 1)[0])
    assert pool.disparity.value == pytest.approx(-back.disparity.value)
    assert pool.disparity.low == pytest.approx(-back.disparity.high)
    assert [m.disparity for m in pool.models] == pytest.approx(y[np.argsort(HERE)].tolist())


def test_best_minus_worst_group_says_that_it_is_biased() -> None:
    pool = progress(HERE, SCORES, groups=GROUPS)
    table = np.stack(list(GROUPS.values()))
    y = table.max(axis=0) - table.min(axis=0)
    assert pool.disparity.value == pytest.approx(np.polyfit(HERE, y, 1)[0])
    assert pool.groups == BEST_MINUS_WORST
    # Three groups that do equally well: the named pair is near 0, the extremes are not.
    same = {name: 0.5 + 0.02 * rng(8, k).normal(size=14) for k, name in enumerate("abc")}
    named = progress(HERE, SCORES, groups=same, pair=("a", "b"))
    extremes = progress(HERE, SCORES, groups=same)
    assert abs(np.mean([m.disparity for m in named.models])) < 0.01
    assert np.mean([m.disparity for m in extremes.models]) > 0.02


def test_log_odds() -> None:
    pool = progress(HERE, SCORES, groups=GROUPS, pair=("Europe", "Asia"))
    odds = progress(
        np.log(HERE / (1 - HERE)),
        {name: np.log(y / (1 - y)) for name, y in SCORES.items()},
        groups={name: np.log(y / (1 - y)) for name, y in GROUPS.items()},
        pair=("Europe", "Asia"),
    )
    for one, other in zip(
        (*pool.rates, *pool.gaps, pool.disparity),
        (*odds.rates, *odds.gaps, odds.disparity),
        strict=True,
    ):
        assert (one.logit, one.logit_low, one.logit_high) == pytest.approx(
            (other.value, other.low, other.high)
        )
    edge = SCORES["second"].copy()
    edge[3] = 0.0
    pool = progress(HERE, {"first": SCORES["first"], "second": edge})
    assert np.isfinite([pool.rates[0].logit, pool.rates[1].value, pool.gaps[0].low]).all()
    assert np.isnan([pool.rates[1].logit, pool.rates[1].logit_low, pool.gaps[0].logit]).all()


def test_what_a_pool_tells_of_its_models() -> None:
    names = [f"m{k}" for k in range(14)]
    pool = progress(HERE, SCORES, family=FAMILY, names=names, score="accuracy on photographs")
    order = np.argsort(HERE)
    assert [m.name for m in pool.models] == [names[k] for k in order]
    assert [m.family for m in pool.models] == FAMILY[order].tolist()
    assert [m.here for m in pool.models] == HERE[order].tolist()
    assert pool.models[0].scores == tuple(y[order[0]] for y in SCORES.values())
    assert (pool.lowest, pool.highest) == (HERE.min(), HERE.max())
    assert (pool.here, pool.groups, pool.disparity) == ("accuracy on photographs", "", None)
    assert all(np.isnan(m.disparity) for m in pool.models)
    alone = progress(HERE, SCORES)
    assert [m.family for m in alone.models] == [m.name for m in alone.models]


def test_a_frame_is_columns_by_name_and_one_array_is_one_benchmark() -> None:
    assert progress(HERE, pd.DataFrame(SCORES)).gaps == progress(HERE, SCORES).gaps
    [one] = progress(HERE, SCORES["third"]).rates
    assert one.name == "elsewhere"
    assert one.value == pytest.approx(progress(HERE, SCORES).rates[2].value)


# --- rows ---------------------------------------------------------------------------------------


def pool_of_rows(seed: int, n_models: int = 10, n_rows: int = 40) -> tuple[np.ndarray, ...]:
    """Results here and elsewhere of models on rows of unequal difficulty."""
    g = rng(9, seed)
    ability = np.linspace(0.3, 0.9, n_models)
    here, there, other = (
        g.random((n_models, n_rows)) < 0.4 + (ability[:, None] - 0.6) * g.uniform(-0.6, 1.6, n_rows)
        for _ in range(3)
    )
    return here, there, other


def test_rows_give_the_same_slopes_and_wider_limits() -> None:
    here, there, _ = pool_of_rows(0)
    rows = progress(here, {"there": there}).rates[0]
    plain = progress(here.mean(axis=1), {"there": there.mean(axis=1)}).rates[0]
    assert rows.value == pytest.approx(plain.value)
    assert (rows.logit, rows.weakest, rows.best) == pytest.approx(
        (plain.logit, plain.weakest, plain.best)
    )
    assert rows.high - rows.low != pytest.approx(plain.high - plain.low)


@pytest.mark.parametrize("logit", [False, True])
def test_the_part_of_rows_is_that_of_leaving_rows_out(logit: bool) -> None:
    """The jackknife over rows, in loops, less what differs from model to model anyway."""
    here, there, _ = pool_of_rows(3, 9, 400)
    families = np.repeat(np.arange(3), 3)

    def scaled(p: np.ndarray) -> np.ndarray:
        return np.log(p / (1 - p)) if logit else p

    def slope(a: np.ndarray, b: np.ndarray) -> float:
        return np.polyfit(scaled(a), scaled(b), 1)[0]

    a, b = here.mean(axis=1), there.mean(axis=1)
    n = here.shape[1]
    together = apart = 0.0
    for table, one in ((here, True), (there, False)):
        left = (table.sum(axis=1, keepdims=True) - table) / (n - 1)
        moved = np.array([slope(m, b) if one else slope(a, m) for m in left.T]) - slope(a, b)
        together += (n - 1) / n * (moved**2).sum()
        for k in range(3):
            some = np.where(families[:, None] == k, left, (a if one else b)[:, None])
            moved = np.array([slope(m, b) if one else slope(a, m) for m in some.T]) - slope(a, b)
            apart += (n - 1) / n * (moved**2).sum()
    _, error, freedom = naive(scaled(a), scaled(b), families)
    half = np.hypot(
        stats.t.ppf(0.975, freedom) * error,
        stats.t.ppf(0.975, n - 1) * np.sqrt(max(together - apart, 0)),
    )
    found = progress(here, {"there": there}, family=families).rates[0]
    reach = found.logit_high - found.logit if logit else found.high - found.value
    assert reach == pytest.approx(half, rel=0.02)
    assert together > apart


def test_rows_of_groups_count_for_the_disparity_alone() -> None:
    here, there, other = pool_of_rows(2)
    score = {name: table.mean(axis=1) for name, table in (("a", there), ("b", other))}
    plain = progress(here.mean(axis=1), score, groups=score, pair=("a", "b"))
    rows = progress(here.mean(axis=1), score, groups={"a": there, "b": other}, pair=("a", "b"))
    assert rows.rates == plain.rates
    assert rows.disparity.value == pytest.approx(plain.disparity.value)
    assert rows.disparity.high >= plain.disparity.high


# --- the bootstrap ------------------------------------------------------------------------------


def test_the_bootstrap_is_a_loop_over_draws() -> None:
    found = progress(HERE, SCORES, family=FAMILY, interval="bootstrap", resamples=300, seed=5)
    order = np.argsort(HERE)
    x, kin, y = HERE[order], FAMILY[order], SCORES["second"][order]
    keys = sorted(set(kin))
    slopes = []
    for drawn in generator(5, "progress").integers(len(keys), size=(300, len(keys))):
        rows = np.concatenate([np.flatnonzero(kin == keys[k]) for k in drawn])
        if np.ptp(x[rows]) > 1e-6:
            slopes.append(np.polyfit(x[rows], y[rows], 1)[0])
    limits = np.quantile(slopes, [0.025, 0.975])
    assert [found.rates[1].low, found.rates[1].high] == pytest.approx(limits.tolist())
    assert found.rates[1].value == progress(HERE, SCORES).rates[1].value


def test_draws_of_one_model_are_dropped() -> None:
    few = progress(HERE[:5], SCORES["first"][:5], interval="bootstrap", resamples=5000).rates[0]
    assert np.isfinite([few.low, few.high, few.logit_low, few.logit_high]).all()


def test_the_seed_matters_to_the_bootstrap_alone() -> None:
    assert progress(HERE, SCORES, seed=1).gaps == progress(HERE, SCORES, seed=2).gaps
    one, same, other = (
        progress(HERE, SCORES, interval="bootstrap", seed=s).rates[0] for s in (1, 1, 2)
    )
    assert one == same
    assert one.low != other.low


def covered(
    n: int, families: int | None, pools: int, interval: str = "corrected", kind: str = "even"
) -> float:
    """Share of intervals that hold the planted slope."""
    g = rng(10, n, families or 0)
    kin = np.arange(n) if families is None else np.arange(n) * families // n
    hits = 0
    for _ in range(pools):
        x = g.exponential(1, n) if kind == "skewed" else g.random(n)
        noise = g.normal(size=n) * (0.3 + 2 * x if kind == "unequal" else 1.0)
        if families is not None:
            noise = noise + 1.5 * g.normal(size=families)[kin]
        [slope] = progress(x, 0.5 * x + noise, family=kin, interval=interval, resamples=200).rates
        hits += slope.low <= 0.5 <= slope.high
    return hits / pools


def test_limits_cover_in_small_pools_and_percentiles_do_not() -> None:
    assert covered(8, None, 300) >= 0.93
    assert covered(8, 4, 300) >= 0.93
    # What papers report: .90 and .85 in the long run.
    assert covered(8, 4, 300, "bootstrap") <= 0.91


@pytest.mark.long
@pytest.mark.parametrize("kind", ["even", "skewed", "unequal"])
@pytest.mark.parametrize(
    ("n", "families"),
    [(5, None), (8, None), (12, None), (30, None), (8, 4), (12, 4), (30, 6), (9, 3)],
)
def test_limits_cover(n: int, families: int | None, kind: str) -> None:
    assert covered(n, families, 2000, kind=kind) >= 0.93


@pytest.mark.long
def test_percentiles_cover_too_seldom() -> None:
    assert covered(8, None, 2000, "bootstrap") < 0.92
    assert covered(8, 4, 2000, "bootstrap") < 0.90


# --- what cannot be told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "family", "words"),
    [
        ([], None, "0 models; at least 5"),
        ([0.5], None, "1 model; at least 5"),
        ([0.1, 0.2, 0.3, 0.4], None, "4 models; at least 5"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], list("aabbb"), "2 families of models; at least 3"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], list("aaaaa"), "1 family of models"),
        ([0.4] * 6, None, "all models score the same here"),
        ([0.4] * 5 + [0.6], None, "one family only"),
        ([0.4] * 4 + [0.6, 0.7], list("abcdee"), "one family only"),
    ],
)
def test_too_little_gives_a_reason(here: list, family: list | None, words: str) -> None:
    y = np.linspace(0.2, 0.3, len(here))
    pool = progress(here, {"a": y, "b": y}, groups={"g": y, "h": y}, family=family)
    assert words in pool.reason
    assert (pool.rates, pool.gaps, pool.disparity) == ((), (), None)
    assert len(pool.models) == len(here)


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"here": [0.1, np.nan, 0.3]}, "here", "misses 1 of 3"),
        ({"here": [0.1, np.inf, 0.3]}, "here", "infinite"),
        ({"here": ["a", "b", "c"]}, "here", "holds 'a'; expected numbers"),
        ({"elsewhere": {"b": [0.1, 0.2]}}, r"elsewhere['b']", "2 models; expected 3"),
        ({"elsewhere": {"b": [0.1, None, 0.2]}}, r"elsewhere['b']", "misses 1"),
        ({"elsewhere": {}}, "elsewhere", "0 names"),
        ({"elsewhere": np.ones((3, 2))}, "elsewhere", r"dict\(zip\(names, scores.T\)\)"),
        ({"elsewhere": {"b": np.ones((3, 1))}}, r"elsewhere['b']", "fewer than 2 rows"),
        ({"groups": {"g": [1, 2, 3]}}, "groups", "at least 2"),
        ({"groups": [1, 2, 3]}, "groups", "by name"),
        ({"pair": ("g", "h")}, "pair", "without groups"),
        ({"groups": {"g": [1, 2, 3], "h": [1, 2, 3]}, "pair": ("g", "i")}, "pair", "names 'i'"),
        ({"groups": {"g": [1, 2, 3], "h": [1, 2, 3]}, "pair": ("g", "g")}, "pair", "different"),
        ({"names": ["a", "b"]}, "names", "2 values; expected 3"),
        ({"names": ["a", "b", "a"]}, "names", "'a' more than once"),
        ({"family": ["a", "b"]}, "family", "2 values; expected 3"),
        ({"family": ["a", None, "b"]}, "family", "misses 1"),
        ({"level": 1}, "level", "between 0 and 1"),
        ({"interval": "bootstrapped"}, "interval", "did you mean 'bootstrap'"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"here": [0.1, 0.2, 0.3], "elsewhere": {"b": [0.1, 0.2, 0.4]}}
    with pytest.raises(InputError, match=words) as error:
        progress(**(given | changes))
    assert error.value.argument == argument


def test_too_few_resamples() -> None:
    with pytest.raises(InputError, match="at least 100"):
        progress(HERE, SCORES, interval="bootstrap", resamples=10)


# --- conformance and an outside pool ------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    value: np.ndarray


def numbers(here, first, second, rows, names, family, interval="corrected") -> Numbers:
    """All numbers of a pool."""
    pool = progress(
        here,
        {"first": first, "second": second},
        groups={"a": rows, "b": second, "c": first},
        names=names,
        family=family,
        interval=interval,
    )
    slopes = (*pool.rates, *pool.gaps, pool.disparity)
    return Numbers(
        np.array(
            [
                [s.value, s.low, s.high, s.logit, s.logit_low, s.logit_high, s.weakest, s.best]
                for s in slopes
            ]
        )
    )


SIDE = {
    "here": HERE,
    "first": SCORES["first"],
    "second": SCORES["second"],
    "rows": rng(11).random((14, 60)) < HERE[:, None],
    "names": np.array([f"m{k}" for k in range(14)]),
    "family": FAMILY,
}
CHECKS = {
    f"{name} {interval}": check
    for interval in ("corrected", "bootstrap")
    for name, check in measure_checks(numbers, SIDE, interval=interval)
}


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


def test_digits_seen_through_noise() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16
    order = rng(12).permutation(len(y))
    learn, held = order[:800], order[800:]
    clean = x[held]
    noisy = clean + 0.4 * rng(13).normal(size=clean.shape)
    dark = 0.35 * clean
    hits = {name: [] for name in ("clean", "noisy", "dark")}
    for n in (20, 30, 45, 70, 110, 170, 260, 400):
        model = LogisticRegression(max_iter=300).fit(x[learn[:n]], y[learn[:n]])
        for name, rows in (("clean", clean), ("noisy", noisy), ("dark", dark)):
            hits[name].append(model.predict(rows) == y[held])
    tables = {name: np.array(rows) for name, rows in hits.items()}
    pool = progress(tables.pop("clean"), tables)
    x, score = np.mean(hits["clean"], axis=1), np.mean(hits["noisy"], axis=1)
    assert pool.rates[0].value == pytest.approx(stats.linregress(x, score).slope)
    assert pool.rates[0].low > 0
    assert pool.rates[0].best > pool.rates[0].weakest
    assert pool.highest > pool.lowest + 0.1
