"""The change since an earlier report, paired through hashed sums of influences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elsewhere.audit.groupings import Evaluation, evaluate, key_of, lowest_group
from elsewhere.core.arrays import Coded, Floats, Objects, digest, number, sums
from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import Change, GapReport, Grouping, GroupKey, Pairing
from elsewhere.core.intervals import quantile
from elsewhere.core.metrics import Resampled
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from elsewhere.audit.question import Question

CLASSES = 200
"""Hash classes of independent units: each keeps the sum of its units' influences."""


def pairing_of(question: Question, headline: Grouping, level: float) -> Pairing:
    """Keep what a later report needs to compute a paired change of the headline gap.

    Units (blocks, row identities, or row positions) are hashed into 200 classes; the influences of
    a class add up. Two reports on the same units then differ by the sums' differences, whose
    spread over the classes is the error of the change (random groups).

    Args:
        question: The table.
        headline: The headline grouping.
        level: Confidence level.

    Returns:
        The hash classes' influences and a hash of the rows.

    Reference: Wolter 2007, "Introduction to variance estimation", chapter 2 (random groups).
    """
    unit, values = _units(question)
    found = evaluate(question, question.models[0], question.groups[0].coded, level=level)
    group: GroupKey = ()
    if not found.two_sided:
        lowest = lowest_group(headline.rows)
        group = lowest.key if lowest else ()
    influence = _influence(found, question, group, values)
    rows = digest(np.asarray(values), number(question.y.ravel()))
    return Pairing(unit, rows, group, tuple(float(v) for v in influence))


def change_since(before: GapReport, now: GapReport, question: Question) -> Change:
    """Compute the change of the headline gap since an earlier report.

    Args:
        before: The earlier report.
        now: The report of today.
        question: Today's table.

    Returns:
        The change, paired where both reports saw the same units.

    Raises:
        InputError: Reports of different metrics, groupings or kinds.
    """
    for what, old, new in (
        ("metric", before.metric, now.metric),
        ("grouping", before.headline.name, now.headline.name),
        ("kind of gap", before.headline.contrast, now.headline.contrast),
    ):
        if old != new:
            raise InputError(
                "--baseline", f"has {what} {old!r}", f"{new!r}", "the same options in both audits"
            )
    old, new = before.pairing, now.pairing
    if old is None or new is None:
        raise InputError("--baseline", "holds no pairing", "a report of an audit")
    estimate, influence = now.gap.estimate, np.array(new.influence)
    if old.group != new.group:
        estimate, influence = _gap_of_group(question, old.group, now.level)
    same = old.unit == new.unit and (old.unit != "row position" or old.rows == new.rows)
    earlier = np.array(old.influence)
    spread = _spread(influence - earlier) if same else _spread(influence) + _spread(earlier)
    half = float(quantile((1 + now.level) / 2, CLASSES - 1)) * float(np.sqrt(spread))
    change = estimate - before.gap.estimate
    pairing = f"paired by {new.unit}" if same else "different rows, so not paired"
    if old.group:
        pairing += f"; gap of {', '.join(str(v) for _, v in old.group)} in both reports"
    return Change(before.gap.estimate, estimate, change, change - half, change + half, pairing)


def _spread(influence: Floats) -> float:
    """Variance of a sum of independent class totals."""
    n = len(influence)
    return float(((influence - influence.mean()) ** 2).sum() * n / (n - 1))


def _units(question: Question) -> tuple[str, Objects]:
    """Name the kind of unit and give each row's."""
    if isinstance(question.metric, Resampled):
        # Influences of folds: the deal of rows into folds repeats only on the same rows.
        return "row position", np.arange(question.n)
    if question.block is not None:
        return "block", question.block
    if question.row is not None:
        return "row identity", question.row
    return "row position", np.arange(question.n)


def _influence(found: Evaluation, question: Question, group: GroupKey, values: Objects) -> Floats:
    """Sum what each hash class of units adds to the headline gap."""
    sampling, sign = found.sampling, found.metric.sign
    weights = np.zeros(sampling.value.shape)
    if found.two_sided:
        here, elsewhere = sampling.even_shares()
        weights[:, 0], weights[:, 1] = sign * here, -sign * elsewhere
    elif group:
        columns = tuple(c for c, _ in group)
        own = np.array([key_of(columns, key) == group for key in found.sides.keys])
        others = np.asarray(~np.isnan(sampling.value[:, 0]) & ~own, dtype=np.float64)
        weights[:, 0] = sign * (others / max(others.sum(), 1.0) - own)
    moved = (weights[sampling.group] * sampling.total).sum(axis=1)
    of_unit = sums(sampling.unit, sampling.n_units, moved)
    if isinstance(question.metric, Resampled):
        return sums(np.arange(sampling.n_units) % CLASSES, CLASSES, of_unit)
    texts = values.astype(str).astype(object) if values.dtype.kind == "O" else values
    hashed = np.asarray(untyped("pandas").util.hash_array(texts), dtype=np.uint64) % CLASSES
    class_of_unit = np.zeros(sampling.n_units, dtype=np.int64)
    class_of_unit[number(values)] = hashed.astype(np.int64)
    return sums(class_of_unit, CLASSES, of_unit)


def _gap_of_group(question: Question, group: GroupKey, level: float) -> tuple[float, Floats]:
    """Today's gap of the group that the earlier report put in its headline."""
    columns: Coded = question.groups[0].coded
    names = tuple(c for c, _ in group)
    index = next((g for g, k in enumerate(columns.keys) if key_of(names, k) == group), None)
    if index is None:
        raise InputError(
            "--baseline",
            f"is about group {group}",
            "a group of this table",
            "audit tables with the same groups",
        )
    found = evaluate(question, question.models[0], columns, level=level)
    estimate = float(found.gaps()[0][index])
    return estimate, _influence(found, question, group, _units(question)[1])
