"""Figures for notebooks and papers, with matplotlib."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from elsewhere.report.choice import most_extreme
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import group_name, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.patches import Patch

    from elsewhere.core.calibration import Calibration
    from elsewhere.core.gap_report import Grouping, GroupRow, ModelAudit
    from elsewhere.core.shifts import Transfer

MAX_GROUPS = 40
"""Groups of a forest plot."""

MAX_WRITTEN = 16
"""Groups up to which a matrix has its numbers in its cells."""

MARKERS = (("o", "-"), ("D", "--"), ("s", ":"), ("^", "-."))
"""Sign and line of each model of a ladder, in turn."""

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


def ladder(models: ModelAudit | Sequence[ModelAudit], ax: Axes | None = None) -> Axes:
    """Draw what models show on random rows, on unseen blocks, on unseen groups and later.

    Args:
        models: A model of a report, or several, such as `report.models`; those without a ladder
            are passed over.
        ax: Axes to draw on; new ones (through pyplot) when absent.

    Returns:
        The axes: a row a step, from random rows on top; for each model a sign for its value, a
        line for its interval and a thin line from step to step. Later rows stand apart, with a
        tick for what random rows show on the same rows.
    """
    from elsewhere.core.gap_report import ModelAudit

    given = [models] if isinstance(models, ModelAudit) else list(models)
    shown = [model for model in given if model.ladder]
    names = list(dict.fromkeys(rung.name for model in shown for rung in model.ladder))
    axes = _axes(ax, (6.4, 1.2 + 0.55 * max(len(names), 1)))
    for i, model in enumerate(shown):
        marker, style = MARKERS[i % len(MARKERS)]
        color = ACCENT if i == 0 else "black" if i == 1 else QUIET
        shift = 0.18 * (i - (len(shown) - 1) / 2)
        places = {name: len(names) - 1 - k - shift for k, name in enumerate(names)}
        together = [rung for rung in model.ladder if rung.name != "later" or rung.lowest]
        axes.step(
            [rung.gap.elsewhere for rung in together],
            [places[rung.name] for rung in together],
            ls=style,
            color=color,
            lw=1,
            where="pre",
            zorder=1,
        )
        for rung in model.ladder:
            gap, at = rung.gap, places[rung.name]
            axes.hlines(at, gap.elsewhere_low, gap.elsewhere_high, color=color, lw=2.4, zorder=2)
            if rung not in together:
                axes.plot(gap.here, at, "|", color=color, ms=9, zorder=3)
        axes.plot(
            [rung.gap.elsewhere for rung in model.ladder],
            [places[rung.name] for rung in model.ladder],
            ls="",
            marker=marker,
            color=color,
            mfc=color if i == 0 else "white",
            ms=6,
            zorder=4,
            label=_plain(shorten(model.name, 40)),
        )
    axes.set_yticks(
        [float(len(names) - 1 - k) for k in range(len(names))],
        [_plain(shorten(name, 40)) for name in names],
    )
    if shown:
        axes.set_xlabel(_plain(shorten(shown[0].ladder[0].gap.metric, 40)))
    if len(shown) > 1:
        axes.legend(frameon=False, loc="best")
    _bare(axes)
    return axes


def transfer(found: Transfer, ax: Axes | None = None) -> Axes:
    """Draw the scores of models of one group each on every group.

    Args:
        found: A transfer matrix of a report, such as `report.headline.transfer`.
        ax: Axes to draw on; new ones (through pyplot) when absent.

    Returns:
        The axes: a row for the group trained on, a column for the group tested on, in the
        matrix's order, with lines between its clusters and the diagonal outlined; numbers in the
        cells up to 16 groups, else a colour bar.
    """
    import numpy as np

    n = len(found.keys)
    axes = _axes(ax, (1.6 + 0.5 * min(n, 16), 1.4 + 0.5 * min(n, 16)))
    values = np.array(found.value, dtype=np.float64).reshape(n, n)
    image = axes.imshow(np.ma.masked_invalid(values), cmap=_shades(), zorder=0)
    names = [_plain(group_name(key, 24)) for key in found.keys]
    axes.set_xticks(range(n), names, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    for k, (before, after) in enumerate(pairwise(found.cluster)):
        if before != after:
            axes.axhline(k + 0.5, color="white", lw=4, zorder=1)
            axes.axvline(k + 0.5, color="white", lw=4, zorder=1)
    for k in range(n):
        axes.add_patch(_outline(k))
    if n <= MAX_WRITTEN:
        for i, j in np.argwhere(np.isfinite(values)).tolist():
            axes.text(j, i, f"{values[i, j]:.3f}", ha="center", va="center", fontsize=7, zorder=3)
    elif (figure := axes.get_figure()) is not None:
        figure.colorbar(image, ax=axes, shrink=0.7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return axes


def _shades() -> Colormap:
    """From nearly white to a colour on which black letters can be read."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("elsewhere", ["#f3f5f4", "#6c9dab"])


def _outline(k: int) -> Patch:
    """Outline a cell of the diagonal."""
    from matplotlib.patches import Rectangle

    return Rectangle((k - 0.47, k - 0.47), 0.94, 0.94, fill=False, ec="black", lw=1.1, zorder=2)


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
