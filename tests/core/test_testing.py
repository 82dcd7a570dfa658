"""Every published check passes on what is right and fails on what is broken."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reports import INF, NAN, report, row

import elsewhere.testing
from elsewhere.core.calibration import Bin
from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport, Rate
from elsewhere.core.metrics import Evaluated, Metric, get_metric
from elsewhere.core.metrics.additive import Additive, right
from elsewhere.testing import check_metric, check_report, metric_checks

N = 240
Y = np.random.default_rng(0).permutation(N) % 2
GUESS = np.where(np.random.default_rng(1).random(N) < 0.75, Y, 1 - Y)
SCORE = 0.4 * Y + 0.6 * np.random.default_rng(2).random(N)


class Accuracy(Additive):
    """A right metric to break."""

    def __init__(self, **changes: Any) -> None:
        settings = {"greater_is_better": True, "needs": "label", "scale": "proportion"} | changes
        super().__init__("broken", right, **settings)


class Identity(Metric):
    """Gives back what came, not values by cell."""

    def __init__(self) -> None:
        super().__init__("identity", greater_is_better=True, needs="label")

    def evaluate(self, data, weight, cell, n_cells, unit):
        p = data.prediction.astype(float)
        return Evaluated(p, p, p, p, ("",) * len(p))


class Constant(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        value = np.where(np.isnan(found.value), np.nan, 0.5)
        return replace(found, value=value, influence=np.zeros(len(cell)))


class FirstRows(Accuracy):
    """Later rows count more."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        w = np.linspace(1, 2, len(cell)) * (1 if weight is None else weight)
        return super().evaluate(data, w, cell, n_cells, unit)


class InfluenceByOrder(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, influence=np.sort(found.influence))


class Mixing(Accuracy):
    """All cells get the value of all rows."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        whole = super().evaluate(data, weight, np.zeros_like(cell), 1, unit)
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, value=np.where(np.isnan(found.value), np.nan, whole.value[0]))


class Unweighted(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        return super().evaluate(data, None, cell, n_cells, unit)


class CountsZeros(Accuracy):
    """Rows of weight 0 count as if they had a little."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        w = None if weight is None else np.where(weight == 0, 0.5, weight)
        return super().evaluate(data, w, cell, n_cells, unit)


class WeightSize(Accuracy):
    """The size is the sum of weights, whatever their unit."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return (
            found
            if weight is None
            else replace(found, size=np.bincount(cell, weight, minlength=n_cells))
        )


class Uncentred(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, influence=np.abs(found.influence))


class DoubleInfluence(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, influence=2 * found.influence)


class Narrow(Metric):
    """Computes in the width that comes."""

    def __init__(self) -> None:
        super().__init__("narrow", greater_is_better=True, needs="anything")

    def prepare(self, y, prediction, classes=None):
        return get_metric("mean_squared_error").prepare(y, np.asarray(prediction) ** 3)

    def evaluate(self, data, weight, cell, n_cells, unit):
        return get_metric("mean_squared_error").evaluate(data, weight, cell, n_cells, unit)


class Writing(Accuracy):
    """Sorts the caller's cells in place."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell.copy(), n_cells, unit)
        cell *= 1
        return found


class Mutating(Accuracy):
    """Clears the caller's weights or cells, where it may."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        if weight is not None and weight.flags.writeable:
            weight[:] = 1.0
        return found


class MutatingPrepared(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        data.prediction[:] = data.y
        return found


class Seeding(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        np.random.seed(0)  # noqa: NPY002
        return super().evaluate(data, weight, cell, n_cells, unit)


class Drawing(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        random.random()
        return super().evaluate(data, weight, cell, n_cells, unit)


class Noisy(Accuracy):
    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, value=found.value + 1e-6 * self.rng.normal())


class NoReason(Accuracy):
    """An empty cell is 0 without a word."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, value=np.nan_to_num(found.value), reason=("",) * n_cells)


class FewRows(Accuracy):
    """One row gives NaN without a reason."""

    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        few = np.bincount(cell, minlength=n_cells) == 1
        return replace(found, value=np.where(few, np.nan, found.value))


class SilentNan(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        value = found.value.copy()
        value[0] = np.nan
        return replace(found, value=value)


class Percent(Accuracy):
    def evaluate(self, data, weight, cell, n_cells, unit):
        found = super().evaluate(data, weight, cell, n_cells, unit)
        return replace(found, value=100 * found.value, influence=100 * found.influence)


BROKEN = [
    (Identity(), "shapes_and_reasons", "float64 array of shape"),
    (SilentNan(), "shapes_and_reasons", "a value is finite or has a reason"),
    (Percent(), "bounds", r"means values in \[0, 1\]"),
    (Noisy(), "repeats", "two evaluations of the same rows"),
    (FirstRows(), "row_order", "values depend on the order of rows"),
    (InfluenceByOrder(), "row_order", "influences depend on the order of rows"),
    (Mixing(), "cells_apart", "changes with the cells evaluated beside it"),
    (Unweighted(), "weights_as_copies", "a weight of k differs from k equal rows"),
    (WeightSize(), "equal_weights", "size changes when every row has weight 0.25"),
    (CountsZeros(), "zero_weights", "rows of weight 0 change the value"),
    (Uncentred(), "influence_sums", "must add up to 0"),
    (DoubleInfluence(), "influence_slopes", "is not the derivative by its weight"),
    (Narrow(), "float32", "float32 predictions and the same numbers as float64 differ"),
    (Writing(), "layouts", "read-only input is written to"),
    (Mutating(), "inputs_kept", "argument weight was changed"),
    (MutatingPrepared(), "inputs_kept", "prepared data were changed"),
    (Seeding(), "global_state", "global random state was touched"),
    (Drawing(), "global_state", "global random state was touched"),
    (FewRows(), "one_row", "one row gives nan with reason ''"),
    (NoReason(), "empty_cell", "an empty cell gives 0.0 with reason ''"),
    (Constant(), "direction", "a better prediction gets a worse value"),
    (Accuracy(greater_is_better=False), "direction", "not greater_is_better, but a better"),
]


def rows_for(metric: Metric) -> dict[str, Any]:
    return {"y": Y, "prediction": SCORE if isinstance(metric, Narrow) else GUESS}


@pytest.mark.parametrize(
    ("metric", "name", "message"), BROKEN, ids=[f"{type(m).__name__}-{n}" for m, n, _ in BROKEN]
)
def test_a_broken_metric_fails_the_check_made_for_it(
    metric: Metric, name: str, message: str
) -> None:
    checks = dict(metric_checks(metric, **rows_for(metric)))
    with pytest.raises(AssertionError, match=message):
        checks[name]()
    with pytest.raises(AssertionError):
        check_metric(metric, **rows_for(metric))


def test_every_check_has_a_metric_that_fails_it() -> None:
    names = [name for name, _ in metric_checks(Accuracy(), y=Y, prediction=GUESS)]
    assert set(names) == {name for _, name, _ in BROKEN}


def test_a_right_metric_passes_every_check() -> None:
    check_metric(Accuracy(), y=Y, prediction=GUESS)


def test_rows_that_say_nothing_are_refused() -> None:
    with pytest.raises(AssertionError, match="no cell has a value on these rows"):
        check_metric(get_metric("roc_auc"), y=Y[:30], prediction=SCORE[:30])


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(InputError, match="probabilities"):
        check_metric(get_metric("log_loss"), y=Y, prediction=SCORE * 3)


def with_gap(**changes: Any) -> GapReport:
    made = report()
    grouping = replace(made.headline, gap=replace(made.gap, **changes))
    return replace(made, models=(replace(made.models[0], groupings=(grouping,)),))


def with_row(**changes: Any) -> GapReport:
    made = report()
    grouping = replace(made.headline, rows=(row("A", **changes),))
    return replace(made, models=(replace(made.models[0], groupings=(grouping,)),))


def with_calibration(**changes: Any) -> GapReport:
    made = report()
    first = made.models[0].calibrations[0]
    first = replace(first, calibration=replace(first.calibration, **changes))
    return replace(made, models=(replace(made.models[0], calibrations=(first,)),))


def unsorted(self: GapReport) -> str:
    return '{"b": 1, "a": 2}'


BROKEN_REPORTS = {
    "a positive gap means worse": (with_gap(estimate=-0.59, low=-1.0, high=1.0, next_low=-1.0),),
    "lies outside its interval": (
        with_gap(low=0.9),
        with_gap(here_high=0.1),
        with_gap(elsewhere_low=0.99),
        with_gap(next_high=-0.9),
        with_row(low=0.75),
        with_row(gap_high=0.05),
        with_row(joint_low=0.05),
        with_row(joint_high=0.15),
        with_row(shrunk_high=0.01),
        with_row(q=0.001),
        with_row(rate=Rate("recall", 0.5, 0.6, 0.9, 0.5)),
        with_calibration(low=0.9),
        with_calibration(bias_high=-1.0),
        with_calibration(curve=(Bin(0.5, 0.4, 0.45, 0.5, 10),)),
    ),
    "without a reason": (
        with_gap(estimate=NAN, reason=""),
        with_gap(next_low=NAN, next_high=NAN),
        with_row(value=NAN),
        with_row(gap=NAN),
        with_row(gap=INF),
        with_calibration(error=NAN),
    ),
    "outside \\[0, 1\\]": (with_row(p=1.5, q=1.5),),
    "level is": (with_gap(level=95.0),),
    "a count is negative": (with_gap(n_blocks=-1),),
    "no method is named": (with_gap(method=""),),
    "more blocks than rows": (with_row(n_rows=3),),
    "does not rise": (
        with_calibration(curve=(Bin(0.5, 0.4, 0.3, 0.5, 9), Bin(0.2, 0.4, 0.3, 0.5, 9))),
    ),
    "now minus before": (replace(report(), change=replace(report().change, now=0.4)),),  # type: ignore[type-var]
}


@pytest.mark.parametrize(
    ("message", "broken"),
    [(message, broken) for message, each in BROKEN_REPORTS.items() for broken in each],
)
def test_a_broken_report_fails(message: str, broken: GapReport) -> None:
    with pytest.raises(AssertionError, match=message):
        check_report(broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"b": 1, "a": 2}', "keys are not sorted"), ('{"a": NaN}', "JSON holds NaN")],
)
def test_json_that_is_not_in_form_fails(
    monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr(GapReport, "to_json", lambda _: text)
    with pytest.raises(AssertionError, match=message):
        check_report(report())


def test_json_that_changes_when_read_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(report(), table="other")
    monkeypatch.setattr(GapReport, "from_json", lambda _: other)
    with pytest.raises(AssertionError, match="JSON changes when read back"):
        check_report(report())


def test_a_right_report_passes_also_when_read_back() -> None:
    check_report(report())
    check_report(GapReport.from_json(report().to_json()))
    check_report(replace(report(), greater_is_better=True, models=()))


def test_the_public_names_are_documented() -> None:
    for name in elsewhere.testing.__all__:
        assert getattr(elsewhere.testing, name).__doc__


@pytest.mark.parametrize(
    "options",
    [
        {"score": "score", "group": ["site", "sex"], "block": "patient"},
        {"prediction": "guess", "group": "site", "weight": "weight"},
        {"score": ["score", "other"], "group": "site", "metric": "log_loss", "block": "patient"},
        {"score": "score", "group": "patient"},
    ],
    ids=["areas", "weights", "two models", "groups of three rows"],
)
def test_audits_pass(table: Any, options: dict[str, Any]) -> None:
    found = elsewhere.audit(table, target="y", **options)
    check_report(found)
    check_report(GapReport.from_json(found.to_json()))
