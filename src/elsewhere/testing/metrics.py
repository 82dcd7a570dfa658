"""What every metric promises, as checks on one metric and some rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Key, Objects
from elsewhere.core.errors import InputError
from elsewhere.core.metrics import Evaluated, Metric, Prepared

Check: TypeAlias = tuple[str, Callable[[], None]]

N_CELLS = 3
"""Cells over which the rows are dealt."""

DERIVATIVES = 24
"""Rows whose influence is compared with a numerical derivative."""

EXACT = 1e-9
"""Tolerance, relative and absolute, of numbers that should differ by rounding only."""


def check_metric(
    metric: Metric,
    *,
    y: Any,
    prediction: Any,
    classes: Sequence[Key] | None = None,
    best: Any = None,
    seed: int = 0,
) -> None:
    """Check that a metric keeps what its interface promises.

    Args:
        metric: The metric.
        y: Target, shape (n,) or (n, labels), with at least 100 rows and 40 of each class, so that
            each of three cells has a value; None for a metric that takes no target.
        prediction: Predictions of the kind that the metric needs, neither all right nor useless.
        classes: Classes in the order of probability columns, where y may lack some.
        best: A prediction that no other can beat; derived from `y` when absent and possible.
        seed: Seed of the weights, cells and orders that are tried.

    Raises:
        AssertionError: A promise does not hold; the message says which, and by how much.

    Cost: about 100 evaluations of the metric.
    """
    for _, check in metric_checks(
        metric, y=y, prediction=prediction, classes=classes, best=best, seed=seed
    ):
        check()


def metric_checks(
    metric: Metric,
    *,
    y: Any,
    prediction: Any,
    classes: Sequence[Key] | None = None,
    best: Any = None,
    seed: int = 0,
) -> Iterator[Check]:
    """List the checks of `check_metric` one by one, for test runners that report each.

    Args:
        metric: The metric.
        y: Target.
        prediction: Predictions.
        classes: Classes in the order of probability columns.
        best: A prediction that no other can beat.
        seed: Seed.

    Yields:
        Name of a check and a function without arguments that runs it.
    """
    rows = _Rows(
        metric,
        None if y is None else np.asarray(y),
        np.asarray(prediction),
        classes,
        best,
        np.random.default_rng(seed),
    )
    for check in (
        _shapes_and_reasons,
        _bounds,
        _repeats,
        _row_order,
        _cells_apart,
        _weights_as_copies,
        _equal_weights,
        _zero_weights,
        _influence_sums,
        _influence_slopes,
        _float32,
        _layouts,
        _inputs_kept,
        _global_state,
        _one_row,
        _empty_cell,
        _direction,
    ):
        yield check.__name__.strip("_"), partial(check, rows)


@dataclass(eq=False)
class _Rows:
    """A metric with rows to try it on."""

    metric: Metric
    y: Objects | None
    prediction: Objects
    classes: Sequence[Key] | None
    best: Any
    rng: np.random.Generator
    _cell: Integers = field(init=False)
    _weight: Floats = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.prediction)
        self._cell = self.rng.permutation(n) % N_CELLS
        self._weight = self.rng.integers(1, 4, n).astype(np.float64)

    # Copies, so that a metric that writes into its arguments spoils no other check.
    @property
    def cell(self) -> Integers:
        return self._cell.copy()

    @property
    def weight(self) -> Floats:
        return self._weight.copy()

    @property
    def n(self) -> int:
        return len(self.prediction)

    @property
    def unit(self) -> Integers:
        return np.arange(self.n)

    def prepared(self) -> Prepared:
        return self.metric.prepare(self.y, self.prediction, self.classes)

    def weights(self) -> list[Floats | None]:
        """No weights, and weights if the metric takes any."""
        try:
            self.evaluate(self.weight)
        except InputError as error:
            if error.argument == "weight":
                return [None]
            raise
        return [None, self.weight]

    def evaluate(self, weight: Floats | None = None, data: Prepared | None = None) -> Evaluated:
        found = data or self.prepared()
        return self.metric.evaluate(found, weight, self.cell, N_CELLS, self.unit)

    def say(self, promise: str) -> str:
        return f"metric {self.metric.name!r}: {promise}"


def _take(data: Prepared, rows: Objects) -> Prepared:
    return replace(data, y=data.y[rows], prediction=data.prediction[rows])


def _close(found: Any, expected: Any, message: str, tolerance: float = EXACT) -> None:
    """Compare numbers, with the largest difference in the message."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    same = np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not same.all():
        where = int(np.flatnonzero(~same)[0])
        raise AssertionError(
            f"{message} ({int((~same).sum())} of {same.size} differ; at {where} "
            f"{found.ravel()[where]:.10g} came, {expected.ravel()[where]:.10g} was expected)"
        )


def _true(holds: bool, message: str) -> None:
    """Fail with a message, also when Python runs without assertions."""
    if not holds:
        raise AssertionError(message)


def _shapes_and_reasons(rows: _Rows) -> None:
    """One value, size and reason a cell, one influence and correction a row; NaN with a reason."""
    for weight in rows.weights():
        found = rows.evaluate(weight)
        for name, length in (
            ("value", N_CELLS),
            ("size", N_CELLS),
            ("influence", rows.n),
            ("correction", rows.n),
        ):
            array = getattr(found, name)
            _true(
                isinstance(array, np.ndarray)
                and array.shape == (length,)
                and array.dtype == np.float64,
                rows.say(f"{name} must be a float64 array of shape ({length},)"),
            )
        _true(len(found.reason) == N_CELLS, rows.say(f"reason must have {N_CELLS} entries"))
        _true(bool(np.isfinite(found.influence).all()), rows.say("influences must be finite"))
        for value, reason in zip(found.value, found.reason, strict=True):
            _true(
                np.isfinite(value) != bool(reason),
                rows.say(f"a value is finite or has a reason, not {value} with {reason!r}"),
            )
        _true(
            bool(np.isfinite(found.value).any()),
            rows.say(f"no cell has a value on these rows: {found.reason[0]}"),
        )


def _bounds(rows: _Rows) -> None:
    """Proportions and areas lie between 0 and 1."""
    if rows.metric.scale == "real":
        return
    value = rows.evaluate().value
    inside = np.isnan(value) | ((value >= -EXACT) & (value <= 1 + EXACT))
    _true(
        bool(inside.all()),
        rows.say(f"scale {rows.metric.scale!r} means values in [0, 1], not {value}"),
    )


def _repeats(rows: _Rows) -> None:
    """The same rows give the same bits."""
    first, second = rows.evaluate(), rows.evaluate()
    for name in ("value", "influence", "correction", "size"):
        one, other = getattr(first, name), getattr(second, name)
        _true(
            np.array_equal(one, other, equal_nan=True),
            rows.say(f"{name} differs between two evaluations of the same rows"),
        )


def _row_order(rows: _Rows) -> None:
    """Rows in another order change nothing but the order of influences."""
    order = rows.rng.permutation(rows.n)
    for weight in rows.weights():
        data = rows.prepared()
        plain = rows.evaluate(weight, data)
        mixed = rows.metric.evaluate(
            _take(data, order),
            None if weight is None else weight[order],
            rows.cell[order],
            N_CELLS,
            order,
        )
        _close(mixed.value, plain.value, rows.say("values depend on the order of rows"))
        _close(
            mixed.influence,
            plain.influence[order],
            rows.say("influences depend on the order of rows"),
        )


def _cells_apart(rows: _Rows) -> None:
    """A cell's numbers do not depend on what else is evaluated beside it."""
    data = rows.prepared()
    for weight in rows.weights():
        together = rows.evaluate(weight, data)
        for c in range(N_CELLS):
            own = np.flatnonzero(rows.cell == c)
            alone = rows.metric.evaluate(
                _take(data, own),
                None if weight is None else weight[own],
                np.zeros(len(own), dtype=np.int64),
                1,
                own,
            )
            _close(
                alone.value[0],
                together.value[c],
                rows.say("a cell's value changes with the cells evaluated beside it"),
            )
            if together.unit is None:
                _close(
                    alone.influence,
                    together.influence[own],
                    rows.say("a cell's influences change with the cells evaluated beside it"),
                )


def _weights_as_copies(rows: _Rows) -> None:
    """A row of weight 3 counts as three rows."""
    if len(rows.weights()) == 1:
        return
    data = rows.prepared()
    weighted = rows.evaluate(rows.weight, data)
    copies = np.repeat(np.arange(rows.n), rows.weight.astype(np.int64))
    repeated = rows.metric.evaluate(_take(data, copies), None, rows.cell[copies], N_CELLS, copies)
    _close(weighted.value, repeated.value, rows.say("a weight of k differs from k equal rows"))
    if weighted.unit is None:
        _close(
            weighted.influence,
            np.bincount(copies, repeated.influence),
            rows.say("the influence of a row of weight k differs from that of k equal rows"),
        )


def _equal_weights(rows: _Rows) -> None:
    """Weights that are all equal change nothing."""
    if len(rows.weights()) == 1:
        return
    plain, weighted = rows.evaluate(), rows.evaluate(np.full(rows.n, 0.25))
    for name in ("value", "influence", "size"):
        _close(
            getattr(weighted, name),
            getattr(plain, name),
            rows.say(f"{name} changes when every row has weight 0.25"),
        )


def _zero_weights(rows: _Rows) -> None:
    """Rows of weight 0 do not count."""
    if len(rows.weights()) == 1:
        return
    data, kept = rows.prepared(), rows.rng.random(rows.n) > 0.1
    zeroed = rows.evaluate(rows.weight * kept, data)
    own = np.flatnonzero(kept)
    left = rows.metric.evaluate(_take(data, own), rows.weight[own], rows.cell[own], N_CELLS, own)
    _close(zeroed.value, left.value, rows.say("rows of weight 0 change the value"))
    if zeroed.unit is None:
        _close(zeroed.influence[~kept], 0.0, rows.say("rows of weight 0 have an influence"))
        _close(
            zeroed.correction[kept],
            left.correction,
            rows.say("rows of weight 0 change the correction of the others"),
        )
        _close(zeroed.size, left.size, rows.say("rows of weight 0 change the size"))
    lost = rows.weight * (rows.cell != 0)
    found = rows.evaluate(lost, data)
    _true(
        bool(np.isnan(found.value[0]) and found.reason[0]),
        rows.say(f"a cell of rows of weight 0 gives {found.value[0]} with {found.reason[0]!r}"),
    )


def _influence_sums(rows: _Rows) -> None:
    """Influences of a cell add up to 0."""
    for weight in rows.weights():
        total = np.bincount(rows.cell, rows.evaluate(weight).influence, minlength=N_CELLS)
        _close(total, 0.0, rows.say("the influences of a cell must add up to 0"))


def _influence_slopes(rows: _Rows) -> None:
    """An influence is the derivative of the value by the row's weight, times the weight."""
    if len(rows.weights()) == 1:
        return
    data = rows.prepared()
    for weight in (np.ones(rows.n), rows.weight):
        found = rows.evaluate(weight, data)
        if found.unit is not None:  # folds left out in turn: no derivative
            return
        if (weight == 1).all():
            plain = rows.evaluate(None, data)
            _close(
                plain.influence,
                found.influence,
                rows.say("influences without weights differ from those with weights of 1"),
            )
        for row in rows.rng.choice(rows.n, min(DERIVATIVES, rows.n), replace=False):
            c, ends = rows.cell[row], []
            for step in (1e-4, -1e-4):
                moved = weight.copy()
                moved[row] *= 1 + step
                ends.append(rows.evaluate(moved, data).value[c])
            _close(
                found.influence[row],
                (ends[0] - ends[1]) / 2e-4,
                rows.say(f"the influence of row {row} is not the derivative by its weight"),
                1e-7,
            )


def _float32(rows: _Rows) -> None:
    """Computation is in float64 whatever the input's width."""
    if rows.prediction.dtype.kind != "f":
        return
    small = rows.prediction.astype(np.float32)

    def value(prediction: Objects) -> Floats:
        data = rows.metric.prepare(rows.y, prediction, rows.classes)
        return rows.evaluate(None, data).value

    _close(
        value(small),
        value(small.astype(np.float64)),
        rows.say("float32 predictions and the same numbers as float64 differ"),
        1e-13,
    )


def _layouts(rows: _Rows) -> None:
    """Read-only and strided input gives the same numbers."""

    def strided(values: Objects) -> Objects:
        wide = np.repeat(values, 2, axis=0)[::2]
        wide.flags.writeable = False
        return wide

    def everything(change: Callable[[Objects], Objects]) -> Evaluated:
        y = None if rows.y is None else change(rows.y)
        data = rows.metric.prepare(y, change(rows.prediction), rows.classes)
        return rows.metric.evaluate(data, None, change(rows.cell), N_CELLS, change(rows.unit))

    plain = rows.evaluate()
    try:
        found = everything(strided)
    except ValueError as error:
        raise AssertionError(rows.say(f"read-only input is written to ({error})")) from error
    _close(found.value, plain.value, rows.say("values differ on strided input"))
    _close(found.influence, plain.influence, rows.say("influences differ on strided input"))


def _inputs_kept(rows: _Rows) -> None:
    """What comes in is left as it was."""
    given: dict[str, Objects] = {
        "prediction": rows.prediction.copy(),
        "cell": rows.cell.copy(),
        "unit": rows.unit,
    }
    if rows.y is not None:
        given["y"] = rows.y.copy()
    weight = rows.weights()[-1]
    if weight is not None:
        given["weight"] = weight.copy()
    before = {name: values.copy() for name, values in given.items()}
    data = rows.metric.prepare(given.get("y"), given["prediction"], rows.classes)
    coded = (data.y.copy(), data.prediction.copy())
    rows.metric.evaluate(data, given.get("weight"), given["cell"], N_CELLS, given["unit"])
    for name, values in given.items():
        _true(bool((values == before[name]).all()), rows.say(f"argument {name} was changed"))
    _true(
        bool((data.y == coded[0]).all() and (data.prediction == coded[1]).all()),
        rows.say("the prepared data were changed by an evaluation"),
    )


def _global_state(rows: _Rows) -> None:
    """No draw from, and no seed of, the process's random generators."""
    kept = (random.getstate(), np.random.get_state())  # noqa: NPY002
    # A state that no earlier call can have left behind.
    random.seed(rows.rng.bytes(8))
    np.random.seed(rows.rng.integers(2**31))  # noqa: NPY002
    try:
        before = _global_draws_ahead()
        rows.evaluate()
        _true(_global_draws_ahead() == before, rows.say("the global random state was touched"))
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002


def _global_draws_ahead() -> tuple[Any, ...]:
    """Describe the state of the process's random generators."""
    state: Any = np.random.get_state()  # noqa: NPY002
    return random.getstate(), state[1].tobytes(), state[2:]


def _one_row(rows: _Rows) -> None:
    """A cell of one row has a value or a reason, and raises nothing."""
    data, cell = rows.prepared(), np.ones(rows.n, dtype=np.int64)
    cell[0] = 0
    found = rows.metric.evaluate(data, None, cell, 2, rows.unit)
    _true(
        np.isfinite(found.value[0]) != bool(found.reason[0]),
        rows.say(f"one row gives {found.value[0]} with reason {found.reason[0]!r}"),
    )
    _true(
        bool(np.isfinite(found.influence).all()),
        rows.say("influences must be finite beside a cell of one row"),
    )


def _empty_cell(rows: _Rows) -> None:
    """A cell without rows is NaN with a reason and leaves the others as they were."""
    plain = rows.evaluate()
    found = rows.metric.evaluate(rows.prepared(), None, rows.cell, N_CELLS + 1, rows.unit)
    _true(
        np.isnan(found.value[-1]) and bool(found.reason[-1]),
        rows.say(
            f"an empty cell gives {found.value[-1]} with reason {found.reason[-1]!r}, "
            "not NaN with a reason"
        ),
    )
    _close(found.value[:-1], plain.value, rows.say("an empty cell changes the others"))


def _direction(rows: _Rows) -> None:
    """The best prediction is at least as good as the given one, and better than a shuffled one."""
    best = rows.best if rows.best is not None else _best(rows)
    if best is None:
        return
    mixed = rows.prediction[rows.rng.permutation(rows.n)]
    top, given, low = (
        rows.metric.sign * rows.evaluate(None, rows.metric.prepare(rows.y, p, rows.classes)).value
        for p in (np.asarray(best), rows.prediction, mixed)
    )
    direction = "greater_is_better" if rows.metric.greater_is_better else "not greater_is_better"
    message = rows.say(f"{direction}, but a better prediction gets a worse value")
    _true(bool((top >= given - EXACT)[np.isfinite(top - given)].all()), message)
    if rows.metric.needs != "nothing":
        _true(bool(np.nanmean(top) > np.nanmean(low)), message)


def _best(rows: _Rows) -> Objects | None:
    """Derive a prediction that is right everywhere, where the kind of prediction allows it."""
    if rows.metric.needs == "nothing":
        return rows.prediction + 1.0
    if rows.metric.needs == "anything":
        return None
    if rows.metric.needs in ("label", "value"):
        return rows.y
    data = rows.prepared()
    if data.prediction.ndim == 1 or data.y.ndim == 2:
        return data.y.astype(np.float64)
    return (data.y[:, None] == np.arange(data.prediction.shape[1])).astype(np.float64)
