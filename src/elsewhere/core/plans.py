"""Which rows to buy next: records of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from elsewhere.core.keys import GroupKey

Utility: TypeAlias = Literal["weighted", "concave", "max-min"]
"""What a plan makes small: the mean loss by weights, the mean of a convex penalty of the losses,
or the largest loss."""

Strategy: TypeAlias = Literal["planned", "equal", "equal spend", "proportional"]
"""The plan; as many rows of each group; as much money for each group; rows by the groups' sizes."""


@dataclass(frozen=True)
class Curve:
    """How one group's loss falls with its training rows: `a + b * n ** -p`.

    Args:
        key: The group.
        n_rows: Rows of it in the table.
        unit_cost: Price of one more row.
        weight: What the group's loss counts for; the weights add up to 1.
        loss: Its loss with these rows, by the curve.
        low: Lower limit.
        high: Upper limit.
        a: Loss that no number of rows removes, by the fit.
        b: Size of what rows remove.
        p: Exponent.
        per_hundred: Fall of the loss with 100 more rows from now, by the fit.
        per_hundred_low: Lower limit.
        per_hundred_high: Upper limit.
        sizes: Numbers of training rows at which the loss was measured on held-out rows.
        losses: Mean held-out losses there.
        reason: What the reader must know, such as rows too few for a curve; empty if nothing.
    """

    key: GroupKey
    n_rows: int
    unit_cost: float
    weight: float
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
        strategy: "planned", "equal" (as many rows of each group), "equal spend" (as much money
            for each group, where prices differ) or "proportional" (rows as the groups' sizes).
        bought: Rows to buy of each group, in the order of the curves.
        cost: What they cost.
        predicted: Loss of each group afterwards, by its curve.
        predicted_low: Lower limits, each for its group alone.
        predicted_high: Upper limits.
        utility: Predicted utility afterwards; larger is better.
        low: Lower limit of the utility, over refits of the curves.
        high: Upper limit.
        gain: How much larger the utility is than that of "equal"; for the plan it is flattered,
            since the plan was chosen with the same curves.
        gain_low: Lower limit, over refits of the curves with the rows to buy as they are.
        gain_high: Upper limit.
    """

    strategy: Strategy
    bought: tuple[int, ...]
    cost: float
    predicted: tuple[float, ...]
    predicted_low: tuple[float, ...]
    predicted_high: tuple[float, ...]
    utility: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class BuyingPlan:
    """Which rows to buy for a budget, and what they should bring.

    Args:
        budget: What may be spent.
        utility: What is made good.
        loss: The loss, in words.
        models: "shared" (one model learns from all groups) or "each" (a model for each group).
        curves: One entry a group, in the groups' order.
        allocations: The plan first, then what it is compared with, for the same budget; under
            max-min the plan may spend less.
        separable: Whether rows of one group leave the other groups' losses as they are: "yes",
            "no" (the curves then say too much or too little) or "unknown".
        transfer: How the losses of other groups move when a group loses rows, in words.
        detectable: What the table can detect now, in words: "12 groups x 400 rows detect 2.1
            points or more (power .8)".
        reason: Why there is no plan; empty if there is one.
    """

    budget: float
    utility: Utility
    loss: str
    models: Literal["shared", "each"]
    curves: tuple[Curve, ...]
    allocations: tuple[Allocation, ...]
    separable: Literal["yes", "no", "unknown"]
    transfer: str
    detectable: str
    reason: str = ""
