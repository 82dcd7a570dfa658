"""A plan in a report: the page's part, the terminal, hostile names, and what is left out."""

from __future__ import annotations

import io
from dataclasses import replace

import factory
import pytest
from factory import HOSTILE, NAN
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console

from elsewhere.core.gap_report import GapReport, ModelAudit
from elsewhere.core.plans import Allocation, BuyingPlan, Curve
from elsewhere.remedies import allocation
from elsewhere.report import planning
from elsewhere.report.layout import Context, Limits
from elsewhere.report.planning import planning_part, show_plan
from elsewhere.report.words import numbers_for

BOUGHT = {
    "planned": (0, 700, 150),
    "equal": (250, 250, 250),
    "equal spend": (333, 333, 166),
    "proportional": (600, 200, 100),
}


def curve_of(name: object, n: int, cost: float = 1.0, **changes: object) -> Curve:
    found = Curve(
        (("site", name),), n, cost, 1 / 3, 0.25, 0.22, 0.28, 0.2, 25.0, 1.0, 0.004, 0.001, 0.007,
        (100, 300), (0.45, 0.28),
    )  # fmt: skip
    return replace(found, **changes)


def plan_of(names: tuple[object, ...] = ("Bern", "Cork", "Oslo")) -> BuyingPlan:
    """Three groups and four ways to spend 1 000."""
    curves = tuple(curve_of(name, 600 - 100 * i) for i, name in enumerate(names))
    curves = (*curves[:-1], replace(curves[-1], unit_cost=2.0))
    ways = []
    for i, (strategy, bought) in enumerate(BOUGHT.items()):
        whole = (bought * len(names))[: len(names)]
        ways.append(
            Allocation(
                strategy, whole, 1000.0 - i, (0.24,) * len(names), (0.2,) * len(names),
                (0.27,) * len(names), -0.24 - 0.001 * i, -0.26, -0.22, 0.002 - 0.002 * i,
                0.001 - 0.002 * i, 0.003 - 0.002 * i,
            )
        )  # fmt: skip
    return BuyingPlan(
        1000.0, "weighted", "squared error of the probability", "shared", curves, tuple(ways),
        "unknown", "with a third of one site's rows the loss of another moves by at most 0.01",
        "3 groups x 500 rows detect 2.1 points or more (power 0.8)",
    )  # fmt: skip


def report_of(plan: BuyingPlan | None) -> GapReport:
    grouping = factory.grouping_of("site", ("Bern", "Cork", "Oslo"), two_sided=False)
    models = (ModelAudit("linear", (grouping,)),)
    return GapReport("t.csv", "roc_auc", True, 0.95, 0.0, 1500, models, plan=plan)


def part_of(plan: BuyingPlan | None, rows: int = 200, bars: int = 40):
    report = report_of(plan)
    context = Context(report, Limits(rows, bars, 24, 120), numbers_for(report))
    return planning_part(report, context)


def html_of(plan: BuyingPlan) -> str:
    environment = Environment(
        loader=PackageLoader("elsewhere.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    source = '{% from "planning.html" import planning %}{{ planning(part) }}'
    return environment.from_string(source).render(part=part_of(plan))


def printed(plan: BuyingPlan | None, width: int = 120) -> str:
    out = io.StringIO()
    show_plan(report_of(plan), Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def test_no_plan_no_part():
    assert part_of(None) is None
    assert printed(None) == ""


def test_the_answer_comes_first():
    part = part_of(plan_of())
    assert part.sentences[0] == (
        "For 1\u202f000, buy 700 rows of Cork, 150 rows of Oslo: mean loss 0.240 [0.220, 0.260] "
        "expected."
    )
    assert part.sentences[1].startswith("That is 0.0020 [0.0010, 0.0030] better than as many rows")
    assert part.sentences[1].endswith(" (the plan was chosen with the same curves).")
    assert part.sentences[2].startswith("Whether rows of one group also move other groups'")
    assert "3 groups x 500 rows detect 2.1 points" in part.sentences[3]
    assert part.summary == "850 rows"


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.001, 0.004, "these curves do not tell the two apart"),
        (-0.004, -0.001, "as many rows of each group for the same money would be better"),
    ],
)
def test_a_gain_that_is_not_clear_is_not_claimed(low, high, words):
    plan = plan_of()
    best = replace(plan.allocations[0], gain_low=low, gain_high=high)
    part = part_of(replace(plan, allocations=(best, *plan.allocations[1:])))
    assert words in part.sentences[1]


def test_tables_hold_every_way_and_number_themselves():
    part = part_of(plan_of())
    assert (part.figure.number, part.table.number, part.strategies.number, part.curves.number) == (
        1, 1, 2, 3,
    )  # fmt: skip
    heads = [column.title for column in part.table.columns]
    assert heads == [
        "site", "Rows now", "Price of a row", "Buy", "Cost", "Loss now", "Loss expected",
        "Equal: buy, loss", "Equal spend: buy, loss", "Proportional: buy, loss",
    ]  # fmt: skip
    cork, oslo, bern = part.table.rows
    assert [cell.text for cell in cork][:5] == ["Cork", "500", "1", "700", "700"]
    assert oslo[4].text == "300"  # 150 rows at 2
    assert bern[3].text == "0"
    assert all(len(row) == len(heads) for row in part.table.rows)
    assert [row[0].text for row in part.strategies.rows] == [
        "Planned", "Equal", "Equal spend", "Proportional",
    ]  # fmt: skip
    assert part.strategies.rows[1][4].text == "—"
    assert part.curves.rows[0][5].text == "0.450 at 100, 0.280 at 300"


def test_html_has_the_macro_and_nothing_acts():
    page = html_of(plan_of((HOSTILE[0], HOSTILE[1], "{{ 7*7 }}")))
    assert "Which rows to buy" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7*7 }}" in page
    assert page.count("<table>") == 3
    assert "expected after the plan" in page


def test_hostile_names_in_the_terminal():
    text = printed(plan_of((HOSTILE[11], HOSTILE[14], HOSTILE[9])))
    assert "\x1b" not in text
    assert "\nlines" not in text
    assert "[bold red]" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_narrow_terminals_drop_columns_and_keep_what_to_buy(width):
    text = printed(plan_of(), width)
    head = next(line for line in text.splitlines() if line.startswith("site"))
    assert "buy" in head
    assert ("proportional buys" in head) == (width >= 120)
    assert ("equal buys" in head) == (width >= 80)
    row = next(line for line in text.splitlines() if line.startswith("Cork"))
    assert "700" in row
    assert all(len(line) <= width for line in text.splitlines()[1:])


def test_what_has_no_plan_says_why():
    curve = curve_of("Bern", 12, loss=NAN, low=NAN, high=NAN, a=NAN, b=NAN, p=NAN,
                     per_hundred=NAN, per_hundred_low=NAN, per_hundred_high=NAN, sizes=(),
                     losses=(), reason="12 rows: too few")  # fmt: skip
    plan = replace(plan_of(), curves=(curve,), allocations=(), reason="no group has a curve")
    part = part_of(plan)
    assert part.sentences[0] == "No plan: no group has a curve."
    assert part.figure is None
    assert part.strategies is None
    assert part.summary == "no plan"
    assert "12 rows: too few" in html_of(plan)
    assert "No plan" in printed(plan)
    nothing = plan_of()
    best = replace(nothing.allocations[0], bought=(0, 0, 0))
    none = part_of(replace(nothing, allocations=(best, *nothing.allocations[1:])))
    assert none.sentences[0].startswith("Nothing worth buying")


def fair(a: float, b: float, bought: tuple[int, ...], cost: float) -> BuyingPlan:
    """A plan for the largest loss, which Bern has with .24 whatever is bought."""
    found = plan_of()
    curves = (replace(found.curves[0], a=a, b=b), *found.curves[1:])
    best = replace(
        found.allocations[0], bought=bought, cost=cost, predicted=(0.24, 0.2, 0.1), utility=-0.24
    )
    return replace(
        found, utility="max-min", curves=curves, allocations=(best, *found.allocations[1:])
    )


def test_money_that_lowers_no_largest_loss_stays_unspent_and_that_comes_first():
    near = part_of(fair(0.235, 3.0, (0, 0, 0), 0.0)).sentences
    assert near[0].replace("\u00a0", " ") == (
        "No purchase lowers the largest loss (Bern): it is within 5 % of what rows cannot remove."
    )
    assert near[1] == "So the 1\u202f000 stay unspent, and the largest loss stays at 0.240."
    assert near[2].startswith("As many rows of each group for 999: largest loss 0.241")
    flat = part_of(fair(0.24, 0.0, (0, 0, 0), 0.0)).sentences
    assert flat[0].endswith("(Bern): it was not seen to fall with more rows.")
    some = part_of(fair(0.235, 3.0, (400, 0, 0), 400.0)).sentences
    assert some[0].startswith("For 400, buy 400 rows of Bern: largest loss 0.240")
    assert "The other 600 stay unspent: after that no purchase lowers the largest" in some[0]
    dear = part_of(fair(0.1, 3.0, (0, 0, 0), 0.0)).sentences
    assert "costs more than the budget" in dear[0]


def test_near_is_that_of_the_allocation():
    assert planning.NEAR == allocation.NEAR


def test_equal_remarks_are_one_line():
    plan = plan_of(tuple(f"s{i:03d}" for i in range(9)))
    curves = tuple(
        replace(one, reason="no fall with more rows was measured") for one in plan.curves
    )
    text = printed(replace(plan, curves=curves))
    assert text.count("no fall with more rows") == 1
    assert "s000, s001, s002 and 6 more: no fall" in text


def test_many_groups_are_cut_and_counted():
    plan = plan_of(tuple(f"s{i:03d}" for i in range(300)))
    part = part_of(plan, rows=20, bars=5)
    assert len(part.table.rows) == 20
    assert "280 more groups left out" in part.table.left_out
    assert len(part.figure.bars) == 5
    assert "295 more groups left out" in part.figure.note
    assert "and 260 more groups" in printed(plan)


def test_json_round_trip():
    report = report_of(plan_of())
    read = GapReport.from_json(report.to_json())
    assert read.plan.allocations == report.plan.allocations
    assert read.to_json() == report.to_json()
