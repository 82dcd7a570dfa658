"""Speed of grouped intervals and of areas beside well-known peers, in one run.

Each pair runs interleaved (A, B, A, B, ...) in this one process after a warm-up; medians are
compared, and the two must agree on the values before their times count. Run it on a quiet machine:
`make bench`.

Reference: DeLong, DeLong, Clarke-Pearson 1988 (area intervals); peers are fairlearn's MetricFrame
with its bootstrap, scipy.stats.bootstrap, and scikit-learn's roc_auc_score.
"""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from fairlearn.metrics import MetricFrame
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score
from threadpoolctl import threadpool_limits

from elsewhere import Scored, grouped_scores

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL = 0.95
DRAWS = 200
PEERS = ("elsewhere", "fairlearn", "scikit-learn", "scipy", "numpy", "pandas")


def grouped(
    name: str, y: np.ndarray, prediction: np.ndarray, group: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and intervals of every group by this package, from raw columns."""
    found = grouped_scores(Scored(prediction, y=y, group=group), metric=name, level=LEVEL)
    return found.value, found.low, found.high


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleaved(
    ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, repeat: int = 1
) -> tuple[float, float]:
    """Median seconds of both, in turns; ours is repeated within a turn where it is very short."""
    ours()
    theirs()
    a, b = [], []
    for _ in range(rounds):
        a.append(timed(lambda: [ours() for _ in range(repeat)]) / repeat)
        b.append(timed(theirs))
    return float(np.median(a)), float(np.median(b))


def row(what: str, ours: float, peer: str, theirs: float, target: str) -> None:
    ratio = theirs / ours
    print(f"| {what} | {1e3 * ours:.2f} | {peer} | {1e3 * theirs:.1f} | {ratio:.1f} | {target} |")


def proportions() -> None:
    """20 000 rows, 20 groups: accuracy of each group with an interval."""
    rng = np.random.default_rng(0)
    n, n_groups = 20_000, 20
    y = rng.integers(0, 2, n)
    guess = np.where(rng.random(n) < 0.8, y, 1 - y)
    group = rng.integers(0, n_groups, n)

    def ours() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return grouped("accuracy", y, guess, group)

    def fairlearn() -> MetricFrame:
        return MetricFrame(
            metrics=accuracy_score,
            y_true=y,
            y_pred=guess,
            sensitive_features=group,
            n_boot=DRAWS,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )

    def bootstrap() -> list[Any]:
        found = []
        for g in range(n_groups):
            right = (y == guess)[group == g].astype(float)
            found.append(
                stats.bootstrap(
                    (right,),
                    np.mean,
                    n_resamples=DRAWS,
                    method="percentile",
                    confidence_level=LEVEL,
                    rng=np.random.default_rng(g),
                )
            )
        return found

    value, low, high = ours()
    frame = fairlearn()
    np.testing.assert_allclose(value, frame.by_group.to_numpy(dtype=float), atol=1e-12)
    for width in (
        np.subtract(*(part.to_numpy(dtype=float) for part in reversed(frame.by_group_ci))),
        np.array([f.confidence_interval.high - f.confidence_interval.low for f in bootstrap()]),
    ):  # 200 draws know a width to about a tenth; 20 groups together better
        np.testing.assert_allclose(np.mean(high - low), np.mean(width), rtol=0.1)
    mine, theirs = interleaved(ours, fairlearn, rounds=3, repeat=50)
    row(
        "accuracy, 20 groups, 20 000 rows",
        mine,
        f"MetricFrame, n_boot={DRAWS}",
        theirs,
        "at least 1000",
    )
    mine, theirs = interleaved(ours, bootstrap, rounds=9, repeat=50)
    row("the same", mine, f"scipy.stats.bootstrap, {DRAWS} draws a group", theirs, "")


def areas() -> None:
    """A million scores: the area with its interval beside the area alone."""
    rng = np.random.default_rng(0)
    n = 1_000_000
    y = rng.integers(0, 2, n)
    score = y + rng.normal(size=n)

    def ours() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return grouped("roc_auc", y, score)

    value, low, high = ours()
    np.testing.assert_allclose(value[0], roc_auc_score(y, score), atol=1e-10)
    assert low[0] < value[0] < high[0]
    mine, theirs = interleaved(ours, lambda: roc_auc_score(y, score), rounds=9)
    row(
        "area with interval, 1 000 000 rows",
        mine,
        "roc_auc_score, no interval",
        theirs,
        "at least 2",
    )


def growth() -> None:
    """Nanoseconds a row from 1e5 to 1e7 rows in 20 groups: a straight line stays flat."""
    print("\n| rows in 20 groups | accuracy, ns a row | area, ns a row |\n|---|---|---|")
    for n in (100_000, 1_000_000, 10_000_000):
        rng = np.random.default_rng(0)
        y, group = rng.integers(0, 2, n), rng.integers(0, 20, n)
        score = y + rng.normal(size=n)
        guess = (score > 0.5).astype(np.int64)
        cells = []
        for name, prediction in (("accuracy", guess), ("roc_auc", score)):
            runs = [
                timed(lambda run=(name, y, prediction, group): grouped(*run))
                for _ in range(5 if n < 10**7 else 3)
            ]
            cells.append(f"{1e9 * np.median(runs) / n:.0f}")
        print(f"| {n:,} | {' | '.join(cells)} |")


def main() -> None:
    print(f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in PEERS))
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, 1 thread, "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print("| what | ours, ms | peer | peer, ms | peer / ours | target |\n|---|---|---|---|---|---|")
    with threadpool_limits(1):
        proportions()
        areas()
        growth()


if __name__ == "__main__":
    main()
