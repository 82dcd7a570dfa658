"""Why a model is worse elsewhere, feature by feature and row by row: records of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from elsewhere.core.keys import Value

Quadrant: TypeAlias = Literal[
    "pure shortcut", "context-dependent", "robust but correlated", "generalisable", ""
]
"""Retention and firing ratio together (Q1 to Q4): low and low, low and high, high and low, high
and high; empty where a firing ratio has no meaning."""

Band: TypeAlias = Literal["high", "medium", "low", "constant"]
"""Stability of a feature over groups."""


@dataclass(frozen=True)
class ShortcutRow:
    """What is left of one feature's part in a model when a group goes.

    Args:
        feature: Its name.
        weight: Its coefficient on all rows, or its permutation importance for models that saw
            the rows' group (in units of the metric); the sign is the class that it speaks for.
        retention: Least share of the weight that is left when one group goes; below 0 the sign
            flips.
        blamed: The group without which least is left.
        floor: Share that is left by chance alone: when as many random rows go, or on the same
            rows under models that saw the group, less what noise explains. A feature is flagged
            only below it.
        firing: How much more often the feature is above 0 in the class that it speaks for than
            in the other; NaN where features are not counts or 0/1.
        quadrant: Retention and firing ratio together.
        shortcut: Whether it is flagged: retention below the threshold and below the floor, and, in
            an audit, no clear importance over all groups where they were never seen.
    """

    feature: str
    weight: float
    retention: float
    blamed: Value
    floor: float
    firing: float
    quadrant: Quadrant
    shortcut: bool


@dataclass(frozen=True)
class Shortcuts:
    """Features that carry a model here and not elsewhere.

    Args:
        n: Number of flagged features.
        what: "coefficient" or "permutation importance".
        rows: The features with the largest weights, largest first.
        threshold: Retention below which a feature is suspected.
        draws: Random drops behind each floor; 0 where the floor is of another kind.
        reason: Why there is no answer, or which groups could not be left out; else empty.
    """

    n: int
    what: str
    rows: tuple[ShortcutRow, ...]
    threshold: float
    draws: int
    reason: str = ""


@dataclass(frozen=True)
class StabilityRow:
    """How one feature's level differs from group to group.

    Args:
        feature: Its name.
        variation: Coefficient of variation: standard deviation of the group means over their
            mean; NaN where that mean is not above 0.
        share: Share of the feature's variance that lies between groups (eta squared), 0 to 1;
            this needs no positive mean.
        band: "high" (variation below .2), "medium" (below .5), "low", or "constant" (no variance
            at all: such a feature is not stable, it says nothing).
        weakest: Smallest standardised difference between the classes in a group (Cohen's d with
            its sign turned so that the mean over groups is positive); NaN without two classes.
        strongest: Largest of them. A feature whose signs differ has weakest below 0.
    """

    feature: str
    variation: float
    share: float
    band: Band
    weakest: float
    strongest: float


@dataclass(frozen=True)
class Stability:
    """Stability of features over groups.

    Args:
        n: Number of features that vary at all.
        rows: One entry a feature, the least stable first by `share`.
        reason: Why there is no answer; empty if there is one.
    """

    n: int
    rows: tuple[StabilityRow, ...]
    reason: str = ""


@dataclass(frozen=True)
class Driver:
    """A characteristic of rows that goes with failing.

    Args:
        name: The column.
        importance: How much worse failures are foreseen in groups not used for fitting when the
            column is shuffled (fall of the area under the curve).
        low: Lower limit.
        high: Upper limit.
        effect: Coefficient of the standardised column in a logistic regression of failing; above
            0 means more failures with larger values. NaN for text.
        p: Permutation p-value of no association with failing, within groups.
        q: The p-value adjusted for the number of columns (Benjamini-Hochberg).
    """

    name: str
    importance: float
    low: float
    high: float
    effect: float
    p: float
    q: float


@dataclass(frozen=True)
class Rule:
    """One leaf of the shallow tree on failures.

    Args:
        text: Conditions, such as "age > 60.5 and words > 512".
        n_rows: Rows that meet them.
        loss: Their mean loss, in groups not used to find the rule.
        low: Lower limit.
        high: Upper limit.
    """

    text: str
    n_rows: int
    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Stratum:
    """Rows with similar values of one column.

    Args:
        column: The column.
        label: The values, such as "60 to 75" or "private".
        n_rows: Number of rows.
        loss: Mean loss.
        low: Lower limit of the mean loss.
        high: Upper limit.
        value: Rank metric within the stratum (area under the curve), NaN if another metric.
        value_low: Lower limit.
        value_high: Upper limit.
        expected: The rank metric that the model's own probabilities promise for these rows: what
            a perfectly calibrated model would get here. Low where rows are alike, whatever the
            model.
        adjusted: The rank metric with rows weighted to the spread of predictions of all rows.
        reason: What the reader must know, such as "low by range restriction alone"; or why there
            is no value.
    """

    column: str
    label: str
    n_rows: int
    loss: float
    low: float
    high: float
    value: float
    value_low: float
    value_high: float
    expected: float
    adjusted: float
    reason: str = ""


@dataclass(frozen=True)
class GroupDriver:
    """A characteristic of groups beside how well they do.

    Args:
        name: "rows", "share of positives", or the mean of a column.
        correlation: Spearman's rank correlation of the groups' mean loss with it.
        p: Permutation p-value: over all orders up to 8 groups, else 10 000 random ones.
        q: The p-value adjusted for the number of characteristics.
        n: Number of groups.
    """

    name: str
    correlation: float
    p: float
    q: float
    n: int


@dataclass(frozen=True)
class Failures:
    """Where a model fails, and what goes with it.

    Args:
        auc: How well failures are foreseen in groups that were not used for fitting: area under
            the curve of the better of a shallow tree and a logistic regression; .5 is chance.
        low: Lower limit.
        high: Upper limit.
        loss: The loss of a row, in words.
        failing: What counts as failing, in words.
        drivers: Columns, most important first.
        rules: Leaves of the shallow tree, highest loss first.
        strata: Rows by values of the columns that matter, and of the columns named by the user.
        groups: Characteristics of the groups, strongest first.
        reason: Why there is no answer; empty if there is one.
    """

    auc: float
    low: float
    high: float
    loss: str
    failing: str
    drivers: tuple[Driver, ...]
    rules: tuple[Rule, ...]
    strata: tuple[Stratum, ...]
    groups: tuple[GroupDriver, ...]
    reason: str = ""
