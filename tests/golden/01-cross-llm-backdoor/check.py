"""Reference numbers of paper 01 against our trace features, stability, effects and votes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.measures import group_matrix
from elsewhere.measures.stability import effect_sizes, feature_stability
from elsewhere.ops import traces

if TYPE_CHECKING:
    from pathlib import Path

RELATIVE = 1e-9


def trace_features(path: Path) -> int:
    """Compare 51 features of every trace, with keys in either order."""
    data = json.loads(path.read_text())
    assert list(traces.TRACE_FEATURES) == data["feature_order"]
    for case in data["cases"]:
        for key_order in ("sorted", "as given"):
            found = traces.trace_features(case["trace"], key_order=key_order)
            for name, value in case["features"].items():
                np.testing.assert_allclose(
                    found[name], np.nan if value is None else value, RELATIVE, 1e-12, err_msg=name
                )
    return len(data["cases"])


def stability_effects(path: Path) -> int:
    """Compare variation, bands and effects, and the order of the tables."""
    data = json.loads(path.read_text())
    cases: list[dict[str, Any]] = data if isinstance(data, list) else [data]
    for case in cases:
        one_table(case)
    return len(cases)


def one_table(case: dict[str, Any]) -> None:
    """Compare one table of models."""
    names = case["feature_names"]
    x, y, group = [], [], []
    for model, kinds in case["features"].items():
        for kind, rows in kinds.items():
            x += rows
            y += [kind] * len(rows)
            group += [model] * len(rows)
    table = np.array(x, dtype=np.float64)
    found = feature_stability(
        table, group, y=y, names=names, reference_class="benign", not_above_zero="zero"
    )
    rows = {row.feature: row for row in found.rows}
    for expected in case["stability"]:
        row = rows[expected["feature"]]
        np.testing.assert_allclose(row.variation, expected["cross_model_cv"], RELATIVE, 1e-12)
        if expected["cross_model_mean"] > 0:
            spread = row.variation * expected["cross_model_mean"]
            np.testing.assert_allclose(spread, expected["cross_model_std"], RELATIVE, 1e-12)
        # A feature with one value everywhere is published as the most stable.
        assert row.band == expected["stability"] or row.band == "constant"
    in_order = sorted(names, key=lambda name: rows[name].variation)
    assert in_order == [expected["feature"] for expected in case["stability"]]
    effects = effect_sizes(table, np.array(y) == "backdoor", group, names=names, no_spread="zero")
    assert set(effects) == set(case["effects"])
    for model, listed in case["effects"].items():
        assert [e.feature for e in effects[model]] == [e["feature"] for e in listed]
        for one, expected in zip(effects[model], listed, strict=True):
            for value, key in (
                (one.d, "cohens_d"),
                (one.first, "benign_mean"),
                (one.second, "backdoor_mean"),
                (one.second - one.first, "mean_diff"),
                (abs(one.d), "abs_effect"),
            ):
                np.testing.assert_allclose(value, expected[key], RELATIVE, 1e-12, err_msg=key)


def majority_vote(path: Path) -> int:
    """Compare decisions."""
    data = json.loads(path.read_text())
    cases: list[dict[str, Any]] = data if isinstance(data, list) else [data]
    for case in cases:
        assert group_matrix.majority_vote(case["votes"]).tolist() == case["decision"]
    return len(cases)
