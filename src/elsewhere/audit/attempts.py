"""What one attempt to close a gap needs and gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elsewhere.audit.fitting import Step
from elsewhere.core.arrays import Floats
from elsewhere.core.closing import Needs


@dataclass(frozen=True)
class CloseOptions:
    """How remedies are tried.

    Args:
        labels: Labelled rows of each group elsewhere that a remedy may use; 0 for none.
        negligible: Size below which a gap does not matter.
        level: Confidence level.
        seed: Seed.
        jobs: Processes.
        keep: Folder for finished fits.
        merge: Families of groups.
        on_step: Called as work advances.
    """

    labels: int
    negligible: float
    level: float
    seed: int
    jobs: int
    keep: Path | None
    merge: Mapping[Any, Any] | None
    on_step: Step


@dataclass(frozen=True, eq=False)
class Tried:
    """A remedy's predictions.

    Args:
        name: The remedy.
        needs: Whether it takes labelled rows of elsewhere.
        tested: Which rows it was scored on, in words.
        unseen: Predictions elsewhere, NaN where it gives none, shape (n,) or (n, classes).
        here: The same here, or None where nothing changes.
        labels: Labelled rows that it takes from each group.
        refits: Fits that it changed.
        choice_fits: Fits on fewer rows that its choices took.
        seconds: Their time.
        chosen: What was chosen.
        reason: Why there are no predictions; empty if there are some.
    """

    name: str
    needs: Needs
    tested: str
    unseen: Floats
    here: Floats | None
    labels: int = 0
    refits: int = 0
    choice_fits: int = 0
    seconds: float = 0.0
    chosen: str = ""
    reason: str = ""


@dataclass(frozen=True)
class NotTried:
    """A remedy that was not tried.

    Args:
        name: The remedy.
        needs: Whether it takes labelled rows of elsewhere.
        reason: Why not.
        tested: Which rows it would have been scored on, where that matters.
    """

    name: str
    needs: Needs
    reason: str
    tested: str = ""


def counted(chosen: Iterable[str]) -> str:
    """Write what was chosen; where fits chose differently, how often each, the most often first.

    Example:
        >>> counted(["a", "a"]), counted(["a", "nothing", "a"])
        ('a', 'a (2 of 3 fits), nothing (1)')
    """
    found = Counter(chosen).most_common()
    (first, n), *others = found
    if not others:
        return first
    total = n + sum(count for _, count in others)
    shown = [f"{first} ({n} of {total} fits)", *(f"{text} ({k})" for text, k in others[:2])]
    return ", ".join(shown) + (" and others" if len(others) > 2 else "")
