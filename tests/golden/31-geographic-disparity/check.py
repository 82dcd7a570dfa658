"""Reference numbers of paper 31 against our hits, grouped means and gaps."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import code
from elsewhere.core.gaps import gap
from elsewhere.core.metrics import get_metric, top_k_hit
from elsewhere.core.sampling import sample
from elsewhere.core.scores import Scored

if TYPE_CHECKING:
    from pathlib import Path

RELATIVE = 1e-9


def means(hit: np.ndarray, names: list[str]) -> dict[str, float]:
    """Mean hits of each group."""
    metric, coded = get_metric("mean"), code(np.array(names, dtype=object))
    found = sample(metric, metric.prepare(None, hit), group=coded.codes, n_groups=len(coded))
    return dict(zip(map(str, coded.keys), found.value[:, 0].tolist(), strict=True))


def same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=RELATIVE, err_msg=name)


def region_accuracy(path: Path) -> int:
    """Compare one file of images; returns the number of cases in it."""
    case = json.loads(path.read_text())
    hits = {k: top_k_hit(np.array(case["logits"]), case["label_sets"], k) for k in (1, 5)}
    for k, hit in hits.items():
        assert hit.astype(bool).tolist() == case[f"top{k}_hit"]
    for key, value in case["overall"].items():
        np.testing.assert_allclose(hits[int(key[-1])].mean(), value, rtol=RELATIVE)
    for by, column in (("region", "region"), ("income", "income_group")):
        for k, hit in hits.items():
            expected = case.get(f"acc_by_{by}_top{k}")
            if expected is not None:
                same(means(hit, case[column]), expected)
    region = np.array(case["region"])
    for key, value in case.items():
        found = re.fullmatch(r"disparity_top(\d)_(.+)_minus_(.+)", key)
        if found:
            k, first, second = int(found[1]), found[2], found[3]
            sides = (
                Scored(hits[k][region == name].astype(int), y=np.ones(sum(region == name)))
                for name in (first, second)
            )
            estimate = gap(*sides, metric="accuracy").estimate
            np.testing.assert_allclose(estimate, value, rtol=RELATIVE)
    return 1
