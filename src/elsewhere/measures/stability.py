"""Which features keep their level, and what they say of the class, from group to group?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Booleans, Coded, Floats, Integers, Key, as_array, code
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.explanations import Band, Stability, StabilityRow
from elsewhere.measures.two_sample import features

if TYPE_CHECKING:
    from collections.abc import Sequence

Bands: TypeAlias = Literal["code", "paper"]
"""Which limits part high, medium and low stability: those of the released code (variation .2 and
.5) or of the paper's text (.2 and .8)."""

LIMITS: dict[str, tuple[float, float]] = {"code": (0.2, 0.5), "paper": (0.2, 0.8)}
"""Variation from which a feature is of medium, and of low stability."""

ROUNDING = 1e-14
"""Relative size up to which a difference of means of equal values is rounding alone."""

NAN = float("nan")


@dataclass(frozen=True)
class Effect:
    """How far apart two classes are in one feature within a group.

    Args:
        feature: Its name.
        d: Difference of the class means over the square root of the mean of their population
            variances (Cohen's d), above 0 where the second class is higher. Infinite where the
            means differ and neither class varies; NaN where a class has no value.
        first: Mean of the first class.
        second: Mean of the second class.
    """

    feature: str
    d: float
    first: float
    second: float


def feature_stability(
    x: Any,
    group: Any,
    *,
    y: Any = None,
    names: Sequence[str] | None = None,
    bands: Bands = "code",
    reference_class: Key = None,
    not_above_zero: Literal["nan", "zero"] = "nan",
) -> Stability:
    """Say how much each feature's level differs from group to group.

    Levels are taken over the rows of one class where classes are given, so that groups with more
    positives do not look different for that alone.

    Args:
        x: Features, shape (n, d); missing values (NaN) are left out feature by feature.
        group: Group of each row, shape (n,).
        y: Class of each row, shape (n,). With exactly two classes each feature's effect on the
            class in each group is told too.
        names: Name of each feature; "0", "1", ... when absent.
        bands: Limits of the bands, by variation.
        reference_class: Class whose rows give the levels; the first in sorted order when absent
            (0, or whatever name comes first).
        not_above_zero: Variation where the mean of the group means is not above 0: "nan", or the
            published "zero", by which a feature of negative values looks perfectly stable.

    Returns:
        The features, least stable first by the share of variance between groups; those without
        such a share come last. Bands compare the spread of the group means with the size of their
        mean, whatever its sign. A feature with one value in all rows is "constant" and does not
        count: the published tables rank such features as the most stable. In `n_groups` groups of
        few rows the share is about (n_groups - 1) / (n - 1) where nothing differs.

    Raises:
        InputError: Arrays of unlike shape, unknown class, infinite values.

    Cost: a sort of the rows by group and three passes over the features; memory for two copies.

    Reference: Sanna 2025, "Cross-LLM generalization of behavioral backdoor detection in AI agent
        supply chains", arXiv 2511.19874 (coefficient of variation over models). The share is eta
        squared: Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 8.

    Example:
        >>> x = [[1.0, 10.0], [3.0, 11.0], [5.0, 10.0], [7.0, 11.0]]
        >>> found = feature_stability(x, ["a", "a", "b", "b"], names=["size", "pace"])
        >>> tuple((row.feature, row.variation, row.share, row.band) for row in found.rows)
        (('size', 0.5, 0.8, 'low'), ('pace', 0.0, 0.0, 'high'))
    """
    table = features(x, "x")
    groups = _labels(group, len(table), "group")
    named = _names(names, table.shape[1])
    limits = _limits(bands)
    if not_above_zero not in ("nan", "zero"):
        raise InputError("not_above_zero", f"is {not_above_zero!r}", "'nan' or 'zero'")
    classes = None if y is None else _labels(y, len(table), "y")
    reference = np.ones(len(table), dtype=bool)
    if classes is not None and len(classes):
        reference = classes.codes == _place(reference_class, classes)
    elif classes is None and reference_class is not None:
        raise InputError("reference_class", "is given without y", "the class of each row in y")
    if len(groups) < 2:
        return Stability(0, (), f"needs at least two groups, not {len(groups)}")
    level = _levels(table[reference], groups.codes[reference], len(groups))
    weakest, strongest = _extremes(table, groups, classes, reference)
    varies = _varies(table)
    rows: list[StabilityRow] = []
    for k, name in enumerate(named):
        mean, spread = float(level.mean[k]), float(level.spread[k])
        variation = spread / mean if mean > 0 else 0.0 if not_above_zero == "zero" else NAN
        ratio = spread / abs(mean) if mean else 0.0 if spread == 0 else np.inf
        if np.isnan(mean):
            variation, ratio = NAN, NAN
        elif mean <= 0 and not_above_zero == "zero":
            ratio = 0.0
        rows.append(
            StabilityRow(
                name,
                variation,
                float(level.share[k]),
                _band(ratio, limits) if varies[k] else "constant",
                float(weakest[k]),
                float(strongest[k]),
            )
        )
    rows.sort(key=lambda row: -row.share if row.share == row.share else np.inf)
    return Stability(int(varies.sum()), tuple(rows))


def effect_sizes(
    x: Any,
    y: Any,
    group: Any,
    *,
    names: Sequence[str] | None = None,
    no_spread: Literal["infinite", "zero"] = "infinite",
) -> dict[Key, tuple[Effect, ...]]:
    """Tell how far apart two classes are in each feature, group by group.

    Args:
        x: Features, shape (n, d); missing values (NaN) are left out feature by feature.
        y: Class of each row, shape (n,); exactly two, in sorted order.
        group: Group of each row, shape (n,).
        names: Name of each feature; "0", "1", ... when absent.
        no_spread: What to say where the class means differ and neither class varies: "infinite",
            or the published "zero", which hides a feature that parts the classes perfectly.

    Returns:
        For each group its features, largest difference first; equal ones stay in the order of
        the features, and those without a value come last.

    Raises:
        InputError: Not exactly two classes, arrays of unlike shape.

    Cost: a sort of the rows by group and class and two passes over the features.

    Reference: Cohen 1988, "Statistical power analysis for the behavioral sciences", section 2.2,
        with population variances, weighted alike, as in arXiv 2511.19874.

    Example:
        >>> found = effect_sizes([[0.0], [2.0], [3.0], [5.0]], [0, 0, 1, 1], ["a"] * 4)
        >>> (only,) = found["a"]
        >>> only.d
        3.0
    """
    table = features(x, "x")
    groups, classes = _labels(group, len(table), "group"), _labels(y, len(table), "y")
    named = _names(names, table.shape[1])
    if no_spread not in ("infinite", "zero"):
        raise InputError("no_spread", f"is {no_spread!r}", "'infinite' or 'zero'")
    if len(classes) != 2:
        raise InputError("y", f"has {len(classes)} classes", "two", "compare two at a time")
    means, d = _differences(table, groups, classes.codes)
    if no_spread == "zero":
        d = np.where(np.isinf(d), 0.0, d)
    found: dict[Key, tuple[Effect, ...]] = {}
    for g, key in enumerate(groups.keys):
        effects = [
            Effect(name, float(d[g, k]), float(means[0, g, k]), float(means[1, g, k]))
            for k, name in enumerate(named)
        ]
        found[key] = tuple(
            sorted(effects, key=lambda effect: -abs(effect.d) if effect.d == effect.d else np.inf)
        )
    return found


# --- moments by group ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Level:
    """Means of the group means, their population spread, and the share of variance between."""

    mean: Floats
    spread: Floats
    share: Floats


def _levels(table: Floats, codes: Integers, n_groups: int) -> _Level:
    """Compare group means, each feature over the groups in which it has a value."""
    count, mean, square = _moments(table, codes, n_groups)
    known = count > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        n = known.sum(axis=0)
        filled = np.where(known, mean, 0.0)
        middle = filled.sum(axis=0) / n
        spread = np.sqrt((np.where(known, mean - middle, 0.0) ** 2).sum(axis=0) / n)
        overall = (count * filled).sum(axis=0) / count.sum(axis=0)
        between = (count * np.where(known, mean - overall, 0.0) ** 2).sum(axis=0)
        share = between / (between + square.sum(axis=0))
    few = n < 2
    # One value is not quite its own mean after rounding.
    flat = ~_varies(table)
    spread = np.where(flat, 0.0, spread)
    share = np.where(flat, NAN, share)
    return _Level(*(np.where(few, NAN, one) for one in (middle, spread, share)))


def _differences(table: Floats, groups: Coded, side: Integers) -> tuple[Floats, Floats]:
    """Class means, shape (2, groups, d), and Cohen's d, shape (groups, d), for sides 0 and 1."""
    n = len(groups)
    count, mean, square = _moments(table, groups.codes + n * side, 2 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = square / count
        pooled = np.sqrt((variance[:n] + variance[n:]) / 2)
        apart = mean[n:] - mean[:n]
        alike = np.abs(apart) <= ROUNDING * np.abs(mean[n:])
        d = np.where(alike, 0.0, apart / pooled)
    return mean.reshape(2, n, -1), np.where(np.isnan(apart), NAN, d)


def _extremes(
    table: Floats, groups: Coded, classes: Coded | None, reference: Booleans
) -> tuple[Floats, Floats]:
    """Smallest and largest effect over groups, turned so that their mean is not below 0."""
    nothing = np.full(table.shape[1], NAN)
    if classes is None or len(classes) != 2:
        return nothing, nothing
    _, d = _differences(table, groups, (~reference).astype(np.int64))
    known = ~np.isnan(d)
    # Infinite effects of both signs must not cancel to NaN.
    middle = np.where(known, np.clip(d, -1e12, 1e12), 0.0).sum(axis=0)
    turned = np.where(middle < 0, -d, d)
    some = known.any(axis=0)
    weakest = np.where(known, turned, np.inf).min(axis=0)
    strongest = np.where(known, turned, -np.inf).max(axis=0)
    return np.where(some, weakest, NAN), np.where(some, strongest, NAN)


def _moments(table: Floats, codes: Integers, n: int) -> tuple[Floats, Floats, Floats]:
    """Count, mean and sum of squared deviations of the known values, each of shape (n, d)."""
    order = np.argsort(codes, kind="stable")
    present, start = np.unique(codes[order], return_index=True)
    count, mean, square = (np.zeros((n, table.shape[1])) for _ in range(3))
    mean[:] = NAN
    if len(present):
        rows = table[order]
        known = ~np.isnan(rows)
        count[present] = np.add.reduceat(known.astype(np.float64), start, axis=0)
        rows[~known] = 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[present] = np.add.reduceat(rows, start, axis=0) / count[present]
        rows -= np.nan_to_num(mean)[codes[order]]
        # What rounding leaves of equal values is no spread.
        tiny = np.abs(np.nan_to_num(mean)[codes[order]]) * ROUNDING
        rows[~known | (np.abs(rows) <= tiny)] = 0.0
        square[present] = np.add.reduceat(rows**2, start, axis=0)
    return count, mean, square


def _varies(table: Floats) -> Booleans:
    """Mark the features with two different values."""
    if not len(table):
        return np.zeros(table.shape[1], dtype=bool)
    known = ~np.isnan(table)
    low = np.where(known, table, np.inf).min(axis=0)
    high = np.where(known, table, -np.inf).max(axis=0)
    return high > low


# --- arguments -----------------------------------------------------------------------------------


def _band(ratio: float, limits: tuple[float, float]) -> Band:
    """Name the band of a variation; what is unknown is not called stable."""
    return "high" if ratio < limits[0] else "medium" if ratio < limits[1] else "low"


def _limits(bands: str) -> tuple[float, float]:
    """Look up the limits of the bands."""
    if bands not in LIMITS:
        raise InputError("bands", f"is {bands!r}", "'code' or 'paper'", nearest(str(bands), LIMITS))
    return LIMITS[bands]


def _labels(given: Any, n: int, argument: str) -> Coded:
    """Code one label a row."""
    array = as_array(given, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} rows", f"{n}, as many as x")
    return code(array)


def _place(reference: Key, classes: Coded) -> int:
    """Find the class whose rows give the levels."""
    if reference is None:
        return 0
    if reference not in classes.keys:
        known = [str(key) for key in classes.keys]
        raise InputError(
            "reference_class",
            f"is {reference!r}, which is no class in y",
            "one of its classes",
            nearest(str(reference), known),
        )
    return classes.keys.index(reference)


def _names(names: Sequence[str] | None, d: int) -> list[str]:
    """Check one name a feature."""
    if names is None:
        return [str(k) for k in range(d)]
    if len(names) != d:
        raise InputError("names", f"has {len(names)} names", f"{d}, one for each column of x")
    return [str(name) for name in names]
