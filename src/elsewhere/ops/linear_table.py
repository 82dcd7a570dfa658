"""Rows by group, ready for linear fits, and the linear algebra that such fits share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import (
    Floats,
    Integers,
    Key,
    Objects,
    as_array,
    code,
)
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Callable

WELL_CONDITIONED = 1e-8
"""Reciprocal condition number from which a Cholesky factor of summed products is trusted."""

ROWS = 4096
"""Rows whose weighted copy is held at a time, so that it stays in a processor's cache."""


@dataclass(frozen=True, eq=False)
class GroupedTable:
    """Rows sorted by group, features less their means over all rows.

    Args:
        x: Features, shape (rows, features).
        y: Numbers less their mean, or class codes, shape (rows,).
        weight: Weights, shape (rows,).
        bounds: First row of each group, and the number of rows, shape (groups + 1,).
        keys: The groups.
        classes: The classes; empty for ridge.
        centre: The means taken off the features and, for ridge, off the numbers.
    """

    x: Floats
    y: Any
    weight: Floats
    bounds: Integers
    keys: tuple[Key, ...]
    classes: tuple[Key, ...]
    centre: tuple[Floats, float]

    def groups(self) -> list[slice]:
        """Rows of each group."""
        ends = self.bounds.tolist()
        return [slice(low, high) for low, high in pairwise(ends)]

    def others(self, g: int) -> list[slice]:
        """Rows of all groups but one."""
        return [slice(0, int(self.bounds[g])), slice(int(self.bounds[g + 1]), len(self.x))]


@dataclass(frozen=True, eq=False)
class LinearFit:
    """One fit in the coordinates of the table.

    Args:
        coefficients: Shape (features,) or (features, classes).
        intercept: One number or shape (classes,).
    """

    coefficients: Floats
    intercept: Any


def feature_table(x: Any) -> Objects:
    """Check a table of features; the numbers come back in whatever type they have."""
    table = np.asarray(x)
    if table.ndim != 2 or not table.shape[1]:
        raise InputError("x", f"has shape {table.shape}", "(rows, features), at least one feature")
    if table.dtype.kind not in "biuf":
        table = _as_numbers(table, "x")
    if not all(np.isfinite(table[k : k + ROWS]).all() for k in range(0, len(table), ROWS)):
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        first = ", ".join(str(row) for row in bad[:5])
        raise InputError(
            "x",
            f"has {len(bad)} rows with missing or infinite values (first: {first})",
            "finite numbers",
            "fill or drop these rows first",
        )
    return table


def _as_numbers(array: Objects, argument: str) -> Floats:
    """Turn numbers of any type, Python's among them, into float64; a copy."""
    try:
        if array.dtype.kind not in "biufO":
            raise TypeError(array.dtype)
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            argument, "holds something other than numbers", "numbers", "code text and dates first"
        ) from error


def _numbers(values: Any, argument: str, n: int) -> Floats:
    """Check one finite number for each row."""
    array = as_array(values, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} values for {n} rows", "one for each row")
    found = _as_numbers(array, argument)
    if not np.isfinite(found).all():
        raise InputError(argument, "has infinite values", "finite numbers")
    return found


def grouped_table(
    x: Any, y: Any, group: Any, model: str, penalty: float, weight: Any
) -> GroupedTable:
    """Check everything and sort rows by group."""
    if model not in {"ridge", "logistic"}:
        raise InputError(
            "model",
            f"is {model!r}",
            "'ridge' or 'logistic'",
            nearest(str(model), ("ridge", "logistic")),
        )
    if not (isinstance(penalty, int | float | np.number) and 0 < penalty < np.inf):
        raise InputError("penalty", f"is {penalty!r}", "a finite number above 0", "1.0")
    features = feature_table(x)
    n = len(features)
    if not n:
        raise InputError("x", "has no rows", "at least one row")
    labels = as_array(group, "group")
    if len(labels) != n:
        raise InputError("group", f"has {len(labels)} values for {n} rows", "one for each row")
    weights = np.ones(n) if weight is None else _numbers(weight, "weight", n)
    if weights.min() < 0 or not weights.any():
        raise InputError("weight", "has negative values or only zeros", "weights of at least 0")
    coded = code(labels)
    order = np.argsort(coded.codes, kind="stable")
    bounds = np.searchsorted(coded.codes[order], np.arange(len(coded) + 1))
    rows = features[order].astype(np.float64, copy=False)  # indexing has made a copy
    middle = rows.mean(axis=0)
    rows -= middle
    classes: tuple[Key, ...] = ()
    if model == "ridge":
        target: Any = _numbers(y, "y", n)[order]
        level = float(target.mean())
        target -= level
    else:
        told = code(_classes(y, n))
        if len(told) < 2:
            raise InputError("y", f"has one class ({told.keys[0]!r})", "two classes or more")
        target, level, classes = told.codes[order], 0.0, told.keys
    return GroupedTable(rows, target, weights[order], bounds, coded.keys, classes, (middle, level))


def _classes(y: Any, n: int) -> Objects:
    """Check one class for each row."""
    labels = as_array(y, "y")
    if len(labels) != n:
        raise InputError("y", f"has {len(labels)} values for {n} rows", "one for each row")
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        raise InputError("y", "has fractions", "classes", "model='ridge' for numbers")
    return labels


def cholesky(matrix: Floats) -> tuple[Callable[[Floats], Floats], float] | None:
    """Factor a positive definite matrix.

    Args:
        matrix: Shape (k, k).

    Returns:
        A function that solves for right sides, and the reciprocal condition number once rows and
        columns have been scaled to a diagonal of ones; None where it is not positive definite.
    """
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all() or not np.isfinite(matrix).all():
        return None
    lapack = untyped("scipy.linalg.lapack")
    scale = 1 / np.sqrt(diagonal)
    even = matrix * scale * scale[:, None]
    norm = float(np.abs(even).sum(axis=0).max())
    factor, failed = lapack.dpotrf(even.T, lower=1, overwrite_a=1)
    if failed:
        return None
    known, _ = lapack.dpocon(factor, norm, uplo="L")

    def solve(right: Floats) -> Floats:
        found, _ = lapack.dpotrs(factor, right * scale, lower=1)
        return found.ravel() * scale

    return solve, float(known)


def fewer_features(x: Floats) -> tuple[Floats, Floats | None]:
    """Turn features so that there are at most as many as rows.

    Coefficients under a penalty lie in the span of the rows, so nothing is lost.

    Args:
        x: Shape (rows, features).

    Returns:
        Features (rows, k) and the directions (features, k) that they are measured along; None
        where all stay.
    """
    if x.shape[1] <= len(x):
        return x, None
    along, lengths = untyped("scipy.linalg").qr(x.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(lengths.T), along


def few_rows(weight: Floats) -> str:
    """Say why there are too few rows for a fit, or nothing."""
    n = int(np.count_nonzero(weight))
    return "" if n >= 2 else f"{n} {'row' if n == 1 else 'rows'} with weight; 2 are needed"
