"""One model under one grouping: per-group numbers, the headline gap, and what explains it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from elsewhere.core.arrays import Booleans, Coded, Floats, Integers, Key, number
from elsewhere.core.gap_report import (
    Contrast,
    Distance,
    Grouping,
    GroupKey,
    GroupRow,
    RankParts,
    Value,
)
from elsewhere.core.gaps import (
    MIN_GROUPS_FOR_NEXT,
    Gap,
    Sides,
    coarse_spread,
    gap_of,
    group_gaps,
    next_interval,
)
from elsewhere.core.groups import (
    Estimates,
    Limits,
    against,
    benjamini_hochberg,
    disparity,
    p_values,
    partial_pooling,
    rest,
    worst_candidates,
)
from elsewhere.core.intervals import Moments, difference, interval, quantile, simultaneous
from elsewhere.core.metrics.additive import Additive
from elsewhere.core.metrics.mix import Mix, with_mix
from elsewhere.core.metrics.rank import rank_parts
from elsewhere.core.sampling import Sampling, sample

if TYPE_CHECKING:
    from elsewhere.audit.question import GroupColumns, Model, Question
    from elsewhere.core.metrics import Metric

MAX_CLASSES_FOR_MIXES = 50


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A metric evaluated by group (and side), with what the per-group numbers need.

    Args:
        sides: The table; `side` is all 1 where there is one side.
        sampling: Values and influences, shape (groups, sides).
        two_sided: Whether there is a here side.
        level: Confidence level.
    """

    sides: Sides
    sampling: Sampling
    two_sided: bool
    level: float

    @property
    def metric(self) -> Metric:
        """The metric."""
        return self.sides.metric

    def own(self) -> Moments:
        """Moments of each group (elsewhere's, where there are two sides)."""
        cells = self.sampling.cells()
        return Moments(
            *(a[:, -1] for a in (cells.value, cells.variance, cells.freedom, cells.size))
        )

    def other(self) -> Moments:
        """Moments of what each group is compared with."""
        if not self.two_sided:
            return rest(self.own(), self.metric.scale)
        cells = self.sampling.cells()
        if self.matched:
            return Moments(
                *(a[:, 0] for a in (cells.value, cells.variance, cells.freedom, cells.size))
            )
        share = self.sampling.even_shares()[0]
        average = self.sampling.average(0, share, bounded=self.metric.scale != "real")
        n = self.sampling.n_groups
        return Moments(
            *(
                np.full(n, float(a))
                for a in (average.value, average.variance, average.freedom, average.size)
            )
        )

    @property
    def matched(self) -> bool:
        """Whether some group stands on both sides."""
        return self.sampling.matched

    def gaps(self) -> tuple[Floats, Limits]:
        """Gap of every group, positive when worse, with its limits at any level."""
        if self.matched:
            estimate = group_gaps(self.sampling, self.metric, self.level)[0]
            return estimate, lambda level: group_gaps(self.sampling, self.metric, level)[1:]
        own, other = self.own(), self.other()
        pair = (other, own) if self.metric.greater_is_better else (own, other)
        return pair[0].value - pair[1].value, against(*pair, self.metric.scale)

    def badness(self) -> Estimates:
        """What ranks the groups: the gap, or with one side the value itself, higher is worse."""
        gaps, limits = self.gaps()
        if self.two_sided:
            return Estimates(gaps, limits)
        own, sign = self.own(), -self.metric.sign

        def turned(level: float | Floats) -> tuple[Floats, Floats]:
            low, high = interval(own, self.metric.scale, level)
            return (low, high) if sign > 0 else (-high, -low)

        return Estimates(sign * own.value, turned)


def evaluate(
    question: Question,
    model: Model,
    group: Coded,
    *,
    level: float,
    metric: Metric | None = None,
) -> Evaluation:
    """Evaluate a model by group and side.

    Args:
        question: The table.
        model: Whose predictions.
        group: Group of each row.
        level: Confidence level.
        metric: Another metric than the question's.

    Returns:
        Values and influences.
    """
    two_sided = question.side is not None
    side = question.side if question.side is not None else np.zeros(question.n, dtype=np.int64)
    row = None if question.row is None else number(question.row)
    paired = row is not None and two_sided
    unit = number(question.block) if question.block is not None else row
    sides = Sides(
        metric or question.metric,
        question.y,
        model.prediction,
        side,
        group.codes,
        group.keys,
        unit,
        question.weight,
        model.classes,
        paired,
        question.block is not None,
    )
    data = sides.metric.prepare(sides.y, sides.prediction, sides.classes)
    sampling = sample(
        sides.metric,
        data,
        group=sides.group,
        n_groups=len(sides.keys),
        side=side if two_sided else None,
        n_sides=2 if two_sided else 1,
        unit=unit,
        weight=sides.weight,
    )
    return Evaluation(sides, sampling, two_sided, level)


def key_of(columns: tuple[str, ...], key: Key) -> GroupKey:
    """Name a group by column and value."""
    values = cast("tuple[Value, ...]", key) if len(columns) > 1 else (cast("Value", key),)
    return tuple(
        (c, v if isinstance(v, str | int | float | bool) or v is None else str(v))
        for c, v in zip(columns, values, strict=True)
    )


def grouping(question: Question, model: Model, columns: GroupColumns, level: float) -> Grouping:
    """Compute everything about one model under one grouping.

    Args:
        question: The table.
        model: Whose predictions.
        columns: The grouping.
        level: Confidence level.

    Returns:
        The grouping's part of the report.
    """
    found = evaluate(question, model, columns.coded, level=level)
    rows = group_rows(found, columns.columns)
    badness = found.badness()
    keys = [key_of(columns.columns, key) for key in columns.coded.keys]
    candidates = worst_candidates(badness, level)
    contrast: Contrast = "here and elsewhere" if found.two_sided else "each group and the others"
    headline = (
        gap_of(found.sides, found.sampling, average="within", level=level)
        if found.two_sided
        else _lowest(found, rows)
    )
    pooled = None
    if found.two_sided:
        one = Coded(np.zeros(question.n, dtype=np.int64), ("all rows",))
        whole = evaluate(question, model, one, level=level)
        pooled = gap_of(whole.sides, whole.sampling, average="pooled", level=level)
    mixes, distances = _mixes(question, model, columns, level)
    return Grouping(
        columns.columns,
        columns.ordered,
        contrast,
        headline,
        rows,
        tuple(k for k, c in zip(keys, candidates, strict=True) if c),
        extremes(badness, keys, level),
        distances,
        partial_pooling(badness).spread,
        pooled,
        _parts(question, model, columns.coded, level),
        mixes,
    )


def group_rows(found: Evaluation, columns: tuple[str, ...]) -> tuple[GroupRow, ...]:
    """List the groups with their intervals; groups that stand only here are left out.

    Args:
        found: The evaluation.
        columns: The grouping's columns.

    Returns:
        One entry a group, in key order.
    """
    level, sampling = found.level, found.sampling
    own, other = found.own(), found.other()
    low, high = interval(own, found.metric.scale, level)
    gaps, limits = found.gaps()
    known = int((~np.isnan(gaps)).sum())
    joint_level = simultaneous(level, known)
    (gap_low, gap_high), (joint_low, joint_high) = limits(level), limits(joint_level)
    pooled = partial_pooling(Estimates(gaps, limits))
    reach = float(quantile((1 + joint_level) / 2, np.inf)) * pooled.error
    p = p_values(limits, len(gaps))
    q = benjamini_hochberg(p)
    rows: list[GroupRow] = []
    for g, key in enumerate(found.sides.keys):
        if sampling.rows[g, -1] == 0:
            continue
        reason = sampling.reason[g][-1] or (
            "rows on one side only"
            if found.matched and sampling.rows[g, 0] == 0
            else sampling.reason[g][0]
        )
        rows.append(
            GroupRow(
                key_of(columns, key),
                int(sampling.rows[g, -1]),
                int(sampling.units[g, -1]),
                float(own.value[g]),
                float(low[g]),
                float(high[g]),
                float(other.value[g]),
                float(gaps[g]),
                float(gap_low[g]),
                float(gap_high[g]),
                float(joint_low[g]),
                float(joint_high[g]),
                float(pooled.value[g]),
                float(pooled.value[g] - reach[g]),
                float(pooled.value[g] + reach[g]),
                float(p[g]),
                float(q[g]),
                reason,
            )
        )
    return tuple(rows)


def lowest_group(rows: tuple[GroupRow, ...]) -> GroupRow | None:
    """Find the group with the largest gap."""
    known = [row for row in rows if np.isfinite(row.gap)]
    return max(known, key=lambda row: row.gap) if known else None


def _lowest(found: Evaluation, rows: tuple[GroupRow, ...]) -> Gap:
    """The headline where there is one side: the lowest group against the others."""
    metric, level = found.metric, found.level
    own = found.own()
    known = ~np.isnan(own.value)
    n = int(known.sum())
    row = lowest_group(rows)
    nan = float("nan")
    total = int(found.sampling.rows.sum())
    missing_ = [r.reason for r in rows if r.reason]
    reason = (
        f"{len(missing_)} of {len(rows)} groups have no value ({missing_[0]})" if (missing_) else ""
    )
    if row is None or n < 2:
        return Gap(
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            (total, total),
            found.sampling.n_units,
            n,
            "none",
            metric.name,
            "within",
            level,
            nan,
            nan,
            nan,
            nan,
            reason or "fewer than 2 groups have a value",
        )
    index = next(
        g
        for g, k in enumerate(found.sides.keys)
        if key_of(tuple(c for c, _ in row.key), k) == row.key
    )
    others = found.other()
    here_low, here_high = (float(a[index]) for a in interval(others, metric.scale, level))
    next_low, next_high = nan, nan
    if n >= MIN_GROUPS_FOR_NEXT:
        values = metric.sign * own.value[known]
        gaps = values.mean() - values
        spread = float(gaps.var(ddof=1))
        if metric.scale == "proportion":
            shares = found.sampling.even_shares()
            spread = max(spread, coarse_spread(found.sampling, shares, sides=(0,)))
        next_low, next_high = next_interval(gaps, metric, level, spread=spread)
    else:
        reason = "; ".join(r for r in (reason, f"{n} groups say nothing about the next one") if r)
    return Gap(
        row.here,
        row.value,
        row.gap,
        row.joint_low,
        row.joint_high,
        next_low,
        next_high,
        (total - row.n_rows, row.n_rows),
        found.sampling.n_units,
        n,
        f"largest of {n} gaps to the average of the other groups; limits hold for all groups "
        "together",
        metric.name,
        "within",
        level,
        here_low,
        here_high,
        row.low,
        row.high,
        reason,
    )


def extremes(
    badness: Estimates, keys: list[GroupKey], level: float, mix: Mix = "as found"
) -> Distance:
    """Measure the distance between the best and the worst group."""
    estimate, low, high = disparity(badness, level)
    if np.isnan(estimate):
        return Distance((), (), estimate, low, high, mix, "fewer than 2 groups have a value")
    value = badness.value
    return Distance(
        keys[int(np.nanargmin(value))], keys[int(np.nanargmax(value))], estimate, low, high, mix
    )


def named_pair(
    question: Question,
    model: Model,
    columns: GroupColumns,
    pair: tuple[GroupKey, GroupKey],
    level: float,
) -> Distance:
    """Measure how much worse the second of two named groups does than the first.

    Rows of elsewhere count where there are two sides. Blocks that stand in both groups pair them.
    """
    found = evaluate(question, model, columns.coded, level=level)
    keys = [key_of(columns.columns, key) for key in columns.coded.keys]
    first, second = keys.index(pair[0]), keys.index(pair[1])
    shares: list[Floats] = []
    for index in (first, second):
        share = np.zeros(len(keys))
        share[index] = 1.0
        shares.append(share)
    side = int(found.two_sided)
    own, metric = found.own(), found.metric
    low, high = interval(own, metric.scale, level)
    a, b = ((own.value[i], low[i], high[i]) for i in (first, second))
    if not metric.greater_is_better:
        a, b = b, a
    together = found.sampling.correlation((side, shares[0]), (side, shares[1]))
    below, above = difference(a, b, together)
    words = found.sampling.reason
    reason: str = words[first][side] or words[second][side]
    return Distance(
        pair[0],
        pair[1],
        float(a[0] - b[0]),
        float(below),
        float(above),
        reason=reason,
    )


def _mixes(
    question: Question, model: Model, columns: GroupColumns, level: float
) -> tuple[dict[str, Gap], tuple[Distance, ...]]:
    """Repeat the gap and the distance with the same classes in every group."""
    metric = question.metric
    if not isinstance(metric, Additive) or metric.needs not in ("label", "probability"):
        return {}, ()
    if question.y.ndim == 2:
        return {}, ()
    classes = metric.prepare(question.y, model.prediction, model.classes).classes
    if not 2 <= len(classes) <= MAX_CLASSES_FOR_MIXES:
        return {}, ()
    gaps: dict[str, Gap] = {}
    distances: list[Distance] = []
    keys = [key_of(columns.columns, key) for key in columns.coded.keys]
    for mix in cast("tuple[Mix, ...]", ("balanced", "matched")):
        mixed = with_mix(metric, mix)
        found = evaluate(question, model, columns.coded, level=level, metric=mixed)
        if found.two_sided:
            gaps[mix] = gap_of(found.sides, found.sampling, average="within", level=level)
        distances.append(extremes(found.badness(), keys, level, mix))
    return gaps, tuple(distances)


def _parts(question: Question, model: Model, group: Coded, level: float) -> tuple[RankParts, ...]:
    """Take the pooled area apart, where the metric is the area of one score."""
    metric = question.metric
    if metric.name != "roc_auc" or question.y.ndim == 2 or len(group) < 2:
        return ()
    data = metric.prepare(question.y, model.prediction, model.classes)
    side = question.side
    found: list[RankParts] = []
    for name, mask in _sides_of(side, question.n):
        parts = rank_parts(data, group.codes, len(group), question.weight, mask)
        rows = np.flatnonzero(mask)
        one = Coded(np.zeros(len(rows), dtype=np.int64), ("all rows",))
        whole = evaluate(
            replace(question.at(rows), side=None),
            replace(model, prediction=model.prediction[rows]),
            one,
            level=level,
        )
        low, high = interval(whole.own(), metric.scale, level)
        found.append(
            RankParts(
                name,
                float(whole.own().value[0]),
                float(low[0]),
                float(high[0]),
                parts.within,
                parts.between,
                parts.within_share,
            )
        )
    return tuple(found)


def _sides_of(side: Integers | None, n: int) -> list[tuple[str, Booleans]]:
    """List the sides as masks."""
    if side is None:
        return [("all rows", np.ones(n, dtype=bool))]
    return [("here", side == 0), ("elsewhere", side == 1)]
