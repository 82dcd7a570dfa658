"""Worlds with known gaps, and how often the intervals hold the truth in them.

Rows are drawn anew in each run; a design's coverage is a share of runs. Its standard error at the
nominal .95 is sqrt(.95 * .05 / runs): .0056 for 1500 runs, .0109 for 400.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.special import ndtr

from elsewhere.core.gaps import Gap, gap
from elsewhere.core.scores import Scored

Gaps: TypeAlias = Literal["none", "same", "uniform", "normal"]
ROUNDING = 1e-9


@dataclass
class Coverage:
    """Shares of runs in which an interval held the truth."""

    runs: int = 0
    held: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, low: float, truth: float, high: float) -> None:
        """Count one interval; an absent one is not counted."""
        if np.isnan(low) or np.isnan(high):
            return
        self.asked[name] = self.asked.get(name, 0) + 1
        self.held[name] = self.held.get(name, 0) + (low - ROUNDING <= truth <= high + ROUNDING)

    @property
    def share(self) -> dict[str, float]:
        """Coverage by interval."""
        return {name: self.held[name] / asked for name, asked in self.asked.items()}


@dataclass(frozen=True)
class Proportions:
    """Groups of right and wrong rows, a share `p` right here and `p - gap` elsewhere.

    Args:
        p: Chance that a row is right here.
        rows: Rows of each group on each side.
        groups: Number of groups.
        gaps: True gaps of the groups: all 0; all .05; uniform on [0, .1]; or normal with mean .05
            and standard deviation .05, cut where elsewhere would leave [0, 1].
        paired: Whether both sides judge the same rows; half of these then share their luck.
    """

    p: float
    rows: int
    groups: int
    gaps: Gaps
    paired: bool

    def __str__(self) -> str:
        pairing = "paired" if self.paired else "apart"
        return f"p{self.p}-n{self.rows}-G{self.groups}-{self.gaps}-{pairing}"

    def draw_gaps(self, rng: np.random.Generator, n: int) -> np.ndarray:
        if self.gaps == "uniform":
            return rng.uniform(0, 0.1, n)
        if self.gaps == "normal":
            return np.clip(rng.normal(0.05, 0.05, n), self.p - 1, self.p)
        return np.full(n, 0.05 if self.gaps == "same" else 0.0)

    def draw_rows(self, rng: np.random.Generator, gaps: np.ndarray) -> tuple[np.ndarray, ...]:
        """Right or wrong, here and elsewhere, each (groups, rows)."""
        shape = (len(gaps), self.rows)
        luck, other = rng.random(shape), rng.random(shape)
        if self.paired:
            other = np.where(rng.random(shape) < 0.5, luck, other)
        return (luck < self.p).astype(int), (other < self.p - gaps[:, None]).astype(int)


def scored(values: np.ndarray, *, paired: bool, **more: Any) -> Scored:
    """Right or wrong rows by group as predictions of a target of ones."""
    n_groups, rows = values.shape
    return Scored(
        values.ravel(),
        y=np.ones(values.size, dtype=int),
        group=np.repeat(np.arange(n_groups), rows),
        row=np.arange(values.size) if paired else None,
        **more,
    )


def cover_proportions(design: Proportions, runs: int, seed: int) -> Coverage:
    """Coverage of the mean gap, of the next group's true gap, and of what the next group shows."""
    rng = np.random.default_rng([seed, _number(str(design))])
    found = Coverage(runs)
    for run in range(runs):
        gaps = design.draw_gaps(rng, design.groups + 1)
        here, away = design.draw_rows(rng, gaps)
        sides = (
            scored(here[:-1], paired=design.paired),
            scored(away[:-1], paired=design.paired),
        )
        g = gap(*sides, metric="accuracy")
        found.note("mean", g.low, gaps[:-1].mean(), g.high)
        found.note("next_true", g.next_low, gaps[-1], g.next_high)
        found.note("next_seen", g.next_low, here[-1].mean() - away[-1].mean(), g.next_high)
        if run < 20:
            _same(g, gap(*sides, metric="zero_one_loss"))
    return found


def _number(text: str) -> int:
    """A number that depends on the text only."""
    return int.from_bytes(text.encode(), "big") % (2**63)


def _same(rights: Gap, wrongs: Gap) -> None:
    """Counting rights and counting wrongs must say the same of the gap."""
    names = ("estimate", "low", "high", "next_low", "next_high")
    one = [getattr(rights, name) for name in names]
    other = [getattr(wrongs, name) for name in names]
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@dataclass(frozen=True)
class Areas:
    """Groups of normal scores: positives lie `shift` above negatives; blocks share a part.

    Args:
        rows: Rows of each group on each side.
        groups: Number of groups.
        positive: Share of positives.
        shifts: Distance of the classes here and elsewhere, in standard deviations.
        block: Rows of a block; 1 for none.
        shared: Correlation of scores within a block.
        paired: Whether both sides judge the same rows, at correlation .5.
    """

    rows: int
    groups: int
    positive: float
    shifts: tuple[float, float]
    block: int = 1
    shared: float = 0.0
    paired: bool = False

    def __str__(self) -> str:
        pairing = "paired" if self.paired else "apart"
        return (
            f"n{self.rows}-G{self.groups}-positive{self.positive}-shift{self.shifts[0]}-"
            f"{self.shifts[1]}-block{self.block}-{self.shared}-{pairing}"
        )

    def area(self, shift: float) -> float:
        """True area of a group: pairs of one block share a part, so their classes lie further."""
        together = (self.block - 1) / (self.rows - 1)
        apart = float(ndtr(shift / np.sqrt(2)))
        return together * float(ndtr(shift / np.sqrt(2 - 2 * self.shared))) + (1 - together) * apart


def cover_areas(design: Areas, runs: int, seed: int) -> Coverage:
    """Coverage of the mean gap in area over groups."""
    rng = np.random.default_rng([seed, _number(str(design))])
    found = Coverage(runs)
    n = design.rows * design.groups
    group = np.repeat(np.arange(design.groups), design.rows)
    block = np.arange(n) // design.block
    areas = [design.area(shift) for shift in design.shifts]

    def noise() -> np.ndarray:
        common = rng.normal(size=n // design.block + 1)[block]
        return np.sqrt(design.shared) * common + np.sqrt(1 - design.shared) * rng.normal(size=n)

    for _ in range(runs):
        y = [(rng.random(n) < design.positive).astype(int) for _ in range(2)]
        one, other = noise(), noise()
        if design.paired:
            y[1] = y[0]
            other = np.sqrt(0.5) * one + np.sqrt(0.5) * other
        sides = [
            Scored(
                shift * label + rest,
                y=label,
                group=group,
                row=np.arange(n) if design.paired else None,
                block=None if design.block == 1 else block + (0 if design.paired else s * n),
            )
            for s, (shift, label, rest) in enumerate(
                zip(design.shifts, y, (one, other), strict=True)
            )
        ]
        g = gap(*sides, metric="roc_auc")
        found.note("mean", g.low, areas[0] - areas[1], g.high)
        found.note("here", g.here_low, areas[0], g.here_high)
        found.note("elsewhere", g.elsewhere_low, areas[1], g.elsewhere_high)
    return found


@dataclass(frozen=True)
class Errors:
    """Groups of errors with their own spread; elsewhere it is larger.

    Args:
        rows: Rows of each group on each side.
        groups: Number of groups.
        ratio: Standard deviation of errors elsewhere, in those of here.
        paired: Whether both sides judge the same rows, at correlation .5.
    """

    rows: int
    groups: int
    ratio: float
    paired: bool

    def __str__(self) -> str:
        return (
            f"n{self.rows}-G{self.groups}-ratio{self.ratio}-{'paired' if self.paired else 'apart'}"
        )


def cover_errors(design: Errors, runs: int, seed: int) -> Coverage:
    """Coverage of the mean gap in squared error over groups."""
    rng = np.random.default_rng([seed, _number(str(design))])
    found = Coverage(runs)
    shape = (design.groups, design.rows)
    group = np.repeat(np.arange(design.groups), design.rows)
    row = np.arange(group.size) if design.paired else None
    for _ in range(runs):
        spread = rng.uniform(0.5, 1.5, design.groups)[:, None]
        one, other = rng.normal(size=shape), rng.normal(size=shape)
        if design.paired:
            other = np.sqrt(0.5) * one + np.sqrt(0.5) * other
        errors = (spread * one, design.ratio * spread * other)
        sides = [
            Scored(error.ravel(), y=np.zeros(group.size), group=group, row=row) for error in errors
        ]
        g = gap(*sides, metric="mean_squared_error")
        found.note("mean", g.low, float((design.ratio**2 - 1) * (spread**2).mean()), g.high)
    return found


Cover: TypeAlias = Callable[[Any, int, int], Coverage]
