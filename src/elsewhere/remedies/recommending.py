"""Whether a remedy is to be recommended, site by site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from elsewhere.core.arrays import Booleans, as_array
from elsewhere.core.errors import InputError
from elsewhere.core.gaps import group_gaps, join
from elsewhere.core.intervals import simultaneous
from elsewhere.core.keys import GroupKey
from elsewhere.core.metrics import Metric, get_metric
from elsewhere.core.scores import Scored
from elsewhere.report.words import numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from elsewhere.core.arrays import Key


@dataclass(frozen=True)
class SiteGain:
    """What a remedy does at one site, on the same test rows.

    Args:
        gain: How much better it is with the remedy, whatever the metric's direction; NaN where
            there is no value.
        low: Lower limit; the limits hold for all sites together.
        high: Upper limit.
        key: The site, by value.
        before: Metric of the model as it was.
        after: Metric with the remedy.
        relative: Gain as a share of `before`: reports often do not say which of the two they mean.
        n_rows: Test rows.
        recommended: Whether the lower limit is above the least gain that matters.
        reason: Why there is no value; empty if there is one.
    """

    gain: float
    low: float
    high: float
    key: GroupKey
    before: float
    after: float
    relative: float
    n_rows: int
    recommended: bool
    reason: str = ""


@dataclass(frozen=True)
class Recommendation:
    """Where a remedy helps.

    Args:
        sites: One entry a site, in sorted order.
        sentence: Where it helps, with numbers.
        level: Confidence level of all intervals together.
        metric: Name of the metric.
    """

    sites: tuple[SiteGain, ...]
    sentence: str
    level: float
    metric: str


def recommend(
    y: Any,
    before: Any,
    after: Any,
    site: Any,
    *,
    metric: str | Metric | Callable[[Any, Any], float] = "roc_auc",
    remedy: str = "local tuning",
    column: str = "site",
    block: Any = None,
    weight: Any = None,
    classes: Sequence[Key] | None = None,
    least: float = 0.0,
    level: float = 0.95,
) -> Recommendation:
    """Say at which sites a remedy helps beyond noise, on rows that neither fit has seen.

    A site is recommended if the lower limit of its paired gain is above `least`, with limits that
    hold for all sites together: among many sites without any gain, some look better by chance.
    The limits speak of this adapted model and new test rows; how the gain changes with other
    labelled rows, only other labelled rows can show.

    Args:
        y: Target of the test rows, shape (n,).
        before: Predictions of the model as it was, shape (n,) or (n, classes).
        after: Predictions with the remedy, the same shape.
        site: Site of each row, shape (n,).
        metric: A scorer name, a loss name, a `Metric` or a function, as in `elsewhere.gap`.
        remedy: Name of the remedy in the sentence.
        column: What sites are called.
        block: What belongs together, shape (n,); blocks are kept whole.
        weight: Weights of rows, shape (n,).
        classes: Classes in the order of the prediction's columns, where `y` may lack some.
        least: Least gain that matters, at least 0.
        level: Confidence level of all intervals together, in (0, 1).

    Returns:
        Gain and limits by site, and a sentence. A site with too few rows of a class has NaN and a
        reason; it does not widen the other intervals.

    Raises:
        InputError: Arrays that do not fit, a metric that does not fit the predictions.

    Cost: as `elsewhere.gap`.

    Reference: DeLong, DeLong, Clarke-Pearson 1988 (paired areas); Šidák 1967 (joint level).

    Example:
        >>> y, worse = [0, 1] * 50, [0.4, 0.6, 0.7, 0.3] * 25
        >>> found = recommend(y, worse, [0.4, 0.6] * 50, ["a"] * 100)
        >>> print(found.sentence)
        local tuning helps at site a (+0.750 [0.616, 0.837])
    """
    if not 0 < level < 1:
        raise InputError("level", f"is {level}", "a confidence level between 0 and 1", "0.95")
    if not least >= 0:
        raise InputError("least", f"is {least}", "a number of at least 0")
    chosen = get_metric(metric)
    n = len(as_array(before, "before", columns=True))
    if n == 0:
        raise InputError("before", "has no rows", "at least one test row")
    if len(as_array(after, "after", columns=True)) != n:
        raise InputError("after", f"has {len(np.asarray(after))} rows", f"{n}, as before")
    with_remedy, without = (
        Scored(each, y, site, block, weight, np.arange(n), classes) for each in (after, before)
    )
    sides = join(with_remedy, without, chosen)
    sampling = sides.sampling()
    known: Booleans = np.asarray(np.isfinite(sampling.value).all(axis=1))
    each_level = simultaneous(level, int(known.sum()))
    gain, low, high = group_gaps(sampling, chosen, each_level)
    found: list[SiteGain] = []
    for g, key in enumerate(sides.keys):
        plain, better = float(sampling.value[g, 1]), float(sampling.value[g, 0])
        found.append(
            SiteGain(
                float(gain[g]),
                float(low[g]),
                float(high[g]),
                ((column, cast("Any", key)),),
                plain,
                better,
                float(gain[g]) / plain if plain else float("nan"),
                int(sampling.rows[g, 1]),
                bool(low[g] > least),
                "" if known[g] else next(r for r in sampling.reason[g] if r),
            )
        )
    return Recommendation(tuple(found), _sentence(found, remedy, column), level, chosen.name)


def _sentence(sites: list[SiteGain], remedy: str, column: str) -> str:
    """Say where it helps, where it hurts, and that nothing is recommended elsewhere."""
    write = numbers_of([s.gain for s in sites], [s.high - s.low for s in sites], plain=True)

    def listed(chosen: list[SiteGain]) -> str:
        return ", ".join(
            f"{column} {s.key[0][1]} ({'+' if s.gain > 0 else ''}"
            f"{write.both(s.gain, s.low, s.high)})"
            for s in chosen
        )

    helps = [s for s in sites if s.recommended]
    hurts = [s for s in sites if s.high < 0]
    parts: list[str] = []
    if helps:
        parts.append(f"{remedy} helps at {listed(helps)}")
    if hurts:
        parts.append(f"{'it' if helps else remedy} hurts at {listed(hurts)}")
    if len(helps) + len(hurts) < len(sites):
        where = " elsewhere" if parts else f": {remedy} shows no clear gain at any {column}"
        parts.append(f"no recommendation{where}")
    return "; ".join(parts)
