"""Local tuning in a world of four hospitals with a planted truth."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "known_answers"


def load(name: str):
    """Import an example, which belongs to no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


hospitals = load("hospitals")
SMALL = {"sizes": (2000, 1400, 500, 120), "n_test": 1500, "n_clusters": 2}


@cache
def reduced():
    return hospitals.areas(3, **SMALL)


@pytest.mark.parametrize("test", ["random", "temporal"])
def test_local_tuning_helps_where_the_hospital_is_small_and_deviates(test: str) -> None:
    gain = reduced().gain(test, "local")
    assert gain[:, 3].mean() >= 0.01
    assert (gain[:, 3] > gain[:, 0]).all()
    assert np.abs(gain[:, :2].mean(axis=0)).max() <= 0.015


def test_neither_rows_alone_nor_rows_like_them_nor_clusters_do_as_well() -> None:
    found = reduced()
    local = found.of("temporal", "local")[:, 3].mean()
    assert local - found.of("temporal", "scratch")[:, 3].mean() >= 0.03
    assert local - found.of("temporal", "instance")[:, 3].mean() > 0
    assert local - found.of("temporal", "cluster")[:, 3].mean() > 0


def test_the_gain_is_the_hospitals_own() -> None:
    """As many rows of other hospitals do not bring it."""
    assert reduced().gain("temporal", "control")[:, 3].mean() < 0


def test_the_small_hospital_is_recommended_and_the_large_ones_never() -> None:
    found = reduced()
    assert sum(4 in sites for sites in found.recommended) >= 2
    assert not any(set(sites) & {1, 2} for sites in found.recommended)
    assert "local tuning helps at" in found.sentences[0]
    assert "hospital 4 (+0.0" in found.sentences[0]


def test_nothing_is_recommended_where_no_hospital_deviates() -> None:
    found = hospitals.areas(1, deviations=(0.0,) * 4, **SMALL)
    assert found.recommended == ((),)
    assert found.gain("temporal", "local").max() < 0.005


def test_labels_of_the_tests_change_no_prediction() -> None:
    train, *tests = hospitals.worlds(0, sizes=(200, 150, 100, 40), features=20, n_test=50)
    other = [hospitals.World(t.x, 1 - t.y, t.hospital) for t in tests]
    plain = hospitals.remedies(train, tuple(tests), 0, 2)
    mixed = hospitals.remedies(train, tuple(other), 0, 2)
    for one, two in zip(plain, mixed, strict=True):
        for name in hospitals.REMEDIES:
            np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.long
def test_at_full_size_over_ten_worlds() -> None:
    found = hospitals.areas(10)
    gain = found.gain("temporal", "local")
    assert gain[:, 3].mean() >= 0.01
    assert (gain[:, 3] > gain[:, 0]).sum() >= 9
    assert np.abs(gain[:, :2].mean(axis=0)).max() <= 0.015
    mean = {name: found.of("temporal", name).mean(axis=0) for name in hospitals.REMEDIES}
    assert mean["local"][3] - mean["scratch"][3] >= 0.05
    assert mean["instance"][3] <= mean["local"][3]
    assert sum(4 in sites for sites in found.recommended) >= 6
    none = hospitals.areas(10, deviations=(0.0,) * 4)
    assert none.recommended == ((),) * 10
