"""A table to fit models on: roles checked, features coded, the target as classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.audit.estimators import Kind, kind_said
from elsewhere.audit.question import (
    GroupColumns,
    Options,
    Question,
    choose_metric,
    column_of,
    find_groups,
    find_roles,
    find_target,
    moments,
    named_columns,
    names_of,
    open_source,
    without_missing,
)
from elsewhere.core.arrays import Floats, Integers, Key, Objects, code, missing
from elsewhere.core.errors import InputError
from elsewhere.core.metrics import get_metric
from elsewhere.core.scores import Scored
from elsewhere.core.untyped import untyped
from elsewhere.ops.duplicates import across_groups, as_blocks, exact_duplicates, near_duplicates

if TYPE_CHECKING:
    from elsewhere.core.metrics import Metric
    from elsewhere.data.tables import Table

MAX_CLASSES = 20
"""Distinct whole numbers up to which a target counts as classes."""

MAX_CATEGORIES = 254
"""Values of a text column that keep a code of their own; rarer ones share the last."""

BY_CHANCE = 0.2
"""Share of the rows with copies beyond which copies say little."""

LONG_TEXT = 40
"""Mean length from which a text column is searched for near-duplicates."""

MAX_TEXTS = 20_000
"""Rows up to which texts are searched for near-duplicates."""


@dataclass(frozen=True, eq=False)
class Features:
    """Columns that models learn from.

    Args:
        columns: Values by name, each shape (n,), as they were read.
        matrix: The same as numbers: text as codes by frequency, NaN for missing, shape
            (n, columns).
        categorical: Names of the columns that hold codes.
    """

    columns: dict[str, Objects]
    matrix: Floats
    categorical: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in the order of the matrix."""
        return tuple(self.columns)

    def select(self, names: tuple[str, ...]) -> Features:
        """Keep some columns.

        Args:
            names: Their names.

        Returns:
            The features with these columns only.
        """
        place = [self.names.index(name) for name in names]
        return Features(
            {name: self.columns[name] for name in names},
            np.ascontiguousarray(self.matrix[:, place]),
            tuple(name for name in self.categorical if name in names),
        )

    def codes_at(self) -> tuple[int, ...]:
        """Positions of the categorical columns."""
        return tuple(self.names.index(name) for name in self.categorical)

    def frame(self) -> Any:
        """Return the columns as a pandas DataFrame, as the user's own estimators expect them."""
        return untyped("pandas").DataFrame(self.columns)


@dataclass(frozen=True, eq=False)
class Ground:
    """A table with everything that the designs and the fits need.

    Args:
        question: Target, groups, blocks and weights in their roles; it has no models yet.
        kind: Whether the target is classes or numbers.
        target: Class codes or numbers, shape (n,).
        classes: Classes by code; empty for numbers.
        features: What models learn from.
        block: Number of each row's block, or None, shape (n,).
        time: Periods of time, or None.
        moment: Rank of each row's time, equal times sharing one, shape (n,), or None.
    """

    question: Question
    kind: Kind
    target: Objects
    classes: tuple[Key, ...]
    features: Features
    block: Integers | None
    time: GroupColumns | None
    moment: Integers | None

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.question.n

    @property
    def groupings(self) -> tuple[GroupColumns, ...]:
        """The groupings without time."""
        return tuple(columns for columns in self.question.groups if not columns.ordered)


def prepare(source: Any, options: Options, name: str | None = None) -> Ground:
    """Read a table to fit models on.

    Args:
        source: A path or a data frame.
        options: The roles; the estimator is resolved.
        name: Name of the table.

    Returns:
        The table, ready for designs.

    Raises:
        InputError: Anything that does not fit; see the message.
    """
    for option, given in (
        ("--prediction", options.prediction),
        ("--score", options.score),
        ("--here", options.here),
        ("--here-table", options.here_table),
        ("--row", options.row),
    ):
        if given is not None:
            raise InputError(
                option,
                "is given together with --estimator",
                "predictions to audit, or a model to fit, not both",
            )
    table = open_source(source, options, name)
    roles = find_roles(table, options)
    features = _feature_names(table, roles.all, options)
    columns = table.load(list(dict.fromkeys([*roles.all, *features])))
    columns, _, notes = without_missing(columns, None, roles.all, options)
    y, positive = find_target(columns, roles, options)
    if y.ndim == 2:
        raise InputError("--target", "has several columns", "one column", "one audit a label")
    kind = kind_of(y, options)
    metric = _metric(options, y, kind)
    target: Objects = y.astype(np.float64) if kind == "regression" else code(y).codes
    classes: tuple[Key, ...] = () if kind == "regression" else code(y).keys
    if len(classes) == 1:
        raise InputError(
            "--target",
            f"has one class ({classes[0]!r})",
            "at least two classes",
            "check the filter, or --positive",
        )
    if positive is not None and kind == "classification":
        notes.append(f"positive class: {positive!r}")
    notes.append(
        f"the target is taken as {'classes' if kind == 'classification' else 'numbers'}"
        + (f" ({len(classes)})" if classes else "")
    )
    groups = find_groups(columns, roles, options, one_sided=True)
    if all(one.ordered for one in groups):  # time alone: its periods are the groups, too
        groups = (replace(groups[0], ordered=False), *groups)
    checked = Scored(
        np.zeros(len(y)),
        block=column_of(columns, options.block),
        weight=column_of(columns, options.weight),
    )
    block = None if checked.block is None else code(checked.block).codes
    made = code_features({f: columns[f] for f in features}, notes)
    block, found = _duplicates(made, groups, block, options)
    notes += found
    question = Question(
        name or table.name,
        y,
        (),
        groups,
        None,
        block if block is not None else None,
        None,
        checked.weight,
        metric,
        "score" if kind == "classification" else "prediction",
        options.threshold,
        tuple(notes),
        table.content_hash(),
    )
    time = next((columns for columns in groups if columns.ordered), None)
    moment = None if options.time is None else moments(columns[options.time], options.time)
    return Ground(question, kind, target, classes, made, block, time, moment)


def kind_of(y: Objects, options: Options) -> Kind:
    """Decide whether the target is classes or numbers.

    The estimator decides where it says what it is; then the metric; then the values: text,
    booleans and up to 20 distinct whole numbers are classes.

    Args:
        y: Target, shape (n,).
        options: Estimator and metric.

    Returns:
        The kind of task.
    """
    said, numbers = kind_said(options.estimator), y.dtype.kind in "iuf"
    if said == "classification" or (said == "regression" and numbers):
        return said
    if numbers and options.metric is not None and get_metric(options.metric).needs == "value":
        return "regression"
    if options.positive is not None or y.dtype.kind not in "iuf":
        return "classification"
    whole = y.dtype.kind != "f" or bool(np.equal(np.mod(y, 1), 0).all())
    return "classification" if whole and len(np.unique(y)) <= MAX_CLASSES else "regression"


def _metric(options: Options, y: Objects, kind: Kind) -> Metric:
    """Choose the metric for the kind of task."""
    if kind == "regression" and options.metric is None:
        return choose_metric(replace(options, metric="mean_absolute_error"), y, "", several=False)
    several = kind == "classification" and len(np.unique(code(y).codes)) > 2
    return choose_metric(options, y, "score", several=several)


# --- features ----------------------------------------------------------------------------------


def _feature_names(table: Table, roles: list[str], options: Options) -> tuple[str, ...]:
    """List the features: those named, or all columns without a role."""
    ignored = named_columns(table, options.ignore, "--ignore")
    found = named_columns(table, options.feature, "--feature")
    if not found:  # a column without a name is the row number that some programs write
        found = [c for c in table.names if c not in roles and c.strip()]
    names = tuple(column for column in found if column not in ignored)
    target = names_of(options.target)
    if set(names) & set(target):
        raise InputError("--feature", f"names the target {target[0]!r}", "other columns")
    if not names:
        raise InputError(
            "--feature",
            "leaves no column to learn from",
            "at least one column besides target, groups, block, time and weight",
            "--feature COLUMN also takes a column that has a role",
        )
    left = [column for column in names_of(options.without) if column not in names]
    if left:
        raise InputError(
            "--without", f"names {left[0]!r}, which is no feature", f"some of {', '.join(names)}"
        )
    if len(set(names_of(options.without))) == len(names):
        raise InputError("--without", "leaves no feature", "some columns to learn from")
    return names


def code_features(columns: dict[str, Objects], notes: list[str]) -> Features:
    """Turn columns into numbers: dates as days, text as codes by frequency, most frequent first.

    Codes come from the values alone and never from the target.

    Args:
        columns: Values by name.
        notes: Receives what the reader should know.

    Returns:
        The features.

    Raises:
        InputError: A column of another kind.
    """
    categorical: list[str] = []
    coded: list[Floats] = []
    kept: dict[str, Objects] = {}
    for name, values in columns.items():
        if values.dtype.kind in "biuf":
            numbers = values.astype(np.float64)
        elif values.dtype.kind == "M":
            numbers = values.astype("datetime64[s]").astype(np.float64) / 86_400
            numbers[missing(values)] = np.nan
        elif values.dtype.kind in "OUS":
            numbers = _codes(name, values, notes)
            categorical.append(name)
        else:
            raise InputError(
                f"column {name!r}",
                f"holds {values.dtype} values",
                "numbers, dates or text",
                f"--ignore {name}",
            )
        kept[name] = numbers if values.dtype.kind == "M" else values
        coded.append(np.where(np.isfinite(numbers), numbers, np.nan))
    return Features(kept, np.stack(coded, axis=1), tuple(categorical))


def _codes(name: str, values: Objects, notes: list[str]) -> Floats:
    """Code text by frequency; what is rarer than the most frequent values shares a code."""
    gone = missing(values)
    found = np.full(len(values), np.nan)
    if gone.all():
        return found
    present = code(values[~gone].astype(str).astype(object))
    frequency = np.bincount(present.codes, minlength=len(present))
    rank = np.empty(len(present), dtype=np.int64)
    rank[np.argsort(-frequency, kind="stable")] = np.arange(len(present))
    found[~gone] = np.minimum(rank, MAX_CATEGORIES - 1)[present.codes]
    if len(present) > MAX_CATEGORIES:
        notes.append(
            f"column {name!r} has {len(present)} different texts; all but the "
            f"{MAX_CATEGORIES - 1} most frequent count as one"
        )
    return found


# --- duplicates --------------------------------------------------------------------------------


def _duplicates(
    features: Features,
    groups: tuple[GroupColumns, ...],
    block: Integers | None,
    options: Options,
) -> tuple[Integers | None, list[str]]:
    """Find rows that stand in several groups, and keep copies together where asked to."""
    if options.duplicates == "ignore":
        return block, []
    notes: list[str] = []
    # By features alone: labels must not decide which rows stay together.
    clusters = {"an exact copy (all features)": exact_duplicates(list(features.columns.values()))}
    for name in features.categorical:
        values = features.columns[name]
        if len(values) <= MAX_TEXTS and _mean_length(values) >= LONG_TEXT:
            texts = [
                "" if gone else str(v) for v, gone in zip(values, missing(values), strict=True)
            ]
            clusters[f"nearly the same text in column {name!r}"] = near_duplicates(
                texts, seed=options.seed
            )
    for what, cluster in clusters.items():
        found = across_groups(cluster, groups[0].coded.codes)
        if not found.n_rows:
            continue
        column = " x ".join(groups[0].columns)
        note = f"{found.n_rows} rows have {what} in another {column}"
        if found.n_rows > BY_CHANCE * len(cluster):
            note += " (so many that most may agree by chance: the features take few values)"
        if options.duplicates == "block":
            block = as_blocks(cluster, block)
            notes.append(f"{note}; copies were kept together as blocks")
        else:
            notes.append(f"{note}; --duplicates block keeps copies together")
    return block, notes


def _mean_length(values: Objects) -> float:
    """Mean number of characters of up to 1 000 texts."""
    some = values[:: max(1, len(values) // 1_000)]
    return float(np.mean([len(str(value)) for value in some]))
