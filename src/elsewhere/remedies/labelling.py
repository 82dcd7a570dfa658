"""Which rows of a site to label, and which stay to be tested."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Booleans, Integers, as_array, number, sums
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.seeding import generator
from elsewhere.remedies.offsets import one_a_row

Labelled: TypeAlias = Literal["random", "earliest"]
"""Which rows of a site are labelled."""


def labelled_rows(
    rows: Any,
    k: int,
    *,
    block: Any = None,
    time: Any = None,
    how: Labelled = "random",
    seed: int = 0,
) -> tuple[Integers, Integers]:
    """Choose which rows of a site to label, and which stay to be tested. No label is used.

    Args:
        rows: Row numbers of the site, each once, shape (n,).
        k: Rows to label, at least 0.
        block: What belongs together (patient, day), shape (n,): no block has both labelled rows
            and rows that stay.
        time: When each row came, shape (n,); needed for "earliest". Rows of one moment stay
            together.
        how: "random" labels whole blocks (or rows) drawn at random; "earliest" the first rows, and
            then only strictly later rows of other blocks stay: later rows of a labelled block are
            in neither set.
        seed: Seed of "random".

    Returns:
        The labelled rows and those that stay, both ascending. At most k rows are labelled, unless
        the first block (or moment) alone has more. A larger k labels the same rows and more; the
        order in which rows are given does not matter.

    Raises:
        InputError: Repeated rows, arrays of another length, no time where it is needed.

    Cost: one sort.

    Example:
        >>> labelled_rows([3, 5, 8, 9], 2, time=[1, 2, 2, 3], how="earliest")
        (array([3]), array([5, 8, 9]))
    """
    if how not in ("random", "earliest"):
        raise InputError("how", f"is {how!r}", "", nearest(str(how), ("random", "earliest")))
    if k < 0:
        raise InputError("k", f"is {k}", "a number of rows, 0 or more")
    given = as_array(rows, "rows")
    if given.dtype.kind not in "iu" and len(given):
        raise InputError(
            "rows", f"holds {given.tolist()[0]!r}", "row numbers", "np.flatnonzero(mask)"
        )
    order = np.argsort(given, kind="stable")
    site = given[order].astype(np.int64)
    n = len(site)
    if n and (np.diff(site) == 0).any():
        raise InputError("rows", "repeats a row", "each row once")
    unit = np.arange(n)
    if block is not None:
        unit = number(one_a_row(block, "block", n)[order])
    if how == "random":
        n_units = int(unit.max(initial=-1)) + 1
        turn = np.empty(n_units, dtype=np.int64)
        turn[generator(seed, "labelled rows").permutation(n_units)] = np.arange(n_units)
        labelled = _first_units(turn[unit], k)
        return site[labelled], site[~labelled]
    if time is None:
        raise InputError("time", "is absent", "when each row came", 'how="random"')
    labelled = _first_units(number(one_a_row(time, "time", n)[order]), k)
    rest = ~labelled & ~np.isin(unit, unit[labelled])
    return site[labelled], site[rest]


def _first_units(turn: Integers, k: int) -> Booleans:
    """Mark rows whose turn comes while at most k rows are taken; the first turn always counts."""
    if not len(turn) or k == 0:
        return np.zeros(len(turn), dtype=bool)
    reached = np.cumsum(sums(turn, int(turn.max()) + 1))
    last = max(int(np.searchsorted(reached, k, side="right")), 1)
    return np.asarray(turn < last)
