"""From influences to sampling variances: of one cell, of averages over groups, of differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.arrays import Floats, Integers, sums
from elsewhere.core.intervals import KNOWN, Moments
from elsewhere.core.metrics.base import effective_size

if TYPE_CHECKING:
    from elsewhere.core.metrics import Metric, Prepared

PRIOR_UNITS = 4.0
"""Weight, in units, of the groups' common variance when a group's own is estimated inside an
average over groups: a small group with all rows right must not count as certain."""


def steadied(variance: Floats, size: Floats) -> Floats:
    """Draw each group's variance towards what the groups have in common per unit.

    Args:
        variance: Sampling variances by group, shape (groups,).
        size: Effective numbers of units behind them, shape (groups,).

    Returns:
        Variances as if each group had `PRIOR_UNITS` more units, of the groups' average kind.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        usable = np.isfinite(variance) & (size > 0)
        each = float((size * variance)[usable].mean()) if usable.any() else np.nan
        return (size * variance + PRIOR_UNITS * each / size) / (size + PRIOR_UNITS)


@dataclass(frozen=True, eq=False)
class Sampling:
    """Values of a metric by group and side, with what each independent unit adds to them.

    Args:
        value: Values, shape (groups, sides); NaN where there is none.
        total: Summed influence of a unit within one group, by side, shape (parts, sides).
        unit: Unit of each part, shape (parts,).
        group: Group of each part, shape (parts,).
        n_units: Number of units.
        straddles: Whether some unit has rows in several groups.
        size: Effective number of independent rows behind each value, shape (groups, sides).
        freedom: Degrees of freedom of each variance, `KNOWN` for right or wrong rows, shape
            (groups, sides).
        rows: Number of rows, shape (groups, sides).
        units: Number of units, shape (groups, sides).
        reason: Why a value is missing, by group and side.
    """

    value: Floats
    total: Floats
    unit: Integers
    group: Integers
    n_units: int
    straddles: bool
    size: Floats
    freedom: Floats
    rows: Floats
    units: Floats
    reason: tuple[tuple[str, ...], ...]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.value.shape[0]

    @property
    def matched(self) -> bool:
        """Whether some group stands on both sides, so that groups are compared with themselves."""
        return self.rows.shape[1] == 2 and bool(np.all(self.rows > 0, axis=1).any())

    def even_shares(self) -> list[Floats]:
        """Weights by side that count each usable group once, each shape (groups,)."""
        known = np.asarray(~np.isnan(self.value), dtype=np.float64)
        if self.matched:
            known = np.repeat(known.prod(axis=1)[:, None], known.shape[1], axis=1)
        return [column / max(float(column.sum()), 1.0) for column in known.T]

    def cells(self) -> Moments:
        """Moments of every group and side, shape (groups, sides)."""
        variance = np.stack(
            [sums(self.group, self.n_groups, column**2) for column in self.total.T], axis=1
        )
        variance = np.where(np.isnan(self.value), np.nan, variance)
        return Moments(self.value, variance, self.freedom, self.size)

    def covariance(self) -> Floats:
        """Covariance of the two sides within each group, shape (groups,)."""
        return sums(self.group, self.n_groups, self.total[:, 0] * self.total[:, -1])

    def average(self, side: int, share: Floats, *, bounded: bool) -> Moments:
        """Moments of a weighted average of groups on one side.

        Args:
            side: Which side.
            share: Weights of the groups, 0 for those left out, shape (groups,).
            bounded: Whether values lie in [0, 1], so that a zero variance means too few rows.

        Returns:
            Scalar moments.
        """
        used = share != 0
        value = float(share[used] @ self.value[used, side]) if used.any() else np.nan
        own = self.cells().variance[:, side]
        size, freedom = self.size[:, side], self.freedom[:, side]
        spread = own
        if bounded and used.sum() > 1:
            spread = np.zeros_like(own)
            spread[used] = steadied(own[used], size[used])
        parts = (share**2 * spread)[used]
        variance = float(parts.sum())
        if self.straddles:
            moved = self._unit_totals(side, share)
            variance += float(moved @ moved - (share**2 * own)[used].sum())
            variance = max(variance, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = parts.sum() ** 2 / np.nansum(parts**2 / np.maximum(freedom[used], 1e-9))
            whole = 1 / (share[used] ** 2 / size[used]).sum()
        if not parts.sum() > 0:
            degrees = freedom[used].sum()
        if self.straddles:
            degrees = min(degrees, self.n_units - 1)
        return Moments(
            *(np.asarray(x, dtype=np.float64) for x in (value, variance, degrees, whole))
        )

    def correlation(self, first: tuple[int, Floats], second: tuple[int, Floats]) -> float:
        """Correlation of two weighted averages, each given as (side, shares).

        Returns:
            Value in [-1, 1]; 0 where either does not vary.
        """
        one, other = self._unit_totals(*first), self._unit_totals(*second)
        scale = float(np.sqrt((one @ one) * (other @ other)))
        return float(np.clip(one @ other / scale, -1, 1)) if scale > 0 else 0.0

    def _unit_totals(self, side: int, share: Floats) -> Floats:
        """How far each unit moves a weighted average of groups."""
        moved = share[self.group] * self.total[:, side]
        return sums(self.unit, self.n_units, moved) if self.straddles else moved


def sample(
    metric: Metric,
    data: Prepared,
    *,
    group: Integers,
    n_groups: int,
    side: Integers | None = None,
    n_sides: int = 1,
    unit: Integers | None = None,
    weight: Floats | None = None,
) -> Sampling:
    """Evaluate a metric by group and side and sum influences over units.

    Args:
        metric: The metric.
        data: Its prepared target and prediction, n rows.
        group: Group of each row, shape (n,).
        n_groups: Number of groups.
        side: Side of each row, shape (n,); all on side 0 when absent.
        n_sides: Number of sides, 1 or 2.
        unit: Independent unit of each row in [0, units), shape (n,); each row when absent.
        weight: Sample weights, shape (n,).

    Returns:
        Values with the influence of each unit.

    Cost: one evaluation of the metric, and a few passes over n numbers.
    """
    n = len(group)
    cell = group * n_sides + side if side is not None else group
    n_cells = n_groups * n_sides
    own_unit = np.arange(n) if unit is None else unit
    scores = metric.evaluate(data, weight, cell, n_cells, own_unit)
    if scores.unit is not None:
        unit = own_unit = scores.unit
    part, part_unit, part_group, straddles = _parts(unit, group, n_groups, n)
    n_parts = len(part_group)
    slot = part * n_sides + side if side is not None else part
    rows = sums(cell, n_cells).reshape(n_groups, n_sides)
    size = scores.size.reshape(n_groups, n_sides)
    single, units = True, rows
    if unit is not None:
        present = np.bincount(slot, minlength=n_parts * n_sides).reshape(n_parts, n_sides)
        single = bool(present.max(initial=0) <= 1)
        units = np.stack([sums(part_group, n_groups, s * 1.0) for s in (present > 0).T], axis=1)
    correction = scores.correction if single else _by_units(scores.stratum, cell, own_unit)
    influence = scores.influence * np.sqrt(correction)
    plain = unit is None and side is None
    total = influence if plain else sums(slot, n_parts * n_sides, influence)
    total = total.reshape(n_parts, n_sides)
    if not single:
        # Units replace rows: the size shrinks as the number of independent pieces does.
        pieces = _kish(slot, part_group, n_groups, n_sides, weight)
        whole = (
            rows if weight is None else effective_size(cell, n_cells, weight).reshape(rows.shape)
        )
        size = size * np.minimum(pieces / np.maximum(whole, 1e-300), 1.0)
    reasons = tuple(
        tuple(scores.reason[g * n_sides + s] for s in range(n_sides)) for g in range(n_groups)
    )
    value = scores.value.reshape(n_groups, n_sides)
    n_units = n if unit is None else int(own_unit.max()) + 1
    found = Sampling(
        value,
        total,
        part_unit,
        part_group,
        n_units,
        straddles,
        size,
        np.maximum(units - 1, 0),
        rows,
        units,
        reasons,
    )
    return _binomial(found) if metric.scale == "proportion" else found


def _binomial(found: Sampling) -> Sampling:
    """Mark variances that follow from the value: those of units that are all right or all wrong."""
    expected = found.value * (1 - found.value)
    plain = np.isclose(found.cells().variance * (found.size - 1), expected, rtol=1e-9, atol=1e-12)
    return replace(found, freedom=np.where(plain, KNOWN, found.freedom))


def _parts(
    unit: Integers | None, group: Integers, n_groups: int, n: int
) -> tuple[Integers, Integers, Integers, bool]:
    """Number the distinct (unit, group) pairs: part of each row, unit and group of each part."""
    if unit is None:
        rows = np.arange(n)
        return rows, rows, group, False
    n_units = int(unit.max()) + 1 if n else 0
    home = np.zeros(n_units, dtype=np.int64)
    home[unit] = group
    if np.array_equal(home[unit], group):
        return unit, np.arange(n_units), home, False
    keys, part = np.unique(unit * n_groups + group, return_inverse=True)
    return part, keys // n_groups, keys % n_groups, True


def _by_units(stratum: Integers | None, cell: Integers, unit: Integers) -> Floats:
    """Correction k / (k - 1) of each row, with k the units that have rows in its stratum."""
    where = cell if stratum is None else stratum
    n = int(where.max(initial=0)) + 1
    units = sums(np.unique(unit * n + where) % n, n)
    return np.where(units > 1, units / np.maximum(units - 1, 1), 1.0)[where]


def _kish(
    slot: Integers, part_group: Integers, n_groups: int, n_sides: int, weight: Floats | None
) -> Floats:
    """Effective number of units behind each cell: (sum of weights)^2 / sum of squares."""
    n_parts = len(part_group)
    mass = sums(slot, n_parts * n_sides, weight).reshape(n_parts, n_sides)
    whole = np.stack([sums(part_group, n_groups, m) for m in mass.T], axis=1)
    square = np.stack([sums(part_group, n_groups, m**2) for m in mass.T], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, whole**2 / square, 0.0)
