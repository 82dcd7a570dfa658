"""The gap: here minus elsewhere, with intervals for these groups and for the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Key, Objects, code, number
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import (
    Moments,
    difference,
    interval,
    paired_correlation,
    quantile,
)
from elsewhere.core.metrics import Metric, get_metric
from elsewhere.core.metrics.mix import Mix, with_mix
from elsewhere.core.sampling import Sampling, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from elsewhere.core.scores import Scored

Average: TypeAlias = Literal["within", "pooled"]

MIN_GROUPS_FOR_NEXT = 5
"""Groups below which nothing is said about the next group."""

RARE = 10
"""Rights or wrongs in all groups together below which their spread between groups is too coarse
to predict the next group from it alone."""

POWER = 0.8
"""Chance of finding a gap of the size called detectable."""


@dataclass(frozen=True)
class Gap:
    """How much worse a model is elsewhere than here.

    Args:
        here: Metric here, averaged as `average` says.
        elsewhere: Metric elsewhere.
        estimate: The gap; positive means worse elsewhere, whatever the metric's direction.
        low: Lower limit of the mean gap over these groups.
        high: Upper limit.
        next_low: Lower limit for the gap of one more group, NaN below 5 groups.
        next_high: Upper limit for the gap of one more group.
        n_rows: Rows behind the numbers: (here, elsewhere).
        n_blocks: Independent units: blocks, pairs, or rows where neither is given.
        n_groups: Groups that took part.
        method: How the intervals were found, in words.
        metric: Name of the metric.
        average: "within" (average over groups) or "pooled" (all rows as one group).
        level: Confidence level of all intervals.
        here_low: Lower limit of `here`.
        here_high: Upper limit of `here`.
        elsewhere_low: Lower limit of `elsewhere`.
        elsewhere_high: Upper limit of `elsewhere`.
        reason: Why there is no number, or what was left out; empty if nothing was.
    """

    here: float
    elsewhere: float
    estimate: float
    low: float
    high: float
    next_low: float
    next_high: float
    n_rows: tuple[int, int]
    n_blocks: int
    n_groups: int
    method: str
    metric: str
    average: Average
    level: float
    here_low: float
    here_high: float
    elsewhere_low: float
    elsewhere_high: float
    reason: str = ""

    @property
    def standard_error(self) -> float:
        """Half the interval over its critical value: the error that matches the interval."""
        return (self.high - self.low) / (2 * float(quantile((1 + self.level) / 2, np.inf)))

    @property
    def detectable(self) -> float:
        """Smallest true gap that this amount of data finds with power .8."""
        return self.standard_error * float(
            quantile((1 + self.level) / 2, np.inf) + quantile(POWER, np.inf)
        )

    def answer(self, negligible: float = 0.0) -> str:
        """Say what the interval allows to say.

        Args:
            negligible: Size below which a gap does not matter, >= 0.

        Returns:
            "gap", "no gap" (the whole interval lies below `negligible`), "better elsewhere", or
            "unclear". An interval that holds 0 is never taken as evidence of no gap.

        Raises:
            InputError: A negative size.
        """
        if negligible < 0:
            raise InputError("negligible", f"is {negligible}", "a size >= 0")
        if not np.isfinite(self.low) or not np.isfinite(self.high):
            return "unclear"
        if self.low > negligible:
            return "gap"
        if negligible > 0 and self.high < negligible:
            return "no gap"
        if negligible == 0 and self.high < 0:
            return "better elsewhere"
        return "unclear"


def gap(
    here: Scored,
    elsewhere: Scored,
    *,
    metric: str | Metric | Callable[[Any, Any], float],
    average: Average = "within",
    mix: Mix = "as found",
    level: float = 0.95,
    seed: int = 0,
) -> Gap:
    """Measure how much worse a model is elsewhere than here.

    Rows with the same `row` on both sides are paired, blocks are kept whole, and groups that
    stand on both sides are compared with themselves. Where no elsewhere group has a here side,
    the average over elsewhere groups is taken from the average over here groups.

    Args:
        here: Predictions where the model was built to work.
        elsewhere: Predictions on the other side of the shift.
        metric: A scikit-learn scorer name, a loss name, a `Metric`, or a function.
        average: "within" averages the metric over groups, each group counting once; "pooled"
            takes all rows of a side as one group, which for rank metrics mixes calibrations.
        mix: Whether classes weigh as found in each group, "balanced", or "matched" to all rows.
        level: Confidence level in (0, 1).
        seed: Seed of the folds for metrics without a closed form; others use no randomness.

    Returns:
        The gap with its intervals.

    Raises:
        InputError: Sides that do not fit together or a metric that does not fit the predictions.

    Cost: a few sorts of all rows; memory of about 15 numbers a row.

    Reference: paired and independent differences as in Newcombe 1998; areas as in DeLong 1988;
        blocks as in Obuchowski 1997. Prediction interval of one more group: s * sqrt(1 + 1/G) with
        Student's t, as for one more observation of a normal sample.

    Example:
        >>> from elsewhere.core.scores import Scored
        >>> a = Scored([1] * 50, y=[1] * 50)
        >>> b = Scored([1] * 40 + [0] * 10, y=[1] * 50)
        >>> g = gap(a, b, metric="accuracy")
        >>> print(f"{g.estimate:.2f} [{g.low:.2f}, {g.high:.2f}]")
        0.20 [0.09, 0.33]
    """
    if not 0 < level < 1:
        raise InputError("level", f"is {level}", "a confidence level between 0 and 1", "0.95")
    chosen = with_mix(get_metric(metric, seed=seed), mix)
    sides = join(here, elsewhere, chosen)
    if average == "pooled":
        sides = replace(sides, group=np.zeros_like(sides.group), keys=("all rows",))
    return gap_of(sides, sides.sampling(), average=average, level=level)


@dataclass(frozen=True, eq=False)
class Sides:
    """Two sides of a shift as one table: the rows of here, then those of elsewhere.

    Args:
        metric: The metric that judges them.
        y: Target of every row, or None.
        prediction: Prediction of every row.
        side: 0 for here, 1 for elsewhere, shape (n,).
        group: Group of each row as an index into `keys`, shape (n,).
        keys: Groups of either side.
        unit: Independent unit of each row, or None if each row is its own.
        weight: Sample weights, or None.
        classes: Classes of the prediction's columns, or None.
        paired: Whether rows are paired across the sides.
        blocked: Whether blocks were given.
    """

    metric: Metric
    y: Objects | None
    prediction: Objects
    side: Integers
    group: Integers
    keys: tuple[Key, ...]
    unit: Integers | None
    weight: Floats | None
    classes: tuple[Key, ...] | None
    paired: bool
    blocked: bool

    def sampling(self) -> Sampling:
        """Evaluate the metric by group and side."""
        data = self.metric.prepare(self.y, self.prediction, self.classes)
        return sample(
            self.metric,
            data,
            group=self.group,
            n_groups=len(self.keys),
            side=self.side,
            n_sides=2,
            unit=self.unit,
            weight=self.weight,
        )


def join(here: Scored, elsewhere: Scored, metric: Metric) -> Sides:
    """Stack two sides and find out what pairs them.

    Args:
        here: One side.
        elsewhere: The other side.
        metric: The metric that will judge them.

    Returns:
        One table of both sides.

    Raises:
        InputError: An empty side, or a field that only one side has.
    """
    for name, one in (("here", here), ("elsewhere", elsewhere)):
        if one.n == 0:
            raise InputError(name, "has no rows", "at least one row")
    stacked = {
        name: _stack(here, elsewhere, name) for name in ("y", "prediction", "group", "weight")
    }
    n = here.n + elsewhere.n
    group, keys = np.zeros(n, dtype=np.int64), cast("tuple[Key, ...]", ("all rows",))
    if stacked["group"] is not None:
        coded = code(stacked["group"])
        group, keys = coded.codes, coded.keys
    blocks, rows = _stack(here, elsewhere, "block"), _stack(here, elsewhere, "row")
    paired = False
    row = None if rows is None else number(rows)
    if row is not None:
        for name, part in (("here", row[: here.n]), ("elsewhere", row[here.n :])):
            if np.bincount(part).max(initial=0) > 1:
                raise InputError(
                    "row",
                    f"repeats identities within {name}",
                    "each row once on a side",
                    "block= for rows that belong together",
                )
        paired = bool(np.intersect1d(row[: here.n], row[here.n :]).size)
    unit = number(blocks) if blocks is not None else row if paired else None
    classes = here.classes or elsewhere.classes
    return Sides(
        metric,
        stacked["y"],
        cast("Objects", stacked["prediction"]),
        np.repeat(np.arange(2), (here.n, elsewhere.n)),
        group,
        keys,
        unit,
        stacked["weight"],
        None if classes is None else tuple(classes),
        paired,
        blocks is not None,
    )


def _stack(here: Scored, elsewhere: Scored, name: str) -> Any:
    """Put one field of both sides under each other."""
    a, b = getattr(here, name), getattr(elsewhere, name)
    if (a is None) != (b is None):
        raise InputError(name, "is given on one side only", f"{name} on both sides or on neither")
    if a is None:
        return None
    if a.ndim != b.ndim or a.shape[1:] != b.shape[1:]:
        raise InputError(name, f"has shapes {a.shape} and {b.shape}", "the same columns")
    if a.dtype.kind != b.dtype.kind and "O" in a.dtype.kind + b.dtype.kind:
        a, b = a.astype(object), b.astype(object)
    return np.concatenate([a, b])


def gap_of(sides: Sides, sampling: Sampling, *, average: Average, level: float) -> Gap:
    """Compute the gap from evaluated sides; see `gap` for the arguments."""
    metric = sides.metric
    matched = sampling.matched
    shares = sampling.even_shares()
    reason = _left_out(sides.keys, sampling, shares, matched=matched)
    compared = compare(sampling, metric, shares, level=level)
    low, high, next_reason = _next_group(sampling, metric, shares, matched=matched, level=level)
    taking_part = (shares[0] > 0) | (shares[1] > 0)
    rows = tuple(int(sampling.rows[s > 0, i].sum()) for i, s in enumerate(shares))
    n_groups = int((shares[1] > 0).sum())
    method = _method(sides, n_groups, average=average, matched=matched)
    n_blocks = (
        sampling.n_units
        if taking_part.all()
        else int(np.unique(sampling.unit[taking_part[sampling.group]]).size)
    )
    return Gap(
        **compared,
        next_low=low,
        next_high=high,
        n_rows=cast("tuple[int, int]", rows),
        n_blocks=n_blocks,
        n_groups=n_groups,
        method=method,
        metric=metric.name,
        average=average,
        level=level,
        reason="; ".join(r for r in (reason, next_reason if average == "within" else "") if r),
    )


def compare(
    sampling: Sampling, metric: Metric, shares: list[Floats], *, level: float
) -> dict[str, float]:
    """Take the average of elsewhere from the average of here, with all three intervals.

    Args:
        sampling: Evaluated sides.
        metric: The metric, for its scale and direction.
        shares: Weights of the groups here and elsewhere, each shape (groups,).
        level: Confidence level.

    Returns:
        Fields of `Gap` by name.
    """
    bounded = metric.scale != "real"
    both = [sampling.average(side, shares[side], bounded=bounded) for side in (0, 1)]
    ends = [(moments.value, *interval(moments, metric.scale, level)) for moments in both]
    together = paired_correlation(
        sampling.correlation((0, shares[0]), (1, shares[1])),
        both[0].value,
        both[1].value,
        np.minimum(both[0].size, both[1].size),
        metric.scale,
    )
    first, second = ends if metric.greater_is_better else ends[::-1]
    low, high = difference(first, second, together)
    return {
        "here": float(ends[0][0]),
        "here_low": float(ends[0][1]),
        "here_high": float(ends[0][2]),
        "elsewhere": float(ends[1][0]),
        "elsewhere_low": float(ends[1][1]),
        "elsewhere_high": float(ends[1][2]),
        "estimate": float(first[0] - second[0]),
        "low": float(low),
        "high": float(high),
    }


def group_gaps(
    sampling: Sampling, metric: Metric, level: float | Floats
) -> tuple[Floats, Floats, Floats]:
    """Compute the gap of every group that stands on both sides.

    Args:
        sampling: Evaluated sides.
        metric: The metric.
        level: Confidence level of each interval.

    Returns:
        Estimate, lower and upper limit by group, NaN where a side is missing.
    """
    cells = sampling.cells()
    ends = [
        (column.value, *interval(column, metric.scale, level))
        for column in (_column(cells, side) for side in (0, 1))
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(cells.variance[:, 0] * cells.variance[:, 1])
        together = np.where(scale > 0, sampling.covariance() / scale, 0.0)
    together = paired_correlation(
        np.clip(together, -1, 1),
        cells.value[:, 0],
        cells.value[:, 1],
        cells.size.min(axis=1),
        metric.scale,
    )
    first, second = ends if metric.greater_is_better else ends[::-1]
    low, high = difference(first, second, together)
    return first[0] - second[0], low, high


def _column(cells: Moments, side: int) -> Moments:
    """Moments of one side."""
    return Moments(*(a[:, side] for a in (cells.value, cells.variance, cells.freedom, cells.size)))


def _next_group(
    sampling: Sampling, metric: Metric, shares: list[Floats], *, matched: bool, level: float
) -> tuple[float, float, str]:
    """Predict the gap of one more group by Student's t from the spread between groups."""
    used = shares[1] > 0
    n = int(used.sum())
    if n < MIN_GROUPS_FOR_NEXT:
        return (
            np.nan,
            np.nan,
            (
                f"{n} group{'s say' if n != 1 else ' says'} nothing about the next one "
                f"(at least {MIN_GROUPS_FOR_NEXT} needed)"
            ),
        )
    value = sampling.value
    if matched:
        gaps = metric.sign * (value[used, 0] - value[used, 1])
        settled = 0.0
    else:
        average = sampling.average(0, shares[0], bounded=metric.scale != "real")
        gaps = metric.sign * (float(average.value) - value[used, 1])
        settled = float(average.variance)
    spread = float(gaps.var(ddof=1))
    if metric.scale == "proportion":
        spread = max(spread, coarse_spread(sampling, shares, sides=(0, 1) if matched else (1,)))
    return *next_interval(gaps, metric, level, spread=spread, settled=settled), ""


def next_interval(
    gaps: Floats, metric: Metric, level: float, *, spread: float | None = None, settled: float = 0.0
) -> tuple[float, float]:
    """Predict one more group's gap by Student's t: mean -+ t s sqrt(1 + 1/G).

    Args:
        gaps: One gap a group, shape (groups,), at least 2.
        metric: The metric; gaps of a bounded one stay within [-1, 1].
        level: Confidence level.
        spread: Variance between groups; from the gaps when absent.
        settled: Variance of a part that all groups share.

    Returns:
        Lower and upper limit.
    """
    n = len(gaps)
    variance = float(gaps.var(ddof=1)) if spread is None else spread
    half = float(quantile((1 + level) / 2, n - 1)) * float(
        np.sqrt(variance * (1 + 1 / n) + settled)
    )
    low, high = float(gaps.mean()) - half, float(gaps.mean()) + half
    if metric.scale != "real":
        low, high = max(low, -1.0), min(high, 1.0)
    return low, high


def coarse_spread(sampling: Sampling, shares: list[Floats], *, sides: tuple[int, ...]) -> float:
    """Least variance between groups when rights or wrongs are rare; 0 when they are not.

    With 20 rows a group and 1 wrong in a hundred, most groups show no wrong at all, and the spread
    of what they show says little about the next. Two pseudo-rows of each kind, shared by all
    groups, bound it from below.

    Args:
        sampling: Evaluated proportions.
        shares: Weights of the groups by side; 0 for those left out.
        sides: The sides whose values differ from group to group.

    Returns:
        Variance, 0 where rights and wrongs are frequent enough.
    """
    rare, variance = False, 0.0
    for side in sides:
        used = shares[side] > 0
        size, value = sampling.size[used, side], sampling.value[used, side]
        right, n = float(size @ value), float(size.sum())
        rare |= min(right, n - right) < RARE
        smooth = (right + 2) / (n + 4)
        variance += smooth * (1 - smooth) * float(np.mean(1 / size))
    return variance if rare else 0.0


def _left_out(
    keys: tuple[Key, ...], sampling: Sampling, shares: list[Floats], *, matched: bool
) -> str:
    """Name the groups that took no part and why."""
    parts: list[str] = []
    for g, key in enumerate(keys):
        if shares[0][g] > 0 or shares[1][g] > 0:
            continue
        why = [r for r in sampling.reason[g] if r and (matched or r != "no rows")]
        if matched and "no rows" in why:
            why = ["rows on one side only"]
        parts.append(f"{key}: {why[0] if why else 'no value'}")
    if not parts:
        return ""
    shown = "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")
    return f"left out {len(parts)} of {len(keys)} groups ({shown})"


def _method(sides: Sides, n_groups: int, *, average: Average, matched: bool) -> str:
    """Describe the computation in one line."""
    words = {
        "proportion": "Wilson and Newcombe on the effective sample size",
        "area": "DeLong on the logit, joined by variance recovery",
        "real": "Student's t on influences",
    }
    parts = [words[sides.metric.scale]]
    if sides.metric.method.startswith("delete"):
        parts = [sides.metric.method]
    if average == "pooled":
        parts.append("all rows pooled")
    elif n_groups > 1:
        parts.append(
            f"averaged within {n_groups} groups" + ("" if matched else ", sides in separate groups")
        )
    if sides.paired:
        parts.append("rows paired")
    if sides.blocked:
        parts.append("blocks kept whole")
    if sides.weight is not None:
        parts.append("weighted")
    return "; ".join(parts)
