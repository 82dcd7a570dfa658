"""What every measure promises, as checks on one function and some rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from elsewhere.core.arrays import Objects

Check: TypeAlias = tuple[str, Callable[[], None]]
Side: TypeAlias = Mapping[str, Any]

EXACT = 1e-9
"""Tolerance, relative and absolute, of numbers that should differ by rounding only."""


def check_measure(
    measure: Callable[..., Any],
    *sides: Side,
    by_row: Sequence[str] = (),
    tolerance: float = EXACT,
    seed: int = 0,
    **settings: Any,
) -> None:
    """Check that a measure on arrays keeps what its kind promises.

    Args:
        measure: A function that takes arrays by name and gives a frozen dataclass, its headline
            number first. Wrap functions that take something else.
        *sides: For each side of a shift its arguments, one entry a row each, by name. The rows of
            a side belong together; sides may differ in length.
        by_row: Fields of the answer with one entry a row, sides in the order given.
        tolerance: Relative and absolute difference that counts as rounding.
        seed: Seed of the orders that are tried.
        **settings: Other arguments of the measure.

    Raises:
        AssertionError: A promise does not hold; the message says which, and by how much.

    Cost: about 8 calls of the measure.

    Example:
        >>> from elsewhere.measures.forecasts import importance_weighted_loss
        >>> rng = np.random.default_rng(0)
        >>> check_measure(
        ...     importance_weighted_loss,
        ...     {"loss_here": rng.normal(size=50), "probability_of_elsewhere": rng.random(50)},
        ... )
    """
    for _, check in measure_checks(
        measure, *sides, by_row=by_row, tolerance=tolerance, seed=seed, **settings
    ):
        check()


def measure_checks(
    measure: Callable[..., Any],
    *sides: Side,
    by_row: Sequence[str] = (),
    tolerance: float = EXACT,
    seed: int = 0,
    **settings: Any,
) -> Iterator[Check]:
    """List the checks of `check_measure` one by one, for test runners that report each.

    Args:
        measure: The function.
        *sides: Arguments of each side, one entry a row.
        by_row: Fields of the answer with one entry a row.
        tolerance: Difference that counts as rounding.
        seed: Seed.
        **settings: Other arguments of the measure.

    Yields:
        Name of a check and a function without arguments that runs it.
    """
    given = tuple({name: np.asarray(v) for name, v in side.items()} for side in sides)
    trial = _Trial(measure, given, tuple(by_row), tolerance, settings, np.random.default_rng(seed))
    for check in (
        _answer,
        _repeats,
        _row_order,
        _float32,
        _layouts,
        _inputs_kept,
        _global_state,
    ):
        yield check.__name__.strip("_"), partial(check, trial)


@dataclass(frozen=True, eq=False)
class _Trial:
    """A measure with rows to try it on."""

    measure: Callable[..., Any]
    sides: tuple[dict[str, Objects], ...]
    by_row: tuple[str, ...]
    tolerance: float
    settings: Mapping[str, Any]
    rng: np.random.Generator

    def run(self, change: Callable[[Objects], Objects] = np.copy) -> Any:
        """Call the measure on changed copies of its arguments."""
        given = {name: change(v) for side in self.sides for name, v in side.items()}
        return self.measure(**given, **self.settings)

    def say(self, promise: str) -> str:
        name = getattr(self.measure, "__name__", repr(self.measure))
        return f"measure {name!r}: {promise}"


def _answer(trial: _Trial) -> None:
    """A frozen dataclass whose first field is a finite number, or an array of them."""
    found = trial.run()
    frozen = is_dataclass(found) and not isinstance(found, type)
    params: Any = getattr(type(found), "__dataclass_params__", None)
    if not frozen or not params.frozen:
        raise AssertionError(trial.say("the answer must be a frozen dataclass"))
    first = fields(found)[0].name
    value = getattr(found, first)
    if not isinstance(value, float | int | np.ndarray) or not np.isfinite(value).all():
        raise AssertionError(
            trial.say(f"the first field, {first}, must be the headline number, not {value!r}")
        )


def _repeats(trial: _Trial) -> None:
    """The same rows give the same bits."""
    _same(trial.run(), trial.run(), trial.say("two calls on the same rows differ"), 0.0)


def _row_order(trial: _Trial) -> None:
    """Rows in another order change nothing but the order of entries by row."""
    plain = trial.run()
    given: dict[str, Objects] = {}
    orders: list[Objects] = []
    start = 0
    for side in trial.sides:
        n = len(next(iter(side.values())))
        order = trial.rng.permutation(n)
        orders.append(start + order)
        start += n
        given |= {name: v[order] for name, v in side.items()}
    mixed = trial.measure(**given, **trial.settings)
    where = np.concatenate(orders)
    for field in fields(plain):
        one, other = getattr(plain, field.name), getattr(mixed, field.name)
        if field.name in trial.by_row:
            one = np.asarray(one)[where]
        message = trial.say(f"{field.name} depends on the order of rows")
        _same(other, one, message, trial.tolerance)


def _float32(trial: _Trial) -> None:
    """Computation is in float64 whatever the input's width."""

    def narrow(values: Objects) -> Objects:
        return values.astype(np.float32) if values.dtype.kind == "f" else values.copy()

    def rounded(values: Objects) -> Objects:
        return narrow(values).astype(values.dtype)

    message = trial.say("float32 input and the same numbers as float64 differ")
    _same(trial.run(narrow), trial.run(rounded), message, trial.tolerance)


def _layouts(trial: _Trial) -> None:
    """Read-only and strided input gives the same numbers."""

    def strided(values: Objects) -> Objects:
        wide = np.repeat(values, 2, axis=0)[::2]
        wide.flags.writeable = False
        return wide

    try:
        found = trial.run(strided)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise AssertionError(trial.say(f"read-only input is written to ({error})")) from error
    message = trial.say("the answer differs on strided input")
    _same(found, trial.run(), message, trial.tolerance)


def _inputs_kept(trial: _Trial) -> None:
    """What comes in is left as it was."""
    given = {name: v.copy() for side in trial.sides for name, v in side.items()}
    trial.measure(**given, **trial.settings)
    for side in trial.sides:
        for name, before in side.items():
            _same(given[name], before, trial.say(f"argument {name} was changed"), 0.0)


def _global_state(trial: _Trial) -> None:
    """No draw from, and no seed of, the process's random generators."""
    kept = (random.getstate(), np.random.get_state())  # noqa: NPY002
    # A state that no earlier call can have left behind.
    random.seed(trial.rng.bytes(8))
    np.random.seed(trial.rng.integers(2**31))  # noqa: NPY002
    try:
        before = _draws_ahead()
        trial.run()
        if _draws_ahead() != before:
            raise AssertionError(trial.say("the global random state was touched"))
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002


def _draws_ahead() -> tuple[Any, ...]:
    """Describe the state of the process's random generators."""
    state: Any = np.random.get_state()  # noqa: NPY002
    return random.getstate(), state[1].tobytes(), state[2:]


def _same(found: Any, expected: Any, message: str, tolerance: float) -> None:
    """Compare answers field by field, with the largest difference in the message."""
    if is_dataclass(expected) and not isinstance(expected, type):
        for field in fields(expected):
            _same(
                getattr(found, field.name),
                getattr(expected, field.name),
                f"{message}, in {field.name}",
                tolerance,
            )
        return
    if isinstance(expected, tuple | list):
        if len(found) != len(expected):
            raise AssertionError(f"{message}: {len(found)} entries and not {len(expected)}")
        for one, other in zip(found, expected, strict=True):
            _same(one, other, message, tolerance)
        return
    one, other = np.asarray(found), np.asarray(expected)
    if one.shape != other.shape:
        raise AssertionError(f"{message}: shape {one.shape} and not {other.shape}")
    if other.dtype.kind != "f":
        if not bool(np.all(one == other)):
            raise AssertionError(f"{message}: {found!r} and not {expected!r}")
        return
    close = np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not close.all():
        gap = np.abs(one - other)[~close].max()
        raise AssertionError(f"{message}: {int((~close).sum())} numbers, by up to {gap:.3g}")
