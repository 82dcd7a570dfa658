"""Which rows to buy next: the plan beside equal and proportional splits, drawn and listed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import Forest, Mark, forest
from elsewhere.report.layout import Cell, Column, Context, Limits, Table
from elsewhere.report.words import MISSING, count, numbers_for, numbers_of, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from elsewhere.core.gap_report import GapReport
    from elsewhere.core.plans import Allocation, BuyingPlan, Curve
    from elsewhere.report.words import Numbers

ANCHOR = "plan"

MAX_GROUPS = 40
"""Groups that a terminal lists; the others are counted."""

MAX_NAME = 60
"""Characters of a name in a terminal; narrow ones cut more."""

MIN_NAME = 14
"""Characters that a name keeps, if it has them: columns make way, in the order of `_YIELDING`."""

MAX_LINE = 2_000
"""Characters of a sentence that came with the report."""

_YIELDING = ("cost", "proportional", "equal", "now", "have")
"""Columns that narrow terminals go without, the first one first."""

UTILITIES = {
    "weighted": "mean loss",
    "concave": "penalty of the losses",
    "max-min": "largest loss",
}
"""What each utility makes small."""

NEAR = 0.05
"""How near to its floor the largest loss is when buying ends, as `remedies.allocation` has it."""

MEANING = (
    "Limits of a group's loss cover which blocks were held out and which subsets were learnt from, "
    "each group alone. They do not cover that the curve may have another form beyond the rows at "
    "hand."
)


@dataclass(frozen=True)
class PlanningPart:
    """The plan on the page.

    Args:
        anchor: Where it is.
        title: Its title.
        sentences: What to buy, and what to make of it.
        figure: Loss of each group now and after the plan, or None without a plan.
        table: The groups with what to buy of each.
        strategies: The ways to spend the budget, or None without a plan.
        curves: The curves behind all this.
        summary: A few words for the contents.
    """

    anchor: str
    title: str
    sentences: list[str]
    figure: Forest | None
    table: Table
    strategies: Table | None
    curves: Table
    summary: str


def planning_part(report: GapReport, context: Context) -> PlanningPart | None:
    """Put the plan on the page, or nothing where there is none.

    Args:
        report: The report.
        context: The page.

    Returns:
        The part; its figure and tables count themselves in this order.
    """
    found = report.plan
    if found is None:
        return None
    planned = found.allocations[0] if found.allocations else None
    order = _order(found)[: context.limits.rows]
    figure = None
    if planned is not None:
        figure = loss_figure(context, found, planned, order[: context.limits.bars])
    return PlanningPart(
        ANCHOR,
        "Which rows to buy",
        sentences(context, found),
        figure,
        groups_table(context, found, order),
        strategies_table(context, found) if found.allocations else None,
        curves_table(context, found, order),
        f"{count(sum(planned.bought))} rows" if planned is not None else "no plan",
    )


def _order(found: BuyingPlan) -> list[int]:
    """Groups by the rows to buy of them, most first."""
    bought = found.allocations[0].bought if found.allocations else (0,) * len(found.curves)
    return sorted(range(len(found.curves)), key=lambda g: (-bought[g], g))


def _losses(context: Context, found: BuyingPlan) -> Numbers:
    """Choose the decimals of losses."""
    planned = found.allocations[:1]
    return numbers_of(
        [curve.loss for curve in found.curves],
        [curve.high - curve.low for curve in found.curves]
        + [h - w for one in planned for w, h in zip(one.predicted_low, one.predicted_high,
                                                    strict=True)],
        plain=context.plain,
    )  # fmt: skip


def _utilities(context: Context, found: BuyingPlan) -> Numbers:
    """Choose the decimals of utilities."""
    return numbers_of(
        [one.utility for one in found.allocations],
        [one.high - one.low for one in found.allocations],
        plain=context.plain,
    )


def _gains(context: Context, found: BuyingPlan) -> Numbers:
    """Choose the decimals of differences to an equal split."""
    return numbers_of(
        [one.gain for one in found.allocations],
        [one.gain_high - one.gain_low for one in found.allocations],
        plain=context.plain,
    )


def _money(context: Context, value: float) -> str:
    """Write a sum of money."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}".replace(",", context.numbers.thousands)
    return f"{value:,.2f}".replace(",", context.numbers.thousands)


# --- words -------------------------------------------------------------------------------------


def sentences(context: Context, found: BuyingPlan) -> list[str]:
    """Say what to buy, how much better than an equal split that is, and what it rests on.

    Args:
        context: The reader.
        found: The plan.

    Returns:
        A few sentences, the first one the answer.
    """
    if not found.allocations:
        return [f"No plan: {context.long_text(found.reason)}.", *_ground(context, found)]
    planned, what = found.allocations[0], UTILITIES[found.utility]
    numbers = _utilities(context, found)
    groups = [g for g in _order(found) if planned.bought[g]]
    stuck = _stuck(context, found, planned)
    left = found.budget - planned.cost
    if not groups:
        stays = f"the {what} stays at {numbers.one(-planned.utility)}."
        lines = [f"Nothing worth buying: {_why_nothing(found, planned)}, so {stays}"]
        if stuck:
            name, why = stuck
            lines = [
                f"No purchase lowers the largest loss ({name}): {why}.",
                f"So the {_money(context, left)} stay unspent, and {stays}",
            ]
        return [*lines, *_spent_all(context, found), *_ground(context, found)]
    named = [
        f"{context.plural(planned.bought[g], 'row')} of "
        f"{context.group_in_text(found.curves[g].key)}"
        for g in groups
    ]
    answer = (
        f"For {_money(context, planned.cost)}, buy {context.few(named, 4)}: {what} "
        f"{numbers.both(-planned.utility, -planned.high, -planned.low)} expected."
    )
    if stuck and left >= min(curve.unit_cost for curve in found.curves):
        name, why = stuck
        answer += (
            f" The other {_money(context, left)} stay unspent: after that no purchase lowers the "
            f"largest loss ({name}), since {why}."
        )
        return [answer, *_spent_all(context, found), *_ground(context, found)]
    lines = [answer]
    gain = _gains(context, found).both(planned.gain, planned.gain_low, planned.gain_high)
    if planned.gain_low > 0:
        lines.append(
            f"That is {gain} better than as many rows of each group for the same money (the plan "
            "was chosen with the same curves)."
        )
    elif planned.gain_high < 0:
        lines.append(
            f"For the {what} alone, as many rows of each group for the same money would be better "
            f"({gain})."
        )
    else:
        lines.append(
            f"Against as many rows of each group for the same money it is {gain} better: these "
            "curves do not tell the two apart."
        )
    return lines + _ground(context, found)


def _stuck(context: Context, found: BuyingPlan, planned: Allocation) -> tuple[str, str] | None:
    """Name the group of the largest loss and say why rows do not lower it, where they do not."""
    known = [g for g, loss in enumerate(planned.predicted) if math.isfinite(loss)]
    if found.utility != "max-min" or not known:
        return None
    most = max(known, key=lambda g: planned.predicted[g])
    curve, loss = found.curves[most], planned.predicted[most]
    name = context.group_in_text(curve.key)
    if curve.b <= 0:
        return name, "it was not seen to fall with more rows"
    if loss <= (1 + NEAR) * curve.a * (1 + 1e-9):
        return name, f"it is within {100 * NEAR:g}\u00a0% of what rows cannot remove"
    return None


def _why_nothing(found: BuyingPlan, planned: Allocation) -> str:
    """Say why nothing is bought."""
    falls = [
        curve.b > 0 and (found.utility == "max-min" or curve.weight > 0)
        for curve, loss in zip(found.curves, planned.predicted, strict=True)
        if math.isfinite(loss)
    ]
    if any(falls):
        return "a row of the groups that it would help costs more than the budget"
    return "no group's loss falls with more rows"


def _spent_all(context: Context, found: BuyingPlan) -> list[str]:
    """Say what an equal split of the whole budget would bring, where the plan leaves some of it."""
    numbers = _utilities(context, found)
    return [
        f"As many rows of each group for {_money(context, one.cost)}: {UTILITIES[found.utility]} "
        f"{numbers.both(-one.utility, -one.high, -one.low)} expected."
        for one in found.allocations
        if one.strategy == "equal" and any(one.bought)
    ]


def _ground(context: Context, found: BuyingPlan) -> list[str]:
    """Say what the table can tell, and whether groups can be planned one by one."""
    told = {
        "yes": "Rows of one group leave the other groups' losses as they are",
        "no": "Rows of one group also move other groups' losses, which the plan leaves out",
        "unknown": "Whether rows of one group also move other groups' losses is open",
    }
    lines = [f"{told[found.separable]}: {context.long_text(found.transfer)}."]
    if found.detectable:
        lines.append(f"As it is, the table can tell this much: {found.detectable}.")
    return lines


# --- the figure and the tables -----------------------------------------------------------------


def loss_figure(
    context: Context, found: BuyingPlan, planned: Allocation, order: Sequence[int]
) -> Forest:
    """Draw the loss of each group after the plan with its interval, and its loss now.

    Args:
        context: The page.
        found: The plan.
        planned: Its allocation.
        order: Groups to show.

    Returns:
        The figure.
    """
    numbers = _losses(context, found)
    marks = [
        Mark(
            context.group(found.curves[g].key),
            numbers.both(planned.predicted[g], planned.predicted_low[g], planned.predicted_high[g]),
            planned.predicted[g],
            planned.predicted_low[g],
            planned.predicted_high[g],
            shrunk=found.curves[g].loss,
        )
        for g in order
        if math.isfinite(planned.predicted[g])
    ]
    left = sum(map(math.isfinite, planned.predicted)) - len(marks)
    return forest(
        next(context.figures),
        f"Expected loss of each group after the plan, and now: {context.text(found.loss)}",
        f"{plural(len(marks), 'group')}, those of which most is bought first. The table holds the "
        "numbers.",
        marks,
        reference=math.nan,
        note=f"{plural(left, 'more group')} left out." if left > 0 else "",
    )


def groups_table(context: Context, found: BuyingPlan, order: Sequence[int]) -> Table:
    """List what to buy of each group, beside the other ways to spend the budget."""
    numbers = _losses(context, found)
    ways = found.allocations

    def row(g: int) -> tuple[Cell, ...]:
        curve = found.curves[g]
        cells = [
            Cell(context.group(curve.key)),
            Cell(count(curve.n_rows)),
            Cell(_money(context, curve.unit_cost)),
        ]
        if ways:
            low, high = ways[0].predicted_low[g], ways[0].predicted_high[g]
            cells += [
                Cell(count(ways[0].bought[g])),
                Cell(_money(context, ways[0].bought[g] * curve.unit_cost)),
                Cell(numbers.one(curve.loss), numbers.interval(curve.low, curve.high)),
                Cell(numbers.one(ways[0].predicted[g]), numbers.interval(low, high)),
                *(Cell(count(one.bought[g]), numbers.one(one.predicted[g])) for one in ways[1:]),
            ]
        else:
            cells.append(Cell(numbers.one(curve.loss), numbers.interval(curve.low, curve.high)))
        return tuple(cells)

    left = len(found.curves) - len(order)
    planned = (
        Column("Buy", order="descending"),
        Column("Cost"),
        Column("Loss now"),
        Column("Loss expected"),
        *(Column(f"{one.strategy.capitalize()}: buy, loss") for one in ways[1:]),
    )
    return Table(
        next(context.tables),
        f"What to buy of each group for {_money(context, found.budget)}",
        (
            Column(context.text(context.report.headline.name), number=False),
            Column("Rows now"),
            Column("Price of a row"),
            *(planned if ways else (Column("Loss now"),)),
        ),
        tuple(row(g) for g in order),
        _left_out(left),
        f"Loss: {context.text(found.loss)}, lower is better. {MEANING}",
    )


def strategies_table(context: Context, found: BuyingPlan) -> Table:
    """List the ways to spend the budget."""
    numbers, gains = _utilities(context, found), _gains(context, found)
    what = UTILITIES[found.utility]

    def row(one: Allocation) -> tuple[Cell, ...]:
        gain = Cell(gains.one(one.gain), gains.interval(one.gain_low, one.gain_high))
        return (
            Cell(one.strategy.capitalize()),
            Cell(count(sum(one.bought))),
            Cell(_money(context, one.cost)),
            Cell(numbers.one(-one.utility), numbers.interval(-one.high, -one.low)),
            Cell(MISSING) if one.strategy == "equal" else gain,
        )

    return Table(
        next(context.tables),
        "Ways to spend the same budget",
        (
            Column("Way", number=False),
            Column("Rows"),
            Column("Cost"),
            Column(f"{what.capitalize()} expected"),
            Column("Better than equal by"),
        ),
        tuple(row(one) for one in found.allocations),
        "",
        "Equal: as many rows of each group; equal spend: as much money for each; proportional: by "
        "the groups' rows now; what is left then buys one row each, cheapest first. Limits are "
        "over refits of the curves. The plan was chosen with the same curves, which flatters it.",
    )


def curves_table(context: Context, found: BuyingPlan, order: Sequence[int]) -> Table:
    """List the learning curves."""
    falls = [curve.per_hundred for curve in found.curves]
    fall = numbers_of(
        falls,
        [curve.per_hundred_high - curve.per_hundred_low for curve in found.curves],
        plain=context.plain,
    )
    numbers = _losses(context, found)
    reasons = any(found.curves[g].reason for g in order)

    def row(curve: Curve) -> tuple[Cell, ...]:
        pairs = zip(curve.sizes, curve.losses, strict=True)
        measured = ", ".join(f"{numbers.one(loss)} at {count(n)}" for n, loss in pairs)
        return (
            Cell(context.group(curve.key)),
            Cell(
                fall.one(curve.per_hundred),
                fall.interval(curve.per_hundred_low, curve.per_hundred_high),
            ),
            Cell(numbers.one(curve.a)),
            Cell(MISSING if math.isnan(curve.b) else f"{curve.b:.3g}"),
            Cell(MISSING if math.isnan(curve.p) else f"{curve.p:.2g}"),
            Cell(measured or MISSING),
            *([Cell(context.long_text(curve.reason))] if reasons else []),
        )

    return Table(
        next(context.tables),
        "Learning curves: loss = floor + size × rows to the power of −exponent",
        (
            Column(context.text(context.report.headline.name), number=False),
            Column("Fall with 100 more rows"),
            Column("Floor"),
            Column("Size"),
            Column("Exponent"),
            Column("Held-out losses at training rows", number=False),
            *([Column("Note", number=False)] if reasons else []),
        ),
        tuple(row(found.curves[g]) for g in order),
        _left_out(len(found.curves) - len(order)),
        "The floor is the loss that no number of rows removes. Limits of the fall are for each "
        "group alone.",
    )


def _left_out(n: int) -> str:
    """Say how many groups are not listed."""
    if n <= 0:
        return ""
    return f"{plural(n, 'more group')} left out; the JSON form of this report holds all."


# --- the terminal ------------------------------------------------------------------------------


def show_plan(report: GapReport, console: Console | None = None) -> None:
    """Print the plan: what to buy of each group, beside equal and proportional splits.

    Names never act: markup, control characters and line breaks in them are shown as text.

    Args:
        report: A report with a plan.
        console: Where to print; standard output when absent.
    """
    from rich.console import Console

    from elsewhere.report.terminal import inert_text

    out = console or Console()
    found = report.plan
    if found is None:
        return
    context = Context(
        report,
        Limits(rows=MAX_GROUPS, bars=MAX_GROUPS, sections=1, name=MAX_NAME),
        numbers_for(report, plain=True),
        plain=True,
    )
    first, *others = sentences(context, found)
    out.print(inert_text(out, first, "bold"), soft_wrap=not out.is_terminal)
    for line in others:
        out.print(inert_text(out, line))
    out.print()
    _print_table(out, context, found)
    out.print()
    if found.allocations:
        numbers, gains = _utilities(context, found), _gains(context, found)
        what = UTILITIES[found.utility]
        for one in found.allocations:
            line = (
                f"{one.strategy}: {what} {numbers.both(-one.utility, -one.high, -one.low)} for "
                f"{_money(context, one.cost)}"
            )
            if one.strategy != "equal":
                gain = gains.both(one.gain, one.gain_low, one.gain_high)
                line += f", better than equal by {gain}"
            out.print(inert_text(out, line))
    noted: dict[str, list[str]] = {}
    for curve in found.curves:
        if curve.reason:
            noted.setdefault(curve.reason, []).append(context.group_in_text(curve.key))
    for reason, names in list(noted.items())[:MAX_GROUPS]:
        out.print(inert_text(out, f"{context.few(names)}: {reason}", "dim"))
    out.print(inert_text(out, f"now: {report.first_line()}"))
    for note in report.notes:
        out.print(inert_text(out, f"note: {note}"))


def _print_table(out: Console, context: Context, found: BuyingPlan) -> None:
    """Print the groups, with as many columns as the width allows."""
    from rich import box
    from rich.table import Table

    from elsewhere.report.terminal import inert_text

    order = _order(found)[:MAX_GROUPS]
    columns = _columns(context, found, order)
    longest = max((len(context.group(found.curves[g].key)) for g in order), default=0)
    for name in _YIELDING:
        if _width(columns) + min(longest, MIN_NAME) <= out.width:
            break
        columns.pop(name, None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    cut = "ellipsis" if out.encoding.lower().startswith("utf") else "crop"
    table.add_column(
        inert_text(out, context.text(context.report.headline.name)),
        no_wrap=True,
        overflow=cut,
        max_width=max(out.width - _width(columns), 4),
    )
    for head, _ in columns.values():
        table.add_column(inert_text(out, head), justify="right", no_wrap=True)
    for i, g in enumerate(order):
        name = context.group(found.curves[g].key)
        cells = [name, *(cells[i] for _, cells in columns.values())]
        table.add_row(*(inert_text(out, cell) for cell in cells))
    out.print(table)
    left = len(found.curves) - len(order)
    if left > 0:
        out.print(inert_text(out, f"and {left:,} more groups", "dim"))


def _width(columns: dict[str, tuple[str, list[str]]]) -> int:
    """Width of the columns of numbers, with the three spaces before each."""
    return sum(max(map(len, [head, *cells])) + 3 for head, cells in columns.values())


def _columns(
    context: Context, found: BuyingPlan, order: Sequence[int]
) -> dict[str, tuple[str, list[str]]]:
    """Write the columns of numbers, each with its head."""
    numbers, curves = _losses(context, found), [found.curves[g] for g in order]
    columns = {"have": ("have", [f"{curve.n_rows:,}" for curve in curves])}
    if not found.allocations:
        now = [numbers.both(curve.loss, curve.low, curve.high) for curve in curves]
        return columns | {"loss": ("loss now", now)}
    planned = found.allocations[0]
    spent = [planned.bought[g] * found.curves[g].unit_cost for g in order]
    columns |= {
        "buy": ("buy", [f"{planned.bought[g]:,}" for g in order]),
        "cost": ("cost", [_money(context, value) for value in spent]),
        "now": ("loss now", [numbers.one(curve.loss) for curve in curves]),
        "predicted": (
            "expected",
            [
                numbers.both(
                    planned.predicted[g], planned.predicted_low[g], planned.predicted_high[g]
                )
                for g in order
            ],
        ),
    }
    for one in found.allocations[1:]:
        if one.strategy in ("equal", "proportional"):
            columns[one.strategy] = (f"{one.strategy} buys", [f"{one.bought[g]:,}" for g in order])
    return columns
