"""Reports of audits that fitted models: ladders, transfer matrices, causes and forecasts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import factory
import numpy as np
from factory import HOSTILE, NAN

from elsewhere.core.gap_report import Comparison, GapReport, Grouping, ModelAudit
from elsewhere.core.shifts import (
    Decomposition,
    Fits,
    Forecast,
    ForecastRow,
    Matrix,
    Part,
    Rung,
    Transfer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.gap_report import GroupKey, Value

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX")
CARRIERS = (*CARRIERS, "WN", "YV")
METHODS = (
    "average thresholded confidence",
    "difference of confidences",
    "importance-weighted risk",
    "no change",
    "agreement of two models",
)


def rung_of(
    name: str, value: float, *, here: float = 0.762, half: float = 0.006, lowest: bool = False
) -> Rung:
    """A step with a value and what random rows show on the same rows."""
    gap = factory.gap_of(here - value, half, here=here)
    if lowest:
        gap = replace(gap, low=0.0, high=0.0)
    return Rung(name, gap, 179_646, lowest)


def ladder_of(
    values: Sequence[float], *, later_here: float, block: str = "date"
) -> tuple[Rung, ...]:
    """Random rows, unseen block, unseen month, later."""
    random, unseen_block, unseen_group, later = values
    return (
        rung_of("random rows", random, here=random, lowest=True),
        rung_of(f"unseen {block}", unseen_block, here=random),
        rung_of("unseen month", unseen_group, here=random, half=0.013),
        replace(rung_of("later", later, here=later_here), n_train=61_200),
    )


def transfer_of(
    column: str, names: Sequence[Value], *, seed: int = 0, clusters: int = 2, reason: str = ""
) -> Transfer:
    """Groups on a line: models carry less far to groups further away."""
    rng = np.random.default_rng(seed)
    n = len(names)
    cluster = np.sort(np.arange(n) * clusters // max(n, 1))
    at = np.linspace(0, 1, n) + 0.8 * cluster
    value = 0.63 - 0.05 * np.abs(at[:, None] - at) + rng.normal(0, 0.012, (n, n))
    half = 0.02 + 0.01 * rng.random((n, n))

    def table(matrix: np.ndarray) -> Matrix:
        return tuple(tuple(float(x) for x in row) for row in matrix)

    off = value[~np.eye(n, dtype=bool)]
    return Transfer(
        tuple(((column, name),) for name in names),
        table(value),
        table(value - half),
        table(value + half),
        tuple(int(c) for c in cluster),
        11_895,
        tuple(int(x) for x in rng.integers(4000, 10_001, n)),
        float(np.diagonal(value).mean()),
        float(off.mean()) if len(off) else NAN,
        reason,
    )


def decomposition_of(
    key: GroupKey, first: float, second: float, half: float = 0.004, *, classes: bool = True
) -> Decomposition:
    """A difference of two parts."""
    here = 0.152

    def part(name: str, estimate: float, width: float = half) -> Part:
        return Part(name, estimate, estimate - width, estimate + width)

    other = 0.3 * (first + second)
    return Decomposition(
        key,
        "squared error of the probability",
        here,
        here + first + second,
        part("total", first + second, 1.2 * half),
        (part("covariate shift", first), part("shift of y given x", second)),
        (
            (part("label shift", other), part("shift of x given y", first + second - other))
            if classes
            else ()
        ),
        "by features",
        0.83,
        0.71,
        0.69,
        0.73,
        0.64,
        (("0", 0.78, 0.71, 0.74), ("1", 0.22, 0.29, 0.26)) if classes else (),
        (10_000, 8_211),
    )


def decompositions_of(
    column: str, names: Sequence[Value], *, seed: int = 0
) -> tuple[Decomposition, ...]:
    """A few groups that lose by each part, some that lose nothing, one without an answer."""
    rng = np.random.default_rng(seed)
    found = [
        decomposition_of(
            ((column, name),), float(rng.normal(0.004, 0.008)), float(rng.normal(0.003, 0.009))
        )
        for name in names
    ]
    if len(found) > 4:
        found[1] = decomposition_of(found[1].key, 0.002, 0.031)
        one = decomposition_of(found[2].key, 0.001, 0.012)
        found[2] = replace(one, parts=one.alternative, alternative=one.parts, reading="by classes")
        found[4] = nothing_of(found[4].key)
        found[3] = replace(
            decomposition_of(found[3].key, 0.02, 0.01),
            parts=tuple(
                Part(name, NAN, NAN, NAN) for name in ("covariate shift", "shift of y given x")
            ),
            shared=0.03,
            reason="the features tell the sides apart almost everywhere",
        )
    return tuple(found)


def nothing_of(
    key: GroupKey, reason: str = "fewer than 30 rows of the group or of held-out rows of the others"
) -> Decomposition:
    """A group that could not be taken apart."""
    part = Part("total", NAN, NAN, NAN)
    return Decomposition(
        key,
        "error (0 or 1)",
        NAN,
        NAN,
        part,
        (),
        (),
        "by features",
        *([NAN] * 5),
        (),
        (12, 0),
        reason,
    )


def forecasts_of(column: str, names: Sequence[Value], *, seed: int = 0) -> tuple[Forecast, ...]:
    """Five methods; the first one helps."""
    rng = np.random.default_rng(seed)
    actual = 0.78 + rng.normal(0, 0.03, len(names))
    spreads = dict(zip(METHODS, (0.008, 0.011, 0.02, 0.03, 0.035), strict=True))
    made = {m: actual + rng.normal(0, s, len(names)) for m, s in spreads.items()}
    made["no change"] = np.full(len(names), 0.78)
    plain = np.abs(made["no change"] - actual)
    found: list[Forecast] = []
    for method, values in made.items():
        miss = np.abs(values - actual)
        gain = float((plain - miss).mean())
        rows = tuple(
            ForecastRow(((column, name),), float(f), float(a))
            for name, f, a in zip(names, values, actual, strict=True)
        )
        error = float(miss.mean())
        low, high = (gain - 0.009, gain + 0.009) if method != "no change" else (0.0, 0.0)
        found.append(
            Forecast(method, "accuracy", error, 0.7 * error, 1.3 * error, gain, low, high, rows)
        )
    return tuple(sorted(found, key=lambda one: one.error))


def explained(
    grouping: Grouping,
    names: Sequence[Value],
    *,
    seed: int = 0,
    clusters: int = 2,
    reason: str = "",
) -> Grouping:
    """Add a transfer matrix, decompositions and forecasts."""
    column = grouping.columns[0]
    return replace(
        grouping,
        transfer=transfer_of(column, names, seed=seed, clusters=clusters, reason=reason),
        decompositions=decompositions_of(column, names, seed=seed),
        forecasts=forecasts_of(column, names, seed=seed),
    )


def fits_of(**changes: object) -> Fits:
    made = Fits(
        "boosting",
        (
            "month",
            "day",
            "sched_dep_time",
            "sched_arr_time",
            "carrier",
            "origin",
            "dest",
            "distance",
        ),
        239,
        {"random rows": 240_085, "unseen block": 240_085, "unseen month": 179_646},
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def fitted() -> GapReport:
    """Two models with ladders; months and carriers explained for the first."""
    months, carriers = tuple(range(1, 13)), CARRIERS
    first = ModelAudit(
        "boosting",
        (
            explained(factory.grouping_of("month", months, mean=0.02, extras=False), months),
            explained(
                factory.grouping_of("carrier", carriers, seed=3, mean=0.009, extras=False),
                carriers,
                seed=4,
                clusters=1,
                reason="2 groups are too small to train a model of their own (HA, OO)",
            ),
        ),
        ladder=ladder_of((0.762, 0.679, 0.659, 0.668), later_here=0.771),
        calibration_reason="left out here",
    )
    second = ModelAudit(
        "boosting without month, day",
        (
            factory.grouping_of("month", months, seed=7, mean=0.006, extras=False),
            factory.grouping_of("carrier", carriers, seed=8, mean=0.012, extras=False),
        ),
        ladder=ladder_of((0.680, 0.676, 0.672, 0.675), later_here=0.687),
        calibration_reason="left out here",
    )
    names = (first.name, second.name, "month")
    return factory.report_of(
        (first, second),
        comparisons=(
            Comparison(*names, 0.082, 0.07, 0.094, rung="random rows"),
            Comparison(*names, 0.003, -0.006, 0.012, rung="unseen date"),
            Comparison(*names, -0.013, -0.021, -0.005, rung="unseen month"),
            Comparison(*names, -0.007, -0.016, 0.002, rung="later"),
        ),
        fits=fits_of(),
        settings={"target": "late", "estimator": "boosting", "group": "month, carrier"},
    )


def one_model(
    names: Sequence[Value] = tuple(range(1, 13)), *, column: str = "month", **changes: object
) -> GapReport:
    """One model and one grouping, explained."""
    grouping = explained(factory.grouping_of(column, names, mean=0.02, extras=False), names)
    model = ModelAudit(
        "boosting", (grouping,), ladder=ladder_of((0.762, 0.679, 0.659, 0.668), later_here=0.762)
    )
    return factory.report_of((model,), fits=fits_of(), **changes)


def one_rung() -> GapReport:
    """A ladder of a single step."""
    report = one_model()
    model = replace(report.models[0], ladder=report.models[0].ladder[:1])
    return replace(report, models=(model,))


def many_groups(n: int = 30) -> GapReport:
    """More groups than cells can hold numbers for."""
    return one_model([f"site {i:02d}" for i in range(n)], column="site")


def losing() -> GapReport:
    """An error as metric: lower is better, so values rise down the ladder."""
    report = one_model()
    rungs = (
        rung_of("random rows", 0.20, here=0.20, lowest=True),
        replace(rung_of("unseen month", 0.26, here=0.20), gap=_rising(0.20, 0.26)),
    )
    return replace(
        report,
        metric="brier",
        greater_is_better=False,
        models=(replace(report.models[0], ladder=rungs),),
        comparisons=(Comparison("a", "b", "month", 0.02, 0.01, 0.03, rung="random rows"),),
    )


def _rising(here: float, elsewhere: float):
    """A gap of an error: elsewhere is higher."""
    return replace(
        factory.gap_of(elsewhere - here, 0.01, here=here),
        elsewhere=elsewhere,
        elsewhere_low=elsewhere - 0.01,
        elsewhere_high=elsewhere + 0.01,
    )


def hostile_fits() -> GapReport:
    """Names that try to be markup, formulas and templates, in every new place."""
    bad = "<script>window.hacked=7</script>"
    grouping = explained(
        factory.grouping_of("<b>col</b>{{1}}", HOSTILE, extras=False), HOSTILE, reason=bad
    )
    odd = replace(
        grouping.decompositions[0],
        parts=tuple(
            replace(p, name=f"{bad}{i}") for i, p in enumerate(grouping.decompositions[0].parts)
        ),
        loss=bad,
        reason=bad,
        classes=((bad, 0.1, 0.2, 0.3), ("=1", 0.9, 0.8, 0.7), ("\x1b[2J", 0.0, 0.0, NAN)),
    )
    first = replace(grouping.forecasts[0], method=bad, quantity=bad, reason=bad)
    grouping = replace(
        grouping,
        decompositions=(odd, *grouping.decompositions[1:]),
        forecasts=(first, *grouping.forecasts[1:]),
    )
    rungs = ladder_of((0.762, 0.679, 0.659, 0.668), later_here=0.771, block="<img src=x>")
    odd_rung = replace(rungs[2], name="=1+1\x1b[31m", gap=replace(rungs[2].gap, reason=bad))
    models = tuple(
        ModelAudit(name, (grouping,), ladder=(rungs[0], rungs[1], odd_rung, rungs[3]))
        for name in ("<i>model</i>\n", "[bold]مستشفى[/bold]", "=m", "{{m}}", "e" * 300)
    )
    return factory.report_of(
        models,
        metric="my <metric>",
        comparisons=(Comparison("<i>a</i>", "=b", "<b>g</b>", 0.1, 0.05, 0.2, rung=bad),),
        fits=fits_of(estimator=bad, features=(bad,) * 40, rows={bad: 3, "</style>": 4}),
    )


def nothing_known() -> GapReport:
    """No number anywhere, and a reason each."""
    report = one_model()
    grouping = report.headline
    found = grouping.transfer
    assert found is not None
    void = ((NAN,) * len(found.keys),) * len(found.keys)
    grouping = replace(
        grouping,
        transfer=replace(
            found, value=void, low=void, high=void, own=NAN, other=NAN, reason="no test rows"
        ),
        decompositions=tuple(nothing_of(row.key) for row in grouping.rows),
        forecasts=tuple(
            replace(
                one,
                **dict.fromkeys(("error", "low", "high", "gain", "gain_low", "gain_high"), NAN),
                rows=tuple(replace(r, forecast=NAN, actual=NAN) for r in one.rows),
                reason="no group with a forecast and labels",
            )
            for one in grouping.forecasts
        ),
    )
    fields = ("here", "elsewhere", "estimate", "low", "high", "next_low", "next_high")
    fields = (*fields, "here_low", "here_high", "elsewhere_low", "elsewhere_high")
    rungs = tuple(
        replace(r, gap=replace(r.gap, **dict.fromkeys(fields, NAN), reason="one class only"))
        for r in report.models[0].ladder
    )
    comparison = Comparison("a", "b", "month", NAN, NAN, NAN, "no rows", "random rows")
    return replace(
        report,
        models=(replace(report.models[0], groupings=(grouping,), ladder=rungs),),
        comparisons=(comparison,),
        fits=fits_of(features=(), rows={}),
    )


def all_of(value: float) -> GapReport:
    """Every new number is one value."""
    report = one_model()
    grouping = report.headline
    found = grouping.transfer
    assert found is not None
    full = ((value,) * len(found.keys),) * len(found.keys)

    def part(one: Part) -> Part:
        return replace(one, estimate=value, low=value, high=value)

    grouping = replace(
        grouping,
        transfer=replace(found, value=full, low=full, high=full, own=value, other=value),
        decompositions=tuple(
            replace(
                one,
                **dict.fromkeys(
                    ("here", "elsewhere", "shared", "auc", "auc_low", "auc_high", "within_auc"),
                    value,
                ),
                total=part(one.total),
                parts=tuple(map(part, one.parts)),
                alternative=tuple(map(part, one.alternative)),
                classes=tuple((c[0], value, value, value) for c in one.classes),
            )
            for one in grouping.decompositions
        ),
        forecasts=tuple(
            replace(
                one,
                **dict.fromkeys(("error", "low", "high", "gain", "gain_low", "gain_high"), value),
                rows=tuple(replace(r, forecast=value, actual=value) for r in one.rows),
            )
            for one in grouping.forecasts
        ),
    )
    fields = ("here", "elsewhere", "estimate", "low", "high", "elsewhere_low", "elsewhere_high")
    rungs = tuple(
        replace(r, gap=replace(r.gap, **dict.fromkeys(fields, value)))
        for r in report.models[0].ladder
    )
    comparison = Comparison("a", "b", "month", value, value, value, rung="random rows")
    return replace(
        report,
        models=(replace(report.models[0], groupings=(grouping,), ladder=rungs),),
        comparisons=(comparison,),
    )


def damaged() -> GapReport:
    """Shapes that no audit makes, but JSON by hand may hold."""
    report = one_model()
    grouping = report.headline
    found = grouping.transfer
    assert found is not None
    ladder = report.models[0].ladder
    grouping = replace(
        grouping,
        transfer=replace(
            found, value=found.value[:3], low=(), high=((0.1,),), cluster=(), n_test=()
        ),
        decompositions=(*grouping.decompositions, grouping.decompositions[0]),
        forecasts=(
            *grouping.forecasts,
            grouping.forecasts[0],
            replace(grouping.forecasts[1], rows=()),
        ),
    )
    model = replace(report.models[0], groupings=(grouping,), ladder=(*ladder[1:], *ladder))
    return replace(report, models=(model,), fits=None)


def overfull(name: int = 300) -> GapReport:
    """More of everything than a page can hold."""
    bad = '"' * name
    names = [f"{bad}{i}" for i in range(120)]
    grouping = explained(
        factory.grouping_of(bad, names, extras=False), names, clusters=60, reason=bad
    )
    grouping = replace(
        grouping,
        decompositions=tuple(
            replace(one, reason=bad, loss=bad, classes=((bad, 0.1, 0.2, 0.3),) * 50)
            for one in grouping.decompositions
        ),
        forecasts=tuple(
            replace(one, method=f"{bad}{i}", quantity=bad, reason=bad)
            for i, one in enumerate(grouping.forecasts * 60)
        ),
    )
    rungs = tuple(
        replace(rung_of(f"{bad}{i}", 0.6), gap=replace(rung_of("", 0.6).gap, reason=bad))
        for i in range(200)
    )
    models = tuple(ModelAudit(f"{bad}{i}", (grouping,) * 8, ladder=rungs) for i in range(8))
    return factory.report_of(
        models,
        metric=bad,
        comparisons=(Comparison(bad, bad, bad, 0.1, 0.05, 0.2, rung=bad),) * 500,
        fits=fits_of(estimator=bad, features=(bad,) * 5000, rows=dict.fromkeys(names, 3)),
    )
