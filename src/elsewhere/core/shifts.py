"""What an audit that fits models adds to a report: the ladder, who carries to whom, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from elsewhere.core.gaps import Gap
from elsewhere.core.keys import GroupKey

Matrix: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Fits:
    """The models that were fitted for a report.

    Args:
        estimator: What was fitted.
        features: Columns that the first model learnt from.
        n: Number of fits.
        rows: Rows of each training set, by design: every number that is compared comes from
            models trained on equally many rows.
    """

    estimator: str
    features: tuple[str, ...]
    n: int
    rows: dict[str, int]


@dataclass(frozen=True)
class Rung:
    """One step of the ladder: the same rows, predicted by models trained further away.

    Args:
        name: "random rows", "unseen date" (its blocks), "unseen month" (its group) or "later".
        gap: Here are the same rows under models trained on as many random other rows; elsewhere
            is this step. On the lowest step both are the same and the gap is 0.
        n_train: Rows that each model of this step was trained on.
        lowest: Whether this is the step that the others are compared with.
    """

    name: str
    gap: Gap
    n_train: int
    lowest: bool = False


@dataclass(frozen=True)
class Transfer:
    """Models trained on one group each, tested on held-out rows of every group.

    Args:
        keys: Groups, ordered so that those whose models do alike stand together.
        value: `value[i][j]` is the metric of the model of keys[i] on held-out rows of keys[j].
        low: Lower limits, each for its cell alone.
        high: Upper limits.
        cluster: Number of each group's cluster, from 0, in the order of `keys`; all 0 where the
            groups form no clusters.
        n_train: Rows that each model was trained on.
        n_test: Held-out rows of each group.
        own: Mean of the diagonal: models on their own group.
        other: Mean of the rest: models on other groups.
        reason: Which groups are missing and why, or why there is no matrix; empty if neither.
    """

    keys: tuple[GroupKey, ...]
    value: Matrix
    low: Matrix
    high: Matrix
    cluster: tuple[int, ...]
    n_train: int
    n_test: tuple[int, ...]
    own: float
    other: float
    reason: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a difference in loss.

    Args:
        name: What changed: "covariate shift", "shift of y given x", "label shift" or "shift of
            x given y".
        estimate: How much of the difference it makes; positive means worse elsewhere.
        low: Lower limit.
        high: Upper limit.
    """

    name: str
    estimate: float
    low: float
    high: float


Reading: TypeAlias = Literal["by features", "by classes"]


@dataclass(frozen=True)
class Decomposition:
    """Why one model loses more on a group that it never saw than on held-out rows of the others.

    Args:
        key: The group; empty where a measure does not know it.
        loss: The loss of a row, in words; lower is better.
        here: Mean loss on held-out rows of the other groups.
        elsewhere: Mean loss on the group.
        total: Their difference.
        parts: The parts of `reading`; they add up to the total.
        alternative: The parts of the other reading; they add up to the total as well. Empty
            where the target has no classes.
        reading: "by features": covariate shift and shift of y given x. "by classes": label shift
            and shift of x given y; chosen only where the class mix explains everything and the
            features do not.
        shared: Overlap of the features' distributions, from 0 (none) to 1 (the same). Nothing can
            be said of y given x outside it.
        auc: Two-sample test: area with which a classifier tells the two sides apart by features.
        auc_low: Lower limit of the area; the sides differ if it is above .5.
        auc_high: Upper limit.
        within_auc: The same with features and target, after the classes here were reweighted to
            those of elsewhere: .5 if nothing but the class mix differs. NaN without classes.
        classes: Share of each class: (class, here, elsewhere, elsewhere as estimated without its
            labels by black-box shift estimation); empty without classes.
        n_rows: Rows used: (here, elsewhere).
        reason: Why there is no decomposition; empty if there is one.
    """

    key: GroupKey
    loss: str
    here: float
    elsewhere: float
    total: Part
    parts: tuple[Part, ...]
    alternative: tuple[Part, ...]
    reading: Reading
    shared: float
    auc: float
    auc_low: float
    auc_high: float
    within_auc: float
    classes: tuple[tuple[str, float, float, float], ...]
    n_rows: tuple[int, int]
    reason: str = ""


@dataclass(frozen=True)
class ForecastRow:
    """A forecast for one group beside what its labels say.

    Args:
        key: The group.
        forecast: What was forecast without the group's labels.
        actual: What was found with them.
    """

    key: GroupKey
    forecast: float
    actual: float


@dataclass(frozen=True)
class Forecast:
    """One way to forecast a model's score elsewhere without labels, tried on groups with labels.

    Args:
        method: Its name; "no change" is the held-out score of the other groups, the one to beat.
        quantity: What is forecast: "accuracy", or a mean loss in words.
        error: Mean over the groups of the absolute difference between forecast and actual.
        low: Lower limit.
        high: Upper limit.
        gain: Error of "no change" minus this error; positive means that the forecast helps.
        gain_low: Lower limit.
        gain_high: Upper limit.
        rows: One entry a group.
        reason: Why there is no forecast; empty if there is one.
    """

    method: str
    quantity: str
    error: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    rows: tuple[ForecastRow, ...]
    reason: str = ""
