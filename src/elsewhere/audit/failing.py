"""Where a model fails: losses of rows of elsewhere beside their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import code, number
from elsewhere.measures.failures import explain_failures

if TYPE_CHECKING:
    from elsewhere.audit.ground import Ground
    from elsewhere.audit.judge import Judge
    from elsewhere.audit.question import GroupColumns, Model, Question
    from elsewhere.core.arrays import Floats, Objects
    from elsewhere.core.explanations import Failures


def failures_of_fits(
    ground: Ground, judge: Judge, unseen: Floats, q: int, *, level: float, seed: int
) -> Failures:
    """Explain the failures of models that never saw a row's group, by the columns they learn from.

    Args:
        ground: The table.
        judge: How predictions are judged.
        unseen: Predictions by models that never saw the row's group, NaN where there is none.
        q: Which grouping.
        level: Confidence level.
        seed: Seed.

    Returns:
        The explanation.
    """
    grouping = ground.groupings[q]
    rows = np.flatnonzero(~np.isnan(unseen if unseen.ndim == 1 else unseen[:, 0]))
    what, row_loss = judge.row_loss()
    target = ground.target[rows]
    outcomes = len(ground.classes) == 2 and judge.how == "predict_proba"
    return _explained(
        row_loss(unseen[rows], target),
        {
            name: values[rows]
            for name, values in ground.features.columns.items()
            if name not in grouping.columns
        },
        grouping,
        rows,
        ground.block,
        y=target if outcomes else None,
        probability=unseen[rows] if outcomes else None,
        what=what,
        level=level,
        seed=seed,
    )


def failures_of_predictions(
    question: Question,
    model: Model,
    grouping: GroupColumns,
    columns: dict[str, Objects],
    *,
    level: float,
    seed: int,
) -> Failures | None:
    """Explain the failures of predictions that somebody has, by columns that were named.

    Args:
        question: The table.
        model: The predictions.
        grouping: The groups.
        columns: The named columns, each shape (n,).
        level: Confidence level.
        seed: Seed.

    Returns:
        The explanation of the rows elsewhere (of all rows, where the table has one side); None
        where the predictions have no loss of a row: scores that are no probabilities, or several
        columns.
    """
    rows = np.arange(question.n) if question.side is None else np.flatnonzero(question.side == 1)
    prediction, y = model.prediction[rows], question.y[rows]
    if prediction.ndim > 1 or y.ndim > 1 or not columns:
        return None
    outcome = probability = None
    if question.metric.needs == "nothing":  # scores of one's own, from 0 to 1
        score = prediction.astype(np.float64)
        if score.min() < 0 or score.max() > 1:
            return None
        what, loss = "1 minus the score", 1 - score
    elif question.metric.needs == "value":
        what = "absolute error" if "absolute" in question.metric.name else "squared error"
        error = prediction.astype(np.float64) - y.astype(np.float64)
        loss = np.abs(error) if what == "absolute error" else error**2
    elif question.kind == "prediction" or question.metric.needs == "label":
        what = "error (0 or 1)"  # scores that were cut are compared with the code of the class
        truth = y if question.kind == "prediction" else number(question.y)[rows]
        loss = (prediction != truth).astype(np.float64)
    else:
        probability = prediction.astype(np.float64)
        if (
            len(np.unique(number(question.y))) != 2
            or probability.min() < 0
            or probability.max() > 1
        ):
            return None
        what = "squared error of the probability"
        outcome = number(question.y)[rows]
        loss = (probability - outcome) ** 2
    return _explained(
        loss,
        {name: values[rows] for name, values in columns.items()},
        grouping,
        rows,
        None if question.block is None else code(question.block).codes,
        y=outcome,
        probability=probability,
        what=what,
        level=level,
        seed=seed,
    )


def _explained(
    loss: Floats,
    columns: dict[str, Objects],
    grouping: GroupColumns,
    rows: Any,
    block: Any,
    **options: Any,
) -> Failures:
    """Explain losses within named groups."""
    names: Objects = np.array([str(key) for key in grouping.coded.keys], dtype=object)
    return explain_failures(
        loss,
        {name: _finite(values) for name, values in columns.items()},
        names[grouping.coded.codes[rows]],
        block=None if block is None else block[rows],
        **options,
    )


def _finite(values: Objects) -> Objects:
    """Take infinite numbers as missing, as fits do."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isfinite(values), values, np.nan)
