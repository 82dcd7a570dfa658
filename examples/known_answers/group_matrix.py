"""Known answers for the train-on-one, test-on-another matrix: a planted signature, and nothing.

Features of agents' runs are drawn for six models that drive the agents. In the planted world
temporal features are slower or faster by a factor of the driving model, and a bad run shifts two
structural features (what was called, with how much) that are each model's own, so a detector of one
model finds its bad runs and no other's. In the empty world all runs are drawn alike, good and bad,
so that a detector of another model is a coin.

This tries our code on answers that are known. It says nothing of any paper's data.

Run: python examples/known_answers/group_matrix.py
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from elsewhere.core.seeding import generator
from elsewhere.measures.group_matrix import group_matrix, group_strategies
from elsewhere.measures.stability import feature_stability

OWN = 2
"""Structural features that carry one model's signature."""

TEMPORAL = 8
"""Temporal features."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Drawn runs: features, class (1 is bad), driving model and names of the features."""

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Planted:
    """What is found where each model has a signature of its own, all on held-out rows.

    Args:
        here: Mean accuracy of the diagonal.
        elsewhere: Mean accuracy off the diagonal.
        low: Lower limit of the gap.
        verdict: Verdict of the matrix.
        pooled: Accuracy of one model of all groups.
        aware: Accuracy of one that is told the group.
        pooled_unseen: Accuracy of the pooled model in a group that it never saw.
        aware_unseen: Accuracy of the one that is told the group, in a group it never saw.
        temporal: Median variation of the temporal features over groups.
        structural: Median variation of the structural ones.
    """

    here: float
    elsewhere: float
    low: float
    verdict: str
    pooled: float
    aware: float
    pooled_unseen: float
    aware_unseen: float
    temporal: float
    structural: float


@dataclass(frozen=True)
class Empty:
    """What is found where the classes do not differ.

    Args:
        n: Rows behind the diagonal.
        here: Mean held-out accuracy of the diagonal.
        in_sample: The same on training rows.
        verdict: Verdict of the matrix.
        pooled: Held-out accuracy of one model of all groups.
        voting: Held-out accuracy of the vote.
        aware: Held-out accuracy of the model that is told the group.
        published_same: Diagonal of the published protocol, which scores training rows.
        published_cross: Rest of that matrix.
        published_pooled: Its pooled model.
        published_voting: Its vote.
        published_aware: Its group-aware model.
        expected_voting: What the vote must give if every own row is remembered and everything
            else is a coin.
    """

    n: int
    here: float
    in_sample: float
    verdict: str
    pooled: float
    voting: float
    aware: float
    published_same: float
    published_cross: float
    published_pooled: float
    published_voting: float
    published_aware: float
    expected_voting: float


def draw(
    *, planted: bool, groups: int = 6, rows: int = 200, shift: float = 2.5, seed: int = 0
) -> Runs:
    """Draw runs.

    Args:
        planted: Whether bad runs differ, and models' pace.
        groups: Number of driving models.
        rows: Runs of each, half of them bad.
        shift: How far a bad run shifts each of its two features, in standard deviations.
        seed: Seed.

    Returns:
        The runs.
    """
    rng = generator(seed, "runs", planted)
    n, structural = groups * rows, groups * OWN
    group, y = np.repeat(np.arange(groups), rows), np.tile([0, 1], n // 2)
    z = rng.normal(size=(n, structural + TEMPORAL))
    if planted:
        for g in range(groups):
            z[(group == g) & (y == 1), OWN * g : OWN * (g + 1)] += shift
        pace = rng.permutation(np.linspace(-1, 1, groups))
        z[:, structural:] += pace[group][:, None] / 0.3
    names = [f"structural {k}" for k in range(structural)]
    names += [f"temporal {k}" for k in range(TEMPORAL)]
    return Runs(10 * np.exp(0.3 * z), y, np.array([f"model {g}" for g in group]), tuple(names))


def planted_world(
    estimator: Any, *, rows: int = 200, folds: int = 5, permutations: int = 20, seed: int = 0
) -> Planted:
    """Measure the planted world.

    Args:
        estimator: Classifier; None for the published forest.
        rows: Runs of each model.
        folds: Folds.
        permutations: Permutations of the labels.
        seed: Seed.

    Returns:
        What was found.
    """
    runs = draw(planted=True, rows=rows, seed=seed)
    matrix = group_matrix(
        estimator, runs.x, runs.y, runs.group, folds=folds, permutations=permutations, seed=seed
    )
    ways = group_strategies(estimator, runs.x, runs.y, runs.group, folds=folds, seed=seed)
    table = feature_stability(runs.x, runs.group, y=runs.y, names=runs.names)

    def variation(kind: str) -> float:
        found = [row.variation for row in table.rows if row.feature.startswith(kind)]
        return float(np.median(found))

    return Planted(
        matrix.here,
        matrix.elsewhere,
        matrix.low,
        matrix.verdict,
        ways["pooled"].overall,
        ways["group-aware"].overall,
        ways["pooled, group unseen"].overall,
        ways["group-aware, group unseen"].overall,
        variation("temporal"),
        variation("structural"),
    )


def empty_world(
    estimator: Any, *, rows: int = 200, folds: int = 5, permutations: int = 20, seed: int = 0
) -> Empty:
    """Measure the world without a difference, as it should be and as published.

    Args:
        estimator: Classifier; None for the published forest.
        rows: Runs of each model.
        folds: Folds.
        permutations: Permutations of the labels.
        seed: Seed.

    Returns:
        What was found.
    """
    runs = draw(planted=False, rows=rows, seed=seed)
    given = (estimator, runs.x, runs.y, runs.group)
    matrix = group_matrix(*given, folds=folds, permutations=permutations, seed=seed)
    held = group_strategies(*given, folds=folds, seed=seed)
    published = group_strategies(*given, identity="integer", in_sample=True, seed=seed)
    single = published["single"]
    return Empty(
        len(runs.y),
        matrix.here,
        float(matrix.in_sample.mean()),
        matrix.verdict,
        held["pooled"].overall,
        held["voting"].overall,
        held["group-aware"].overall,
        single.same,
        single.cross,
        published["pooled"].overall,
        published["voting"].overall,
        published["group-aware"].overall,
        coin_vote(single.same, len(matrix.groups)),
    )


def coin_vote(own: float, voters: int) -> float:
    """Accuracy of a vote in which the row's own model is right at a rate, and the rest are coins.

    Args:
        own: Accuracy of the row's own model on it.
        voters: Number of voters; ties are negative.

    Returns:
        Expected accuracy with as many positive rows as negative ones.
    """
    others = voters - 1
    at_least = [
        sum(comb(others, j) for j in range(k, voters)) / 2**others for k in range(voters + 2)
    ]
    need = voters // 2 + 1
    positive = own * at_least[need - 1] + (1 - own) * at_least[need]
    negative = own * (1 - at_least[need]) + (1 - own) * (1 - at_least[need - 1])
    return (positive + negative) / 2


def main() -> None:
    """Print each world at full size as soon as it is measured."""
    found = planted_world(None)
    print("planted: a signature for each model")
    print(f"  own model {found.here:.3f}  others {found.elsewhere:.3f}  ({found.verdict})")
    print(f"  pooled {found.pooled:.3f}  told the group {found.aware:.3f}")
    print(f"  unseen: pooled {found.pooled_unseen:.3f}  told {found.aware_unseen:.3f}")
    print(
        f"  variation: temporal {found.temporal:.3f}  structural {found.structural:.3f}",
        flush=True,  # The other world takes minutes, and a pipe would hold this one back.
    )
    nothing = empty_world(None)
    print("empty: no difference between the classes")
    print(f"  held out: own model {nothing.here:.3f}  ({nothing.verdict})")
    print(f"    pooled {nothing.pooled:.3f}  vote {nothing.voting:.3f}  told {nothing.aware:.3f}")
    print(
        f"  on training rows: own {nothing.published_same:.3f}  others "
        f"{nothing.published_cross:.3f}  pooled {nothing.published_pooled:.3f}"
    )
    print(
        f"    told {nothing.published_aware:.3f}  vote {nothing.published_voting:.3f} "
        f"(memory and coins give {nothing.expected_voting:.3f})"
    )


if __name__ == "__main__":
    main()
