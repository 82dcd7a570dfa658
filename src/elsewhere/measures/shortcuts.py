"""Features that carry a model here and not elsewhere, because they tell groups apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from elsewhere.core.arrays import Coded, Floats, Integers, as_array, code
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.explanations import Quadrant, ShortcutRow, Shortcuts
from elsewhere.core.intervals import quantile
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped
from elsewhere.ops.association import feature_rows, fires
from elsewhere.ops.linear import leave_one_group_out, train_on_one_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elsewhere.core.keys import Value

Signs: TypeAlias = Literal["both", "positive"]
Normalize: TypeAlias = Literal["rows", "none"]
Solver: TypeAlias = Literal["converged", "published"]

FLOOR = 0.05
"""How often chance alone may be below the floor."""

NO_WEIGHT = 1e-9
"""Weights up to this share of the largest are rounding."""


def shortcut_features(
    x: Any,
    y: Any,
    group: Any,
    *,
    names: Any = None,
    top: int = 50,
    signs: Signs = "both",
    threshold: float = 0.5,
    least_firing: float = 1.5,
    penalty: float = 1.0,
    balanced: bool = True,
    normalize: Normalize = "rows",
    draws: int = 20,
    seed: int = 0,
    solver: Solver = "converged",
) -> Shortcuts:
    """Find the coefficients of a logistic regression that hang on one group.

    The model is fitted to all rows, and again without each group. A coefficient's retention is
    the least share of it that is left; the group without which least is left is blamed. A feature
    is flagged if its retention is below the threshold and below the floor.

    The least of many shares is small even where groups mean nothing. So each draw drops, for each
    group, as many random rows, and takes the least share in the same way. The floor is the lower
    of two: the 5 % quantile over draws, and the share that is left by chance with probability
    5 % at most for all features and groups together (Student's t, from how far the shares under
    random drops lie from 1). Where groups are random labels, about one table in twenty has a flag.

    The published rule has no floor and looks at positive coefficients only; it flags noise where
    there are many groups. It is `signs="positive", draws=0, solver="published"`.

    Args:
        x: Features, shape (rows, features): dense, or a sparse matrix, which stays sparse.
        y: Two classes, shape (rows,); coefficients above 0 speak for the second in sorted order.
        group: Group of each row, shape (rows,).
        names: Names of features; those of the table's columns, or their numbers, when absent.
        top: Number of features to report, those with the largest coefficients.
        signs: "both" (by absolute value), or "positive".
        threshold: Retention below which a feature is suspected, 0 to 1.
        least_firing: Firing ratio from which a feature goes with its class, above 0.
        penalty: Strength of the penalty, as `LogisticRegression(C=1 / penalty)`.
        balanced: Whether both classes get the same weight in all. Weights are counted once, from
            all rows, so that fits differ by the missing rows alone.
        normalize: "rows" divides each row by its Euclidean length; "none".
        draws: Number of random drops; 0 for no floor. They depend on the order of rows.
        seed: Seed of the drops.
        solver: "converged", or "published": scikit-learn's L-BFGS at its default tolerance, about
            1 % from the minimum, with the weights of classes counted anew in each fit.

    Returns:
        The flagged features among those reported. A firing ratio is NaN for features with values
        below 0; a quadrant counts retention as low where the feature is flagged. No rows and the
        reason with one class or one group, or where no group can be left out; where only some
        groups cannot be, the reason names them and the other groups answer.

    Raises:
        InputError: Shapes that do not fit, missing values, more than two classes, options out of
            range.

    Cost: (groups + 1) * (draws + 1) fits. Dense: those of a draw at once by
        `ops.linear.leave_one_group_out`, rows * features^2. Sparse: some hundred passes over the
        entries for each fit.

    Reference: arXiv 2602.14161, "When Benchmarks Lie: Evaluating Malicious Prompt Classifiers
        Under True Distribution Shift" (coefficient retention); the floor is ours.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> group = np.repeat(["a", "b", "c"], 200)
        >>> y = (rng.random(600) < np.where(group == "a", 0.9, 0.4)).astype(int)
        >>> style = (group == "a") & (rng.random(600) < 0.6)  # says who wrote it
        >>> word = rng.random(600) < np.where(y, 0.6, 0.2)  # says what it is
        >>> x = np.column_stack([style, word, rng.random((600, 3)) < 0.5])
        >>> found = shortcut_features(x, y, group, names=["style", "word", "p", "q", "r"], top=2)
        >>> next((row.feature, row.blamed, row.quadrant) for row in found.rows if row.shortcut)
        ('style', 'a', 'context-dependent')
    """
    _check_options(top, threshold, draws, solver)
    for value, argument, known in (
        (signs, "signs", ("both", "positive")),
        (normalize, "normalize", ("rows", "none")),
    ):
        if value not in known:
            raise InputError(argument, f"is {value!r}", nearest(str(value), known))
    if not least_firing > 0:
        raise InputError("least_firing", f"is {least_firing}", "a number above 0", "1.5")
    if not 0 < penalty < np.inf:
        raise InputError("penalty", f"is {penalty!r}", "a finite number above 0", "1.0")
    raw = feature_rows(x)
    classes, groups = (_coded(v, raw.shape[0], a) for v, a in ((y, "y"), (group, "group")))
    labels = _names(x if names is None else names, raw.shape[1], named=names is not None)
    if len(classes) > 2:
        raise InputError("y", f"has {len(classes)} classes", "two", "one class against the rest")
    what = "coefficient"
    for coded, argument in ((classes, "y"), (groups, "group")):
        if len(coded) < 2:
            reason = f"{argument} has one value ({coded.keys[0]!r})"
            return Shortcuts(0, what, (), threshold, 0, reason)
    fitter = _Fitter(_unit(raw) if normalize == "rows" else raw, classes, penalty, balanced, solver)
    weight = fitter.all_rows()
    kept, reasons = fitter.without(groups.codes, len(groups))
    stays = np.array([not reason for reason in reasons])
    reason = "; ".join(
        f"without {groups.keys[g]!r}: {reasons[g]}" for g in np.flatnonzero(~stays).tolist()
    )
    size = weight if signs == "positive" else np.abs(weight)
    order = np.argsort(-size, kind="stable")[:top]
    order = order[size[order] > NO_WEIGHT * np.abs(weight).max()]
    if not stays.any() or not len(order):
        return Shortcuts(0, what, (), threshold, 0, reason or "no feature has a coefficient")
    shares = kept[:, order] / weight[order]
    retention, blamed = np.nanmin(shares, axis=0), np.nanargmin(shares, axis=0)
    floor = _floor(fitter, groups, draws, seed, order, weight, blamed)
    flagged = (retention < threshold) & ~(retention >= floor)
    ratio = _firing(raw, classes.codes == 1, weight > 0)[order]
    rows = [
        ShortcutRow(
            labels[j],
            float(weight[j]),
            float(retention[i]),
            cast("Value", groups.keys[blamed[i]]),
            float(floor[i]),
            float(ratio[i]),
            _quadrant(bool(flagged[i]), float(ratio[i]), least_firing),
            bool(flagged[i]),
        )
        for i, j in enumerate(order.tolist())
    ]
    return Shortcuts(int(flagged.sum()), what, tuple(rows), threshold, draws, reason)


def importance_shortcuts(
    seen: Any,
    unseen: Any,
    names: Any,
    keys: Any,
    *,
    threshold: float = 0.5,
    level: float = 0.95,
    top: int = 50,
) -> Shortcuts:
    """Find features that a model of any kind uses only on groups that it has seen.

    A feature's weight is its permutation importance for models that had seen the rows' group, mean
    over groups. Its retention is the least importance on a group for models that had not, over the
    weight; that group is blamed. Its floor is the least share on a group *with* models that had
    seen it, so a group in which the feature is of no use anyway is no evidence.

    Importances are noisy, and the least of noisy numbers is small. A fall counts only if it is
    more than chance. Either the feature fails everywhere: the mean fall is clearly above 0
    (Student's t), and what is left on average is below the threshold. Or it fails in one group:
    the blamed group falls clearly further than the others do among themselves (deleted residual;
    where other features are noisier too, it has to fall further). Both hold their level jointly
    over all features. Where it does not fail everywhere, the floor is lowered by what chance
    explains of the blamed group's fall.

    A feature is flagged if its weight is more than 2 standard errors (over groups) above 0, its
    retention is below the threshold, and its retention is below the floor.

    Args:
        seen: Importance of each feature on each group's rows for models that had seen the group,
            shape (groups, features); NaN where unknown.
        unseen: The same rows with models that had not.
        names: Names of the features.
        keys: The groups, in the order of the rows of `seen`.
        threshold: Retention below which a feature is suspected, 0 to 1.
        level: Joint confidence that nothing is flagged where nothing changed.
        top: Number of features to report, those with the largest weights.

    Returns:
        The features that are known, on both sides, in two groups or more; fewer than three groups
        can only show a fall in the mean. A retention is NaN where the weight is not above 0. No
        rows and the reason where there is no such feature.

    Raises:
        InputError: Shapes that do not fit, infinite values, a threshold or level out of range.

    Cost: groups * features^2.

    Reference: L. Breiman 2001, "Random forests" (permutation importance); R. Cook, S. Weisberg
        1982, "Residuals and influence in regression", section 2.2 (deleted residuals); the
        comparison of seen and unseen groups follows arXiv 2602.14161's coefficient retention.

    Example:
        >>> seen = [[0.10, 0.06], [0.11, 0.05], [0.09, 0.06], [0.10, 0.05]]
        >>> unseen = [[0.10, 0.01], [0.10, 0.00], [0.09, 0.01], [0.11, 0.00]]
        >>> found = importance_shortcuts(seen, unseen, ["age", "day"], [1, 2, 3, 4])
        >>> [row.feature for row in found.rows if row.shortcut], found.rows[1].blamed
        (['day'], 2)
    """
    _check_options(top, threshold, 0, "converged")
    if not 0 < level < 1:
        raise InputError("level", f"is {level}", "a number between 0 and 1", "0.95")
    here, there = _importances(seen, "seen"), _importances(unseen, "unseen")
    if here.shape != there.shape:
        raise InputError("unseen", f"has shape {there.shape}", f"{here.shape} as seen has")
    labels = _names(names, here.shape[1], named=True)
    groups = list(keys.tolist() if hasattr(keys, "tolist") else keys)
    if len(groups) != len(here):
        raise InputError("keys", f"has {len(groups)} groups for {len(here)} rows", "one each")
    known = ~(np.isnan(here) | np.isnan(there))
    enough = np.flatnonzero(known.sum(axis=0) >= 2)
    what = "permutation importance"
    if not len(enough):
        reason = "no feature has an importance in two groups, with and without each"
        return Shortcuts(0, what, (), threshold, 0, reason)
    noise = _group_noise((here - there)[:, enough])
    tail = (1 - level) / (2 * len(enough))
    rows: list[ShortcutRow] = []
    for k, j in enumerate(enough.tolist()):
        own = np.flatnonzero(known[:, j])
        named = [groups[g] for g in own.tolist()]
        sides = here[own, j], there[own, j], noise[own, k]
        rows.append(_compared(labels[j], *sides, named, threshold, tail))
    rows = sorted(rows, key=lambda row: -row.weight)[:top]
    return Shortcuts(sum(row.shortcut for row in rows), what, tuple(rows), threshold, 0)


def _compared(
    name: str,
    seen: Floats,
    unseen: Floats,
    noise: Floats,
    keys: list[Any],
    threshold: float,
    tail: float,
) -> ShortcutRow:
    """Compare one feature's importances with and without each group.

    Args:
        name: The feature.
        seen: With, shape (groups,), at least two.
        unseen: Without.
        noise: How noisy each group is, shape (groups,).
        keys: The groups.
        threshold: Suspected retention.
        tail: Probability that each of the two tests may err with.
    """
    n, weight = len(seen), float(seen.mean())
    blamed = int(unseen.argmin())
    # Importances of exactly the same size have no error; rounding must not make them sure.
    tiny = NO_WEIGHT * float(np.abs(seen).max())
    clear = weight > max(2 * float(seen.std(ddof=1)) / np.sqrt(n), tiny)
    retention = floor = float("nan")
    if weight > tiny:
        fall = seen - unseen
        reach = float(quantile(1 - tail, n - 1)) * float(fall.std(ddof=1)) / np.sqrt(n)
        retention, floor = float(unseen[blamed]) / weight, float(seen.min()) / weight
        everywhere = float(fall.mean()) > max(reach, tiny, (1 - threshold) * weight)
        if not everywhere:
            lowered = float(seen[blamed]) - _chance(fall, noise, blamed, tail / n) - tiny
            floor = min(floor, lowered / weight)
    flagged = clear and retention < threshold and retention < floor
    return ShortcutRow(
        name, weight, retention, keys[blamed], floor, float("nan"), "", bool(flagged)
    )


def _chance(fall: Floats, noise: Floats, blamed: int, tail: float) -> float:
    """Fall of one group that chance explains, given the falls of the others."""
    others, n = np.delete(fall, blamed), len(fall) - 1
    if n < 2:
        return np.inf
    even = (others - others.mean()) / np.delete(noise, blamed)
    spread = float(np.sqrt((even**2).sum() / (n - 1))) * np.sqrt(1 + 1 / n)
    reach = float(quantile(1 - tail, n - 1)) * spread * float(noise[blamed])
    return max(float(others.mean()), 0.0) + reach


def _median(values: Floats, axis: int) -> Floats:
    """Median of what is not NaN; NaN where nothing is."""
    ordered, known = np.sort(values, axis=axis), (~np.isnan(values)).sum(axis=axis)
    found = np.full(known.shape, np.nan)
    some = np.flatnonzero(known)
    if len(some):
        rows = np.moveaxis(ordered, axis, 1)[some]
        low, high = (known[some] - 1) // 2, known[some] // 2
        each = np.arange(len(some))
        found[some] = (rows[each, low] + rows[each, high]) / 2
    return found


def _group_noise(fall: Floats) -> Floats:
    """How much noisier each group is than most, at least 1, shape (groups, features).

    Groups have few rows or many, so their importances are not equally sure. For each feature, a
    group counts as noisier if the falls of most *other* features lie farther from the feature's
    median there. The size found from m features is raised by its own error, 1 / sqrt(m).
    """
    off = np.abs(fall - _median(fall, 0))
    usual = _median(off, 0)
    off = np.divide(off, usual, out=np.full(off.shape, np.nan), where=usual > 0)
    noise = np.ones(fall.shape)
    for k in range(fall.shape[1]):
        others = np.delete(off, k, axis=1)
        known = np.maximum((~np.isnan(others)).sum(axis=1), 1)
        size = _median(others, 1)
        noise[:, k] = np.where(size > 0, np.maximum(size * (1 + 1 / np.sqrt(known)), 1.0), 1.0)
    return noise


@dataclass(frozen=True, eq=False)
class _Fitter:
    """Logistic regressions of one table: on all rows, and without sets of rows.

    Args:
        x: Features, dense or sparse.
        classes: Two classes.
        penalty: Strength of the penalty.
        balanced: Whether classes have the same weight in all.
        solver: How to fit.
    """

    x: Any
    classes: Coded
    penalty: float
    balanced: bool
    solver: Solver

    @property
    def weight(self) -> Floats:
        """Weights of rows, counted from all rows."""
        codes = self.classes.codes
        if not self.balanced:
            return np.ones(len(codes))
        return (len(codes) / (2 * np.bincount(codes, minlength=2)))[codes]

    def all_rows(self) -> Floats:
        """Coefficients on all rows, shape (features,)."""
        y = self.classes.codes
        if self._exact():
            fit = train_on_one_group(
                self.x,
                y,
                np.zeros(len(y)),
                model="logistic",
                penalty=self.penalty,
                weight=self.weight,
            )
            return fit.coefficients[0]
        return self._model(np.arange(len(y))).coef_[0]

    def without(self, codes: Integers, n_groups: int) -> tuple[Floats, list[str]]:
        """Coefficients without each group, shape (groups, features), NaN and why not."""
        y = self.classes.codes
        if self._exact():
            fit = leave_one_group_out(
                self.x, y, codes, model="logistic", penalty=self.penalty, weight=self.weight
            )
            return fit.coefficients, list(fit.reason)
        found = np.full((n_groups, self.x.shape[1]), np.nan)
        reasons = [""] * n_groups
        start = self._model(np.arange(len(y))) if self.solver == "converged" else None
        for g in range(n_groups):
            rows = np.flatnonzero(codes != g)
            if len(np.unique(y[rows])) < 2:
                only = self.classes.keys[y[rows[0]]]
                reasons[g] = f"one class ({only!r}) among {len(rows)} rows"
            else:
                found[g] = self._model(rows, start).coef_[0]
        return found, reasons

    def _exact(self) -> bool:
        """Whether a table goes to the dense Newton steps."""
        return self.solver == "converged" and not hasattr(self.x, "tocsr")

    def _model(self, rows: Integers, start: Any = None) -> Any:
        """Fit scikit-learn's model to some rows, from another fit if given."""
        linear = untyped("sklearn.linear_model")
        x, y = self.x[rows], self.classes.codes[rows]
        with warnings.catch_warnings():
            # Steps end at rounding, with a warning that no step lowers the loss any more.
            warnings.simplefilter("ignore")
            if self.solver == "published":
                model = linear.LogisticRegression(
                    C=1 / self.penalty,
                    class_weight="balanced" if self.balanced else None,
                    max_iter=1000,
                )
                return model.fit(x, y)
            model = linear.LogisticRegression(
                C=1 / self.penalty, solver="newton-cg", tol=1e-8, max_iter=1000, warm_start=True
            )
            if start is not None:
                model.classes_ = start.classes_
                model.coef_, model.intercept_ = start.coef_.copy(), start.intercept_.copy()
            return model.fit(x, y, sample_weight=self.weight[rows])


def _floor(
    fitter: _Fitter,
    groups: Coded,
    draws: int,
    seed: int,
    order: Integers,
    weight: Floats,
    blamed: Integers,
) -> Floats:
    """Least share of each weight that is left where random rows go; NaN without draws."""
    if not draws:
        return np.full(len(order), np.nan)
    rows = np.bincount(groups.codes).astype(np.float64)
    gone = rows / (rows.sum() - rows)  # a fit's variance grows so where rows go
    least, spread = np.full((draws, len(order)), np.nan), np.zeros(len(order))
    n_fits = 0
    for draw, codes in enumerate(_random_groups(groups.codes, draws, seed)):
        kept, reasons = fitter.without(codes, len(groups))
        done = np.flatnonzero([not reason for reason in reasons])
        if len(done):
            shares = kept[done][:, order] / weight[order]
            least[draw] = shares.min(axis=0)
            spread += ((shares - 1) ** 2 / gone[done][:, None]).sum(axis=0)
            n_fits += len(done)
    usable = least[~np.isnan(least).any(axis=1)]
    if not len(usable):
        return np.full(len(order), -np.inf)
    joint = 1 - FLOOR / (len(order) * len(groups))
    far = float(quantile(joint, n_fits - len(usable))) * np.sqrt(spread / n_fits)
    return np.minimum(np.quantile(usable, FLOOR, axis=0), 1 - far * np.sqrt(gone[blamed]))


def _random_groups(codes: Integers, draws: int, seed: int) -> Iterator[Integers]:
    """Groups of the same sizes at random."""
    for draw in range(draws):
        yield generator(seed, "random drops", draw).permutation(codes)


def _unit(x: Any) -> Any:
    """Divide rows by their lengths; rows of zeros stay."""
    if hasattr(x, "tocsr"):
        length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1), dtype=np.float64)).ravel()
        by = untyped("scipy.sparse").diags_array(1 / np.where(length > 0, length, 1.0))
        return by.tocsr() @ x
    x = np.asarray(x, dtype=np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    return x / np.where(length > 0, length, 1.0)[:, None]


def _firing(x: Any, second: Any, speaks: Any) -> Floats:
    """How much more often features are above 0 in the class that they speak for."""
    fired = fires(x)
    one, other = (
        np.asarray(fired[np.flatnonzero(v)].mean(axis=0)).ravel() for v in (second, ~second)
    )
    ratio = np.where(speaks, one / np.maximum(other, 1e-6), other / np.maximum(one, 1e-6))
    low = x.min(axis=0)
    low = low.toarray().ravel() if hasattr(low, "toarray") else np.asarray(low)
    return np.where(low < 0, np.nan, ratio)


def _quadrant(low: bool, ratio: float, least_firing: float) -> Quadrant:
    """Name retention and firing ratio together."""
    if np.isnan(ratio):
        return ""
    if low:
        return "pure shortcut" if ratio < least_firing else "context-dependent"
    return "robust but correlated" if ratio < least_firing else "generalisable"


def _coded(values: Any, n: int, argument: str) -> Coded:
    """Code one value for each row."""
    array = as_array(values, argument)
    if len(array) != n:
        raise InputError(argument, f"has {len(array)} values for {n} rows", "one for each row")
    return code(array)


def _names(given: Any, n: int, *, named: bool) -> list[str]:
    """Names of features: given, of a table's columns, or numbers."""
    if not named:
        given = getattr(given, "columns", range(n))
    found = [str(name) for name in given]
    if len(found) != n:
        raise InputError("names", f"has {len(found)} names for {n} features", "one for each")
    return found


def _importances(given: Any, argument: str) -> Floats:
    """Check a table of importances, NaN allowed."""
    try:
        table = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(argument, "holds something other than numbers", "numbers") from None
    if table.ndim != 2 or not table.size:
        raise InputError(
            argument, f"has shape {table.shape}", "(groups, features), at least 1 each"
        )
    if np.isinf(table).any():
        raise InputError(argument, "has infinite values", "finite numbers, or NaN where unknown")
    return table


def _check_options(top: int, threshold: float, draws: int, solver: str) -> None:
    """Check what both measures take."""
    if top < 1:
        raise InputError("top", f"is {top}", "at least 1", "50")
    if not 0 <= threshold <= 1:
        raise InputError("threshold", f"is {threshold}", "a number from 0 to 1", "0.5")
    if draws < 0:
        raise InputError("draws", f"is {draws}", "0 or more", "20")
    if solver not in {"converged", "published"}:
        raise InputError("solver", f"is {solver!r}", "'converged' or 'published'")
