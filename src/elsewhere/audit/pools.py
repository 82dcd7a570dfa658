"""Many models in one audit: does progress here arrive elsewhere, and in every group?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.keys import key_text
from elsewhere.measures.progress import progress

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport, Grouping
    from elsewhere.core.pools import Pool

MIN_MODELS = 5
"""Models below which there is no line to draw."""

MAX_BENCHMARKS = 12
"""Groups whose progress is followed, those with most rows."""


def pool_of(report: GapReport, pair: tuple[str, str] | None) -> Pool | None:
    """Draw lines over the models of a report.

    Where the table has two sides, the score here is the first grouping's and each grouping's score
    elsewhere is followed; else it is the mean over groups, and each group's score is followed.

    Args:
        report: A report of several models.
        pair: Two groups of the first grouping whose difference is followed; best minus worst of
            all groups when absent.

    Returns:
        Slopes, or None for fewer than 5 models or where scores are missing. Losses count with
        their sign turned, so that more is better. In a table with one side the score here is the
        mean of the groups that are followed, so their rates are 1 in the mean: a rate tells how a
        group keeps up with the others.
    """
    if len(report.models) < MIN_MODELS:
        return None
    sign = 1 if report.greater_is_better else -1
    firsts = [model.groupings[0] for model in report.models]
    by_group = _by_group(firsts, sign)
    if firsts[0].contrast == "here and elsewhere":
        here = np.array([sign * first.gap.here for first in firsts])
        elsewhere = {
            f"elsewhere by {grouping.name}": [
                sign * model.groupings[g].gap.elsewhere for model in report.models
            ]
            for g, grouping in enumerate(report.models[0].groupings)
        }
        score = f"{report.metric} here"
    else:
        here = np.mean(list(by_group.values()), axis=0) if by_group else np.full(1, np.nan)
        largest = sorted(firsts[0].rows, key=lambda row: -row.n_rows)
        names = [key_text(row.key) for row in largest if key_text(row.key) in by_group]
        elsewhere = {name: by_group[name] for name in names[:MAX_BENCHMARKS]}
        score = f"{report.metric}, mean over {firsts[0].name}"
    if not (np.isfinite(here).all() and np.isfinite(list(elsewhere.values())).all()):
        return None
    return progress(
        here,
        elsewhere,
        groups=by_group if len(by_group) > 1 else None,
        names=[model.name for model in report.models],
        pair=pair,
        level=report.level,
        score=score if sign > 0 else f"minus {score}",
    )


def _by_group(groupings: list[Grouping], sign: int) -> dict[str, list[float]]:
    """Scores of each group that has one for every model, one entry a model."""
    tables = [{row.key: row.value for row in grouping.rows} for grouping in groupings]
    found: dict[str, list[float]] = {}
    for row in groupings[0].rows:
        scores = [sign * table.get(row.key, float("nan")) for table in tables]
        if np.isfinite(scores).all():
            found[key_text(row.key)] = scores
    return found
