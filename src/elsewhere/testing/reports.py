"""What every report promises, whoever made it."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from elsewhere.core.calibration import Bin, Calibration
from elsewhere.core.gap_report import Change, Comparison, Distance, GapReport, GroupRow, Rate
from elsewhere.core.gaps import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDING = 1e-9
"""Size of rounding in a report read back at ten digits, in units of the numbers compared."""


def check_report(report: GapReport) -> None:
    """Check that a report keeps what its fields promise.

    Args:
        report: A report, made in this process or read from a file.

    Raises:
        AssertionError: A promise does not hold; the message names the field.

    Example:
        >>> from elsewhere.core.gap_report import GapReport
        >>> check_report(GapReport("table", "accuracy", True, 0.95, 0.0, 0, ()))
    """
    _json(report)
    for where, part in _parts(report, "report"):
        if isinstance(part, Gap):
            _gap(part, where, greater_is_better=report.greater_is_better)
        elif isinstance(part, GroupRow):
            _row(part, where, greater_is_better=report.greater_is_better)
        elif isinstance(part, Distance | Comparison):
            _known(part.estimate, part.reason, where)
            _inside(part.low, part.estimate, part.high, where, "estimate")
        elif isinstance(part, Change):
            _inside(part.low, part.estimate, part.high, where, "estimate")
            _equal(part.now - part.before, part.estimate, f"{where}: estimate is now minus before")
        elif isinstance(part, Calibration):
            _calibration(part, where)
        elif isinstance(part, Bin):
            _inside(part.low, part.observed, part.high, where, "observed")
        elif isinstance(part, Rate):
            _inside(part.low, part.value, part.high, where, "value")


def _json(report: GapReport) -> None:
    """The JSON form is valid, sorted, and the same after reading it back."""
    text = report.to_json()

    def refuse(token: str) -> NoReturn:
        raise AssertionError(f"report: JSON holds {token}, which JSON does not have")

    def ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        _true(keys == sorted(keys), f"report: JSON keys are not sorted: {keys[:5]}")
        return dict(pairs)

    json.loads(text, parse_constant=refuse, object_pairs_hook=ordered)
    again = GapReport.from_json(text).to_json()
    if again != text:
        lines = zip(text.splitlines(), again.splitlines(), strict=False)
        first = next(((a, b) for a, b in lines if a != b), ("", "another number of lines"))
        raise AssertionError(
            f"report: JSON changes when read back: {first[0].strip()} became {first[1].strip()}"
        )


def _parts(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Walk over every dataclass in the report, with its place in words."""
    if is_dataclass(value):
        yield where, value
        for f in fields(value):
            yield from _parts(getattr(value, f.name), f"{where}.{f.name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _parts(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _parts(item, f"{where}[{key!r}]")


def _gap(gap: Gap, where: str, *, greater_is_better: bool) -> None:
    """Positive means worse elsewhere; limits hold their values; what is missing has a reason."""
    sign = 1 if greater_is_better else -1
    _known(gap.estimate, gap.reason, where)
    _known(gap.next_low + gap.next_high, gap.reason, f"{where}.next", infinite=True)
    _equal(
        sign * (gap.here - gap.elsewhere),
        gap.estimate,
        f"{where}: a positive gap means worse elsewhere",
    )
    _inside(gap.low, gap.estimate, gap.high, where, "estimate")
    _inside(gap.here_low, gap.here, gap.here_high, where, "here")
    _inside(gap.elsewhere_low, gap.elsewhere, gap.elsewhere_high, where, "elsewhere")
    _inside(gap.next_low, gap.estimate, gap.next_high, where, "estimate (next group)")
    _true(0 < gap.level < 1, f"{where}: level is {gap.level}")
    _true(min(*gap.n_rows, gap.n_blocks, gap.n_groups) >= 0, f"{where}: a count is negative")
    _true(bool(gap.method), f"{where}: no method is named")


def _row(row: GroupRow, where: str, *, greater_is_better: bool) -> None:
    """The same promises for one group, and wider limits for all groups together."""
    sign = 1 if greater_is_better else -1
    _known(row.value, row.reason, where)
    _known(row.gap, row.reason, f"{where}.gap")
    _equal(sign * (row.here - row.value), row.gap, f"{where}: a positive gap means a worse group")
    _inside(row.low, row.value, row.high, where, "value")
    _inside(row.gap_low, row.gap, row.gap_high, where, "gap")
    _inside(row.joint_low, row.gap_low, row.joint_high, where, "gap_low (joint)")
    _inside(row.joint_low, row.gap_high, row.joint_high, where, "gap_high (joint)")
    _inside(row.shrunk_low, row.shrunk, row.shrunk_high, where, "shrunk")
    for name, p in (("p", row.p), ("q", row.q)):
        _true(math.isnan(p) or 0 <= p <= 1, f"{where}: {name} is {p}, outside [0, 1]")
    _inside(row.p, row.q, 1.0, where, "q (at least p)")
    _true(row.n_rows >= row.n_blocks >= 0, f"{where}: more blocks than rows")


def _calibration(found: Calibration, where: str) -> None:
    """Error and bias lie in their limits, and the curve rises in predicted probability."""
    _known(found.error, found.reason, where)
    _inside(found.low, found.error, found.high, where, "error")
    _inside(found.bias_low, found.bias, found.bias_high, where, "bias")
    predicted = [each.predicted for each in found.curve]
    _true(predicted == sorted(predicted), f"{where}: the curve does not rise in probability")


def _known(value: float, reason: str, where: str, *, infinite: bool = False) -> None:
    """A number is finite, or there is a reason."""
    finite = math.isfinite(value) or (infinite and math.isinf(value))
    _true(finite or bool(reason), f"{where}: {value} without a reason")


def _inside(low: float, value: float, high: float, where: str, name: str) -> None:
    """Limits hold their value; NaN limits hold nothing and are judged elsewhere."""
    if math.isnan(low) or math.isnan(value) or math.isnan(high):
        return
    slack = ROUNDING * max(1.0, abs(value))
    _true(
        low - slack <= value <= high + slack,
        f"{where}: {name} {value} lies outside its interval [{low}, {high}]",
    )


def _equal(expected: float, value: float, message: str) -> None:
    """Two numbers agree up to rounding; NaN agrees with everything and is judged elsewhere."""
    if math.isnan(expected) or math.isnan(value):
        return
    slack = ROUNDING * max(1.0, abs(value))
    _true(abs(expected - value) <= slack, f"{message} ({expected} expected, {value} came)")


def _true(holds: bool, message: str) -> None:
    """Fail with a message, also when Python runs without assertions."""
    if not holds:
        raise AssertionError(message)
