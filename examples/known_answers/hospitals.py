"""Four hospitals of unequal size: does tuning to a hospital help there, now and later?

A world with a planted truth: one logistic model of 120 features for all, and hospitals that deviate
from it in 15 coefficients and in the means of the features, the smaller the more. One model is
fitted to all rows. Then each hospital gets

- *local*: that model adapted to the hospital's own rows;
- *instance*: adapted to these and to the 5 nearest rows of other hospitals for each of them;
- *control*: adapted to as many random rows of other hospitals, which knows nothing of the hospital;
- *cluster*: adapted to its cluster among all rows, with predictions for held-out rows;
- *scratch*: a model of its own rows alone.

They are scored on new rows of the hospital, drawn as before ("random") or with all coefficients
shrunk to 0.9 of their size ("temporal"). The truth that must come out: local tuning helps at the
small hospital that deviates most and does next to nothing at the large ones; it beats a model of
the few rows alone; and where no hospital deviates, nothing is recommended.

For orientation, areas under the ROC curve of an earlier program for the same world on later rows:
global .870 .867 .844 .796, local .866 .859 .856 .825, scratch .866 .857 .830 .727 by hospital, and
instance-based .850 and .797 at the two small ones.

Run with `python examples/known_answers/hospitals.py`: about a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.metrics import roc_auc_score

from elsewhere.core.arrays import Floats, Integers
from elsewhere.core.seeding import generator
from elsewhere.core.splits import each_fold, row_folds
from elsewhere.ops.linear import train_on_one_group
from elsewhere.remedies.adaptation import (
    adapt,
    adapt_by_cluster,
    feature_scale,
    neighbours_of,
)
from elsewhere.remedies.recommending import recommend

SIZES = (3000, 2000, 600, 120)
DEVIATIONS = (0.05, 0.15, 0.6, 0.9)
TESTS = ("random", "temporal")
REMEDIES = ("global", "local", "instance", "control", "cluster", "scratch")


@dataclass(frozen=True, eq=False)
class World:
    """Rows of all hospitals.

    Args:
        x: Features, shape (rows, features).
        y: 0 or 1, shape (rows,).
        hospital: Hospital of each row, from 1.
    """

    x: Floats
    y: Integers
    hospital: Integers


@dataclass(frozen=True, eq=False)
class Areas:
    """What the remedies reach.

    Args:
        area: Area under the ROC curve, shape (seeds, tests, remedies, hospitals).
        recommended: Hospitals at which local tuning is recommended, by seed, on later rows.
        sentences: The recommendations as sentences.
    """

    area: Floats
    recommended: tuple[tuple[int, ...], ...]
    sentences: tuple[str, ...]

    def of(self, test: str, remedy: str) -> Floats:
        """Areas of a remedy on a test, shape (seeds, hospitals)."""
        return self.area[:, TESTS.index(test), REMEDIES.index(remedy)]

    def gain(self, test: str, remedy: str) -> Floats:
        """Gain over the model of all rows, shape (seeds, hospitals)."""
        return self.of(test, remedy) - self.of(test, "global")


def worlds(
    seed: int,
    *,
    sizes: tuple[int, ...] = SIZES,
    deviations: tuple[float, ...] = DEVIATIONS,
    features: int = 120,
    n_test: int = 2000,
) -> tuple[World, World, World]:
    """Draw training rows, and test rows as before and later.

    Args:
        seed: Seed.
        sizes: Training rows by hospital.
        deviations: How far each hospital deviates.
        features: Number of features, at least 15.
        n_test: Test rows a hospital.

    Returns:
        Training rows, test rows drawn as before, test rows with all coefficients times 0.9.
    """
    rng = generator(seed, "hospitals")
    common = rng.normal(0, 0.22, features)
    parts: list[list[World]] = [[], [], []]
    for hospital, (n, deviation) in enumerate(zip(sizes, deviations, strict=True), start=1):
        own = common.copy()
        own[rng.choice(features, 15, replace=False)] += deviation * rng.normal(0, 0.6, 15)
        middle = deviation * rng.normal(0, 0.3, features)
        for part, rows, share in zip(parts, (n, n_test, n_test), (1.0, 1.0, 0.9), strict=True):
            x = middle + rng.normal(size=(rows, features))
            chance = 1 / (1 + np.exp(1.6 - share * (x @ own)))
            y = (rng.random(rows) < chance).astype(np.int64)
            part.append(World(x, y, np.full(rows, hospital)))
    train, now, later = (
        World(*(np.concatenate([getattr(w, name) for w in part]) for name in World.__annotations__))
        for part in parts
    )
    return train, now, later


def logistic(x: Floats, y: Integers, new: Floats) -> Floats:
    """Fit a logistic regression with a penalty of 1 and predict new rows."""
    fit = train_on_one_group(x, y, np.zeros(len(y)), model="logistic", penalty=1.0)
    return fit.predict(new, np.zeros(len(new)))


def remedies(
    train: World, tests: tuple[World, ...], seed: int, n_clusters: int | None = None
) -> list[dict[str, Floats]]:
    """Predict the tests with every remedy; their labels are not read."""
    new = np.concatenate([test.x for test in tests])
    where = np.concatenate([test.hospital for test in tests])
    both = logistic(train.x, train.y, np.concatenate([train.x, new]))
    known, plain = both[: len(train.y)], both[len(train.y) :]
    scale = feature_scale(train.x)
    z = scale.apply(train.x)
    found = {name: plain.copy() for name in REMEDIES}

    held_out = np.empty(len(train.y))
    for rest, fold in each_fold(row_folds(len(train.y), 5, y=train.y, seed=seed)):
        held_out[fold] = logistic(train.x[rest], train.y[rest], train.x[fold])
    clusters = adapt_by_cluster(
        held_out,
        train.x,
        train.y,
        kind="probability",
        n_clusters=n_clusters,
        scale=scale,
        seed=seed,
    )
    found["cluster"] = clusters.apply(plain, new)

    for hospital in np.unique(train.hospital):
        at = where == hospital
        own = np.flatnonzero(train.hospital == hospital)
        others = np.flatnonzero(train.hospital != hospital)
        like = others[neighbours_of(z[own], z[others], k=5)]
        rng = generator(seed, "rows of others", hospital)
        random = np.sort(rng.choice(others, min(len(own), len(others)), replace=False))
        for name, rows in (
            ("local", own),
            ("instance", np.concatenate([own, like])),
            ("control", random),
        ):
            fit = adapt(known[rows], train.x[rows], train.y[rows], kind="probability", scale=scale)
            found[name][at] = fit.apply(plain[at], new[at])
        found["scratch"][at] = logistic(train.x[own], train.y[own], new[at])

    ends = np.cumsum([0, *(len(test.y) for test in tests)])
    return [{name: each[a:b] for name, each in found.items()} for a, b in pairwise(ends)]


def areas(
    seeds: int = 10,
    *,
    sizes: tuple[int, ...] = SIZES,
    deviations: tuple[float, ...] = DEVIATIONS,
    features: int = 120,
    n_test: int = 2000,
    n_clusters: int | None = None,
) -> Areas:
    """Run the study.

    Args:
        seeds: Number of worlds.
        sizes: Training rows by hospital.
        deviations: How far each hospital deviates.
        features: Number of features.
        n_test: Test rows a hospital.
        n_clusters: Number of clusters; chosen by silhouette when absent.

    Returns:
        Areas and recommendations.
    """
    table = np.empty((seeds, len(TESTS), len(REMEDIES), len(sizes)))
    recommended, sentences = [], []
    for seed in range(seeds):
        train, *tests = worlds(
            seed, sizes=sizes, deviations=deviations, features=features, n_test=n_test
        )
        predicted = remedies(train, tuple(tests), seed, n_clusters)
        for t, (test, by_name) in enumerate(zip(tests, predicted, strict=True)):
            for r, name in enumerate(REMEDIES):
                for h in range(len(sizes)):
                    at = test.hospital == h + 1
                    table[seed, t, r, h] = roc_auc_score(test.y[at], by_name[name][at])
        advice = recommend(
            tests[1].y,
            predicted[1]["global"],
            predicted[1]["local"],
            tests[1].hospital,
            column="hospital",
        )
        recommended.append(tuple(int(s.key[0][1]) for s in advice.sites if s.recommended))
        sentences.append(advice.sentence)
    return Areas(table, tuple(recommended), tuple(sentences))


def main() -> None:
    """Print the study at full size, and the world without deviations."""
    found = areas()
    names = [f"hospital {h} ({n})" for h, n in enumerate(SIZES, start=1)]
    for test in TESTS:
        print(f"Area on {test} rows: mean of {len(found.area)} worlds, and gain over global")
        print(f"{'':10}" + "".join(f"{name:>24}" for name in names))
        for name in REMEDIES:
            mean, gain = found.of(test, name).mean(axis=0), found.gain(test, name).mean(axis=0)
            print(
                f"{name:10}"
                + "".join(f"{m:15.3f} ({g:+.3f})" for m, g in zip(mean, gain, strict=True))
            )
        print()
    local = found.gain("temporal", "local")
    print(f"Local gain at hospital 4, later rows: {local[:, 3].min():+.3f} at the least,")
    print(f"larger than at hospital 1 in {int((local[:, 3] > local[:, 0]).sum())} worlds.\n")
    print("\n".join(found.sentences))
    none = areas(deviations=(0.0,) * 4)
    print("\nNo deviations: local gain", none.gain("temporal", "local").mean(axis=0).round(3))
    print(f"recommended in {sum(map(bool, none.recommended))} of {len(none.recommended)} worlds")


if __name__ == "__main__":
    main()
