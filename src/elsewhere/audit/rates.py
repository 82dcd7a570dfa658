"""Groups with one class: the rate at a threshold takes the place of a rank metric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import Booleans, Coded, Floats, Integers, number
from elsewhere.core.gap_report import Grouping, GroupRow, Rate
from elsewhere.core.intervals import Moments, interval
from elsewhere.core.metrics import Prepared
from elsewhere.core.metrics.additive import Additive, own_score
from elsewhere.core.sampling import sample

if TYPE_CHECKING:
    from elsewhere.audit.question import GroupColumns, Model, Question

SHARE = Additive("share", own_score, greater_is_better=True, needs="nothing", scale="proportion")


def with_rates(
    question: Question, model: Model, columns: GroupColumns, found: Grouping, level: float
) -> Grouping:
    """Give groups with one class their recall or false-positive rate.

    The threshold is the one asked for; else .5 for probabilities; else, where there is a here side,
    the score above which as many rows here lie as are positive there. It never looks at labels of
    elsewhere.

    Args:
        question: The table.
        model: Whose scores.
        columns: The grouping.
        found: Its numbers so far.
        level: Confidence level.

    Returns:
        The grouping with rates, or a reason for each group without one.
    """
    if question.metric.needs != "score" or question.y.ndim == 2 or model.prediction.ndim == 2:
        return found
    y = number(question.y)
    single = _single_class(y, columns.coded, question)
    if not single:
        return found
    score = model.prediction.astype(np.float64)
    threshold = _threshold(question, score, y)
    rows: list[GroupRow] = []
    for g, key in enumerate(columns.coded.keys):
        row = next((r for r in found.rows if str(r.key[0][1]) == str(key)), None)
        if row is None:
            continue
        if g not in single:
            rows.append(row)
        elif threshold is None:
            rows.append(replace(row, reason=f"{row.reason}; no threshold (--threshold) for a rate"))
        else:
            mask = _rows(columns.coded, question, g)
            rate = _rate(question, score[mask] >= threshold, mask, level)
            name = "recall" if single[g] == 1 else "false-positive rate"
            rows.append(replace(row, rate=Rate(name, *rate, threshold)))
    return replace(found, rows=tuple(rows))


def _rows(coded: Coded, question: Question, g: int) -> Integers:
    """Indices of a group's rows (elsewhere's, where there are two sides)."""
    mask = coded.codes == g
    if question.side is not None:
        mask &= question.side == 1
    return np.flatnonzero(mask)


def _single_class(y: Integers, coded: Coded, question: Question) -> dict[int, int]:
    """Map groups with rows of one class only to that class."""
    used = np.ones(len(y), dtype=bool) if question.side is None else question.side == 1
    rows = np.bincount(coded.codes[used], minlength=len(coded))
    positive = np.bincount(coded.codes[used], weights=y[used], minlength=len(coded))
    return {
        g: int(positive[g] > 0)
        for g in range(len(coded))
        if rows[g] and positive[g] in (0, rows[g])
    }


def _threshold(question: Question, score: Floats, y: Integers) -> float | None:
    """Choose the threshold without labels of elsewhere."""
    if question.threshold is not None:
        return question.threshold
    if score.min() >= 0 and score.max() <= 1:
        return 0.5
    if question.side is None:
        return None
    here = question.side == 0
    share = float(np.mean(y[here]))
    return float(np.quantile(score[here], 1 - share))


def _rate(
    question: Question, hit: Booleans, rows: Integers, level: float
) -> tuple[float, float, float]:
    """Share of hits among a group's rows, with blocks and weights."""
    values = hit.astype(np.float64)
    unit = None if question.block is None else number(question.block[rows])
    weight = None if question.weight is None else question.weight[rows]
    found = sample(
        SHARE,
        Prepared(values, values, ()),
        group=np.zeros(len(rows), dtype=np.int64),
        n_groups=1,
        unit=unit,
        weight=weight,
    ).cells()
    moments = Moments(*(a[0, 0] for a in (found.value, found.variance, found.freedom, found.size)))
    low, high = interval(moments, "proportion", level)
    return float(moments.value), float(low), float(high)
