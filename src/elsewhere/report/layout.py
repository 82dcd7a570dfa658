"""The parts a page is made of, and how much of everything fits on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elsewhere.core.gap_report import GapReport
from elsewhere.report.words import THIN_SPACE, Numbers, group_name, isolate, plural, shorten

if TYPE_CHECKING:
    from elsewhere.core.gap_report import Grouping, GroupKey, GroupRow, ModelAudit, Value


@dataclass(frozen=True)
class Limits:
    """How much of a report a page shows.

    Args:
        rows: Most rows of a table.
        bars: Most groups of a figure.
        sections: Most groupings shown in full, over all models.
        name: Most characters of a name.
    """

    rows: int
    bars: int
    sections: int
    name: int


@dataclass(frozen=True)
class Column:
    """Head of a table's column.

    Args:
        title: What it says.
        number: Whether it holds numbers, which stand right and sort by size.
        order: "ascending" or "descending" where the table comes sorted by this column.
    """

    title: str
    number: bool = True
    order: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell: the main text, and a quieter addition such as the interval."""

    text: str
    extra: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a number and a title; the first cell of a row is its name.

    Args:
        number: Number on the page.
        title: What the table holds.
        columns: Heads.
        rows: Cells by row.
        left_out: What is not shown, in a sentence; empty if everything is.
        note: How to read it; may be empty.
    """

    number: int
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: str = ""
    note: str = ""


@dataclass(frozen=True)
class Fact:
    """A term with its number or sentence.

    Args:
        term: What it is.
        text: The number or sentence.
        extra: A quieter addition beside it, such as the interval.
        more: A remark under it.
        main: Whether it is the number to look at first.
        is_range: Whether the text is an interval and not one number.
    """

    term: str
    text: str
    extra: str = ""
    more: str = ""
    main: bool = False
    is_range: bool = False


@dataclass(frozen=True)
class Context:
    """What every part of the page needs to write itself.

    Args:
        report: The report.
        limits: How much is shown.
        numbers: Writer of numbers.
        figures: Numbers of figures.
        tables: Numbers of tables.
        plain: Whether right-to-left names go without isolates, which terminals would show.
    """

    report: GapReport
    limits: Limits
    numbers: Numbers
    figures: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    tables: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    plain: bool = False

    def group(self, key: GroupKey) -> str:
        """Name a group, for a cell of its own."""
        return group_name(key, self.limits.name)

    def group_in_text(self, key: GroupKey) -> str:
        """Name a group inside a sentence, where a bare number would read as a count."""
        if len(key) == 1 and key[0][0] and _is_number(key[0][1]):
            key = (("", f"{key[0][0]} {key[0][1]}"),)
        return self._isolate(group_name(key, min(self.limits.name, 60)))

    def name(self, value: Value) -> str:
        """Name a column or another thing, for a cell of its own; never blank."""
        return group_name((("", value),), self.limits.name)

    def text(self, value: object) -> str:
        """Write a name or a setting inside a sentence."""
        return self._isolate(shorten(value, self.limits.name))

    def long_text(self, value: object) -> str:
        """Write a sentence that came with the report."""
        return self._isolate(shorten(value, 6 * self.limits.name))

    def grouping(self, grouping: Grouping) -> str:
        """Name a grouping inside a sentence."""
        return self._isolate(shorten(grouping.name, min(self.limits.name, 60)))

    def model(self, model: ModelAudit) -> str:
        """Name a model inside a sentence."""
        return self._isolate(shorten(model.name, min(self.limits.name, 60)))

    def of_model(self, model: ModelAudit) -> str:
        """Name a model at the end of a title, where there are several."""
        return f", model {self.model(model)}" if len(self.report.models) > 1 else ""

    def gap(self, row: GroupRow) -> str:
        """Write a group's gap with its own interval."""
        return self.numbers.both(row.gap, row.gap_low, row.gap_high)

    def plural(self, n: int, one: str, many: str = "") -> str:
        """Write a count with its noun, with this reader's space between thousands."""
        return plural(n, one, many).replace(THIN_SPACE, self.numbers.thousands)

    def few(self, names: Sequence[str], most: int = 3) -> str:
        """List some names and count the others."""
        more = len(names) - most
        return ", ".join(names[:most]) + (
            f" and {self.plural(more, 'more', 'more')}" if more > 0 else ""
        )

    def _isolate(self, text: str) -> str:
        """Keep right-to-left text from reordering the sentence around it."""
        return text if self.plain else isolate(text)

    @property
    def level(self) -> str:
        """The confidence level as text."""
        return f"{100 * self.report.level:g}\u00a0%"


def _is_number(value: Value) -> bool:
    """Whether a group's value is a number, or text of digits only."""
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isdecimal()
    )
