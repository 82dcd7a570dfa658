from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import factory
import pytest
from rich.cells import cell_len
from rich.console import Console

from elsewhere.report import show

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport


def printed(
    report: GapReport,
    width: int = 100,
    *,
    terminal: bool = False,
    color: bool = False,
    encoding: str = "utf-8",
) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(
        file=stream,
        width=width,
        force_terminal=terminal,
        legacy_windows=False,
        color_system="truecolor" if color else None,
    )
    show(report, console)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_first_line_is_the_headline_in_files_of_any_width(width):
    for report in (factory.small(), factory.full(), factory.one_sided()):
        lines = printed(report, width).split("\n")
        assert lines[0] == report.first_line()
        assert (
            " ".join("".join(lines).split())
            .replace(" ", "")
            .find(report.verdict().replace(" ", ""))
            >= 0
        )


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120])
@pytest.mark.parametrize("make", [factory.full, factory.hostile])
def test_terminals_of_any_width_are_kept(width, make):
    text = printed(make(), width, terminal=True)
    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert "…]" not in text
    assert not re.search(r"\[-?\d\.\d*…", text)


def test_only_the_most_extreme_groups_are_listed():
    grouping = factory.grouping_of("site", [f"site-{i:04d}" for i in range(300)])
    text = printed(factory.report_of((factory.model_of("m", (grouping,)),)))
    assert len(re.findall(r"site-\d{4} ", text)) == 20
    assert "20 of 300 groups" in text
    best = min(grouping.rows, key=lambda row: row.shrunk)
    assert str(best.key[0][1]) in text


def test_worst_other_groupings_change_and_notes_follow():
    text = printed(factory.full())
    assert "worst: not distinguishable: 3 groups" in text
    assert "logistic by carrier: gap 0.009 [-0.003, 0.021]" in text
    assert "change since the earlier report: -0.042 [-0.060, -0.024]" in text
    assert "note: 2 rows without a score were left out." in text
    assert "2 groups have no value" in text


def test_names_neither_style_nor_steer_the_terminal():
    for color in (False, True):
        text = printed(factory.hostile(), 200, terminal=color, color=color)
        assert "[bold red]markup[/bold red]" in text
        assert r"\x1b[31m" in text
        assert r"two\nlines" in text
        assert "\x1b[31m" not in text
        assert "\x1b[2J" not in text
        assert not set(text) & set("\x00\x07\r\u202e")


def test_plain_output_has_no_escape_sequences():
    assert "\x1b" not in printed(factory.full())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_outputs_that_lack_a_sign_get_an_escape(encoding):
    text = printed(factory.hostile(), encoding=encoding)
    assert "gap 0.100 [0.080, 0.120]" in text


def test_reports_without_numbers_are_shown():
    text = printed(factory.unusual(float("nan")))
    assert "No answer" in text
    assert "12 groups have no value" in text
