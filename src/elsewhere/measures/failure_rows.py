"""Rows whose failures are to be explained: checked, coded, and in an order of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import (
    Booleans,
    Floats,
    Integers,
    Objects,
    as_array,
    code,
    missing,
    number,
    sums,
)
from elsewhere.core.errors import InputError
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped
from elsewhere.measures.case_mix import outcomes, probabilities_of_one
from elsewhere.measures.two_sample import canonical_order, vector

if TYPE_CHECKING:
    from collections.abc import Mapping

FEWEST_ROWS = 100
"""Rows below which nothing is concluded."""

FEWEST_GROUPS = 3
"""Groups below which nothing is concluded."""


@dataclass(frozen=True, eq=False)
class Column:
    """A characteristic of rows.

    Args:
        name: Its name.
        values: Numbers, NaN where missing; or, for texts, their place in `levels`.
        levels: Distinct texts, "missing" among them; empty for numbers.
    """

    name: str
    values: Floats
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows, in an order that depends on their contents alone."""

    loss: Floats
    group: Integers
    n_groups: int
    block: Integers | None
    y: Integers | None
    probability: Floats | None
    columns: tuple[Column, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.loss)


def gather(
    loss: Any,
    columns: Mapping[str, Any],
    group: Any,
    y: Any,
    probability: Any,
    block: Any,
    categorical: set[str],
) -> Rows:
    """Check and code what came, and put rows into an order of their own."""
    given = as_array(loss, "loss")
    losses = vector(given, len(given), "loss")
    n = len(losses)
    coded = code(_labels(group, n, "group"))
    unit = None if block is None else number(_labels(block, n, "block"))
    target = None if y is None else outcomes(y, n, "y")
    if probability is not None and target is None:
        raise InputError("probability", "comes without y", "both, or neither", "y=...")
    chance = None if probability is None else probabilities_of_one(probability, "probability")
    if chance is not None and len(chance) != n:
        raise InputError("probability", f"has {len(chance)} rows", f"{n}, as many as loss")
    found = [_column(name, values, n, name in categorical) for name, values in columns.items()]
    order = np.arange(n)
    if n:
        order = canonical_order(
            losses, coded.codes, unit, target, chance, *(column.values for column in found)
        )

    def mixed(values: Any) -> Any:
        return None if values is None else values[order]

    return Rows(
        losses[order],
        coded.codes[order],
        len(coded),
        mixed(unit),
        mixed(target),
        mixed(chance),
        tuple(replace(column, values=column.values[order]) for column in found),
    )


def _labels(given: Any, n: int, argument: str) -> Objects:
    array = as_array(given, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} rows", f"{n}, as many as loss")
    return array


def _column(name: str, given: Any, n: int, as_text: bool) -> Column:
    """Take a column of numbers or texts, missing values allowed."""
    argument = f"columns[{name!r}]"
    array = np.asarray(given)
    if array.shape != (n,):
        raise InputError(argument, f"has shape {array.shape}", f"({n},), one value for each row")
    if array.dtype.kind in "mMcV":
        raise InputError(
            argument,
            f"holds values of type {array.dtype}",
            "numbers or texts",
            "turn moments into numbers or names: the hour, the weekday, the month",
        )
    gone = missing(array)
    numeric = array.dtype.kind in "biuf" or (
        array.dtype.kind == "O"
        and not gone.all()
        and all(isinstance(v, bool | int | float | np.number) for v in array[~gone])
    )
    if numeric and not as_text:
        values = np.full(n, np.nan)
        values[~gone] = array[~gone].astype(np.float64)
        if np.isinf(values).any():
            raise InputError(argument, "holds infinite values", "finite numbers, or NaN")
        return Column(name, values)
    coded = code(array[~gone])
    values = np.full(n, len(coded), dtype=np.float64)
    values[~gone] = coded.codes
    levels = tuple(str(key) for key in coded.keys)
    return Column(name, values, (*levels, "missing") if gone.any() else levels)


def failing_rows(loss: Floats) -> tuple[Booleans, str]:
    """Mark the rows that fail, and say which they are."""
    if np.isin(loss, (0, 1)).all():
        failing = loss == 1
        return failing, f"a loss of 1 ({failing.mean() if len(loss) else 0:.1%} of the rows)"
    cut = float(np.quantile(loss, 0.75))
    failing = loss > cut
    if failing.any():
        words = "above"
    else:  # more than a quarter share the largest loss
        failing, words = loss >= cut, "at least"
    return failing, (
        f"the largest quarter of the loss over all rows ({words} {cut:.4g}; "
        f"{failing.mean():.1%} of the rows)"
    )


def too_little(rows: Rows, failing: Booleans) -> str:
    """Say what there is too little of, if anything."""
    if rows.n < FEWEST_ROWS:
        return f"{rows.n} rows; at least {FEWEST_ROWS} are needed"
    if rows.n_groups < FEWEST_GROUPS:
        many = "one group" if rows.n_groups == 1 else f"{rows.n_groups} groups"
        return f"{many}; at least {FEWEST_GROUPS} are needed"
    if not failing.any():
        return "no row fails"
    if failing.all():
        return "every row fails alike"
    return ""


def varies_within(column: Column, group: Integers, kept: Integers) -> bool:
    """Whether some group holds two different values of a column."""
    values, own = column.values[kept], group[kept]
    known = ~np.isnan(values)
    values, own = values[known], own[known]
    if len(values) == 0:
        return False
    n = int(own.max()) + 1
    least, most = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(least, own, values)
    np.maximum.at(most, own, values)
    return bool((least < most).any())


def joined(group: Integers, block: Integers | None) -> Integers:
    """Number the sets of groups that blocks tie together, shape (rows,)."""
    if block is None:
        return group
    sparse = untyped("scipy.sparse")
    n_groups, n_blocks = int(group.max()) + 1, int(block.max()) + 1
    size = n_groups + n_blocks
    ties = sparse.coo_matrix((np.ones(len(group)), (group, n_groups + block)), shape=(size, size))
    _, label = untyped("scipy.sparse.csgraph").connected_components(ties, directed=False)
    return number(np.asarray(label, dtype=np.int64)[group])


def dealt(label: Integers, seed: int) -> Integers:
    """Deal labels to two halves, large ones first in turns 0, 1, 1, 0, shape (rows,)."""
    size = sums(label, int(label.max()) + 1)
    mixed = generator(seed, "halves of groups").permutation(len(size))
    order = mixed[np.argsort(-size[mixed], kind="stable")]
    side = np.empty(len(size), dtype=np.int64)
    side[order] = np.resize([0, 1, 1, 0], len(size))
    return side[label]
