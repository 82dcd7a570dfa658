from __future__ import annotations

from dataclasses import replace

import factory
import factory_fits
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from elsewhere.core.calibration import calibration
from elsewhere.report.choice import most_extreme, worst_first
from elsewhere.report.drawing import Axis, Mark, Moment, axis_for, forest, nice_step, series
from elsewhere.report.figures import forest as plot_forest
from elsewhere.report.figures import ladder as plot_ladder
from elsewhere.report.figures import reliability as plot_reliability
from elsewhere.report.figures import transfer as plot_transfer

NAN = float("nan")


def test_forest_draws_every_group_in_order():
    grouping = factory.grouping_of(extras=False)
    figure = Figure()
    axes = plot_forest(grouping, figure.subplots())
    names = [label.get_text() for label in axes.get_yticklabels()]
    by_gap = sorted(grouping.rows, key=lambda row: -row.gap)
    assert names == [str(row.key[0][1]) for row in by_gap]
    heights = axes.get_yticks()
    assert list(heights) == sorted(heights, reverse=True)
    points = next(line for line in axes.lines if line.get_color() == "#0b5a73")
    np.testing.assert_allclose(np.asarray(points.get_xdata(), float), [r.gap for r in by_gap])
    figure.canvas.draw()


def test_figures_draw_names_that_look_like_formulas():
    grouping = factory.grouping_of("$x", ["$a$", "b_1", "$\\frac", "c^2"])
    figure = Figure()
    plot_forest(grouping, figure.subplots())
    figure.canvas.draw()


def test_figures_without_axes_open_one_and_with_axes_touch_no_global_state(monkeypatch):
    monkeypatch.setattr(mpl, "rcParams", mpl.rcParams)
    mpl.use("agg")
    from matplotlib import pyplot as plt

    plt.close("all")
    figure = Figure()
    found = calibration(np.arange(400) % 2, np.linspace(0, 1, 400))
    plot_forest(factory.grouping_of(), figure.subplots())
    plot_reliability(found, figure.add_subplot())
    report = factory_fits.fitted()
    plot_ladder(report.models, figure.add_subplot())
    plot_transfer(factory_fits.transfer_of("site", list("abc")), figure.add_subplot())
    assert plt.get_fignums() == []
    plot_forest(factory.grouping_of())
    plot_reliability(found)
    assert len(plt.get_fignums()) == 2
    plt.close("all")


def test_ladders_are_drawn_under_each_other():
    report = factory_fits.fitted()
    figure = Figure()
    axes = plot_ladder(report.models, figure.subplots())
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["random rows", "unseen date", "unseen month", "later"]
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == [m.name for m in report.models]
    for model in report.models:
        line = next(line for line in axes.lines if line.get_label() == model.name)
        values = [rung.gap.elsewhere for rung in model.ladder]
        np.testing.assert_allclose(np.asarray(line.get_xdata(), float), values)
    markers = {line.get_marker() for line in axes.lines if str(line.get_label())[:1] != "_"}
    assert len(markers) == 2
    figure.canvas.draw()
    alone = plot_ladder(report.models[0], Figure().subplots())
    assert alone.get_legend() is None


@pytest.mark.parametrize("n", [1, 3, 16, 17])
def test_a_matrix_is_drawn_as_given(n):
    found = factory_fits.transfer_of("site", [f"$s_{i}" for i in range(n)])
    figure = Figure()
    axes = plot_transfer(found, figure.subplots())
    (image,) = axes.images
    np.testing.assert_allclose(np.asarray(image.get_array(), float), found.value)
    assert len(axes.patches) == n
    assert len(axes.texts) == (n * n if n <= 16 else 0)
    figure.canvas.draw()


def test_figures_of_nothing_are_empty():
    figure = Figure()
    empty = replace(factory.grouping_of(), rows=())
    plot_forest(empty, figure.subplots())
    plot_reliability(calibration(np.ones(3, np.int64), np.ones(3)), figure.add_subplot())
    plot_ladder(factory_fits.nothing_known().models, figure.add_subplot())
    plot_ladder((), figure.add_subplot())
    void = factory_fits.nothing_known().headline.transfer
    assert void is not None
    plot_transfer(void, figure.add_subplot())
    figure.canvas.draw()


def test_worst_first_prefers_gaps_that_are_not_chance():
    small = factory.row_of((("g", "small"),), 0.5, 0.6)
    sure = factory.row_of((("g", "sure"),), 0.2, 0.01)
    rows = [
        replace(small, shrunk=0.05),
        replace(sure, shrunk=0.19),
        factory.row_of((("g", "good"),), -0.1, 0.01),
    ]
    assert [r.key[0][1] for r in worst_first(rows, 1, greater_is_better=True)] == ["sure"]
    assert [r.key[0][1] for r in worst_first(rows, 3, greater_is_better=True)] == [
        "small",
        "sure",
        "good",
    ]


def test_worst_first_puts_groups_without_numbers_last():
    value_only = replace(factory.row_of((("g", "value"),), 0.1, 0.1), gap=NAN, shrunk=NAN)
    rows = [
        factory.empty_row((("g", "none"),)),
        value_only,
        factory.row_of((("g", "gap"),), -0.5, 0.1),
    ]
    names = [r.key[0][1] for r in worst_first(rows, 9, greater_is_better=True)]
    assert names == ["gap", "value", "none"]


def test_most_extreme_takes_both_ends():
    rows = [factory.row_of((("g", i),), i / 100, 0.01) for i in range(101)]
    chosen = [row.key[0][1] for row in most_extreme(rows, 4)]
    assert chosen == [100, 99, 1, 0]


floats = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=30))
def test_every_estimate_is_inside_the_figure(values):
    marks = [Mark("", "", point, min(a, b), max(a, b)) for point, a, b in values]
    axis = axis_for(marks, [0.0])
    assert axis.low < axis.high
    for point, _, _ in values:
        assert axis.low <= point <= axis.high
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) + 1e-9 for tick, _ in axis.ticks())
    drawn = forest(1, "t", "d", marks)
    for bar in drawn.bars:
        assert bar.line is not None
        assert 0 <= bar.line[0] <= bar.line[1] <= 100


def test_an_interval_beyond_the_figure_is_marked():
    marks = [Mark("", "", i / 100, i / 100 - 0.01, i / 100 + 0.01) for i in range(10)]
    marks.append(Mark("", "", 0.05, -80.0, 90.0))
    drawn = forest(1, "t", "d", marks)
    assert [bar.cut_left for bar in drawn.bars] == [False] * 10 + [True]
    assert [bar.cut_right for bar in drawn.bars] == [False] * 10 + [True]
    assert axis_for(marks).high < 1


def test_positions_follow_values():
    axis = Axis(0.0, 1.0)
    assert [axis.at(v) for v in (-9.0, 0.0, 0.5, 1.0, 9.0)] == [0.0, 2.0, 50.0, 98.0, 100.0]
    assert [text for _, text in axis.ticks()] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


@pytest.mark.parametrize(("size", "step"), [(0.11, 0.2), (0.2, 0.2), (3, 5), (70, 100), (1, 1)])
def test_steps_are_round(size, step):
    assert nice_step(size) == pytest.approx(step)


def test_a_line_breaks_where_there_is_no_value():
    moments = [Moment(str(i), NAN if i == 2 else 0.5 + i / 10, 0.4, 0.9, NAN) for i in range(5)]
    drawn = series(1, "t", "d", moments, names=("elsewhere", ""))
    assert drawn.line.count("M") == 2
    assert drawn.other == ""
    assert len(drawn.points) == 4
    assert [name for _, name in drawn.labels] == ["0", "2", "4"]
