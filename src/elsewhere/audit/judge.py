"""How fits' predictions are judged: as the metric takes them, laid over the table's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from elsewhere.audit.designs import Plan
from elsewhere.audit.estimators import How, Kind
from elsewhere.audit.ground import Ground
from elsewhere.core.arrays import Booleans, Floats, Integers, Key, Objects, missing
from elsewhere.core.gaps import Gap, gap_of, join
from elsewhere.core.grouped import grouped_scores
from elsewhere.core.metrics import Metric
from elsewhere.core.scores import Scored

if TYPE_CHECKING:
    from elsewhere.audit.fitting import Fitted


@dataclass(frozen=True, eq=False)
class Judge:
    """Turns predictions into what a metric takes, and scores them by group.

    Args:
        metric: The metric.
        kind: Classes or numbers.
        how: Which method of the estimator gave the predictions.
        classes: Classes by code; empty for numbers.
        threshold: Score from which a row counts as positive, or None for the usual one.
    """

    metric: Metric
    kind: Kind
    how: How
    classes: tuple[Key, ...]
    threshold: float | None

    def labels(self, prediction: Floats) -> Integers:
        """Class codes that predictions stand for."""
        if self.how == "predict":
            return prediction.astype(np.int64)
        if prediction.ndim == 2:
            return prediction.argmax(axis=1).astype(np.int64)
        usual = 0.5 if self.how == "predict_proba" else 0.0
        at = usual if self.threshold is None else self.threshold
        return (prediction >= at).astype(np.int64)

    def as_asked(self, prediction: Floats) -> Objects:
        """Predictions as the metric takes them: classes, or as they are."""
        if self.kind == "regression" or self.metric.needs != "label":
            return prediction
        return np.array(self.classes, dtype=object)[self.labels(prediction)]

    def columns(self, prediction: Floats) -> tuple[Key, ...] | None:
        """Classes of the columns of predictions that have one a class."""
        several = prediction.ndim == 2 and self.metric.needs != "label"
        return self.classes if several else None

    def goodness(
        self,
        prediction: Floats,
        target: Objects,
        group: Integers,
        n_groups: int,
        weight: Floats | None = None,
    ) -> Floats:
        """Score each group, higher is better.

        Args:
            prediction: Predictions, shape (n,) or (n, classes).
            target: Class codes or numbers, shape (n,).
            group: Group of each row, shape (n,).
            n_groups: Number of groups.
            weight: Weights of rows.

        Returns:
            One value a group, shape (groups,); NaN where there is none.
        """
        y = target
        if self.kind == "classification":
            y = np.array(self.classes, dtype=object)[target.astype(np.int64)]
        scored = Scored(
            self.as_asked(prediction),
            y=y,
            group=group,
            weight=weight,
            classes=self.columns(prediction),
        )
        scores = grouped_scores(scored, metric=self.metric)
        found = np.full(n_groups, np.nan)
        found[np.array(scores.keys, dtype=np.int64)] = self.metric.sign * scores.value
        return found

    def row_loss(self) -> tuple[str, RowLoss]:
        """Choose the loss of a row that stands for the metric, which may have none.

        Returns:
            The loss in words, and a function of predictions and target codes or numbers.
        """
        if self.kind == "regression":
            if "absolute" in self.metric.name:
                return "absolute error", lambda p, y: np.abs(p - y)
            return "squared error", lambda p, y: (p - y) ** 2
        if self.metric.needs == "label" or self.how != "predict_proba":
            return "error (0 or 1)", lambda p, y: (self.labels(p) != y).astype(np.float64)
        return "squared error of the probability", _squared_error


RowLoss: TypeAlias = Callable[[Floats, Objects], Floats]


def by_class(prediction: Floats) -> Floats:
    """Give probabilities one column a class."""
    return prediction if prediction.ndim == 2 else np.stack([1 - prediction, prediction], axis=1)


def _squared_error(prediction: Floats, target: Objects) -> Floats:
    """Half the squared distance of probabilities and the class that came."""
    table = by_class(prediction)
    truth = np.eye(table.shape[1])[target.astype(np.int64)]
    return np.asarray(((table - truth) ** 2).sum(axis=1) / 2, dtype=np.float64)


def known(prediction: Floats) -> Booleans:
    """Mark the rows that have a prediction."""
    return ~missing(prediction)


@dataclass(frozen=True, eq=False)
class Laid:
    """Lays the predictions of a plan's fits over the table's rows.

    Args:
        ground: The table.
        plan: The fits.
        judge: How predictions are judged.
    """

    ground: Ground
    plan: Plan
    judge: Judge

    def gathered(
        self, fitted: Fitted, fits: tuple[int, ...], rows: Booleans | None = None
    ) -> Floats:
        """Lay the predictions of several fits over the table; NaN where none predicts.

        Args:
            fitted: Predictions of all fits.
            fits: Positions of the fits.
            rows: Rows that count, shape (n,); all when absent.

        Returns:
            Predictions, shape (n,) or (n, classes).
        """
        first = fitted.of(fits[0])
        found = np.full((self.ground.n, *first.shape[1:]), np.nan)
        for f in fits:
            test = self.plan.fits[f].test
            kept = slice(None) if rows is None else rows[test]
            found[test[kept]] = fitted.of(f)[kept]
        return found

    def unseen(self, fitted: Fitted, q: int) -> Floats:
        """Predictions for each row by models that never saw its group of a grouping."""
        group = self.ground.groupings[q].coded.codes
        found = np.full((self.ground.n, *self._wide(fitted, self.plan.unseen[q][0].fits)), np.nan)
        for family in self.plan.unseen[q]:
            rows = np.isin(group, family.groups)
            found[rows] = self.gathered(fitted, family.fits, rows)[rows]
        return found

    def seen(self, fitted: Fitted, q: int, fits: dict[int, tuple[int, ...]]) -> Floats:
        """Predictions for each row by models that were trained on as many rows, its group's too."""
        group = self.ground.groupings[q].coded.codes
        sizes = {family.size for family in self.plan.unseen[q]}
        whole = {size: self.gathered(fitted, fits[size]) for size in sizes}
        found = np.full_like(next(iter(whole.values())), np.nan)
        for family in self.plan.unseen[q]:
            rows = np.isin(group, family.groups)
            found[rows] = whole[family.size][rows]
        return found

    def _wide(self, fitted: Fitted, fits: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one row's prediction."""
        return fitted.of(fits[0]).shape[1:]

    def paired(
        self, here: Floats, elsewhere: Floats, level: float, rows: Booleans | None = None
    ) -> Gap:
        """Take the gap of two predictions of the same rows, within the first grouping.

        Args:
            here: One prediction of each row, NaN where there is none.
            elsewhere: The other.
            level: Confidence level.
            rows: Rows that count, shape (n,); all when absent.

        Returns:
            The gap; positive where the second prediction is worse.
        """
        both = known(here) & known(elsewhere)
        picked = np.flatnonzero(both if rows is None else both & rows)
        part = self.ground.question.at(picked)
        coded = part.groups[0].coded
        names: Objects = np.array([str(key) for key in coded.keys], dtype=object)[coded.codes]

        def scored(prediction: Floats) -> Scored:
            return Scored(
                self.judge.as_asked(prediction[picked]),
                y=part.y,
                group=names,
                block=part.block,
                weight=part.weight,
                row=picked,
                classes=self.judge.columns(prediction),
            )

        sides = join(scored(here), scored(elsewhere), self.judge.metric)
        return gap_of(sides, sides.sampling(), average="within", level=level)
