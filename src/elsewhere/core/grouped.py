"""A metric by group, with intervals for each group and for all groups together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import Floats, Key, code, number
from elsewhere.core.errors import InputError
from elsewhere.core.intervals import Moments, interval, simultaneous
from elsewhere.core.metrics import Metric, get_metric
from elsewhere.core.sampling import sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from elsewhere.core.scores import Scored


@dataclass(frozen=True, eq=False)
class GroupedScores:
    """One value a group; arrays share the order of `keys`.

    Args:
        keys: The groups, sorted.
        value: Metric of each group, NaN where there is none.
        low: Lower limit for the group alone.
        high: Upper limit for the group alone.
        joint_low: Lower limit that holds for all groups together.
        joint_high: Upper limit that holds for all groups together.
        n_rows: Rows of each group.
        n_units: Independent units of each group: blocks, or rows where no blocks are given.
        reason: Why a group has no value; empty where it has one.
        metric: Name of the metric.
        level: Confidence level.
    """

    keys: tuple[Key, ...]
    value: Floats
    low: Floats
    high: Floats
    joint_low: Floats
    joint_high: Floats
    n_rows: Floats
    n_units: Floats
    reason: tuple[str, ...]
    metric: str
    level: float

    def __getitem__(self, key: Key) -> float:
        """Return one group's value.

        Raises:
            InputError: No such group.
        """
        if key not in self.keys:
            raise InputError("group", f"is {key!r}", f"one of {self.keys[:8]}")
        return float(self.value[self.keys.index(key)])


def grouped_scores(
    scored: Scored,
    *,
    metric: str | Metric | Callable[[Any, Any], float],
    level: float = 0.95,
    seed: int = 0,
) -> GroupedScores:
    """Compute a metric in every group, with intervals in closed form where one exists.

    Args:
        scored: Predictions with groups; one group when absent.
        metric: A scikit-learn scorer name, a loss name, a `Metric`, or a function.
        level: Confidence level in (0, 1).
        seed: Seed of the folds for metrics without a closed form.

    Returns:
        Values and limits by group.

    Raises:
        InputError: A metric that does not fit the predictions, or no rows.

    Cost: one evaluation of the metric, whatever the number of groups.

    Example:
        >>> from elsewhere import Scored
        >>> s = Scored([1, 0, 1, 1], y=[1, 0, 0, 0], group=["a", "a", "b", "b"])
        >>> found = grouped_scores(s, metric="accuracy")
        >>> found["a"], found["b"]
        (1.0, 0.0)
    """
    if not 0 < level < 1:
        raise InputError("level", f"is {level}", "a confidence level between 0 and 1", "0.95")
    if scored.n == 0:
        raise InputError("scored", "has no rows", "at least one row")
    chosen = get_metric(metric, seed=seed)
    group = scored.group if scored.group is not None else np.zeros(scored.n, dtype=np.int64)
    coded = code(group)
    found = sample(
        chosen,
        chosen.prepare(scored.y, scored.prediction, scored.classes),
        group=coded.codes,
        n_groups=len(coded),
        unit=None if scored.block is None else number(scored.block),
        weight=scored.weight,
    )
    cells = found.cells()
    moments = Moments(
        cells.value[:, 0], cells.variance[:, 0], cells.freedom[:, 0], cells.size[:, 0]
    )
    known = int((~np.isnan(moments.value)).sum())
    low, high = interval(moments, chosen.scale, level)
    joint_low, joint_high = interval(moments, chosen.scale, simultaneous(level, known))
    return GroupedScores(
        coded.keys,
        moments.value,
        low,
        high,
        joint_low,
        joint_high,
        found.rows[:, 0],
        found.units[:, 0],
        tuple(reason[0] for reason in found.reason),
        chosen.name,
        level,
    )
