"""Equal weight, or equally many rows, for every group or group and class."""

from __future__ import annotations

from typing import Any

import numpy as np

from elsewhere.core.arrays import Floats, Integers, as_array, number, sums
from elsewhere.core.errors import InputError
from elsewhere.core.seeding import generator


def balanced_weights(group: Any, y: Any = None, *, block: Any = None) -> Floats:
    """Weight rows so that every group, or every group and class, has the same total.

    Args:
        group: Group of each row, shape (n,).
        y: Class of each row, shape (n,): then each class of each group that has rows counts the
            same; groups alone when absent.
        block: What belongs together, shape (n,): then the blocks of a cell (a group, or a class of
            a group) count the same as well, however many rows each has there.

    Returns:
        Weights with mean 1, shape (n,), for the `sample_weight` of any estimator.

    Raises:
        InputError: Missing values, arrays of unlike length.

    Cost: one hash table for each array.

    Reference: B. Idrissi, M. Arjovsky, M. Pezeshki, D. Lopez-Paz 2022, "Simple data balancing
        achieves competitive worst-group-accuracy", arXiv 2110.14503 (reweighting).

    Example:
        >>> balanced_weights(["a", "a", "a", "b"]).round(2).tolist()
        [0.67, 0.67, 0.67, 2.0]
        >>> balanced_weights(["a", "a", "a", "b"], block=[1, 1, 2, 3]).tolist()
        [0.5, 0.5, 1.0, 2.0]
    """
    cell = cells(group, y)
    n = len(cell)
    if not n:
        return np.empty(0)
    weight = np.ones(n)
    if block is not None:
        inner = number(_rows(block, "block", n))
        both = number(cell * (int(inner.max()) + 1) + inner)
        weight = 1 / sums(both, int(both.max()) + 1)[both]
    total = sums(cell, int(cell.max()) + 1, weight)
    weight = weight / total[cell]
    return weight * (n / len(total))


def balanced_rows(group: Any, y: Any = None, *, size: int | None = None, seed: int = 0) -> Integers:
    """Draw equally many rows of every group, or of every group and class, without replacement.

    Args:
        group: Group of each row, shape (n,).
        y: Class of each row, shape (n,); groups alone when absent.
        size: Rows of each group (and class); as many as the smallest has when absent.
        seed: Seed. Which rows are drawn depends on it and on the order of the rows.

    Returns:
        Row numbers, ascending.

    Raises:
        InputError: A size that the smallest cell does not have, missing values, arrays of unlike
            length.

    Cost: one sort.

    Reference: B. Idrissi, M. Arjovsky, M. Pezeshki, D. Lopez-Paz 2022, "Simple data balancing
        achieves competitive worst-group-accuracy", arXiv 2110.14503 (subsampling).

    Example:
        >>> balanced_rows(["a", "b", "a", "b", "a", "b"], size=3).tolist()
        [0, 1, 2, 3, 4, 5]
        >>> rows = balanced_rows(["a", "a", "a", "b"])
        >>> len(rows), 3 in rows
        (2, True)
    """
    cell = cells(group, y)
    if not len(cell):
        return np.empty(0, dtype=np.int64)
    counts = sums(cell, int(cell.max()) + 1).astype(np.int64)
    smallest = int(counts.min())
    wanted = smallest if size is None else size
    if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) or wanted < 1:
        raise InputError("size", f"is {size!r}", "a whole number of rows, at least 1")
    if wanted > smallest:
        raise InputError(
            "size",
            f"is {wanted}",
            f"at most {smallest}, which is all that the smallest group"
            + (" and class has" if y is not None else " has"),
            "leave small groups out first",
        )
    drawn = generator(seed, "balanced rows").permutation(len(cell))
    drawn = drawn[np.argsort(cell[drawn], kind="stable")]
    place = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(drawn[place < wanted])


def cells(group: Any, y: Any = None) -> Integers:
    """Number the groups, or the pairs of group and class, that have rows.

    Args:
        group: Group of each row, shape (n,).
        y: Class of each row, shape (n,); groups alone when absent.

    Returns:
        Number of each row's cell, from 0, shape (n,).

    Raises:
        InputError: Missing values, arrays of unlike length.

    Example:
        >>> cells(["a", "a", "b"], [0, 1, 1]).tolist()
        [0, 1, 2]
    """
    cell = number(as_array(group, "group"))
    if y is None or not len(cell):
        return cell
    label = number(_rows(y, "y", len(cell)))
    return number(cell * (int(label.max()) + 1) + label)


def _rows(values: Any, argument: str, n: int) -> Any:
    """Take one value for each row."""
    array = as_array(values, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} rows", f"{n}, as many as group")
    return array
