"""A report into a run of MLflow: numbers to compare and to plot, tags, parameters and the pages."""

from __future__ import annotations

import math
import posixpath
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import key_text
from elsewhere.core.untyped import untyped
from elsewhere.report.choice import worst_first
from elsewhere.report.words import shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elsewhere.core.gap_report import GapReport, Grouping

MAX_GROUPS = 200
"""Groups whose values are logged: the worst ones. The artifacts hold all."""

MAX_NAME = 60
"""Characters of a group or model within a metric's name."""

MAX_VALUE = 500
"""Characters of a parameter; older MLflow servers take no more."""

_OTHER = re.compile(r"[^\w.\- ]")
"""What MLflow's rule for names leaves out; the slash too, which would make a folder."""


def log_report(
    report: GapReport,
    *,
    prefix: str = "",
    artifact_path: str = "elsewhere",
    module: Any = None,
) -> str:
    """Log a report to the active MLflow run, or to a new one that is ended again.

    Metrics: `here`, `elsewhere`, `gap`, `gap_low`, `gap_high`, `next_low`, `next_high`; `worst`
    where one group separates; `group/<group>` and `group_gap/<group>`; for further models
    `model/<model>/here`, `.../elsewhere` and `.../gap`. Numbers that are not there are left out.
    Parameters: table, its hash, metric, level, negligible, rows, `setting.<option>`. Tags: answer,
    first line, worst group. Artifacts: report.html and report.json.

    Args:
        report: The report.
        prefix: What names of metrics, parameters and tags start with, such as "shift/"; needed to
            log two reports to one run, since MLflow lets no parameter change.
        artifact_path: Folder of the artifacts within the run.
        module: The MLflow module, or an object with its public functions; imported when absent.

    Returns:
        Id of the run.

    Raises:
        InputError: MLflow is not installed, or a prefix or path that it would refuse.
    """
    _check("prefix", prefix.rstrip("/"), empty=True)
    _check("artifact_path", artifact_path, empty=False)
    mlflow = _imported() if module is None else module
    active = mlflow.active_run()
    with mlflow.start_run() if active is None else nullcontext(active) as run:
        metrics = {f"{prefix}{name}": value for name, value in _metrics(report)}
        known = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
        for at in range(0, len(known), 500):  # MLflow takes at most 1 000 at once.
            mlflow.log_metrics(dict(known[at : at + 500]))
        params = [(f"{prefix}{name}", value) for name, value in _params(report).items()]
        for at in range(0, len(params), 100):
            mlflow.log_params(dict(params[at : at + 100]))
        mlflow.set_tags({f"{prefix}elsewhere.{n}": text for n, text in _tags(report).items()})
        from elsewhere.report import to_html

        mlflow.log_text(to_html(report), f"{artifact_path}/report.html")
        # A half of a character, which no file can hold, becomes the escape that JSON has for it.
        text = report.to_json().encode("utf-8", "backslashreplace").decode("utf-8")
        mlflow.log_text(text, f"{artifact_path}/report.json")
        return str(run.info.run_id)


def _imported() -> Any:
    """Import MLflow, or say how to get it."""
    try:
        return untyped("mlflow")
    except ImportError:
        raise InputError(
            "mlflow", "is not installed", "the package mlflow", "pip install mlflow"
        ) from None


def _check(argument: str, path: str, *, empty: bool) -> None:
    """Refuse what MLflow would refuse after half of the report is logged."""
    if empty and not path:
        return
    plain = posixpath.normpath(path) == path and not path.startswith(("/", ".."))
    if not plain or path == "." or any(_OTHER.search(step) for step in path.split("/")):
        raise InputError(
            argument,
            f"is {path!r}",
            "letters, digits, '_', '-', '.', blanks, and '/' between them",
            "'elsewhere'",
        )


def _metrics(report: GapReport) -> Iterator[tuple[str, float]]:
    """List all numbers, also those that are not there."""
    gap, grouping = report.gap, report.headline
    yield from (("here", gap.here), ("elsewhere", gap.elsewhere), ("gap", gap.estimate))
    yield from (("gap_low", gap.low), ("gap_high", gap.high))
    yield from (("next_low", gap.next_low), ("next_high", gap.next_high))
    if len(grouping.worst) == 1:
        yield from (("worst", row.value) for row in grouping.rows if row.key == grouping.worst[0])
    rows = worst_first(grouping.rows, MAX_GROUPS, greater_is_better=report.greater_is_better)
    # Named in key order and not by rank, so that a group keeps its name from run to run.
    named = dict(
        zip(
            (row.key for row in grouping.rows),
            names([key_text(row.key) for row in grouping.rows]),
            strict=True,
        )
    )
    for row in rows:
        yield f"group/{named[row.key]}", row.value
        yield f"group_gap/{named[row.key]}", row.gap
    others = report.models[1:]
    for model, name in zip(others, names([model.name for model in others]), strict=True):
        found = model.groupings[0].gap
        yield f"model/{name}/here", found.here
        yield f"model/{name}/elsewhere", found.elsewhere
        yield f"model/{name}/gap", found.estimate


def names(texts: list[str]) -> list[str]:
    """Make texts into distinct names that MLflow takes.

    Args:
        texts: Any texts.

    Returns:
        Names of letters, digits, "_", "-", "." and blanks; a number tells equal ones apart.

    Example:
        >>> names(["Lyon", "a/b", "a:b", ".."])
        ['Lyon', 'a_b', 'a_b_2', '_']
    """
    found: list[str] = []
    taken: set[str] = set()
    for text in texts:
        plain = _OTHER.sub("_", shorten(text, MAX_NAME)).strip()
        if not plain.strip("."):
            plain = "_"
        name, number = plain, 1
        # Some stores keep each metric in a file, on disks that do not tell upper from lower case.
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        found.append(name)
    return found


def _params(report: GapReport) -> dict[str, str]:
    """List what was asked."""
    hashed = [str(v) for name, v in report.provenance.items() if "sha256" in name]
    given: dict[str, object] = {
        "table": report.table,
        **({"table_sha256": hashed[0]} if hashed else {}),
        "metric": report.metric,
        "level": report.level,
        "negligible": report.negligible,
        "n_rows": report.n_rows,
        "model": report.models[0].name,
        **{f"setting.{name}": value for name, value in report.settings.items()},
    }
    return {name: shorten(value, MAX_VALUE) for name, value in given.items()}


def _tags(report: GapReport) -> dict[str, str]:
    """Say what came out, in words."""
    grouping: Grouping = report.headline
    return {
        "answer": report.answer,
        "first_line": shorten(report.first_line(), MAX_VALUE),
        "verdict": shorten(report.verdict(), MAX_VALUE),
        "worst_group": shorten(visible(grouping.worst_text), MAX_VALUE),
    }
