"""Keep the features that go with a class and with no group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Key, as_array, code
from elsewhere.core.errors import InputError
from elsewhere.ops.association import feature_rows, fires, npmi, npmi_by_group


@dataclass(frozen=True, eq=False)
class FilteredFeatures:
    """Which features to keep, and why.

    Args:
        kept: Whether each feature is kept, shape (features,).
        with_class: Its normalised pointwise mutual information with the class 1.
        with_group: The largest of those with a group, by absolute value unless `signed`.
        group: That group.
        frequency: Share of rows where the feature is above 0.
    """

    kept: Booleans
    with_class: Floats
    with_group: Floats
    group: tuple[Key, ...]
    frequency: Floats


def npmi_filter(
    x: Any,
    y: Any,
    group: Any,
    *,
    class_least: float = 0.1,
    group_most: float = 0.5,
    least_frequency: float = 0.01,
    signed: bool = False,
) -> FilteredFeatures:
    """Find features that fire with a class, and with no group of rows.

    A feature is kept if it is above 0 in more than `least_frequency` of the rows, its association
    with the class is above `class_least`, and its largest association with a group below
    `group_most`. The published rule takes absolute values, so it also rejects every feature that
    never fires in one group (its association is about -.9): with many groups that leaves few sparse
    features. `signed=True` lets groups that a feature is absent from alone.

    Args:
        x: Features, shape (rows, features), dense or sparse; only whether they are above 0 counts.
        y: 0 or 1, shape (rows,).
        group: Group of each row, shape (rows,).
        class_least: Least association with the class, by absolute value, 0 to 1.
        group_most: Association with a group from which a feature goes, 0 to 1.
        least_frequency: Share of rows, 0 to 1.
        signed: Whether only positive association with a group counts.

    Returns:
        The kept features with their associations.

    Raises:
        InputError: Shapes that do not fit, missing values, classes other than 0 and 1.

    Cost: one product of matrices, rows * features * groups at most.

    Reference: arXiv 2602.14161, "When Benchmarks Lie: Evaluating Malicious Prompt Classifiers
        Under True Distribution Shift", its feature selection.

    Example:
        >>> x = [[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1]]
        >>> y, group = [1, 1, 0, 1, 1, 0], list("aaabbb")
        >>> npmi_filter(x, y, group).kept.tolist()
        [True, True, True]
    """
    for value, argument in (
        (class_least, "class_least"),
        (group_most, "group_most"),
        (least_frequency, "least_frequency"),
    ):
        if not 0 <= value <= 1:
            raise InputError(argument, f"is {value}", "a number from 0 to 1")
    table = feature_rows(x)
    labels, y = as_array(group, "group"), as_array(y, "y")
    for values, argument in ((labels, "group"), (y, "y")):
        if len(values) != table.shape[0]:
            raise InputError(
                argument,
                f"has {len(values)} values for {table.shape[0]} rows",
                "one for each row",
            )
    if not np.isin(y, (0, 1)).all():
        raise InputError("y", f"holds {code(y).keys[-1]!r}", "0 or 1", "y == 'attack'")
    fired = fires(table)
    frequency = np.asarray(fired.mean(axis=0)).ravel()
    with_class = npmi(fired, y.astype(np.int64), least_frequency=least_frequency)
    values, coded = npmi_by_group(fired, labels, least_frequency=least_frequency)
    top = (values if signed else np.abs(values)).argmax(axis=1)
    with_group = values[np.arange(len(values)), top]
    size = with_group if signed else np.abs(with_group)
    kept = (np.abs(with_class) > class_least) & (size < group_most)
    return FilteredFeatures(
        kept & (frequency > least_frequency),
        with_class,
        with_group,
        tuple(coded.keys[g] for g in top.tolist()),
        frequency,
    )
