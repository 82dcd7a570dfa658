"""Rows cut by the values of a column: how a model does in each stratum, and whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import Floats, Integers, sums
from elsewhere.core.explanations import Stratum
from elsewhere.core.intervals import Moments, interval, simultaneous
from elsewhere.core.metrics import get_metric
from elsewhere.core.metrics.additive import Additive, own_score
from elsewhere.core.metrics.base import Prepared
from elsewhere.core.sampling import sample
from elsewhere.measures.case_mix import expected_auc, standardised_auc

if TYPE_CHECKING:
    from elsewhere.measures.failure_rows import Column, Rows

MOST_STRATA = 8
"""Strata of a column of texts; rarer ones are joined."""

NAN = float("nan")


def cut_strata(
    rows: Rows,
    columns: list[Column],
    bins: int,
    least_rows: int,
    least_positives: int,
    level: float,
) -> tuple[Stratum, ...]:
    """Cut columns into strata; say how the model does in each, and whether that is its fault."""
    found: list[_Cut] = []
    for column in columns:
        cell, labels = _cut(column, bins)
        mean, low, high, count = mean_loss(rows.loss, cell, len(labels), rows.block, level)
        areas = _stratum_areas(rows, cell, len(labels), least_positives)
        for k, label in enumerate(labels):
            numbers = (float(mean[k]), float(low[k]), float(high[k]), NAN, NAN, NAN, NAN, NAN)
            stratum = Stratum(column.name, label, int(count[k]), *numbers)
            if count[k] < least_rows:
                why = f"{int(count[k])} rows; at least {least_rows} are needed"
                stratum = replace(stratum, loss=NAN, low=NAN, high=NAN, reason=why)
                found.append(_Cut(stratum, np.flatnonzero(cell == k), None))
                continue
            why, moments = ("", None) if areas is None else areas[k]
            found.append(_Cut(replace(stratum, reason=why), np.flatnonzero(cell == k), moments))
    return tuple(_judged(rows, found, level))


def mean_loss(
    loss: Floats, cell: Integers, n: int, block: Integers | None, level: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean loss by cell with limits, and rows; Wilson's for losses of 0 and 1."""
    binary = bool(np.isin(loss, (0, 1)).all())
    metric = Additive(
        "mean loss",
        own_score,
        greater_is_better=False,
        needs="nothing",
        scale="proportion" if binary else "real",
    )
    found = sample(metric, Prepared(loss, loss, ()), group=cell, n_groups=n, unit=block)
    whole = found.cells()
    moments = Moments(*(v[:, 0] for v in (whole.value, whole.variance, whole.freedom, whole.size)))
    low, high = interval(moments, metric.scale, level)
    return moments.value, low, high, found.rows[:, 0]


@dataclass(frozen=True, eq=False)
class _Cut:
    """A stratum in the making: its rows, and the moments of its area."""

    stratum: Stratum
    rows: Integers
    area: Moments | None


def _cut(column: Column, bins: int) -> tuple[Integers, list[str]]:
    """Stratum of each row and what the strata are called; missing values are one of their own."""
    values = column.values
    if column.levels:
        count = sums(values.astype(np.int64), len(column.levels))
        own = np.arange(len(count))
        labels = list(column.levels)
        if len(count) > MOST_STRATA:
            often = np.sort(np.argsort(-count, kind="stable")[: MOST_STRATA - 1])
            own = np.full(len(count), len(often), dtype=np.int64)
            own[often] = np.arange(len(often))
            labels = [*(column.levels[k] for k in often), "other values"]
        return own[values.astype(np.int64)], labels
    gone = np.isnan(values)
    known = values[~gone]
    distinct = np.unique(known)
    if len(distinct) <= max(bins, 2):
        edges = distinct[:-1]
    else:
        edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="lower"))
        edges = edges[edges < distinct[-1]]
    cell = np.zeros(len(values), dtype=np.int64)
    cell[~gone] = np.searchsorted(edges, known, side="left")
    labels: list[str] = []
    for k in range(len(edges) + 1 if len(known) else 0):
        own = known[cell[~gone] == k]
        least, most = f"{own.min():.5g}", f"{own.max():.5g}"
        labels.append(least if least == most else f"{least} to {most}")
    if gone.any():
        cell[gone] = len(labels)
        labels.append("missing")
    return cell, labels


def _stratum_areas(
    rows: Rows, cell: Integers, n: int, least_positives: int
) -> list[tuple[str, Moments | None]] | None:
    """Area under the curve of each stratum, or why it has none; None without probabilities."""
    if rows.y is None or rows.probability is None:
        return None
    up = sums(cell, n, rows.y.astype(np.float64))
    down = sums(cell, n) - up
    found = sample(
        get_metric("roc_auc"),
        Prepared(rows.y, rows.probability, (0, 1)),
        group=cell,
        n_groups=n,
        unit=rows.block,
    )
    whole = found.cells()
    answers: list[tuple[str, Moments | None]] = []
    for k in range(n):
        if min(up[k], down[k]) < least_positives:
            why = (
                f"no area under the curve: {int(up[k])} positive and {int(down[k])} negative rows; "
                f"at least {least_positives} of each are needed"
            )
            answers.append((why, None))
        else:
            parts = (whole.value, whole.variance, whole.freedom, whole.size)
            answers.append(("", Moments(*(v[k, 0] for v in parts))))
    return answers


def _judged(rows: Rows, cuts: list[_Cut], level: float) -> list[Stratum]:
    """Add areas, what the probabilities promise, and what follows."""
    known = sum(cut.area is not None for cut in cuts)
    if known == 0 or rows.y is None or rows.probability is None:
        return [cut.stratum for cut in cuts]
    overall = _overall(rows.y, rows.probability, rows.block, level)
    prevalence = float(rows.y.mean())
    found: list[Stratum] = []
    for cut in cuts:
        if cut.area is None:
            found.append(cut.stratum)
            continue
        low, high = (float(v) for v in interval(cut.area, "area", level))
        _, joint = interval(cut.area, "area", simultaneous(level, known))
        expected = expected_auc(rows.probability[cut.rows])
        adjusted = standardised_auc(
            rows.probability[cut.rows],
            rows.y[cut.rows],
            rows.probability,
            prevalence=prevalence,
        )
        value = float(cut.area.value)
        words = _reading((value, high, float(joint)), expected, overall, known)
        if np.isnan(adjusted.value):
            words = "; ".join([*([words] if words else []), f"not adjusted: {adjusted.reason}"])
        found.append(
            replace(
                cut.stratum,
                value=value,
                value_low=low,
                value_high=high,
                expected=expected,
                adjusted=adjusted.value,
                reason=words,
            )
        )
    return found


@dataclass(frozen=True)
class _Overall:
    """Area of all rows, and how far it clearly lies below what their probabilities promise."""

    value: float
    shortfall: float


def _overall(y: Integers, probability: Floats, block: Integers | None, level: float) -> _Overall:
    found = sample(
        get_metric("roc_auc"),
        Prepared(y, probability, (0, 1)),
        group=np.zeros(len(y), dtype=np.int64),
        n_groups=1,
        unit=block,
    )
    whole = found.cells()
    value, promised = float(whole.value[0, 0]), expected_auc(probability)
    _, high = interval(whole, "area", level)
    return _Overall(value, promised - value if float(high[0, 0]) < promised else 0.0)


def _reading(area: tuple[float, float, float], expected: float, overall: _Overall, n: int) -> str:
    """Say whether an area is low because rows are alike or because the model is worse there.

    A model whose probabilities promise too much everywhere does so in every stratum: what all rows
    fall short is taken off the promise before a stratum is judged.

    Args:
        area: Value, upper limit, and the upper limit that holds for all strata together.
        expected: What the probabilities promise.
        overall: The same of all rows.
        n: Number of strata.
    """
    value, high, joint = area
    fair = expected - overall.shortfall
    general = overall.shortfall > 0
    numbers = f"{value:.3f}, at most {high:.3f}, where {expected:.3f} is promised"
    if joint < fair:
        more = ", by more than all rows are" if general else ""
        return f"worse than its own probabilities promise{more}: {numbers}"
    if high < fair:
        return f"perhaps worse than its own probabilities promise, not clear over {n} strata"
    short = high < expected
    if high < overall.value:
        reached = fair if short else expected
        if overall.value - reached <= reached - value:
            return (
                f"lower than all rows ({overall.value:.3f}): too few rows to say whether range "
                f"restriction alone explains it ({expected:.3f} is promised)"
            )
        beside = f", beside the {overall.shortfall:.3f} that all rows fall short" if short else ""
        return (
            f"low by range restriction alone{beside}: its probabilities promise {expected:.3f}, "
            f"and all rows have {overall.value:.3f}"
        )
    if short and joint < expected:
        return f"worse than its own probabilities promise, as all rows are: {numbers}"
    return ""
