"""What closes a gap, and at what price: records of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Needs: TypeAlias = Literal["no labels", "labelled rows"]
"""What a remedy takes from elsewhere."""

ClosingAnswer: TypeAlias = Literal["nothing to close", "nothing helps", "helps"]
"""What the attempts allow to say."""


@dataclass(frozen=True)
class Attempt:
    """One remedy: chosen here, scored once elsewhere, beside the model as it was.

    Args:
        name: The remedy, such as "drop shortcut features".
        needs: Whether it takes labelled rows of elsewhere.
        tested: The rows that it was scored on: "all rows", "other rows" (than the labelled ones,
            chosen at random), or "later rows" (than the labelled ones).
        before: Score elsewhere of the model as it was, on these rows.
        after: Score elsewhere with the remedy, on the same rows.
        gain: How much better it is elsewhere, whatever the metric's direction.
        low: Lower limit. The limits hold for all attempts together; where models were fitted again
            they also cover what refitting alone does, as two controls show.
        high: Upper limit.
        closed: Share of the gap that it closes: the gain over the gap on the same rows. NaN where
            the gap is not clearly above 0.
        closed_low: Lower limit of the share, for this attempt alone.
        closed_high: Upper limit.
        here_change: How much better it is here, on the same rows, by models that also trained on
            their group: below 0 is the price here. NaN where nothing changes here because each
            group gets a model of its own.
        here_low: Lower limit, for this attempt alone.
        here_high: Upper limit.
        labels: Labelled rows that it takes from each group elsewhere.
        fits: Fits of the estimator that it took, those on fewer rows to choose by among them.
        chosen: What was chosen here, in words; empty if there is nothing to choose.
        reason: Why it was not tried; empty if it was.
    """

    name: str
    needs: Needs
    tested: str
    before: float
    after: float
    gain: float
    low: float
    high: float
    closed: float
    closed_low: float
    closed_high: float
    here_change: float
    here_low: float
    here_high: float
    labels: int
    fits: int
    chosen: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Closing:
    """All attempts to close one gap.

    Args:
        answer: "nothing to close" (the interval of the gap does not lie above the negligible
            size; the sentence says whether it lies below it, or does not decide), "nothing helps"
            (no gain is clearly above 0), or "helps".
        sentence: The answer as one sentence, with its numbers.
        best: Name of the attempt with the largest gain that is clearly above 0, those without
            labels first; empty if there is none.
        attempts: One entry a remedy and way to test it: without labels first, largest gain first,
            and what was not tried last.
        level: Confidence level of the gains, all together.
    """

    answer: ClosingAnswer
    sentence: str
    best: str
    attempts: tuple[Attempt, ...]
    level: float
