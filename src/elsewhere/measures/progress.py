"""Does progress here arrive elsewhere? Slopes over a pool of models, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, as_array, chunks, code
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.intervals import quantile
from elsewhere.core.pools import BEST_MINUS_WORST, Pool, PoolModel, Slope
from elsewhere.core.seeding import generator
from elsewhere.measures.two_sample import check_level

MIN_MODELS = 5
"""Models below which there are no slopes."""

MIN_FAMILIES = 3
"""Families below which nothing is known of how slopes vary."""

Interval: TypeAlias = Literal["corrected", "bootstrap"]
"""How limits are made: by a variance that is corrected for few models, or by percentiles of
resampled models."""


def progress(
    here: Any,
    elsewhere: Any,
    *,
    groups: Any = None,
    family: Any = None,
    names: Any = None,
    pair: tuple[str, str] | None = None,
    interval: Interval = "corrected",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    score: str = "score here",
) -> Pool:
    """Measure how much of a pool's progress here arrives elsewhere, and among groups.

    A progress rate is the least-squares slope of the score elsewhere over the score here. The
    first benchmark is the one that the others are compared with: the progress gap is its rate
    minus another's. The disparity is a difference between two groups, or between the best and the
    worst group of each model; the latter is biased upwards, the more so the fewer rows a group has.

    Scores are numbers for each model, shape (models,), or the results of each row, shape (models,
    rows), for example right or wrong. With rows, the limits also cover which rows were drawn.

    Args:
        here: Score of each model here, in any units, shape (models,) or (models, rows).
        elsewhere: Benchmarks by name: a mapping or DataFrame of scores, (models,) or (models,
            rows) each. An array (models,) is one benchmark named "elsewhere".
        groups: Groups by name: a mapping or DataFrame as for `elsewhere`, at least two.
        family: Models of one family are not independent, shape (models,); each model by itself
            when absent.
        names: Name of each model, shape (models,); "model 1", ... when absent.
        pair: Two groups: the disparity is the score of the first minus that of the second.
        interval: "corrected": Student's limits from a variance over families that is corrected
            for leverage, with degrees of freedom of its own. "bootstrap": percentiles over
            resampled families, which is what papers report; it covers too seldom in small pools
            (.90 of the time instead of .95 with 8 models, .85 with 4 families of 2 or 3) and it
            does not cover which rows were drawn.
        resamples: Draws of the bootstrap; draws in which models do not differ here are dropped.
        level: Confidence level of each interval, in (0, 1).
        seed: Seed of the bootstrap.
        score: What the score here is, in words.

    Returns:
        Rates, progress gaps and the slope of the disparity, each with limits and with its value
        for the models that are weakest and best here: net progress is `slope.best -
        slope.weakest`. Logit slopes are those of the scores' log odds. Without slopes, and with
        the reason: fewer than 5 models or 3 families, models that score alike here, or all
        difference here due to one family.

        Slopes describe; they do not tell causes. Noise in the scores here flattens every slope,
        and the gap by the same factor.

    Raises:
        InputError: Missing scores, names that are not there, arrays of unlike length.

    Cost: models^2 * benchmarks, and one pass over the rows. Bootstrap: a product of matrices
        (resamples, models) by (models, benchmarks).

    Reference: M. Richards, P. Kirichenko, D. Bouchacourt, M. Ibrahim 2023, "Does progress on
        object recognition benchmarks improve real-world generalization?", arXiv 2307.13136
        (rates, progress gap, disparity). R. Bell, D. McCaffrey 2002, "Bias reduction in standard
        errors for linear regression with multi-stage samples" (corrected variance, degrees of
        freedom). C. Cameron, J. Gelbach, D. Miller 2011, "Robust inference with multiway
        clustering" (models and rows together).

    Example:
        >>> here = [0.5, 0.6, 0.7, 0.8, 0.9]
        >>> pool = progress(
        ...     here,
        ...     {"sketches": [0.30, 0.41, 0.50, 0.61, 0.70], "homes": [0.4, 0.44, 0.52, 0.55, 0.6]},
        ...     groups={"rich": [0.5, 0.55, 0.65, 0.7, 0.77], "poor": [0.3, 0.33, 0.39, 0.4, 0.43]},
        ...     pair=("rich", "poor"),
        ... )
        >>> ", ".join(f"{slope.name} {slope.value:.2f}" for slope in (*pool.rates, *pool.gaps))
        'sketches 1.00, homes 0.51, sketches minus homes 0.49'
        >>> slope = pool.disparity
        >>> print(f"{pool.groups}: {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})")
        rich minus poor: 0.36 (0.23 to 0.49)
    """
    check_level(level)
    if interval not in ("corrected", "bootstrap"):
        raise InputError(
            "interval", f"is {interval!r}", "", nearest(str(interval), ("corrected", "bootstrap"))
        )
    x = _column(here, "here", None)
    n = len(x.score)
    benchmarks = _columns(elsewhere, "elsewhere", n)
    by_group = {} if groups is None else _columns(groups, "groups", n)
    name, kin = _labels(names, family, n)
    order = sorted(range(n), key=lambda i: (x.score[i], name[i]))
    x = x.take(order)
    benchmarks = {key: column.take(order) for key, column in benchmarks.items()}
    by_group = {key: column.take(order) for key, column in by_group.items()}
    name, kin = [name[i] for i in order], [kin[i] for i in order]
    unequal = _disparity(by_group, pair)
    words = "" if unequal is None else (f"{pair[0]} minus {pair[1]}" if pair else BEST_MINUS_WORST)
    scores = [column.score for column in benchmarks.values()]
    differ = np.full(n, np.nan) if unequal is None else unequal.value()
    models = tuple(
        PoolModel(
            name[i], kin[i], float(x.score[i]), tuple(float(s[i]) for s in scores), float(differ[i])
        )
        for i in range(n)
    )
    places = _families(kin)
    lowest, highest = (float(x.score[0]), float(x.score[-1])) if n else (np.nan, np.nan)
    reason = _reason(x.score, places)
    rates: tuple[Slope, ...] = ()
    gaps: tuple[Slope, ...] = ()
    slope: Slope | None = None
    if not reason:
        first, *others = benchmarks
        wanted = [_Outcome(key, ((np.ones(n), benchmarks[key]),)) for key in benchmarks]
        wanted += [
            _Outcome(
                f"{first} minus {key}",
                ((np.ones(n), benchmarks[first]), (-np.ones(n), benchmarks[key])),
            )
            for key in others
        ]
        wanted += [] if unequal is None else [unequal]
        draws = _Draws(resamples, seed) if interval == "bootstrap" else None
        found = _slopes(x, wanted, places, level, draws)
        rates, gaps = found[: len(benchmarks)], found[len(benchmarks) : 2 * len(benchmarks) - 1]
        slope = None if unequal is None else found[-1]
    return Pool(
        rates, gaps, slope, score, words, lowest, highest, len(places), models, level, reason
    )


# --- what comes in ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Column:
    """Scores of the models on one set of rows.

    Args:
        score: Shape (models,).
        rows: Results of each row less the model's score, shape (models, rows), or None.
    """

    score: Floats
    rows: Floats | None

    def take(self, order: list[int]) -> _Column:
        """Put models in another order."""
        return _Column(self.score[order], None if self.rows is None else self.rows[order])


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A sum of scores, each with a factor for each model.

    Args:
        name: What it is.
        terms: Factors, shape (models,), and scores.
    """

    name: str
    terms: tuple[tuple[Floats, _Column], ...]

    def value(self, *, logit: bool = False) -> Floats:
        """Return the sum for each model, of scores or of their log odds."""
        total = np.zeros(len(self.terms[0][0]))
        for factor, column in self.terms:
            used = factor != 0
            total[used] += factor[used] * _scaled(column.score[used], logit=logit)
        return total


def _column(given: Any, argument: str, n: int | None) -> _Column:
    """Take the scores or the row-by-row results of all models."""
    array = as_array(given, argument, columns=True)
    if array.dtype.kind not in "biuf":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(argument, f"holds {array.flat[0]!r}", "numbers") from None
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(argument, "has infinite values", "finite numbers")
    if n is not None and len(values) != n:
        raise InputError(argument, f"has {len(values)} models", f"{n}, as many as here")
    if values.ndim == 1:
        return _Column(values, None)
    if values.shape[1] < 2:
        raise InputError(argument, "has results of fewer than 2 rows", "one score a model")
    score = values.mean(axis=1)
    values -= score[:, None]
    return _Column(score, values)


def _columns(given: Any, argument: str, n: int) -> dict[str, _Column]:
    """Take scores by name."""
    if not isinstance(given, Mapping) and not (hasattr(given, "keys") and hasattr(given, "iloc")):
        if argument == "groups" or np.ndim(given) != 1:
            raise InputError(
                argument,
                f"is {type(given).__name__} of shape {np.shape(given)}",
                "scores by name",
                "dict(zip(names, scores.T))",
            )
        given = {"elsewhere": given}
    table = cast("Mapping[Any, Any]", given)
    found = {str(key): _column(table[key], f"{argument}[{key!r}]", n) for key in table}
    few = 2 if argument == "groups" else 1
    if len(found) < few:
        raise InputError(argument, f"has {len(found)} names", f"at least {few}")
    return found


def _labels(names: Any, family: Any, n: int) -> tuple[list[str], list[str]]:
    """Name and family of each model."""
    name = [f"model {i + 1}" for i in range(n)]
    if names is not None:
        name = [str(one) for one in as_array(names, "names").tolist()]
    if len(name) != n:
        raise InputError("names", f"has {len(name)} values", f"{n}, as many as here")
    if len(set(name)) < n:
        twice = next(one for one in name if name.count(one) > 1)
        raise InputError("names", f"holds {twice!r} more than once", "one name for each model")
    kin = name if family is None else [str(one) for one in as_array(family, "family").tolist()]
    if len(kin) != n:
        raise InputError("family", f"has {len(kin)} values", f"{n}, as many as here")
    return name, kin


def _disparity(by_group: dict[str, _Column], pair: tuple[str, str] | None) -> _Outcome | None:
    """Difference between groups: of two named ones, or of the best and the worst."""
    if pair is not None:
        if not by_group:
            raise InputError("pair", f"is {pair!r} without groups", "groups as well")
        if len(pair) != 2 or pair[0] == pair[1]:
            raise InputError("pair", f"is {pair!r}", "two different groups")
        for one in pair:
            if one not in by_group:
                raise InputError("pair", f"names {one!r}", "groups", nearest(str(one), by_group))
        even = np.ones(len(by_group[pair[0]].score))
        return _Outcome("disparity", ((even, by_group[pair[0]]), (-even, by_group[pair[1]])))
    if not by_group:
        return None
    scores = np.stack([column.score for column in by_group.values()])
    best, worst = scores.argmax(axis=0), scores.argmin(axis=0)
    return _Outcome(
        "disparity",
        tuple(
            ((best == g).astype(np.float64) - (worst == g), column)
            for g, column in enumerate(by_group.values())
        ),
    )


def _families(kin: list[str]) -> list[Booleans]:
    """Mark the models of each family."""
    coded = code(np.array(kin, dtype=object))
    return [coded.codes == k for k in range(len(coded))]


def _reason(x: Floats, places: list[Booleans]) -> str:
    """Say why there can be no slopes, or nothing."""
    n = len(x)
    if n < MIN_MODELS:
        return f"{n} model{'' if n == 1 else 's'}; at least {MIN_MODELS} are needed"
    if len(places) < MIN_FAMILIES:
        many = "family" if len(places) == 1 else "families"
        return f"{len(places)} {many} of models; at least {MIN_FAMILIES} are needed"
    tiny = 1e-9 * max(float(np.abs(x).max()), 1e-300)
    if np.ptp(x) <= tiny:
        return "all models score the same here"
    if any(np.ptp(x[~own]) <= tiny for own in places):
        return "the score here differs because of one family only"
    return ""


# --- slopes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draws:
    """How often families are resampled, and with which seed."""

    n: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Design:
    """What slopes over one set of scores here need.

    Args:
        slope: The slope is this times the outcomes, shape (models,).
        spread: Sum of squares of the centred scores here.
        centred: Centred scores here, shape (models,).
        corrected: The same of residuals, corrected for leverage, one row a family: the squares
            of the products with the residuals add up to the variance, shape (families, models).
        freedom: Degrees of freedom of that variance.
    """

    slope: Floats
    spread: float
    centred: Floats
    corrected: Floats
    freedom: float

    def residuals(self, y: Floats) -> Floats:
        """Deviations of outcomes from their line."""
        return y - y.mean() - (self.slope @ y) * self.centred


def _design(x: Floats, places: list[Booleans]) -> _Design:
    """Correct for leverage as Bell and McCaffrey do, as if all models had the same noise."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = centred / spread
    maker = np.eye(len(x)) - 1 / len(x) - np.outer(centred, slope)
    corrected = np.zeros((len(places), len(x)))
    for row, own in zip(corrected, places, strict=True):
        size, along = np.linalg.eigh(maker[np.ix_(own, own)])
        kept = size > 1e-10
        root = (along[:, kept] / np.sqrt(size[kept])) @ along[:, kept].T
        row[own] = root @ slope[own]
    seen = corrected @ maker
    products = seen @ seen.T
    freedom = float(np.trace(products) ** 2 / (products**2).sum())
    return _Design(slope, spread, centred, corrected, freedom)


def _slopes(
    x: _Column,
    outcomes: list[_Outcome],
    places: list[Booleans],
    level: float,
    draws: _Draws | None,
) -> tuple[Slope, ...]:
    """Slopes of all outcomes, raw and on the logit scale."""
    raw = _limits(x, outcomes, places, level, draws, logit=False)
    able = [
        _inside(x.score)
        and all(_inside(column.score[factor != 0]) for factor, column in outcome.terms)
        for outcome in outcomes
    ]
    odds = np.full((len(outcomes), 3), np.nan)
    if any(able):
        kept = [outcome for outcome, ok in zip(outcomes, able, strict=True) if ok]
        odds[able] = _limits(x, kept, places, level, draws, logit=True)
    found: list[Slope] = []
    for outcome, numbers in zip(outcomes, np.hstack([raw, odds]).tolist(), strict=True):
        value, low, high, logit, logit_low, logit_high = numbers
        y = outcome.value()
        weakest, best = float(y[0]), float(y[-1])
        found.append(
            Slope(outcome.name, value, low, high, logit, logit_low, logit_high, weakest, best)
        )
    return tuple(found)


def _limits(
    x: _Column,
    outcomes: list[_Outcome],
    places: list[Booleans],
    level: float,
    draws: _Draws | None,
    *,
    logit: bool,
) -> Floats:
    """Slope, lower and upper limit of each outcome, shape (outcomes, 3)."""
    design = _design(_scaled(x.score, logit=logit), places)
    y = np.stack([outcome.value(logit=logit) for outcome in outcomes])
    value = y @ design.slope
    if draws is not None:
        low, high = _percentiles(design.centred, y, places, level, draws)
        return np.stack([value, low, high], axis=1)
    found = np.empty((len(outcomes), 3))
    for row, outcome, own, slope in zip(found, outcomes, y, value, strict=True):
        between = float(((design.corrected @ design.residuals(own)) ** 2).sum())
        half = float(quantile((1 + level) / 2, design.freedom)) * np.sqrt(between)
        # Limits of independent parts join by the sum of their squares.
        half = np.hypot(half, _reach_of_rows(x, outcome, own, places, design, level, logit=logit))
        row[:] = slope, slope - half, slope + half
    return found


def _reach_of_rows(
    x: _Column,
    outcome: _Outcome,
    y: Floats,
    places: list[Booleans],
    design: _Design,
    level: float,
    *,
    logit: bool,
) -> float:
    """Half the width that rows common to all models add to what differs between families."""
    bend = (y - y.mean() - 2 * (design.slope @ y) * design.centred) / design.spread
    pulls = [(bend, x)]
    pulls += [(design.slope * factor, column) for factor, column in outcome.terms]
    together, apart, fewest = 0.0, 0.0, np.inf
    for pull, column in pulls:
        if column.rows is None:
            continue
        used = pull * _steepness(column.score, pull, logit=logit)
        n = column.rows.shape[1]
        by_family = np.stack([used[own] @ column.rows[own] for own in places])
        together += float((by_family.sum(axis=0) ** 2).sum()) / (n * (n - 1))
        apart += float((by_family**2).sum()) / (n * (n - 1))
        fewest = min(fewest, n)
    variance = max(together - apart, 0.0)
    return float(quantile((1 + level) / 2, fewest - 1)) * float(np.sqrt(variance))


def _percentiles(
    x: Floats, y: Floats, places: list[Booleans], level: float, draws: _Draws
) -> tuple[Floats, Floats]:
    """Percentiles of slopes over resampled families, all outcomes at once."""
    if draws.n < 100:
        raise InputError("resamples", f"is {draws.n}", "at least 100")
    member = np.stack(places).astype(np.float64)
    families, n = member.shape
    rng = generator(draws.seed, "progress")
    chosen = rng.integers(families, size=(draws.n, families))
    found: list[Floats] = []
    middle = y.mean(axis=1, keepdims=True)
    for part in chunks(draws.n, 8 * (families + 2 * n + 3 * len(y))):
        rows = chosen[part]
        drawn = np.zeros((len(rows), families))
        np.add.at(drawn, (np.arange(len(rows))[:, None], rows), 1.0)
        times = drawn @ member
        times /= times.sum(axis=1, keepdims=True)
        mean = times @ x
        spread = times @ x**2 - mean**2
        kept = spread > 1e-9 * float(x @ x) / n
        mean_y = times[kept] @ (y - middle).T
        product = times[kept] @ ((y - middle) * x).T - mean[kept, None] * mean_y
        found.append(product / spread[kept, None])
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _inside(score: Floats) -> bool:
    """Whether all scores have log odds."""
    return bool(((score > 0) & (score < 1)).all())


def _scaled(score: Floats, *, logit: bool) -> Floats:
    """Scores, or their log odds."""
    return np.log(score) - np.log1p(-score) if logit else score


def _steepness(score: Floats, pull: Floats, *, logit: bool) -> Floats:
    """Derivative of what `_scaled` gives, 1 where nothing pulls."""
    if not logit:
        return np.ones(len(score))
    used = np.where(pull != 0, score, 0.5)
    return 1 / (used * (1 - used))
