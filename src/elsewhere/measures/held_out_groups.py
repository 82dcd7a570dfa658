"""Leave each group out, choose a threshold on the rest, and score the group that was never seen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, Key, as_array, code
from elsewhere.core.errors import InputError
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped
from elsewhere.measures.thresholds import Constant, ThresholdRule, precision_recall, scored
from elsewhere.ops.association import feature_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

ReadFrom: TypeAlias = Literal["decisions", "curve"]
"""Where recall and precision come from: what is decided at the threshold, or, as published, the
point of the held-out curve that is nearest to it."""


@dataclass(frozen=True)
class DecisionScores:
    """How well scores and decisions fit labels; every share is from 0 to 1.

    Args:
        accuracy: Share of rows that are decided rightly.
        f1_positive: F1 of the positive class; NaN where it is neither present nor decided.
        f1_negative: F1 of the negative class.
        f1_macro: Mean of the two that are not NaN.
        roc_auc: Area under the ROC curve; NaN with one class.
        pr_auc: Area under the precision-recall curve by trapezoids; NaN without positive rows.
        threshold: Score from which a row is decided positive.
        recall: Share of positive rows that are decided positive; NaN without any.
        precision: Share of rows decided positive that are; NaN where none is decided so.
        false_positive_rate: Share of negative rows that are decided positive; NaN without any.
    """

    accuracy: float
    f1_positive: float
    f1_negative: float
    f1_macro: float
    roc_auc: float
    pr_auc: float
    threshold: float
    recall: float
    precision: float
    false_positive_rate: float


@dataclass(frozen=True)
class HeldOutGroup:
    """One group under a model that never saw it.

    Args:
        key: The group, after merging.
        n_rows: Its rows.
        n_positive: Its positive rows.
        scores: How well the model does; None where there is no model.
        reason: Why there is no model; empty if there is one.
    """

    key: Key
    n_rows: int
    n_positive: int
    scores: DecisionScores | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class HeldOutGroups:
    """A model on groups that it never saw.

    Args:
        roc_auc: Area under the ROC curve of all held-out scores pooled, each from the model
            without its group. Models differ from fold to fold, so read the groups as well.
        groups: One entry a group, in sorted order.
        weighted: Means over the groups by rows, of each field of `DecisionScores`; where a group
            has no value, over the other groups, and it stands in `skipped`.
        skipped: For each field the groups without a value that its mean leaves out.
        score: Held-out score of each row, shape (rows,).
        decided: Whether it is at or above its fold's threshold, shape (rows,).
        control: Pooled areas after labels were shuffled over all rows, one a draw. They lie about
            or below .5 unless the estimator gets to see what it must not.
        reason: Why there is no pooled area; empty if there is one.
    """

    roc_auc: float
    groups: tuple[HeldOutGroup, ...]
    weighted: dict[str, float]
    skipped: dict[str, tuple[Key, ...]]
    score: Floats
    decided: Booleans
    control: tuple[float, ...] = ()
    reason: str = ""


def held_out_group_scores(
    estimator: Any,
    x: Any,
    y: Any,
    group: Any,
    *,
    rule: ThresholdRule | None = None,
    merge: Mapping[Key, Key] | None = None,
    read_from: ReadFrom = "decisions",
    train_folds: int = 0,
    control_draws: int = 0,
    seed: int = 0,
) -> HeldOutGroups:
    """Score each group by a model and a threshold that were made without it.

    For each group, a clone of the estimator is fitted on all other rows, the rule chooses a
    threshold from the scores and labels of those rows, and the group is scored. Labels of a group
    enter nothing but its own final scores.

    Args:
        estimator: A scikit-learn classifier with `predict_proba` or `decision_function`.
        x: Features, shape (rows, features), dense or sparse.
        y: 0 or 1, shape (rows,).
        group: Group of each row, shape (rows,); at least two after merging.
        rule: How thresholds are chosen; `Constant(0.5)` when absent.
        merge: Groups to treat as another one first, such as two editions of one data set.
        read_from: "decisions"; or "curve", the published recall and precision: those of the
            held-out precision-recall curve at its threshold nearest to the chosen one, usually one
            row off what is decided.
        train_folds: Number of folds for out-of-fold training scores, at least 2; 0 for the scores
            of the model on the rows that it was fitted on, as published.
        control_draws: How often to repeat it all with shuffled labels.
        seed: Seed of folds and shuffles. They depend on the order of rows.

    Returns:
        The pooled area, and every group. A group without which one class is left has no model and
        takes no part.

    Raises:
        InputError: Shapes that do not fit, labels other than 0 and 1, one group, a group to merge
            that is not there, an estimator without scores.

    Cost: one fit a group, times 1 + train_folds, times 1 + control_draws.

    Reference: arXiv 2602.14161, "When Benchmarks Lie: Evaluating Malicious Prompt Classifiers
        Under True Distribution Shift" (leave one data set out). Its code averages areas over
        groups, which groups of one class turn into NaN; here they are pooled.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> x, y = [[0], [4], [0], [4], [0], [4], [0], [4]], [0, 1, 0, 1, 0, 1, 0, 0]
        >>> found = held_out_group_scores(LogisticRegression(), x, y, list("aabbccdd"))
        >>> tuple((group.scores.recall, group.scores.false_positive_rate) for group in found.groups)
        ((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (nan, 0.5))
        >>> found.roc_auc
        0.8
    """
    table = feature_rows(x).astype(np.float64)
    target = _labels(y, table.shape[0])
    merged = merge_groups(group, merge)
    if len(merged) != len(target):
        raise InputError(
            "group", f"has {len(merged)} values for {len(target)} rows", "one for each row"
        )
    coded = code(merged)
    if len(coded) < 2:
        raise InputError("group", f"has one group ({coded.keys[0]!r})", "at least two")
    if train_folds < 0 or train_folds == 1:
        raise InputError("train_folds", f"is {train_folds}", "0, or at least 2", "3")
    if control_draws < 0:
        raise InputError("control_draws", f"is {control_draws}", "0 or more")
    if read_from not in {"decisions", "curve"}:
        raise InputError("read_from", f"is {read_from!r}", "'decisions' or 'curve'")
    run = _Run(estimator, table, coded.codes, rule or Constant(), train_folds, seed)
    score, threshold, reasons = run.folds(target, len(coded))
    groups = []
    for g, key in enumerate(coded.keys):
        own = coded.codes == g
        found = (
            None
            if reasons[g]
            else score_decisions(score[own], target[own], threshold[g], read_from=read_from)
        )
        groups.append(HeldOutGroup(key, int(own.sum()), int(target[own].sum()), found, reasons[g]))
    shuffled = [
        generator(seed, "shuffled labels", draw).permutation(target)
        for draw in range(control_draws)
    ]
    control = tuple(_pooled(run.folds(labels, len(coded))[0], labels) for labels in shuffled)
    area = _pooled(score, target)
    reason = "" if np.isfinite(area) else "the held-out rows hold one class, or there is no model"
    weighted, skipped = weighted_means(groups)
    with np.errstate(invalid="ignore"):
        decided = score >= threshold[coded.codes]
    return HeldOutGroups(area, tuple(groups), weighted, skipped, score, decided, control, reason)


def score_decisions(
    score: Any, y: Any, threshold: float, *, read_from: ReadFrom = "decisions"
) -> DecisionScores:
    """Score rows whose decision is `score >= threshold`.

    Args:
        score: Finite numbers, higher is more positive, shape (rows,).
        y: 0 or 1, shape (rows,).
        threshold: The threshold.
        read_from: Where recall and precision come from; see `held_out_group_scores`.

    Returns:
        The scores.

    Raises:
        InputError: No rows, labels other than 0 and 1, scores that are not finite.

    Cost: one sort.

    Example:
        >>> found = score_decisions([0.2, 0.6, 0.7, 0.9], [0, 0, 1, 1], 0.65)
        >>> found.accuracy, found.recall, found.false_positive_rate
        (1.0, 1.0, 0.0)
    """
    scores, labels = scored(score, y)
    positive, decided = labels == 1, scores >= threshold
    hits, claimed, total = (int(v.sum()) for v in (positive & decided, decided, positive))
    n = len(labels)
    misses, alarms = total - hits, claimed - hits
    rejected = n - hits - misses - alarms
    f1_positive = _ratio(2 * hits, 2 * hits + misses + alarms)
    f1_negative = _ratio(2 * rejected, 2 * rejected + misses + alarms)
    candidates, precision, recall = precision_recall(scores, labels)
    if read_from == "curve":
        near = int(np.abs(candidates - threshold).argmin())
        shown_recall, shown_precision = float(recall[near]), float(precision[near])
    else:
        shown_recall, shown_precision = _ratio(hits, total), _ratio(hits, claimed)
    area = float("nan")
    if total:  # from no row, with precision 1, down to the lowest score
        along, height = np.append(recall, 0.0), np.append(precision, 1.0)
        area = float((-np.diff(along) * (height[1:] + height[:-1]) / 2).sum())
    return DecisionScores(
        _ratio(hits + rejected, n),
        f1_positive,
        f1_negative,
        float(np.nanmean([f1_positive, f1_negative])),
        _pooled(scores, labels),
        area,
        float(threshold),
        shown_recall,
        shown_precision,
        _ratio(alarms, n - total),
    )


def merge_groups(group: Any, merge: Mapping[Key, Key] | None) -> Any:
    """Treat some groups as others.

    Args:
        group: Group of each row, shape (rows,).
        merge: From a group to the one that it is part of; the target need not be there yet.

    Returns:
        Groups after merging, shape (rows,).

    Raises:
        InputError: Missing values, or a group to merge that no row has.

    Example:
        >>> merge_groups(["a", "b", "c"], {"c": "b"}).tolist()
        ['a', 'b', 'b']
    """
    coded = code(as_array(group, "group"))
    absent = [key for key in merge or {} if key not in coded.keys]
    if absent:
        known = ", ".join(repr(key) for key in coded.keys[:8])
        raise InputError("merge", f"names the group {absent[0]!r}, which no row has", known)
    keys = np.empty(len(coded), dtype=object)
    keys[:] = [(merge or {}).get(key, key) for key in coded.keys]
    return keys[coded.codes]


def weighted_means(
    groups: list[HeldOutGroup],
) -> tuple[dict[str, float], dict[str, tuple[Key, ...]]]:
    """Average groups by their rows, field by field.

    Args:
        groups: The groups.

    Returns:
        For each field of `DecisionScores` the mean over the groups that have a value, and the
        groups that have none.
    """
    means: dict[str, float] = {}
    skipped: dict[str, tuple[Key, ...]] = {}
    rows = np.array([g.n_rows for g in groups], dtype=np.float64)
    for field in fields(DecisionScores):
        nothing = float("nan")
        value = np.array([getattr(g.scores, field.name, nothing) for g in groups], dtype=float)
        there = np.isfinite(value)
        means[field.name] = (
            float(rows[there] @ value[there] / rows[there].sum()) if there.any() else nothing
        )
        skipped[field.name] = tuple(
            g.key for g, kept in zip(groups, there, strict=True) if not kept
        )
    return means, skipped


@dataclass(frozen=True, eq=False)
class _Run:
    """What all folds share."""

    estimator: Any
    x: Any
    codes: Integers
    rule: ThresholdRule
    train_folds: int
    seed: int

    def folds(self, y: Integers, n_groups: int) -> tuple[Floats, Floats, list[str]]:
        """Leave each group out: scores of rows, thresholds and reasons of groups."""
        score = np.full(len(y), np.nan)
        threshold = np.full(n_groups, np.nan)
        reasons = [""] * n_groups
        for g in range(n_groups):
            own = np.flatnonzero(self.codes == g)
            rest = np.flatnonzero(self.codes != g)
            if len(np.unique(y[rest])) < 2:
                reasons[g] = f"the other groups hold one class ({int(y[rest[0]])})"
                continue
            model = self.fit(rest, y)
            threshold[g] = self.rule.fit(self.train_scores(model, rest, y), y[rest])
            score[own] = _scores(model, self.x[own])
        return score, threshold, reasons

    def fit(self, rows: Integers, y: Integers) -> Any:
        """Fit a clone on some rows."""
        return untyped("sklearn.base").clone(self.estimator).fit(self.x[rows], y[rows])

    def train_scores(self, model: Any, rows: Integers, y: Integers) -> Floats:
        """Scores of training rows, by the model itself or out of fold."""
        if not self.train_folds:
            return _scores(model, self.x[rows])
        found = np.empty(len(rows))
        place = generator(self.seed, "folds of training rows").permutation(len(rows))
        for fold in range(self.train_folds):
            held = place % self.train_folds == fold
            if len(np.unique(y[rows[~held]])) < 2:
                raise InputError(
                    "train_folds",
                    f"is {self.train_folds}: a fold leaves one class",
                    "both classes in every fold",
                    "train_folds=0",
                )
            found[held] = _scores(self.fit(rows[~held], y), self.x[rows[held]])
        return found


def _scores(model: Any, x: Any) -> Floats:
    """Probability of class 1, or the decision function."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x), dtype=np.float64)[:, -1]
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(x), dtype=np.float64)
    raise InputError(
        "estimator",
        f"({type(model).__name__}) has neither predict_proba nor decision_function",
        "a classifier that gives scores",
        "sklearn.calibration.CalibratedClassifierCV",
    )


def _labels(y: Any, n: int) -> Integers:
    """Check one 0/1 label for each row."""
    labels = as_array(y, "y")
    if len(labels) != n:
        raise InputError("y", f"has {len(labels)} values for {n} rows", "one for each row")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("y", "holds values other than 0 and 1", "0 or 1", "y == 'attack'")
    return labels.astype(np.int64)


def _pooled(score: Floats, y: Integers) -> float:
    """Area under the ROC curve of the rows that have a score, NaN with one class."""
    there = np.isfinite(score)
    score, y = score[there], y[there]
    positive = int(y.sum())
    if not 0 < positive < len(y):
        return float("nan")
    rank = untyped("scipy.stats").rankdata(score)
    wins = rank[y == 1].sum() - positive * (positive + 1) / 2
    return float(wins / (positive * (len(y) - positive)))


def _ratio(part: float, whole: float) -> float:
    """Share, NaN of nothing."""
    return part / whole if whole else float("nan")
