"""What an audit that fits models adds to every form of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import factory
import factory_fits
import pytest
from test_exports import lines_of
from test_page import Reader, text_of
from test_terminal import printed

from elsewhere.core.gap_report import GapReport
from elsewhere.report import render, to_html, to_latex
from elsewhere.report.words import numbers_for, percent

if TYPE_CHECKING:
    from elsewhere.core.gap_report import Grouping
    from elsewhere.core.shifts import Decomposition

NAN = float("nan")
PARTS = ("The ladder", "Who carries to whom", "Why, by", "Forecasts without labels", "Fitted:")


class Tables(Reader):
    """Collects the cells of every table by its caption."""

    def __init__(self, page: str) -> None:
        self.found: dict[str, list[list[str]]] = {}
        self.caption = ""
        super().__init__(page)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.found.setdefault(self.caption, []).append([])
        if tag in ("td", "th"):
            self.found[self.caption][-1].append("")

    def handle_data(self, data):
        super().handle_data(data)
        if "caption" in self.open:
            self.caption += data
        elif ("td" in self.open or "th" in self.open) and self.found[self.caption][-1]:
            self.found[self.caption][-1][-1] += data


def table(report: GapReport, title: str) -> list[dict[str, str]]:
    """Rows of the first table whose caption holds a title, by column."""
    tables = Tables(to_html(report)).found
    head, *rows = next(rows for caption, rows in tables.items() if title in caption)
    return [dict(zip(head, (" ".join(c.split()) for c in row), strict=True)) for row in rows]


def both(value: float, low: float, high: float, decimals: int = 3) -> str:
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]".replace("-", "−")


# --- reports without fits ----------------------------------------------------------------------


@pytest.mark.parametrize("make", [factory.small, factory.full, factory.one_sided, factory.hostile])
def test_other_reports_have_none_of_the_parts(make):
    page = to_html(make())
    for words in (*PARTS, "Gap against group size", "<details", "What an audit that fits"):
        assert words not in page
    assert "\\begin{tabular}{llrrr}" not in to_latex(make())
    assert {line["kind"] for line in lines_of(make())} <= {"group", "intersection"}
    text = printed(make())
    assert "why by" not in text
    assert "forecasts by" not in text


# --- the ladder --------------------------------------------------------------------------------


def test_the_ladder_stands_between_the_answer_and_the_intervals():
    page = to_html(factory_fits.fitted())
    places = [page.index(f'id="{name}"') for name in ("answer", "ladder", "intervals", "contents")]
    assert places == sorted(places)
    assert '<a href="#ladder">' in page


def test_every_step_has_its_numbers():
    report = factory_fits.fitted()
    rows = table(report, "The ladder in numbers")
    by_step = {(row["Step"], row["Model"]): row for row in rows}
    assert len(by_step) == 8
    for model in report.models:
        for rung in model.ladder:
            row, gap = by_step[rung.name, model.name], rung.gap
            assert row["roc_auc"] == both(gap.elsewhere, gap.elsewhere_low, gap.elsewhere_high)
            assert row["Random rows, same rows"] == both(gap.here, gap.here_low, gap.here_high)
            loss = "—" if rung.lowest else both(gap.estimate, gap.low, gap.high)
            assert row["Gap to random rows"] == loss
            assert row["Rows trained on"] == f"{rung.n_train:,}".replace(",", " ")
    svg = _figure(to_html(report), "from random rows to later")
    for kind, model in enumerate(report.models):
        signs = re.findall(rf'class="sign s{kind}" x="([\d.]+)%"', svg)
        values = [rung.gap.elsewhere for rung in model.ladder]
        _check_linear([float(x) for x in signs], values)


def _check_linear(places: list[float], values: list[float]) -> None:
    """Positions follow values, up to where the axis starts and how wide it is."""
    assert len(places) == len(values)
    slope = (places[0] - places[1]) / (values[0] - values[1])
    assert slope > 0
    for place, value in zip(places, values, strict=True):
        assert place == pytest.approx(places[0] + slope * (value - values[0]), abs=0.3)


def _figure(page: str, title: str) -> str:
    """Everything in the figure with a title."""
    return next(f for f in re.findall(r"<figure.*?</figure>", page, re.DOTALL) if title in f)


def test_the_ladder_is_told_in_sentences():
    text = text_of(factory_fits.fitted())
    assert (
        "On random rows 0.762; on unseen date 0.679, on unseen month 0.659: of what random rows "
        "show, 0.103 [0.090, 0.116] is lost on unseen month. Later 0.668, where random rows show "
        "0.771: a gap of 0.103 [0.097, 0.109]."
    ) in text
    assert "no loss can be told on unseen month: 0.008 [−0.005, 0.021]" in text
    assert (
        "boosting without month, day is 0.082 [0.070, 0.094] lower on random rows, not clearly "
        "different on unseen date (−0.003 [−0.012, 0.006]), 0.013 [0.005, 0.021] higher on unseen "
        "month and not clearly different later (0.007 [−0.002, 0.016]), compared with boosting."
    ) in text


def test_an_error_rises_down_the_ladder():
    text = text_of(factory_fits.losing())
    assert "0.060 [0.050, 0.070] comes on top of what random rows show on unseen month" in text
    # The first is better by 0.02, so the error of the second is higher.
    assert "b is 0.020 [0.010, 0.030] higher on random rows, compared with a." in text


def test_a_step_that_does_better_says_so():
    report = factory_fits.one_model()
    better = factory_fits.rung_of("unseen month", 0.80, here=0.762)
    model = replace(report.models[0], ladder=(report.models[0].ladder[0], better))
    text = text_of(replace(report, models=(model,)))
    assert "on unseen month it does better than random rows show, by 0.038 [0.032, 0.044]" in text


def test_one_step_is_a_ladder_too():
    text = text_of(factory_fits.one_rung())
    assert "On random rows 0.762; there is no other step." in text


def test_steps_of_a_comparison_are_a_column():
    rows = table(factory_fits.fitted(), "Models compared on the same rows")
    assert [row["Step"] for row in rows] == ["random rows", "unseen date", "unseen month", "later"]
    assert rows[2]["Reading"] == "boosting without month, day is better"
    assert "Step" not in table(factory.full(), "Models compared on the same rows")[0]


def test_more_models_than_signs_are_in_the_table_only():
    report = factory_fits.one_model()
    models = tuple(replace(report.models[0], name=f"model {i}") for i in range(6))
    page = to_html(replace(report, models=models))
    assert "2 more models in the table only." in page
    assert len(table(replace(report, models=models), "The ladder in numbers")) == 24


# --- who carries to whom -----------------------------------------------------------------------


def test_every_cell_of_a_matrix_is_in_the_table():
    report = factory_fits.one_model()
    found = report.headline.transfer
    assert found is not None
    rows = table(report, "Trained on one month")
    assert len(rows) == 144
    place = {str(key[0][1]): i for i, key in enumerate(found.keys)}
    losses = []
    for row in rows:
        i, j = place[row["Trained on"]], place[row["Tested on"]]
        value = found.value[i][j]
        assert row["roc_auc"] == both(value, found.low[i][j], found.high[i][j])
        if i == j:
            assert row["Worse by"] == "—"
            losses.append(0.0)
            continue
        assert row["Model of the tested group"] == f"{found.value[j][j]:.3f}"
        losses.append(found.value[j][j] - value)
        assert row["Worse by"] in (f"{losses[-1]:.3f}".replace("-", "−"), "0.000")
    assert losses == sorted(losses, reverse=True)


def test_a_matrix_is_drawn_with_its_diagonal_and_its_clusters():
    report = factory_fits.one_model()
    found = report.headline.transfer
    assert found is not None
    svg = _figure(to_html(report), "roc_auc of models of one month each")
    assert 'role="img"' in svg
    cells = svg.split('class="cells"')[1].split("</g>")[0]
    assert cells.count("<rect") == 144
    assert svg.split('class="own"')[1].split("</g>")[0].count("<rect") == 12
    inside = re.findall(r">([\d.]+)</text>", svg.split('class="in"')[1])
    assert inside == [f"{v:.3f}" for row in found.value for v in row]
    xs = sorted({float(x) for x in re.findall(r'<rect x="([\d.]+)"', cells)})
    steps = [round(b - a, 1) for a, b in pairwise(xs)]
    assert steps.count(max(steps)) == 1
    assert steps.index(max(steps)) == 5  # after six of twelve months
    shades = [float(s) for s in re.findall(r'fill-opacity="([\d.]+)"', cells)]
    flat = [v for row in found.value for v in row]
    assert shades.index(max(shades)) == flat.index(max(flat))


def test_shades_follow_the_direction_of_the_metric():
    cells = {}
    for better in (True, False):
        report = replace(factory_fits.one_model(), greater_is_better=better)
        svg = _figure(to_html(report), "of models of one month each")
        shades = re.findall(r'fill-opacity="([\d.]+)"', svg.split('class="cells"')[1])[:144]
        cells[better] = [float(s) for s in shades]
    assert all(abs(a + b - 0.7) < 0.011 for a, b in zip(cells[True], cells[False], strict=True))


def test_own_and_other_groups_are_compared_in_words():
    report = factory_fits.one_model()
    found = report.headline.transfer
    assert found is not None
    text = text_of(report)
    loss = found.own - found.other
    assert f"{found.own:.3f} on held-out rows of their own month and {found.other:.3f} on" in text
    assert f"on others: {loss:.3f} worse." in text
    assert "2 clusters of groups whose models do alike: month 1, month 2, month 3" in text
    assert "2 groups are too small to train a model" in text_of(factory_fits.fitted())


def test_large_matrices_have_no_numbers_and_say_what_is_left_out():
    svg = _figure(to_html(factory_fits.many_groups()), "of models of one site each")
    assert 'class="cells full"' in svg
    assert svg.split('class="in"')[1].split("</g>")[0].count("<text") == 0
    report = factory_fits.many_groups(60)
    page = to_html(report).replace("\u202f", " ")
    assert "40 of 60 groups: those that fare worst under other groups" in page
    assert "3 400 more pairs left out of 3 600" in page
    assert len(table(report, "Trained on one site")) == 200


# --- size --------------------------------------------------------------------------------------


def test_gaps_are_drawn_over_the_sizes_of_groups():
    report = factory_fits.one_model()
    svg = _figure(to_html(report), "Gap against group size by month")
    points = re.findall(r'<circle class="p" cx="([\d.]+)%" cy="([\d.]+)"', svg)
    by_size = sorted(report.headline.rows, key=lambda row: row.n_rows)
    assert len(points) == len(by_size)
    xs, ys = ([float(p[k]) for p in points] for k in (0, 1))
    assert xs == sorted(xs)
    assert sorted(range(12), key=lambda i: -ys[i]) == sorted(
        range(12), key=lambda i: by_size[i].gap
    )


def test_sizes_that_are_nearly_the_same_have_round_ticks_too():
    report = factory_fits.one_model()
    for low, high in ((23_611, 28_756), (7, 8), (300, 300), (1, 2)):
        rows = tuple(
            replace(row, n_rows=low + (high - low) * i // 11)
            for i, row in enumerate(report.headline.rows)
        )
        model = replace(report.models[0], groupings=(replace(report.headline, rows=rows),))
        svg = _figure(to_html(replace(report, models=(model,))), "Gap against group size")
        ticks = re.findall(r'x="[\d.]+%" y="238">([^<]+)<', svg)
        assert 1 <= len(ticks) <= 9
        assert all(int(text.replace("\u202f", "")) % 5 == 0 for text in ticks) or high < 10


def test_few_groups_and_one_side_have_no_such_figure():
    for report in (
        factory_fits.one_model(names=list("abcd"), column="site"),
        replace(
            factory_fits.one_model(),
            models=(factory.model_of("m", (factory.grouping_of(two_sided=False),)),),
        ),
    ):
        assert "Gap against group size" not in to_html(report)
    many = text_of(factory_fits.one_model(names=list(range(900)), column="site"))
    assert "200 of 900 groups, spread over all sizes" in many


# --- why ---------------------------------------------------------------------------------------


def test_every_decomposition_is_in_the_tables():
    report = factory_fits.one_model()
    found = {str(one.key[0][1]): one for one in report.headline.decompositions}
    rows = table(report, "Parts of the loss by month")
    assert len(rows) == len(found)
    for row in rows:
        one = found[row["month"]]
        if one.reason and not one.n_rows[1]:
            assert row["Difference"] == row["Two-sample AUC"] == "—"
            assert row["Note"] == one.reason
            continue
        assert row["Here"] == f"{one.here:.4f}"
        assert row["Elsewhere"] == f"{one.elsewhere:.4f}"
        assert row["Difference"] == both(
            one.total.estimate, one.total.low, one.total.high, decimals=4
        )
        assert row["Overlap of features"] == percent(one.shared).replace("\xa0", " ")
        assert row["Two-sample AUC"] == both(one.auc, one.auc_low, one.auc_high)
        assert row["Rows here / elsewhere"] == "10 000 / 8 211"
        for part in one.parts:
            _check_part(row[part.name[:1].upper() + part.name[1:]], one, part)
    others = {row["month"]: row for row in table(report, "The other reading")}
    for name, one in found.items():
        if not one.alternative:
            assert name not in others
            continue
        for part in one.alternative:
            _check_part(others[name][part.name[:1].upper() + part.name[1:]], one, part)
        assert others[name]["AUC with classes matched"] == f"{one.within_auc:.3f}"
        assert "1: 22 %, 29 %, 26 %" in " ".join(others[name].values())


def _check_part(cell: str, one: Decomposition, part) -> None:
    if part.estimate != part.estimate:
        assert cell == "—"
        return
    assert cell.startswith(both(part.estimate, part.low, part.high, decimals=4))
    clear = one.total.low > 0 or one.total.high < 0
    assert cell.endswith("%") == clear
    if clear:
        share = float(cell.rsplit(", ", 1)[1].removesuffix("%").replace("−", "-"))
        assert share == pytest.approx(100 * part.estimate / one.total.estimate, abs=0.51)


def test_bars_of_the_parts_add_up_to_the_total():
    report = factory_fits.one_model()
    svg = _figure(to_html(report), "What makes the loss higher")
    by_row: dict[float, list[tuple[float, float]]] = {}
    for x, y, width in re.findall(
        r'<rect class="part k\d" x="([\d.]+)%" y="([\d.]+)" width="([\d.]+)%"', svg
    ):
        by_row.setdefault(float(y), []).append((float(x), float(width)))
    zero = float(re.findall(r'class="zero" x1="([\d.]+)%"', svg)[0])
    totals = re.findall(r'<circle class="sum" cx="([\d.]+)%" cy="([\d.]+)"', svg)
    assert len(totals) == len(by_row) == 10
    for at, y in totals:
        pieces = by_row[float(y) - 14]
        ends = sum(w if x + w / 2 > zero else -w for x, w in pieces)
        assert zero + ends == pytest.approx(float(at), abs=0.06)


def grouping_with(*found: Decomposition) -> Grouping:
    return replace(factory_fits.one_model().headline, decompositions=found)


BESIDE = "beside held-out rows of the other groups, "


def why(*found: Decomposition) -> str:
    report = factory_fits.one_model()
    model = replace(report.models[0], groupings=(grouping_with(*found),))
    line = next(
        line
        for line in printed(replace(report, models=(model,)), 500).split("\n")
        if line.startswith("why by month: ")
    )
    return line.removeprefix("why by month: ").removeprefix(BESIDE)


def key(name: str):
    return (("month", name),)


def test_causes_are_summed_up_only_for_groups_that_measurably_lose():
    of = factory_fits.decomposition_of
    assert why(of(key("a"), 0.001, 0.0), of(key("b"), -0.1, 0.0)) == (
        "no group loses measurably (2 groups looked at): nothing to explain."
    )
    assert why(of(key("a"), 0.002, 0.05), of(key("b"), 0.001, 0.0), of(key("c"), 0.09, 0.0)) == (
        "2 of 3 groups lose measurably: in 1 (a) most of it is a shift of y given x; in 1 (c) "
        "most of it is covariate shift."
    )
    unsure = of(key("u"), 0.02, 0.02)
    unsure = replace(
        unsure, parts=tuple(replace(part, low=-0.1, high=0.2) for part in unsure.parts)
    )
    assert why(unsure) == "1 of 1 group loses measurably: in 1 (u) no part is clear."
    apart = replace(unsure, parts=tuple(replace(p, estimate=NAN, low=NAN) for p in unsure.parts))
    assert why(apart).endswith("in 1 (u) it cannot be taken apart.")
    assert why(factory_fits.nothing_of(key("a"), "too few rows")) == (
        "no group can be compared: too few rows."
    )


# --- forecasts ---------------------------------------------------------------------------------


def test_every_forecast_is_in_the_tables():
    report = factory_fits.one_model()
    forecasts = report.headline.forecasts
    rows = table(report, "How far forecasts of accuracy miss")
    assert [row["Forecast"] for row in rows] == [one.method for one in forecasts]
    for row, one in zip(rows, forecasts, strict=True):
        assert row["Mean absolute error"] == both(one.error, one.low, one.high)
        plain = one.method == "no change"
        gain = "—" if plain else both(one.gain, one.gain_low, one.gain_high)
        assert row["Closer than no change by"] == gain
    groups = {row["month"]: row for row in table(report, "Forecasts of every group")}
    for one in forecasts:
        for entry in one.rows:
            row = groups[str(entry.key[0][1])]
            assert row["Actual"] == f"{entry.actual:.3f}"
            assert row[one.method] == f"{entry.forecast:.3f}"


def test_a_forecast_is_trusted_only_if_it_beats_no_change():
    report = factory_fits.one_model()
    best = report.headline.forecasts[0]
    text = text_of(report)
    assert f"Trust {best.method}: on average it misses accuracy by" in text
    assert f"which is {both(best.gain, best.gain_low, best.gain_high)} less than" in text
    grouping = replace(
        report.headline,
        forecasts=tuple(replace(one, gain_low=-0.01) for one in report.headline.forecasts),
    )
    report = replace(report, models=(replace(report.models[0], groupings=(grouping,)),))
    plain = next(one for one in report.headline.forecasts if one.method == "no change")
    assert (
        "No forecast beats assuming no change, which on average misses accuracy by "
        f"{both(plain.error, plain.low, plain.high)}."
    ) in text_of(report)


# --- fits, and the words about them ------------------------------------------------------------


def test_fits_are_named_among_the_settings():
    text = text_of(factory_fits.fitted()).replace("\u202f", " ")
    assert "Fitted: boosting, 239 fits, on 8 features (month, day, sched_dep_time" in text
    assert "Training sets: random rows 240 085 rows; unseen block 240 085 rows; unseen" in text
    assert "The models were fitted for this report, so what each of them saw is known" in text
    assert "The table says which rows are here" not in text
    assert "A column that is missing looks like a shift of y given x" in text


# --- every kind of report ----------------------------------------------------------------------


MAKERS = [
    factory_fits.fitted,
    factory_fits.one_rung,
    factory_fits.many_groups,
    factory_fits.losing,
    factory_fits.hostile_fits,
    factory_fits.nothing_known,
    factory_fits.damaged,
]


@pytest.mark.parametrize("make", [m for m in MAKERS if m is not factory_fits.hostile_fits])
def test_reports_of_fits_come_back_from_json(make):
    text = make().to_json()
    again = GapReport.from_json(text)
    assert again.to_json() == text
    assert render(again, ".html")


@pytest.mark.parametrize("suffix", [".html", ".csv", ".tex", ".xml"])
@pytest.mark.parametrize("make", MAKERS)
def test_every_form_is_written_and_repeatable(make, suffix):
    assert render(make(), suffix) == render(make(), suffix)


def test_missing_numbers_have_reasons_and_no_figures():
    text = text_of(factory_fits.nothing_known())
    assert "nan" not in text.lower().replace("provenance", "")
    assert "No step has a value: one class only." in text
    assert "No test rows." in text
    assert "No group can be compared: fewer than 30 rows" in text
    assert "No forecast can be judged: no group with a forecast and labels." in text
    page = to_html(factory_fits.nothing_known())
    for title in ("from random rows to", "of models of one month", "What makes the loss higher"):
        assert title not in page


@pytest.mark.parametrize("value", [0.0, float("inf"), float("-inf"), 1e300, -1e-300])
def test_unusual_numbers_make_a_page(value):
    report = factory_fits.all_of(value)
    assert "nan" not in text_of(report).lower().replace("provenance", "")
    assert "why by month" in printed(report, 300)


def test_hostile_names_stay_text():
    page = to_html(factory_fits.hostile_fits())
    reader = Reader(page)
    assert page.count("<script>") == 1
    assert not {"img", "u"} & {tag for tag, _ in reader.elements}
    assert "<script>window.hacked=7</script>" in reader.text
    assert r"=1+1\x1b[31m" in reader.text
    assert "{{m}}" in reader.text
    assert "\x1b" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("width", [24, 60, 120])
def test_terminals_show_hostile_names_as_text(width):
    for color in (False, True):
        text = printed(factory_fits.hostile_fits(), width, terminal=True, color=color)
        assert "\x1b[31m" not in text
        assert "\x1b[2J" not in text
        assert r"\u2068" not in text
        assert not set(text) & set("\x00\x07\r\u202e\u2068")


def test_terminals_show_the_ladders_the_causes_and_the_forecasts():
    lines = printed(factory_fits.fitted(), 300).split("\n")
    assert lines[1] == factory_fits.fitted().verdict()
    assert lines[2] == (
        "boosting: random rows 0.762 · unseen date 0.679 · unseen month 0.659 · later 0.668 "
        "(random rows 0.771)"
    )
    assert lines[3].startswith("boosting without month, day: random rows 0.680 · unseen date")
    assert lines[4].startswith(
        "why by month: beside held-out rows of the other groups, 7 of 11 groups lose measurably: "
    )
    trusted = "forecasts by month: trust difference of confidences: "
    assert any(line.startswith(trusted) for line in lines[5:])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_poor_terminals_show_them_too(encoding):
    text = printed(factory_fits.fitted(), 300, encoding=encoding)
    assert "unseen month 0.659" in text
    assert "[0.004, 0.007]" in text


def test_csv_has_a_line_for_each_step():
    report = factory_fits.fitted()
    lines = [line for line in lines_of(report) if line["kind"] == "rung"]
    rungs = [(model, rung) for model in report.models for rung in model.ladder]
    assert len(lines) == len(rungs)
    for line, (model, rung) in zip(lines, rungs, strict=True):
        assert (line["model"], line["group"]) == (model.name, rung.name)
        assert float(line["value"]) == pytest.approx(rung.gap.elsewhere)
        assert float(line["gap_high"]) == pytest.approx(rung.gap.high)
        assert line["shrunk"] == line["q"] == ""
    for line in lines_of(factory_fits.hostile_fits()):
        assert not line["group"].startswith(("=", "+", "@", "\t"))


def test_latex_has_a_table_of_the_ladders():
    report = factory_fits.fitted()
    numbers = numbers_for(report)
    body = to_latex(report).split("\\midrule\n")[2].split("\\bottomrule")[0].strip().split("\n")
    assert len(body) == 8
    assert body[2].startswith("boosting & unseen month & 0.659")
    assert numbers.one(0.103) in body[2]
    for line in to_latex(factory_fits.hostile_fits()).split("\\midrule\n")[2].split("\n")[:10]:
        assert len(re.findall(r"(?<!\\)&", line)) == 4


def test_pages_that_are_too_large_show_less():
    page = render(factory_fits.overfull(), ".html")
    assert len(page) <= 2_000_000
    assert b"The ladder" in page


def test_the_last_step_is_far_below_the_budget(monkeypatch):
    from elsewhere.report import page

    monkeypatch.setattr(page, "LADDER", page.LADDER[-1:])
    assert len(render(factory_fits.overfull(2000), ".html")) < page.MAX_BYTES / 4
