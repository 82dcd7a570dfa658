"""Which rows to buy next: records of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from elsewhere.core.keys import GroupKey

Utility: TypeAlias = Literal["weighted", "concave", "max-min"]
"""What a plan makes small: the mean loss by weights, the mean of a convex penalty of the losses,
or the largest loss."""


@dataclass(frozen=True)
class Curve:
    """How one group's loss falls with its training rows: `a + b * n ** -p`.

    Args:
        key: The group.
        n_rows: Its training rows now.
        unit_cost: Price of one more row.
        loss: Its loss now, measured on held-out rows.
        low: Lower limit.
        high: Upper limit.
        a: Loss that no number of rows removes, by the fit.
        b: Size of what rows remove.
        p: Exponent.
        per_hundred: Fall of the loss with 100 more rows from now, by the fit.
        per_hundred_low: Lower limit.
        per_hundred_high: Upper limit.
        sizes: Numbers of rows at which the loss was measured.
        losses: Mean held-out losses there.
        reason: What the reader must know, such as rows too few for a curve.
    """

    key: GroupKey
    n_rows: int
    unit_cost: float
    loss: float
    low: float
    high: float
    a: float
    b: float
    p: float
    per_hundred: float
    per_hundred_low: float
    per_hundred_high: float
    sizes: tuple[int, ...]
    losses: tuple[float, ...]
    reason: str = ""


@dataclass(frozen=True)
class Allocation:
    """One way to spend the budget.

    Args:
        strategy: "planned", "closed form", "equal", "proportional".
        bought: Rows to buy of each group, in the order of the curves.
        cost: What they cost.
        predicted: Loss of each group afterwards, by its curve.
        utility: Predicted utility afterwards; larger is better.
        low: Lower limit of the utility, over refits of the curves.
        high: Upper limit.
    """

    strategy: str
    bought: tuple[float, ...]
    cost: float
    predicted: tuple[float, ...]
    utility: float
    low: float
    high: float


@dataclass(frozen=True)
class BuyingPlan:
    """Which rows to buy for a budget, and what they should bring.

    Args:
        budget: What may be spent.
        utility: What is made good.
        loss: The loss, in words.
        curves: One entry a group.
        allocations: The plan first, then what it is compared with at the same spend.
        separable: Whether rows of one group leave the other groups' losses as they are: "yes",
            "no" (the curves then say too much or too little) or "unknown".
        detectable: What the table can detect now, in words: "12 groups x 400 rows detect 2.1
            points or more (power .8)".
        reason: Why there is no plan; empty if there is one.
    """

    budget: float
    utility: Utility
    loss: str
    curves: tuple[Curve, ...]
    allocations: tuple[Allocation, ...]
    separable: str
    detectable: str
    reason: str = ""
