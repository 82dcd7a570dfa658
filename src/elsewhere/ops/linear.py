"""Ridge and logistic regression refitted without each group, or on each group alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elsewhere.core.arrays import (
    Floats,
    Key,
    as_array,
    encode,
)
from elsewhere.core.errors import InputError
from elsewhere.ops.linear_table import GroupedTable, LinearFit, feature_table, grouped_table
from elsewhere.ops.logistic import class_probability, logistic_without, newton_on_rows
from elsewhere.ops.ridge import ridge_on_rows, ridge_without

if TYPE_CHECKING:
    from collections.abc import Iterator

Model = Literal["ridge", "logistic"]


@dataclass(frozen=True, eq=False)
class LinearRefits:
    """Linear models of one table, one for each group.

    Args:
        keys: The groups, in sorted order.
        coefficients: Shape (groups, features), or (groups, features, classes) for more than two
            classes; NaN where there is no fit.
        intercepts: Shape (groups,) or (groups, classes). A class that a fit never saw has
            coefficients 0 and intercept -inf: its probability is 0.
        reason: Why a group has no fit; "" where it has one.
        classes: Classes in sorted order; empty for ridge. With two, the numbers are those of the
            second.
    """

    keys: tuple[Key, ...]
    coefficients: Floats
    intercepts: Floats
    reason: tuple[str, ...]
    classes: tuple[Key, ...] = ()

    def predict(self, x: Any, group: Any = None) -> Floats:
        """Predict rows by their group's model, or by every model.

        Args:
            x: Features, shape (rows, features).
            group: Whose model each row takes, shape (rows,); every model when absent.

        Returns:
            Numbers (ridge), probabilities of the second of two classes, or probabilities of all
            classes: shape (rows[, classes]) with `group`, (rows, groups[, classes]) without.
            NaN from groups without a fit.

        Raises:
            InputError: Features of another number, missing values, or an unknown group.

        Cost: one product of matrices; memory for what is returned, three times.

        Example:
            >>> x, y = np.arange(6.0)[:, None], np.array([0, 1, 2, 4, 5, 6.0])
            >>> refits = leave_one_group_out(x, y, list("aaabbb"), model="ridge", penalty=1e-9)
            >>> refits.predict([[10.0]], ["a"]).round(6).tolist()  # from b: y = x + 1
            [11.0]
            >>> refits.predict([[10.0]]).round(6).tolist()
            [[11.0, 10.0]]
        """
        rows = feature_table(x)
        if rows.shape[1] != self.coefficients.shape[1]:
            raise InputError(
                "x", f"has {rows.shape[1]} features", f"{self.coefficients.shape[1]} as in the fits"
            )
        if group is None:
            raw = np.tensordot(rows, self.coefficients, axes=(1, 1)) + self.intercepts
        else:
            asked = as_array(group, "group")
            if len(asked) != len(rows):
                raise InputError(
                    "group", f"has {len(asked)} values for {len(rows)} rows", "one for each row"
                )
            place = encode(asked, self.keys, "group")
            raw = np.empty((len(rows), *self.intercepts.shape[1:]))
            for g in np.unique(place):
                own = place == g
                raw[own] = rows[own] @ self.coefficients[g] + self.intercepts[g]
        if not self.classes:
            return raw
        if len(self.classes) == 2:
            return class_probability(raw[..., None])[..., 0]
        return class_probability(raw)


def leave_one_group_out(
    x: Any,
    y: Any,
    group: Any,
    *,
    model: Model,
    penalty: float = 1.0,
    weight: Any = None,
) -> LinearRefits:
    """Fit a linear model without each group, all groups at once.

    The ridge minimises `sum(weight * (y - x @ w - b)**2) + penalty * sum(w**2)`, as scikit-learn's
    `Ridge(alpha=penalty)`. Logistic regression minimises `sum(weight * log loss) + penalty / 2 *
    sum(w**2)`, as `LogisticRegression(C=1 / penalty)`. The intercept b is not penalised.

    Args:
        x: Features, shape (rows, features).
        y: Numbers (ridge) or classes (logistic), shape (rows,).
        group: Group of each row, shape (rows,); at least two groups.
        model: "ridge" or "logistic" (more than two classes: multinomial).
        penalty: Strength of the penalty, above 0.
        weight: Weights of rows, at least 0, shape (rows,); ones when absent.

    Returns:
        One fit for each group, on the rows of all others. What is left when a group goes may hold
        one class or fewer than two rows: then NaN and the reason.

    Raises:
        InputError: Shapes that do not fit, missing or infinite values, one group, one class, an
            unknown model, a penalty that is not above 0, negative weights.

    Cost: ridge: one pass, rows * features^2 in all, and features^3 a group. Each group has its
        scatter about its own mean, and scatters are only ever added, so nothing cancels, whatever
        the groups' means and sizes. Logistic: about eight such passes for the fit to all rows; then
        each group's Newton steps keep the Hessian of that fit less the group's own part, which
        costs rows * features a step and group, in products of matrices for all groups. A fit that
        these steps do not bring nearer at once has Newton steps of its own. Memory: the table once
        more, and parts within `MEMORY_BUDGET`.

    Reference: T. Chan, G. Golub, R. LeVeque 1983, "Algorithms for computing the sample variance"
        (adding scatters); S. Boyd, L. Vandenberghe 2004, "Convex optimization", section 9.5
        (Newton's method and its decrement).

    Example:
        >>> x, y = np.array([[0.0], [1], [0], [1], [0], [2]]), np.array([0, 1, 0, 1, 0, 6.0])
        >>> refits = leave_one_group_out(x, y, [1, 1, 2, 2, 3, 3], model="ridge", penalty=1e-9)
        >>> refits.coefficients[:, 0].round(2).tolist(), refits.keys
        ([2.82, 2.82, 1.0], (1, 2, 3))
    """
    table = grouped_table(x, y, group, model, penalty, weight)
    if len(table.keys) < 2:
        raise InputError("group", "has one group", "at least two", "train_on_one_group")
    if model == "ridge":
        return _collect(table, ridge_without(table, penalty))
    return _collect(table, logistic_without(table, penalty))


def train_on_one_group(
    x: Any,
    y: Any,
    group: Any,
    *,
    model: Model,
    penalty: float = 1.0,
    weight: Any = None,
) -> LinearRefits:
    """Fit a linear model to each group alone.

    Args:
        x: Features, shape (rows, features).
        y: Numbers (ridge) or classes (logistic), shape (rows,).
        group: Group of each row, shape (rows,).
        model: "ridge" or "logistic"; see `leave_one_group_out` for what they minimise.
        penalty: Strength of the penalty, above 0.
        weight: Weights of rows, at least 0, shape (rows,); ones when absent.

    Returns:
        One fit for each group. NaN and the reason for a group of one class or of fewer than two
        rows with weight. A group whose classes can be separated has a fit: the penalty bounds it.

    Raises:
        InputError: As `leave_one_group_out`, save that one group is enough.

    Cost: rows * features^2 in all for each Newton step (ridge: once), and features^3 a group; a
        group with fewer rows than features is turned into as many features as rows first. Memory:
        the table once more, and a group's part of it three times.

    Example:
        >>> x, y = np.array([[0.0], [1], [0], [1], [5]]), ["no", "yes", "yes", "no", "no"]
        >>> refits = train_on_one_group(x, y, [1, 1, 2, 2, 3], model="logistic")
        >>> refits.coefficients[:2, 0].round(3).tolist(), refits.reason[2]
        ([0.445, -0.445], "one class ('no') among 1 row")
    """
    table = grouped_table(x, y, group, model, penalty, weight)
    fit = ridge_on_rows if model == "ridge" else newton_on_rows
    return _collect(table, (fit(table, [rows], penalty) for rows in table.groups()))


def _collect(table: GroupedTable, fits: Iterator[LinearFit | str]) -> LinearRefits:
    """Gather fits, or reasons for none, back in the coordinates of the caller."""
    many = len(table.classes) if len(table.classes) > 2 else 0
    wide = (many,) if many else ()
    n_groups, (middle, level) = len(table.keys), table.centre
    coefficients = np.full((n_groups, table.x.shape[1], *wide), np.nan)
    intercepts = np.full((n_groups, *wide), np.nan)
    reason = [""] * n_groups
    for g, fit in enumerate(fits):
        if isinstance(fit, str):
            reason[g] = fit
            continue
        coefficients[g] = fit.coefficients
        intercepts[g] = fit.intercept + level - middle @ fit.coefficients
    return LinearRefits(table.keys, coefficients, intercepts, tuple(reason), table.classes)
