"""Copies of rows beside brute force: every pair compared, every column compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from elsewhere.core import arrays
from elsewhere.core.errors import InputError
from elsewhere.ops import duplicates
from elsewhere.ops.duplicates import (
    Duplicates,
    across_groups,
    as_blocks,
    exact_duplicates,
    near_duplicates,
)

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
]


def shingles(text: str, size: int, of: str) -> set[Any]:
    units = text.lower().split()
    units = list(" ".join(units)) if of == "characters" else units
    return {tuple(units[k : k + size]) for k in range(max(1, len(units) - size + 1))} - {()}


def jaccard(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def brute(texts: list[str], threshold: float, size: int, of: str) -> list[int]:
    """Connected parts over every pair, numbered by their first text."""
    sets = [shingles(text, size, of) for text in texts]
    label = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if label[i] != label[j] and jaccard(sets[i], sets[j]) >= threshold:
                old, new = max(label[i], label[j]), min(label[i], label[j])
                label = [new if one == old else one for one in label]
    order = {one: k for k, one in enumerate(dict.fromkeys(label))}
    return [order[one] for one in label]


def variations(n: int, seed: int, length: int = 60, edits: float = 0.08) -> list[str]:
    """Texts, a third of them edited copies of earlier ones."""
    g = np.random.default_rng(seed)
    texts: list[str] = []
    for _ in range(n):
        words = g.choice(WORDS, length).tolist()
        if texts and g.random() < 1 / 3:
            words = texts[int(g.integers(len(texts)))].split()
            for k in np.flatnonzero(g.random(len(words)) < edits * g.random()):
                words[k] = str(g.choice(WORDS))
        texts.append(" ".join(words))
    return texts


# --- near-duplicates ---------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize(("size", "of"), [(5, "characters"), (1, "characters"), (2, "words")])
def test_sets_are_those_of_all_pairs(threshold: float, size: int, of: Any) -> None:
    texts = variations(80, seed=1)
    # So long a signature misses none of these pairs, whatever the seed.
    found = near_duplicates(texts, threshold=threshold, shingle=size, of=of, permutations=600)
    wanted = brute(texts, threshold, size, of)
    assert found.tolist() == wanted
    if threshold == 0.8 and size > 1:
        assert 10 < len(set(wanted)) < 80  # neither one set nor all apart


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="abc  \nA", max_size=12), max_size=12),
    size=st.integers(1, 4),
    of=st.sampled_from(["characters", "words"]),
)
def test_short_texts(texts: list[str], size: int, of: Any) -> None:
    found = near_duplicates(texts, threshold=0.6, shingle=size, of=of, permutations=400)
    assert found.tolist() == brute(texts, 0.6, size, of)


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_few_pairs_at_the_threshold_are_missed(threshold: float) -> None:
    """Pairs with a similarity of exactly the threshold, found by the default signatures."""
    g = np.random.default_rng(0)
    shared = {0.5: 20, 0.8: 40}[threshold]
    own = {0.5: 10, 0.8: 5}[threshold]  # shared / (shared + 2 own)
    texts = []
    for pair in range(400):
        common = [f"c{pair}x{k}" for k in range(shared)]
        for side in "ab":
            words = [*common, *(f"{side}{pair}x{k}" for k in range(own))]
            texts.append(" ".join(g.permutation(words)))
    assert jaccard(*(shingles(t, 1, "words") for t in texts[:2])) == threshold
    missed = []
    for seed in range(3):
        found = near_duplicates(texts, threshold=threshold, shingle=1, of="words", seed=seed)
        missed.append((found[::2] != found[1::2]).mean())
        assert len(set(found[::2].tolist())) == 400  # pairs stay apart from each other
    rows = duplicates._rows_a_band(threshold, 128)
    chance = (1 - threshold**rows) ** (128 // rows)
    assert chance < 0.01
    assert np.mean(missed) <= chance + 4 * np.sqrt(0.01 / 1200)


def test_texts_below_the_threshold_are_not_joined() -> None:
    texts = variations(60, seed=3, edits=0.5)
    found = near_duplicates(texts, threshold=0.9)
    sets = [shingles(text, 5, "characters") for text in texts]
    for label in set(found.tolist()):
        members = np.flatnonzero(found == label)
        for i in members[1:]:
            assert max(jaccard(sets[i], sets[j]) for j in members if j != i) >= 0.9


def test_texts_at_the_edge() -> None:
    assert near_duplicates([]).tolist() == []
    assert near_duplicates([]).dtype == np.int64
    assert near_duplicates(["a text"]).tolist() == [0]
    assert near_duplicates([""]).tolist() == [0]
    assert near_duplicates(["", " \n", "a", "A ", "b", "a"]).tolist() == [0, 1, 2, 2, 3, 2]
    assert near_duplicates(["Straße é", "straße  É", "\ud800"]).tolist() == [0, 0, 1]


def test_chains_are_one_set() -> None:
    words = [f"w{k}" for k in range(60)]
    texts = [" ".join(words[k : k + 40]) for k in range(0, 20, 4)]
    found = near_duplicates(texts, threshold=0.7, shingle=1, of="words", permutations=500)
    assert jaccard(set(words[:40]), set(words[16:56])) < 0.7
    assert found.tolist() == [0] * 5


def test_many_copies_of_one_text_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    base = " ".join(f"word{k}" for k in range(80))
    texts = [f"{base} {k}" for k in range(600)]
    compared = []
    plain = duplicates._similarity

    def counted(a: Any, b: Any) -> float:
        compared.append(1)
        return plain(a, b)

    monkeypatch.setattr(duplicates, "_similarity", counted)
    assert near_duplicates(texts).max() == 0
    assert len(compared) < 5 * len(texts)  # of 180 000 pairs


def test_order_copies_and_parts_of_memory_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = variations(60, seed=4)
    found = near_duplicates(texts)
    order = np.random.default_rng(0).permutation(60)
    moved = near_duplicates([texts[i] for i in order])
    assert ((moved[:, None] == moved) == (found[order][:, None] == found[order])).all()
    assert near_duplicates(texts + texts).tolist() == [*found, *found]
    np.random.seed(1)  # noqa: NPY002 (the global state is what is watched)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    monkeypatch.setattr(arrays, "MEMORY_BUDGET", 2**14)
    assert near_duplicates(tuple(texts)).tolist() == found.tolist()
    assert near_duplicates(np.array(texts, dtype=object)).tolist() == found.tolist()
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_the_same_in_every_process() -> None:
    """Few hash functions, so that a pair is found or missed by chance: the same chance always."""
    lines = (
        "from elsewhere.ops.duplicates import near_duplicates",
        "def text(p, side):",
        "    own = [f'{side}{p}x{k}' for k in range(13)]",
        "    return ' '.join([*(f'c{p}x{k}' for k in range(14)), *own])",
        "texts = [text(p, side) for p in range(400) for side in 'ab']  # similarities of 14 / 40",
        "how = dict(threshold=.35, shingle=1, of='words', permutations=11)",
        "print([near_duplicates(texts, **how, seed=s).tolist() for s in (0, 1)])",
    )
    printed = []
    for seed in ("0", "1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        printed.append(done.stdout)
    assert printed[0] == printed[1] == printed[2]
    first, second = json.loads(printed[0])
    assert first != second  # the seed matters, so chance is at work
    assert 400 < len(set(first)) < 410  # most pairs are found


# --- exact duplicates --------------------------------------------------------------------------


COLUMNS: tuple[Any, ...] = (
    np.array([1.5, np.nan, np.nan, 1.5, 2, np.nan], dtype=np.float32),
    np.array([1, 2, 2, 1, 3, 2], dtype=np.uint8),
    np.array(["a", None, float("nan"), "a", "b", None], dtype=object),
    np.array(["a", "b", "b", "a", "c", "b"]),
    np.array(["2024-01-01", "NaT", "NaT", "2024-01-01", "2024-01-02", "NaT"], dtype="M8[s]"),
    np.array([True, False, False, True, True, False]),
    np.array([1 + 2j, 0, 0, 1 + 2j, 3, 0]),
)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: str(c.dtype))
def test_one_column_of_any_kind(column: Any) -> None:
    column.setflags(write=False)
    found = exact_duplicates([column])
    wanted = [0, 1, 1, 0, 2, 1] if column.dtype.kind != "b" else [1, 0, 0, 1, 1, 0]
    assert ((found[:, None] == found) == np.equal.outer(wanted, wanted)).all()
    assert sorted(set(found.tolist())) == list(range(len(set(wanted))))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, float("nan")]),
            st.sampled_from(["a", "b", None]),
            st.integers(-1, 1),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_rows_are_compared_in_every_column(rows: list[tuple[Any, ...]]) -> None:
    kinds = (np.float64, object, np.int8)
    columns = [np.array(c, dtype=k) for c, k in zip(zip(*rows, strict=True), kinds, strict=True)]
    found = exact_duplicates(columns)
    named = [tuple("gone" if v is None or v != v else v for v in row) for row in rows]
    for i, a in enumerate(named):
        for j, b in enumerate(named):
            assert (found[i] == found[j]) == (a == b)
    assert sorted(set(found.tolist())) == list(range(len(set(named))))


def test_many_columns_of_many_values() -> None:
    """Joint numbers of 64 columns do not overflow."""
    x, _ = load_digits(return_X_y=True)
    x = np.vstack([x, x[::-1]])
    found = exact_duplicates(list(x.T))
    assert len(set(found.tolist())) == len(np.unique(x, axis=0))
    assert (found == found[::-1]).all()


# --- groups and blocks -------------------------------------------------------------------------


def test_copies_across_groups() -> None:
    cluster = np.array([0, 0, 1, 1, 2, 3, 3, 3])
    group = np.array(["x", "y", "x", "x", "y", "y", "y", "x"])
    assert across_groups(cluster, group) == Duplicates(2, 5, ((0, 1), (5, 6, 7)))
    assert across_groups(cluster, group, examples=1).examples == ((0, 1),)
    assert across_groups(cluster, group, examples=0).examples == ()
    assert across_groups(cluster, np.full(8, 7)) == Duplicates(0, 0, ())
    far = np.where(group == "x", -(10**12), 10**12)  # group numbers of any size
    assert across_groups(cluster, far) == across_groups(cluster, group)
    nothing = np.zeros(0, dtype=np.int64)
    assert across_groups(nothing, nothing) == Duplicates(0, 0, ())


def connected(cluster: Any, block: Any) -> np.ndarray:
    """Rows that reach each other, by powers of the adjacency matrix."""
    near = (cluster[:, None] == cluster) | (block[:, None] == block)
    for _ in range(len(cluster)):
        near = (near.astype(int) @ near) > 0
    return near


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 4)), min_size=1, max_size=14))
def test_blocks_are_the_connected_parts(pairs: list[tuple[int, int]]) -> None:
    cluster, block = np.array(pairs).T
    found = as_blocks(cluster, block)
    assert ((found[:, None] == found) == connected(cluster, block)).all()
    assert sorted(set(found.tolist())) == list(range(len(set(found.tolist()))))
    far = as_blocks(cluster, block * 10**12)  # identity numbers of any size
    assert (far == found).all()
    named = as_blocks(cluster, np.array([f"block {b}" for b in block], dtype=object))
    assert ((named[:, None] == named) == (found[:, None] == found)).all()


def test_blocks_without_blocks() -> None:
    assert as_blocks(np.array([5, 2, 5])).tolist() == [1, 0, 1]
    nothing = np.zeros(0, dtype=np.int64)
    assert as_blocks(nothing, nothing).tolist() == []


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "argument", "says"),
    [
        (lambda: near_duplicates(["a"], threshold=0), "threshold", r"\(0, 1\]"),
        (lambda: near_duplicates(["a"], threshold=1.1), "threshold", r"\(0, 1\]"),
        (lambda: near_duplicates(["a"], threshold=float("nan")), "threshold", r"\(0, 1\]"),
        (lambda: near_duplicates(["a"], shingle=0), "shingle and permutations", "at least 1"),
        (lambda: near_duplicates(["a"], permutations=0), "shingle and permutations", "at least 1"),
        (lambda: near_duplicates(["a"], of="word"), "of", "did you mean 'words'"),  # type: ignore[arg-type]
        (lambda: near_duplicates(["a", None]), "texts", "no text at 1: None"),  # type: ignore[list-item]
        (lambda: near_duplicates(["a"], threshold=0.01), "permutations", "at least 46"),
        (lambda: exact_duplicates([]), "columns", "empty"),
        (lambda: exact_duplicates([np.zeros(3), np.zeros(2)]), "columns", "3 and 2 rows"),
        (lambda: exact_duplicates([np.zeros((3, 2))]), "columns", "1-D"),
        (lambda: across_groups(np.zeros(3, int), np.zeros(2, int)), "group", "2 values for 3"),
        (lambda: as_blocks(np.zeros(3, int), np.zeros(2, int)), "block", "2 values for 3"),
    ],
)
def test_bad_input(call: Any, argument: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        call()
    assert raised.value.argument == argument


def test_enough_permutations_are_enough() -> None:
    with pytest.raises(InputError, match="permutations") as raised:
        near_duplicates(["a"], threshold=0.2, permutations=4)
    enough = int(raised.value.expected.split()[-1])
    assert near_duplicates(["a", "a"], threshold=0.2, permutations=enough).tolist() == [0, 0]
