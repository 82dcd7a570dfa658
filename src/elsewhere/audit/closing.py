"""What closes a gap: each remedy chosen here, scored once elsewhere, beside what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elsewhere.audit.adapting import Adapting
from elsewhere.audit.attempts import NotTried
from elsewhere.audit.judge import known
from elsewhere.audit.retraining import retrain
from elsewhere.core.closing import Attempt, Closing
from elsewhere.core.intervals import quantile, simultaneous

if TYPE_CHECKING:
    from elsewhere.audit.attempts import CloseOptions, Tried
    from elsewhere.audit.estimators import Recipe
    from elsewhere.audit.fitting import Fitted
    from elsewhere.audit.judge import Laid
    from elsewhere.core.arrays import Booleans, Floats
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
    tried, controls, not_tried = retrain(laid, recipe, fitted, options)
    seconds = sum(each.seconds for each in (*tried, *controls))
    adapted, not_adapted = Adapting(laid, recipe, fitted, here, unseen, options).tried()
    tried += [each for each in adapted if not each.reason]
    not_tried += not_adapted
    not_tried += [NotTried(e.name, e.needs, e.reason, e.tested) for e in adapted if e.reason]
    clear = gap.answer(options.negligible) == "gap"
    sides = _Sides(laid, here, unseen, controls, options.level, len(tried), clear=clear)
    attempts = [sides.attempt(each) for each in tried]
    attempts.sort(key=lambda a: (a.needs == "labelled rows", -np.nan_to_num(a.gain, nan=-np.inf)))
    attempts += [_untried(each) for each in not_tried]
    seconds += sum(each.seconds for each in adapted)
    found = answered(tuple(attempts), gap, negligible=options.negligible, level=options.level)
    return found, seconds


class _Sides:
    """Scores remedies elsewhere and here, on the same rows as the model as it was."""

    def __init__(
        self,
        laid: Laid,
        here: Floats,
        unseen: Floats,
        controls: list[Tried],
        level: float,
        n_tried: int,
        *,
        clear: bool,
    ) -> None:
        self.laid, self.here, self.unseen, self.clear = laid, here, unseen, clear
        self.level, self.joint = level, simultaneous(level, n_tried)
        changed = [(each.unseen, unseen) for each in controls]
        self.noise, self.freedom = refit_noise(laid, changed)
        at_home = [(each.here, here) for each in controls if each.here is not None]
        self.noise_here, _ = refit_noise(laid, at_home)

    def attempt(self, tried: Tried) -> Attempt:
        """Score one remedy."""
        laid, level = self.laid, self.level
        rows = known(tried.unseen) & known(self.unseen) & known(self.here)
        gain = laid.paired(tried.unseen, self.unseen, self.joint, rows)
        refitted = tried.refits > 0
        low, high = self._widened(gain, self.noise if refitted else 0.0, self.joint)
        same = np.array_equal(tried.unseen[rows], self.unseen[rows])  # every fit as it was
        if same:
            low = high = 0.0
        gap = laid.paired(self.here, self.unseen, level, rows)
        closed = (NAN, NAN, NAN)
        if self.clear and gap.low > 0 and same:
            closed = (0.0, 0.0, 0.0)
        elif self.clear and gap.low > 0:
            noise = self.noise if refitted else 0.0
            own, after = (
                laid.paired(*pair, level, rows).standard_error
                for pair in ((tried.unseen, self.unseen), (self.here, tried.unseen))
            )
            errors = [np.hypot(own, noise), gap.standard_error, np.hypot(after, noise)]
            closed = share(gain.estimate, gap.estimate, errors, level)
        return Attempt(
            tried.name,
            tried.needs,
            tried.tested,
            gain.elsewhere,
            gain.here,
            0.0 if same else gain.estimate,
            low,
            high,
            *closed,
            *self._price(tried, rows),
            tried.labels,
            tried.refits + tried.choice_fits,
            tried.chosen,
            gain.reason if np.isnan(gain.estimate) else "",
        )

    def _price(self, tried: Tried, rows: Booleans) -> tuple[float, float, float]:
        """Say how much better it is here."""
        if tried.here is None:
            return NAN, NAN, NAN
        if np.array_equal(tried.here[rows], self.here[rows]):
            return 0.0, 0.0, 0.0
        change = self.laid.paired(tried.here, self.here, self.level, rows)
        noise = self.noise_here if tried.refits else 0.0
        return change.estimate, *self._widened(change, noise, self.level)

    def _widened(self, gap: Gap, noise: float, level: float) -> tuple[float, float]:
        """Add what refitting alone does to the limits of a difference."""
        reach = float(quantile((1 + level) / 2, self.freedom)) * noise
        low = gap.estimate - float(np.hypot(gap.estimate - gap.low, reach))
        return low, gap.estimate + float(np.hypot(gap.high - gap.estimate, reach))


def refit_noise(laid: Laid, pairs: list[tuple[Floats, Floats]]) -> tuple[float, float]:
    """Measure what refitting alone does to the mean score over groups.

    Args:
        laid: The table, and how predictions are judged.
        pairs: Predictions of refits that change nothing but some training rows, and of the model
            as it was.

    Returns:
        Standard deviation of a difference of mean scores, from the differences by group, which
        count as independent; and its degrees of freedom. Zero and infinite without refits.
    """
    ground = laid.ground
    coded = ground.groupings[0].coded
    squares: list[float] = []
    n = 0
    for after, before in pairs:
        rows = np.flatnonzero(known(after) & known(before))
        scores = [
            laid.judge.goodness(
                prediction[rows],
                ground.target[rows],
                coded.codes[rows],
                len(coded),
                None if ground.question.weight is None else ground.question.weight[rows],
            )
            for prediction in (after, before)
        ]
        difference = scores[0] - scores[1]
        difference = difference[np.isfinite(difference)]
        n += len(difference)
        squares.append(float((difference**2).sum()) / max(len(difference), 1) ** 2)
    if not n:
        return 0.0, np.inf
    return float(np.sqrt(np.mean(squares))), float(n)


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
        [0.5, 0.33, 0.67]
    """
    a, b, after = (error**2 for error in errors)
    most = float(np.sqrt(a * b))  # the errors come from intervals that are not symmetric
    both = min(max((a + b - after) / 2, -most), most)
    z2 = float(quantile((1 + level) / 2, np.inf)) ** 2
    base = gap**2 - z2 * b
    if base <= 0:
        return gain / gap, -np.inf, np.inf
    middle = gain * gap - z2 * both
    root = float(np.sqrt(max(middle**2 - base * (gain**2 - z2 * a), 0.0)))
    return gain / gap, (middle - root) / base, (middle + root) / base


def _untried(each: NotTried) -> Attempt:
    """Say why a remedy was not tried."""
    none = (NAN, NAN, NAN)
    return Attempt(
        each.name,
        each.needs,
        each.tested,
        NAN,
        NAN,
        *none,
        *none,
        *none,
        0,
        0,
        "",
        each.reason,
    )


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
        return Closing("nothing helps", _nothing_helps(attempts), "", attempts, level)
    sentence = f"{_said(best)}."
    labelled = [each for each in clear if each.labels and each.gain > best.gain]
    if labelled and not best.labels:
        more = max(labelled, key=lambda attempt: attempt.gain)
        sentence += f" {_said(more)}."
    return Closing("helps", sentence, name, attempts, level)


def _said(attempt: Attempt) -> str:
    """Say what a remedy does and what it takes."""
    text = f"“{attempt.name}”{_choice(attempt)} "
    if np.isfinite(attempt.closed_low) and np.isfinite(attempt.closed_high):
        parts = [
            f"{100 * part:.0f}"
            for part in (attempt.closed, attempt.closed_low, attempt.closed_high)
        ]
        all_of_it = attempt.closed > 1
        found = f"{parts[0]} % [{parts[1]}, {parts[2]}]"
        text += f"closes all of the gap ({found})" if all_of_it else f"closes {found} of the gap"
    else:
        text += f"is better elsewhere by {_interval(attempt.gain, attempt.low, attempt.high)}"
    if attempt.labels:
        return f"{text}, with {attempt.labels} labelled rows of each group"
    change = f"{abs(attempt.here_change):.3f}"
    if not np.isfinite(attempt.here_change) or float(change) == 0:
        return f"{text}, and changes nothing here"
    return f"{text}, and {'gains' if attempt.here_change > 0 else 'costs'} {change} here"


def _nothing_helps(attempts: tuple[Attempt, ...]) -> str:
    """Say that no remedy is clearly better, and how far the best of them came."""
    tried = [each for each in attempts if np.isfinite(each.gain)]
    n = len({each.name for each in tried})
    if n == 0:
        return "Nothing helps: no remedy could be tried."
    said = "the one remedy tried is not" if n == 1 else f"none of {n} remedies is"
    text = f"Nothing helps: {said} clearly better elsewhere."
    moved = [each for each in tried if each.low < each.high]
    if not moved:
        return f"{text} None changes a prediction."
    top = max(moved, key=lambda attempt: attempt.gain)
    limits = (top.gain, top.low, top.high)
    if top.gain < 0:
        limits = (-top.gain, -top.high, -top.low)
    way = "gains" if top.gain >= 0 else "loses"
    return f"{text} The best of them, “{top.name}”, {way} {_interval(*limits)}."


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
    if not np.isfinite(gap.detectable):
        return f"{found}, not clearly above {negligible:g}."
    return f"{found}, not clearly above {negligible:g}; one of {gap.detectable:.3f} would be."


def _interval(estimate: float, low: float, high: float) -> str:
    """Write a number with its limits."""
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def _choice(attempt: Attempt) -> str:
    """Write what was chosen, where it is short and the same in all fits."""
    plain = 0 < len(attempt.chosen) <= 60 and "(" not in attempt.chosen
    return f" ({attempt.chosen})" if plain else ""
