"""Reference numbers of paper 25 against our allocations."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.remedies.allocation import allocate, allocate_whole, equal_split, greedy, utility_of

if TYPE_CHECKING:
    from pathlib import Path

RELATIVE = 1e-9


def value(case: dict[str, Any], n: np.ndarray) -> np.ndarray:
    """Utility of rows, shape (..., groups)."""
    losses = np.array(case["a"]) + np.array(case["b"]) * n ** -np.array(case["p"])
    return utility_of(losses, case["weights"])


def best(case: dict[str, Any]) -> np.ndarray:
    """Optimum in whole rows, by trying all purchases."""
    most = [range(int(case["budget"] // c) + 1) for c in case["cost"]]
    bought = np.array(list(product(*most)))
    bought = bought[bought @ np.array(case["cost"]) <= case["budget"]]
    n = bought + np.array(case["start"])
    return n[int(np.argmax(value(case, n.astype(np.float64))))]


def allocation(path: Path) -> int:
    """Compare one file of allocation problems; returns the number of cases in it."""
    cases = json.loads(path.read_text())["cases"]
    for case in cases:
        curves = {key: case[key] for key in ("a", "b", "p", "weights", "cost", "start", "budget")}
        start = np.array(case["start"])
        for name, found in (
            ("greedy", greedy(**curves)),
            ("continuous_kkt_n", allocate(**curves)),
            ("equal_budget_split", start + equal_split(case["cost"], case["budget"], by="spend")),
        ):
            expected = case.get(name)
            if expected is None:
                continue
            if name == "greedy":
                assert found.order.tolist() == expected["order"]
                assert found.n.tolist() == expected["n"]
                assert allocate_whole(**curves).n.tolist() == expected["n"]
                np.testing.assert_allclose(found.utility, expected["utility"], rtol=RELATIVE)
            elif name == "continuous_kkt_n":
                np.testing.assert_allclose(found.n, expected, rtol=RELATIVE)
            else:
                assert found.tolist() == expected["n"]
                np.testing.assert_allclose(
                    value(case, found.astype(float)), expected["utility"], rtol=RELATIVE
                )
        expected = case.get("optimum_by_enumeration")
        if expected is not None:
            optimum = best(case)
            assert optimum.tolist() == expected["n"]
            np.testing.assert_allclose(
                value(case, optimum.astype(float)), expected["utility"], rtol=RELATIVE
            )
            if len(set(case["cost"])) == 1:
                assert allocate_whole(**curves).n.tolist() == expected["n"]
    return len(cases)
