"""Copies of rows: exact ones by value, near ones of texts by MinHash, offered as blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Objects, chunks, missing, number, sums
from elsewhere.core.errors import InputError, nearest
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
        columns: Arrays of any kind, each shape (n,); missing values equal each other, and so do
            numbers of one value (1, 1.0, True; 0.0, -0.0).

    Returns:
        Set of each row, from 0, shape (n,); a row without a copy is a set of its own.

    Raises:
        InputError: No column, a table in place of columns, or columns of different lengths.

    Cost: one hash table a column; memory of a few numbers a row.

    Example:
        >>> exact_duplicates([np.array([1, 2, 1]), np.array(["a", "b", "a"])]).tolist()
        [0, 1, 0]
    """
    if not len(columns):
        raise InputError("columns", "is empty", "at least one column")
    if any(np.ndim(column) != 1 for column in columns):
        raise InputError(
            "columns", "holds something other than columns", "a list of 1-D arrays", "list(x.T)"
        )
    columns = [np.asarray(column) for column in columns]
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
    of: Literal["characters", "words"] = "characters",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Integers:
    """Number the sets of texts that are nearly the same.

    Texts are sets of overlapping pieces of `shingle` characters or words, spaces and case evened
    out. Pairs that agree in a band of their MinHash signatures are compared exactly; pairs with a
    Jaccard similarity of at least `threshold` are joined, and what is joined to one text is one
    set.

    Args:
        texts: The texts, n of them.
        threshold: Jaccard similarity from which two texts are copies, in (0, 1].
        shingle: Characters or words of a piece, at least 1. Shorter texts are one piece.
        of: What a piece is made of.
        permutations: Length of the signatures, at least 1; more find more pairs.
        seed: Seed of the hash functions.

    Returns:
        Set of each text, from 0 in the order of their first texts, shape (n,). Texts without any
        character that counts are never joined. With r rows a band and b bands, a pair of
        similarity s is missed with chance (1 - s^r)^b. r is the largest for which this is below
        1 % at the threshold (0.8: r = 6, b = 21, 0.2 %); it is less above. No pair below the
        threshold is joined directly.

    Raises:
        InputError: A threshold or a size out of range, something that is not a text, or fewer
            permutations than the 1 % asks for.

    Cost: `permutations` hashes a distinct piece and a look-up a piece; then one comparison of two
        sets for each text in a band's bucket and each set of texts found so far in it, so a
        thousand copies of one text cost a thousand comparisons, a thousand texts just below the
        threshold up to half a million. Memory: the distinct pieces, 8 bytes a piece, and
        8 * `permutations` bytes a text.

    Reference: A. Broder 1997, "On the resemblance and containment of documents".

    Example:
        >>> near_duplicates(["The cat sat on the mat", "the cat sat on the mat!", "a dog"]).tolist()
        [0, 0, 1]
    """
    if not 0 < threshold <= 1:
        raise InputError("threshold", f"is {threshold}", "a similarity in (0, 1]", "0.8")
    if shingle < 1 or permutations < 1:
        raise InputError("shingle and permutations", "are below 1", "at least 1")
    if of not in {"characters", "words"}:
        raise InputError(
            "of", f"is {of!r}", "characters or words", nearest(str(of), ("characters", "words"))
        )
    rows = _rows_a_band(threshold, permutations)
    strange = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if strange is not None:
        raise InputError(
            "texts", f"has no text at {strange}: {texts[strange]!r}", "texts", "'' for missing ones"
        )
    even = [" ".join(text.lower().split()) for text in texts]
    spelled = {text: i for i, text in enumerate(dict.fromkeys(even))}
    of_text = np.array([spelled[text] for text in even], dtype=np.int64)
    # Each spelling once; texts without characters stay alone.
    bands = (rows, permutations // rows)
    pieces = _pieces(list(spelled), shingle, of)
    joined = _near_spellings(pieces, threshold, bands, seed)[of_text]
    blank = np.array([not text for text in even], dtype=bool)
    joined[blank] = len(spelled) + np.arange(int(blank.sum()))
    return _in_order(joined)


def across_groups(cluster: Integers, group: Integers, *, examples: int = 3) -> Duplicates:
    """Count the copies that stand in several groups.

    Args:
        cluster: Set of each row, at least 0, shape (n,).
        group: Group of each row, shape (n,), without missing values.
        examples: How many sets to name.

    Returns:
        How many there are, and a few of them.

    Raises:
        InputError: Columns of different lengths.

    Cost: sorting; memory of a few numbers a row.

    Example:
        >>> across_groups(np.array([0, 0, 1, 1]), np.array(["a", "b", "b", "b"]))
        Duplicates(n_clusters=1, n_rows=2, examples=((0, 1),))
    """
    if len(group) != len(cluster):
        raise InputError("group", f"has {len(group)} values for {len(cluster)} rows", "one a row")
    n = int(cluster.max(initial=-1)) + 1
    codes = number(np.asarray(group))
    width = int(codes.max(initial=0)) + 1
    several = sums(np.unique(cluster * width + codes) // width, n) > 1
    rows = several[cluster] if len(cluster) else np.zeros(0, dtype=bool)
    named = np.flatnonzero(several)[:examples]
    shown = tuple(tuple(np.flatnonzero(cluster == c).tolist()) for c in named)
    return Duplicates(int(several.sum()), int(rows.sum()), shown)


def as_blocks(cluster: Integers, block: Integers | None = None) -> Integers:
    """Make blocks of copies, joined with the blocks that are given.

    Args:
        cluster: Set of each row, shape (n,).
        block: Block of each row, shape (n,), without missing values.

    Returns:
        Block of each row, from 0, shape (n,): rows that share a set or a block, directly or through
        others, share it.

    Raises:
        InputError: Columns of different lengths.

    Cost: the connected parts of a graph with an edge a row; memory of a few numbers a row.

    Example:
        >>> as_blocks(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
        [0, 0, 0, 1]
    """
    if block is None:
        return number(cluster)
    if len(block) != len(cluster):
        raise InputError("block", f"has {len(block)} values for {len(cluster)} rows", "one a row")
    if not len(cluster):
        return number(cluster)
    first, second = number(cluster), number(np.asarray(block))
    second = second + int(first.max()) + 1
    return number(_connected(int(second.max()) + 1, first, second)[first])


# --- how ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Texts as sets of numbered pieces.

    Args:
        distinct: The pieces by number.
        sets: Numbers of each text's pieces, sorted, each once.
    """

    distinct: list[str]
    sets: list[Integers]


def _pieces(texts: list[str], shingle: int, of: str) -> _Pieces:
    """Cut texts into overlapping pieces."""
    known: dict[str, int] = {}
    sets: list[Integers] = []
    for text in texts:
        units: Any = text if of == "characters" else text.split(" ")
        glue = "".join if of == "characters" else " ".join
        cut = {glue(units[k : k + shingle]) for k in range(max(1, len(units) - shingle + 1))}
        numbers = [known.setdefault(piece, len(known)) for piece in cut if piece]
        sets.append(np.sort(np.array(numbers, dtype=np.int64)))
    return _Pieces(list(known), sets)


def _near_spellings(
    pieces: _Pieces, threshold: float, bands: tuple[int, int], seed: int
) -> Integers:
    """Number the sets of different texts that are nearly the same."""
    rows, count = bands
    signatures = _signatures(pieces, rows * count, seed)
    filled = np.flatnonzero([len(own) > 0 for own in pieces.sets])
    forest = _Forest(len(pieces.sets))
    for start in range(0, rows * count, rows):
        for bucket in _buckets(signatures[filled, start : start + rows]):
            _join_bucket(filled[bucket].tolist(), pieces.sets, threshold, forest)
    return np.array([forest.root(place) for place in range(len(pieces.sets))], dtype=np.int64)


class _Forest:
    """Sets that are joined, each known by one of its members."""

    def __init__(self, n: int) -> None:
        self.above = list(range(n))

    def root(self, place: int) -> int:
        """Find the member that stands for a set."""
        while self.above[place] != place:
            self.above[place] = self.above[self.above[place]]
            place = self.above[place]
        return place

    def join(self, first: int, second: int) -> None:
        """Make one set of two; its earliest member stands for it."""
        low, high = sorted((self.root(first), self.root(second)))
        self.above[high] = low


def _buckets(band: np.ndarray) -> list[Integers]:
    """Rows of a band that agree, for each value that several rows have."""
    order = np.lexsort(band.T[::-1])
    changes = np.flatnonzero((band[order][1:] != band[order][:-1]).any(axis=1)) + 1
    return [run for run in np.split(order, changes) if len(run) > 1]


def _join_bucket(
    bucket: list[int], sets: list[Integers], threshold: float, forest: _Forest
) -> None:
    """Compare the texts of a bucket, and join those that are nearly the same.

    What is joined already is not compared again, so that many copies of one text stay cheap.
    """
    parts: list[list[int]] = []
    for place in bucket:
        merged, apart = [place], []
        for part in parts:
            near = forest.root(part[0]) == forest.root(place) or any(
                _similarity(sets[other], sets[place]) >= threshold for other in part
            )
            if near:
                forest.join(part[0], place)
                part.extend(merged)
                merged = part
            else:
                apart.append(part)
        parts = [*apart, merged]


def _hash(piece: str) -> int:
    """Hash a piece below the prime, the same in every process."""
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % PRIME


def _signatures(pieces: _Pieces, length: int, seed: int) -> np.ndarray:
    """Take the least value of each hash function over the pieces of a text, (n, length)."""
    rng = generator(seed, "minhash")
    factors = rng.integers(1, PRIME, size=length, dtype=np.uint64)
    shifts = rng.integers(0, PRIME, size=length, dtype=np.uint64)
    hashed = np.array([_hash(piece) for piece in pieces.distinct], dtype=np.uint64)
    sizes = np.array([len(own) for own in pieces.sets])
    found = np.full((len(sizes), length), PRIME, dtype=np.uint64)
    for part in chunks(len(sizes), 32 * (1 + int(sizes.mean()) if len(sizes) else 1)):
        filled = np.flatnonzero(sizes[part]) + part.start
        if not len(filled):
            continue
        codes = np.concatenate([pieces.sets[i] for i in filled])
        starts = np.cumsum(sizes[filled]) - sizes[filled]
        for k in range(length):  # products stay below 2^62
            mixed = (hashed * factors[k] + shifts[k]) % np.uint64(PRIME)
            found[filled, k] = np.minimum.reduceat(mixed[codes], starts)
    return found


def _rows_a_band(threshold: float, permutations: int) -> int:
    """Most rows a band for which a pair at the threshold is missed with a chance below 1 %."""
    best = 0
    for rows in range(1, permutations + 1):
        missed = (1 - threshold**rows) ** (permutations // rows)
        if missed < MISSED:
            best = rows
    if not best:
        needed = int(np.ceil(np.log(MISSED) / np.log1p(-threshold))) + 1
        raise InputError(
            "permutations",
            f"is {permutations}, too few to find pairs at a similarity of {threshold}",
            f"at least {needed}",
        )
    return best


def _similarity(first: Integers, second: Integers) -> float:
    """Jaccard similarity of two sets of codes, neither of them empty."""
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
