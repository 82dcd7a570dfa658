"""Forecasts of a model's accuracy or loss elsewhere, made without any label of elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, as_array
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.intervals import quantile
from elsewhere.core.shifts import Forecast, ForecastRow
from elsewhere.measures.label_shift import codes, probabilities
from elsewhere.measures.two_sample import check_level, vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elsewhere.core.keys import GroupKey

NAN = float("nan")

NO_CHANGE = "no change"
"""The forecast to beat: elsewhere as here."""

Confidence: TypeAlias = Literal["confidence", "negative entropy"]
"""What stands for sureness: the largest probability, or minus the entropy of all of them."""


@dataclass(frozen=True)
class Thresholded:
    """Accuracy elsewhere as the share of rows that are surer than a threshold.

    Args:
        value: Forecast of the accuracy elsewhere.
        here: Accuracy here.
        threshold: Sureness below which as many rows lie here as are wrong.
    """

    value: float
    here: float
    threshold: float


@dataclass(frozen=True)
class ConfidenceDifference:
    """Accuracy elsewhere from the fall of the mean confidence.

    Args:
        value: Forecast of the accuracy elsewhere, in [0, 1].
        here: Accuracy here.
        fall: Mean confidence here minus elsewhere.
    """

    value: float
    here: float
    fall: float


@dataclass(frozen=True)
class Agreement:
    """Accuracy elsewhere from how often two models agree there.

    Args:
        value: Forecast of the accuracy elsewhere, in [0, 1].
        here: Accuracy here.
        agreement_here: Share of rows here on which the models agree.
        agreement_elsewhere: Share of rows elsewhere on which they agree.
    """

    value: float
    here: float
    agreement_here: float
    agreement_elsewhere: float


@dataclass(frozen=True)
class WeightedLoss:
    """Mean loss elsewhere as a weighted mean of the losses here.

    Args:
        value: Forecast of the mean loss elsewhere.
        here: Plain mean loss here.
        effective_rows: Number of equally weighted rows that are as noisy as the weighted ones.
        reason: Why there is no value; empty if there is one.
    """

    value: float
    here: float
    effective_rows: float
    reason: str = ""


def average_thresholded_confidence(
    probability_here: Any,
    y_here: Any,
    probability_elsewhere: Any,
    *,
    score: Confidence = "confidence",
) -> Thresholded:
    """Forecast accuracy as the share of rows elsewhere that are surer than a threshold.

    The threshold is set here, so that the share of rows below it is the share of wrong ones. Rows
    that tie with it count in the proportion that makes the forecast for here its true accuracy;
    the published form counts them as right.

    Args:
        probability_here: Probabilities by class of held-out rows, shape (n, classes), or of the
            second of two classes, shape (n,).
        y_here: Their classes as codes, shape (n,).
        probability_elsewhere: Probabilities elsewhere, shape (m, classes) or (m,).
        score: "confidence" (largest probability) or "negative entropy".

    Returns:
        Forecast and threshold.

    Raises:
        InputError: No rows, no probabilities, or codes out of range.

    Cost: one sort of the rows here.

    Reference: Garg, Balakrishnan, Lipton, Neyshabur, Sedghi 2022, "Leveraging unlabeled data to
        predict out-of-distribution performance", arXiv 2201.04234, section 4.

    Example:
        >>> here, elsewhere = [0.9, 0.8, 0.7, 0.6], [0.9, 0.6, 0.6, 0.55]
        >>> average_thresholded_confidence(here, [1, 1, 1, 0], elsewhere).value
        0.25
    """
    here, y, there = _probable(probability_here, y_here, probability_elsewhere)
    if score not in ("confidence", "negative entropy"):
        raise InputError(
            "score", f"is {score!r}", "", nearest(str(score), ("confidence", "negative entropy"))
        )
    right = here.argmax(axis=1) == y
    sure, surer = _sureness(here, score), _sureness(there, score)
    wrong = int((~right).sum())
    ranked = np.sort(sure)
    threshold = float(ranked[wrong]) if wrong < len(ranked) else np.inf
    below, tied = int((sure < threshold).sum()), int((sure == threshold).sum())
    share = 1 - (wrong - below) / tied if tied else 0.0
    value = float((surer > threshold).mean() + share * (surer == threshold).mean())
    return Thresholded(value, float(right.mean()), threshold)


def difference_of_confidences(
    probability_here: Any, y_here: Any, probability_elsewhere: Any
) -> ConfidenceDifference:
    """Forecast accuracy elsewhere as accuracy here minus the fall of the mean confidence.

    Args:
        probability_here: Probabilities by class of held-out rows, shape (n, classes), or of the
            second of two classes, shape (n,).
        y_here: Their classes as codes, shape (n,).
        probability_elsewhere: Probabilities elsewhere, shape (m, classes) or (m,).

    Returns:
        Forecast and the fall, which is taken as it is: the paper also scales it by a regression
        over many shifts with known accuracy.

    Raises:
        InputError: No rows, no probabilities, or codes out of range.

    Cost: one pass.

    Reference: Guillory, Shankar, Ebrahimi, Darrell, Schmidt 2021, "Predicting with confidence on
        unseen distributions", arXiv 2107.03315.

    Example:
        >>> found = difference_of_confidences([0.9, 0.7], [1, 1], [0.7, 0.5])
        >>> print(f"{found.value:.2f} {found.fall:.2f}")
        0.80 0.20
    """
    here, y, there = _probable(probability_here, y_here, probability_elsewhere)
    accuracy = float((here.argmax(axis=1) == y).mean())
    fall = float(here.max(axis=1).mean() - there.max(axis=1).mean())
    return ConfidenceDifference(_share(accuracy - fall), accuracy, fall)


def agreement(
    first_here: Any,
    second_here: Any,
    y_here: Any,
    first_elsewhere: Any,
    second_elsewhere: Any,
    *,
    accuracy_here: float | None = None,
    corrected: bool = True,
) -> Agreement:
    """Forecast accuracy elsewhere by how often two models of the same recipe agree there.

    Args:
        first_here: Classes that one model predicts for held-out rows, shape (n,).
        second_here: Classes that the other predicts, shape (n,).
        y_here: True classes, shape (n,).
        first_elsewhere: Predictions of the one elsewhere, shape (m,).
        second_elsewhere: Predictions of the other, shape (m,).
        accuracy_here: Accuracy here of the model in question where it is neither of the two; the
            mean of the two when absent.
        corrected: Whether to add accuracy minus agreement as found here. The published form is the
            plain agreement: it is right if the models are calibrated as an ensemble, which two
            models seldom are.

    Returns:
        Forecast and both agreements.

    Raises:
        InputError: No rows, or arrays of unlike length.

    Cost: one pass.

    Reference: Jiang, Nagarajan, Baek, Kolter 2022, "Assessing generalization of SGD via
        disagreement", arXiv 2106.13799.

    Example:
        >>> found = agreement([0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0])
        >>> found.value, found.agreement_here, found.agreement_elsewhere
        (0.375, 0.75, 0.5)
    """
    y = as_array(y_here, "y_here")
    one, two = as_array(first_here, "first_here"), as_array(second_here, "second_here")
    other = as_array(first_elsewhere, "first_elsewhere")
    another = as_array(second_elsewhere, "second_elsewhere")
    for array, argument, n in (
        (one, "first_here", len(y)),
        (two, "second_here", len(y)),
        (another, "second_elsewhere", len(other)),
    ):
        if len(array) != n:
            raise InputError(argument, f"has {len(array)} rows", f"{n}")
    for array, argument in ((y, "y_here"), (other, "first_elsewhere")):
        if len(array) == 0:
            raise InputError(argument, "has no rows", "at least one row")
    if accuracy_here is None:
        accuracy_here = float(((one == y).mean() + (two == y).mean()) / 2)
    elif not 0 <= accuracy_here <= 1:
        raise InputError("accuracy_here", f"is {accuracy_here}", "a share between 0 and 1")
    agree_here, agree_there = float((one == two).mean()), float((other == another).mean())
    value = agree_there + (accuracy_here - agree_here if corrected else 0.0)
    return Agreement(_share(value), float(accuracy_here), agree_here, agree_there)


def importance_weighted_loss(loss_here: Any, probability_of_elsewhere: Any) -> WeightedLoss:
    """Forecast the mean loss elsewhere by weighting rows here as their features occur there.

    Right where the features alone shift and here covers elsewhere. Weights are normalised to
    their own sum.

    Args:
        loss_here: Losses of held-out rows, shape (n,); of any kind, also of regression.
        probability_of_elsewhere: For each row the probability that its features come from
            elsewhere rather than here, at equal prior, in [0, 1), shape (n,): for example
            `classifier_two_sample(here, elsewhere).probability[:n]`.

    Returns:
        Forecast, and how many rows the weights leave; NaN and a reason where all weights are 0 or
        a probability is missing.

    Raises:
        InputError: Arrays of unlike length, probabilities outside [0, 1).

    Cost: one pass.

    Reference: Shimodaira 2000, "Improving predictive inference under covariate shift by weighting
        the log-likelihood function"; Sugiyama, Krauledat, Mueller 2007, "Covariate shift adaptation
        by importance weighted cross validation".

    Example:
        >>> importance_weighted_loss([0.0, 1.0], [0.5, 0.75])
        WeightedLoss(value=0.75, here=0.5, effective_rows=1.6, reason='')
    """
    loss = vector(loss_here, len(np.asarray(loss_here)), "loss_here")
    given = np.asarray(probability_of_elsewhere, dtype=np.float64)
    if given.shape != loss.shape:
        raise InputError("probability_of_elsewhere", f"has shape {given.shape}", f"({len(loss)},)")
    if np.isnan(given).any():
        return _weighted(loss, given, "some rows have no probability of elsewhere")
    if ((given < 0) | (given >= 1)).any():
        raise InputError(
            "probability_of_elsewhere", "leaves 0 <= p < 1", "probabilities", "clip them"
        )
    return _weighted(loss, given / (1 - given), "no row here has features of elsewhere")


def label_shift_weighted_loss(loss_here: Any, y_here: Any, weights: Any) -> WeightedLoss:
    """Forecast the mean loss elsewhere by weighting rows here as their classes occur there.

    Right where the class mix alone shifts.

    Args:
        loss_here: Losses of held-out rows, shape (n,).
        y_here: Their classes as codes, shape (n,).
        weights: Weight of each class, shape (classes,): for example `black_box_shift(...).weights`.

    Returns:
        Forecast, and how many rows the weights leave; NaN and a reason where weights are missing.

    Raises:
        InputError: Arrays of unlike length, codes out of range, negative weights.

    Cost: one pass.

    Reference: Lipton, Wang, Smola 2018, "Detecting and correcting for label shift with black box
        predictors", arXiv 1802.03916.

    Example:
        >>> label_shift_weighted_loss([0.0, 1.0, 1.0, 1.0], [0, 1, 1, 1], [2.0, 0.5]).value
        0.42857142857142855
    """
    by_class = np.asarray(weights, dtype=np.float64)
    if by_class.ndim != 1 or len(by_class) < 2:
        raise InputError("weights", f"has shape {by_class.shape}", "one weight for each class")
    if (by_class < 0).any() or np.isinf(by_class).any():
        raise InputError("weights", "is negative or infinite", "numbers >= 0")
    y = codes(y_here, len(by_class), "y_here")
    loss = vector(loss_here, len(y), "loss_here")
    used = by_class[y]
    return _weighted(loss, used, "the classes elsewhere could not be estimated")


def compare_forecasts(
    rows: Mapping[str, Sequence[tuple[GroupKey, float, float]]],
    *,
    quantity: str = "accuracy",
    level: float = 0.95,
) -> tuple[Forecast, ...]:
    """Compare ways to forecast on groups whose labels are known.

    Args:
        rows: For each method (group, forecast, actual); "no change" among them. A forecast that
            could not be made is NaN.
        quantity: What is forecast, in words.
        level: Confidence level in (0, 1).

    Returns:
        One entry a method, smallest mean absolute error first, those without one last. Limits are
        Student's over groups; the gain over "no change" is paired by group. With fewer than two
        groups the error is NaN, with a reason.

    Raises:
        InputError: "no change" is absent, or a group stands twice in a method.

    Cost: trivial.

    Example:
        >>> groups = [(("site", name),) for name in "ab"]
        >>> one, two = compare_forecasts(
        ...     {
        ...         "no change": [(groups[0], 0.9, 0.7), (groups[1], 0.9, 0.8)],
        ...         "other": [(groups[0], 0.75, 0.7), (groups[1], 0.75, 0.8)],
        ...     }
        ... )
        >>> print(one.method, f"{one.error:.2f} {one.gain:.2f}", two.method)
        other 0.05 0.10 no change
    """
    check_level(level)
    if NO_CHANGE not in rows:
        raise InputError("rows", f"lacks {NO_CHANGE!r}", "the forecast to beat among the methods")
    misses = {method: _misses(method, list(own)) for method, own in rows.items()}
    plain = misses[NO_CHANGE]
    found: list[Forecast] = []
    for method, own in rows.items():
        miss = misses[method]
        error = np.array(list(miss.values()), dtype=np.float64)
        gain = np.array([plain[key] - miss[key] for key in miss if key in plain])
        reason = ""
        if len(error) < 2:
            many = "one group" if len(error) == 1 else "no group"
            reason = f"{many} with a forecast and labels; at least 2 are needed to judge a method"
        mean, low, high = _student(error, level)
        found.append(
            Forecast(
                method,
                quantity,
                mean,
                max(low, 0.0) if np.isfinite(low) else low,
                high,
                *_student(gain, level),
                tuple(ForecastRow(key, float(guess), float(actual)) for key, guess, actual in own),
                reason,
            )
        )
    return tuple(sorted(found, key=lambda one: (np.isnan(one.error), one.error)))


# --- helpers ------------------------------------------------------------------------------------


def _probable(here: Any, y: Any, elsewhere: Any) -> tuple[Floats, Any, Floats]:
    """Check probabilities and classes."""
    first = probabilities(here, None, "probability_here")
    k = first.shape[1]
    second = probabilities(elsewhere, k, "probability_elsewhere")
    coded = codes(y, k, "y_here")
    if len(coded) != len(first):
        raise InputError("y_here", f"has {len(coded)} rows", f"{len(first)}, one for each row here")
    for table, argument in ((first, "probability_here"), (second, "probability_elsewhere")):
        if len(table) == 0:
            raise InputError(argument, "has no rows", "at least one row")
    return first, coded, second


def _sureness(probability: Floats, score: Confidence) -> Floats:
    """How sure a model is of each row; higher is surer."""
    if score == "confidence":
        return probability.max(axis=1)
    ordered = np.sort(probability, axis=1)  # so that equal mixes tie to the last bit
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(ordered > 0, ordered * np.log(ordered), 0.0)
    return parts.sum(axis=1)


def _share(value: float) -> float:
    """Keep a forecast of a share within [0, 1]."""
    return float(min(max(value, 0.0), 1.0))


def _weighted(loss: Floats, weight: Floats, why_not: str) -> WeightedLoss:
    """Weighted mean with the effective number of rows."""
    plain = float(loss.mean()) if len(loss) else NAN
    total = float(weight.sum())
    if not total > 0:
        return WeightedLoss(NAN, plain, 0.0, why_not)
    effective = total**2 / float((weight**2).sum())
    return WeightedLoss(float(weight @ loss) / total, plain, effective)


def _misses(method: str, rows: Sequence[tuple[GroupKey, float, float]]) -> dict[GroupKey, float]:
    """Absolute error by group, where there is one."""
    found: dict[GroupKey, float] = {}
    for key, guess, actual in rows:
        if key in found:
            raise InputError("rows", f"holds group {key!r} twice under {method!r}", "each once")
        miss = abs(float(guess) - float(actual))
        if np.isfinite(miss):
            found[key] = miss
    return found


def _student(values: Floats, level: float) -> tuple[float, float, float]:
    """Mean with Student's interval; NaN below two values."""
    if len(values) < 2:
        return NAN, NAN, NAN
    half = float(
        quantile((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    )
    mean = float(values.mean())
    return mean, mean - half, mean + half
