"""What explains a gap, what closes it and pools of models, in every form of a report."""

from __future__ import annotations

import re
from dataclasses import replace

import factory
import factory_fits
import factory_why
import pytest
import test_page
from test_exports import lines_of
from test_page import Reader, text_of
from test_planning_part import plan_of
from test_shifts import both, table
from test_terminal import printed

from elsewhere.core.gap_report import GapReport
from elsewhere.report import page, render, to_html, to_latex
from elsewhere.report.progress import SQUARE
from elsewhere.report.words import shares

NAN = float("nan")
MAKERS = [
    factory_why.helped,
    factory_why.null,
    factory_why.unhelped,
    factory_why.restricted,
    factory_why.pool,
    factory_why.empty,
    factory_why.hostile,
    factory_why.damaged,
]
PARTS = (
    "What closes it",
    "Shortcut features",
    "Stability of features",
    "Where it fails",
    "Many models",
)


def plain(text: str) -> str:
    """The usual space and minus sign."""
    return text.replace("\u202f", " ").replace("\xa0", " ")


def figure(report: GapReport, title: str) -> str:
    """Everything in the figure with a title."""
    found = re.findall(r"<figure.*?</figure>", to_html(report), re.DOTALL)
    return next(one for one in found if title in one)


def sentence(report: GapReport, term: str) -> str:
    """One of the four lines, as terminals have it."""
    lines = printed(report, 2000).split("\n")
    return next(line for line in lines if line.startswith(f"{term}: ")).removeprefix(f"{term}: ")


# --- every kind of report ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        test_page.test_page_is_one_file_that_loads_nothing,
        test_page.test_policy_allows_exactly_the_inline_style_and_script,
        test_page.test_headings_go_down_one_level_at_a_time,
        test_page.test_identifiers_are_unique_and_references_lead_somewhere,
        test_page.test_tables_scroll_by_keyboard_and_figures_have_words,
    ],
)
@pytest.mark.parametrize("make", MAKERS)
def test_pages_are_as_those_of_other_reports(make, check):
    check(make)


@pytest.mark.parametrize("suffix", [".html", ".csv", ".tex", ".xml"])
@pytest.mark.parametrize("make", MAKERS)
def test_every_form_is_written_and_repeatable(make, suffix):
    assert render(make(), suffix) == render(make(), suffix)


@pytest.mark.parametrize("make", [m for m in MAKERS if m is not factory_why.hostile])
def test_reports_come_back_from_json(make):
    text = make().to_json()
    again = GapReport.from_json(text)
    assert again.to_json() == text
    assert render(again, ".html") == render(GapReport.from_json(again.to_json()), ".html")


@pytest.mark.parametrize("make", [factory.small, factory.full, factory_fits.fitted])
def test_other_reports_have_none_of_the_parts(make):
    text, lines = text_of(make()), printed(make(), 2000)
    for words in (*PARTS, "Not tried", "What counts as failing"):
        assert words not in text
    for term in ("here and elsewhere", "what closes it", "price", "many models"):
        assert f"\n{term}: " not in lines
    assert "reasons" not in to_html(make())
    assert {line["kind"] for line in lines_of(make())} <= {"group", "intersection", "rung"}


@pytest.mark.parametrize("value", [NAN, 0.0, float("inf"), float("-inf"), 1e300, -1e-300])
def test_unusual_numbers_make_every_form(value):
    report = factory_why.all_of(value)
    assert "nan" not in text_of(report).lower().replace("provenance", "")
    for suffix in (".csv", ".tex", ".xml"):
        assert "nan" not in render(report, suffix).decode().lower().replace("provenance", "")
    assert "what closes it: " in printed(report, 300)


@pytest.mark.parametrize("index", range(5))
def test_one_record_alone_makes_a_page(index):
    made = factory_why.helped().headline
    name = ("shortcuts", "stability", "failures", "closing", "transfer")[index]
    report = factory_why.with_reasons(factory.small(), **{name: getattr(made, name)})
    for check in (
        test_page.test_headings_go_down_one_level_at_a_time,
        test_page.test_identifiers_are_unique_and_references_lead_somewhere,
    ):
        check(lambda: report)
    assert printed(report)


def test_hostile_names_stay_text():
    text = to_html(factory_why.hostile())
    reader = Reader(text)
    assert text.count("<script>") == 1
    assert not {"img", "u"} & {tag for tag, _ in reader.elements}
    assert "<script>window.hacked=8</script>" in reader.text
    assert "{{ 7*7 }}" in reader.text
    assert not set(text) & set("\x00\x07\x1b\u202e")
    assert "(empty)" in reader.text
    assert "(blank)" in reader.text


@pytest.mark.parametrize("width", [24, 60, 200])
def test_terminals_show_hostile_names_as_text(width):
    for color in (False, True):
        text = printed(factory_why.hostile(), width, terminal=True, color=color)
        assert "\x1b[31m" not in text
        assert "\x1b[2J" not in text
        assert not set(text) & set("\x00\x07\r\u202e\u2068\xa0")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_poor_terminals_show_the_lines_too(encoding):
    text = printed(factory_why.helped(), 2000, encoding=encoding)
    assert "Of month, 8 % is left" in text
    assert r"\x" not in text.split("\nboosting")[0].replace(r"\xb7", "").replace(r"\u201", "")


def test_pages_that_are_too_large_show_less():
    content = render(factory_why.overfull(), ".html")
    assert len(content) <= page.MAX_BYTES
    assert b"Many models" in content


def test_the_last_step_is_far_below_the_budget(monkeypatch):
    monkeypatch.setattr(page, "LADDER", page.LADDER[-1:])
    assert len(render(factory_why.overfull(2000), ".html")) < page.MAX_BYTES / 2


# --- the four lines ----------------------------------------------------------------------------


def test_four_lines_stand_under_the_headline_and_lead_to_their_parts():
    text = to_html(factory_why.helped())
    lines = re.findall(r'<dt><a href="#([^"]+)">([^<]+)</a></dt>', text)
    first = "model-1-grouping-1"
    assert lines == [
        ("ladder", "Here and elsewhere"),
        (f"{first}-shortcuts", "Why"),
        (f"{first}-closing", "What closes it"),
        (f"{first}-closing", "Price"),
    ]
    assert text.index('class="verdict"') < text.index('class="lines"') < text.index('id="ladder"')


def test_terminals_have_the_same_four_lines():
    report = factory_why.helped()
    lines = printed(report, 2000).split("\n")
    assert lines[:2] == [report.first_line(), report.verdict()]
    assert lines[2:6] == [
        "here and elsewhere: roc_auc 0.762 here, 0.659 elsewhere: a gap of 0.103 [0.090, 0.116].",
        "why: 2 features carry the model here and not elsewhere: month and day. Of month, 8 % is "
        "left without month 3, where chance alone leaves 86 %.",
        "what closes it: “drop shortcut features” (month, day) closes 13 % [8, 17] of the gap, "
        "and costs 0.082 here.",
        "price: roc_auc becomes worse here by 0.082 [0.078, 0.086]; no labels from elsewhere; 12 "
        "extra fits.",
    ]
    shown = plain(text_of(report)).replace("−", "-")
    for line in lines[2:6]:
        term, text = line.split(": ", 1)
        assert f"{term[:1].upper()}{term[1:]} {text}" in shown


def test_nothing_is_said_of_absent_records():
    failures = factory_why.failures_of()
    report = factory_why.with_reasons(factory.small(), failures=failures)
    terms = re.findall(r'<dt><a href="#[^"]+">([^<]+)</a></dt>', to_html(report))
    assert terms == ["Here and elsewhere", "Why"]
    report = factory_why.with_reasons(factory.small(), closing=factory_why.no_gap())
    terms = re.findall(r'<dt><a href="#[^"]+">([^<]+)</a></dt>', to_html(report))
    assert terms == ["Here and elsewhere", "What closes it"]


def test_why_is_the_strongest_finding():
    report = factory_why.helped()
    assert "2 features carry the model" in sentence(report, "why")
    weak = factory_why.shortcuts_of(flagged=0)
    report = factory_why.with_reasons(report, shortcuts=weak)
    assert sentence(report, "why") == (
        "Beside the other groups, 7 of 11 groups lose measurably: in month 2, month 10, month 11 "
        "and 1 more most of it is a shift of y given x."
    )
    report = factory_why.with_reasons(report, decompositions=())
    assert sentence(report, "why").startswith("Failures can be foreseen in groups that were not")
    unseen = replace(factory_why.failures_of(), low=0.49)
    report = factory_why.with_reasons(report, failures=unseen)
    assert sentence(report, "why") == (
        "No shortcut feature, and no pattern of failures that holds in other groups."
    )
    report = factory_why.with_reasons(report, shortcuts=None)
    assert sentence(report, "why") == "No pattern of failures that holds in other groups."
    report = factory_why.with_reasons(report, shortcuts=weak, failures=None)
    assert sentence(report, "why") == "No shortcut feature."
    report = factory_why.with_reasons(factory_why.empty(), decompositions=())
    assert sentence(report, "why") == "No answer: fewer than 3 groups."


def test_another_grouping_than_the_headline_is_named():
    report = factory_why.with_reasons(
        factory_fits.fitted(),
        1,
        closing=factory_why.closing_of(),
        failures=factory_why.failures_of(),
        decompositions=(),
    )
    assert sentence(report, "why").startswith("By carrier: Failures can be foreseen")
    assert sentence(report, "what closes it").startswith("By carrier: “drop shortcut features”")
    text = to_html(report)
    assert '<a href="#model-1-grouping-2-closing">Price</a>' in text
    assert '<h4 id="model-1-grouping-2-closing">What closes it, by carrier</h4>' in text


def price(**changes: object) -> str:
    found = factory_why.closing_of()
    first = replace(found.attempts[0], **changes)  # pyright: ignore[reportArgumentType]
    found = replace(found, attempts=(first, *found.attempts[1:]))
    return sentence(factory_why.with_reasons(factory.small(), closing=found), "price")


def test_the_price_is_what_the_best_attempt_costs():
    assert price(here_change=0.01, here_low=0.004, here_high=0.016).startswith(
        "None here, where roc_auc becomes better by 0.010 [0.004, 0.016] too; no labels"
    )
    assert price(here_change=-0.001, here_low=-0.004, here_high=0.002).startswith(
        "No clear change: roc_auc 0.001 [-0.002, 0.004] worse here; no labels from elsewhere; "
    )
    assert price(here_change=0.001, here_low=-0.002, here_high=0.004).startswith(
        "No clear change: roc_auc 0.001 [-0.002, 0.004] better here; no labels from elsewhere; "
    )


def test_a_share_that_says_nothing_is_not_given():
    found = factory_why.closing_of()
    wide = replace(found.attempts[0], closed=-0.36, closed_low=-41.28, closed_high=5.49)
    wide = replace(found, attempts=(wide, *found.attempts[1:]))
    nothing = replace(found, answer="nothing to close", best="")
    shown = {
        name: to_html(factory_why.with_reasons(factory.small(), closing=one))
        for name, one in (("known", found), ("wide", wide), ("nothing", nothing))
    }
    first = found.attempts[0]
    share = f"{100 * first.closed:.0f}\u00a0%"
    assert share in shown["known"]
    assert share not in shown["nothing"]
    assert "4128" not in shown["wide"].replace("\u2009", "").replace("\u202f", "")
    text = price(needs="labelled rows", labels=1200, fits=1, here_change=NAN)
    assert text == (
        "Nothing changes here; 1,200 labelled rows from each group elsewhere; 1 extra fit."
    )
    assert sentence(factory_why.unhelped(), "price") == (
        "Nothing to pay for: trying 4 remedies took 48 extra fits."
    )


def test_a_plan_stands_after_the_remedies_and_is_part_of_the_price():
    report = replace(factory_why.helped(), plan=plan_of())
    text = to_html(report)
    places = [text.index(f'id="{name}"') for name in ("ladder", "plan", "intervals", "contents")]
    assert places == sorted(places)
    assert text.index('id="model-1-grouping-1-closing"') < places[1]
    assert '<a href="#plan">' in text
    bought = sentence(report, "price")
    assert bought.startswith(sentence(factory_why.helped(), "price"))
    assert "buy" in bought
    alone = replace(factory.small(), plan=plan_of())
    assert sentence(alone, "what to buy") in bought
    assert '<dt><a href="#plan">What to buy</a></dt>' in to_html(alone)
    test_page.test_identifiers_are_unique_and_references_lead_somewhere(lambda: report)


# --- what closes it ----------------------------------------------------------------------------


def test_what_closes_it_stands_between_the_ladder_and_the_intervals():
    text = to_html(factory_why.helped())
    names = ("answer", "ladder", "model-1-grouping-1-closing", "intervals", "contents")
    places = [text.index(f'id="{name}"') for name in names]
    assert places == sorted(places)
    assert text.count('id="model-1-grouping-1-closing"') == 1
    assert 'href="#model-1-grouping-2-closing"' in text


def test_every_attempt_has_its_numbers():
    report = factory_why.helped()
    closing = report.headline.closing
    assert closing is not None
    tried = [one for one in closing.attempts if not one.reason]
    rows = table(report, "What was tried, by month")
    assert [row["Remedy"] for row in rows] == [one.name for one in tried]
    for row, one in zip(rows, tried, strict=True):
        assert row["Gain elsewhere"] == both(one.gain, one.low, one.high)
        share = (
            f"{100 * one.closed:.0f} % [{100 * one.closed_low:.0f}, {100 * one.closed_high:.0f}]"
        )
        assert row["Share of the gap closed"] == share.replace("-", "−")
        here = both(one.here_change, one.here_low, one.here_high)
        assert row["Change here"] == ("—" if one.here_change != one.here_change else here)
        assert row["Elsewhere before → after"] == f"{one.before:.3f} → {one.after:.3f}"
        assert row["Tested on"] == one.tested
        assert row["Labels per group"] == ("100" if one.labels else "no labels")
        assert row["Extra fits"] == str(one.fits)
        assert row["Chosen here"] == (one.chosen or "—")
    readings = [row["Reading"] for row in rows]
    assert readings == ["best without labels", "not clear", "makes it worse", "helps", "helps"]


def test_a_remedy_that_leaves_everything_as_it_was_says_so():
    same = factory_why.attempt_of("drop shortcut features", 0.0, half=0.0, here=0.0)
    closing = replace(factory_why.nothing_helps(), attempts=(same,))
    report = factory_why.with_reasons(factory.small(), closing=closing)
    assert [row["Reading"] for row in table(report, "What was tried")] == ["no change"]
    assert price(here_change=0.0, here_low=0.0, here_high=0.0).startswith("Nothing changes here;")


def test_the_best_one_of_those_with_labels_helps_most():
    closing = factory_why.closing_of()
    closing = replace(closing, best=closing.attempts[3].name, attempts=closing.attempts[1:])
    rows = table(factory_why.with_reasons(factory.small(), closing=closing), "What was tried")
    readings = [row["Reading"] for row in rows]
    assert readings == ["not clear", "makes it worse", "helps most", "helps"]


def test_untried_remedies_are_listed_with_their_reasons():
    text = text_of(factory_why.helped())
    assert "Not tried: recalibrate : the metric only depends on the order of rows." in text
    assert "drop near-duplicates : no row has a copy in another group." in text
    names = [row["Remedy"] for row in table(factory_why.helped(), "What was tried")]
    assert "recalibrate" not in names


def test_gains_and_changes_are_drawn_on_one_axis():
    report = factory_why.helped()
    closing = report.headline.closing
    assert closing is not None
    svg = figure(report, "How much better roc_auc is with each remedy, by month")
    drawn = [one for one in closing.attempts if not one.reason]
    body = svg.split('<p class="legend">')[0]
    for kind, values in (
        (0, [one.gain for one in drawn]),
        (1, [one.here_change for one in drawn if one.here_change == one.here_change]),
    ):
        at = [float(x) for x in re.findall(rf'class="sign s{kind}" x="([\d.]+)%"', body)]
        assert len(at) == len(values)
        zero = float(re.findall(r'class="zero" x1="([\d.]+)%"', body)[0])
        scale = (at[0] - zero) / values[0]
        for place, value in zip(at, values, strict=True):
            assert place == pytest.approx(zero + scale * value, abs=0.2)
    lows = re.findall(r'class="o o0" x1="([\d.]+)%" x2="([\d.]+)%"', body)
    assert len(lows) == len(drawn)
    assert "muted" not in svg.split(">")[0]
    assert svg.count("<span>here ") == 3


def test_where_nothing_helps_the_figure_is_small_and_muted():
    report = factory_why.unhelped()
    svg = figure(report, "How much better roc_auc is with each remedy")
    assert 'class="forest trials muted"' in svg
    assert "change here" not in svg
    assert svg.split("<svg")[1].count('width="100%" height="120"') == 1
    text = text_of(report)
    assert "Nothing helps: none of 4 remedies closes a measurable part of the gap" in text
    readings = [row["Reading"] for row in table(report, "What was tried")]
    assert readings == ["not clear", "not clear", "not clear", "makes it worse"]


def test_without_a_gap_the_sentence_is_the_answer():
    text = to_html(factory_why.null())
    assert "There is nothing to close: the gap, 0.009 [0.003, 0.015], lies below 0.02." in text
    assert "with each remedy" not in text
    assert "What was tried" not in text
    assert "There is nothing to close." in to_html(factory_why.empty())


def test_minus_signs_of_the_sentence_are_those_of_the_page():
    closing = replace(
        factory_why.closing_of(), sentence="Falls by -0.1 on 2013-01-02, e-3, at -.5."
    )
    report = factory_why.with_reasons(factory.small(), closing=closing)
    assert "Falls by −0.1 on 2013-01-02, e-3, at −.5." in text_of(report)
    assert "Falls by -0.1 on 2013-01-02" in printed(report, 300)


def test_more_attempts_than_fit_are_counted():
    attempts = tuple(factory_why.attempt_of(f"remedy {i}", 0.01) for i in range(300))
    closing = replace(factory_why.closing_of(), attempts=attempts)
    text = text_of(factory_why.with_reasons(factory.small(), closing=closing))
    assert "260 more attempts in the table only." in text
    assert "100 more attempts left out; the JSON form of this report holds all." in text


# --- shortcuts and stability -------------------------------------------------------------------


def test_every_feature_has_its_numbers():
    report = factory_why.unhelped()
    found = report.headline.shortcuts
    assert found is not None
    rows = table(report, "Features and what is left of them, by month")
    assert [row["Feature"] for row in rows] == [one.feature for one in found.rows]
    for row, one in zip(rows, found.rows, strict=True):
        assert row["Flagged"] == ("◆ shortcut" if one.shortcut else "no")
        assert row["Weight"] == f"{one.weight:.3f}".replace("-", "−")
        assert row["What is left"] == f"{100 * one.retention:.0f} %".replace("-", "−")
        assert row["Floor: left by chance"] == f"{100 * one.floor:.0f} %"
        assert row["Least without"] == one.blamed
        assert row["Firing ratio"] == f"{one.firing:.3f}"
        assert row["Kind"] == one.quadrant
    first = table(factory_why.helped(), "Features and what is left of them")[0]
    assert "Importance" in first
    assert not {"Firing ratio", "Kind", "Weight"} & set(first)


def test_flagged_features_are_told_apart_by_shape_and_word():
    report = factory_why.helped()
    found = report.headline.shortcuts
    assert found is not None
    body = figure(report, "Percent of each feature").split('<p class="legend">')[0]
    assert body.count('class="sign flag"') == 2
    assert body.count("%, shortcut</span>") == 2
    assert body.count('<circle class="p"') == len(found.rows) - 2
    rings = [float(x) for x in re.findall(r'<circle class="h" cx="([\d.]+)%"', body)]
    floors = [row.floor for row in found.rows]
    assert sorted(range(8), key=lambda i: rings[i]) == sorted(range(8), key=lambda i: floors[i])


def test_flagged_features_come_first_and_are_named():
    found = factory_why.shortcuts_of()
    rows = (*found.rows[2:], *found.rows[:2])
    report = factory_why.with_reasons(factory.small(), shortcuts=replace(found, rows=rows))
    names = [row["Feature"] for row in table(report, "Features and what is left")]
    assert names[:2] == ["month", "day"]
    assert "2 features carry the model here and not elsewhere: month and day." in text_of(report)
    one = replace(found, n=1, rows=found.rows[:1])
    report = factory_why.with_reasons(factory.small(), shortcuts=one)
    assert "1 feature carries the model here and not elsewhere: month." in text_of(report)


def test_a_weight_that_flips_says_so():
    text = text_of(factory_why.unhelped())
    assert (
        "The weight of spielberg turns its sign without month genre 0, where chance alone leaves "
    ) in text
    body = figure(factory_why.unhelped(), "Percent of each feature")
    assert "‹" in body
    assert "−240" in plain(body)


def test_no_shortcut_is_an_answer():
    assert (
        "No shortcut found: of the 8 features with the largest weights, none falls below 50 % of "
        "its part, and below chance, when one month goes."
    ) in plain(text_of(factory_why.null()))
    assert "No answer: fewer than 3 groups." in text_of(factory_why.empty())


def test_stability_is_told_and_listed():
    report = factory_why.helped()
    found = report.headline.stability
    assert found is not None
    text = plain(text_of(report))
    assert (
        "2 of 8 features differ much by month (25 % of the variance or more lies between groups): "
        "month and day."
    ) in text
    assert "turns its sign in some groups for sched_dep_time. 1 feature never varies." in text
    rows = table(report, "How features differ by month")
    assert [row["Feature"] for row in rows] == [one.feature for one in found.rows]
    assert rows[2]["Sign"] == "turns its sign"
    assert rows[2]["Variation of means"] == "—"
    assert rows[-1]["Stability"] == "constant"
    assert rows[1]["Variance between groups"] == "35 %"
    assert "No answer: no feature varies." in text_of(factory_why.empty())


# --- where it fails ----------------------------------------------------------------------------


def test_failures_are_told_first():
    text = plain(text_of(factory_why.restricted()))
    assert (
        "Failures can be foreseen in groups that were not looked at: area under the curve 0.681 "
        "[0.660, 0.702], where 0.5 is chance. What goes with them most: age (larger values fail "
        "more) and words (larger values fail more)."
    ) in text
    assert "What counts as failing: the largest quarter of the loss over all rows" in text
    assert (
        "No pattern of failures holds in other groups: they are foreseen with an area under the "
        "curve of 0.507 [0.480, 0.534], and 0.5 is chance."
    ) in text_of(factory_why.null())
    assert "No answer: fewer than 30 rows fail." in text_of(factory_why.empty())


def test_every_table_of_failures_has_its_numbers():
    report = factory_why.restricted()
    found = report.headline.failures
    assert found is not None
    for row, one in zip(table(report, "What goes with failing"), found.drivers, strict=True):
        assert row["Column"] == one.name
        assert row["Importance"] == both(one.importance, one.low, one.high)
        assert row["p"] == ("<0.001" if one.p < 0.001 else f"{one.p:.3f}")
    for row, one in zip(table(report, "Rules on failures"), found.rules, strict=True):
        assert row["Rows with"] == one.text
        assert row["Mean loss"] == both(one.loss, one.low, one.high)
    for row, one in zip(table(report, "Rows by their values"), found.strata, strict=True):
        assert (row["Column"], row["Values"]) == (one.column, one.label)
        assert row["Mean loss"] == both(one.loss, one.low, one.high)
        known = one.value == one.value
        assert row["AUC"] == (both(one.value, one.value_low, one.value_high) if known else "—")
        assert row["Expected"] == (f"{one.expected:.3f}" if known else "—")
        assert row["Adjusted"] == (f"{one.adjusted:.3f}" if known else "—")
        assert row["Note"] == (one.reason or "—")
    groups = table(report, "What goes with the loss of whole groups")
    for row, one in zip(groups, found.groups, strict=True):
        assert row["Of the group"] == one.name
        assert row["Rank correlation with its loss"] == f"{one.correlation:.3f}".replace("-", "−")


def test_only_strata_that_are_low_by_range_restriction_are_marked_so():
    report = factory_why.restricted()
    text = text_of(report)
    assert "Low by range restriction alone, and so no fault of the model there: comorbidity" in text
    body = figure(report, "AUC within strata").split('<p class="legend">')[0]
    assert body.count('class="sign flag"') == 1
    found = report.headline.failures
    assert found is not None
    unsure = "too few rows to say whether range restriction alone explains it"
    strata = tuple(replace(one, reason=unsure) for one in found.strata)
    report = factory_why.with_reasons(report, failures=replace(found, strata=strata))
    assert "Low by range restriction alone" not in text_of(report)
    assert "sign flag" not in figure(report, "AUC within strata")


def test_other_metrics_have_strata_without_rank_columns():
    found = factory_why.failures_of()
    strata = tuple(
        replace(one, value=NAN, value_low=NAN, value_high=NAN, expected=NAN, adjusted=NAN)
        for one in found.strata
    )
    report = factory_why.with_reasons(factory.small(), failures=replace(found, strata=strata))
    assert "AUC" not in table(report, "Rows by their values")[0]
    assert "AUC within strata" not in to_html(report)


# --- many models -------------------------------------------------------------------------------


def test_progress_is_told_in_sentences():
    pool = factory_why.pool().pool
    assert pool is not None
    rates = {rate.name: rate for rate in pool.rates}
    text = text_of(factory_why.pool())
    first = rates["ImageNet-V2"]
    assert (
        f"One point more of accuracy on ImageNet comes with "
        f"{both(first.value, first.low, first.high, 2)} on ImageNet-V2, "
    ) in text
    gap = pool.gaps[1]
    assert f"DollarStreet lags behind by {both(gap.value, gap.low, gap.high, 2)} for each" in text
    assert "over 24 models of 6 families." in text
    slope = pool.disparity
    assert slope is not None
    assert (
        "Better models are less equal: Europe minus Africa grows by "
        f"{both(slope.value, slope.low, slope.high, 2)} a point"
    ) in text


def test_unclear_slopes_claim_nothing():
    pool = factory_why.pool_of()
    assert pool.disparity is not None
    pool = replace(
        pool,
        gaps=tuple(replace(gap, low=-0.1) for gap in pool.gaps),
        disparity=replace(pool.disparity, low=-0.1),
    )
    text = text_of(factory.report_of(pool=pool))
    assert "No progress clearly differs from that on ImageNet-V2: GeoDE (" in text
    assert "Not clear whether better models are less equal" in text
    assert pool.disparity is not None
    turned = replace(
        pool,
        gaps=(replace(pool.gaps[0], value=-0.3, low=-0.4, high=-0.2),),
        disparity=replace(pool.disparity, value=-0.2, low=-0.3, high=-0.1),
    )
    text = text_of(factory.report_of(pool=turned))
    assert "Beside ImageNet-V2, GeoDE runs ahead by 0.30 [0.20, 0.40] for each point here." in text
    assert "Better models are more equal" in text
    assert "No answer: 3 models are too few for a slope." in text_of(factory_why.empty())


def test_models_are_drawn_with_their_fitted_lines():
    report = factory_why.pool()
    pool = report.pool
    assert pool is not None
    svg = figure(report, "Score elsewhere against score here")
    body = svg.split('<p class="legend">')[0]
    ticks = [
        (float(x), float(t))
        for x, t in re.findall(r'<text x="([\d.]+)" y="336">([\d.]+)</text>', body)
    ]
    (x0, t0), (x1, t1) = ticks[0], ticks[-1]
    per = (x1 - x0) / (t1 - t0)

    def at(value: float) -> float:
        return x0 + per * (value - t0)

    for k, rate in enumerate(pool.rates):
        signs = re.findall(rf'class="sign s{k}" x="([\d.]+)" y="([\d.]+)"', body)
        assert len(signs) == len(pool.models)
        for (x, y), model in zip(signs, pool.models, strict=True):
            assert float(x) == pytest.approx(at(model.here), abs=0.6)
            assert SQUARE - float(y) == pytest.approx(at(model.scores[k]), abs=0.6)
        ((a, b, c, d),) = re.findall(
            rf'class="tread t{k}" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', body
        )
        slope = (float(b) - float(d)) / (float(c) - float(a))
        assert slope == pytest.approx(rate.value, abs=0.02)
    assert f'class="zero" x1="0" y1="{SQUARE}" x2="{SQUARE}" y2="0"' in body


def test_every_slope_and_model_is_in_a_table():
    report = factory_why.pool()
    pool = report.pool
    assert pool is not None
    assert pool.disparity is not None
    rows = table(report, "Change for one point more of accuracy on ImageNet")
    slopes = [*pool.rates, *pool.gaps, pool.disparity]
    for row, one in zip(rows, slopes, strict=True):
        assert row["Of"] == one.name
        assert row["Slope"] == both(one.value, one.low, one.high, 2)
        assert row["Slope on the logit scale"] == both(one.logit, one.logit_low, one.logit_high, 2)
    models = table(report, "24 models, weakest here first")
    for row, model in zip(models, pool.models, strict=True):
        assert (row["Model"], row["Family"]) == (model.name, model.family)
        assert row["Here"] == f"{model.here:.3f}"
        assert row["GeoDE"] == f"{model.scores[1]:.3f}"
        assert row["Europe minus Africa"] == f"{model.disparity:.3f}"


# --- spreadsheets and papers -------------------------------------------------------------------


def test_csv_has_lines_for_attempts_shortcuts_and_drivers():
    report = factory_why.helped()
    grouping = report.headline
    assert grouping.closing is not None
    assert grouping.shortcuts is not None
    assert grouping.failures is not None
    lines = [line for line in lines_of(report) if line["grouping"] == "month"]
    by_kind = {
        kind: [line for line in lines if line["kind"] == kind]
        for kind in ("attempt", "shortcut", "driver")
    }
    for line, one in zip(by_kind["attempt"], grouping.closing.attempts, strict=True):
        assert (line["group"], line["detail"]) == (one.name, one.tested)
        assert line["reason"] == one.reason
        if one.reason:
            assert line["gain"] == line["value"] == line["closed"] == ""
            continue
        assert float(line["gain"]) == pytest.approx(one.gain)
        assert float(line["gain_low"]) == pytest.approx(one.low)
        assert float(line["value"]) == pytest.approx(one.after)
        assert float(line["before"]) == pytest.approx(one.before)
        assert float(line["closed_high"]) == pytest.approx(one.closed_high)
        assert float(line["labels"]) == one.labels
    for line, one in zip(by_kind["shortcut"], grouping.shortcuts.rows, strict=True):
        assert line["group"] == one.feature
        assert float(line["value"]) == pytest.approx(one.retention)
        assert float(line["floor"]) == pytest.approx(one.floor)
        assert line["detail"] == ("flagged" if one.shortcut else "")
    for line, one in zip(by_kind["driver"], grouping.failures.drivers, strict=True):
        assert line["group"] == one.name
        assert float(line["value"]) == pytest.approx(one.importance)
        assert float(line["q"]) == pytest.approx(one.q)
    for line in lines_of(factory_why.hostile()):
        for column in ("group", "detail", "reason"):
            assert not line[column].startswith(("=", "+", "@", "\t"))


def test_latex_has_tables_of_attempts_shortcuts_and_drivers():
    report = factory_why.helped()
    text = to_latex(report)
    bodies = [part.split("\\bottomrule")[0] for part in text.split("\\midrule\n")[1:]]
    attempts, shortcuts, drivers = (body.strip().split("\n") for body in bodies[2:])
    assert len(attempts) == 5
    assert attempts[3].startswith("fine-tune on labelled rows (other rows) & 0.659 & 0.690 & ")
    assert shortcuts[0].startswith("month & 0.120 & 8")
    assert shortcuts[0].endswith(r"& 3 & yes \\")
    assert drivers[0].startswith("age & 0.081 {[}0.066, 0.096{]} & 0.620 &")
    for body, n in ((attempts, 7), (shortcuts, 5), (drivers, 4)):
        assert all(len(re.findall(r"(?<!\\)&", line)) == n for line in body)
        assert all(line.endswith(r" \\") for line in body)
    wild = to_latex(factory_why.hostile()).split("\\midrule\n")[3:]
    for body, n in zip(wild, (7, 5, 4), strict=True):
        for line in body.split("\\bottomrule")[0].strip("\n").split("\n"):
            assert len(re.findall(r"(?<!\\)&", line)) == n
            assert not re.search(r"(?<!\\)[%#_~]", line)


def test_junit_is_that_of_the_groups():
    report = factory_why.helped()
    bare = factory_why.with_reasons(
        report, shortcuts=None, stability=None, failures=None, closing=None
    )
    bare = factory_why.with_reasons(bare, 1, closing=None, shortcuts=None)
    assert render(report, ".xml") == render(bare, ".xml")


# --- words -------------------------------------------------------------------------------------


def test_shares_and_times_are_short():
    assert shares(0.384, 0.2, 0.55, plain=True) == ("38 %", "[20, 55]")
    assert shares(0.384, 0.37, 0.4, plain=True) == ("38.4 %", "[37.0, 40.0]")
    assert shares(-0.384, NAN, NAN) == ("−38\xa0%", "")
    assert shares(NAN, NAN, NAN) == ("—", "")
    assert shares(float("inf"), NAN, NAN, plain=True)[0] == "∞ %"
