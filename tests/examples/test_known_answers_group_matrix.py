"""The planted signature is found where it is, and nothing is found where nothing is."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

ROOT = Path(__file__).parents[2]


def load(name: str):
    """Import an example, which belongs to no package."""
    path = ROOT / "examples" / "known_answers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"known_answers_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


study = load("group_matrix")
SMALL = {"rows": 120, "folds": 3, "permutations": 8}


@cache
def planted():
    return study.planted_world(DecisionTreeClassifier(max_depth=10), **SMALL)


@cache
def empty():
    return study.empty_world(DecisionTreeClassifier(max_depth=30), **SMALL)


def test_a_signature_of_its_own_does_not_carry_over():
    found = planted()
    assert found.here - found.elsewhere >= 0.25
    assert found.low > 0.2
    assert found.verdict == "gap"
    assert found.elsewhere == pytest.approx(0.5, abs=0.05)


def test_pooling_repairs_known_groups():
    found = planted()
    assert found.pooled >= found.elsewhere + 0.15
    assert found.aware >= found.elsewhere + 0.15
    assert found.aware >= found.pooled - 0.02


def test_a_group_that_is_told_is_no_help_where_it_was_never_seen():
    found = planted()
    assert found.pooled_unseen == pytest.approx(0.5, abs=0.06)
    assert found.aware_unseen == pytest.approx(found.pooled_unseen, abs=0.05)


def test_pace_differs_between_groups_more_than_structure():
    found = planted()
    assert found.temporal > 5 * found.structural
    assert found.structural < 0.1


def test_memory_is_not_taken_for_signal():
    found = empty()
    assert abs(found.here - 0.5) < 3 * (0.25 / found.n) ** 0.5
    assert found.in_sample > 0.9
    assert found.verdict == "no signal"
    for value in (found.pooled, found.voting, found.aware):
        assert abs(value - 0.5) < 3.5 * (0.25 / found.n) ** 0.5


def test_the_published_protocol_finds_a_detector_in_noise():
    found = empty()
    assert found.published_same > 0.99
    assert 0.45 < found.published_cross < 0.55
    assert found.published_pooled > 0.99
    assert found.published_aware > 0.99
    assert 0.61 < found.published_voting < 0.70
    assert found.published_voting == pytest.approx(found.expected_voting, abs=0.04)


def test_votes_of_memory_and_coins():
    """Six voters, ties negative: 0.344 + 0.3125 p."""
    for p in (0.0, 0.5, 0.927, 1.0):
        assert study.coin_vote(p, 6) == pytest.approx(11 / 32 + 10 / 32 * p)


@pytest.mark.long
def test_the_full_size_with_forests():
    forest = RandomForestClassifier(100, max_depth=10)
    found = study.planted_world(forest, permutations=5)
    assert found.verdict == "gap"
    assert found.here - found.elsewhere >= 0.25
    assert min(found.pooled, found.aware) >= found.elsewhere + 0.15
    nothing = study.empty_world(forest, permutations=5)
    assert nothing.verdict == "no signal"
    assert abs(nothing.here - 0.5) < 3 * (0.25 / nothing.n) ** 0.5
    assert nothing.published_same > 0.99
    assert 0.61 < nothing.published_voting < 0.70
