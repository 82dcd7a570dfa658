"""Two sides of a shift whose cause is known, with a fitted model's losses on both.

Rows are normal in six columns; the class follows a logistic curve, or the columns follow the class.
The model is fitted once a world on rows like those here, so the parts of the difference are fixed
numbers: what the densities and the curve say, averaged over many rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.linear_model import LogisticRegression

from elsewhere.measures.decomposition import Sample

COLUMNS = 6
MANY = 400_000


@dataclass(frozen=True)
class World:
    """How elsewhere differs from here.

    Args:
        name: Name.
        move: How far the features' mean moves along two columns.
        turn: How much the curve's slope along a third column changes.
        prior: Share of class 1 (here, elsewhere), where columns follow the class; else None.
    """

    name: str
    move: float = 0.0
    turn: float = 0.0
    prior: tuple[float, float] | None = None

    def __str__(self) -> str:
        return self.name

    def draw(self, n: int, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw features and classes on side 0 (here) or 1 (elsewhere)."""
        x = rng.normal(size=(n, COLUMNS))
        if self.prior is not None:
            y = (rng.random(n) < self.prior[side]).astype(np.int64)
            x[:, 0] += 1.0 * y
            x[:, 2] += 0.7 * y
            return x, y
        x[:, 0] += self.move * side
        x[:, 1] += 0.5 * self.move * side
        return x, (rng.random(n) < self.curve(x, side)).astype(np.int64)

    def curve(self, x: np.ndarray, side: int) -> np.ndarray:
        """Probability of class 1 given the features."""
        if self.prior is not None:
            p = self.prior[side]
            odds = np.log(p / (1 - p)) + x[:, 0] - 0.5 + 0.7 * (x[:, 2] - 0.35)
        else:
            odds = 1.2 * x[:, 0] + 0.8 * x[:, 2] + self.turn * side * x[:, 3]
        return 1 / (1 + np.exp(-odds))

    def elsewhere_odds(self, x: np.ndarray) -> np.ndarray:
        """Density of the features elsewhere over that here."""
        if self.prior is None:
            centre = self.move * np.array([1.0, 0.5])
            return np.exp(x[:, :2] @ centre - centre @ centre / 2)
        ratio = np.exp(x[:, 0] - 0.5 + 0.7 * (x[:, 2] - 0.35))
        here, there = (1 - p + p * ratio for p in self.prior)
        return there / here


NULL = World("same")
FEATURES = World("features", move=-1.5)
GIVEN_FEATURES = World("given features", turn=2.5)
BOTH = World("both", move=-1.0, turn=2.0)
CLASSES = World("classes", prior=(0.25, 0.6))


@cache
def model(world: World) -> LogisticRegression:
    """Fit a model on rows like those here."""
    return LogisticRegression().fit(*world.draw(4000, 0, np.random.default_rng(99)))


def losses(world: World, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (model(world).predict_proba(x)[:, 1] - y) ** 2


def side(world: World, n: int, which: int, rng: np.random.Generator) -> Sample:
    """Rows of one side with losses and predictions."""
    x, y = world.draw(n, which, rng)
    return Sample(x, losses(world, x, y), y=y, predicted=model(world).predict(x))


def sides(world: World, n: int, seed: int) -> tuple[Sample, Sample]:
    rng = np.random.default_rng([7, seed])
    return side(world, n, 0, rng), side(world, n, 1, rng)


@cache
def truth(world: World) -> dict[str, float]:
    """The true parts of both readings, by averaging over many rows of known densities."""
    mean, shared, weight, by_class, share = [], [], [], [], []
    for which in (0, 1):
        # The same draws on both sides, and curves instead of classes: equal sides differ by 0.
        x, _ = world.draw(MANY, which, np.random.default_rng(5))
        wrong = [losses(world, x, np.full(len(x), k)) for k in (0, 1)]
        one = [world.curve(x, s) for s in (0, 1)]
        at = [(1 - c) * wrong[0] + c * wrong[1] for c in one]
        odds = world.elsewhere_odds(x)
        p = odds / (1 + odds)
        own = one[which]
        mean.append(at[which].mean())
        share.append([(1 - own).mean(), own.mean()])
        by_class.append(
            [((1 - own) * wrong[0]).mean() / share[-1][0], (own * wrong[1]).mean() / share[-1][1]]
        )
        shared.append((p * (1 - p) * (at[1] - at[0])).mean())
        weight.append((p * (1 - p)).mean())
    given_x = sum(shared) / sum(weight)
    total = mean[1] - mean[0]
    label = float(np.dot(share[1], by_class[0]) - mean[0])
    return {
        "total": total,
        "covariate shift": total - given_x,
        "shift of y given x": given_x,
        "label shift": label,
        "shift of x given y": total - label,
        "shared": 2 * sum(weight),
    }
