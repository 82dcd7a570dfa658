"""Reasons of failures that were planted are found, and a narrow range is no fault of a model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "examples" / "known_answers" / "failures.py"


def load():
    """Import the example, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("known_answers_failures", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


study = load()


def check(found, share: float) -> None:
    assert found.columns_first >= share
    assert found.columns_significant >= share - 0.4
    assert found.size_first >= share - 0.1
    assert found.restricted_excused >= share
    assert found.worse_blamed >= share
    assert found.restricted_blamed == 0
    assert found.worse_excused == 0


def test_planted_reasons_are_found_and_a_narrow_range_excused():
    found = study.run(seeds=3, rows=4000, null_rows=600)
    check(found, 1.0)
    assert found.noise_significant <= 0.34
    assert found.null_significant <= 0.34
    assert found.null_foreseen <= 0.34


def test_without_planted_reasons_nothing_is_found():
    for seed in range(3):
        found = study.reasons(seed, rows=800, planted=False)
        assert all(driver.q > 0.05 for driver in found.drivers)
        assert found.strata == ()


@pytest.mark.long
def test_at_full_size():
    found = study.run()
    check(found, 0.9)
    assert found.noise_significant <= 0.15
    assert found.null_significant <= 0.15
    assert found.null_foreseen <= 0.1


def test_main_prints_every_share(monkeypatch, capsys):
    answers = study.run(seeds=1, rows=1500, null_rows=300)
    monkeypatch.setattr(study, "run", lambda: answers)
    study.main()
    assert capsys.readouterr().out.count("\n") == 10
