"""Copies of rows: exact ones by value, near ones of texts by MinHash, offered as blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Objects, missing, number, sums
from elsewhere.core.errors import InputError
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Sequence

PERMUTATIONS = 128
"""Hash functions of a MinHash signature."""

MISSED = 0.01
"""Largest chance that a pair exactly at the threshold is never compared."""

PRIME = (1 << 31) - 1
"""Mersenne prime modulo which shingles are hashed."""


@dataclass(frozen=True)
class Duplicates:
    """Copies that stand in several groups.

    Args:
        n_clusters: Sets of copies with rows in more than one group.
        n_rows: Rows in these sets.
        examples: Row numbers of a few sets.
    """

    n_clusters: int
    n_rows: int
    examples: tuple[tuple[int, ...], ...]


def exact_duplicates(columns: Sequence[Objects]) -> Integers:
    """Number the sets of rows that agree in every column.

    Args:
        columns: Arrays of any kind, each shape (n,); missing values equal each other.

    Returns:
        Set of each row, from 0, shape (n,); a row without a copy is a set of its own.

    Raises:
        InputError: No column, or columns of different lengths.

    Cost: one hash table a column; memory of a few numbers a row.

    Example:
        >>> exact_duplicates([np.array([1, 2, 1]), np.array(["a", "b", "a"])]).tolist()
        [0, 1, 0]
    """
    if not len(columns):
        raise InputError("columns", "is empty", "at least one column")
    n = len(columns[0])
    joint = np.zeros(n, dtype=np.int64)
    for column in columns:
        if len(column) != n:
            raise InputError("columns", f"have {n} and {len(column)} rows", "equally many rows")
        gone = missing(column)
        codes = np.zeros(n, dtype=np.int64)
        if not gone.all():
            codes[~gone] = number(column[~gone]) + 1
        # Numbered again after each column, so that products stay below n * (n + 1).
        joint = number(joint * (int(codes.max(initial=0)) + 1) + codes)
    return joint


def near_duplicates(
    texts: Sequence[str],
    *,
    threshold: float = 0.8,
    shingle: int = 5,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Integers:
    """Number the sets of texts that are nearly the same.

    Texts are sets of overlapping pieces of `shingle` characters, spaces and case evened out. Pairs
    that agree in a band of their MinHash signatures are compared exactly; pairs with a Jaccard
    similarity of at least `threshold` are joined, and what is joined to one text is one set.

    Args:
        texts: The texts.
        threshold: Jaccard similarity from which two texts are copies, in (0, 1].
        shingle: Characters of a piece, at least 1. Shorter texts are one piece.
        permutations: Length of the signatures; more find more pairs.
        seed: Seed of the hash functions.

    Returns:
        Set of each text, from 0, shape (n,). Texts without any character that counts are never
        joined. A pair at the threshold is missed with a chance below 1 % (less above it); no pair
        below the threshold is joined directly.

    Raises:
        InputError: A threshold or a size out of range.

    Cost: `permutations` hashes a distinct piece; memory of `permutations` numbers a text.

    Reference: A. Broder 1997, "On the resemblance and containment of documents".

    Example:
        >>> near_duplicates(["The cat sat on the mat", "the cat sat on the mat!", "a dog"]).tolist()
        [0, 0, 1]
    """
    if not 0 < threshold <= 1:
        raise InputError("threshold", f"is {threshold}", "a similarity in (0, 1]", "0.8")
    if shingle < 1 or permutations < 1:
        raise InputError("shingle and permutations", "are below 1", "at least 1")
    even = [" ".join(text.lower().split()) for text in texts]
    spelled = {text: i for i, text in enumerate(dict.fromkeys(even))}
    of_text = np.array([spelled[text] for text in even], dtype=np.int64)
    # Each spelling once; texts without characters stay alone.
    joined = _near_spellings(list(spelled), threshold, shingle, permutations, seed)[of_text]
    blank = np.array([not text for text in even], dtype=bool)
    joined[blank] = len(spelled) + np.arange(int(blank.sum()))
    return _in_order(joined)


def _near_spellings(
    texts: list[str], threshold: float, shingle: int, permutations: int, seed: int
) -> Integers:
    """Number the sets of different texts that are nearly the same."""
    n = len(texts)
    pieces, owner = _pieces(texts, shingle)
    if not len(pieces):
        return np.arange(n)
    distinct, codes = np.unique(np.array(pieces, dtype=object), return_inverse=True)
    hashed = np.array([_hash(piece) for piece in distinct], dtype=np.uint64)
    signatures = _signatures(hashed[codes], owner, n, permutations, seed)
    rows = _rows_a_band(threshold, permutations)
    sets = _by_owner(codes, owner, n)
    pairs: set[tuple[int, int]] = set()
    for start in range(0, permutations - rows + 1, rows):
        pairs.update(_candidates(signatures[:, start : start + rows], sets))
    near = [(a, b) for a, b in sorted(pairs) if _similarity(sets[a], sets[b]) >= threshold]
    ends = np.array(near, dtype=np.int64).reshape(-1, 2)
    return _connected(n, ends[:, 0], ends[:, 1])


def across_groups(cluster: Integers, group: Integers, *, examples: int = 3) -> Duplicates:
    """Count the copies that stand in several groups.

    Args:
        cluster: Set of each row, shape (n,).
        group: Group of each row, shape (n,).
        examples: How many sets to name.

    Returns:
        How many there are, and a few of them.
    """
    n = int(cluster.max(initial=-1)) + 1
    pairs = np.unique(cluster * (int(group.max(initial=0)) + 1) + group)
    several = sums(pairs // (int(group.max(initial=0)) + 1), n) > 1
    rows = several[cluster] if len(cluster) else np.zeros(0, dtype=bool)
    named = np.flatnonzero(several)[:examples]
    shown = tuple(tuple(np.flatnonzero(cluster == c).tolist()) for c in named)
    return Duplicates(int(several.sum()), int(rows.sum()), shown)


def as_blocks(cluster: Integers, block: Integers | None = None) -> Integers:
    """Make blocks of copies, joined with the blocks that are given.

    Args:
        cluster: Set of each row, shape (n,).
        block: Block of each row, shape (n,).

    Returns:
        Block of each row, from 0: rows that share a set or a block, directly or through others,
        share it.

    Example:
        >>> as_blocks(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
        [0, 0, 0, 1]
    """
    if block is None:
        return number(cluster)
    n = len(cluster)
    first, second = cluster, block + int(cluster.max(initial=-1)) + 1
    joined = _connected(int(second.max(initial=-1)) + 1, first, second)
    return number(joined[first]) if n else cluster


# --- how ---------------------------------------------------------------------------------------


def _pieces(texts: list[str], shingle: int) -> tuple[list[str], Integers]:
    """Cut texts into overlapping pieces, each with the number of its text."""
    pieces: list[str] = []
    owner: list[int] = []
    for i, text in enumerate(texts):
        own = {text[k : k + shingle] for k in range(max(1, len(text) - shingle + 1))} - {""}
        pieces += sorted(own)
        owner += [i] * len(own)
    return pieces, np.array(owner, dtype=np.int64)


def _hash(piece: str) -> int:
    """Hash a piece below the prime, the same in every process."""
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % PRIME


def _signatures(
    hashed: np.ndarray, owner: Integers, n: int, permutations: int, seed: int
) -> np.ndarray:
    """Take the least value of each hash function over the pieces of a text, (n, permutations)."""
    rng = generator(seed, "minhash")
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    present = owner[starts]
    found = np.full((n, permutations), PRIME, dtype=np.uint64)
    factors = rng.integers(1, PRIME, size=permutations, dtype=np.uint64)
    shifts = rng.integers(0, PRIME, size=permutations, dtype=np.uint64)
    for k in range(permutations):  # products stay below 2^62
        mixed = (hashed * factors[k] + shifts[k]) % np.uint64(PRIME)
        found[present, k] = np.minimum.reduceat(mixed, starts)
    return found


def _rows_a_band(threshold: float, permutations: int) -> int:
    """Most rows a band for which a pair at the threshold is missed with a chance below 1 %."""
    best = 1
    for rows in range(1, permutations + 1):
        missed = (1 - threshold**rows) ** (permutations // rows)
        if missed < MISSED:
            best = rows
    return best


def _by_owner(codes: Integers, owner: Integers, n: int) -> list[Integers]:
    """Pieces of each text as sorted codes."""
    bounds = np.searchsorted(owner, np.arange(n + 1))
    return [np.sort(codes[bounds[i] : bounds[i + 1]]) for i in range(n)]


def _candidates(band: np.ndarray, sets: list[Integers]) -> list[tuple[int, int]]:
    """Pair each text with the first of those that agree with it in a band."""
    order = np.lexsort(band.T[::-1])
    same = np.concatenate([[False], (band[order][1:] == band[order][:-1]).all(axis=1)])
    found: list[tuple[int, int]] = []
    bucket: list[int] = []
    for place, joined in zip(order.tolist(), same.tolist(), strict=True):
        if not len(sets[place]):
            continue
        if not joined:
            bucket = []
        found += [(other, place) for other in bucket]
        bucket.append(place)
    return found


def _similarity(first: Integers, second: Integers) -> float:
    """Jaccard similarity of two sets of codes."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def _connected(n: int, first: Integers, second: Integers) -> Integers:
    """Number the connected parts of a graph in the order of their first node."""
    sparse = untyped("scipy.sparse")
    ones: Floats = np.ones(len(first))
    graph: Any = sparse.coo_matrix((ones, (first, second)), shape=(n, n))
    _, label = untyped("scipy.sparse.csgraph").connected_components(graph, directed=False)
    return _in_order(label)


def _in_order(label: Integers) -> Integers:
    """Number labels in the order of their first row."""
    _, start, place = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(start), dtype=np.int64)
    rank[np.argsort(start)] = np.arange(len(start))
    return rank[place]
