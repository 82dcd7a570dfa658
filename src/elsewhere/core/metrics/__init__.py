"""Metrics with their sampling error: each gives values by cell and the influence of each row.

A *cell* is a group on one side of a shift. The *influence* of a row is how far the row alone moves
its cell's value, to first order; the influences of a cell add up to zero. Sums of influences over
rows, blocks or pairs give the variance of any combination of cells in closed form, so a metric
is written once and serves paired, blocked, weighted and grouped comparisons alike.

Metrics are named as scikit-learn names its scorers (`get_metric("roc_auc")`), plus the losses under
their own names, where lower is better (`get_metric("log_loss")`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from elsewhere.core.errors import InputError, nearest
from elsewhere.core.metrics.additive import (
    Additive,
    Explained,
    Root,
    RowScore,
    absolute,
    brier,
    log_loss,
    negative,
    own_score,
    relative,
    right,
    squared,
    squared_log,
    top_2,
    top_k_hit,
    wrong,
)
from elsewhere.core.metrics.base import MIN_CLASS_ROWS, Evaluated, Metric, Needs, Prepared
from elsewhere.core.metrics.counts import FromCounts, balanced, counts, matthews, sample_ratio
from elsewhere.core.metrics.rank import AveragePrecision, RankArea
from elsewhere.core.metrics.resampled import SCORERS, Resampled, from_scorer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "METRICS",
    "MIN_CLASS_ROWS",
    "Evaluated",
    "Metric",
    "Prepared",
    "Resampled",
    "get_metric",
    "metric_names",
    "top_k_hit",
]


def _build() -> dict[str, Metric]:
    """List the metrics that have closed-form influences."""
    found: list[Metric] = [
        Additive("mean", own_score, greater_is_better=True, needs="nothing"),
        Additive("accuracy", right, greater_is_better=True, needs="label", scale="proportion"),
        Additive(
            "zero_one_loss", wrong, greater_is_better=False, needs="label", scale="proportion"
        ),
        Additive(
            "top_k_accuracy", top_2, greater_is_better=True, needs="probability", scale="proportion"
        ),
        FromCounts("balanced_accuracy", balanced),
        FromCounts("matthews_corrcoef", matthews, scale="real"),
        RankArea("roc_auc"),
        RankArea("roc_auc_ovr", needs="probability"),
        RankArea("roc_auc_ovr_weighted", needs="probability", prevalence=True),
        AveragePrecision(),
        Explained("r2", centred=False),
        Explained("explained_variance", centred=True),
    ]
    losses: list[tuple[str, str, RowScore, Needs]] = [
        ("log_loss", "neg_log_loss", log_loss, "probability"),
        ("brier_score", "neg_brier_score", brier, "probability"),
        ("mean_squared_error", "neg_mean_squared_error", squared, "value"),
        ("mean_absolute_error", "neg_mean_absolute_error", absolute, "value"),
        ("mean_absolute_percentage_error", "neg_mean_absolute_percentage_error", relative, "value"),
        ("mean_squared_log_error", "neg_mean_squared_log_error", squared_log, "value"),
    ]
    for loss, scorer, score, needs in losses:
        found.append(Additive(loss, score, greater_is_better=False, needs=needs))
        found.append(Additive(scorer, negative(score), greater_is_better=True, needs=needs))
    for loss, scorer, score in (
        ("root_mean_squared_error", "neg_root_mean_squared_error", squared),
        ("root_mean_squared_log_error", "neg_root_mean_squared_log_error", squared_log),
    ):
        square = Additive("square", score, greater_is_better=False, needs="value")
        found.append(Root(loss, square, greater_is_better=False))
        found.append(Root(scorer, square, greater_is_better=True))
    for kind in ("precision", "recall", "f1", "jaccard"):
        rests: Literal["all", "true", "predicted"] = (
            "true" if kind == "recall" else "predicted" if kind == "precision" else "all"
        )
        found.append(FromCounts(kind, counts(kind, "binary"), rests_on=rests))
        found += [
            FromCounts(f"{kind}_{average}", counts(kind, average))
            for average in ("micro", "macro", "weighted")
        ]
        found.append(
            Additive(f"{kind}_samples", sample_ratio(kind), greater_is_better=True, needs="label")
        )
    return {metric.name: metric for metric in found}


METRICS: dict[str, Metric] = _build()
"""Metrics with closed-form intervals, by name."""


def metric_names() -> tuple[str, ...]:
    """Names that `get_metric` accepts, sorted."""
    return tuple(sorted({*METRICS, *SCORERS}))


def get_metric(metric: str | Metric | Callable[[Any, Any], float], *, seed: int = 0) -> Metric:
    """Find a metric by scikit-learn's scorer name or the loss's own name, or wrap a function.

    Args:
        metric: A name, a `Metric`, or a function of (target, prediction) that returns one number
            and for which higher is better; it gets both as they came. Use `Resampled` where lower
            is better or where the function takes weights.
        seed: Seed of the folds of metrics without a closed form.

    Returns:
        The metric.

    Raises:
        InputError: An unknown name; the nearest one is suggested.

    Example:
        >>> get_metric("log_loss").greater_is_better
        False
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        function = metric
        return Resampled(
            getattr(function, "__name__", type(function).__name__),
            lambda y, prediction, _weight: function(y, prediction),
            greater_is_better=True,
            needs="anything",
            seed=seed,
        )
    if metric in METRICS:
        return METRICS[metric]
    if metric in SCORERS:
        return from_scorer(metric, seed=seed)
    raise InputError("metric", f"is {metric!r}", "a known metric", nearest(metric, metric_names()))
