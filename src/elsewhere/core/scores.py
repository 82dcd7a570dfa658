"""Predictions with what is known of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elsewhere.core.arrays import Floats, Key, Objects, as_array
from elsewhere.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions on one side of a shift.

    Args:
        prediction: Labels, scores or numbers, shape (n,); or one column for each class or label,
            shape (n, k). Without `y`, each row's own score, higher is better.
        y: Target, shape (n,), or (n, labels) of 0 and 1.
        group: Origin of each row (site, month, language), shape (n,). One group when absent.
        block: What belongs together (patient, day), shape (n,). Each row by itself when absent.
        weight: Sample weights >= 0, shape (n,).
        row: Identity of each row, shape (n,). Rows with the same identity on both sides of a
            gap are paired.
        classes: Classes in the order of the prediction's columns, where y may lack some.

    Raises:
        InputError: Lengths that differ, missing values, negative weights, repeated rows.

    Example:
        >>> Scored([1, 0, 1], y=[1, 0, 0], group=["a", "a", "b"]).n
        3
    """

    prediction: Any
    y: Any = None
    group: Any = None
    block: Any = None
    weight: Any = None
    row: Any = None
    classes: Sequence[Key] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "prediction", as_array(self.prediction, "prediction", columns=True))
        n = len(self.prediction)
        for name in ("y", "group", "block", "weight", "row"):
            given = getattr(self, name)
            if given is None:
                continue
            array = as_array(given, name, columns=name == "y")
            if len(array) != n:
                raise InputError(name, f"has {len(array)} rows", f"{n}, one for each prediction")
            set_field(self, name, array)
        if self.weight is not None:
            set_field(self, "weight", _weights(self.weight))

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.prediction)

    def at(self, rows: Objects) -> Scored:
        """Select rows.

        Args:
            rows: Indices or a mask.

        Returns:
            The same fields at these rows.
        """

        def pick(values: Any) -> Any:
            return None if values is None else values[rows]

        return Scored(
            pick(self.prediction),
            pick(self.y),
            pick(self.group),
            pick(self.block),
            pick(self.weight),
            pick(self.row),
            self.classes,
        )


def _weights(given: Objects) -> Floats:
    """Take weights as finite numbers, none negative, some positive."""
    try:
        weight = given.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError("weight", f"holds {given[0]!r}", "numbers >= 0") from None
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InputError("weight", "holds negative or infinite values", "numbers >= 0")
    if len(weight) and not weight.any():
        raise InputError("weight", "is 0 in every row", "a positive weight in some row")
    return weight
