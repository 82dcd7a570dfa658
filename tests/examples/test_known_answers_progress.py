"""The study of progress and retrained last layers finds what was planted."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def load(name: str):
    """Import an example, which belongs to no package."""
    path = ROOT / "examples" / "known_answers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"known_answers_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


study = load("progress")


@cache
def worlds(kind: str, n: int = 2, n_train: int = 600, n_test: int = 500) -> tuple:
    """Some worlds at a smaller size."""
    return tuple(study.planted(seed, kind, n_train=n_train, n_test=n_test) for seed in range(n))


def mean(found: tuple, name: str) -> float:
    return float(np.mean([getattr(one, name) for one in found]))


def test_better_models_are_less_equal() -> None:
    for found in worlds("turned"):
        assert found.best > found.weakest + 0.4
        assert found.slope > 0
        assert found.slope_low > 0
    found = worlds("turned")
    assert mean(found, "disparity_best") >= 3 * mean(found, "disparity_weakest")


def test_retraining_closes_a_disparity_and_costs_something_here() -> None:
    for found in worlds("turned"):
        assert found.size_after <= 0.75 * found.size_before
        assert 0 < found.after < found.before
        assert found.after < found.after_mix < found.before
        assert 0 < found.here_loss < 0.1


def test_retraining_overshoots_where_the_far_group_is_easy_once_learnt() -> None:
    found = worlds("added")
    assert mean(found, "slope") > 0
    assert mean(found, "after") < 0 < mean(found, "before")
    assert mean(found, "size_after_mix") <= 0.75 * mean(found, "size_before")


def test_groups_dealt_at_random_have_no_disparity() -> None:
    # Four standard errors of a difference of two shares of 500 rows.
    assert max(one.permuted for one in worlds("turned")) < 4 * np.sqrt(2 * 0.25 / 500)


def test_equal_slopes_give_no_gap() -> None:
    assert 0.92 <= study.equal_slopes(200) <= 0.99


def test_rows_of_unequal_progress_need_the_results_by_row() -> None:
    settings = {"n_models": 30, "n_rows": 60, "unequal": 1.2}
    assert study.equal_slopes(120, **settings) < 0.9
    assert study.equal_slopes(120, by_row=True, **settings) >= 0.92


@pytest.mark.long
@pytest.mark.parametrize("n_models", [5, 8, 12, 30])
def test_equal_slopes_at_full_size(n_models: int) -> None:
    assert 0.93 <= study.equal_slopes(1500, n_models=n_models) <= 0.985
    assert study.equal_slopes(700, n_models=n_models, n_rows=60, unequal=1.2, by_row=True) >= 0.93


@pytest.mark.long
@pytest.mark.parametrize("kind", ["turned", "added"])
def test_full_size(kind: str) -> None:
    found = worlds(kind, 4, 3000, 2000)
    assert mean(found, "slope") > 0
    if kind == "turned":
        assert mean(found, "disparity_best") >= 3 * mean(found, "disparity_weakest")
        assert mean(found, "size_after") <= 0.75 * mean(found, "size_before")
    else:
        assert mean(found, "after") < 0
        assert mean(found, "size_after_mix") <= 0.75 * mean(found, "size_before")
