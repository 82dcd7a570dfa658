"""Class shares elsewhere from a model's predictions alone, and the weights that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Objects, as_array, sums
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import quantile
from elsewhere.measures.two_sample import blocks, check_level

MAX_CONDITION = 100.0
"""Condition number of the confusion matrix above which nothing is concluded from it."""


@dataclass(frozen=True, eq=False)
class ClassShift:
    """How the class mix elsewhere differs, if only the class mix does.

    Args:
        shares: Estimated share of each class elsewhere, adding up to 1, shape (classes,).
        low: Lower limits, each for its class alone.
        high: Upper limits.
        weights: Share elsewhere over share here: the weight of a row of each class.
        shares_here: Share of each class here.
        condition: Condition number of the confusion matrix (columns add up to 1): 1 where the
            model is never wrong, infinite where its predictions do not depend on the class.
        reason: Why there is no value; empty if there is one.
    """

    shares: Floats
    low: Floats
    high: Floats
    weights: Floats
    shares_here: Floats
    condition: float
    reason: str = ""


def black_box_shift(
    y_here: Any,
    predicted_here: Any,
    predicted_elsewhere: Any,
    *,
    n_classes: int,
    block_here: Any = None,
    block_elsewhere: Any = None,
    level: float = 0.95,
) -> ClassShift:
    """Estimate the class mix elsewhere from what a model predicts there, without labels.

    If features given the class are distributed as here, each class is predicted as often as
    the confusion matrix here says, and the shares of predictions elsewhere are a mix of its
    columns. The mix is solved for, its negative shares set to 0.

    Args:
        y_here: Class of each row here, 0 to n_classes - 1, shape (n,).
        predicted_here: Predicted classes, shape (n,), or probabilities (the soft form), shape
            (n, n_classes), by a model that did not learn from these rows.
        predicted_elsewhere: The same for rows elsewhere, shape (m,) or (m, n_classes).
        n_classes: Number of classes, at least 2.
        block_here: What belongs together, shape (n,); each row by itself when absent. The same
            label on both sides is the same block.
        block_elsewhere: Blocks elsewhere, shape (m,).
        level: Confidence level in (0, 1).

    Returns:
        Shares with Student's intervals (influence of each block), and weights. NaN and the reason
        where classes are missing here, or the confusion matrix has a condition number over 100.

    Raises:
        InputError: Codes out of range, arrays of unlike shape.

    Cost: one pass over the rows, and one pseudoinverse of the confusion matrix.

    Reference: Lipton, Wang, Smola 2018, "Detecting and correcting for label shift with black box
        predictors", arXiv 1802.03916, section 4.

    Example:
        >>> y, guess = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]
        >>> found = black_box_shift(y, guess, [1, 1, 0, 1, 1, 0, 1, 1], n_classes=2)
        >>> print(found.shares.tolist())
        [0.0, 1.0]
    """
    check_level(level)
    if n_classes < 2:
        raise InputError("n_classes", f"is {n_classes}", "at least 2")
    y = codes(y_here, n_classes, "y_here")
    here = _votes(predicted_here, n_classes, "predicted_here")
    there = _votes(predicted_elsewhere, n_classes, "predicted_elsewhere")
    if len(here) != len(y):
        raise InputError("predicted_here", f"has {len(here)} rows", f"{len(y)}, as many as y_here")
    for rows, argument in ((len(y), "y_here"), (len(there), "predicted_elsewhere")):
        if rows == 0:
            raise InputError(argument, "has no rows", "at least one row")
    unit = blocks(
        block_here, block_elsewhere, (len(y), len(there)), ("block_here", "block_elsewhere")
    )
    counts = sums(y, n_classes)
    nothing = np.full(n_classes, np.nan)
    share_here = counts / len(y)
    if (counts == 0).any():
        gone = ", ".join(str(c) for c in np.flatnonzero(counts == 0)[:5])
        reason = f"here has no rows of class {gone}, so nothing is known of how it is predicted"
        return ClassShift(nothing, nothing, nothing, nothing, share_here, np.nan, reason)
    confusion = np.stack([sums(y, n_classes, votes) for votes in here.T]) / counts
    singular = np.linalg.svd(confusion, compute_uv=False)
    condition = float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf
    if condition > MAX_CONDITION:
        reason = (
            "the predictions hardly depend on the class (the confusion matrix has condition "
            f"number {condition:.3g}, more than {MAX_CONDITION:g})"
        )
        return ClassShift(nothing, nothing, nothing, nothing, share_here, condition, reason)
    back = np.linalg.pinv(confusion)
    mean = there.mean(axis=0)
    raw = back @ mean
    kept = np.maximum(raw, 0.0)
    shares = kept / kept.sum()
    own = -((here - confusion[:, y].T) @ back.T) * (raw / counts)[y][:, None]
    other = ((there - mean) @ back.T) / len(there)
    half = _half_width(own, other, unit, level)
    return ClassShift(
        shares,
        np.minimum(np.clip(raw - half, 0.0, 1.0), shares),
        np.maximum(np.clip(raw + half, 0.0, 1.0), shares),
        shares / share_here,
        share_here,
        condition,
    )


def _half_width(own: Floats, other: Floats, unit: Integers | None, level: float) -> Floats:
    """Half the width of Student's intervals from the influences of rows on both sides."""
    if unit is None:
        parts = np.array(
            [(rows**2).sum(axis=0) * len(rows) / max(len(rows) - 1, 1) for rows in (own, other)]
        )
        freedom = min(len(own), len(other)) - 1
        variance = parts.sum(axis=0)
    else:
        n = int(unit.max()) + 1
        moved = np.stack([sums(unit, n, column) for column in np.concatenate([own, other]).T])
        sides = [len(np.unique(u)) for u in (unit[: len(own)], unit[len(own) :])]
        freedom = min(sides) - 1
        variance = (moved**2).sum(axis=1) * (freedom + 1) / max(freedom, 1)
    return quantile((1 + level) / 2, freedom) * np.sqrt(variance)


def codes(given: Any, n_classes: int, argument: str) -> Integers:
    """Take class codes.

    Args:
        given: Array-like of whole numbers, shape (n,).
        n_classes: Number of classes.
        argument: Name for the message.

    Returns:
        The codes.

    Raises:
        InputError: Something else than codes from 0 to n_classes - 1.
    """
    array = as_array(given, argument)
    if len(array) == 0:
        return np.empty(0, dtype=np.int64)
    whole = array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
    if not whole or array.min() < 0 or array.max() >= n_classes:
        raise InputError(
            argument,
            f"holds {_odd(array, n_classes)!r}",
            f"class codes 0 to {n_classes - 1}",
            "number the classes first",
        )
    return array.astype(np.int64)


def _odd(array: Objects, n_classes: int) -> Any:
    """Find a value that is no class code."""
    for value in array.tolist():
        if not isinstance(value, bool | int | float) or value not in range(n_classes):
            return value
    return array[0]


def _votes(given: Any, n_classes: int, argument: str) -> Floats:
    """Predicted classes as rows with a single 1, or probabilities as they are."""
    array = as_array(given, argument, columns=True)
    if array.ndim == 1:
        return np.eye(n_classes)[codes(array, n_classes, argument)]
    return probabilities(array, n_classes, argument)


def probabilities(given: Any, n_classes: int | None, argument: str) -> Floats:
    """Take probabilities by class; one column stands for the second of two classes.

    Args:
        given: Array-like, shape (n, classes) or (n,).
        n_classes: Number of columns, None if any.
        argument: Name for the message.

    Returns:
        Probabilities, shape (n, classes).

    Raises:
        InputError: Values outside [0, 1], rows that do not add up to 1, wrong columns.
    """
    array = as_array(given, argument, columns=True)
    try:
        table = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(argument, f"holds {array.flat[0]!r}", "probabilities") from None
    if table.ndim == 1:
        table = np.stack([1 - table, table], axis=1)
    if table.shape[1] < 2 or (n_classes is not None and table.shape[1] != n_classes):
        wanted = "one column for each class" if n_classes is None else f"{n_classes} columns"
        raise InputError(argument, f"has {table.shape[1]} columns", wanted)
    outside = not bool(((table >= -1e-6) & (table <= 1 + 1e-6)).all())
    if outside or not bool(np.allclose(table.sum(axis=1), 1, atol=1e-3)):
        raise InputError(
            argument,
            "holds rows outside 0 to 1, or that do not add up to 1",
            "probabilities by class",
            "pass predict_proba's output, not scores",
        )
    return table
