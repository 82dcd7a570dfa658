"""Buying rows by learning curves, against splits that know nothing and one that knows all.

Three groups, each with a ridge model of its own: two with 40 features, of which one is noisy and
costs twice as much, and a small one with 10 features that is learnt at once. Data come from a
planted linear truth, so this tries our code; it says nothing about any published result.

`adaptive` sees only losses on a few held-out rows. The oracle sees the true loss of every number
of rows and picks the best purchase of whole chunks.

Run `python examples/known_answers/allocation.py` for the full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from elsewhere.core.seeding import generator
from elsewhere.remedies.allocation import adaptive, equal_split, proportional_split

COST = np.array([1, 1, 2])
SHARE = np.array([0.7, 0.2, 0.1])


@dataclass(frozen=True)
class Settings:
    """One world and one budget.

    Args:
        features: Features of each group.
        noise: Standard deviation of each group's noise.
        start: Rows of each group at the start.
        budget: Money beyond the start.
        chunk: Money for one step.
        explore_every: Every so many chunks one goes to the smallest group.
        subsets: Random subsets behind each loss that is measured.
        pool: Rows that can be bought of each group.
        validation: Held-out rows of each group that `adaptive` sees.
        test: Rows of each group on which everything is scored.
        penalty: Ridge penalty.
    """

    features: tuple[int, ...] = (40, 40, 10)
    noise: tuple[float, ...] = (0.5, 2.0, 0.5)
    start: int = 80
    budget: float = 1200
    chunk: float = 60
    explore_every: int = 4
    subsets: int = 5
    pool: int = 4000
    validation: int = 200
    test: int = 5000
    penalty: float = 1.0


LARGE = Settings()
SMALL = Settings(start=60, budget=480)


@dataclass(frozen=True)
class Scores:
    """Mean loss over the groups and their rows, one entry a seed.

    Args:
        loss: Mean test loss by strategy, each shape (seeds,).
        n: Rows of each group by strategy, each shape (seeds, groups).
    """

    loss: dict[str, np.ndarray]
    n: dict[str, np.ndarray]

    @property
    def captured(self) -> float:
        """Share of what the oracle gains over equal rows that `adaptive` gains."""
        mean = {name: float(values.mean()) for name, values in self.loss.items()}
        return (mean["equal"] - mean["adaptive"]) / (mean["equal"] - mean["oracle"])


class World:
    """Rows of one seed, and the losses of ridge models on them."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        g = generator(seed, "three groups")
        self.x, self.y, self.held_out, self.second = [], [], [], []
        for d, sd in zip(settings.features, settings.noise, strict=True):
            truth = g.normal(0, np.sqrt(4 / d), d)
            sizes = (settings.pool, settings.validation, settings.test)
            xs = [g.normal(size=(n, d)) for n in sizes]
            ys = [x @ truth + sd * g.normal(size=len(x)) for x in xs]
            self.x.append(xs[0])
            self.y.append(ys[0])
            self.held_out.append((xs[1], ys[1]))
            # The mean squared error is a quadratic form, so 5 000 rows need not be kept.
            self.second.append((xs[2].T @ xs[2], xs[2].T @ ys[2], float(ys[2] @ ys[2])))
        self.draws = generator(seed, "subsets")

    def ridge(self, g: int, rows: np.ndarray) -> np.ndarray:
        """Coefficients of models on several sets of rows, shape (sets, features)."""
        x, y = self.x[g][rows], self.y[g][rows]
        second = np.matmul(x.transpose(0, 2, 1), x)
        second += self.settings.penalty * np.eye(x.shape[2])
        return np.linalg.solve(second, np.matmul(x.transpose(0, 2, 1), y[:, :, None]))[:, :, 0]

    def measured(self, g: int, n: int, sizes: tuple[int, ...]) -> np.ndarray:
        """Held-out losses of models on random subsets of the first n rows."""
        x, y = self.held_out[g]
        found = np.empty((len(sizes), self.settings.subsets))
        for i, size in enumerate(sizes):
            rows = self.draws.random((self.settings.subsets, n)).argsort(axis=1)[:, :size]
            found[i] = ((self.ridge(g, rows) @ x.T - y) ** 2).mean(axis=1)
        return found

    def tested(self, g: int, n: int) -> float:
        """Loss on the test rows of a model on the first n rows."""
        (w,) = self.ridge(g, np.arange(n)[None])
        second, cross, level = self.second[g]
        return float((w @ second @ w - 2 * w @ cross + level) / self.settings.test)


def bought(world: World) -> np.ndarray:
    """Rows of each group after `adaptive` has spent the budget."""
    s = world.settings
    n = np.full(3, s.start)

    def collect(g: int, rows: int) -> int:
        n[g] += rows
        return rows

    steps = adaptive(
        collect,
        lambda g, sizes: world.measured(g, int(n[g]), sizes),
        start=n.copy(),
        budget=s.budget,
        chunk=s.chunk,
        cost=COST,
        explore_every=s.explore_every,
    )
    for _ in steps:
        pass
    return n


def best(world: World) -> np.ndarray:
    """Rows of each group with the least true loss, among purchases of whole chunks."""
    s = world.settings
    size, chunks = (s.chunk // COST).astype(int), int(s.budget // s.chunk)
    at = np.array([[world.tested(g, s.start + k * size[g]) for k in range(chunks + 1)]
                   for g in range(3)])  # fmt: skip
    every = [k for k in product(range(chunks + 1), repeat=3) if sum(k) == chunks]
    losses = [at[0, i] + at[1, j] + at[2, k] for i, j, k in every]
    return s.start + np.array(every[int(np.argmin(losses))]) * size


def run(settings: Settings, seeds: range) -> Scores:
    """Spend the budget in every way, seed by seed.

    Args:
        settings: The world and the budget.
        seeds: Seeds of the worlds.

    Returns:
        The losses.
    """
    rows: dict[str, list[np.ndarray]] = {}
    loss: dict[str, list[float]] = {}
    equal = settings.start + equal_split(COST, settings.budget)
    proportional = settings.start + proportional_split(COST, settings.budget, SHARE)
    for seed in seeds:
        world = World(settings, seed)
        for name, n in (
            ("proportional", proportional),
            ("equal", equal),
            ("adaptive", bought(world)),
            ("oracle", best(world)),
        ):
            rows.setdefault(name, []).append(n)
            tested = [world.tested(g, int(n[g])) for g in range(3)]
            loss.setdefault(name, []).append(float(np.mean(tested)))
    return Scores(
        {name: np.array(values) for name, values in loss.items()},
        {name: np.array(values) for name, values in rows.items()},
    )


def main() -> None:
    """Print both budgets over 20 seeds."""
    for title, settings in (("budget 1200", LARGE), ("budget 480", SMALL)):
        found = run(settings, range(20))
        print(f"{title}, 20 seeds")
        for name, values in found.loss.items():
            mean_n = ", ".join(f"{n:.0f}" for n in found.n[name].mean(axis=0))
            print(f"  {name:<13} loss {values.mean():.3f} +- {values.std(ddof=1):.3f}  n {mean_n}")
        print(f"  adaptive gains {found.captured:.0%} of what the oracle gains over equal rows")


if __name__ == "__main__":
    main()
