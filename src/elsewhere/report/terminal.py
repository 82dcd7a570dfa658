"""A summary for a terminal: the answer first, then the groups that matter most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from elsewhere.report.causes import summed_up
from elsewhere.report.choice import most_extreme
from elsewhere.report.forecasting import advised
from elsewhere.report.in_short import in_short
from elsewhere.report.ladder import ladder_line
from elsewhere.report.layout import Context, Limits
from elsewhere.report.progress import progressed
from elsewhere.report.words import group_name, numbers_for, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from elsewhere.core.gap_report import GapReport, Grouping, GroupRow

MAX_GROUPS = 20
"""Groups listed; the others are counted."""

MAX_NAME = 60
"""Characters of a name; narrow terminals cut more."""

MIN_NAME = 14
"""Characters that a name keeps: numbers make way, in the order of `_YIELDING`."""

MAX_LINE = 2000
"""Characters of a sentence that came with the report."""

_YIELDING = ("joint interval", "rows", "value", "interval")
"""Columns that narrow terminals go without, the first one first; the gap always stays."""


def show(report: GapReport, console: Console | None = None) -> None:
    """Print the headline, the verdict, the most extreme groups, the worst group and the notes.

    Where the report says why there is a gap and what closes it, four lines on that stand under the
    verdict. Where models were fitted, the ladder of each follows, and a line each on why groups
    are worse and on the forecast to trust.

    Names never act: markup, control characters and line breaks in them are shown as text.

    Args:
        report: The report.
        console: Where to print; standard output when absent.
    """
    from rich.console import Console

    out = console or Console()
    # Into a file or a pipe the headline stays one line; a terminal wraps it between words.
    out.print(inert_text(out, report.first_line(), "bold"), soft_wrap=not out.is_terminal)
    out.print(inert_text(out, report.verdict()))
    context = Context(
        report,
        Limits(rows=MAX_GROUPS, bars=MAX_GROUPS, sections=MAX_GROUPS, name=MAX_NAME),
        numbers_for(report, plain=True),
        plain=True,
    )
    for line in in_short(context):
        out.print(inert_text(out, f"{_lower(line.term)}: {line.text}"))
    for line in _shifts(context):
        out.print(inert_text(out, line))
    rows = most_extreme(report.headline.rows, MAX_GROUPS)
    if rows:
        out.print()
        out.print(_table(report, rows, out))
        out.print()
    for line, style in _lines(report, rows):
        out.print(inert_text(out, line, style))


def _shifts(context: Context) -> Iterator[str]:
    """Write the ladders, the causes, the forecasts and the pool of models, where there are any."""
    report = context.report
    ladders = [model for model in report.models if model.ladder]
    for model in ladders[:MAX_GROUPS]:
        yield ladder_line(context, model, shorten(model.name, MAX_NAME))
    if len(ladders) > MAX_GROUPS:
        yield f"and {len(ladders) - MAX_GROUPS:,} more models"
    groupings = [grouping for model in report.models for grouping in model.groupings]
    for grouping in groupings:
        if grouping.decompositions:
            name = shorten(grouping.name, MAX_NAME)
            yield f"why by {name}: {_lower(summed_up(context, grouping.decompositions))}"
            break
    for grouping in groupings:
        if grouping.forecasts:
            name = shorten(grouping.name, MAX_NAME)
            yield f"forecasts by {name}: {_lower(advised(context, grouping.forecasts))}"
            break
    if report.pool is not None:
        yield f"many models: {_lower(' '.join(progressed(context, report.pool)))}"


def _lower(sentence: str) -> str:
    """Start a sentence that goes on after a colon."""
    return sentence[:1].lower() + sentence[1:]


def inert_text(out: Console, line: str, style: str = "") -> Text:
    """Write a line without markup, in signs that the output can hold.

    Args:
        out: The terminal or pipe.
        line: The line.
        style: How it looks.

    Returns:
        The text.
    """
    from rich.text import Text

    shown = shorten(line, MAX_LINE)
    encoding = out.encoding
    return Text(shown.encode(encoding, "backslashreplace").decode(encoding), style=style)


def _lines(report: GapReport, rows: list[GroupRow]) -> Iterator[tuple[str, str]]:
    """Write what stands below the table, each line with its style."""
    for line in _left_out(report.headline, rows):
        yield line, "dim"
    reason = report.gap.reason
    if reason:
        yield f"{reason[:1].upper()}{reason[1:]}.", "dim"
    yield f"worst: {report.headline.worst_text}", ""
    for line in _others(report):
        yield line, ""
    for note in report.notes:
        yield f"note: {note}", ""


def _table(report: GapReport, rows: list[GroupRow], out: Console) -> Table:
    """Build the table of groups, with as many columns of numbers as the width allows."""
    from rich import box
    from rich.table import Table

    name = group_name(((report.headline.name, report.headline.name),), MAX_NAME)
    columns = _fitting(_columns(report, rows), out.width)
    room = max(out.width - _width(columns), 4)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    cut = "ellipsis" if out.encoding.lower().startswith("utf") else "crop"
    table.add_column(inert_text(out, name), no_wrap=True, overflow=cut, max_width=room)
    for head, _ in columns.values():
        table.add_column(inert_text(out, head), justify="right", no_wrap=True)
    for row, *cells in zip(rows, *(cells for _, cells in columns.values()), strict=True):
        table.add_row(*(inert_text(out, cell) for cell in (_name(row), *cells)))
    return table


_Columns: TypeAlias = dict[str, tuple[str, list[str]]]


def _width(columns: _Columns) -> int:
    """Width of the columns of numbers, with the three spaces before each."""
    return sum(max(map(len, [head, *cells])) + 3 for head, cells in columns.values())


def _fitting(columns: _Columns, width: int) -> _Columns:
    """Drop columns until a name has room beside them."""
    kept = dict(columns)
    for yielding in _YIELDING:
        if _width(kept) + MIN_NAME <= width:
            break
        if yielding == "interval":
            head, cells = kept["gap"]
            kept["gap"] = head, [cell.split(" ")[0] for cell in cells]
        else:
            del kept[yielding]
    return kept


def _name(row: GroupRow) -> str:
    """Name a group."""
    return group_name(row.key, MAX_NAME)


def _columns(report: GapReport, rows: list[GroupRow]) -> _Columns:
    """Write the columns of numbers, each with its head."""
    numbers = numbers_for(report, plain=True)
    return {
        "rows": ("rows", [f"{row.n_rows:,}" for row in rows]),
        "value": (shorten(report.metric, 16), [numbers.one(row.value) for row in rows]),
        "gap": ("gap", [numbers.both(row.gap, row.gap_low, row.gap_high) for row in rows]),
        "joint interval": (
            "joint interval",
            [numbers.interval(row.joint_low, row.joint_high) for row in rows],
        ),
    }


def _left_out(grouping: Grouping, rows: list[GroupRow]) -> list[str]:
    """Count the groups that are not listed."""
    has_gap = bool(rows) and math.isfinite(rows[0].gap)
    known = sum(math.isfinite(r.gap if has_gap else r.value) for r in grouping.rows)
    missing = len(grouping.rows) - known
    lines: list[str] = []
    if known > len(rows):
        lines.append(
            f"{len(rows)} of {known:,} groups: those furthest from the average after "
            "partial pooling"
        )
    if missing:
        lines.append(f"{missing:,} {'group has' if missing == 1 else 'groups have'} no value")
    return lines


def _others(report: GapReport) -> list[str]:
    """Write one line for every other model and grouping, and for the change."""
    numbers = numbers_for(report, plain=True)
    lines = [
        f"{shorten(model.name, MAX_NAME)} by {shorten(grouping.name, MAX_NAME)}: gap "
        f"{numbers.both(grouping.gap.estimate, grouping.gap.low, grouping.gap.high)}"
        for model in report.models
        for grouping in model.groupings
    ][1:]
    more = len(lines) - MAX_GROUPS
    lines = lines[:MAX_GROUPS] + ([f"and {more:,} more"] if more > 0 else [])
    if report.change is not None:
        change = report.change
        lines.append(
            f"change since the earlier report: "
            f"{numbers.both(change.estimate, change.low, change.high)}"
        )
    return lines
