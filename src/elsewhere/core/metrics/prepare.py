"""Targets and predictions checked and coded, by what the metric needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import Coded, Floats, Integers, Key, Objects, code, encode
from elsewhere.core.errors import InputError
from elsewhere.core.metrics.base import Metric, Needs, Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def prepare(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    """Check and code a target and a prediction; see `Metric.prepare`."""
    return _PREPARE[metric.needs](metric, y, prediction, classes)


def _need_target(metric: Metric, y: Objects | None) -> Objects:
    """Refuse a missing target."""
    if y is None:
        raise InputError(
            "y",
            "is absent",
            f"a target for metric {metric.name!r}",
            "metric='mean' if the prediction is itself the score of each row",
        )
    return y


def _numbers(values: Objects, argument: str, expected: str, hint: str) -> Floats:
    """Take finite numbers."""
    try:
        if values.dtype.kind == "c":
            raise TypeError
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(argument, f"holds {values.ravel()[0]!r}", expected, hint) from None
    if not np.isfinite(numbers).all():
        raise InputError(argument, "holds infinite values", expected, "clip or drop these rows")
    return numbers


def _prepare_nothing(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    values = _numbers(
        prediction, "prediction", "one score for each row, higher is better", "a numeric column"
    )
    return Prepared(values, values, ())


def _prepare_value(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    target = _need_target(metric, y)
    hint = "metric='accuracy' for classes"
    return Prepared(
        _numbers(target, "target", f"numbers for metric {metric.name!r}", hint),
        _numbers(prediction, "prediction", f"numbers for metric {metric.name!r}", hint),
        (),
    )


def _labels(values: Objects, argument: str) -> Objects:
    """Give labels one spelling: whole floats and booleans become integers."""
    if values.dtype.kind == "b":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        whole = np.equal(np.mod(values, 1), 0)
        if not whole.all():
            example = values[~whole].ravel()[0]
            raise InputError(
                argument,
                f"holds {example:.6g}",
                "class labels",
                "a score metric (--score, metric='roc_auc'), or cut the score at a threshold first",
            )
        return values.astype(np.int64)
    return values


def _indicators(y: Objects, argument: str) -> Integers:
    """Take (n, labels) of 0 and 1."""
    table = _labels(y, argument)
    if table.dtype.kind not in "iu" or not np.isin(table, (0, 1)).all():
        raise InputError(
            argument,
            "has several columns that are not all 0 or 1",
            "one 0/1 column for each label",
            "one column of class labels instead",
        )
    return table.astype(np.int64)


def _prepare_label(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    target = _need_target(metric, y)
    if target.ndim == 2:
        if prediction.shape != target.shape:
            raise InputError(
                "prediction",
                f"has shape {prediction.shape}",
                f"the target's shape {target.shape}",
                "one column for each label",
            )
        return Prepared(
            _indicators(target, "target"),
            _indicators(prediction, "prediction"),
            tuple(range(target.shape[1])),
        )
    if prediction.ndim == 2:
        raise InputError(
            "prediction",
            f"has {prediction.shape[1]} columns",
            "one label a row",
            "metric='roc_auc_ovr', 'neg_log_loss' or 'top_k_accuracy', "
            "or take the most probable class first",
        )
    coded_y = code(_labels(target, "target"))
    coded_p = code(_labels(prediction, "prediction"))
    together = code(np.array([*coded_y.keys, *coded_p.keys], dtype=object))
    if {type(k) for k in coded_y.keys}.isdisjoint({type(k) for k in coded_p.keys}):
        raise InputError(
            "prediction",
            f"holds {coded_p.keys[0]!r}",
            f"labels of the target such as {coded_y.keys[0]!r}",
            "map both to the same labels",
        )
    table = {key: index for index, key in enumerate(together.keys)}
    return Prepared(_recode(coded_y, table), _recode(coded_p, table), together.keys)


def _recode(coded: Coded, table: dict[Key, int]) -> Integers:
    """Move codes to a larger list of keys."""
    return np.array([table[key] for key in coded.keys], dtype=np.int64)[coded.codes]


def _two_classes(y: Objects, metric: Metric) -> tuple[Integers, tuple[Key, ...]]:
    """Code a target of exactly two classes as 0 and 1; the larger one is the positive class."""
    coded = code(_labels(y, "target"))
    if len(coded) != 2:
        many = len(coded) > 2
        found = f"has {len(coded)} classes" + (
            "" if many else f" ({coded.keys[0]!r})" if coded.keys else ""
        )
        raise InputError(
            "target",
            found,
            f"two classes for metric {metric.name!r}",
            "metric='roc_auc_ovr' with one probability for each class"
            if many
            else "check the filter: there is nothing to tell apart",
        )
    return coded.codes, coded.keys


def _prepare_score(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    target = _need_target(metric, y)
    scores = _numbers(
        prediction, "score", "numbers, higher for the positive class", "--prediction for labels"
    )
    if target.ndim == 2:
        if scores.shape != target.shape:
            raise InputError(
                "score",
                f"has shape {scores.shape}",
                f"the target's shape {target.shape}",
                "one column for each label",
            )
        return Prepared(_indicators(target, "target"), scores, tuple(range(target.shape[1])))
    if scores.ndim == 2:
        if scores.shape[1] != 2:
            raise InputError(
                "score",
                f"has {scores.shape[1]} columns",
                f"one score a row for metric {metric.name!r}",
                "metric='roc_auc_ovr' for several classes",
            )
        scores = scores[:, 1]
    codes, keys = _two_classes(target, metric)
    return Prepared(codes, scores, keys)


def _prepare_probability(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    target = _need_target(metric, y)
    p = _numbers(prediction, "score", "probabilities between 0 and 1", "--prediction for labels")
    if p.size and (p.min() < 0 or p.max() > 1):
        worst = p.min() if p.min() < 0 else p.max()
        raise InputError(
            "score",
            f"holds {worst:.6g}, outside [0, 1]",
            f"probabilities for metric {metric.name!r}",
            "metric='roc_auc', which takes any score, or calibrate the score first",
        )
    if target.ndim == 2:
        if p.shape != target.shape:
            raise InputError(
                "score",
                f"has shape {p.shape}",
                f"the target's shape {target.shape}",
                "one column for each label",
            )
        return Prepared(_indicators(target, "target"), p, tuple(range(target.shape[1])))
    if p.ndim == 1:
        codes, keys = _two_classes(target, metric)
        return Prepared(codes, p, keys)
    coded = code(_labels(target, "target"))
    keys = tuple(classes) if classes is not None else _classes_of_columns(coded, p.shape[1])
    if len(keys) != p.shape[1]:
        raise InputError(
            "classes",
            f"has {len(keys)} entries",
            f"one for each of the {p.shape[1]} probability columns",
        )
    return Prepared(encode(_labels(target, "target"), keys, "target"), p, keys)


def _classes_of_columns(coded: Coded, width: int) -> tuple[Key, ...]:
    """Guess which class each probability column stands for, if there is only one way."""
    if len(coded) == width:
        return coded.keys
    if all(isinstance(key, int) and 0 <= key < width for key in coded.keys):
        return tuple(range(width))
    raise InputError(
        "score",
        f"has {width} columns while the target has {len(coded)} classes",
        "one probability column for each class",
        "name the classes: classes=[...]",
    )


def _prepare_anything(
    metric: Metric, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None
) -> Prepared:
    return Prepared(_need_target(metric, y), prediction, ())


_PREPARE: dict[Needs, Callable[..., Prepared]] = {
    "nothing": _prepare_nothing,
    "value": _prepare_value,
    "label": _prepare_label,
    "score": _prepare_score,
    "probability": _prepare_probability,
    "anything": _prepare_anything,
}
