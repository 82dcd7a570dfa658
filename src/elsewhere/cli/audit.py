"""`elsewhere audit`: predictions in, a gap report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

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
    Number,
    Paths,
    Positive,
    Quiet,
    Threshold,
)
from elsewhere.cli.running import announcer, named_delimiter, one_of, progress

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport

DEFAULT_OUTPUT = Path("elsewhere-report.html")


def audit_command(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="CSV, TSV, Parquet or JSONL file of predictions, or of data; or evaluation logs.",
        ),
    ],
    target: Annotated[
        str, typer.Option(metavar="COL", help='True labels or numbers; "tag_*" for 0/1 labels.')
    ],
    prediction: Annotated[
        Columns, typer.Option(metavar="COL", help="Predicted labels or numbers; once a model.")
    ] = None,
    score: Annotated[
        Columns,
        typer.Option(
            metavar="COL",
            help='Scores or probabilities; once a model; "p_*" for one column a class.',
        ),
    ] = None,
    estimator: Annotated[
        Column,
        typer.Option(
            metavar="NAME",
            help="Fit models instead: boosting, linear, or module:object (which runs that code).",
        ),
    ] = None,
    group: Annotated[
        Columns, typer.Option(metavar="COL", help="Origin of a row (site, month); once a column.")
    ] = None,
    block: Block = None,
    row: Annotated[
        Column, typer.Option(metavar="COL", help="Row identity; pairs here with elsewhere.")
    ] = None,
    time: Annotated[
        Column, typer.Option(metavar="COL", help="Dates or numbers, cut into periods.")
    ] = None,
    weight: Annotated[Column, typer.Option(metavar="COL", help="Sample weights.")] = None,
    here: Annotated[
        Column,
        typer.Option(metavar="COND", help='Rows that the model was built on: "split==train".'),
    ] = None,
    here_table: Annotated[
        Column, typer.Option(metavar="FILE", help="The here rows as a file of their own.")
    ] = None,
    metric: Annotated[
        Column,
        typer.Option(
            metavar="NAME",
            help="scikit-learn scorer name or a loss. [default: roc_auc "
            "for scores, accuracy for labels, mean_absolute_error for numbers]",
        ),
    ] = None,
    positive: Positive = None,
    threshold: Threshold = None,
    pair: Annotated[
        Optional[tuple[str, str]],  # noqa: UP045
        typer.Option(metavar="GROUP GROUP", help="Two groups to compare by name."),
    ] = None,
    negligible: Negligible = 0.0,
    fail_above: Annotated[
        Number,
        typer.Option(metavar="SIZE", help="Exit 1 if the whole interval lies above SIZE."),
    ] = None,
    baseline: Annotated[
        Column, typer.Option(metavar="JSON", help="Earlier report: adds the paired change.")
    ] = None,
    out: Annotated[
        Paths,
        typer.Option(
            metavar="FILE",
            help=".html, .json, .csv, .tex, .xml (JUnit) or .yaml (model card); several "
            "allowed. [default: elsewhere-report.html]",
        ),
    ] = None,
    level: Level = 0.95,
    min_rows: Annotated[int, typer.Option(help="Rows that an intersection needs.")] = 50,
    max_groups: MaxGroups = 1_000,
    max_columns: MaxColumns = 5_000,
    drop_missing: DropMissing = False,
    delimiter: Delimiter = None,
    feature: Annotated[
        Columns,
        typer.Option(
            metavar="COL",
            help="Learn from it [default: all without a role]; of predictions: may explain "
            "failures.",
        ),
    ] = None,
    ignore: Ignore = None,
    without: Annotated[
        Columns, typer.Option(metavar="COL", help="Fit again without it; once a column.")
    ] = None,
    merge: Annotated[
        Columns,
        typer.Option(metavar="G=FAMILY", help="Group of a family that is left out as one."),
    ] = None,
    duplicates: Annotated[
        str, typer.Option(help="Copies in other groups: report, block (keep together), ignore.")
    ] = "report",
    folds: Annotated[int, typer.Option(help="Folds of rows and blocks.")] = 5,
    keep: Annotated[
        Column, typer.Option(metavar="DIR", help="Keep finished fits; a broken run goes on.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Explain fitted models; extra fits.")
    ] = True,
    close: Annotated[
        bool, typer.Option("--close/--no-close", help="Try remedies on fitted models; extra fits.")
    ] = True,
    labels: Annotated[
        int, typer.Option(help="Labelled rows of each group that a remedy may use; 0 for none.")
    ] = 100,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Processes for fits [default: all cores], else threads [default: 1]; -1 for all "
            "cores. Same result."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, fits and resampled metrics.")] = 0,
    quiet: Quiet = False,
) -> int:
    """Audit predictions of any model in any language, or fit models and audit those.

    Prints how the model does here and elsewhere and how sure that is, and writes a report.
    Exit code 0: done; 1: the gap lies above --fail-above; 2: bad input.
    """
    from rich.console import Console

    from elsewhere.audit.predictions import audit
    from elsewhere.core.files import write_together
    from elsewhere.data.tables import Limits
    from elsewhere.report import render, show

    targets = out or [DEFAULT_OUTPUT]
    check_outputs(targets, inputs=[table, here_table, baseline])
    earlier = read_report(baseline) if baseline else None
    with progress() as on_step:
        report = audit(
            table,
            target=target,
            prediction=prediction,
            score=score,
            group=group or (),
            block=block,
            row=row,
            time=time,
            weight=weight,
            here=here,
            here_table=here_table,
            metric=metric,
            positive=positive,
            threshold=threshold,
            pair=pair,
            negligible=negligible,
            level=level,
            min_rows=min_rows,
            max_groups=max_groups,
            drop_missing=drop_missing,
            baseline=earlier,
            delimiter=named_delimiter(delimiter),
            limits=Limits(columns=max_columns),
            jobs=jobs,
            seed=seed,
            on_step=on_step,
            estimator=estimator,
            feature=feature or (),
            ignore=ignore or (),
            without=without or (),
            merge=_merged(merge),
            duplicates=one_of("--duplicates", duplicates, ("report", "block", "ignore")),
            folds=folds,
            keep=keep,
            explain=explain,
            close=close,
            labels=labels,
            on_cost=None if quiet else announcer(),
        )
    write_together({path: render(report, path.suffix) for path in targets})
    if not quiet:
        show(report, Console())
        for path in targets:
            typer.echo(f"report: {path}")
    return 1 if fail_above is not None and report.gap.low > fail_above else 0


def _merged(given: list[str] | None) -> dict[str, str] | None:
    """Read GROUP=FAMILY."""
    from elsewhere.core.errors import InputError

    found: dict[str, str] = {}
    for text in given or ():
        group, equals, family = text.partition("=")
        if not equals or not group or not family:
            raise InputError("--merge", f"is {text!r}", "GROUP=FAMILY", "--merge 'Boston 2=Boston'")
        found[group] = family
    return found or None


def check_outputs(paths: list[Path], *, inputs: list[str | None]) -> None:
    """Refuse unknown formats and overwritten inputs before any work is done.

    Args:
        paths: Where reports shall go.
        inputs: Files that are read.

    Raises:
        InputError: Names the option and what is wrong.
    """
    from elsewhere.core.errors import InputError
    from elsewhere.report import SUFFIXES

    read = {Path(name).resolve() for name in inputs if name}
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                "--out", f"is {str(path)!r}", f"a name ending in {', '.join(SUFFIXES)}"
            )
        if path.resolve() in read:
            raise InputError(
                "--out", f"is {str(path)!r}, which is read by this run", "another file name"
            )


def read_report(name: str) -> GapReport:
    """Read an earlier report.

    Args:
        name: Path to its JSON form.

    Returns:
        The report.

    Raises:
        InputError: Missing, unreadable, too large, or not a report.
    """
    from elsewhere.core.errors import InputError
    from elsewhere.core.gap_report import GapReport

    path = Path(name)
    if not path.is_file():
        raise InputError(
            "--baseline",
            f"({name}) is not a file",
            "a report written with --out",
            "--out report.json in an earlier run",
        )
    if path.stat().st_size > 2**28:
        raise InputError("--baseline", f"({name}) is larger than 256 MB", "a report")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "--baseline", f"({name}) cannot be read ({error})", "a JSON report"
        ) from None
    return GapReport.from_json(text)
