"""`elsewhere plan`: a table and a budget in, which rows to buy out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from elsewhere.cli.audit import check_outputs
from elsewhere.cli.options import (
    Block,
    Column,
    Columns,
    Delimiter,
    DropMissing,
    Ignore,
    Level,
    MaxColumns,
    MaxGroups,
    Negligible,
    Paths,
    Positive,
    Quiet,
    Threshold,
)
from elsewhere.cli.running import announcer, named_delimiter, progress

DEFAULT_OUTPUT = Path("elsewhere-plan.html")


def plan_command(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV, TSV, Parquet or JSONL file of data.")
    ],
    target: Annotated[str, typer.Option(metavar="COL", help="True labels or numbers.")],
    group: Annotated[
        str, typer.Option(metavar="COL", help="Origin of a row (site, language): what is bought.")
    ],
    budget: Annotated[float, typer.Option(metavar="MONEY", help="What may be spent.")],
    cost: Annotated[
        Columns, typer.Option(metavar="G=PRICE", help="Price of a row of a group. [default: 1]")
    ] = None,
    utility: Annotated[
        str,
        typer.Option(
            help="What to make good: weighted (mean loss of groups), concave (high losses count "
            "more), max-min (the largest loss)."
        ),
    ] = "weighted",
    weight_of: Annotated[
        Columns,
        typer.Option(metavar="G=WEIGHT", help="What a group's loss counts for. [default: 1]"),
    ] = None,
    weigh_by_rows: Annotated[
        bool, typer.Option("--weigh-by-rows", help="Groups count by their rows, not the same.")
    ] = False,
    aversion: Annotated[
        float, typer.Option(help="How much more high losses count under concave.")
    ] = 1.0,
    estimator: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What learns: boosting, linear, or module:object (which runs that code).",
        ),
    ] = "boosting",
    models: Annotated[
        str, typer.Option(help="shared: one model of all groups; each: one for each group.")
    ] = "shared",
    block: Block = None,
    feature: Annotated[
        Columns,
        typer.Option(metavar="COL", help="Learn from it. [default: all without a role]"),
    ] = None,
    ignore: Ignore = None,
    exponent: Annotated[
        str, typer.Option(metavar="P", help="Exponent of the curves, or free to fit it.")
    ] = "1",
    metric: Annotated[
        Column,
        typer.Option(
            metavar="NAME",
            help="scikit-learn scorer name or a loss. [default: roc_auc for probabilities, "
            "accuracy for labels, mean_absolute_error for numbers]",
        ),
    ] = None,
    positive: Positive = None,
    threshold: Threshold = None,
    negligible: Negligible = 0.0,
    out: Annotated[
        Paths,
        typer.Option(
            metavar="FILE",
            help=".html, .json or .csv; .tex, .xml or .yaml hold the audit only. [default: "
            "elsewhere-plan.html]",
        ),
    ] = None,
    level: Level = 0.95,
    max_rows: Annotated[int, typer.Option(help="Most training rows of a fit.")] = 20_000,
    max_groups: MaxGroups = 1_000,
    max_columns: MaxColumns = 5_000,
    drop_missing: DropMissing = False,
    delimiter: Delimiter = None,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Processes for fits [default: all cores]; -1 for all. Same result."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, subsets and fits.")] = 0,
    quiet: Quiet = False,
) -> int:
    """Plan which rows to buy: how many of each group for a budget, and what that should bring.

    Fits models with each group thinned, to measure how its loss falls with its rows, and prints
    the best split of the budget beside equal and proportional ones.
    Exit code 0: done; 2: bad input.
    """
    from rich.console import Console

    from elsewhere.audit.planning import plan
    from elsewhere.core.errors import InputError
    from elsewhere.core.files import write_together
    from elsewhere.data.tables import Limits
    from elsewhere.report import render
    from elsewhere.report.planning import show_plan

    targets = out or [DEFAULT_OUTPUT]
    check_outputs(targets, inputs=[table])
    if weigh_by_rows and weight_of:
        raise InputError("--weigh-by-rows", "is given with --weight-of", "one of the two")
    named = numbers_by_group("--weight-of", weight_of)
    chosen: Any = utility
    how: Any = models
    with progress() as on_step:
        report = plan(
            table,
            target=target,
            group=group,
            budget=budget,
            cost=numbers_by_group("--cost", cost),
            estimator=estimator,
            block=block,
            feature=feature or (),
            ignore=ignore or (),
            utility=chosen,
            weights="rows" if weigh_by_rows else named,
            aversion=aversion,
            models=how,
            exponent=_exponent(exponent),
            metric=metric,
            positive=positive,
            threshold=threshold,
            max_rows=max_rows,
            negligible=negligible,
            level=level,
            max_groups=max_groups,
            drop_missing=drop_missing,
            delimiter=named_delimiter(delimiter),
            limits=Limits(columns=max_columns),
            jobs=jobs,
            seed=seed,
            on_step=on_step,
            on_cost=None if quiet else announcer(),
        )
    write_together({path: render(report, path.suffix) for path in targets})
    if not quiet:
        show_plan(report, Console())
        for path in targets:
            typer.echo(f"report: {path}")
    return 0


def numbers_by_group(option: str, given: list[str] | None) -> dict[str, float] | None:
    """Read GROUP=NUMBER, where the group may hold equals signs.

    Args:
        option: Name for the message.
        given: What the user wrote.

    Returns:
        Numbers by group, None where nothing is given.

    Raises:
        InputError: Another form, a group named twice, or no number.
    """
    from elsewhere.core.errors import InputError

    found: dict[str, float] = {}
    for text in given or ():
        group, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = None
        if not equals or not group or value is None:
            raise InputError(option, f"is {text!r}", "GROUP=NUMBER", f"{option} 'Boston=2'")
        if group in found:
            raise InputError(option, f"names {group!r} twice", "each group once")
        found[group] = value
    return found or None


def _exponent(text: str) -> Any:
    """Read a number, or the word that lets the losses choose."""
    from elsewhere.core.errors import InputError

    if text == "free":
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError("--exponent", f"is {text!r}", "a number above 0, or free", "1") from None
