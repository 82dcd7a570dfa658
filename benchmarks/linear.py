"""Speed of linear refits beside a loop over scikit-learn's estimators, in one run.

All refits without one group, and all refits on one group, of 20 000 rows with 64 features in 20
groups. Each pair runs interleaved (A, B, A, B, ...) in this one process after a warm-up, on one
thread; medians are compared, and coefficients must agree to 1e-5 before the times count. Run it on
a quiet machine: `.venv/bin/python benchmarks/linear.py`.

Reference: peers are scikit-learn's Ridge(solver="cholesky") and
LogisticRegression(solver="newton-cholesky", tol=1e-10).
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when the libraries below load

import platform
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from elsewhere.ops.linear import LinearRefits, leave_one_group_out, train_on_one_group

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, FEATURES, GROUPS = 20_000, 64, 20
PENALTY = 1.0
ROUNDS = 7
PEERS = ("elsewhere", "scikit-learn", "scipy", "numpy")


def world() -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Groups with means of their own; numbers, two classes and three classes."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, GROUPS, ROWS)
    x = rng.normal(size=(ROWS, FEATURES)) + 0.3 * rng.normal(size=(GROUPS, FEATURES))[group]
    slope = 0.3 * rng.normal(size=(FEATURES, 3))
    logits = x @ slope
    return (
        x,
        {
            "ridge": logits[:, 0] + rng.normal(size=ROWS),
            "logistic, 2 classes": (logits[:, 0] + rng.logistic(size=ROWS) > 0).astype(int),
            "logistic, 3 classes": (logits + rng.gumbel(size=logits.shape)).argmax(axis=1),
        },
        group,
    )


def estimator(what: str) -> Any:
    if what == "ridge":
        return Ridge(alpha=PENALTY, solver="cholesky")
    return LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-10)


def loop(what: str, x: np.ndarray, y: np.ndarray, group: np.ndarray, without: bool) -> list[Any]:
    """Fit an estimator for each group."""
    fits = []
    for g in range(GROUPS):
        rows = group != g if without else group == g
        fits.append(estimator(what).fit(x[rows], y[rows]))
    return fits


def agree(ours: LinearRefits, theirs: list[Any]) -> float:
    """Largest difference of coefficients and intercepts; stops the run above 1e-5."""
    far = 0.0
    for g, fit in enumerate(theirs):
        coefficients = np.moveaxis(np.atleast_2d(fit.coef_), 0, -1)
        mine = ours.coefficients[g].reshape(coefficients.shape)
        far = max(far, float(np.abs(mine - coefficients).max()))
        far = max(far, float(np.abs(ours.intercepts[g] - np.squeeze(fit.intercept_)).max()))
    assert far < 1e-5, far
    return far


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of both, in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for function, taken in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return float(np.median(seconds[0])), float(np.median(seconds[1]))


def main() -> None:
    print(f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in PEERS))
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, 1 thread, "
        f"load {os.getloadavg()[0]:.1f}; {ROWS:,} rows, {FEATURES} features, {GROUPS} groups\n"
    )
    print(
        "| refits | model | ours, ms | scikit-learn, ms | scikit-learn / ours | target "
        "| largest difference |\n|---|---|---|---|---|---|---|"
    )
    x, targets, group = world()
    with threadpool_limits(1):
        for way, fit in (
            ("without one group", leave_one_group_out),
            ("on one group", train_on_one_group),
        ):
            for what, y in targets.items():
                model: Any = what.split(",", maxsplit=1)[0]

                def ours(fit: Any = fit, y: np.ndarray = y, model: Any = model) -> LinearRefits:
                    return fit(x, y, group, model=model, penalty=PENALTY)

                def theirs(
                    what: str = what, y: np.ndarray = y, without: bool = fit is leave_one_group_out
                ) -> list[Any]:
                    return loop(what, x, y, group, without)

                far = agree(ours(), theirs())
                a, b = interleaved(ours, theirs)
                target = "at least 10" if (way, what) == ("without one group", "ridge") else ""
                print(
                    f"| {way} | {what} | {1e3 * a:.1f} | {1e3 * b:.0f} | {b / a:.1f} "
                    f"| {target} | {far:.0e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
