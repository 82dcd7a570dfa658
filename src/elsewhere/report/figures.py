"""Figures for notebooks and papers, with matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from elsewhere.report.choice import most_extreme
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import group_name, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from elsewhere.core.calibration import Calibration
    from elsewhere.core.gap_report import Grouping, GroupRow

MAX_GROUPS = 40
"""Groups of a forest plot."""

ACCENT, QUIET, TINT = "#0b5a73", "#77736a", "#d9e8ec"


def forest(grouping: Grouping, ax: Axes | None = None) -> Axes:
    """Draw each group's gap with its own and its joint interval, largest gap on top.

    Args:
        grouping: A grouping of a report, such as `report.headline`.
        ax: Axes to draw on; new ones (through pyplot) when absent.

    Returns:
        The axes: a point for the gap, a thick line for its own interval, a thin one for the joint
        interval, a ring for the gap after partial pooling. At most 40 groups, those furthest from
        the average. Where no group has a gap, the values.
    """
    rows = most_extreme(grouping.rows, MAX_GROUPS)
    axes = _axes(ax, (6.4, 1.2 + 0.26 * max(len(rows), 1)))
    has_gap = bool(rows) and math.isfinite(rows[0].gap)
    places = [float(len(rows) - 1 - i) for i in range(len(rows))]
    if has_gap:
        if two_sided(grouping) and math.isfinite(grouping.gap.low):
            axes.axvspan(grouping.gap.low, grouping.gap.high, color=TINT, lw=0, zorder=0)
        axes.axvline(0, color="black", lw=0.8, zorder=1)
        _lines(axes, places, rows, ("joint_low", "joint_high"), color=QUIET, lw=0.9)
    _lines(
        axes,
        places,
        rows,
        ("gap_low", "gap_high") if has_gap else ("low", "high"),
        color=ACCENT,
        lw=2.4,
    )
    values = [row.gap if has_gap else row.value for row in rows]
    axes.plot(values, places, "o", color=ACCENT, ms=5, zorder=4)
    if has_gap:
        axes.plot(
            [row.shrunk for row in rows],
            places,
            "o",
            mfc="white",
            mec="black",
            ms=4,
            mew=0.9,
            zorder=5,
        )
    axes.set_yticks(places, [_plain(group_name(row.key, 40)) for row in rows])
    axes.set_xlabel("gap" if has_gap else _plain(shorten(grouping.gap.metric, 40)))
    axes.set_ylabel(_plain(shorten(grouping.name, 40)))
    _bare(axes)
    return axes


def reliability(calibration: Calibration, ax: Axes | None = None) -> Axes:
    """Draw a reliability curve: observed shares against predicted probabilities.

    Args:
        calibration: Calibration of a report, such as `model.calibrations[0].calibration`.
        ax: Axes to draw on; new ones (through pyplot) when absent.

    Returns:
        The axes, with an interval for each bin and the diagonal on which both are equal.
    """
    axes = _axes(ax, (4.4, 4.4))
    curve = calibration.curve
    top = max((b.high for b in curve if math.isfinite(b.high)), default=1.0)
    top = max(top, *(b.predicted for b in curve), *(b.observed for b in curve), 1e-6)
    axes.plot([0, top], [0, top], color=QUIET, lw=0.9, ls=(0, (2, 3)), zorder=1)
    predicted = [b.predicted for b in curve]
    axes.vlines(predicted, [b.low for b in curve], [b.high for b in curve], color=ACCENT, lw=1.4)
    axes.plot(predicted, [b.observed for b in curve], "o-", color=ACCENT, ms=4, lw=1.4)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed share")
    axes.set_aspect("equal")
    _bare(axes)
    return axes


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Take the given axes, or make a figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def _lines(
    axes: Axes,
    places: list[float],
    rows: list[GroupRow],
    ends: tuple[str, str],
    *,
    color: str,
    lw: float,
) -> None:
    """Draw one interval a group."""
    low, high = ([getattr(row, end) for row in rows] for end in ends)
    axes.hlines(places, low, high, color=color, lw=lw, zorder=2)


def _plain(text: str) -> str:
    """Keep matplotlib from reading a formula between dollar signs."""
    return text.replace("$", r"\$")


def _bare(axes: Axes) -> None:
    """Take away the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)
