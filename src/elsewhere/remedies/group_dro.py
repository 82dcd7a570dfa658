"""Linear models whose worst group's loss is as small as it can be."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from elsewhere.core.arrays import MEMORY_BUDGET, Floats, Integers, as_array, code
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.untyped import untyped
from elsewhere.ops.linear_table import cholesky, feature_table, fewer_features
from elsewhere.ops.logistic import class_probability

Loss: TypeAlias = Literal["logistic", "squared"]
"""Log loss of classes, or squared error of numbers."""

INNER_STEPS = 100
"""Newton steps for one set of group weights before they are taken as they are."""

HALVINGS = 50
"""Times a step is halved in search of a lower loss."""

FINER = 1e-4
"""Share of the tolerance to which each weighted fit is solved."""


class GroupDRO:
    """Linear model that minimises the largest of the groups' mean losses, by a certificate.

    It solves min over w, b of max over g of `loss_g(w, b) + adjustment / sqrt(n_g)` plus a ridge
    penalty. With one group it is the ordinary model: `LogisticRegression(C=1 / penalty)` (more
    than two classes: multinomial), or `Ridge(alpha=penalty)`. Regularise: a model that fits every
    training row has no worst group to speak of, and choose `penalty` by the worst group's loss on
    rows that were held out.

    It has scikit-learn's manners (`get_params`, `set_params`, `clone`, cross-validation with
    `params={"group": group}`).

    Args:
        loss: "logistic" or "squared".
        penalty: Strength of the penalty on squared coefficients, above 0; the sum of losses that
            it stands beside is the sum of weights times the groups' weighted mean.
        adjustment: C >= 0 of C / sqrt(n_g), which weighs small groups up because they generalise
            worse; n_g is the sum of weights of the group.
        tolerance: Largest duality gap to stop at, relative to the worst group's loss without
            features.
        max_refits: Updates of the group weights before fitting stops with what it has.

    Attributes:
        coef_: Coefficients: shape (1, features) for two classes, (classes, features) for more,
            (features,) for numbers.
        intercept_: Shape (1,), (classes,), or a number.
        classes_: Sorted classes; absent for numbers.
        groups_: The groups, sorted.
        q_: Weight of each group at the solution, adding up to 1: the fit is the ordinary one with
            these totals. Groups that are not among the worst have about 0.
        losses_: Mean training loss of each group.
        worst_loss_: The largest of them.
        gap_: Duality gap, at least 0: no linear model has an objective (largest adjusted loss
            plus penalty, on the scale of mean losses) that is smaller by more.
        n_refits_: Updates of the group weights.
        n_iter_: Newton steps, each one pass over the rows.
        converged_: Whether the gap is within the tolerance.

    Reference: S. Sagawa, P. Koh, T. Hashimoto, P. Liang 2020, "Distributionally robust neural
        networks for group shifts", arXiv 1911.08731, equations 4 and 5, algorithm 1. There, group
        weights take exponentiated-gradient steps between noisy gradient steps of a network. For
        linear models each step is solved for exactly here (P. Tseng, D. Bertsekas 1993, "On the
        convergence of the exponential multiplier method for convex programming"): weights and
        model move together, so a few steps do and the gap is known.

    Example:
        >>> x = np.array([[0.0], [1], [2], [3], [0], [1]])
        >>> y, group = np.array([0, 1, 2, 3, 3, 2.0]), list("aaaabb")
        >>> model = GroupDRO(loss="squared", penalty=1e-6).fit(x, y, group)
        >>> model.losses_.round(3).tolist(), model.gap_ < 1e-5
        ([0.945, 0.945], True)
    """

    loss: Loss
    coef_: Floats
    intercept_: Any
    classes_: Any
    groups_: tuple[Any, ...]
    q_: Floats
    losses_: Floats

    def __init__(
        self,
        *,
        loss: Loss = "logistic",
        penalty: float = 1.0,
        adjustment: float = 0.0,
        tolerance: float = 1e-6,
        max_refits: int = 100,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.adjustment = adjustment
        self.tolerance = tolerance
        self.max_refits = max_refits

    def fit(self, X: Any, y: Any, group: Any, *, sample_weight: Any = None) -> GroupDRO:  # noqa: N803 (scikit-learn's name)
        """Fit the model.

        Args:
            X: Features, shape (n, d).
            y: Classes or numbers, shape (n,).
            group: Group of each row, shape (n,).
            sample_weight: Weights >= 0, shape (n,); ones when absent. A weight of 2 is a row
                twice.

        Returns:
            The model itself.

        Raises:
            InputError: Missing or infinite values, arrays of unlike length, one class, settings
                out of range.

        Cost: some 20 to 60 Newton steps of n * (outputs * d)^2; memory for the features twice and
            (outputs * d)^2.
        """
        self._check()
        x = feature_table(X).astype(np.float64)
        n = len(x)
        weight = np.ones(n) if sample_weight is None else _numbers(sample_weight, "sample_weight")
        labels = as_array(group, "group")
        target: Any = as_array(y, "y") if self.loss == "logistic" else _numbers(y, "y")
        for array, argument in ((weight, "sample_weight"), (labels, "group"), (target, "y")):
            if len(array) != n:
                raise InputError(argument, f"has {len(array)} rows", f"{n}, as many as X")
        if (weight < 0).any() or not weight.any():
            raise InputError("sample_weight", "is negative or all 0", "weights of at least 0")
        used = weight > 0
        x, labels, target, weight = x[used], labels[used], target[used], weight[used]
        place = code(labels)
        if self.loss == "logistic":
            told = code(target)
            if len(told) < 2:
                raise InputError("y", f"has one class ({told.keys[0]!r})", "two classes or more")
            self.classes_ = np.array(told.keys)
            shown = np.arange(1, 2) if len(told) == 2 else np.arange(len(told))
            target = (told.codes[:, None] == shown).astype(np.float64)
        else:
            target = target[:, None]
        self._solve(x, target, place.codes, weight)
        self.groups_ = place.keys
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, X: Any) -> Floats:  # noqa: N803
        """Return logits, shape (n,) for two classes and (n, classes) for more."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return probabilities by class, shape (n, classes).

        Raises:
            InputError: The loss is "squared", or features of another number.
        """
        if self.loss != "logistic":
            raise InputError("loss", "is 'squared'", "'logistic' for probabilities", "predict")
        raw = self._raw(X)
        if raw.shape[1] > 1:
            return class_probability(raw)
        return np.hstack([class_probability(-raw), class_probability(raw)])

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return classes or numbers, shape (n,).

        Raises:
            InputError: Features of another number.
        """
        raw = self._raw(X)
        if self.loss == "squared":
            return raw[:, 0]
        best = raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0).astype(np.int64)
        return self.classes_[best]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the accuracy, or R squared for numbers."""
        metrics = untyped("sklearn.metrics")
        measure = metrics.accuracy_score if self.loss == "logistic" else metrics.r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> GroupDRO:
        """Change settings.

        Raises:
            InputError: A setting that does not exist.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise InputError("params", f"names {name!r}", "", nearest(name, known))
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn, which is loaded only when it asks, what this is."""
        base = untyped("sklearn.base")
        kind = base.ClassifierMixin if self.loss == "logistic" else base.RegressorMixin
        told: Any = type("Told", (kind, base.BaseEstimator), {})
        return told().__sklearn_tags__()

    def __repr__(self) -> str:
        """Show the settings."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({told})"

    def _check(self) -> None:
        """Check the settings."""
        if self.loss not in ("logistic", "squared"):
            known = ("logistic", "squared")
            raise InputError("loss", f"is {self.loss!r}", "", nearest(str(self.loss), known))
        for name, least in (("penalty", 0.0), ("tolerance", 0.0), ("adjustment", -1e-300)):
            value = getattr(self, name)
            if not (isinstance(value, int | float | np.number) and least < value < np.inf):
                wanted = "a finite number above 0" if least == 0 else "a finite number, at least 0"
                raise InputError(name, f"is {value!r}", wanted)
        if isinstance(self.max_refits, bool) or self.max_refits < 1:
            raise InputError("max_refits", f"is {self.max_refits!r}", "a whole number, at least 1")

    def _solve(self, x: Floats, target: Floats, group: Integers, weight: Floats) -> None:
        """Find the saddle point, and put it in the coordinates that came."""
        size = (min(x.shape) + 1) * target.shape[1]
        if 8 * size**2 > MEMORY_BUDGET:
            raise InputError(
                "X",
                f"has {x.shape[1]} features for {target.shape[1]} outputs",
                f"at most {int((MEMORY_BUDGET / 8) ** 0.5)} coefficients in all",
                "fewer features, for example principal components",
            )
        middle = np.average(x, axis=0, weights=weight)
        turned, along = fewer_features(x - middle)
        scale = np.sqrt(np.average(turned**2, axis=0, weights=weight))
        scale = np.where(scale > 0, scale, 1.0)
        order = np.argsort(group, kind="stable")
        z = np.column_stack([turned / scale, np.ones(len(x))])[order]
        bounds = np.searchsorted(group[order], np.arange(int(group.max()) + 2))
        total = np.add.reduceat(weight[order], bounds[:-1])
        factor = 2.0 if self.loss == "squared" else 1.0
        problem = _Problem(
            z,
            target[order],
            weight[order] / total[group[order]],
            bounds,
            self.loss,
            factor * np.append(self.penalty / scale**2, 0.0) / weight.sum(),
            self.adjustment / np.sqrt(total),
        )
        found = _saddle(problem, self.tolerance, self.max_refits)
        self.q_, self.losses_ = found.q, found.losses
        self.worst_loss_, self.gap_ = float(found.losses.max()), found.gap
        self.n_refits_, self.n_iter_ = found.refits, found.steps
        self.converged_ = found.converged
        coefficients = found.beta[:-1] / scale[:, None]
        if along is not None:
            coefficients = along @ coefficients
        intercept = found.beta[-1] - middle @ coefficients
        if self.loss == "squared":
            self.coef_, self.intercept_ = coefficients[:, 0], float(intercept[0])
        else:
            self.coef_, self.intercept_ = np.ascontiguousarray(coefficients.T), intercept

    def _raw(self, X: Any) -> Floats:  # noqa: N803
        """Linear predictions, shape (n, outputs)."""
        if not hasattr(self, "coef_"):
            raise untyped("sklearn.exceptions").NotFittedError("GroupDRO is not fitted: call fit")
        x = feature_table(X)
        coefficients = np.atleast_2d(self.coef_)
        if x.shape[1] != coefficients.shape[1]:
            raise InputError(
                "X", f"has {x.shape[1]} features", f"{coefficients.shape[1]} as in the fit"
            )
        return x @ coefficients.T + self.intercept_


# --- the saddle point ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Found:
    """A model, the group weights that it is the ordinary fit for, and how far both are off."""

    beta: Floats
    q: Floats
    losses: Floats
    gap: float
    refits: int
    steps: int
    converged: bool


@dataclass(frozen=True, eq=False)
class _At:
    """Everything about one set of coefficients.

    Args:
        beta: Coefficients, shape (d, c).
        raw: Linear predictions, shape (n, c).
        losses: Mean loss of each group, without adjustment.
        bound: Penalty.
        value: Smoothed largest adjusted loss plus penalty.
        q: Group weights that go with it.
    """

    beta: Floats
    raw: Floats
    losses: Floats
    bound: float
    value: float
    q: Floats


@dataclass(frozen=True, eq=False)
class _Problem:
    """Losses of groups as functions of coefficients of standardised features.

    Args:
        z: Features and ones, rows sorted by group, shape (n, d).
        target: Shape (n, c).
        weight: Weights that add up to 1 within each group, shape (n,).
        bounds: First row of each group, and the number of rows.
        loss: Which loss.
        penalty: Second derivative of the penalty, shape (d,).
        extra: Adjustment of each group's loss.
    """

    z: Floats
    target: Floats
    weight: Floats
    bounds: Integers
    loss: Loss
    penalty: Floats
    extra: Floats

    def at(self, beta: Floats, prior: Floats, smooth: float) -> _At:
        """Evaluate the soft maximum of the groups' losses at coefficients.

        Args:
            beta: Shape (d, c).
            prior: Group weights before, shape (groups,).
            smooth: Width of the soft maximum; infinite for the mean under the prior.
        """
        raw = self.z @ beta
        losses = np.add.reduceat(self.weight * self._each(raw), self.bounds[:-1])
        bound = float(self.penalty @ (beta**2).sum(axis=1) + self._tie * beta[-1].sum() ** 2) / 2
        adjusted = losses + self.extra
        if np.isinf(smooth):
            return _At(beta, raw, losses, bound, float(prior @ adjusted) + bound, prior)
        top = float(adjusted.max())
        share = prior * np.exp((adjusted - top) / smooth)
        total = float(share.sum())
        value = top + smooth * float(np.log(total)) + bound
        return _At(beta, raw, losses, bound, value, share / total)

    def slopes(self, here: _At) -> tuple[Floats, Floats]:
        """Gradient of each group's loss, (groups, d, c), and of the whole, (d, c)."""
        fitted = here.raw if self.loss == "squared" else class_probability(here.raw)
        factor = 2.0 if self.loss == "squared" else 1.0
        pull = factor * self.weight[:, None] * (fitted - self.target)
        each = np.stack([self.z[a:b].T @ pull[a:b] for a, b in pairwise(self.bounds.tolist())])
        whole = np.tensordot(here.q, each, axes=1) + self.penalty[:, None] * here.beta
        whole[-1] += self._tie * here.beta[-1].sum()
        return each, whole

    def curvature(self, here: _At, each: Floats, smooth: float) -> Floats:
        """Hessian of the whole, shape (c d, c d), outputs one after the other."""
        d, c = here.beta.shape
        weight = self.weight * np.repeat(here.q, np.diff(self.bounds))
        found = np.zeros((c, d, c, d))
        if self.loss == "squared":
            found[0, :, 0] = 2 * (self.z.T * weight) @ self.z
        else:
            p = class_probability(here.raw)
            for a in range(c):
                for b in range(a + 1):
                    product = p[:, a] * (1 - p[:, a] if a == b else -p[:, b])
                    found[a, :, b] = (self.z.T * (weight * product)) @ self.z
                    found[b, :, a] = found[a, :, b].T
            found[:, -1, :, -1] += self._tie
        hessian = found.reshape(c * d, c * d)
        hessian.flat[:: c * d + 1] += np.tile(self.penalty, c)
        if np.isfinite(smooth):
            apart = (each - np.tensordot(here.q, each, axes=1)).transpose(0, 2, 1)
            apart = apart.reshape(len(each), c * d) * np.sqrt(here.q / smooth)[:, None]
            hessian += apart.T @ apart
        return hessian

    @property
    def _tie(self) -> float:
        """Penalty on the sum of several classes' intercepts, which nothing else fixes."""
        return 1.0 if self.target.shape[1] > 1 else 0.0

    def _each(self, raw: Floats) -> Floats:
        """Loss of each row."""
        if self.loss == "squared":
            return (raw[:, 0] - self.target[:, 0]) ** 2
        if raw.shape[1] == 1:
            return np.logaddexp(0, raw[:, 0]) - self.target[:, 0] * raw[:, 0]
        top = raw.max(axis=1)
        sums = np.log(np.exp(raw - top[:, None]).sum(axis=1))
        return top + sums - (self.target * raw).sum(axis=1)


def _saddle(problem: _Problem, tolerance: float, max_refits: int) -> _Found:
    """Multiply group weights by exponentials of their losses, each time at the new model.

    The model that minimises the soft maximum under the weights before is the ordinary fit under
    the weights after: its losses, averaged by these, bound the objective from below.
    """
    groups = len(problem.extra)
    q, smooth = np.full(groups, 1 / groups), np.inf
    beta = np.zeros((problem.z.shape[1], problem.target.shape[1]))
    plain = problem.at(beta, q, np.inf).losses
    unit = float(plain.max()) or 1.0
    steps, gap, best = 0, np.inf, None
    for refit in range(1, max_refits + 1):
        here, left, more = _minimise(problem, beta, q, smooth, max(FINER * tolerance, 1e-14) * unit)
        steps += more
        adjusted = here.losses + problem.extra
        gap = max(float(adjusted.max() - here.q @ adjusted), 0.0) + left
        beta, q = here.beta, here.q
        if best is None or gap < best.gap:
            settled = gap <= tolerance * unit
            best = _Found(beta, q, here.losses, gap, refit, steps, settled)
        if best.converged:
            break
        spread = float(np.ptp(adjusted))
        smooth = spread / 2 if np.isinf(smooth) else max(smooth / 3, 10 * tolerance * unit)
    found = cast("_Found", best)
    return _Found(found.beta, found.q, found.losses, found.gap, refit, steps, found.converged)


def _minimise(
    problem: _Problem, beta: Floats, prior: Floats, smooth: float, enough: float
) -> tuple[_At, float, int]:
    """Newton's method with halved steps.

    Returns:
        Where it ends, about how much lower the minimum is, and the number of steps.
    """
    here = problem.at(beta, prior, smooth)
    decrement = np.inf
    for step in range(INNER_STEPS):
        each, whole = problem.slopes(here)
        move = _direction(problem.curvature(here, each, smooth), whole)
        decrement = float((move * whole).sum())
        share = 1.0
        for _ in range(HALVINGS):
            there = problem.at(here.beta - share * move, prior, smooth)
            slack = 1e-15 * abs(here.value)  # rounding alone must not end the descent
            if there.value <= here.value - 0.25 * share * decrement + slack:
                break
            share /= 2
        else:
            return here, decrement / 2, step + 1  # rounding has the last word
        here = there
        if share == 1 and decrement / 2 <= enough:
            # Newton's method squares the error, so what is left after this step is far less.
            return here, min(decrement / 2, enough), step + 1
    return here, decrement / 2, INNER_STEPS


def _direction(hessian: Floats, slope: Floats) -> Floats:
    """Solve for the Newton step, with a slightly raised diagonal where rounding asks for it."""
    for raised in (0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6):
        hessian.flat[:: len(hessian) + 1] *= 1 + raised
        factor = cholesky(hessian)
        if factor is not None:
            return factor[0](slope.T.ravel()).reshape(slope.shape[::-1]).T
    return slope / np.trace(hessian)


def _numbers(values: Any, argument: str) -> Floats:
    """Take finite numbers."""
    array = as_array(values, argument)
    try:
        found = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(argument, f"holds {array.flat[0]!r}", "numbers") from None
    if not np.isfinite(found).all():
        raise InputError(argument, "has infinite values", "finite numbers")
    return found
