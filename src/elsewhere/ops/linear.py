"""Ridge and logistic regression refitted without each group, or on each group alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Key, Objects, as_array, chunks, code, encode
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Model = Literal["ridge", "logistic"]

ROWS = 4096
"""Rows whose weighted copy is held at a time, so that it stays in a processor's cache."""

WELL_CONDITIONED = 1e-8
"""Reciprocal condition number from which a Cholesky factor of summed products is trusted."""

SETTLED = 1e-10
"""Newton step, relative to 1 + |coefficient| of a standardised feature, that is the last one."""

CLOSE = 1e-6
"""The same, where rounding stops the descent: a fit that is farther away has no coefficients."""

STEADY = 1e-2
"""The same, from which the Hessian is kept for further steps while they shrink tenfold."""

CONTRACTS = 0.5
"""Share of the last step to which a Hessian from the fit to all rows must bring the next."""

STEPS = 200
"""Newton steps, and steps with a Hessian from nearby, before a fit is given up."""

IDLE = 10
"""Steps in a row without a lower loss after which rounding has the last word."""

HALVINGS = 40
"""Times a step is halved in search of a lower loss."""


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
        rows = _features(x)
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
            return _probability(raw[..., None])[..., 0]
        return _probability(raw)


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
    table = _table(x, y, group, model, penalty, weight)
    if len(table.keys) < 2:
        raise InputError("group", "has one group", "at least two", "train_on_one_group")
    if model == "ridge":
        return _collect(table, _ridge_without(table, penalty))
    return _collect(table, _logistic_without(table, penalty))


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
    table = _table(x, y, group, model, penalty, weight)
    fit = _ridge_on_rows if model == "ridge" else _newton_on_rows
    return _collect(table, (fit(table, [rows], penalty) for rows in table.groups()))


# --- the table ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Table:
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
class _Fit:
    """One fit in the coordinates of the table.

    Args:
        coefficients: Shape (features,) or (features, classes).
        intercept: One number or shape (classes,).
    """

    coefficients: Floats
    intercept: Any


def _features(x: Any) -> Objects:
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


def _table(x: Any, y: Any, group: Any, model: str, penalty: float, weight: Any) -> _Table:
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
    features = _features(x)
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
    return _Table(rows, target, weights[order], bounds, coded.keys, classes, (middle, level))


def _classes(y: Any, n: int) -> Objects:
    """Check one class for each row."""
    labels = as_array(y, "y")
    if len(labels) != n:
        raise InputError("y", f"has {len(labels)} values for {n} rows", "one for each row")
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        raise InputError("y", "has fractions", "classes", "model='ridge' for numbers")
    return labels


def _collect(table: _Table, fits: Iterator[_Fit | str]) -> LinearRefits:
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


# --- linear algebra ----------------------------------------------------------------------------


def _cholesky(matrix: Floats) -> tuple[Callable[[Floats], Floats], float] | None:
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


def _fewer_features(x: Floats) -> tuple[Floats, Floats | None]:
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


def _few_rows(weight: Floats) -> str:
    """Say why there are too few rows for a fit, or nothing."""
    n = int(np.count_nonzero(weight))
    return "" if n >= 2 else f"{n} {'row' if n == 1 else 'rows'} with weight; 2 are needed"


# --- ridge -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Moments:
    """What a ridge needs to know of a set of rows.

    Args:
        weight: Sum of weights.
        mean: Means of features and target, shape (features + 1,).
        scatter: Weighted sums of products of deviations from the means, (features + 1, the same).
        rows: Rows with weight.
    """

    weight: float
    mean: Floats
    scatter: Floats
    rows: int

    def add(self, other: _Moments) -> _Moments:
        """Moments of both sets of rows; only sums of positive terms, so nothing cancels."""
        if not other.weight:
            return self
        if not self.weight:
            return other
        weight = self.weight + other.weight
        apart = other.mean - self.mean
        between = apart * np.sqrt(self.weight * (other.weight / weight))
        scatter = between[:, None] * between
        scatter += self.scatter
        scatter += other.scatter
        mean = self.mean + apart * (other.weight / weight)
        return _Moments(weight, mean, scatter, self.rows + other.rows)


def _moments(x: Floats, y: Floats, weight: Floats) -> _Moments:
    """Moments of some rows, by two passes over blocks of them."""
    k = x.shape[1] + 1
    total = float(weight.sum())
    if not total:
        return _Moments(0.0, np.zeros(k), np.zeros((k, k)), 0)
    mean = np.append(weight @ x, weight @ y) / total
    scatter = np.zeros((k, k))
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        block = np.empty((len(x[rows]), k))
        block[:, :-1], block[:, -1] = x[rows], y[rows]
        block -= mean
        block *= np.sqrt(weight[rows])[:, None]
        scatter += block.T @ block
    return _Moments(total, mean, scatter, int(np.count_nonzero(weight)))


def _all_but_one(parts: Sequence[_Moments], outside: _Moments) -> Iterator[_Moments]:
    """Moments of everything but each part, from sums before and after it."""
    after = [_nothing(outside)]
    for part in reversed(parts[1:]):
        after.append(part.add(after[-1]))
    before = outside
    for part in parts:
        yield before.add(after.pop())
        before = before.add(part)


def _nothing(like: _Moments) -> _Moments:
    """Moments of no rows."""
    return _Moments(0.0, np.zeros_like(like.mean), np.zeros_like(like.scatter), 0)


def _ridge_without(table: _Table, penalty: float) -> Iterator[_Fit | str]:
    """Ridge without each group."""
    x, along = _fewer_features(table.x)
    groups, k = table.groups(), x.shape[1] + 1

    def moments(g: int) -> _Moments:
        return _moments(x[groups[g]], table.y[groups[g]], table.weight[groups[g]])

    parts = list(chunks(len(groups), 4 * 8 * k * k))
    nothing = _Moments(0.0, np.zeros(k), np.zeros((k, k)), 0)
    outside: list[_Moments] = [nothing]
    if len(parts) > 1:  # too many to hold: sums of parts first, then each part again
        sums = [reduce(_Moments.add, map(moments, range(p.start, p.stop))) for p in parts]
        outside = list(_all_but_one(sums, nothing))
    for part, rest in zip(parts, outside, strict=True):
        held = [moments(g) for g in range(part.start, part.stop)]
        for g, left in enumerate(_all_but_one(held, rest), start=part.start):
            fit = _ridge_from(left, penalty)
            if fit is None:
                yield _ridge_on_rows(table, table.others(g), penalty)
            elif along is None or isinstance(fit, str):
                yield fit
            else:
                yield _Fit(along @ fit.coefficients, fit.intercept)


def _ridge_from(found: _Moments, penalty: float) -> _Fit | str | None:
    """Ridge from moments; None where the equations are too ill-conditioned for that."""
    if found.rows < 2:
        return _few_rows(np.ones(found.rows))
    matrix = found.scatter[:-1, :-1].copy()
    matrix.flat[:: len(matrix) + 1] += penalty
    factor = _cholesky(matrix)
    if factor is None or factor[1] < WELL_CONDITIONED:
        return None
    coefficients = factor[0](found.scatter[:-1, -1])
    return _Fit(coefficients, found.mean[-1] - found.mean[:-1] @ coefficients)


def _ridge_on_rows(table: _Table, rows: list[slice], penalty: float) -> _Fit | str:
    """Ridge of some rows: from moments, or by singular values where these are too coarse."""
    x, y, weight = (_taken(a, rows) for a in (table.x, table.y, table.weight))
    few = _few_rows(weight)
    if few:
        return few
    if len(rows) == 1 and x.shape[1] < len(x):
        fit = _ridge_from(_moments(x, y, weight), penalty)
        if fit is not None:
            return fit
    middle, level = np.average(x, axis=0, weights=weight), np.average(y, weights=weight)
    root = np.sqrt(weight)
    left, size, right = np.linalg.svd((x - middle) * root[:, None], full_matrices=False)
    coefficients = ((left.T @ ((y - level) * root)) * size / (size**2 + penalty)) @ right
    return _Fit(coefficients, level - middle @ coefficients)


def _taken(array: Any, rows: list[slice]) -> Any:
    """Rows of an array; a view where they are in one piece."""
    return array[rows[0]] if len(rows) == 1 else np.concatenate([array[r] for r in rows])


# --- logistic ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Problem:
    """A logistic regression in standardised coordinates with a column of ones.

    Args:
        z: Features and ones, shape (rows, d).
        target: 1 where a row is of a class, shape (rows, c); of the second class alone if there
            are two (c = 1).
        weight: Shape (rows,).
        penalty: Penalty of each coordinate, 0 for the intercept, shape (d,).
        tie: Penalty on the sum of the intercepts of more than two classes, which nothing else
            fixes; it leaves the probabilities alone and makes the sum 0.
        middle: Means taken off the features.
        scale: What the features were divided by.
        along: Directions that the features are measured along, or None.
    """

    z: Floats
    target: Floats
    weight: Floats
    penalty: Floats
    tie: float
    middle: Floats
    scale: Floats
    along: Floats | None

    def loss(self, beta: Floats, logits: Floats) -> float:
        """Penalised loss, from coordinates (d, c) and logits (rows, c)."""
        if logits.shape[1] == 1:
            each = np.logaddexp(0, logits[:, 0]) - self.target[:, 0] * logits[:, 0]
        else:
            top = logits.max(axis=1)
            each = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
            each -= (self.target * logits).sum(axis=1)
        bound = self.penalty @ (beta**2).sum(axis=1) + self.tie * beta[-1].sum() ** 2
        return float(self.weight @ each + bound / 2)

    def pull(self, beta: Floats) -> Floats:
        """Gradient of the penalties at coordinates (..., d, c)."""
        found = beta * self.penalty[:, None]
        found[..., -1, :] += self.tie * beta[..., -1, :].sum(axis=-1, keepdims=True)
        return found

    def curvature(self, probability: Floats, rows: slice = slice(None)) -> Floats:
        """Hessian of the loss of some rows without the penalties, shape (c d, c d)."""
        z, p, weight = self.z[rows], probability[rows], self.weight[rows]
        d, c = z.shape[1], p.shape[1]
        found = np.zeros((c, d, c, d))
        for start in range(0, len(z), ROWS):
            part = slice(start, start + ROWS)
            block, q, w = z[part], p[part], weight[part]
            for a in range(c):
                for b in range(a + 1):
                    product = q[:, a] * (1 - q[:, a] if a == b else q[:, b])
                    rooted = block * np.sqrt(w * product)[:, None]
                    found[a, :, b] += (rooted.T @ rooted) * (1 if a == b else -1)
        for a in range(c):
            for b in range(a):
                found[b, :, a] = found[a, :, b].T
        return found.reshape(c * d, c * d)

    def stiffen(self, hessian: Floats) -> Floats:
        """Add the penalties to a Hessian in place."""
        c, d = self.target.shape[1], len(self.penalty)
        hessian.flat[:: c * d + 1] += np.tile(self.penalty, c)
        if self.tie:
            ends = np.arange(1, c + 1) * d - 1
            hessian[np.ix_(ends, ends)] += self.tie
        return hessian

    def start(self) -> Floats:
        """No effect of any feature, and the shares of the classes."""
        beta = np.zeros((self.z.shape[1], self.target.shape[1]))
        share = (self.weight @ self.target) / self.weight.sum()
        beta[-1] = np.log(share) - (np.log1p(-share) if len(share) == 1 else np.log(share).mean())
        return beta

    def fit(self, beta: Floats) -> _Fit:
        """Turn coordinates into those of the table."""
        coefficients = beta[:-1] / self.scale[:, None]
        intercept = beta[-1] - self.middle @ coefficients
        if self.along is not None:
            coefficients = self.along @ coefficients
        return _Fit(coefficients, intercept)


def _problem(x: Floats, code: Integers, weight: Floats, classes: Integers, penalty: float) -> Any:
    """Standardise rows and lay out the classes that are among them."""
    total = weight.sum()
    near = (weight @ x) / total
    x, along = _fewer_features(x - near if x.shape[1] > len(x) else x)
    middle = (weight @ x) / total
    z = np.empty((len(x), x.shape[1] + 1))
    np.subtract(x, middle, out=z[:, :-1])
    z[:, -1] = 1
    spread = np.sqrt(np.einsum("ij,ij,i->j", z[:, :-1], z[:, :-1], weight) / total)
    scale = np.where(spread > 0, spread, 1.0)
    z[:, :-1] /= scale
    shown = classes[1:] if len(classes) == 2 else classes
    target = (code[:, None] == shown).astype(np.float64)
    bound = np.append(penalty / scale**2, 0.0)
    tie = float(total) / len(shown) if len(shown) > 1 else 0.0
    if along is not None:
        middle = middle + near @ along
    return _Problem(z, target, weight, bound, tie, middle, scale, along)


def _probability(logits: Floats) -> Floats:
    """Probability of the second class (one logit) or of each class (several), same shape."""
    if logits.shape[-1] == 1:
        return untyped("scipy.special").expit(logits)
    found = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    return found


def _newton(problem: _Problem, beta: Floats) -> Floats | str:
    """Newton's method with halved steps.

    Args:
        problem: What to minimise.
        beta: Where to start, shape (d, c).

    Returns:
        The minimum, shape (d, c), or why there is none.
    """
    logits = problem.z @ beta
    loss = problem.loss(beta, logits)
    size, solve, idle = np.inf, None, 0
    for _ in range(STEPS):
        probability = _probability(logits)
        gradient = _gradient(problem, beta, probability)
        if solve is None:
            solve = _newton_solver(problem.stiffen(problem.curvature(probability)))
            if solve is None:
                return "no Newton step: the Hessian is not positive definite"
        step = solve(gradient.T.ravel()).reshape(gradient.shape[::-1]).T
        last, size = size, float((np.abs(step) / (1 + np.abs(beta))).max())
        slope = float((gradient * step).sum())
        share = 1.0
        for _ in range(HALVINGS):
            tried = beta - share * step
            logits = problem.z @ tried
            reached = problem.loss(tried, logits)
            if reached <= loss - 1e-4 * share * slope:
                break
            if abs(reached - loss) <= 1e-12 * abs(loss):
                # Losses no longer tell the two apart; slopes along the step still do.
                left = (_gradient(problem, tried, _probability(logits)) * step).sum()
                if abs(left) <= 0.5 * slope:
                    break
            share /= 2
        else:
            break
        idle = idle + 1 if abs(reached - loss) <= 1e-12 * abs(loss) else 0
        beta, loss = tried, reached
        if idle > IDLE:
            break
        if share == 1 and size <= SETTLED:
            return beta
        if not (size <= STEADY and size <= last / 10):
            solve = None
    if size <= CLOSE:
        return beta
    return f"Newton's method does not converge (the last step was {size:.0e} of the coefficients)"


def _gradient(problem: _Problem, beta: Floats, probability: Floats) -> Floats:
    """Gradient of the penalised loss, shape (d, c)."""
    residual = problem.weight[:, None] * (probability - problem.target)
    return problem.z.T @ residual + problem.pull(beta)


def _newton_solver(hessian: Floats) -> Callable[[Floats], Floats] | None:
    """Factor a Hessian, with a slightly raised diagonal where rounding asks for it."""
    for raised in (0.0, 1e-14, 1e-12, 1e-10, 1e-8):
        hessian.flat[:: len(hessian) + 1] *= 1 + raised
        factor = _cholesky(hessian)
        if factor is not None:
            return factor[0]
    return None


def _newton_on_rows(
    table: _Table, rows: list[slice], penalty: float, near: _Fit | None = None
) -> _Fit | str:
    """Logistic regression of some rows by Newton's method.

    Args:
        table: The table.
        rows: Which rows.
        penalty: Strength of the penalty.
        near: A fit to start from, with the same classes.

    Returns:
        The fit, or why there is none.
    """
    x, codes, weight = (_taken(a, rows) for a in (table.x, table.y, table.weight))
    if not weight.all():
        kept = weight > 0
        x, codes, weight = x[kept], codes[kept], weight[kept]
    present = np.unique(codes)
    if len(present) < 2:
        rows_word = "row" if len(codes) == 1 else "rows"
        named = f" ({table.classes[present[0]]!r})" if len(present) else ""
        return f"{'one' if named else 'no'} class{named} among {len(codes)} {rows_word}"
    problem = _problem(x, codes, weight, present, penalty)
    beta = problem.start()
    if near is not None:
        coefficients = near.coefficients.reshape(table.x.shape[1], -1)
        intercept = np.reshape(near.intercept, -1)
        if problem.along is not None:
            coefficients = problem.along.T @ coefficients
        warm = coefficients * problem.scale[:, None]
        beta = np.vstack([warm, intercept + problem.middle @ coefficients])
    found = _newton(problem, beta)
    return found if isinstance(found, str) else _spread(problem.fit(found), table, present)


def _spread(fit: _Fit, table: _Table, present: Integers) -> _Fit:
    """Place a fit of some classes among all classes."""
    k = len(table.classes)
    if k == 2:
        return _Fit(fit.coefficients[:, 0], fit.intercept[0])
    coefficients, intercept = fit.coefficients, fit.intercept
    if len(present) == 2:  # one logit of the second class: half of it for, half against
        coefficients = coefficients * np.array([-0.5, 0.5])
        intercept = intercept * np.array([-0.5, 0.5])
    if len(present) == k:
        return _Fit(coefficients, intercept)
    every, ends = np.zeros((len(coefficients), k)), np.full(k, -np.inf)
    every[:, present], ends[present] = coefficients, intercept
    return _Fit(every, ends)


def _logistic_without(table: _Table, penalty: float) -> Iterator[_Fit | str]:
    """Logistic regression without each group, from the fit to all rows."""
    groups, every = table.groups(), np.arange(len(table.classes))
    counts = np.array(
        [np.bincount(table.y[g][table.weight[g] > 0], minlength=len(every)) for g in groups]
    )
    # Only where all classes stay is the fit to all rows near.
    near = np.flatnonzero(((counts.sum(axis=0) - counts) > 0).all(axis=1)).tolist()
    done: dict[int, _Fit] = {}
    starts: dict[int, _Fit] = {}
    if near:
        problem = _problem(table.x, table.y, table.weight, every, penalty)
        beta = _newton(problem, problem.start())
        if not isinstance(beta, str):
            bounds = [(groups[g].start, groups[g].stop) for g in near]
            found = _without_each(problem, beta, bounds)
            for g, (fit, settled) in zip(near, found, strict=True):
                (done if settled else starts)[g] = _spread(problem.fit(fit), table, every)
    for g in range(len(groups)):
        if g in done:
            yield done[g]
        else:
            yield _newton_on_rows(table, table.others(g), penalty, starts.get(g))


def _without_each(
    problem: _Problem, beta: Floats, bounds: list[tuple[int, int]]
) -> Iterator[tuple[Floats, bool]]:
    """Step from the fit to all rows to the fits without some of them.

    Args:
        problem: The problem of all rows.
        beta: Its minimum, shape (d, c).
        bounds: First row, and the row after the last, of each set of rows to leave out.

    Yields:
        Coordinates (d, c), and whether they are the minimum or only a start for more steps.
    """
    probability = _probability(problem.z @ beta)
    residual = problem.weight[:, None] * (probability - problem.target)
    gradient = problem.z.T @ residual + problem.pull(beta)
    hessian = problem.stiffen(problem.curvature(probability))
    for part in chunks(len(bounds), 8 * (4 * hessian.size + 4 * ROWS * beta.shape[1])):
        own = bounds[part]
        solvers: list[Callable[[Floats], Floats] | None] = []
        pulls = np.empty((len(own), *beta.shape))
        for j, (low, high) in enumerate(own):
            rows = slice(low, high)
            pulls[j] = gradient - problem.z[rows].T @ residual[rows]
            factor = _cholesky(hessian - problem.curvature(probability, rows))
            trusted = factor is not None and factor[1] >= WELL_CONDITIONED
            solvers.append(factor[0] if factor is not None and trusted else None)
        yield from _settle(problem, beta, own, solvers, pulls)


def _settle(
    problem: _Problem,
    beta: Floats,
    own: list[tuple[int, int]],
    solvers: list[Callable[[Floats], Floats] | None],
    pulls: Floats,
) -> Iterator[tuple[Floats, bool]]:
    """Take Newton steps with fixed Hessians, for all sets of rows at once, while they contract."""
    betas = np.repeat(beta[None], len(own), axis=0)
    before = betas.copy()
    last = np.full(len(own), np.inf)
    settled = np.zeros(len(own), dtype=bool)
    active = [(j, solve) for j, solve in enumerate(solvers) if solve is not None]
    pulls = pulls[[j for j, _ in active]]
    for _ in range(STEPS):
        kept = []
        for (j, solve), pull in zip(active, pulls, strict=True):
            step = solve(pull.T.ravel()).reshape(beta.shape[::-1]).T
            decrement = float((step * pull).sum())
            if not decrement <= CONTRACTS**2 * last[j]:
                betas[j] = betas[j] if decrement < last[j] else before[j]
                continue
            before[j], last[j] = betas[j], decrement
            size = (np.abs(step) / (1 + np.abs(betas[j]))).max()
            betas[j] -= step
            settled[j] = size <= SETTLED
            if not settled[j]:
                kept.append((j, solve))
        active = kept
        if not active:
            break
        pulls = _gradients_without(
            problem, betas[[j for j, _ in active]], [own[j] for j, _ in active]
        )
    yield from zip(betas, settled.tolist(), strict=True)


def _gradients_without(problem: _Problem, betas: Floats, own: list[tuple[int, int]]) -> Floats:
    """Gradients at many coordinates (m, d, c), each without its own rows, the same shape."""
    m, d, c = betas.shape
    side = betas.transpose(1, 0, 2).reshape(d, m * c)
    found = np.zeros((d, m * c))
    for start in range(0, len(problem.z), ROWS):
        rows = slice(start, start + ROWS)
        block = problem.z[rows]
        residual = _probability((block @ side).reshape(len(block), m, c))
        residual -= problem.target[rows][:, None]
        residual *= problem.weight[rows][:, None, None]
        for j, (low, high) in enumerate(own):
            residual[max(0, low - start) : max(0, high - start), j] = 0
        found += block.T @ residual.reshape(len(block), m * c)
    return found.reshape(d, m, c).transpose(1, 0, 2) + problem.pull(betas)
