"""What closes a gap: each remedy chosen here, scored once elsewhere, beside what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.audit.adapting import Adapting
from elsewhere.audit.judge import known
from elsewhere.audit.retraining import retrain
from elsewhere.core.closing import Attempt, Closing, Needs
from elsewhere.core.intervals import quantile, simultaneous

if TYPE_CHECKING:
    from elsewhere.audit.attempts import CloseOptions, Tried
    from elsewhere.audit.estimators import Recipe
    from elsewhere.audit.fitting import Fitted
    from elsewhere.audit.judge import Laid
    from elsewhere.core.arrays import Floats
    from elsewhere.core.gaps import Gap

NAN = float("nan")


def close(
    laid: Laid,
    recipe: Recipe,
    fitted: Fitted,
    gap: Gap,
    options: CloseOptions,
) -> tuple[Closing, float]:
    """Try every remedy on the first grouping.

    No remedy sees a label of elsewhere, except the labelled rows that it says it takes; those are
    not among the rows that it is scored on.

    Args:
        laid: The table, the plan, and how predictions are judged.
        recipe: What was fitted.
        fitted: Predictions of the model as it was.
        gap: The headline gap.
        options: How to try.

    Returns:
        All attempts and what they allow to say, and the seconds that they took on one core.
    """
    here = laid.seen(fitted, 0, laid.plan.block)
    unseen = laid.unseen(fitted, 0)
    tried, not_tried = retrain(laid, recipe, fitted, options)
    adapted, not_adapted = Adapting(laid, recipe, fitted, here, unseen, options).tried()
    tried += adapted
    not_tried += not_adapted
    joint = simultaneous(options.level, len(tried))
    attempts = [_attempt(laid, here, unseen, each, joint, options.level) for each in tried]
    attempts.sort(key=lambda a: (a.needs == "labelled rows", -np.nan_to_num(a.gain, nan=-np.inf)))
    attempts += [_untried(each.name, each.needs, each.reason) for each in not_tried]
    seconds = sum(each.seconds for each in tried)
    found = answered(tuple(attempts), gap, negligible=options.negligible, level=options.level)
    return found, seconds


def _attempt(
    laid: Laid, here: Floats, unseen: Floats, tried: Tried, joint: float, level: float
) -> Attempt:
    """Score a remedy elsewhere and here, on the same rows as the model as it was."""
    rows = known(tried.unseen) & known(unseen) & known(here)
    if not rows.any():
        return _untried(tried.name, tried.needs, "no group has enough rows")
    gain = laid.paired(tried.unseen, unseen, joint, rows)
    if np.array_equal(tried.unseen[rows], unseen[rows]):  # it left every fit as it was
        gain = replace(gain, estimate=0.0, low=0.0, high=0.0)
    gap = laid.paired(here, unseen, level, rows)
    closed = (NAN, NAN, NAN)
    if gap.low > 0:
        errors = [
            laid.paired(*pair, level, rows).standard_error
            for pair in ((tried.unseen, unseen), (here, unseen), (here, tried.unseen))
        ]
        closed = share(gain.estimate, gap.estimate, errors, level)
    price = (NAN, NAN, NAN)
    if tried.here is not None:
        change = laid.paired(tried.here, here, level, rows)
        same = np.array_equal(tried.here[rows], here[rows])
        price = (0.0, 0.0, 0.0) if same else (change.estimate, change.low, change.high)
    return Attempt(
        tried.name,
        tried.needs,
        tried.tested,
        gain.elsewhere,
        gain.here,
        gain.estimate,
        gain.low,
        gain.high,
        *closed,
        *price,
        tried.labels,
        tried.fits,
        tried.chosen,
        gain.reason if np.isnan(gain.estimate) else "",
    )


def share(gain: float, gap: float, errors: list[float], level: float) -> tuple[float, float, float]:
    """Share of a gap that a gain on the same rows closes, with Fieller's limits.

    Args:
        gain: The gain.
        gap: The gap before, above 0.
        errors: Standard errors of the gain, of the gap before, and of the gap after; together they
            say how the first two vary together.
        level: Confidence level.

    Returns:
        Share, lower and upper limit; the limits are infinite where the gap is not clear.

    Reference: E. Fieller 1954, "Some problems in interval estimation".

    Example:
        >>> [round(x, 2) for x in share(0.02, 0.04, [0.004, 0.004, 0.004], 0.95)]
        [0.5, 0.28, 0.67]
    """
    a, b, after = (error**2 for error in errors)
    both = (a + b - after) / 2
    z2 = float(quantile((1 + level) / 2, np.inf)) ** 2
    base = gap**2 - z2 * b
    if base <= 0:
        return gain / gap, -np.inf, np.inf
    middle = gain * gap - z2 * both
    root = float(np.sqrt(max(middle**2 - base * (gain**2 - z2 * a), 0.0)))
    return gain / gap, (middle - root) / base, (middle + root) / base


def _untried(name: str, needs: Needs, reason: str) -> Attempt:
    """Say why a remedy was not tried."""
    nothing = (NAN, NAN, NAN)
    return Attempt(name, needs, "", NAN, NAN, *nothing, *nothing, *nothing, 0, 0, "", reason)


# --- the answer --------------------------------------------------------------------------------


def answered(
    attempts: tuple[Attempt, ...], gap: Gap, *, negligible: float, level: float
) -> Closing:
    """Say what attempts allow to say.

    Args:
        attempts: The attempts, those without labels first, largest gain first.
        gap: The gap before.
        negligible: Size below which a gap does not matter.
        level: Joint confidence level of the gains.

    Returns:
        The attempts with their answer.
    """
    clear = [each for each in attempts if each.low > 0]
    best = clear[0] if clear else None
    name = best.name if best is not None else ""
    if gap.answer(negligible) != "gap":
        sentence = f"Nothing to close: {_no_gap(gap, negligible)}"
        if best is not None:
            sentence += f" Yet with “{name}”{_choice(best)} the model is better elsewhere by "
            sentence += f"{_interval(best.gain, best.low, best.high)}."
        return Closing("nothing to close", sentence, name, attempts, level)
    if best is None:
        n = len({each.name for each in attempts if np.isfinite(each.gain)})
        sentence = f"Nothing helps: none of {n} remedies is clearly better elsewhere."
        if n:
            top = max(
                (a for a in attempts if np.isfinite(a.gain)), key=lambda attempt: attempt.gain
            )
            sentence += (
                f" The best of them, “{top.name}”, gains {_interval(top.gain, top.low, top.high)}."
            )
        return Closing("nothing helps", sentence, "", attempts, level)
    sentence = f"“{name}”{_choice(best)} "
    if np.isfinite(best.closed_low) and np.isfinite(best.closed_high):
        parts = (best.closed, best.closed_low, best.closed_high)
        low = "{:.0f} % [{:.0f}, {:.0f}]".format(*(100 * part for part in parts))
        sentence += f"closes {low} of the gap"
    else:
        sentence += f"is better elsewhere by {_interval(best.gain, best.low, best.high)}"
    if best.labels:
        sentence += f", with {best.labels} labelled rows of each group."
    elif np.isfinite(best.here_change):
        sentence += f", at {best.here_change:+.3f} here."
    else:
        sentence += ", and changes nothing here."
    return Closing("helps", sentence, name, attempts, level)


def _no_gap(gap: Gap, negligible: float) -> str:
    """Say why there is nothing to close."""
    if not np.isfinite(gap.estimate):
        return f"there is no gap ({gap.reason or 'no group has a value'})."
    found = f"the gap is {_interval(gap.estimate, gap.low, gap.high)}"
    answer = gap.answer(negligible)
    if answer == "no gap":
        return f"{found}, below {negligible:g}."
    if answer == "better elsewhere":
        return f"{found}, below 0."
    return f"{found}, not clearly above {negligible:g}; one of {gap.detectable:.3f} would be."


def _interval(estimate: float, low: float, high: float) -> str:
    """Write a number with its limits."""
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def _choice(attempt: Attempt) -> str:
    """Write what was chosen, where it is short."""
    return f" ({attempt.chosen})" if 0 < len(attempt.chosen) <= 80 else ""
