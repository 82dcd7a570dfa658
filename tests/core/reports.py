"""A report made by hand, with missing and infinite numbers in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from elsewhere.core.calibration import calibration
from elsewhere.core.gap_report import (
    Change,
    Comparison,
    Distance,
    GapReport,
    GroupCalibration,
    Grouping,
    GroupKey,
    GroupRow,
    ModelAudit,
    Pairing,
    RankParts,
    Rate,
)
from elsewhere.core.gaps import gap
from elsewhere.core.scores import Scored
from elsewhere.core.shifts import (
    Decomposition,
    Fits,
    Forecast,
    ForecastRow,
    Part,
    Rung,
    Transfer,
)

NAN, INF = float("nan"), float("inf")


def row(site: object, **changes: object) -> GroupRow:
    full = GroupRow(
        (("site", site),),
        100,
        50,
        0.7,
        0.6,
        0.8,
        0.8,
        0.1,
        0.02,
        0.19,
        -0.01,
        0.22,
        0.08,
        0.0,  # type: ignore[arg-type]
        0.15,
        0.01,
        0.04,
    )
    return replace(full, **changes)  # type: ignore[arg-type]


def decomposition(key: GroupKey) -> Decomposition:
    return Decomposition(
        key,
        "squared error",
        0.1,
        0.3,
        Part("total", 0.2, 0.1, 0.3),
        (Part("covariate shift", 0.05, -INF, 0.1), Part("shift of y given x", 0.15, 0.05, INF)),
        (Part("label shift", NAN, NAN, NAN),),
        "by features",
        0.8,
        0.7,
        0.6,
        0.8,
        NAN,
        (("0", 0.5, 0.4, NAN), ("1", 0.5, 0.6, NAN)),
        (100, 90),
    )


def report() -> GapReport:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 240)
    guess = np.where(rng.random(240) < 0.8, y, 1 - y)
    group = np.arange(240) % 6
    found = gap(Scored(guess, y=y, group=group), Scored(1 - y, y=y, group=group), metric="accuracy")
    one = gap(Scored([0.5]), Scored([0.2]), metric="mean")  # infinite limits
    nothing = gap(Scored(y / 2, y=y), Scored([0.5] * 20, y=[1] * 20), metric="roc_auc")
    missing = row(
        None,
        **dict.fromkeys(
            (
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
            ),
            NAN,
        ),
        reason="no rows",
        rate=Rate("recall", 0.5, 0.1, 0.9, 0.5),
    )
    rows = (row("A"), row(2), row(2.5, gap_low=-INF, joint_low=-INF), row(True), missing)
    probability = rng.random(240)
    grouping = Grouping(
        ("site",),
        False,
        "here and elsewhere",
        found,
        rows,
        (rows[0].key, rows[1].key),
        Distance(rows[0].key, rows[1].key, 0.1, 0.0, 0.3),
        pooled_gap=one,
        parts=(RankParts("here", 0.7, 0.6, 0.8, 0.7, 0.7, 0.5),),
        mixes={"matched": nothing, "balanced": found},
        transfer=Transfer(
            (rows[0].key, rows[1].key),
            ((0.7, 0.6), (NAN, 0.8)),
            ((0.6, -INF), (NAN, 0.7)),
            ((0.8, INF), (NAN, 0.9)),
            (0, 1),
            100,
            (50, 60),
            0.75,
            0.6,
            "B is too small",
        ),
        decompositions=(
            decomposition(rows[0].key),
            replace(decomposition(rows[4].key), parts=(), shared=NAN, reason="too few rows"),
        ),
        forecasts=(
            Forecast(
                "no change",
                "accuracy",
                0.05,
                0.0,
                INF,
                0.0,
                NAN,
                NAN,
                (ForecastRow(rows[0].key, 0.7, 0.6), ForecastRow(rows[4].key, NAN, 0.6)),
                "one group only",
            ),
        ),
    )
    model = ModelAudit(
        "score\u2028\ud83d\ude00",
        (grouping,),
        (row("A", key=(("site", "A"), ("sex", "F"))),),
        (
            GroupCalibration((), calibration(y, probability)),
            GroupCalibration((("site", "A"),), calibration(y[:5], probability[:5])),
        ),
        ladder=(
            Rung(
                "random rows",
                replace(
                    found,
                    elsewhere=found.here,
                    elsewhere_low=found.here_low,
                    elsewhere_high=found.here_high,
                    estimate=0.0,
                    low=0.0,
                    high=0.0,
                    next_low=0.0,
                    next_high=0.0,
                ),
                200,
                lowest=True,
            ),
            Rung("unseen site", nothing, 200),
        ),
    )
    return GapReport(
        "table",
        "accuracy",
        True,
        0.95,
        0.01,
        240,
        (model,),
        (Comparison("a", "b", "site", NAN, NAN, NAN, "no rows in common", "unseen site"),),
        Change(0.3, 0.1, -0.2, -0.3, -0.1, "the same rows"),
        Pairing("block", "ab12", (("site", "A"),), tuple(rng.normal(size=5))),
        ("a note",),
        {"target": "y", "seed": 0, "weight": None, "level": 0.95, "all": True},
        {"elsewhere": "0.1.0"},
        Fits("boosting", ("age", "sex"), 12, {"random rows": 200, "unseen site": 200}),
    )
