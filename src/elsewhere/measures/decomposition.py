"""Why a model loses more elsewhere: its features, what follows from them, or its classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, sums
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import quantile
from elsewhere.core.seeding import generator
from elsewhere.core.shifts import Decomposition, Part, Reading
from elsewhere.measures.label_shift import black_box_shift, codes
from elsewhere.measures.two_sample import (
    MAX_CODES,
    Sides,
    TwoSample,
    blocks,
    canonical_order,
    check_categorical,
    check_level,
    cross_fit,
    deal,
    features,
    tell_apart,
    vector,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN = float("nan")

MIN_ROWS = 30
"""Rows of a side below which nothing is decomposed."""

MIN_SHARED = 0.05
"""Overlap below which nothing is said of y given x."""

MAX_CLASSES = MAX_CODES
"""Classes above which the target does not enter the within-class test."""

MAX_CODE = 2**16
"""Class codes lie below this: tables by code are held in memory."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows on one side of a shift, predicted by one model that saw none of them.

    Args:
        x: Features, shape (n, d), NaN where a value is missing.
        loss: Loss of each row, lower is better, shape (n,).
        y: Class of each row as a code from 0, shape (n,); None where the target has no classes.
        block: What belongs together, shape (n,); each row by itself when absent. The same label
            on both sides is the same block.
        predicted: Predicted class of each row as a code, shape (n,), or None.
    """

    x: Any
    loss: Any
    y: Any = None
    block: Any = None
    predicted: Any = None


def decompose(
    here: Sample,
    elsewhere: Sample,
    *,
    categorical: Sequence[int] = (),
    loss: str = "loss",
    seed: int = 0,
    level: float = 0.95,
    max_rows: int = 4_000,
) -> Decomposition:
    """Split a difference in mean loss into what the features make and what remains given them.

    "By features": with S the features that both sides share (density p q / (p + q)), the shift of
    y given x is the difference of losses at features drawn from S; covariate shift is the rest.
    The first is estimated by residuals: of the side, given the features, and of the loss, given
    the features, both cross-fitted. Errors of the two models then matter only by their product.
    A loss depends on the model as well: a feature that the model lacks counts as y given x.

    "By classes": label shift is what the loss here would change if its classes were mixed as
    elsewhere; the rest is the shift of x given y. This reading comes first only where a shift of
    y given x is found, label shift makes the larger part, and a classifier that knows both
    features and class cannot tell elsewhere from here mixed alike.

    Args:
        here: Held-out rows here.
        elsewhere: Rows elsewhere, of the same model.
        categorical: Columns of the features that hold codes >= 0, fewer than 254 distinct ones.
        loss: The loss in words, for the report.
        seed: Seed of folds and subsamples.
        level: Confidence level in (0, 1).
        max_rows: Rows a side that models are fitted on; a random subsample of larger sides. Means
            and the reading by classes use all rows.

    Returns:
        Both readings with intervals by the influence of each block. Parts are NaN, with a reason,
        where the sides share less than 5 % or a side has too few rows or blocks. The order of
        rows has no effect. The group's key is left empty. Limits of the parts by features count
        the noise of the two models as well; where rows are few, those of covariate shift are wide.

    Raises:
        InputError: Arrays of unlike shape, losses or features that are no numbers, and the like.

    Cost: 6 fits of 40 small trees, 9 with classes: about 0.6 s on one core for 4 000 + 4 000 rows
        of 10 columns; a few passes over the other rows. Memory: a few copies of the features.

    Reference: Cai, Namkoong, Yadlowsky 2023, "Diagnosing model performance under distribution
        shift", arXiv 2303.02011 (shared distribution and terms); Robinson 1988, "Root-N-consistent
        semiparametric regression", and Chernozhukov et al. 2018, "Double/debiased machine learning
        for treatment and structural parameters", arXiv 1608.00060 (residuals on residuals);
        Lipton, Wang, Smola 2018, arXiv 1802.03916 (classes elsewhere without labels).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(2, 500, 2))
        >>> noise = rng.exponential(size=(2, 500))
        >>> found = decompose(Sample(x[0], noise[0]), Sample(x[1], 3 * noise[1]))
        >>> print(*(part.name for part in found.parts if part.low > 0))
        shift of y given x
    """
    check_level(level)
    if max_rows < MIN_ROWS:
        raise InputError("max_rows", f"is {max_rows}", f"at least {MIN_ROWS}")
    rows = _gather(here, elsewhere)
    columns = check_categorical(categorical, rows.x)
    means = [float(rows.loss[rows.side == s].mean()) if n else NAN for s, n in enumerate(rows.n)]
    moved = _centred(rows, rows.loss, means)
    total_sign = moved * (2 * rows.side - 1)
    total = _part("total", means[1] - means[0], total_sign, rows, level)
    classes = _by_classes(rows, means, total_sign, level)
    reason = _too_little(rows)
    if reason:
        return _result(loss, rows, means, total, classes, reason)
    sub = _subsample(rows, max_rows, seed)
    x, sides = rows.x[sub], Sides(rows.side[sub], rows.unit_at(sub), np.ones(len(sub)))
    fold = deal(sides, seed=seed, name="decompose")
    if not len(fold):
        reason = "a side has one block only, which cannot be both learnt from and held out"
        return _result(loss, rows, means, total, classes, reason)
    apart, noise = tell_apart(
        x, sides, columns, level=level, seed=seed, name="decompose", fold=fold
    )
    given_x = _given_features(rows, sub, apart, noise, fold, columns, seed)
    shared = float(np.clip(4 * given_x.overlap, 0.0, 1.0))
    if shared < MIN_SHARED:
        reason = (
            "the features tell the sides apart almost everywhere: what they share is too little "
            "to compare y given x"
        )
        return _result(loss, rows, means, total, classes, reason, apart, shared)
    effect, influence, extra = given_x.effect, given_x.influence, given_x.extra
    parts = (
        _part(
            "covariate shift", total.estimate - effect, total_sign - influence, rows, level, extra
        ),
        _part("shift of y given x", effect, influence, rows, level, extra),
    )
    within = _within(rows, sub, fold, columns, classes, level, seed)
    return _result(loss, rows, means, total, classes, "", apart, shared, parts, within)


# --- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rows:
    """All rows of both sides in a fixed order."""

    x: Floats
    loss: Floats
    y: Integers | None
    predicted: Integers | None
    unit: Integers | None
    side: Integers
    n: tuple[int, int]
    n_classes: int

    def unit_at(self, rows: Integers) -> Integers | None:
        """Units of some rows, numbered anew."""
        return None if self.unit is None else np.unique(self.unit[rows], return_inverse=True)[1]

    def units(self, side: int) -> int:
        """Number of units on a side."""
        if self.unit is None:
            return self.n[side]
        return len(np.unique(self.unit[self.side == side]))


def _gather(here: Sample, elsewhere: Sample) -> _Rows:
    """Check both samples and join them in an order that only their contents decide."""
    tables, losses = [], []
    for sample, name in ((here, "here"), (elsewhere, "elsewhere")):
        table = features(sample.x, f"{name}.x")
        tables.append(table)
        losses.append(vector(sample.loss, len(table), f"{name}.loss"))
    if tables[0].shape[1] != tables[1].shape[1]:
        raise InputError(
            "elsewhere.x",
            f"has {tables[1].shape[1]} columns",
            f"{tables[0].shape[1]}, as many as here.x",
        )
    n = (len(tables[0]), len(tables[1]))
    y = _codes(here.y, elsewhere.y, n, "y")
    predicted = _codes(here.predicted, elsewhere.predicted, n, "predicted")
    unit = blocks(here.block, elsewhere.block, n, ("here.block", "elsewhere.block"))
    x, loss = np.concatenate(tables), np.concatenate(losses)
    side = np.repeat([0, 1], n)
    order = canonical_order(x, loss, side, y, predicted, unit)

    def sort(values: Integers | None) -> Integers | None:
        return None if values is None else values[order]

    coded = [int(c.max(initial=-1)) + 1 for c in (y, predicted) if c is not None]
    return _Rows(
        x[order],
        loss[order],
        sort(y),
        sort(predicted),
        sort(unit),
        side[order],
        n,
        max(coded) if y is not None else 0,
    )


def _codes(here: Any, elsewhere: Any, n: tuple[int, int], name: str) -> Integers | None:
    """Join class codes of both sides."""
    if here is None and elsewhere is None:
        return None
    found: list[Integers] = []
    for given, side, rows in ((here, "here", n[0]), (elsewhere, "elsewhere", n[1])):
        argument = f"{side}.{name}"
        if given is None:
            raise InputError(argument, "is absent", "class codes on both sides, or on neither")
        own = codes(given, MAX_CODE, argument)
        if len(own) != rows:
            raise InputError(argument, f"has {len(own)} rows", f"{rows}, as many as {side}.x")
        found.append(own)
    return np.concatenate(found)


def _too_little(rows: _Rows) -> str:
    """Say which side is too small, if any."""
    if min(rows.n) < MIN_ROWS:
        return f"a side has fewer than {MIN_ROWS} rows ({rows.n[0]} here, {rows.n[1]} elsewhere)"
    return ""


def _subsample(rows: _Rows, max_rows: int, seed: int) -> Integers:
    """Choose at most `max_rows` rows a side at random, in their order."""
    rng = generator(seed, "subsample", "decompose")
    chosen: list[Integers] = []
    for s in (0, 1):
        own = np.flatnonzero(rows.side == s)
        chosen.append(own if len(own) <= max_rows else rng.permutation(own)[:max_rows])
    return np.sort(np.concatenate(chosen))


# --- intervals ----------------------------------------------------------------------------------


def _centred(rows: _Rows, values: Floats, means: Sequence[float]) -> Floats:
    """Influence of each row on the mean of its side."""
    n = np.maximum(np.array(rows.n, dtype=np.float64), 1)
    return (values - np.array(means)[rows.side]) / n[rows.side]


def _variance(influence: Floats, rows: _Rows) -> tuple[float, float]:
    """Variance from the influences of rows, summed over units, and its degrees of freedom.

    The latter as for a difference of two means (Welch), at most those of the units; 0 where a side
    has a single unit, which shows no variance.
    """
    if rows.unit is None:
        squares = sums(rows.side, 2, influence**2)
        units = np.array(rows.n, dtype=np.float64)
        cross, whole = 0.0, float(units.sum())
    else:
        n = int(rows.unit.max()) + 1
        moved = [sums(rows.unit, n, influence * (rows.side == s)) for s in (0, 1)]
        squares = np.array([float(m @ m) for m in moved])
        units = np.array([rows.units(0), rows.units(1)], dtype=np.float64)
        cross, whole = 2 * float(moved[0] @ moved[1]), float(n)
    if units.min() < 2:
        return np.inf, 0.0
    squares = squares * units / (units - 1)
    below = float((squares**2 / (units - 1)).sum())
    freedom = float(squares.sum()) ** 2 / below if below > 0 else float(units.sum() - 2)
    return max(float(squares.sum()) + cross, 0.0), min(freedom, whole - 1)


def _part(
    name: str, estimate: float, influence: Floats, rows: _Rows, level: float, extra: float = 0.0
) -> Part:
    """Give an estimate Student's interval; `extra` is variance that influences do not show."""
    if not np.isfinite(estimate):
        return Part(name, NAN, NAN, NAN)
    variance, freedom = _variance(influence, rows)
    half = float(quantile((1 + level) / 2, freedom) * np.sqrt(variance + extra))
    return Part(name, float(estimate), float(estimate) - half, float(estimate) + half)


# --- by features --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _GivenFeatures:
    """Difference of losses at shared features.

    Args:
        effect: The difference.
        influence: Influence of each row on it, of all rows.
        extra: Variance that influences do not show.
        overlap: Mean of pi (1 - pi) over the even mixture.
    """

    effect: float
    influence: Floats
    extra: float
    overlap: float


def _given_features(
    rows: _Rows,
    sub: Integers,
    apart: TwoSample,
    noise: float,
    fold: Integers,
    categorical: Sequence[int],
    seed: int,
) -> _GivenFeatures:
    """Compare losses at shared features by residuals.

    With pi the probability of elsewhere given x at equal prior, and m the mean loss given x in
    the even mixture, the difference is E[(T - pi)(l - m)] / E[(T - pi)^2]. Written out, this is
    the one-step estimate of the difference of E[pi (1 - pi) mu] / E[pi (1 - pi)] between the two
    sides' mean losses mu: the terms in mu join to m = pi mu_Q + (1 - pi) mu_P.

    Both models are noisy. A row's residual of the side meets other rows' residuals of the loss
    twice: through the noise of m at the row, and through the noise of pi at the others. The two
    add up pair by pair, so that their variance is twice what the products of single rows show:
    the missing half is given as extra variance. (It falls with the square of the number of rows.)
    """
    side, loss = rows.side[sub], rows.loss[sub]
    sides = Sides(side, None, np.ones(len(sub)))
    mean = cross_fit(
        rows.x[sub], loss, sides, fold, categorical, seed=seed, name="loss", classifier=False
    )
    n = sums(side, 2)
    w = (0.5 / n)[side]
    away, left = side - apart.probability, loss - mean.held
    above, below = away * left, away**2
    overlap = float(w @ below)
    effect = float(w @ above) / overlap
    own = (above - effect * below) / overlap
    own = own - (sums(side, 2, own) / n)[side]
    influence = np.zeros(len(rows.loss))
    influence[sub] = w * own
    products = overlap * mean.noise(loss, sides) + noise * float(w @ left**2)
    extra = products / overlap**2 * float(w @ w)
    if rows.unit is not None and (alone := float(influence @ influence)) > 0:
        # Rows of a block err together in these products as they do in the influences.
        extra *= max(_variance(influence, rows)[0] / alone, 1.0)
    return _GivenFeatures(effect, influence, extra, overlap)


# --- by classes ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Classes:
    """The reading by classes, empty where there are none."""

    parts: tuple[Part, ...]
    shares: tuple[tuple[str, float, float, float], ...]
    here: Floats
    elsewhere: Floats


def _by_classes(
    rows: _Rows, means: Sequence[float], total_sign: Floats, level: float
) -> _Classes | None:
    """Split the difference into the class mix and the rest."""
    if rows.y is None or min(rows.n) == 0:
        return None
    k, y = rows.n_classes, rows.y
    is_here: Booleans = rows.side == 0
    counts = [sums(y[rows.side == s], k) for s in (0, 1)]
    p, q = counts[0] / rows.n[0], counts[1] / rows.n[1]
    names = ("label shift", "shift of x given y")
    if ((counts[0] == 0) & (q > 0)).any():
        parts = tuple(Part(name, NAN, NAN, NAN) for name in names)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            by_class = np.where(
                counts[0] > 0, sums(y[is_here], k, rows.loss[is_here]) / counts[0], 0.0
            )
            factor = np.where(p > 0, q / p, 0.0)
        mixed = float(q @ by_class)
        at_mix = np.where(
            is_here,
            factor[y] * (rows.loss - by_class[y]) / rows.n[0],
            (by_class[y] - mixed) / rows.n[1],
        )
        # What the mix adds to the influences of the mean here, and what it takes from elsewhere.
        label = at_mix + np.where(is_here, total_sign, 0.0)
        rest = np.where(is_here, 0.0, total_sign) - at_mix
        parts = (
            _part(names[0], mixed - means[0], label, rows, level),
            _part(names[1], means[1] - mixed, rest, rows, level),
        )
    estimated = np.full(k, NAN)
    if rows.predicted is not None and k >= 2:
        # Classes that neither side has and nobody predicts would only make the matrix singular.
        seen = np.flatnonzero((counts[0] > 0) | (sums(rows.predicted, k) > 0))
        if len(seen) >= 2:
            place = np.full(k, -1, dtype=np.int64)
            place[seen] = np.arange(len(seen))
            estimated[seen] = black_box_shift(
                place[y[is_here]],
                place[rows.predicted[is_here]],
                place[rows.predicted[~is_here]],
                n_classes=len(seen),
            ).shares
    shares = tuple(
        (str(c), float(p[c]), float(q[c]), float(estimated[c])) for c in range(k) if p[c] + q[c] > 0
    )
    return _Classes(parts, shares, p, q)


def _within(
    rows: _Rows,
    sub: Integers,
    fold: Integers,
    categorical: Sequence[int],
    classes: _Classes | None,
    level: float,
    seed: int,
) -> TwoSample | None:
    """Try to tell the sides apart by features and class, with here's classes mixed as elsewhere."""
    if classes is None or rows.y is None or rows.n_classes > MAX_CLASSES:
        return None
    side, y = rows.side[sub], rows.y[sub]
    counts = [sums(y[side == s], rows.n_classes) / max((side == s).sum(), 1) for s in (0, 1)]
    if ((counts[0] == 0) & (counts[1] > 0)).any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(counts[0] > 0, counts[1] / counts[0], 0.0)
    weight = np.where(side == 0, factor[y], 1.0)
    table = np.column_stack([rows.x[sub], y.astype(np.float64)])
    found, _ = tell_apart(
        table,
        Sides(side, rows.unit_at(sub), weight),
        (*categorical, table.shape[1] - 1),
        level=level,
        seed=seed,
        name="within classes",
        fold=fold,
    )
    return None if np.isnan(found.auc) else found


# --- the answer ---------------------------------------------------------------------------------


def _reading(
    total: Part, parts: Sequence[Part], classes: _Classes | None, within: TwoSample | None
) -> Reading:
    """Choose which parts to show first."""
    if classes is None or within is None or not parts or within.low > 0.5:
        return "by features"
    given_x, (label, rest) = parts[1], classes.parts
    found = given_x.low > 0 if total.estimate > 0 else given_x.high < 0
    larger = label.estimate * total.estimate > 0 and abs(label.estimate) > abs(rest.estimate)
    return "by classes" if found and larger else "by features"


def _result(
    loss: str,
    rows: _Rows,
    means: Sequence[float],
    total: Part,
    classes: _Classes | None,
    reason: str,
    apart: TwoSample | None = None,
    shared: float = NAN,
    parts: tuple[Part, ...] = (),
    within: TwoSample | None = None,
) -> Decomposition:
    """Gather what was found."""
    reading = _reading(total, parts, classes, within)
    if not parts:
        parts = tuple(
            Part(name, NAN, NAN, NAN) for name in ("covariate shift", "shift of y given x")
        )
    other = () if classes is None else classes.parts
    first, second = (parts, other) if reading == "by features" else (other, parts)
    return Decomposition(
        key=(),
        loss=loss,
        here=means[0],
        elsewhere=means[1],
        total=total,
        parts=first,
        alternative=second,
        reading=reading,
        shared=shared,
        auc=NAN if apart is None else apart.auc,
        auc_low=NAN if apart is None else apart.low,
        auc_high=NAN if apart is None else apart.high,
        within_auc=NAN if within is None else within.auc,
        classes=() if classes is None else classes.shares,
        n_rows=rows.n,
        reason=reason,
    )
