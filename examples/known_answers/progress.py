"""Pools of models on a planted disparity: progress here, and retraining of the last layer.

Ten classes look alike everywhere save for a shift of their own in each group, none in Europe and
the largest in Africa. Better models keep more directions of the data and add less noise; all of
them learn their last layer on Europe alone. So better models must be less equal, and a last layer
that is retrained on equally many rows of all groups must be more equal.

There are two kinds of shift. "turned" shifts keep classes as far apart in every group, so that
each group is as easy once it is learnt. "added" shifts also move classes apart: Africa is then the
easiest group once it is learnt, and retraining turns the disparity around instead of closing it.

Two null pools stand beside: groups that are dealt at random, and benchmarks that progress alike.

This tries the code against a truth that is known because it was planted. It says nothing of the
paper whose question it is (Richards and others 2023, arXiv 2307.13136).

    python examples/known_answers/progress.py
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.seeding import generator
from elsewhere.measures.progress import progress
from elsewhere.remedies.last_layer import LastLayer, retrain_last_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from elsewhere.core.pools import Pool

Kind: TypeAlias = Literal["turned", "added"]
Rows: TypeAlias = tuple[np.ndarray, np.ndarray]

SHIFTS = {"Europe": 0.0, "Americas": 0.5, "Asia": 0.8, "Africa": 1.2}
"""Size of the shift of each class in a group, in units of the length of its mean."""

PAIR = ("Europe", "Africa")
"""The disparity is the accuracy on the first minus that on the second."""

N_FEATURES = 40
N_CLASSES = 10
QUALITIES = tuple(np.linspace(0.1, 1, 8).tolist())

FAIR_QUALITY = 0.3
"""Retraining is judged on models of this quality and more: weaker ones have little to lose."""


@dataclass(frozen=True)
class Planted:
    """What was found in one world.

    Args:
        weakest: Accuracy in Europe of the weakest model.
        best: Accuracy of the best.
        slope: Slope of the disparity over the accuracy in Europe.
        slope_low: Lower limit.
        slope_high: Upper limit.
        disparity_weakest: Disparity of the weakest model.
        disparity_best: Disparity of the best.
        before: Mean disparity of the models of fair quality, with its sign.
        after: The same with last layers retrained on equally many rows of all groups.
        after_mix: The same with last layers retrained on these rows and those of Europe together.
        size_before: Mean absolute disparity of the same models.
        size_after: The same after retraining.
        size_after_mix: The same after retraining on the mix.
        here_loss: Accuracy in Europe that retraining costs, mean of the same models.
        permuted: Largest absolute disparity of a model when groups are dealt at random.
    """

    weakest: float
    best: float
    slope: float
    slope_low: float
    slope_high: float
    disparity_weakest: float
    disparity_best: float
    before: float
    after: float
    after_mix: float
    size_before: float
    size_after: float
    size_after_mix: float
    here_loss: float
    permuted: float


@dataclass(frozen=True)
class World:
    """Class means of every group, shape (groups, classes, features)."""

    means: np.ndarray

    def draw(self, group: int, n: int, rng: np.random.Generator) -> Rows:
        """Draw rows of a group, and their classes."""
        y = rng.integers(N_CLASSES, size=n)
        return self.means[group, y] + 0.9 * rng.normal(size=(n, N_FEATURES)), y


def world(seed: int, kind: Kind) -> World:
    """Make class means and, for each group and class, a direction to shift it along."""
    unit = generator(seed, "world").normal(size=(1 + len(SHIFTS), N_CLASSES, N_FEATURES))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    size = np.array(list(SHIFTS.values()))[:, None, None]
    means = unit[0] + size * unit[1:]
    return World(3 * (means / np.sqrt(1 + size**2) if kind == "turned" else means))


def planted(
    seed: int = 0, kind: Kind = "turned", *, n_train: int = 3000, n_test: int = 2000
) -> Planted:
    """Measure a pool in one world, before and after retraining.

    Args:
        seed: Seed.
        kind: How groups are shifted.
        n_train: Rows of Europe to learn from; and rows of all groups together to retrain on.
        n_test: Test rows of each group.
    """
    made, rng = world(seed, kind), generator(seed, "rows")
    europe = made.draw(0, n_train, rng)
    even = _joined([made.draw(g, n_train // len(SHIFTS), rng) for g in range(len(SHIFTS))])
    mix = _joined([europe, even])
    tests = [made.draw(g, n_test, rng) for g in range(len(SHIFTS))]
    dealt = rng.permutation(len(SHIFTS) * n_test).reshape(len(SHIFTS), n_test)
    hits: dict[str, list[np.ndarray]] = {"before": [], "after": [], "mix": []}
    for quality in QUALITIES:
        see = model(quality, generator(seed, "model", round(quality, 6)))
        seen = [see(x) for x, _ in tests]
        for name, (x, y) in zip(hits, (europe, even, mix), strict=True):
            head = _head(see(x), y)
            right = [head.predict(z) == y for z, (_, y) in zip(seen, tests, strict=True)]
            hits[name].append(np.stack(right))
    right = {name: np.stack(own) for name, own in hits.items()}
    before = pool(right["before"])
    slope: Any = before.disparity
    fair = np.array(QUALITIES) >= FAIR_QUALITY
    differ = {name: _differ(own)[fair] for name, own in right.items()}
    here = {name: own[fair, 0].mean() for name, own in right.items()}
    mixed = right["before"].reshape(len(QUALITIES), -1)[:, dealt]
    return Planted(
        weakest=before.lowest,
        best=before.highest,
        slope=slope.value,
        slope_low=slope.low,
        slope_high=slope.high,
        disparity_weakest=slope.weakest,
        disparity_best=slope.best,
        before=float(differ["before"].mean()),
        after=float(differ["after"].mean()),
        after_mix=float(differ["mix"].mean()),
        size_before=float(np.abs(differ["before"]).mean()),
        size_after=float(np.abs(differ["after"]).mean()),
        size_after_mix=float(np.abs(differ["mix"]).mean()),
        here_loss=float(here["before"] - here["after"]),
        permuted=float(np.abs(_differ(mixed)).max()),
    )


def pool(hits: np.ndarray) -> Pool:
    """Measure a pool from hits by model, group and row."""
    by_group = {name: hits[:, g] for g, name in enumerate(SHIFTS)}
    others = {name: own for name, own in by_group.items() if name != PAIR[0]}
    return progress(hits[:, 0].mean(axis=1), others, groups=by_group, pair=PAIR)


def model(quality: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Make features: better models keep more directions and add less noise."""
    kept = max(1, round(quality * N_FEATURES))
    along = np.linalg.qr(rng.normal(size=(N_FEATURES, kept)))[0]

    def see(x: np.ndarray) -> np.ndarray:
        return x @ along + (1 - quality) * 0.6 * rng.normal(size=(len(x), kept))

    return see


def equal_slopes(
    pools: int = 1000,
    *,
    n_models: int = 12,
    n_rows: int = 500,
    unequal: float = 0.0,
    by_row: bool = False,
    seed: int = 0,
) -> float:
    """Count how often the gap's interval holds 0 where two benchmarks progress alike.

    Args:
        pools: Number of pools.
        n_models: Models of a pool.
        n_rows: Test rows of each benchmark, the same for all models, drawn anew for each pool.
        unequal: How much progress differs from row to row: a good model gains on one row up to
            this much more than on the average row, in its accuracy here, or less.
        by_row: Whether the measure gets the result of every row. Then its interval is one for
            other models on other rows, else for other models on these rows.
        seed: Seed.

    Returns:
        Share of the pools.
    """
    held = 0
    for k in range(pools):
        rng = generator(seed, "equal slopes", k)
        here = np.sort(rng.uniform(0.4, 0.8, n_models))
        chance = 0.7 * here[:, None] + 0.03 * rng.normal(size=(2, n_models, 1))
        chance = chance + (here - 0.6)[:, None] * rng.uniform(-unequal, unequal, (2, 1, n_rows))
        hits = rng.random((2, n_models, n_rows)) < chance
        scores: Any = hits if by_row else hits.mean(axis=2)
        [gap] = progress(here, dict(zip("ab", scores, strict=True))).gaps
        held += gap.low <= 0 <= gap.high
    return held / pools


def main() -> None:
    """Print both kinds of world and the null pools at full size."""
    for kind in ("turned", "added"):
        found = [planted(seed, kind) for seed in range(6)]
        print(f"{kind} shifts: means over {len(found)} worlds")
        for field in fields(Planted):
            print(f"  {field.name:18} {np.mean([getattr(one, field.name) for one in found]):+.3f}")
    print("equal slopes: share of intervals of the progress gap that hold 0")
    for n_models in (5, 8, 12, 30):
        print(f"  {n_models:2} models {equal_slopes(n_models=n_models):.3f}")


def _head(features: np.ndarray, y: np.ndarray) -> LastLayer:
    """Learn a last layer from all rows alike."""
    return retrain_last_layer(features, y, np.zeros(len(y)), balance="none", penalties=[1.0])


def _joined(parts: list[Rows]) -> Rows:
    """Put rows together."""
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _differ(hits: np.ndarray) -> np.ndarray:
    """Disparity of each model, from hits by model, group and row."""
    first, second = (list(SHIFTS).index(name) for name in PAIR)
    return hits[:, first].mean(axis=1) - hits[:, second].mean(axis=1)


if __name__ == "__main__":
    main()
