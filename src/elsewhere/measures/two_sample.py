"""Do two sets of rows differ? A classifier that tries to tell them apart answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from elsewhere.core.arrays import Floats, Integers, as_array, number, sums
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import Moments, interval, tail
from elsewhere.core.metrics import MIN_CLASS_ROWS, get_metric
from elsewhere.core.sampling import sample
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Sequence

Words: TypeAlias = npt.NDArray[np.uint64]

FOLDS = 3
"""Folds of the cross-fitting, fewer where a side has fewer blocks."""

ROUNDS = 40
"""Trees of each model."""

LEAVES = 8
"""Leaves of each tree."""

STEPS = 64
"""Values that trees tell apart in a column of many."""

FLOOR = 0.01
"""Probabilities are kept this far from 0 and 1, which bounds the weights made of them."""

TWICE = 2.0
"""Factor on the variance of the area. A model that learns noise of the other folds sees in its own
fold what those folds' models saw in theirs: without a shift, each pair of rows counts twice in the
cross-fitted area, as in the U-statistic that it then is, and the variance of independent pairs is
half of the true one."""

MAX_CODES = 254
"""Distinct codes that a categorical column may hold."""

NAN = float("nan")


@dataclass(frozen=True, eq=False)
class TwoSample:
    """What a classifier found that was trained to tell two sets of rows apart.

    Args:
        auc: Area with which it ranks held-out rows of the second set above those of the first;
            .5 if the sets are alike. Where they are and rows are few, cross-fitting pulls the area
            below .5, never above: a lower limit above .5 is the alarm.
        low: Lower limit of the area.
        high: Upper limit of the area.
        p: One-sided p-value of an area above .5.
        probability: For each row, first set before second, the probability of the second set had
            both the same size, from a classifier that did not see the row, in [.01, .99], shape
            (n_first + n_second,); NaN where there is no value.
        n: Rows of the first and of the second set.
        reason: Why there is no value; empty if there is one.
    """

    auc: float
    low: float
    high: float
    p: float
    probability: Floats
    n: tuple[int, int]
    reason: str = ""


def classifier_two_sample(
    first: Any,
    second: Any,
    *,
    categorical: Sequence[int] = (),
    first_block: Any = None,
    second_block: Any = None,
    level: float = 0.95,
    seed: int = 0,
    first_weight: Any = None,
    second_weight: Any = None,
) -> TwoSample:
    """Test whether two sets of rows come from one distribution, by trying to tell them apart.

    A small gradient boosting classifier is cross-fitted on up to three folds that keep blocks
    whole, with both sets weighted to the same total. Its area on held-out rows is the statistic;
    its probabilities, recalibrated on the other folds, give density ratios p / (1 - p).

    Args:
        first: Features, shape (n, d), NaN where a value is missing.
        second: Features of the other set, shape (m, d).
        categorical: Columns that hold codes >= 0, fewer than 254 distinct ones.
        first_block: What belongs together, shape (n,); each row by itself when absent. The same
            label in both sets is the same block.
        second_block: Blocks of the other set, shape (m,).
        level: Confidence level in (0, 1).
        seed: Seed of the folds.
        first_weight: Sample weights >= 0, shape (n,).
        second_weight: Sample weights >= 0, shape (m,).

    Returns:
        Area with interval, p-value, and each row's probability. The order of rows has no effect.
        The limits are DeLong's with twice the variance: without a shift the folds' models and the
        rows they are tried on err alike, which the plain limits take for evidence.

    Raises:
        InputError: Arrays of unlike shape, categorical columns with too many codes, and the like.

    Cost: three fits of 40 trees with 8 leaves: about 0.2 s on one core for 4 000 + 4 000 rows of 10
        columns, of which most does not depend on the rows. Memory: a few copies of the features.

    Reference: Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests",
        arXiv 1610.06545; here with the area in place of the accuracy.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(400, 3))
        >>> found = classifier_two_sample(rows[:200], rows[200:] + [1, 0, 0])
        >>> found.low > 0.5, classifier_two_sample(rows[:200], rows[200:]).low > 0.5
        (True, False)
    """
    check_level(level)
    a, b = features(first, "first"), features(second, "second")
    if a.shape[1] != b.shape[1]:
        raise InputError("second", f"has {b.shape[1]} columns", f"{a.shape[1]}, as many as first")
    x = np.concatenate([a, b])
    columns = check_categorical(categorical, x)
    side = np.repeat([0, 1], [len(a), len(b)])
    unit = blocks(first_block, second_block, (len(a), len(b)), ("first_block", "second_block"))
    weight = np.concatenate(
        [
            weights(first_weight, len(a), "first_weight"),
            weights(second_weight, len(b), "second_weight"),
        ]
    )
    order = canonical_order(x, side, weight, unit)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    found, _ = tell_apart(
        x[order],
        Sides(side[order], None if unit is None else unit[order], weight[order]),
        columns,
        level=level,
        seed=seed,
        name="two sample",
    )
    return TwoSample(
        found.auc,
        found.low,
        found.high,
        found.p,
        found.probability[place],
        (len(a), len(b)),
        found.reason,
    )


# --- shared with the decomposition -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sides:
    """Rows of both sides, with what belongs together.

    Args:
        side: 0 for the first side, 1 for the second, shape (n,).
        unit: Block of each row from 0, shape (n,), or None where each row stands by itself.
        weight: Sample weights, shape (n,).
    """

    side: Integers
    unit: Integers | None
    weight: Floats

    def even(self, rows: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Weights with the same total on both sides; the side that is smaller averages 1.

        Args:
            rows: Rows that count; the others get 0.

        Returns:
            Weights, shape (n,).
        """
        w = self.weight if rows is None else self.weight * rows
        used = w > 0
        total = sums(self.side, 2, w)
        n = sums(self.side, 2, used.astype(np.float64)).min()
        return w * (n / np.maximum(total, 1e-300))[self.side]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Predictions of models that were each fitted without one fold.

    Args:
        held: For each row the prediction of the model that did not see it, shape (n,).
        inside: Predictions of each model for the rows that it learnt from, NaN elsewhere, shape
            (folds, n).
    """

    held: Floats
    inside: Floats

    def noise(self, target: Floats | Integers, sides: Sides) -> float:
        """Mean square by which predictions vary with the rows that were learnt from.

        A model's error on new rows exceeds that on its own by twice this much (for least squares
        with p coefficients both are the error's variance times 1 + p / n and 1 - p / n).

        Args:
            target: What is predicted, shape (n,).
            sides: Both sides weigh the same.

        Returns:
            Half of the excess, at least 0.
        """
        w = sides.even()
        new = float(np.average((target - self.held) ** 2, weights=w))
        own = [
            float(np.average((target - one)[used] ** 2, weights=w[used]))
            for one in self.inside
            for used in [~np.isnan(one)]
        ]
        return max(new - float(np.mean(own)), 0.0) / 2


def tell_apart(
    x: Floats,
    sides: Sides,
    categorical: Sequence[int],
    *,
    level: float,
    seed: int,
    name: str,
    fold: Integers | None = None,
) -> tuple[TwoSample, float]:
    """Cross-fit a classifier of sides on rows in a fixed order.

    Args:
        x: Features, shape (n, d).
        sides: Side, unit and weight of each row.
        categorical: Columns with codes.
        level: Confidence level.
        seed: Seed.
        name: Name of the random stream.
        fold: Fold of each row, shape (n,); dealt here when absent.

    Returns:
        Area and probabilities in the order of the rows, or NaN and the reason; and the mean
        square by which the probabilities vary with the rows that were learnt from.
    """
    n = sums(sides.side, 2)
    counted = sums(sides.side, 2, (sides.weight > 0).astype(np.float64))
    nothing = np.full(len(x), np.nan)
    size = (int(n[0]), int(n[1]))
    if counted.min() < MIN_CLASS_ROWS:
        reason = f"a side has fewer than {MIN_CLASS_ROWS} rows ({size[0]} and {size[1]})"
        return TwoSample(NAN, NAN, NAN, NAN, nothing, size, reason), NAN
    fold = deal(sides, seed=seed, name=name) if fold is None else fold
    if not len(fold):
        reason = "a side has one block only, which cannot be both learnt from and held out"
        return TwoSample(NAN, NAN, NAN, NAN, nothing, size, reason), NAN
    logit = cross_fit(
        x, sides.side, sides, fold, categorical, seed=seed, name=name, classifier=True
    )
    area = _area(logit.held, sides, level)
    probability, slope = _recalibrated(logit, sides, fold)
    noise = min(slope, 1.0) * probability.noise(sides.side, sides)
    return TwoSample(*area, probability.held, size), noise


def deal(sides: Sides, *, seed: int, name: str) -> Integers:
    """Deal rows into folds that keep units whole and give each fold its share of both sides.

    Args:
        sides: Side and unit of each row; rows in a fixed order.
        seed: Seed.
        name: Name of the random stream.

    Returns:
        Fold of each row, shape (n,); empty where some side cannot be cut in two.
    """
    rng = generator(seed, "folds", name)
    if sides.unit is None:
        fold = np.empty(len(sides.side), dtype=np.int64)
        for s in (0, 1):
            own = np.flatnonzero(sides.side == s)
            fold[rng.permutation(own)] = np.arange(len(own)) % FOLDS
        return fold
    n_units = int(sides.unit.max()) + 1
    rows = np.stack([np.bincount(sides.unit[sides.side == s], minlength=n_units) for s in (0, 1)])
    kind = 2 * (rows[0] > 0) + (rows[1] > 0)
    n_folds = int(min(FOLDS, (rows > 0).sum(axis=1).min()))
    if n_folds < 2:
        return np.empty(0, dtype=np.int64)
    home = np.zeros(n_units, dtype=np.int64)
    # Units on both sides, on the first only, on the second only: each kind fills all folds, and
    # kinds of one unit do not all land in the same fold.
    for k, shift in ((3, 0), (2, 1), (1, 1)):
        own = rng.permutation(np.flatnonzero(kind == k))
        size = rows.sum(axis=0)[own]
        middle = (np.cumsum(size) - size / 2) / max(1, size.sum())
        home[own] = (np.floor(middle * n_folds).astype(np.int64) + shift) % n_folds
    fold = home[sides.unit]
    for s in (0, 1):
        if len(np.unique(fold[sides.side == s])) < 2:
            return np.empty(0, dtype=np.int64)
    return fold


def cross_fit(
    x: Floats,
    target: Floats | Integers,
    sides: Sides,
    fold: Integers,
    categorical: Sequence[int],
    *,
    seed: int,
    name: str,
    classifier: bool,
) -> CrossFitted:
    """Predict each row by a small gradient boosting model that did not see its fold.

    Args:
        x: Features, shape (n, d).
        target: What to predict, shape (n,).
        sides: Side and weight; both sides weigh the same in every training set.
        fold: Fold of each row, shape (n,).
        categorical: Columns with codes.
        seed: Seed.
        name: Name of the random stream.
        classifier: Whether the target is 0 or 1 and log odds are wanted.

    Returns:
        Predictions for held-out rows and for those learnt from.

    Cost: one fit a fold.
    """
    ensemble = untyped("sklearn.ensemble")
    kind = (
        ensemble.HistGradientBoostingClassifier
        if classifier
        else ensemble.HistGradientBoostingRegressor
    )
    # Columns without any value hold nothing to learn, and their bins cannot be computed.
    some = ~np.isnan(x).all(axis=0)
    table = in_steps(x[:, some])
    codes = np.isin(np.arange(x.shape[1]), np.asarray(categorical, dtype=np.int64))[some]
    folds = np.unique(fold)
    found, inside = np.zeros(len(x)), np.full((len(folds), len(x)), np.nan)
    if not table.shape[1]:
        table, codes = np.zeros((len(x), 1)), np.zeros(1, dtype=bool)
    for i, k in enumerate(folds):
        learn = fold != k
        w = sides.even(learn)
        learn = w > 0
        model = kind(
            max_iter=ROUNDS,
            max_leaf_nodes=LEAVES,
            l2_regularization=1.0,
            min_samples_leaf=int(np.clip(learn.sum() // 10, 3, 20)),
            early_stopping=False,
            categorical_features=codes if codes.any() else None,
            random_state=int(generator(seed, "model", name, int(k)).integers(2**31)),
        )
        model.fit(table[learn], target[learn], sample_weight=w[learn])
        answer = model.decision_function if classifier else model.predict
        found[fold == k] = answer(table[fold == k])
        inside[i, learn] = answer(table[learn])
    return CrossFitted(found, inside)


def in_steps(x: Floats) -> Floats:
    """Replace columns of many distinct values by up to `STEPS` steps of about as many rows.

    Trees with weights would otherwise look for weighted quantiles of each column, one by one, which
    takes longer than the trees.

    Args:
        x: Features, shape (n, d).

    Returns:
        The same order of values in each column, NaN where it was.
    """
    found = x.copy()
    for j, column in enumerate(x.T):
        known = ~np.isnan(column)
        values = np.unique(column[known])
        if len(values) > MAX_CODES:
            edges = np.quantile(column[known], np.arange(1, STEPS) / STEPS)
            found[known, j] = np.searchsorted(np.unique(edges), column[known], side="right")
    return found


def _area(logit: Floats, sides: Sides, level: float) -> tuple[float, float, float, float]:
    """Area of the second side above the first, with interval and one-sided p-value."""
    metric = get_metric("roc_auc")
    plain = bool((sides.weight == 1).all())
    cells = sample(
        metric,
        metric.prepare(sides.side, logit),
        group=np.zeros(len(logit), dtype=np.int64),
        n_groups=1,
        unit=sides.unit,
        weight=None if plain else sides.weight,
    ).cells()
    one = Moments(
        cells.value.ravel(),
        TWICE * cells.variance.ravel(),
        cells.freedom.ravel(),
        cells.size.ravel(),
    )
    low, high = interval(one, metric.scale, level)
    auc = float(one.value[0])
    return auc, float(low[0]), float(high[0]), _chance(one, metric.scale)


def _chance(one: Moments, scale: Any) -> float:
    """One-sided p-value of an area above .5: the level at which the lower limit leaves .5."""
    auc, variance = float(one.value[0]), float(one.variance[0])
    spread = auc * (1 - auc)
    if np.isnan(auc) or one.freedom[0] < 1:
        return NAN
    if variance > 1e-14 and spread > 1e-14:
        z = np.log(auc / (1 - auc)) * spread / np.sqrt(variance)
    else:
        z = (auc - 0.5) * np.sqrt(4 * float(one.size[0]))
    half = float(tail(z, one.freedom[0])) / 2
    return half if z > 0 else 1 - half


def _recalibrated(logit: CrossFitted, sides: Sides, fold: Integers) -> tuple[CrossFitted, float]:
    """Probabilities at equal prior, recalibrated by a line through the log odds of other folds.

    Out of fold, boosting is too sure of itself where there is little to learn; the slope, drawn
    towards 1 by one row's worth, shrinks that away. Gives the mean slope as well: that share of
    the excess of errors is left after the shrinking.
    """
    special = untyped("scipy.special")
    edge = 2 * float(np.log(1 / FLOOR - 1))
    z, inside = np.clip(logit.held, -edge, edge), np.clip(logit.inside, -edge, edge)
    found, slopes = np.empty(len(z)), []
    for i, k in enumerate(np.unique(fold)):
        intercept, slope = _line(z, sides.side, sides.even(fold != k))
        slopes.append(max(slope, 0.0))
        found[fold == k] = special.expit(intercept + slopes[-1] * z[fold == k])
        inside[i] = special.expit(intercept + slopes[-1] * inside[i])
    probability = CrossFitted(*(np.clip(p, FLOOR, 1 - FLOOR) for p in (found, inside)))
    return probability, float(np.mean(slopes))


def _line(z: Floats, side: Integers, weight: Floats) -> tuple[float, float]:
    """Logistic regression of the side on one column, by Newton's method with halved steps."""
    special = untyped("scipy.special")
    design = np.stack([np.ones_like(z), z])
    prior = np.array([0.0, 1.0])
    sign = 1.0 - 2.0 * side

    def loss(at: Floats) -> float:
        return float(
            weight @ np.logaddexp(0.0, sign * (at @ design)) + 0.5 * ((at - prior) ** 2).sum()
        )

    at, now = prior.copy(), loss(prior)
    for _ in range(50):
        p = special.expit(at @ design)
        slope = design @ (weight * (p - side)) + (at - prior)
        curve = (design * (weight * p * (1 - p))) @ design.T + np.eye(2)
        step = np.linalg.solve(curve, slope)
        for _ in range(30):
            after = loss(at - step)
            if after <= now:
                break
            step = step / 2
        done = now - after < 1e-12 * (1 + abs(now))
        at, now = at - step, after
        if done:
            break
    return float(at[0]), float(at[1])


# --- input -------------------------------------------------------------------------------------


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        raise InputError("level", f"is {level}", "a confidence level between 0 and 1", "0.95")


def features(given: Any, argument: str) -> Floats:
    """Take a matrix of numbers, NaN allowed, infinite values not.

    Args:
        given: Array-like, shape (n, d).
        argument: Name for the message.

    Returns:
        The numbers in float64; the input is not written to.

    Raises:
        InputError: Not a matrix of numbers, or an infinite value.
    """
    try:
        x = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            argument, "holds something else than numbers", "a matrix of numbers", "code texts first"
        ) from None
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(argument, f"has shape {x.shape}", "(rows, columns)")
    if np.isinf(x).any():
        raise InputError(argument, "holds infinite values", "finite numbers, or NaN where missing")
    return x


def vector(given: Any, n: int, argument: str) -> Floats:
    """Take one finite number for each row.

    Args:
        given: Array-like, shape (n,).
        n: Number of rows.
        argument: Name for the message.

    Returns:
        The numbers in float64.

    Raises:
        InputError: Another length, missing or infinite values.
    """
    array = as_array(given, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} rows", f"{n}")
    try:
        found = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(argument, f"holds {array[0]!r}", "numbers") from None
    if not np.isfinite(found).all():
        raise InputError(argument, "holds infinite values", "finite numbers")
    return found


def weights(given: Any, n: int, argument: str) -> Floats:
    """Take sample weights, ones when absent.

    Raises:
        InputError: Weights that are negative or all 0, or another length.
    """
    if given is None:
        return np.ones(n)
    found = vector(given, n, argument)
    if (found < 0).any() or (n and not found.any()):
        raise InputError(argument, "is negative, or 0 in every row", "numbers >= 0, some positive")
    return found


def blocks(
    first: Any, second: Any, n: tuple[int, int], arguments: tuple[str, str]
) -> Integers | None:
    """Number the blocks of both sides together; a label on both sides is one block.

    Args:
        first: Blocks of the first side, or None.
        second: Blocks of the second side, or None.
        n: Rows of each side.
        arguments: Names for the message.

    Returns:
        Block of each row, first side before second, or None.

    Raises:
        InputError: Blocks of one side only, or another length.
    """
    if first is None and second is None:
        return None
    found: list[Any] = []
    for given, rows, argument in zip((first, second), n, arguments, strict=True):
        if given is None:
            raise InputError(argument, "is absent", "blocks of both sides, or of neither")
        array = as_array(given, argument)
        if len(array) != rows:
            raise InputError(argument, f"has {len(array)} rows", f"{rows}")
        found.append(array)
    if found[0].dtype.kind != found[1].dtype.kind:
        found = [array.astype(object) for array in found]
    return number(np.concatenate(found))


def check_categorical(categorical: Sequence[int], x: Floats) -> tuple[int, ...]:
    """Check the positions and codes of categorical columns.

    Args:
        categorical: Positions.
        x: Features of both sides, shape (n, d).

    Returns:
        The positions.

    Raises:
        InputError: A position out of range, codes that are negative, broken or too many.
    """
    columns = tuple(int(c) for c in categorical)
    for c in columns:
        if not 0 <= c < x.shape[1]:
            raise InputError("categorical", f"names column {c}", f"0 to {x.shape[1] - 1}")
        values = np.unique(x[:, c])
        values = values[~np.isnan(values)]
        if len(values) and (values[0] < 0 or (values != np.floor(values)).any()):
            raise InputError("categorical", f"names column {c} of other numbers", "codes 0, 1, ...")
        if len(values) > MAX_CODES:
            raise InputError(
                "categorical",
                f"names column {c} with {len(values)} codes",
                f"at most {MAX_CODES}",
                "join rare codes, or leave the column out of `categorical`",
            )
    return columns


def canonical_order(*columns: Any) -> Integers:
    """Order rows by their content alone, so that results do not depend on the order they came in.

    Args:
        columns: Arrays of numbers, shape (n,) or (n, d), or None.

    Returns:
        Row numbers in an order fixed by the rows' contents. Rows with the same content stay in
        the order they came in, which makes no difference.

    Cost: a few passes over the numbers and one sort of n integers.
    """
    state: Words | None = None
    for given in columns:
        if given is None:
            continue
        table = np.asarray(given, dtype=np.float64)
        for column in table.reshape(len(table), -1).T:
            # One pattern of bits for a missing value, and one for zero.
            clean = np.where(np.isnan(column), np.nan, column) + 0.0
            bits = np.ascontiguousarray(clean).view(np.uint64)
            state = _mixed(bits if state is None else state ^ bits)
    if state is None:
        raise InputError("columns", "are absent", "at least one")
    return np.argsort(state, kind="stable")


def _mixed(bits: Words) -> Words:
    """Scramble 64-bit words one to one, so that structured numbers do not collide."""
    word = bits + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
