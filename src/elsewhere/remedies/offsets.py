"""Small changes to a frozen model's predictions, fitted to few rows under a penalty.

`recalibrate` and `adapt` both add terms to what a model says of a row: to its log-odds, to the
logits of its classes, or to its number. What they share stands here: how predictions and targets
are read, and the one way in which terms are fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Key, Objects, as_array, encode
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.untyped import untyped
from elsewhere.ops.logistic import class_probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind: TypeAlias = Literal["probability", "logits", "number"]
"""What a prediction is: probabilities (of the second of two classes, or one column a class),
log-odds or logits in the same shapes, or a number."""

EDGE = 1e-9
"""Probabilities are kept this far from 0 and 1, so that their log-odds stay within 20.7."""

STEPS = 400
"""Newton steps before a fit is taken as it is; each lowers the loss."""

INNER_STEPS = 500
"""Conjugate-gradient steps within a Newton step."""

INNER = 1e-10
"""Share of the squared error of a linear system that may stay: the next Newton step removes it."""

HALVINGS = 60
"""Times a step is halved in search of a lower loss."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of a frozen model on the scale that terms are added to.

    Args:
        kind: What came.
        given: The predictions as they came, in float64, shape (n,) or (n, classes).
        base: Log-odds of the second of two classes or numbers, shape (n, 1); logits of more than
            two classes, shape (n, classes).
    """

    kind: Kind
    given: Floats
    base: Floats

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 for numbers."""
        if self.kind == "number":
            return 0
        return max(self.base.shape[1], 2)

    def moved(self, base: Floats) -> Floats:
        """Turn changed log-odds, logits or numbers into predictions of the kind that came."""
        two_columns = self.given.ndim == 2 and base.shape[1] == 1
        if self.kind == "probability":
            one = class_probability(base)
            if two_columns:
                return np.concatenate([class_probability(-base), one], axis=1)
            return one if one.shape[1] > 1 else one[:, 0]
        if two_columns:
            middle = self.given.mean(axis=1, keepdims=True)
            return np.concatenate([middle - base / 2, middle + base / 2], axis=1)
        return base if base.shape[1] > 1 else base[:, 0]


def read_prediction(prediction: Any, kind: Kind) -> Predicted:
    """Check predictions and put them on the scale that terms are added to.

    Args:
        prediction: Array-like, shape (n,) or (n, classes).
        kind: What it is.

    Returns:
        The predictions; probabilities are kept `EDGE` from 0 and 1.

    Raises:
        InputError: An unknown kind, or values that are not of that kind.
    """
    if kind not in ("probability", "logits", "number"):
        raise InputError(
            "kind", f"is {kind!r}", "", nearest(str(kind), ("probability", "logits", "number"))
        )
    table = finite(as_array(prediction, "prediction", columns=True), "prediction")
    if table.ndim == 2 and (kind == "number" or table.shape[1] < 2):
        wanted = "one number a row" if kind == "number" else "one column for each class, or (n,)"
        raise InputError("prediction", f"has shape {table.shape}", wanted)
    if kind != "probability":
        if table.ndim == 1:
            return Predicted(kind, table, table[:, None])
        return Predicted(kind, table, table[:, 1:] - table[:, :1] if table.shape[1] == 2 else table)
    inside = bool(((table >= -1e-6) & (table <= 1 + 1e-6)).all())
    if not inside or (table.ndim == 2 and not np.allclose(table.sum(axis=1), 1, atol=1e-3)):
        raise InputError(
            "prediction",
            "holds values outside 0 to 1, or rows that do not add up to 1",
            "probabilities",
            'kind="logits" for log-odds and decision values',
        )
    kept = np.clip(table, EDGE, 1 - EDGE)
    if table.ndim == 1:
        return Predicted(kind, table, (np.log(kept) - np.log1p(-kept))[:, None])
    logs = np.log(kept)
    return Predicted(kind, table, logs[:, 1:] - logs[:, :1] if table.shape[1] == 2 else logs)


def read_target(y: Any, predicted: Predicted, classes: Sequence[Key] | None) -> Floats:
    """Check targets.

    Args:
        y: Classes or numbers, shape (n,).
        predicted: The predictions of the same rows.
        classes: Classes in the order of the prediction's columns; None for codes from 0.

    Returns:
        Numbers, or 1 where a row is of a class (of the second, where there are two): the shape of
        `predicted.base`.

    Raises:
        InputError: Another length, unknown classes, values that are no numbers.
    """
    array, n = as_array(y, "y"), len(predicted.base)
    if len(array) != n:
        raise InputError("y", f"has {len(array)} rows", f"{n}, one for each prediction")
    if not predicted.n_classes:
        if classes is not None:
            raise InputError("classes", "is given", "None where the predictions are numbers")
        return finite(array, "y")[:, None]
    known = tuple(range(predicted.n_classes)) if classes is None else tuple(classes)
    if len(known) != predicted.n_classes or len(set(known)) != len(known):
        raise InputError(
            "classes", f"has {len(set(known))} distinct entries", f"{predicted.n_classes} classes"
        )
    if n == 0:
        return np.empty(predicted.base.shape)
    codes = encode(array, known, "y")
    shown = np.arange(1, 2) if predicted.base.shape[1] == 1 else np.arange(predicted.n_classes)
    return (codes[:, None] == shown).astype(np.float64)


def read_weight(weight: Any, n: int) -> Floats:
    """Check weights of rows, at least 0; ones when absent."""
    if weight is None:
        return np.ones(n)
    found = finite(as_array(weight, "weight"), "weight")
    if len(found) != n:
        raise InputError("weight", f"has {len(found)} rows", f"{n}, one for each prediction")
    if (found < 0).any():
        raise InputError("weight", "holds negative values", "numbers >= 0")
    return found


def one_a_row(values: Any, argument: str, n: int) -> Objects:
    """Take one value for each row.

    Args:
        values: The values, shape (n,).
        argument: Name for messages.
        n: Number of rows.

    Returns:
        The values.

    Raises:
        InputError: Another number of values.
    """
    array = as_array(values, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} rows", f"{n}, one for each row")
    return array


def finite(array: Any, argument: str) -> Floats:
    """Turn an array into float64, or say that it holds something other than finite numbers."""
    try:
        found = np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            argument, "holds something other than numbers", "finite numbers", "code it as numbers"
        ) from None
    if not np.isfinite(found).all():
        raise InputError(argument, "holds infinite values", "finite numbers", "clip them first")
    return found


def positive(value: float, argument: str, *, infinite: bool = False) -> float:
    """Check a strength of a penalty: above 0, and finite unless infinity is allowed."""
    number = float(value)
    if not number > 0 or (np.isinf(number) and not infinite):
        raise InputError(argument, f"is {value}", "a number above 0", "20")
    return number


class Terms(Protocol):
    """Terms that are linear in their parameters, under a penalty on the square of each."""

    @property
    def penalty(self) -> Floats:
        """Penalty of each parameter, broadcast to their shape."""
        ...

    @property
    def start(self) -> Floats:
        """Parameters without any effect: zeros."""
        ...

    def forward(self, parameters: Floats) -> Floats:
        """What the parameters add to the base, shape (n, c)."""
        ...

    def back(self, residual: Floats) -> Floats:
        """The transpose of `forward`: from (n, c) to the shape of the parameters."""
        ...

    def solver(self, curvature: Floats) -> Callable[[Floats], Floats]:
        """Solve, exactly or nearly, with the Hessian of rows of this curvature, shape (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class Columns:
    """A coefficient for each column, and for each class where there are more than two.

    Args:
        z: Columns, shape (n, d).
        penalty: Penalty of each column, above 0, shape (d, 1).
        n_outputs: 1, or the number of classes.
    """

    z: Floats
    penalty: Floats
    n_outputs: int

    @property
    def start(self) -> Floats:
        """Zeros, shape (d, outputs)."""
        return np.zeros((self.z.shape[1], self.n_outputs))

    def forward(self, parameters: Floats) -> Floats:
        """Columns times coefficients."""
        return self.z @ parameters

    def back(self, residual: Floats) -> Floats:
        """Transposed columns times residuals."""
        return self.z.T @ residual

    def solver(self, curvature: Floats) -> Callable[[Floats], Floats]:
        """Factor the Hessian of one output: exact for one, near for more."""
        rooted = self.z * np.sqrt(curvature)[:, None]
        hessian = rooted.T @ rooted
        hessian.flat[:: len(hessian) + 1] += self.penalty[:, 0]
        linalg = untyped("scipy.linalg")
        for raised in (0.0, 1e-14, 1e-12, 1e-10, 1e-8):
            # Rounding can hide a small penalty beside columns that repeat each other.
            hessian.flat[:: len(hessian) + 1] *= 1 + raised
            try:
                factor = linalg.cho_factor(hessian, lower=True, check_finite=False)
            except linalg.LinAlgError:
                continue
            return lambda right: linalg.cho_solve(factor, right, check_finite=False)
        diagonal = np.diagonal(hessian).copy()[:, None]
        return lambda right: right / diagonal


@dataclass(frozen=True, eq=False)
class SlopeAndBiases:
    """One change of the slope of all logits, and one bias a class.

    Args:
        logits: Shape (n, classes).
        strength: Penalty of each parameter.
    """

    logits: Floats
    strength: float

    @property
    def penalty(self) -> Floats:
        """The same for all."""
        return np.array(self.strength)

    @property
    def start(self) -> Floats:
        """Zeros, shape (1 + classes,)."""
        return np.zeros(1 + self.logits.shape[1])

    def forward(self, parameters: Floats) -> Floats:
        """Slope times logits, plus biases."""
        return parameters[0] * self.logits + parameters[1:]

    def back(self, residual: Floats) -> Floats:
        """The transpose."""
        return np.concatenate([[(residual * self.logits).sum()], residual.sum(axis=0)])

    def solver(self, curvature: Floats) -> Callable[[Floats], Floats]:
        """Divide by a diagonal; the conjugate gradients do the rest in a few steps."""
        centred = self.logits - self.logits.mean(axis=1, keepdims=True)
        first = curvature @ (centred**2).sum(axis=1)
        diagonal = np.append(first, np.full(self.logits.shape[1], curvature.sum())) + self.strength
        return lambda right: right / diagonal


def fit_terms(base: Floats, target: Floats, weight: Floats, terms: Terms) -> Floats:
    """Minimise the weighted log loss of base + terms plus half the penalties.

    Args:
        base: Log-odds, shape (n, 1), or logits, shape (n, classes).
        target: 1 where a row is of a class, the same shape.
        weight: Weights of rows, shape (n,).
        terms: What is added.

    Returns:
        The parameters at the minimum. It is unique and finite, since each is penalised: one class
        alone and classes that can be separated are no exception.

    Cost: Newton's method with halved steps from the base, so that the loss never rises; its linear
        systems are solved by preconditioned conjugate gradients, which take one step where there
        is one output. About 5 to 10 Newton steps.
    """
    beta = terms.start
    logits = base + terms.forward(beta)
    loss = _loss(logits, target, weight)
    for _ in range(STEPS):
        probability = class_probability(logits)
        slope = terms.back(weight[:, None] * (probability - target)) + terms.penalty * beta
        step = _newton_step(terms, probability, weight, slope)
        decrement = float((slope * step).sum())
        if decrement <= 1e-15 * (1 + abs(loss)):
            return beta - step  # losses no longer tell the two apart; a full step is nearer
        share = 1.0
        for _ in range(HALVINGS):
            tried = beta - share * step
            logits = base + terms.forward(tried)
            reached = _loss(logits, target, weight) + float((terms.penalty * tried**2).sum()) / 2
            if reached <= loss - 1e-4 * share * decrement + 1e-14 * (1 + abs(loss)):
                break
            share /= 2
        beta, loss = tried, reached
    return beta


def _loss(logits: Floats, target: Floats, weight: Floats) -> float:
    """Weighted log loss."""
    if logits.shape[1] == 1:
        each = np.logaddexp(0, logits[:, 0]) - target[:, 0] * logits[:, 0]
    else:
        top = logits.max(axis=1)
        each = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        each -= (target * logits).sum(axis=1)
    return float(weight @ each)


def _newton_step(terms: Terms, probability: Floats, weight: Floats, slope: Floats) -> Floats:
    """Solve Hessian * step = slope by preconditioned conjugate gradients."""
    single = probability.shape[1] == 1

    def curve(change: Floats) -> Floats:
        if single:
            return weight[:, None] * probability * (1 - probability) * change
        mean = (probability * change).sum(axis=1, keepdims=True)
        return weight[:, None] * probability * (change - mean)

    if single:
        curvature = weight * probability[:, 0] * (1 - probability[:, 0])
    else:
        spread = 1 - (probability**2).sum(axis=1)
        curvature = weight * np.maximum(spread, 0) / (probability.shape[1] - 1)
    precondition = terms.solver(curvature)
    found, left = np.zeros_like(slope), slope.copy()
    nearer = precondition(left)
    along, size = nearer, float((left * nearer).sum())
    first = size
    for _ in range(INNER_STEPS):
        if size <= INNER * first:
            break
        image = terms.back(curve(terms.forward(along))) + terms.penalty * along
        share = size / float((along * image).sum())
        found = found + share * along
        left = left - share * image
        nearer = precondition(left)
        size, last = float((left * nearer).sum()), size
        along = nearer + size / last * along
    return found
