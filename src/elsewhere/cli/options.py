"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional, TypeAlias

import typer

Columns: TypeAlias = Optional[list[str]]  # noqa: UP045 (Typer reads these at run time)
Column: TypeAlias = Optional[str]  # noqa: UP045
Number: TypeAlias = Optional[float]  # noqa: UP045
Paths: TypeAlias = Optional[list[Path]]  # noqa: UP045

Block: TypeAlias = Annotated[
    Column, typer.Option(metavar="COL", help="What belongs together (patient, day).")
]
Ignore: TypeAlias = Annotated[Columns, typer.Option(metavar="COL", help="Never learn from it.")]
Positive: TypeAlias = Annotated[
    Column, typer.Option(metavar="VALUE", help="Positive class. [default: the larger of two]")
]
Threshold: TypeAlias = Annotated[
    Number, typer.Option(metavar="T", help="Scores from T on count as positive.")
]
Negligible: TypeAlias = Annotated[
    float, typer.Option(metavar="SIZE", help="Gap that does not matter; needed to say 'no gap'.")
]
Level: TypeAlias = Annotated[float, typer.Option(help="Confidence level of all intervals.")]
MaxGroups: TypeAlias = Annotated[int, typer.Option(help="Most groups of one column.")]
MaxColumns: TypeAlias = Annotated[int, typer.Option(help="Most columns of the table.")]
DropMissing: TypeAlias = Annotated[
    bool, typer.Option("--drop-missing", help="Leave out rows with missing values.")
]
Delimiter: TypeAlias = Annotated[
    Column, typer.Option(metavar="CHAR", help="Delimiter of text tables. [default: ,]")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Write files only.")]
