"""Planted shortcuts among the words of many sources."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str):
    """Import an example, which belongs to no package."""
    spec = importlib.util.spec_from_file_location(
        f"known_answers_{name}", ROOT / "examples" / "known_answers" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


study = load("shortcuts")
SMALL = {"texts": 80, "common": 100, "draws": 4}


@cache
def run(name: str, seed: int = 0, **settings):
    world = study.Setting() if name == "hard" else study.EASY
    return study.run(replace(world, **(SMALL | settings)), seed)


def test_the_texts_are_what_the_docstring_says():
    texts = study.make(study.Setting(texts=200), 0)
    words = dict(zip(texts.names, texts.words.toarray().T, strict=True))
    assert texts.words.shape == (2400, len(texts.names))
    common = texts.words[:, :400].sum(axis=1)
    assert (common == 12).all()
    for source in range(12):
        own = texts.source == f"source {source:02d}"
        rate = texts.attack[own].mean()
        assert rate == (1 if source < 5 else 0) or (source >= 9 and 0.3 < rate < 0.6)
        style = words[f"style {source} 0"]
        assert style[own].mean() == pytest.approx(0.5, abs=0.15)
        assert style[~own].sum() == 0
    attack = texts.attack == 1
    assert words["secret"][attack].mean() == pytest.approx(0.35, abs=0.06)
    assert words["secret"][~attack].mean() == pytest.approx(0.06, abs=0.03)
    family = sum(v for k, v in words.items() if k.startswith("family attack"))
    assert set(family[attack]) == {0, 2}
    assert family[~attack].sum() == 0


def test_a_seed_gives_the_same_texts():
    one, two, three = (study.make(study.Setting(texts=20), s) for s in (0, 0, 1))
    assert (one.words != two.words).nnz == 0
    assert (one.words != three.words).nnz > 0


def test_hard_sources_give_their_style_away():
    found = run("hard")
    assert found.random_auc - found.unseen_auc >= 0.08
    assert found.style >= 20
    assert found.style_flagged >= 0.8
    assert found.generic_flagged == 0
    # Words of one source's family hang on it as its style does.
    assert found.flagged > 0.6
    assert found.null_flagged == 0


def test_easy_sources_share_their_families():
    found = run("easy")
    assert found.style_flagged >= 0.8
    assert found.generic_flagged == 0
    assert found.flagged < 0.5
    assert found.planted > 0.9
    assert found.null_flagged == 0
    assert found.random_auc - found.filtered_random_auc <= 0.02
    assert found.filtered_unseen_auc >= found.unseen_auc
    # By absolute values only words that every source has are left.
    assert found.absolute_kept <= 5
    assert found.kept > 0.1


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_and_more_texts(seed):
    hard = run("hard", seed, texts=300, common=400, draws=20)
    assert hard.random_auc - hard.unseen_auc >= 0.08
    assert hard.style_flagged >= 0.8
    easy = run("easy", seed, texts=300, common=400, draws=20)
    assert easy.flagged < 0.5
    assert easy.filtered_unseen_auc >= easy.unseen_auc - 0.001
    for found in (hard, easy):
        assert found.generic_flagged == 0
        assert found.null_flagged == 0


def test_the_table_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(study, "run", lambda setting, seed: run("easy"))
    study.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert re.match(r"hard  0 +\| +0\.9\d\d +0\.9\d\d \|", lines[1])
