"""Reference numbers of paper 14 against our thresholds, scores, associations and shortcuts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from elsewhere.measures.held_out_groups import held_out_group_scores, score_decisions
from elsewhere.measures.shortcuts import shortcut_features
from elsewhere.measures.thresholds import Constant, MaxF1, TargetSpecificity
from elsewhere.ops import association
from elsewhere.remedies.feature_filter import npmi_filter

if TYPE_CHECKING:
    from pathlib import Path

RELATIVE = 1e-9
SOLVER = 1e-3
RULES = {
    "constant": Constant(0.5),
    "precision95": TargetSpecificity(0.95),
    "precision80": TargetSpecificity(0.80),
    "max_f1": MaxF1(),
}
FIELDS = {
    "acc": ("accuracy", 1),
    "malicious_f1": ("f1_positive", 100),
    "benign_f1": ("f1_negative", 100),
    "macro_f1": ("f1_macro", 100),
    "roc_auc": ("roc_auc", 100),
    "pr_auc": ("pr_auc", 100),
    "threshold": ("threshold", 1),
    "recall": ("recall", 1),
    "precision": ("precision", 1),
}
QUADRANTS = {
    "Q1": "pure shortcut",
    "Q2": "context-dependent",
    "Q3": "robust but correlated",
    "Q4": "generalisable",
}


def published(name: str, value: float) -> float:
    """Our value in the units of the file, with what it holds for undefined ones."""
    field, unit = FIELDS[name]
    if np.isnan(value) and field in {"f1_positive", "f1_negative"}:
        return 0.0
    if np.isnan(value) and field == "pr_auc":
        return 50.0
    return value * unit


def compare(found: dict[str, float], expected: dict[str, Any], relative: float) -> None:
    for name, value in expected.items():
        wanted = np.nan if value is None else value
        np.testing.assert_allclose(found[name], wanted, rtol=relative, atol=1e-12, err_msg=name)


def threshold(path: Path) -> int:
    cases = json.loads(path.read_text())
    for case in cases:
        found = {name: rule.fit(case["scores"], case["y"]) for name, rule in RULES.items()}
        compare(found, {k: v for k, v in case.items() if k not in {"scores", "y"}}, RELATIVE)
    return len(cases)


def evaluate(path: Path) -> int:
    cases = json.loads(path.read_text())
    for case in cases:
        chosen = RULES[case["rule"]].fit(case["train_scores"], case["y_train"])
        scores = score_decisions(case["test_scores"], case["y_test"], chosen, read_from="curve")
        found = {k: published(k, getattr(scores, field)) for k, (field, _) in FIELDS.items()}
        compare(found, case["result"], RELATIVE)
    return len(cases)


def associations(case: dict[str, Any]) -> None:
    x, y, group = np.array(case["X"]), case["y"], case["datasets"]
    values, groups = association.npmi_by_group(x, group)
    close = {"rtol": RELATIVE, "atol": 1e-12}
    np.testing.assert_allclose(association.npmi(x, y), case["npmi_class"], **close)
    assert sorted(map(str, groups.keys)) == sorted(case["npmi_datasets"])
    for key, column in zip(groups.keys, values.T, strict=True):
        np.testing.assert_allclose(column, case["npmi_datasets"][str(key)], **close)
    found = npmi_filter(x, y, group)
    np.testing.assert_allclose(np.abs(found.with_group), case["max_npmi_dataset"], **close)
    assert found.kept.tolist() == [bool(kept) for kept in case["mask"]]


def npmi(path: Path) -> int:
    cases = json.loads(path.read_text())
    for case in cases:
        associations(case)
    return len(cases)


def lodo(path: Path) -> int:
    cases = json.loads(path.read_text())
    for case in cases:
        scale = {"l2": Normalizer(), "standard": StandardScaler(), "none": "passthrough"}
        model = make_pipeline(
            scale[case["normalize"] or "none"],
            LogisticRegression(
                C=case["C"], max_iter=1000, class_weight="balanced", random_state=42
            ),
        )
        found = held_out_group_scores(
            model, case["X"], case["y"], case["datasets"], rule=Constant(0.5), merge=case["merge"]
        )
        assert [str(g.key) for g in found.groups] == sorted(case["per_dataset"])
        each, rows = [], [g.n_rows for g in found.groups]
        for g in found.groups:
            expected = case["per_dataset"][str(g.key)]
            each.append({k: published(k, getattr(g.scores, FIELDS[k][0])) for k in expected})
            compare(each[-1], expected, SOLVER)
        for name, value in case["weighted"].items():
            column = [entry[name] for entry in each]
            compare({name: np.average(column, weights=rows)}, {name: value}, SOLVER)
            if not found.skipped[FIELDS[name][0]]:
                ours = published(name, found.weighted[FIELDS[name][0]])
                compare({name: ours}, {name: value}, SOLVER)
    return len(cases)


def taxonomy(path: Path) -> int:
    cases = json.loads(path.read_text())
    for case in cases:
        found = shortcut_features(
            case["X"],
            case["y"],
            case["datasets"],
            top=case["top_k"],
            signs="positive",
            solver="published",
            draws=0,
        )
        assert found.n == sum(row["quadrant"] in {"Q1", "Q2"} for row in case["rows"])
        assert len(found.rows) == len(case["rows"])
        for ours, row in zip(found.rows, case["rows"], strict=True):
            assert ours.feature == str(row["feature"])
            assert ours.blamed == row["blamed"]
            assert ours.quadrant == QUADRANTS[row["quadrant"]]
            assert ours.shortcut == (row["retention"] < 0.5)
            for value, name in (
                (ours.weight, "coef"),
                (ours.retention, "retention"),
                (ours.firing, "firing_ratio"),
            ):
                tight = RELATIVE if name == "firing_ratio" else SOLVER
                np.testing.assert_allclose(value, row[name], rtol=tight, err_msg=name)
    return len(cases)
