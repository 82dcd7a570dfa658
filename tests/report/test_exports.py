from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import factory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport
from elsewhere.report import render, to_csv, to_junit, to_latex
from elsewhere.report.tables import COLUMNS, MAX_LATEX_ROWS

NAN = float("nan")
TEXT_COLUMNS = ("model", "grouping", "group", "metric", "reason", "rate")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def lines_of(report: GapReport) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(report), newline="")))


def named(name: str) -> GapReport:
    grouping = factory.grouping_of(names=[name, "other"], extras=False)
    return factory.report_of((factory.model_of("m", (grouping,), calibrated=False),))


def test_csv_has_one_line_for_each_model_grouping_and_group():
    report = factory.full()
    lines = lines_of(report)
    expected = sum(len(g.rows) for m in report.models for g in m.groupings) + sum(
        len(m.intersections) for m in report.models
    )
    assert len(lines) == expected
    assert to_csv(report).count("\r\n") == to_csv(report).count("\n") == expected + 1
    assert tuple(lines[0]) == COLUMNS
    first = report.headline.rows[0]
    assert float(lines[0]["gap"]) == pytest.approx(first.gap)
    assert float(lines[0]["joint_low"]) == pytest.approx(first.joint_low)
    assert lines[0]["group"] == "2013-01"
    assert lines[0]["calibration_error"] != ""


def test_csv_keeps_negative_numbers_as_numbers_and_missing_ones_empty():
    report = factory.full()
    lines = lines_of(report)
    negative = [line["gap_low"] for line in lines if line["gap_low"].startswith("-")]
    assert negative
    assert all(float(value) < 0 for value in negative)
    missing = next(line for line in lines if line["group"] == "2014-02")
    assert missing["value"] == missing["gap"] == ""
    assert missing["rate"] == "recall"
    assert float(missing["rate_value"]) == 0.61


def test_csv_numbers_are_those_of_the_json():
    report = factory.small()
    again = GapReport.from_json(report.to_json())
    assert to_csv(again) == to_csv(report)


@given(ANY_TEXT)
def test_csv_cells_run_nothing_whatever_the_name(name):
    lines = lines_of(named(name))
    assert len(lines) == 6
    for line in lines:
        for column in TEXT_COLUMNS:
            assert not line[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_csv_names_of_numbers_stay_numbers():
    grouping = factory.grouping_of(names=[-1, 2.5, "-1"], extras=False)
    report = factory.report_of((factory.model_of("m", (grouping,), calibrated=False),))
    assert [line["group"] for line in lines_of(report)][:3] == ["-1", "2.5", "'-1"]


def test_latex_escapes_what_latex_would_read():
    text = to_latex(factory.hostile())
    assert r"100\% \& \$5\_x \#1 \{y\} \textasciitilde{}z \textasciicircum{}w" in text
    assert r"a/b\textbackslash{}c" in text
    assert "👩\u200d⚕️ clinic 🏥" in text
    assert r"two\textbackslash{}nlines" in text
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().split("\n")
    assert len(body) == len(factory.HOSTILE)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == 6
        assert line.endswith(r" \\")
        assert not re.search(r"(?<!\\)[%#_~]", line)
        assert line.count("{") == line.count("}")


@given(ANY_TEXT)
def test_latex_lines_keep_their_shape_whatever_the_name(name):
    text = to_latex(named(name))
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip("\n").split("\n")
    assert len(body) == 2
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == 6
        assert not line.startswith(("[", "*"))


def test_latex_shows_the_worst_groups_of_many():
    grouping = factory.grouping_of("site", [f"site {i}" for i in range(500)])
    text = to_latex(factory.report_of((factory.model_of("m", (grouping,)),)))
    assert text.count(r" \\") == MAX_LATEX_ROWS + 1
    assert f"The worst {MAX_LATEX_ROWS} of 500 groups." in text


def cases(report: GapReport) -> dict[str, ET.Element]:
    suite = ET.fromstring(to_junit(report)).find("testsuite")
    assert suite is not None
    return {case.get("name", ""): case for case in suite}


def test_junit_fails_where_the_whole_joint_interval_is_too_high():
    report = replace(factory.full(), negligible=0.05)
    found = cases(report)
    assert found["headline gap"].find("failure") is not None
    for row in report.headline.rows:
        case = found[f"month={row.key[0][1]}"]
        assert (case.find("failure") is not None) == (row.joint_low > 0.05)
        assert (case.find("skipped") is not None) == bool(row.reason)
    skipped = found["month=2014-01"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "fewer than 10 rows of a class"


def test_junit_passes_where_the_gap_is_small_enough():
    report = replace(factory.full(), negligible=0.5)
    assert all(case.find("failure") is None for case in cases(report).values())


def test_junit_skips_a_headline_without_a_number():
    found = cases(factory.unusual(NAN))
    skipped = found["headline gap"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "nothing to compare"


def test_junit_counts_its_cases():
    root = ET.fromstring(to_junit(factory.full()))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [
        "boosting by month",
        "boosting by carrier",
        "logistic by month",
        "logistic by carrier",
    ]
    for suite in suites:
        assert int(suite.get("tests", "")) == len(suite)
        assert int(suite.get("failures", "")) == len(suite.findall("*/failure"))
        assert int(suite.get("skipped", "")) == len(suite.findall("*/skipped"))
    assert int(root.get("tests", "")) == sum(len(suite) for suite in suites)


@given(ANY_TEXT)
def test_junit_is_xml_whatever_the_name(name):
    ET.fromstring(render(named(name), ".xml"))


@pytest.mark.parametrize("suffix", [".html", ".json", ".csv", ".tex", ".xml"])
def test_render_knows_every_suffix_and_is_repeatable(suffix):
    for make in (factory.full, factory.one_sided):
        content = render(make(), suffix)
        assert content
        assert content == render(make(), suffix.upper())


@pytest.mark.parametrize("suffix", [".pdf", "html", "", ".htm"])
def test_render_names_the_known_suffixes(suffix):
    with pytest.raises(InputError, match=r"\.html, \.json, \.csv, \.tex, \.xml"):
        render(factory.small(), suffix)


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, elsewhere.report; "
        "print([m for m in ('pandas', 'torch', 'matplotlib', 'rich', 'jinja2') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_needs_neither_pandas_nor_matplotlib():
    code = (
        "import sys; sys.path.insert(0, 'tests/report'); import factory; "
        "from elsewhere.report import render; render(factory.small(), '.html'); "
        "print([m for m in ('pandas', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
