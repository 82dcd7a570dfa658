"""The three-group study at reduced size: buying by curves against other splits of the money."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "examples" / "known_answers" / "allocation.py"


def load():
    spec = importlib.util.spec_from_file_location("known_answers_allocation", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


study = load()


@pytest.mark.parametrize(
    ("settings", "n"),
    [
        (study.LARGE, 4),
        (study.SMALL, 4),
        pytest.param(study.LARGE, 20, marks=pytest.mark.long),
        pytest.param(study.SMALL, 20, marks=pytest.mark.long),
    ],
)
def test_buying_by_curves(settings, n):
    found = study.run(settings, range(1000, 1000 + n))
    mean = {name: values.mean() for name, values in found.loss.items()}
    assert mean["oracle"] <= mean["adaptive"] <= min(mean["equal"], mean["proportional"])
    if settings == study.LARGE:  # few chunks leave little to learn from
        assert mean["adaptive"] - mean["oracle"] <= 0.3 * (mean["equal"] - mean["oracle"])
        assert found.captured >= 0.7
    assert (found.loss["adaptive"] <= 1.05 * found.loss["equal"]).all()
    for name, rows in found.n.items():
        assert (rows >= settings.start).all(), name
        assert ((rows - settings.start) @ study.COST <= settings.budget).all(), name
    assert np.argmax(found.n["adaptive"].mean(axis=0)) == 1  # the noisy group, in spite of noise


def test_reruns_are_equal():
    one, other = study.run(study.SMALL, range(1)), study.run(study.SMALL, range(1))
    assert all(np.array_equal(one.loss[name], other.loss[name]) for name in one.loss)
