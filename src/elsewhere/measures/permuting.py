"""Permutation tests: of rows within groups with blocks kept whole, and of groups."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations as orders
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, chunks, number, sums
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SAME_SIZE = 8
"""Blocks of about the same size that trade places at least, where a group has as many."""

ALL_ORDERS = 8
"""Groups up to which every order is tried."""

RANDOM_ORDERS = 10_000
"""Random orders where there are more groups."""

FEWEST = 3
"""Groups below which nothing is concluded."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What is summed over failing rows to see whether a characteristic goes with failing.

    Args:
        values: One or several columns with sum 0 in each group, shape (n, k).
        expected: What each column's square is divided by, shape (k,).
    """

    values: Floats
    expected: Floats


def association(
    scores: Sequence[Scores],
    failing: Booleans,
    group: Integers,
    block: Integers | None,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Test whether characteristics go with failing within groups, by permuting failing there.

    Args:
        scores: One entry a characteristic: `rank_scores` or `level_scores`.
        failing: Which rows fail, shape (n,).
        group: Group of each row from 0, shape (n,).
        block: Block of each row from 0, shape (n,): blocks trade places whole, with blocks of the
            same group and of about their size. None permutes rows.
        draws: Number of permutations.
        rng: Generator.

    Returns:
        P-value of each characteristic, at least 1 / (1 + draws); NaN where one does not vary.

    Cost: `draws` sorts of n numbers (of blocks, where given), in chunks of 256 MB.
    """
    spans: list[slice] = []
    for one in scores:
        start = spans[-1].stop if spans else 0
        spans.append(slice(start, start + one.values.shape[1]))
    table = np.concatenate([one.values for one in scores], axis=1)
    inverse = 1 / np.concatenate([one.expected for one in scores])

    def statistics(fails: Floats) -> Floats:
        each = (fails @ table) ** 2 * inverse
        return np.stack([each[:, span].sum(axis=1) for span in spans], axis=1)

    fails = failing.astype(np.float64)
    observed = statistics(fails[None])[0]
    places = _Places(group, block)
    reached = np.zeros(len(spans))
    for part in chunks(draws, 24 * len(group)):
        mixed = np.stack([fails[places.draw(rng)] for _ in range(part.stop - part.start)])
        # Sums in another order must not make a tie a loss.
        reached += (statistics(mixed) >= observed * (1 - 1e-9) - 1e-12).sum(axis=0)
    varies = [table[:, span].any() for span in spans]
    return np.where(varies, (1 + reached) / (1 + draws), np.nan)


def rank_scores(values: Floats, group: Integers) -> Scores:
    """Ranks within groups as shares of the group, about 0; 0 where the value is missing."""
    known = np.flatnonzero(~np.isnan(values))
    found = np.zeros(len(values))
    if len(known) == 0:
        return Scores(found[:, None], np.ones(1))
    own = number(group[known])
    order = np.lexsort((values[known], own))
    sorted_group, sorted_value = own[order], values[known][order]
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = (np.diff(sorted_group) != 0) | (np.diff(sorted_value) != 0)
    tie = np.cumsum(opens) - 1
    place = np.arange(len(order), dtype=np.float64)
    middle = (sums(tie, tie[-1] + 1, place) / sums(tie, tie[-1] + 1))[tie]
    n = sums(own, int(own.max()) + 1)
    first = np.concatenate([[0.0], np.cumsum(n)[:-1]])
    rank = (middle - first[sorted_group] + 1) / (n + 1)[sorted_group] - 0.5
    found[known[order]] = rank
    return Scores(found[:, None], np.ones(1))


def level_scores(level: Integers, group: Integers, failing: Booleans) -> Scores:
    """Each level as a column of 0 and 1, less its share in the group.

    Squares of their sums over failing rows, over the failures expected, make a chi-square.

    Args:
        level: Level of each row from 0, shape (n,).
        group: Group of each row from 0, shape (n,).
        failing: Which rows fail, shape (n,).

    Returns:
        One column a level.
    """
    n_levels, n_groups = int(level.max()) + 1, int(group.max()) + 1
    size = sums(group, n_groups)
    share = sums(group, n_groups, failing.astype(np.float64)) / size
    values = np.empty((len(level), n_levels))
    expected = np.empty(n_levels)
    for k in range(n_levels):
        own = (level == k).astype(np.float64)
        within = sums(group, n_groups, own)
        values[:, k] = own - (within / size)[group]
        expected[k] = float(within @ share)
    values[np.abs(values) < 1e-12] = 0.0
    return Scores(values, np.where(expected > 0, expected, np.inf))


class _Places:
    """Permutations of rows within groups, blocks whole.

    Args:
        group: Group of each row from 0, shape (n,).
        block: Block of each row, or None where each row is its own.
    """

    def __init__(self, group: Integers, block: Integers | None) -> None:
        self.single = block is None
        self.n = len(group)
        if block is None:
            self.kind = group
            self.rows = np.argsort(group, kind="stable")
            return
        unit = number(group * (int(block.max()) + 1) + block)
        self.rows = np.argsort(unit, kind="stable")
        self.size = np.bincount(unit)
        self.start = np.cumsum(self.size) - self.size
        home = group[self.rows[self.start]]
        self.kind = _alike(home, self.size)
        self.by_kind = np.argsort(self.kind, kind="stable")
        self.unit = unit[self.rows]
        self.step = np.arange(self.n) - self.start[self.unit]

    def draw(self, rng: np.random.Generator) -> Integers:
        """Row whose failing each row takes, shape (n,)."""
        turn = np.argsort(self.kind + rng.random(len(self.kind)))
        source = np.empty(self.n, dtype=np.int64)
        if self.single:
            source[self.rows] = turn
            return source
        giver = np.empty(len(self.kind), dtype=np.int64)
        giver[self.by_kind] = turn
        mine = giver[self.unit]
        # A longer block goes through a shorter giver again.
        source[self.rows] = self.rows[self.start[mine] + self.step % self.size[mine]]
        return source


def _alike(home: Integers, size: Integers) -> Integers:
    """Number the kinds of blocks that may trade places: one group, and about the same size."""
    order = np.lexsort((size, home))
    kind = np.empty(len(order), dtype=np.int64)
    now, count = -1, 0
    last: tuple[int, int] | None = None
    left = np.bincount(home)
    for place in order.tolist():
        mine = (int(home[place]), int(size[place]))
        new_group = last is None or mine[0] != last[0]
        full = last is not None and mine != last and count >= SAME_SIZE
        if new_group or (full and left[mine[0]] >= SAME_SIZE):
            now, count = now + 1, 0
        kind[place] = now
        count += 1
        left[mine[0]] -= 1
        last = mine
    return kind


def rank_correlations(
    loss: Floats, traits: list[Floats], seed: int
) -> tuple[Floats, Floats, Integers]:
    """Spearman's correlations with permutation p-values, and the groups behind each."""
    correlation, p = np.full(len(traits), np.nan), np.full(len(traits), np.nan)
    known = [~np.isnan(trait) for trait in traits]
    n = np.array([int(own.sum()) for own in known])
    for own in {tuple(mask.tolist()) for mask in known}:
        mask = np.array(own)
        same = [k for k in range(len(traits)) if tuple(known[k].tolist()) == own]
        first = _unit_ranks(loss[mask])
        others = np.stack([_unit_ranks(traits[k][mask]) for k in same], axis=1)
        usable = np.array([bool(column.any()) for column in others.T]) & bool(first.any())
        if mask.sum() < FEWEST or not usable.any():
            continue
        value = first @ others
        reached, draws, exact = np.zeros(len(same)), 0, len(first) <= ALL_ORDERS
        for mixed in _orders(first, seed):
            reached += (np.abs(mixed @ others) >= np.abs(value) - 1e-9).sum(axis=0)
            draws += len(mixed)
        chance = reached / draws if exact else (1 + reached) / (1 + draws)
        for place, k in enumerate(same):
            if usable[place]:
                correlation[k], p[k] = value[place], chance[place]
    return np.clip(correlation, -1.0, 1.0), p, n


def _unit_ranks(values: Floats) -> Floats:
    """Ranks (ties share theirs) about 0 with squares that add up to 1; all 0 for equal values."""
    if len(values) == 0:
        return values
    rank = np.asarray(untyped("scipy.stats").rankdata(values), dtype=np.float64)
    rank -= rank.mean()
    length = float(np.sqrt(rank @ rank))
    return rank / length if length > 0 else np.zeros(len(values))


def _orders(values: Floats, seed: int) -> Iterator[Floats]:
    """Yield values in every order, or in random ones, shape (orders, n) at a time."""
    n = len(values)
    if n <= ALL_ORDERS:
        yield values[np.array(list(orders(range(n))), dtype=np.int64)]
        return
    rng = generator(seed, "orders of groups", n)
    for part in chunks(RANDOM_ORDERS, 24 * n):
        yield rng.permuted(np.tile(values, (part.stop - part.start, 1)), axis=1)
