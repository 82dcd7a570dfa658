from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import factory
import factory_fits
import pytest

from elsewhere.core.errors import InputError
from elsewhere.report import render, to_html
from elsewhere.report.page import LADDER, MAX_BYTES

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport

NAN = float("nan")
VOID = {"meta", "link", "br", "img", "input", "hr", "rect", "line", "circle", "path"}
KNOWN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "a",
    "header",
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "bdi",
    "main",
    "section",
    "dl",
    "div",
    "dt",
    "dd",
    "i",
    "b",
    "nav",
    "ul",
    "li",
    "span",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "rect",
    "line",
    "circle",
    "path",
    "text",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "footer",
    "script",
    "g",
    "details",
    "summary",
}


class Reader(HTMLParser):
    """Collects elements, attributes and visible text, and checks that elements nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def text_of(report: GapReport) -> str:
    return Reader(to_html(report)).text


REPORTS = [
    factory.small,
    factory.full,
    factory.one_sided,
    factory.hostile,
    factory_fits.fitted,
    factory_fits.many_groups,
    factory_fits.hostile_fits,
    factory_fits.nothing_known,
]


@pytest.mark.parametrize("make", REPORTS)
def test_page_is_one_file_that_loads_nothing(make):
    page = to_html(make())
    reader = Reader(page)
    assert {tag for tag, _ in reader.elements} <= KNOWN
    for tag, attributes in reader.elements:
        assert not {"src", "style", "srcset", "background"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize("make", REPORTS)
def test_policy_allows_exactly_the_inline_style_and_script(make):
    page = to_html(make())
    policy = next(
        a["content"]
        for t, a in Reader(page).elements
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (body,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("make", REPORTS)
def test_headings_go_down_one_level_at_a_time(make):
    levels = [int(t[1]) for t, _ in Reader(to_html(make())).elements if re.fullmatch("h[1-6]", t)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


@pytest.mark.parametrize("make", REPORTS)
def test_identifiers_are_unique_and_references_lead_somewhere(make):
    elements = Reader(to_html(make())).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)
        if "href" in attributes:
            assert (attributes["href"] or "")[1:] in ids


@pytest.mark.parametrize("make", REPORTS)
def test_tables_scroll_by_keyboard_and_figures_have_words(make):
    reader = Reader(to_html(make()))
    regions = [a for t, a in reader.elements if t == "div" and a.get("role") == "region"]
    tables = [a for t, a in reader.elements if t == "table" or a.get("class") == "heat"]
    assert len(regions) == len(tables) > 0
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] for a in regions)
    figures = [a for t, a in reader.elements if t == "svg" and a.get("role") == "img"]
    assert figures
    assert all(a["aria-labelledby"] and a["aria-describedby"] for a in figures)


@pytest.mark.parametrize("make", REPORTS)
def test_same_report_gives_same_bytes(make):
    assert render(make(), ".html") == render(make(), ".html")


def test_first_line_stands_in_big_numbers():
    for report in (factory.small(), factory.full()):
        text = text_of(report)
        gap = report.gap
        assert f"here {gap.here:.3f}" in text
        assert f"elsewhere {gap.elsewhere:.3f}" in text
        assert f"gap {gap.estimate:.3f} [{gap.low:.3f}, {gap.high:.3f}]" in text
        assert report.verdict() in text
        assert report.first_line() in to_html(report)


def test_a_negligible_size_is_drawn_and_used():
    report = replace(factory.small(), negligible=0.05)
    assert "negligible size" in text_of(report)
    assert "negligible size" not in text_of(factory.small())


def test_intervals_are_explained_with_the_numbers_of_the_report():
    report = factory.small()
    gap, text = report.gap, text_of(report)
    worst = max(report.headline.rows, key=lambda row: row.gap)
    mean = f"{gap.estimate:.3f} [{gap.low:.3f}, {gap.high:.3f}]"
    assert f"{mean} is the average over the 12 groups" in text
    assert f"[{gap.next_low:.3f}, {gap.next_high:.3f}] is where the gap of one more month" in text
    assert f"[{worst.joint_low:.3f}, {worst.joint_high:.3f}]: with 95 % confidence all 12" in text
    assert f"goes from {worst.gap:.3f} to {worst.shrunk:.3f}" in text
    assert "With all rows pooled the gap would be 0.140" in text


def test_few_groups_say_nothing_about_the_next():
    text = text_of(factory.one_sided())
    assert "4 groups say nothing about the next one" in text
    assert "is where the gap of one more" not in text
    assert "With fewer than 4 groups" not in text


def test_one_sided_reports_say_that_training_rows_are_unknown():
    text = text_of(factory.one_sided())
    assert "does not say which rows the model saw in training" in text
    assert "picked after looking at all 4 groups" in text
    assert "Other groups" in text


def test_limits_of_the_report_are_stated():
    text = text_of(factory.small())
    for words in (
        "What this cannot tell you",
        "not what makes it so",
        "Targets are taken as true",
        "An interval that holds 0 is not evidence of no gap",
        "with power .8",
    ):
        assert words in text
    assert f"a true gap of {factory.small().gap.detectable:.3f} would have been found" in text


def test_worst_group_is_named_only_if_it_stands_alone():
    text = text_of(factory.full())
    assert "Worst group not distinguishable: 3 groups" in text
    assert "Worst group JetBlue" in text


def test_groups_without_a_value_say_why():
    text = text_of(factory.full())
    assert "fewer than 10 rows of a class" in text
    assert "one class only (30 positive); recall 0.610 [0.400, 0.790] at score ≥ 0.5" in text


def test_parts_say_which_number_to_trust():
    text = text_of(factory.small())
    assert "Within groups and between them" in text
    assert "also compares rows of different groups" in text
    assert "trust the average within groups" in text
    plain = factory.report_of((factory.model_of("m", (factory.grouping_of(extras=False),)),))
    assert "Within groups and between them" not in text_of(plain)


def test_models_stand_side_by_side():
    text = text_of(factory.full())
    assert "boosting against logistic month 0.012 [0.004, 0.020] boosting is better" in text
    assert "no rows in common" in text
    assert "The gap became smaller: the change is −0.042 [−0.060, −0.024]" in text


def test_ordered_groupings_have_a_figure_over_time():
    assert "roc_auc over month" in text_of(factory.full())
    assert "roc_auc over month" not in text_of(factory.small())


def test_missing_calibration_says_why():
    report = factory.report_of((factory.model_of(calibrated=False),))
    assert "No calibration: the predictions are not probabilities." in text_of(report)


def test_hostile_names_stay_text():
    page = to_html(factory.hostile())
    reader = Reader(page)
    assert page.count("<script>") == 1
    assert "img" not in {tag for tag, _ in reader.elements}
    assert "<script>window.hacked=1</script>" in reader.text
    assert "{{ 7*7 }}" in reader.text
    assert r"nul\x00bell\x07esc\x1b[31m" in reader.text
    assert "مستشفى الملك" in reader.text
    assert "\x00" not in page
    assert "\u202e" not in page


def test_tables_show_the_worst_and_say_what_is_left_out():
    grouping = factory.grouping_of("site", [f"site {i:04d}" for i in range(1000)])
    text = text_of(factory.report_of((factory.model_of("m", (grouping,)),)))
    assert "800 more groups left out of 1 000" in text.replace("\u202f", " ")
    assert "40 of 1 000 groups: those furthest" in text.replace("\u202f", " ")
    worst = max(grouping.rows, key=lambda row: row.shrunk)
    assert str(worst.key[0][1]) in text


@pytest.mark.parametrize(
    "make",
    [
        factory.huge,
        lambda: factory.huge(n_models=1, n_groupings=100, n_groups=60),
        lambda: factory.huge(n_models=200, n_groupings=1, n_groups=20),
        lambda: factory.report_of(
            (
                factory.model_of(
                    "m" * 10**6,
                    (
                        factory.grouping_of(
                            "c" * 10**6, ['👩\u200d⚕️\x00"' * 1000] * 300, ordered=True
                        ),
                    ),
                ),
            )
        ),
    ],
)
def test_no_report_makes_a_page_over_the_budget(make):
    page = render(make(), ".html")
    assert len(page) <= MAX_BYTES
    assert b"JSON" in page


@pytest.mark.parametrize("value", [NAN, 0.0, float("inf"), float("-inf"), 1e300, -1e-300])
def test_unusual_numbers_make_a_page(value):
    text = text_of(factory.unusual(value))
    assert "nan" not in text.lower().replace("provenance", "")


def test_one_group_makes_a_page():
    for ordered in (True, False):
        grouping = factory.grouping_of("site", ["only"], ordered=ordered)
        assert "only" in text_of(factory.report_of((factory.model_of("m", (grouping,)),)))


def test_a_loss_says_that_lower_is_better():
    assert "lower is better" in text_of(replace(factory.small(), greater_is_better=False))


def test_reports_without_groupings_are_refused():
    report = factory.small()
    bare = replace(report.models[0], groupings=())
    for bad in (replace(report, models=()), replace(report, models=(bare,))):
        with pytest.raises(InputError, match="without groupings"):
            to_html(bad)


def test_the_last_step_is_far_below_the_budget_for_the_worst_of_reports(monkeypatch):
    bad = '"' * 5000
    groups = [factory.empty_row(((bad, f"{bad}{i}"),), reason=bad) for i in range(300)]
    grouping = replace(
        factory.grouping_of(bad, [f"{bad}{i}" for i in range(300)], ordered=True),
        columns=(bad,) * 9,
        worst=((("c", bad),),),
    )
    grouping = replace(
        grouping,
        rows=(*grouping.rows, *groups),
        pairs=(replace(grouping.distance, reason=bad),) * 99,
        gap=replace(grouping.gap, reason=bad, method=bad),
        parts=grouping.parts * 50,
        mixes=dict.fromkeys((f"{bad}{i}" for i in range(99)), grouping.gap),
    )
    model = replace(factory.model_of(bad, (grouping,) * 30), intersections=grouping.rows)
    report = replace(
        factory.huge(1, 1, 10),
        models=(model,) * 30,
        metric=bad,
        provenance={bad: bad},
        change=factory.Change(1, 2, 3, NAN, NAN, bad),
    )
    monkeypatch.setattr("elsewhere.report.page.LADDER", LADDER[-1:])
    assert len(render(report, ".html")) < MAX_BYTES / 4
