"""Planted shortcuts: does a table of texts from many sources give its style words away?

Every source (a data set of attacks, of harmless texts, or of both) has words of its own style. In
a source of attacks only, its style goes with the class: a random split rewards learning it, and it
says nothing about the next source. This study plants such words among common words, words of the
classes' own families, and three words that attacks use everywhere, and asks:

- is a random split better than sources that were never seen, and by how much;
- are style words flagged, and words that hold everywhere never;
- are fewer words flagged, and nothing but style, where several sources share each family;
- does a filter of features cost little here and nothing elsewhere, where families are shared;
- is nothing flagged where the sources are random labels.

It tests this package against a planted truth. It says nothing about any published result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elsewhere.core.seeding import generator
from elsewhere.measures.held_out_groups import held_out_group_scores
from elsewhere.measures.shortcuts import shortcut_features
from elsewhere.remedies.feature_filter import npmi_filter

GENERIC = ("ignore", "override", "secret")
"""Words that attacks use in every source."""


@dataclass(frozen=True)
class Setting:
    """A world of texts.

    Args:
        attacks: Sources of attacks only.
        harmless: Sources of harmless texts only.
        mixed: Sources of both, 45 % attacks.
        texts: Texts of each source.
        common: Common words; each text has 12 of them.
        families: Families of words of each class; source s uses family s modulo their number, so
            that fewer families are shared by more sources.
        draws: Random drops behind the floor.
    """

    attacks: int = 5
    harmless: int = 4
    mixed: int = 3
    texts: int = 300
    common: int = 400
    families: int = 6
    draws: int = 20


EASY = Setting(attacks=3, harmless=3, mixed=6, families=2)
"""Each family of words belongs to four sources or more, so that it holds where one of them goes;
18 style words of attack sources are planted, well under half of the 50 rows reported."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts as 0/1 words.

    Args:
        words: Whether a text has a word, sparse, shape (texts, words).
        attack: 0 or 1, shape (texts,).
        source: Name of the source, shape (texts,).
        names: The words: "common 17", "family attack 2 4", "style 3 1", "pair 2", or generic ones.
    """

    words: Any
    attack: Any
    source: Any
    names: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What one seed gave.

    Args:
        random_auc: Area under the curve by random folds.
        unseen_auc: Pooled area on sources never seen.
        style: Style words of attack sources among the reported rows.
        style_flagged: Share of them that is flagged.
        generic_flagged: Number of generic words that are flagged.
        flagged: Share of the reported rows that is flagged.
        planted: Share of the flagged words that belong to the style of one source or a pair.
        kept: Share of the words that the signed filter keeps.
        filtered_random_auc: Area by random folds with the kept words.
        filtered_unseen_auc: Pooled area on unseen sources with the kept words.
        absolute_kept: Number of words that the filter keeps by absolute values, as published.
        null_flagged: Words flagged where the sources are random labels.
    """

    random_auc: float
    unseen_auc: float
    style: int
    style_flagged: float
    generic_flagged: int
    flagged: float
    planted: float
    kept: float
    filtered_random_auc: float
    filtered_unseen_auc: float
    absolute_kept: int
    null_flagged: int


def make(setting: Setting, seed: int) -> Texts:
    """Draw the texts of all sources."""
    from scipy.sparse import csr_array

    rng = generator(seed, "texts with shortcuts")
    n_sources = setting.attacks + setting.harmless + setting.mixed
    source = np.repeat(np.arange(n_sources), setting.texts)
    n = len(source)
    rate = np.where(source < setting.attacks, 1.0, 0.0)
    rate[source >= setting.attacks + setting.harmless] = 0.45
    attack = (rng.random(n) < rate).astype(np.int64)

    common = np.zeros((n, setting.common))
    chosen = rng.random(common.shape).argpartition(12, axis=1)[:, :12]
    np.put_along_axis(common, chosen, 1.0, axis=1)

    family = np.zeros((n, 2, setting.families, 10))
    has = rng.random(n) < 0.85
    for word in rng.random((n, 10)).argsort(axis=1)[:, :2].T:
        family[np.arange(n)[has], attack[has], source[has] % setting.families, word[has]] = 1.0

    generic = rng.random((n, len(GENERIC))) < np.where(attack, 0.35, 0.06)[:, None]
    style = np.zeros((n, n_sources, 6))
    style[np.arange(n), source] = rng.random((n, 6)) < 0.5
    pair = np.zeros((n, (n_sources + 1) // 2))
    pair[np.arange(n), source // 2] = rng.random(n) < 0.5
    parts = [common, family.reshape(n, -1), generic, style.reshape(n, -1), pair]
    names = (
        *(f"common {word}" for word in range(setting.common)),
        *(
            f"family {kind} {f} {word}"
            for kind in ("harmless", "attack")
            for f in range(setting.families)
            for word in range(10)
        ),
        *GENERIC,
        *(f"style {s} {word}" for s in range(n_sources) for word in range(6)),
        *(f"pair {s}" for s in range(pair.shape[1])),
    )
    words = csr_array(np.concatenate(parts, axis=1))
    return Texts(words, attack, np.array([f"source {s:02d}" for s in source]), names)


def random_auc(texts: Texts, model: Any, seed: int) -> float:
    """Pooled area under the curve by five random folds."""
    folds = generator(seed, "random folds").permutation(len(texts.attack)) % 5
    return held_out_group_scores(model, texts.words, texts.attack, folds).roc_auc


def run(setting: Setting, seed: int) -> Found:
    """Draw a world and look for its shortcuts."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    texts = make(setting, seed)
    model = make_pipeline(Normalizer(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    unseen = held_out_group_scores(model, texts.words, texts.attack, texts.source)
    found = shortcut_features(
        texts.words,
        texts.attack,
        texts.source,
        names=texts.names,
        signs="positive",
        draws=setting.draws,
        seed=seed,
    )
    planted = {f"style {s} {word}" for s in range(setting.attacks) for word in range(6)}
    style = [row for row in found.rows if row.feature in planted]

    told = [row.feature.startswith(("style", "pair")) for row in found.rows if row.shortcut]

    kept = npmi_filter(texts.words, texts.attack, texts.source, signed=True).kept
    absolute = npmi_filter(texts.words, texts.attack, texts.source).kept
    less = Texts(
        texts.words[:, np.flatnonzero(kept)],
        texts.attack,
        texts.source,
        tuple(name for name, stays in zip(texts.names, kept, strict=True) if stays),
    )
    labels = generator(seed, "sources that mean nothing").permutation(texts.source)
    nothing = shortcut_features(
        texts.words, texts.attack, labels, signs="positive", draws=setting.draws, seed=seed
    )
    return Found(
        random_auc(texts, model, seed),
        unseen.roc_auc,
        len(style),
        float(np.mean([row.shortcut for row in style])) if style else float("nan"),
        sum(row.shortcut for row in found.rows if row.feature in GENERIC),
        found.n / len(found.rows),
        float(np.mean(told)) if told else float("nan"),
        float(kept.mean()),
        random_auc(less, model, seed),
        held_out_group_scores(model, less.words, less.attack, less.source).roc_auc,
        int(absolute.sum()),
        nothing.n,
    )


def main() -> None:
    """Print a table of three seeds, hard and easy."""
    print(
        "world seed | AUC random  unseen | style flagged | generic | all  planted | "
        "filter keeps  random  unseen | absolute keeps | random sources"
    )
    for name, setting in (("hard", Setting()), ("easy", EASY)):
        for seed in range(3):
            found = run(setting, seed)
            print(
                f"{name}  {seed}    | {found.random_auc:10.3f} {found.unseen_auc:7.3f} | "
                f"{found.style_flagged:5.0%} of {found.style:4} | {found.generic_flagged:7} | "
                f"{found.flagged:4.0%} {found.planted:6.0%} | {found.kept:12.0%} "
                f"{found.filtered_random_auc:7.3f} {found.filtered_unseen_auc:7.3f} | "
                f"{found.absolute_kept:14} | {found.null_flagged}"
            )


if __name__ == "__main__":
    main()
