"""How strongly features that fire or not go with classes and groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from elsewhere.core.arrays import Coded, Floats, as_array, code
from elsewhere.core.errors import InputError
from elsewhere.core.untyped import untyped
from elsewhere.ops.linear_table import feature_table

TINY = 1e-10
"""What keeps the logarithm of a joint frequency of 0 finite."""


def npmi(x_binary: Any, y_binary: Any, *, least_frequency: float = 0.01) -> Floats:
    """Normalised pointwise mutual information of features that fire with a label that is given.

    With f, p and j the shares of rows where the feature is 1, the label is 1, and both are:
    `log2((j + 1e-10) / ((f + 1e-10) p)) / -log2(j + 1e-10)`. It is 1 where the two always come
    together, 0 where they are independent, and near -1 where they never meet.

    Args:
        x_binary: 0 or 1, shape (rows, features): dense, or a sparse matrix.
        y_binary: 0 or 1, shape (rows,), or (rows, labels) for many labels at once.
        least_frequency: Features that fire in at most this share of rows get 0.

    Returns:
        Shape (features,), or (features, labels). 0 where the value is not finite, as with a label
        that is given to no row.

    Raises:
        InputError: Values other than 0 and 1, shapes that do not fit, no rows.

    Cost: one product of matrices; a sparse one takes the entries that are not 0 once a label.

    Reference: G. Bouma 2009, "Normalized (pointwise) mutual information in collocation
        extraction", with the small terms of arXiv 2602.14161's code.

    Example:
        >>> x = [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
        >>> npmi(x, [1, 1, 0, 0]).round(3).tolist()
        [1.0, 0.0, 0.5]
    """
    x = feature_rows(x_binary, "x_binary")
    y = as_array(y_binary, "y_binary", columns=True)
    if len(y) != x.shape[0]:
        raise InputError("y_binary", f"has {len(y)} rows for {x.shape[0]}", "one for each row")
    for values, argument in ((_entries(x), "x_binary"), (y, "y_binary")):
        if not np.isin(values, (0, 1)).all():
            raise InputError(argument, "holds values other than 0 and 1", "0 or 1", "x > 0")
    labels = y.astype(np.float64).reshape(len(y), -1)
    found = _npmi(x, labels, least_frequency)
    return found[:, 0] if y.ndim == 1 else found


def npmi_by_group(
    x_binary: Any, group: Any, *, least_frequency: float = 0.01
) -> tuple[Floats, Coded]:
    """Normalised pointwise mutual information of features with every group.

    Args:
        x_binary: 0 or 1, shape (rows, features), dense or sparse.
        group: Group of each row, shape (rows,).
        least_frequency: As in `npmi`.

    Returns:
        Values, shape (features, groups), and the groups in sorted order.

    Raises:
        InputError: As `npmi`.

    Cost: as `npmi`, and rows * groups numbers.

    Example:
        >>> values, groups = npmi_by_group([[1, 1], [1, 0], [0, 1], [0, 0]], list("aabb"))
        >>> values.round(2).tolist(), groups.keys
        ([[1.0, -0.94], [0.0, 0.0]], ('a', 'b'))
    """
    coded = code(as_array(group, "group"))
    member = coded.codes[:, None] == np.arange(len(coded))
    return npmi(x_binary, member.astype(np.int8), least_frequency=least_frequency), coded


def feature_rows(x: Any, argument: str = "x") -> Any:
    """Check a table of features, dense or sparse.

    Args:
        x: Shape (rows, features): an array-like, or a sparse matrix of any layout.
        argument: Name for the message.

    Returns:
        An array of numbers as it came, or a sparse array of float64 by rows without entries of 0;
        the input is never written to.

    Raises:
        InputError: Another shape, no rows, something other than finite numbers.
    """
    if not hasattr(x, "tocsr"):
        try:
            table = feature_table(x)
        except InputError as error:
            raise InputError(argument, error.problem, error.expected, error.hint) from None
        if not len(table):
            raise InputError(argument, "has no rows", "at least one row")
        return table
    found = untyped("scipy.sparse").csr_array(x, copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    if found.ndim != 2 or not found.shape[0] or not found.shape[1]:
        raise InputError(argument, f"has shape {found.shape}", "(rows, features), at least 1 each")
    if found.dtype.kind not in "biuf" or not np.isfinite(found.data).all():
        raise InputError(
            argument,
            "has missing or infinite values, or something other than numbers",
            "finite numbers",
            "fill or drop these rows first",
        )
    return found.astype(np.float64)


def fires(x: Any) -> Any:
    """Say where features are above 0.

    Args:
        x: A table from `feature_rows`.

    Returns:
        0 or 1 of the same shape, dense or sparse.
    """
    return (x > 0).astype(np.float64)


def _entries(x: Any) -> Any:
    """Numbers of a table, without the zeros of a sparse one."""
    return x.data if hasattr(x, "tocsr") else x


def _npmi(x: Any, labels: Floats, least_frequency: float) -> Floats:
    """Values, shape (features, labels), from numbers that have been checked."""
    n = len(labels)
    joint = np.asarray(x.T.astype(np.float64) @ labels) / n
    fired = np.asarray(x.sum(axis=0), dtype=np.float64).reshape(-1, 1) / n
    given = labels.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log2((joint + TINY) / ((fired + TINY) * given)) / -np.log2(joint + TINY)
    found[~np.isfinite(found)] = 0.0
    return np.where(fired > least_frequency, found, 0.0) + 0.0  # no -0
