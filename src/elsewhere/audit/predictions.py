"""The audit of predictions that people already have."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from elsewhere.audit.change import change_since, pairing_of
from elsewhere.audit.failing import failures_of_predictions
from elsewhere.audit.groupings import (
    evaluate,
    group_rows,
    grouping,
    key_of,
    named_pair,
)
from elsewhere.audit.pools import pool_of
from elsewhere.audit.question import (
    GroupColumns,
    MetricLike,
    Model,
    Names,
    Options,
    Question,
    ask,
)
from elsewhere.audit.rates import with_rates
from elsewhere.core.arrays import Coded, Integers, Key, code, number, sums
from elsewhere.core.calibration import calibration
from elsewhere.core.errors import InputError, nearest
from elsewhere.core.gap_report import (
    Comparison,
    GapReport,
    GroupCalibration,
    Grouping,
    GroupKey,
    GroupRow,
    ModelAudit,
    Value,
    key_text,
)
from elsewhere.core.gaps import Gap, gap_of, join
from elsewhere.core.groups import benjamini_hochberg
from elsewhere.core.intervals import simultaneous
from elsewhere.core.scores import Scored
from elsewhere.core.untyped import untyped
from elsewhere.data.tables import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from elsewhere.audit.fitting import Cost

MAX_INTERSECTIONS = 200
"""Intersections kept in a report, largest gap first; their q-values count all of them."""

Step = Callable[[int, int, str], None]
"""Called with (done, total, what) as an audit advances."""


def audit(
    table: Any,
    *,
    target: Names,
    prediction: Names | None = None,
    score: Names | None = None,
    estimator: Any = None,
    group: Names = (),
    block: str | None = None,
    row: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    here: str | None = None,
    here_table: Any = None,
    metric: MetricLike | None = None,
    positive: Key | None = None,
    threshold: float | None = None,
    pair: tuple[str, str] | None = None,
    negligible: float = 0.0,
    level: float = 0.95,
    min_rows: int = 50,
    max_groups: int = 1_000,
    drop_missing: bool = False,
    baseline: GapReport | None = None,
    delimiter: str | None = None,
    limits: Limits | None = None,
    name: str | None = None,
    jobs: int | None = None,
    seed: int = 0,
    on_step: Step | None = None,
    feature: Names = (),
    ignore: Names = (),
    without: Names = (),
    merge: Mapping[Any, Any] | None = None,
    duplicates: Literal["report", "block", "ignore"] = "report",
    folds: int = 5,
    keep: str | Path | None = None,
    explain: bool = True,
    close: bool = True,
    labels: int = 100,
    on_cost: Callable[[Cost], None] | None = None,
) -> GapReport:
    """Measure how a model holds up from group to group, here and elsewhere.

    It takes predictions from any model (`prediction` or `score`), or fits models itself
    (`estimator`): by random rows, unseen blocks, unseen groups, later rows, and on one group each.

    Args:
        table: Path to a CSV, TSV, Parquet or JSONL file, or a pandas, polars or Arrow table.
        target: Column of true labels or numbers; a pattern ("tag_*") for several 0/1 labels.
        prediction: Column(s) of predicted labels or numbers, one a model.
        score: Column(s) of scores or probabilities, one a model; a pattern ("p_*") for one
            column a class, named by what the star stands for. Give `prediction` or `score`, or
            `estimator`.
        estimator: "boosting", "linear", "module:object", or an object with `fit` and `predict` as
            scikit-learn's. Its models are fitted under every shift that the columns allow.
        group: Column(s) of origins (site, month, language).
        block: Column of what belongs together (patient, day); blocks are kept whole.
        row: Column of row identities; the same identity here and elsewhere is paired.
        time: Column of dates or numbers, cut into periods as one more grouping.
        weight: Column of sample weights.
        here: Which rows the model was built to work on: "split==train". The rest is elsewhere.
        here_table: The here rows as a table of their own, with the same columns.
        metric: A scikit-learn scorer name, a loss, a `Metric` or a function. By default roc_auc
            (or roc_auc_ovr) for scores, accuracy for labels, mean_absolute_error for numbers.
        positive: Value of the positive class; by default the larger of two.
        threshold: Score from which a row counts as positive, for label metrics and for groups
            with one class.
        pair: Two groups of the first grouping to compare by name.
        negligible: Size below which a gap does not matter; lets the audit say "no gap".
        level: Confidence level of all intervals.
        min_rows: Rows that an intersection of groups needs.
        max_groups: Most groups that one column may have.
        drop_missing: Leave out rows with missing values instead of refusing them.
        baseline: An earlier report; the paired change of the headline gap is added.
        delimiter: Delimiter of text tables.
        limits: Largest accepted table sizes.
        name: Name of the table in messages and in the report; the file name by default.
        jobs: Threads (1 when absent), or processes for fits (all cores when absent); -1 for all
            cores. The result is the same for any number.
        seed: Seed of folds, subsamples and estimators, and of metrics without a closed form.
        on_step: Called as the audit advances.
        feature: Columns to learn from; by default all without a role. A column with a role is a
            feature only if it is named here. Without an estimator: columns that may explain
            where the predictions fail.
        ignore: Columns never to learn from.
        without: Features that a second model goes without, to see what they do.
        merge: Family of groups that belong together, {group: family}; a family is left out as one.
        duplicates: Whether rows with copies in other groups are reported, kept together as blocks
            ("block") or not looked for ("ignore").
        folds: Folds of rows and of blocks.
        keep: Folder in which finished fits are kept, so that a broken run goes on from there.
        explain: Whether fitted models are explained: who carries to whom, why a group is worse,
            which forecast to trust, which features are shortcuts. It takes extra fits.
        close: Whether remedies are tried on fitted models, for the first grouping. Each takes the
            fits of unseen groups, and of their counterparts here, once more.
        labels: Labelled rows of each group elsewhere that a remedy may use; 0 for none.
        on_cost: Called with the number of fits and their cost before they start (estimated) and
            when they are done (measured).

    Returns:
        The report.

    Raises:
        InputError: Anything that does not fit; the message says what to try.

    Cost: about one sort of all rows for each model, grouping and side; memory of some 30 numbers
        a row and thread.

    Example:
        >>> import numpy as np
        >>> g = np.random.default_rng(0)
        >>> site = np.repeat(["A", "B", "C"], 200)
        >>> y = g.integers(0, 2, 600)
        >>> hit = g.random(600) < np.where(site == "C", 0.6, 0.9)
        >>> table = {"y": y, "guess": np.where(hit, y, 1 - y), "site": site}
        >>> report = audit(table, target="y", prediction="guess", group="site")
        >>> report.headline.worst_text
        'C'
    """
    _check_numbers(level, negligible, 1 if jobs is None else jobs, min_rows, seed, labels)
    options = Options(
        target,
        prediction,
        score,
        group,
        block,
        row,
        time,
        weight,
        here,
        here_table,
        metric,
        positive,
        threshold,
        drop_missing,
        max_groups,
        delimiter,
        limits or Limits(),
        seed,
        estimator,
        feature,
        ignore,
        without,
        merge,
        duplicates,
        folds,
        explain,
        close,
        labels,
    )
    if estimator is not None:
        from elsewhere.audit.fitted import FitOptions, audit_estimator

        how = FitOptions(level, negligible, pair, baseline, jobs, keep, on_step or _silent, on_cost)
        return audit_estimator(table, options, how, name)
    _check_no_fits(options, keep)
    question = ask(table, options, name)
    _check_classes(question)
    models = _models(question, level, min_rows, jobs or 1, on_step or _silent)
    models = _with_failures(question, models, level, seed)
    if pair is not None:
        models = with_pair(question, models, pair, level)
    report = GapReport(
        question.name,
        question.metric.name,
        question.metric.greater_is_better,
        level,
        negligible,
        question.n,
        models,
        _comparisons(question, level),
        None,
        pairing_of(question, models[0].groupings[0], level),
        _notes(question),
        settings(options),
        provenance(question),
    )
    report = replace(report, pool=pool_of(report, pair))
    if baseline is not None:
        report = replace(report, change=change_since(baseline, report, question))
    return report


def _with_failures(
    question: Question, models: tuple[ModelAudit, ...], level: float, seed: int
) -> tuple[ModelAudit, ...]:
    """Add where the first model fails, by the columns that were named."""
    if not question.features:
        return models
    first, *others = models
    groupings = tuple(
        replace(
            found,
            failures=failures_of_predictions(
                question, question.models[0], columns, question.features, level=level, seed=seed
            ),
        )
        for found, columns in zip(first.groupings, question.groups, strict=True)
    )
    return (replace(first, groupings=groupings), *others)


def _silent(done: int, total: int, what: str) -> None:
    """Show no progress."""


def _check_numbers(
    level: float, negligible: float, jobs: int, min_rows: int, seed: int, labels: int
) -> None:
    """Check the numeric options before anything is read."""
    if not 0 < level < 1:
        raise InputError("--level", f"is {level:g}", "a confidence level between 0 and 1", "0.95")
    if not negligible >= 0:
        raise InputError("--negligible", f"is {negligible:g}", "a size >= 0", "0.02")
    if jobs == 0 or jobs < -1:
        raise InputError("--jobs", f"is {jobs}", "a number of threads, or -1 for all cores")
    if seed < 0:
        raise InputError("--seed", f"is {seed}", "a whole number >= 0", "0")
    if labels < 0 or labels != int(labels):
        raise InputError("--labels", f"is {labels}", "a whole number of rows, 0 for none", "100")
    if min_rows < 1:
        raise InputError("--min-rows", f"is {min_rows}", "at least 1")


def _check_no_fits(options: Options, keep: str | Path | None) -> None:
    """Refuse options that only make sense where models are fitted."""
    given = {
        "--ignore": options.ignore,
        "--without": options.without,
        "--merge": options.merge,
        "--keep": keep,
        "--duplicates": options.duplicates != "report",
        "--folds": options.folds != 5,
        "--no-explain": not options.explain,
        "--no-close": not options.close,
        "--labels": options.labels != 100,
    }
    for option, value in given.items():
        if value:
            raise InputError(
                option, "is given without --estimator", "a model to fit", "--estimator boosting"
            )


def _check_classes(question: Question) -> None:
    """Refuse a classification target with a single class."""
    if question.metric.needs not in ("label", "score", "probability") or question.y.ndim == 2:
        return
    distinct = np.unique(number(question.y))
    if len(distinct) < 2:
        raise InputError(
            "--target",
            f"has one class ({code(question.y).keys[0]!r})",
            "at least two classes",
            "check the filter, or --positive; for scores of evaluation logs, --metric mean",
        )


def _models(
    question: Question, level: float, min_rows: int, jobs: int, on_step: Step
) -> tuple[ModelAudit, ...]:
    """Audit every model under every grouping, in threads."""
    joblib = untyped("joblib")
    crossed = intersections(question, min_rows)
    tasks: list[tuple[Model, str, Callable[[], Any]]] = []
    for model in question.models:
        for columns in question.groups:
            what = f"{model.name} by {' x '.join(columns.columns)}"
            tasks.append((model, what, _bind(one_grouping, question, model, columns, level)))
        tasks.append(
            (
                model,
                f"{model.name}: intersections",
                _bind(_crossings, question, model, crossed, level),
            )
        )
        tasks.append(
            (model, f"{model.name}: calibration", _bind(calibrations, question, model, level))
        )
    found: list[Any] = []
    results = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(
        joblib.delayed(run)() for _, _, run in tasks
    )
    for result in results:
        on_step(len(found) + 1, len(tasks), tasks[len(found)][1])
        found.append(result)
    width = len(question.groups) + 2
    audits: list[ModelAudit] = []
    for m, model in enumerate(question.models):
        *groupings, crossings, (curves, reason) = found[m * width : (m + 1) * width]
        audits.append(ModelAudit(model.name, tuple(groupings), crossings, curves, reason))
    return tuple(audits)


def _bind(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Fix a call's arguments."""
    return lambda: function(*arguments)


def one_grouping(question: Question, model: Model, columns: GroupColumns, level: float) -> Grouping:
    """One grouping, with rates for the groups of one class."""
    return with_rates(question, model, columns, grouping(question, model, columns, level), level)


# --- intersections -----------------------------------------------------------------------------


def intersections(question: Question, min_rows: int) -> tuple[GroupColumns, ...]:
    """Cross the group columns: pairs, and triples where there are three.

    Args:
        question: The table.
        min_rows: Rows that a crossed group needs (elsewhere's, where there are two sides).

    Returns:
        One grouping for each set of columns; rows of smaller groups have code -1.
    """
    plain = [columns for columns in question.groups if not columns.ordered]
    found: list[GroupColumns] = []
    for size in (2, 3):
        for some in itertools.combinations(plain, size):
            crossed = _cross(some, question.side, min_rows)
            if len(crossed) >= 2:
                names = tuple(c.columns[0] for c in some)
                found.append(GroupColumns(names, crossed))
    return tuple(found)


def _cross(some: Sequence[GroupColumns], side: Integers | None, min_rows: int) -> Coded:
    """Code the tuples of several columns, keeping those with enough rows."""
    joint = np.zeros(len(some[0].coded.codes), dtype=np.int64)
    for columns in some:
        joint = joint * len(columns.coded) + columns.coded.codes
    distinct, codes = np.unique(joint, return_inverse=True)
    counted = None if side is None else (side == 1).astype(np.float64)
    enough = sums(codes, len(distinct), counted) >= min_rows
    place = np.where(enough, np.cumsum(enough) - 1, -1)
    keys: list[Key] = []
    for value in distinct[enough]:
        rest, key = int(value), list[Key]()
        for columns in reversed(some):
            rest, index = divmod(rest, len(columns.coded))
            key.append(columns.coded.keys[index])
        keys.append(tuple(reversed(key)))
    return Coded(place[codes], tuple(keys))


def _crossings(
    question: Question, model: Model, crossed: tuple[GroupColumns, ...], level: float
) -> tuple[GroupRow, ...]:
    """Compute the rows of all intersections, q-values over all of them together."""
    rows: list[GroupRow] = []
    for columns in crossed:
        kept = columns.coded.codes >= 0
        part = question if kept.all() else question.at(np.flatnonzero(kept))
        chosen = replace(model, prediction=model.prediction[kept])
        coded = Coded(columns.coded.codes[kept], columns.coded.keys)
        rows += group_rows(evaluate(part, chosen, coded, level=level), columns.columns)
    q = benjamini_hochberg(np.array([row.p for row in rows]))
    adjusted = [replace(row, q=float(value)) for row, value in zip(rows, q, strict=True)]
    known = [row for row in adjusted if np.isfinite(row.gap)]
    known.sort(key=lambda row: (-row.gap, key_text(row.key)))
    return tuple(known[:MAX_INTERSECTIONS])


# --- calibration -------------------------------------------------------------------------------


def calibrations(
    question: Question, model: Model, level: float
) -> tuple[tuple[GroupCalibration, ...], str]:
    """Calibrate all rows, then each group of the first grouping, on elsewhere's rows.

    Args:
        question: The table.
        model: The model.
        level: Confidence level.

    Returns:
        The calibrations, or none and the reason.
    """
    p = model.prediction
    if question.kind != "score" or question.metric.needs == "label":
        return (), "predictions are labels or numbers, not probabilities"
    if p.ndim == 2 or question.y.ndim == 2:
        return (), "calibration by group is computed for one probability of two classes"
    p = p.astype(np.float64)
    if p.min() < 0 or p.max() > 1:
        return (), "scores lie outside [0, 1], so they are not probabilities"
    rows = np.arange(question.n) if question.side is None else np.flatnonzero(question.side == 1)
    y = number(question.y)[rows]
    unit = None if question.block is None else number(question.block)[rows]
    weight = None if question.weight is None else question.weight[rows]
    found: list[GroupCalibration] = []
    columns = question.groups[0]
    group = columns.coded.codes[rows]
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(columns.coded) + 1))
    parts: list[tuple[GroupKey, Integers]] = [((), np.arange(len(rows)))]
    for g, key in enumerate(columns.coded.keys):
        parts.append((key_of(columns.columns, key), order[bounds[g] : bounds[g + 1]]))
    for key, part in parts:
        if not len(part):
            continue
        found.append(
            GroupCalibration(
                key,
                calibration(
                    y[part],
                    p[rows][part],
                    unit=None if unit is None else unit[part],
                    weight=None if weight is None else weight[part],
                    level=level,
                ),
            )
        )
    return tuple(found), ""


# --- models side by side, named pairs ----------------------------------------------------------


def _comparisons(question: Question, level: float) -> tuple[Comparison, ...]:
    """Compare every two models on the same rows (elsewhere's, where there are two sides)."""
    couples = list(itertools.combinations(question.models, 2))
    each = simultaneous(level, len(couples))
    rows = np.arange(question.n) if question.side is None else np.flatnonzero(question.side == 1)
    part = question.at(rows)
    name = " x ".join(part.groups[0].columns)
    found: list[Comparison] = []
    for first, second in couples:
        gap = _two_models(part, first, second, rows, each)
        reason = gap.reason if np.isnan(gap.estimate) else ""
        found.append(
            Comparison(first.name, second.name, name, gap.estimate, gap.low, gap.high, reason)
        )
    return tuple(found)


def _two_models(part: Question, first: Model, second: Model, rows: Integers, level: float) -> Gap:
    """Take two models as the two sides of a gap, paired by row."""

    def scored(model: Model) -> Scored:
        return Scored(
            model.prediction[rows],
            y=part.y,
            group=part.groups[0].coded.codes,
            block=part.block,
            weight=part.weight,
            row=np.arange(part.n),
            classes=model.classes,
        )

    sides = join(scored(first), scored(second), part.metric)
    return gap_of(sides, sides.sampling(), average="within", level=level)


def with_pair(
    question: Question, models: tuple[ModelAudit, ...], pair: tuple[str, str], level: float
) -> tuple[ModelAudit, ...]:
    """Add the comparison of two named groups to each model's first grouping.

    Args:
        question: The table.
        models: The audits so far.
        pair: Two groups of the first grouping.
        level: Confidence level.

    Returns:
        The audits with the pair.

    Raises:
        InputError: A name that is no group.
    """
    columns = question.groups[0]
    keys = {str(key): key_of(columns.columns, key) for key in columns.coded.keys}
    for name in pair:
        if name not in keys:
            raise InputError(
                "--pair",
                f"names {name!r}, which is no {' x '.join(columns.columns)}",
                "two groups of the first grouping",
                nearest(name, keys),
            )
    changed: list[ModelAudit] = []
    for model, found in zip(question.models, models, strict=True):
        distance = named_pair(question, model, columns, (keys[pair[0]], keys[pair[1]]), level)
        first = found.groupings[0]
        first = replace(first, pairs=(distance, *first.pairs))
        changed.append(replace(found, groupings=(first, *found.groupings[1:])))
    return tuple(changed)


# --- words -------------------------------------------------------------------------------------


def _notes(question: Question) -> tuple[str, ...]:
    """Say what the reader must know."""
    notes = list(question.notes)
    if question.side is None:
        notes.append(
            "The table does not say which rows the model was trained on, so each group is compared "
            "with the average of the others. If some of these rows were seen in training, every "
            "value is too good."
        )
    if question.block is None and question.row is None:
        notes.append(
            "Every row counts as independent. If rows belong together (one patient, one day), name "
            "them as blocks, or the intervals are too narrow."
        )
    return tuple(notes)


def settings(options: Options) -> dict[str, Value]:
    """List the roles and options that differ from nothing.

    Args:
        options: What was asked.

    Returns:
        Values by option.
    """
    found: dict[str, Value] = {}
    for name in (
        "target",
        "prediction",
        "score",
        "group",
        "block",
        "row",
        "time",
        "weight",
        "here",
        "positive",
        "threshold",
        "drop_missing",
        "seed",
        "feature",
        "ignore",
        "without",
        *(("folds", "duplicates", "labels") if options.estimator is not None else ()),
    ):
        value = getattr(options, name)
        if value is None or value == () or value is False:
            continue
        found[name] = (
            value
            if isinstance(value, str | int | float)
            else ", ".join(str(v) for v in cast("Sequence[Any]", value))
        )
    if options.estimator is not None:
        given = options.estimator
        found["estimator"] = given if isinstance(given, str) else type(given).__name__
    if options.merge:
        found["merge"] = ", ".join(f"{group}: {name}" for group, name in options.merge.items())
    if options.here_table is not None:
        given = options.here_table
        found["here_table"] = str(given) if isinstance(given, str) else type(given).__name__
    return found


def provenance(question: Question) -> dict[str, Value]:
    """Record versions and the table's hash; no time and no machine, so reruns are equal.

    Args:
        question: The table.

    Returns:
        Values by name.
    """
    from importlib.metadata import version

    return {
        "elsewhere": version("elsewhere"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        "table_sha256": question.content_hash,
    }
