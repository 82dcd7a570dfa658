"""Rows to try metrics on: one world for each kind of target and prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elsewhere.core.metrics import get_metric, metric_names


@dataclass(frozen=True)
class World:
    """Rows of one kind of task."""

    name: str
    y: np.ndarray
    prediction: np.ndarray

    def __str__(self) -> str:
        return self.name


def _worlds(n: int = 360) -> dict[str, list[World]]:
    rng = np.random.default_rng(7)
    two = rng.permutation(n) % 2
    score = np.round(0.6 * rng.random(n) + 0.4 * two * rng.random(n), 2)  # with ties
    four = rng.permutation(n) % 4
    p4 = rng.dirichlet(np.ones(4), n)
    p4[np.arange(n), four] += 0.3
    p4 /= p4.sum(axis=1, keepdims=True)
    several = (rng.random((n, 3)) < (0.5, 0.4, 0.6)).astype(int)
    scores3 = 0.7 * rng.random((n, 3)) + 0.3 * several
    value = rng.normal(size=n) ** 2 + 0.1
    guess = np.abs(value + 0.5 * rng.normal(size=n)) + 0.01
    names = np.array(["ape", "bear", "cat", "dog"], dtype=object)
    return {
        "label": [
            World("two classes", two, (score > 0.5).astype(int)),
            World("four classes", four, p4.argmax(axis=1)),
            World("named classes", names[four], names[p4.argmax(axis=1)]),
            World("several labels", several, (scores3 > 0.5).astype(int)),
        ],
        "score": [World("two classes", two, score), World("several labels", several, scores3)],
        "probability": [
            World("two classes", two, np.clip(score, 0.01, 0.99)),
            World("four classes", four, p4),
            World("several labels", several, scores3),
        ],
        "value": [World("numbers", value, guess)],
        "nothing": [World("own score", value, value)],
    }


WORLDS = _worlds()

FIXED = {  # metrics that have a meaning in some worlds only
    **{f"{kind}_samples": {"several labels"} for kind in ("precision", "recall", "f1", "jaccard")},
    **{kind: {"two classes"} for kind in ("precision", "recall", "f1", "jaccard")},
    "balanced_accuracy": {"two classes", "four classes", "named classes"},
    "matthews_corrcoef": {"two classes", "four classes", "named classes"},
    "top_k_accuracy": {"two classes", "four classes"},
    "brier_score": {"two classes", "four classes"},
    "neg_brier_score": {"two classes", "four classes"},
    "log_loss": {"two classes", "four classes"},
    "neg_log_loss": {"two classes", "four classes"},
    "roc_auc_ovr": {"two classes", "four classes", "several labels"},
    "roc_auc_ovr_weighted": {"two classes", "four classes", "several labels"},
    "roc_auc_ovo": {"four classes"},
    "roc_auc_ovo_weighted": {"four classes"},
}


def cases() -> list[tuple[str, World]]:
    """Every metric with every world in which it has a meaning."""
    return [
        (name, world)
        for name in metric_names()
        for world in WORLDS[get_metric(name).needs]
        if world.name in FIXED.get(name, {world.name})
    ]


CASES = cases()
IDS = [f"{name}-{world}".replace(" ", "_") for name, world in CASES]
