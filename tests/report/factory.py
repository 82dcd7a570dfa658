"""Reports of any size from random numbers, built by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from elsewhere.core.calibration import calibration
from elsewhere.core.gap_report import (
    Change,
    Comparison,
    Distance,
    GapReport,
    GroupCalibration,
    Grouping,
    GroupRow,
    ModelAudit,
    RankParts,
    Rate,
    Value,
)
from elsewhere.core.gaps import Gap

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN = float("nan")

HOSTILE: tuple[Value, ...] = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=2">',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a/b\\c",
    "two\nlines",
    "nul\x00bell\x07esc\x1b[31m",
    "مستشفى الملك",
    "abc\u202egnp.exe",
    "👩\u200d⚕️ clinic 🏥",
    "[bold red]markup[/bold red]",
    'a,b;"c"',
    "100% & $5_x #1 {y} ~z ^w",
    "{{ 7*7 }}{% raw %}",
    "lone \ud800 surrogate",
    "",
    " ",
    None,
    True,
    -1,
    2.5,
)


def gap_of(
    estimate: float, half: float = 0.02, *, here: float = 0.8, n_groups: int = 12, **changes: object
) -> Gap:
    nxt = 2.5 * half if n_groups >= 5 else NAN
    found = Gap(
        here,
        here - estimate,
        estimate,
        estimate - half,
        estimate + half,
        estimate - nxt,
        estimate + nxt,
        (4000, 4000),
        800,
        n_groups,
        f"DeLong on the logit, joined by variance recovery; averaged within {n_groups} groups",
        "roc_auc",
        "within",
        0.95,
        here - half,
        here + half,
        here - estimate - half,
        here - estimate + half,
    )
    return replace(found, **changes)  # pyright: ignore[reportArgumentType]


def row_of(
    key: tuple[tuple[str, Value], ...], gap: float, half: float, *, n: int = 300, here: float = 0.8
) -> GroupRow:
    return GroupRow(
        key,
        n,
        max(n // 4, 1),
        here - gap,
        here - gap - half,
        here - gap + half,
        here,
        gap,
        gap - half,
        gap + half,
        gap - 1.6 * half,
        gap + 1.6 * half,
        0.8 * gap,
        0.8 * gap - 1.2 * half,
        0.8 * gap + 1.2 * half,
        0.03,
        0.08,
    )


def empty_row(
    key: tuple[tuple[str, Value], ...],
    *,
    reason: str = "fewer than 10 rows of a class",
    rate: Rate | None = None,
) -> GroupRow:
    return GroupRow(key, 7, 7, *([NAN] * 14), reason=reason, rate=rate)


def rows_for(
    column: str, names: Sequence[Value], rng: np.random.Generator, *, mean: float = 0.1
) -> tuple[GroupRow, ...]:
    sizes = rng.integers(60, 4000, len(names))
    halves = 1.5 / np.sqrt(sizes)
    gaps = rng.normal(mean, 0.04, len(names)) + rng.normal(0, 0.4, len(names)) * halves
    return tuple(
        row_of(((column, name),), float(g), float(h), n=int(s))
        for name, g, h, s in zip(names, gaps, halves, sizes, strict=True)
    )


def grouping_of(
    column: str = "month",
    names: Sequence[Value] = tuple(range(1, 13)),
    *,
    seed: int = 0,
    mean: float = 0.1,
    two_sided: bool = True,
    ordered: bool = False,
    half: float = 0.02,
    extras: bool = True,
) -> Grouping:
    rng = np.random.default_rng(seed)
    rows = rows_for(column, names, rng, mean=mean)
    by_gap = sorted(rows, key=lambda row: row.gap)
    n = len(rows)
    reason = f"{n} groups say nothing about the next one (at least 5 needed)" if n < 5 else ""
    gap = gap_of(mean, half, n_groups=n, reason=reason)
    if not two_sided:
        worst = by_gap[-1]
        gap = replace(
            gap,
            here=worst.here,
            elsewhere=worst.value,
            estimate=worst.gap,
            low=worst.joint_low,
            high=worst.joint_high,
            elsewhere_low=worst.low,
            elsewhere_high=worst.high,
            method=f"largest of {n} gaps to the average of the other groups; limits hold for all "
            "groups together",
        )
    spread = by_gap[-1].gap - by_gap[0].gap
    distance = Distance(by_gap[0].key, by_gap[-1].key, spread, 0.3 * spread, 1.4 * spread)
    return Grouping(
        (column,),
        ordered,
        "here and elsewhere" if two_sided else "each group and the others",
        gap,
        rows,
        tuple(row.key for row in by_gap[-3:]),
        distance,
        (
            replace(distance, best=rows[0].key, worst=rows[-1].key),
            replace(distance, mix="balanced", estimate=0.9 * spread),
            replace(
                distance,
                mix="matched",
                estimate=NAN,
                low=NAN,
                high=NAN,
                reason="a class is missing in group 3",
            ),
        )
        if extras
        else (),
        0.035 if n > 3 else NAN,
        gap_of(mean + 0.04, half, n_groups=1, average="pooled") if two_sided else None,
        (
            RankParts("here", 0.79, 0.78, 0.8, 0.8, 0.788, 0.083),
            RankParts("elsewhere", 0.66, 0.65, 0.67, 0.7, 0.655, 0.083),
        )
        if extras and two_sided
        else (),
        {"balanced": gap_of(mean - 0.01, half, n_groups=n)} if extras and two_sided else {},
    )


def calibrations_of(rows: Sequence[GroupRow], *, seed: int = 0) -> tuple[GroupCalibration, ...]:
    rng = np.random.default_rng(seed)
    found: list[GroupCalibration] = []
    for key, n in [((), 6000), *((row.key, 400) for row in rows)]:
        p = rng.beta(1.2, 3, n)
        y = (rng.random(n) < np.clip(0.8 * p + 0.05, 0, 1)).astype(np.int64)
        found.append(GroupCalibration(key, calibration(y, p, bins=12)))
    tiny = GroupCalibration((("month", "tiny"),), calibration(np.ones(5, np.int64), np.ones(5)))
    return (*found, tiny)


def model_of(
    name: str = "score", groupings: Sequence[Grouping] = (), *, calibrated: bool = True
) -> ModelAudit:
    groupings = tuple(groupings) or (grouping_of(),)
    first = groupings[0]
    crossed = tuple(
        replace(row, key=(*row.key, ("sex", sex)), gap=row.gap + change)
        for row in first.rows[:6]
        for sex, change in (("F", 0.01), ("M", -0.02))
    )
    return ModelAudit(
        name,
        groupings,
        crossed,
        calibrations_of(first.rows[:12]) if calibrated else (),
        "" if calibrated else "the predictions are not probabilities",
    )


def report_of(models: Sequence[ModelAudit] = (), **changes: object) -> GapReport:
    made = GapReport(
        "flights",
        "roc_auc",
        True,
        0.95,
        0.0,
        327_346,
        tuple(models) or (model_of(),),
        notes=("2 rows without a score were left out.",),
        settings={"target": "late", "score": "score", "group": "month", "block": "day", "seed": 0},
        provenance={"elsewhere": "0.1.0", "python": "3.11.2", "table sha256": "ab" * 32},
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def small() -> GapReport:
    """One model, one grouping with two sides, 12 groups, everything filled in."""
    return report_of()


def full() -> GapReport:
    """Two models, groupings with and without order, comparisons and a change."""
    carriers = ["United", "Delta", "JetBlue", "Envoy", "SkyWest", "Hawaiian Airlines", "AirTran"]
    dates = [f"2013-{m:02d}" for m in range(1, 13)]

    def model(name: str, mean: float, seed: int) -> ModelAudit:
        month = grouping_of("month", dates, seed=seed, mean=mean, ordered=True)
        lonely = Rate("recall", 0.61, 0.4, 0.79, 0.5)
        month = replace(
            month,
            rows=(
                *month.rows,
                empty_row((("month", "2014-01"),)),
                empty_row(
                    (("month", "2014-02"),), reason="one class only (30 positive)", rate=lonely
                ),
            ),
        )
        carrier = grouping_of("carrier", carriers, seed=seed + 5, mean=0.009, half=0.012)
        carrier = replace(carrier, worst=(carrier.rows[2].key,))
        return model_of(name, (month, carrier))

    return report_of(
        (model("boosting", 0.118, 1), model("logistic", 0.07, 2)),
        negligible=0.01,
        comparisons=(
            Comparison("boosting", "logistic", "month", 0.012, 0.004, 0.02),
            Comparison("boosting", "logistic", "carrier", NAN, NAN, NAN, "no rows in common"),
        ),
        change=Change(0.16, 0.118, -0.042, -0.06, -0.024, "the same days, paired"),
    )


def one_sided() -> GapReport:
    """One side only, 4 groups: nothing is said about the next."""
    return report_of((model_of("p", (grouping_of("site", list("ABCD"), two_sided=False),)),))


def hostile() -> GapReport:
    """Names that try to be markup, formulas, control sequences and templates."""
    grouping = grouping_of("<b>col</b>{{1}}", HOSTILE, ordered=True)
    model = model_of("<i>model</i>\n", (grouping,))
    return report_of(
        (model, ModelAudit("=model", (grouping_of(names=HOSTILE[:5], extras=False),))),
        table="<script>window.hacked=3</script>",
        metric="my <metric>",
        notes=("</script><script>window.hacked=4</script>", "[red]note[/red]\x1b[2J"),
        settings={"<u>k</u>": "</style><img src=x onerror=window.hacked=5>"},
        comparisons=(Comparison("<i>a</i>", "=b", "<b>g</b>", 0.1, 0.0, 0.2),),
        change=Change(0.1, 0.2, 0.1, 0.0, 0.2, "<script>window.hacked=6</script>"),
    )


def huge(
    n_models: int = 3, n_groupings: int = 5, n_groups: int = 5000, name: int = 500
) -> GapReport:
    """Many groups with long names."""
    letters = np.random.default_rng(0).integers(0, 4, (n_groups, name))
    texts = ["".join('&<"é'[i] for i in row) for row in letters]
    groupings = [grouping_of(f"column {'&' * name} {i}", texts, seed=i) for i in range(n_groupings)]
    return report_of(
        tuple(
            replace(model_of(f"{'<' * name}{i}", groupings), intersections=groupings[0].rows)
            for i in range(n_models)
        ),
        table="&" * 100_000,
        notes=('"' * 5000,) * 500,
        settings={f"{i}{'&' * name}": "<" * 5000 for i in range(300)},
        comparisons=(Comparison("<" * name, ">" * name, "&" * name, 0.1, 0.0, 0.2),) * 1000,
    )


def unusual(value: float) -> GapReport:
    """Every number of every group and of the headline is one value."""
    grouping = grouping_of(extras=False)
    fields = (
        "value",
        "low",
        "high",
        "here",
        "gap",
        "gap_low",
        "gap_high",
        "joint_low",
        "joint_high",
        "shrunk",
        "shrunk_low",
        "shrunk_high",
        "p",
        "q",
    )
    rows = tuple(replace(row, **dict.fromkeys(fields, value)) for row in grouping.rows)
    gap = replace(
        grouping.gap,
        here=value,
        elsewhere=value,
        estimate=value,
        low=value,
        high=value,
        next_low=value,
        next_high=value,
        reason="nothing to compare",
    )
    grouping = replace(grouping, rows=rows, gap=gap, pooled_gap=None, spread=value)
    return report_of((model_of("m", (grouping,), calibrated=False),))
