"""Reports that say why there is a gap and what closes it, and reports of pools of models."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import factory
import factory_fits
import numpy as np
from factory import HOSTILE, NAN

from elsewhere.core.closing import Attempt, Closing
from elsewhere.core.explanations import (
    Driver,
    Failures,
    GroupDriver,
    Rule,
    ShortcutRow,
    Shortcuts,
    Stability,
    StabilityRow,
    Stratum,
)
from elsewhere.core.pools import Pool, PoolModel, Slope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.gap_report import GapReport, Grouping

FEATURES = (
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "origin",
    "dest",
    "distance",
)


def attempt_of(
    name: str,
    gain: float,
    half: float = 0.006,
    *,
    here: float = -0.003,
    labels: int = 0,
    tested: str = "all rows",
    gap: float = 0.103,
    chosen: str = "",
) -> Attempt:
    """A remedy that was tried, with a gap to close on its rows."""
    before = 0.659
    return Attempt(
        name,
        "labelled rows" if labels else "no labels",
        tested,
        before,
        before + gain,
        gain,
        gain - half,
        gain + half,
        gain / gap,
        (gain - 0.8 * half) / gap,
        (gain + 0.8 * half) / gap,
        here,
        here - 0.7 * half,
        here + 0.7 * half,
        labels,
        12 if not labels else 48,
        chosen,
    )


def untried_of(name: str, reason: str) -> Attempt:
    """A remedy that was not tried."""
    found = attempt_of(name, NAN)
    numbers = {f.name: NAN for f in fields(Attempt) if f.type == "float"}
    return replace(found, **numbers, fits=0, reason=reason)


def closing_of() -> Closing:
    """Dropping shortcut features helps most without labels."""
    return Closing(
        "helps",
        "“drop shortcut features” (month, day) closes 13 % [8, 17] of the gap, and costs 0.082 "
        "here.",
        "drop shortcut features",
        (
            attempt_of("drop shortcut features", 0.013, here=-0.082, chosen="without month, day"),
            attempt_of("rank-normalise within groups", 0.004, here=-0.001),
            attempt_of("align covariances (CORAL)", -0.009, here=-0.004, chosen="strength 0.1"),
            attempt_of(
                "fine-tune on labelled rows", 0.031, labels=100, tested="other rows", here=NAN
            ),
            attempt_of(
                "fine-tune on labelled rows", 0.007, labels=100, tested="later rows", here=NAN
            ),
            untried_of("recalibrate", "the metric only depends on the order of rows"),
            untried_of("drop near-duplicates", "no row has a copy in another group"),
        ),
        0.95,
    )


def nothing_helps() -> Closing:
    """Four attempts whose gains are not clearly above 0."""
    return Closing(
        "nothing helps",
        "Nothing helps: none of 4 remedies closes a measurable part of the gap; a gain of 0.011 "
        "would have been found.",
        "",
        tuple(
            attempt_of(name, gain, here=-0.001)
            for name, gain in (
                ("drop shortcut features", 0.004),
                ("group-balanced weights", 0.001),
                ("stronger regularisation", -0.002),
                ("align covariances (CORAL)", -0.013),
            )
        ),
        0.95,
    )


def shortcuts_of(features: Sequence[str] = FEATURES, flagged: int = 2) -> Shortcuts:
    """The first features are shortcuts, the others are not."""
    rng = np.random.default_rng(0)
    rows = tuple(
        ShortcutRow(
            feature,
            float(0.12 / (i + 1)),
            float(0.08 + 0.13 * i if i < flagged else rng.uniform(0.55, 1.1)),
            i + 3,
            float(rng.uniform(0.7, 0.95)),
            NAN,
            "",
            i < flagged,
        )
        for i, feature in enumerate(features)
    )
    return Shortcuts(flagged, "permutation importance", rows, 0.5, 0)


def coefficients() -> Shortcuts:
    """Coefficients of words, with firing ratios and quadrants; one flips its sign."""
    found = shortcuts_of(("spielberg", "excellent", "film", "waste"), 2)
    kinds = ("pure shortcut", "context-dependent", "robust but correlated", "generalisable")
    rows = tuple(
        replace(row, firing=0.5 + i, quadrant=kind, blamed=f"genre {i}", weight=(-1) ** i * 1.3)
        for i, (row, kind) in enumerate(zip(found.rows, kinds, strict=True))
    )
    rows = (replace(rows[0], retention=-2.4), *rows[1:])
    return replace(found, what="coefficient", rows=rows, draws=20)


def stability_of(features: Sequence[str] = FEATURES) -> Stability:
    """The first feature lies wholly between groups; the last never varies."""
    n = len(features)
    rows = tuple(
        StabilityRow(
            feature,
            NAN if i == 2 else 1.2 / (i + 1),
            1.0 / (i + 1) ** 1.5,
            "low" if i < 2 else "medium" if i < 4 else "high",
            0.3 - 0.2 * i if i < 3 else 0.05,
            0.5,
        )
        for i, feature in enumerate(features)
    )
    last = replace(rows[-1], variation=NAN, share=NAN, band="constant", weakest=NAN, strongest=NAN)
    return Stability(n - 1, (*rows[:-1], last))


def failures_of() -> Failures:
    """Failures can be foreseen by age and words; one stratum is low by range restriction."""
    return Failures(
        0.681,
        0.66,
        0.702,
        "squared error of the probability",
        "the largest quarter of the loss over all rows (above 0.22; 25.0% of the rows)",
        (
            Driver("age", 0.081, 0.066, 0.096, 0.62, 0.0001, 0.0004),
            Driver("words", 0.034, 0.021, 0.047, 0.31, 0.0001, 0.0004),
            Driver("insurance", 0.002, -0.004, 0.008, NAN, 0.21, 0.42),
            Driver("borough", 0.0, -0.005, 0.005, -0.02, 0.71, 0.71),
        ),
        (
            Rule("age > 60.5 and words > 512", 412, 0.262, 0.24, 0.284),
            Rule("age > 60.5 and words <= 512", 1203, 0.201, 0.19, 0.212),
            Rule("age <= 60.5", 4385, 0.121, 0.116, 0.126),
        ),
        (
            Stratum("age", "18 to 45", 2100, 0.1, 0.09, 0.11, 0.81, 0.79, 0.83, 0.8, 0.8),
            Stratum("age", "46 to 60", 2285, 0.14, 0.13, 0.15, 0.77, 0.75, 0.79, 0.78, 0.78),
            Stratum(
                "age",
                "61 to 99",
                1615,
                0.22,
                0.2,
                0.24,
                0.64,
                0.61,
                0.67,
                0.75,
                0.7,
                "worse than its own probabilities promise: 0.640, at most 0.670, where 0.750 is "
                "promised",
            ),
            Stratum(
                "comorbidity",
                "level 4",
                640,
                0.21,
                0.19,
                0.23,
                0.58,
                0.53,
                0.63,
                0.59,
                0.77,
                "low by range restriction alone: its probabilities promise 0.590, and all rows "
                "have 0.770",
            ),
            Stratum(
                "insurance",
                "unspecified",
                31,
                0.2,
                0.1,
                0.3,
                NAN,
                NAN,
                NAN,
                NAN,
                NAN,
                "fewer than 10 rows of a class",
            ),
        ),
        (
            GroupDriver("rows", -0.82, 0.02, 0.08, 12),
            GroupDriver("mean of age", 0.41, 0.19, 0.38, 12),
            GroupDriver("share of positives", 0.11, 0.74, 0.74, 12),
        ),
    )


def pool_of(n: int = 24, *, families: int = 6, seed: int = 0, names: Sequence[str] = ()) -> Pool:
    """Models whose progress arrives on one benchmark and lags behind on two."""
    rng = np.random.default_rng(seed)
    here = np.sort(rng.uniform(0.55, 0.9, n))
    slopes = {"ImageNet-V2": 1.08, "GeoDE": 0.61, "DollarStreet": 0.42}
    if names:
        slopes = dict.fromkeys(names, 0.7)
    starts = np.linspace(-0.12, -0.02, len(slopes))
    scores = np.stack(
        [
            0.5 + a + s * (here - 0.5) + rng.normal(0, 0.012, n)
            for a, s in zip(starts, slopes.values(), strict=True)
        ],
        axis=1,
    )
    disparity = 0.04 + 0.3 * (here - 0.55) + rng.normal(0, 0.01, n)

    def slope(name: str, value: float, values: np.ndarray) -> Slope:
        fit = float(np.polyfit(here, values, 1)[0]) if n > 1 else value
        ends = float(values[0]), float(values[-1])
        return Slope(name, fit, fit - 0.09, fit + 0.09, 0.9 * fit, fit - 0.2, fit + 0.1, *ends)

    rates = tuple(slope(name, s, scores[:, k]) for k, (name, s) in enumerate(slopes.items()))
    gaps = tuple(
        replace(
            rate,
            name=f"{rates[0].name} minus {rate.name}",
            value=rates[0].value - rate.value,
            low=rates[0].value - rate.value - 0.1,
            high=rates[0].value - rate.value + 0.1,
        )
        for rate in rates[1:]
    )
    return Pool(
        rates,
        gaps,
        slope("disparity", 0.3, disparity),
        "accuracy on ImageNet",
        "Europe minus Africa",
        float(here[0]),
        float(here[-1]),
        families,
        tuple(
            PoolModel(
                f"model {i:02d}",
                f"family {i % families}",
                float(here[i]),
                tuple(map(float, scores[i])),
                float(disparity[i]),
            )
            for i in range(n)
        ),
        0.95,
    )


def with_reasons(report: GapReport, index: int = 0, **records: object) -> GapReport:
    """Put records into one grouping of the first model."""
    first = report.models[0]
    groupings = list(first.groupings)
    groupings[index] = replace(groupings[index], **records)  # pyright: ignore[reportArgumentType]
    return replace(report, models=(replace(first, groupings=tuple(groupings)), *report.models[1:]))


def helped() -> GapReport:
    """A planted shortcut: found, dropped, and paid for; the second grouping has records too."""
    report = with_reasons(
        factory_fits.fitted(),
        shortcuts=shortcuts_of(),
        stability=stability_of(),
        failures=failures_of(),
        closing=closing_of(),
    )
    report = with_reasons(report, gap=factory.gap_of(0.103, 0.013, here=0.762))
    return with_reasons(report, 1, closing=no_gap(), shortcuts=shortcuts_of(FEATURES, 0))


def no_gap() -> Closing:
    """Nothing to close."""
    return Closing(
        "nothing to close",
        "There is nothing to close: the gap, 0.009 [0.003, 0.015], lies below 0.02.",
        "",
        (),
        0.95,
    )


def null() -> GapReport:
    """Nothing to close, no shortcut, no pattern of failures."""
    failures = replace(failures_of(), auc=0.507, low=0.48, high=0.534, drivers=(), rules=())
    return with_reasons(
        factory_fits.one_model(negligible=0.02),
        gap=factory.gap_of(0.009, 0.006, here=0.762),
        shortcuts=shortcuts_of(FEATURES, 0),
        stability=stability_of(),
        failures=replace(failures, strata=(), groups=()),
        closing=no_gap(),
        decompositions=(),
    )


def unhelped() -> GapReport:
    """A gap that nothing closes; failures that can be foreseen."""
    return with_reasons(
        factory_fits.one_model(),
        gap=factory.gap_of(0.103, 0.013, here=0.762),
        shortcuts=coefficients(),
        failures=failures_of(),
        closing=nothing_helps(),
    )


def restricted() -> GapReport:
    """Failures alone, without shortcuts or attempts, in an audit of predictions."""
    return with_reasons(factory.small(), failures=failures_of(), stability=stability_of())


def pool() -> GapReport:
    """Two dozen models of six families."""
    return factory.report_of(
        tuple(
            factory.model_of(f"model {i:02d}", (factory.grouping_of(extras=False, seed=i),))
            for i in range(5)
        ),
        pool=pool_of(),
    )


def one_value(record: Any, value: float) -> Any:
    """Put one value into every number of a record and of what it holds."""
    if isinstance(record, bool | str | int) or record is None:
        return record
    if isinstance(record, float):
        return value
    if isinstance(record, tuple):
        return tuple(one_value(entry, value) for entry in record)
    return replace(
        record, **{f.name: one_value(getattr(record, f.name), value) for f in fields(record)}
    )


def all_of(value: float) -> GapReport:
    """Every number of the new records is one value."""
    report = with_reasons(
        factory_fits.one_model(),
        shortcuts=one_value(coefficients(), value),
        stability=one_value(stability_of(), value),
        failures=one_value(failures_of(), value),
        closing=one_value(closing_of(), value),
    )
    return replace(report, pool=one_value(pool_of(), value))


def empty() -> GapReport:
    """Records that hold nothing but a reason, or not even that."""
    report = with_reasons(
        factory_fits.one_model(),
        shortcuts=Shortcuts(0, "coefficient", (), 0.5, 0, "fewer than 3 groups"),
        stability=Stability(0, ()),
        failures=Failures(NAN, NAN, NAN, "", "", (), (), (), (), "fewer than 30 rows fail"),
        closing=Closing("nothing to close", "", "", (), 0.95),
    )
    pool = Pool((), (), None, "", "", NAN, NAN, 0, (), 0.95, "3 models are too few for a slope")
    return replace(report, pool=pool)


def hostile() -> GapReport:
    """Names that try to be markup, formulas and templates in every new place."""
    bad = "<script>window.hacked=8</script>"
    names = [str(name) for name in HOSTILE]
    shortcuts = shortcuts_of(names, 9)
    shortcuts = replace(
        shortcuts,
        rows=tuple(
            replace(row, blamed=HOSTILE[-1 - i], firing=1.0, quadrant="generalisable")
            for i, row in enumerate(shortcuts.rows)
        ),
    )
    failures = failures_of()
    failures = replace(
        failures,
        loss=bad,
        failing=bad,
        drivers=tuple(replace(failures.drivers[0], name=name) for name in names),
        rules=tuple(replace(failures.rules[0], text=name) for name in names),
        strata=tuple(
            replace(
                failures.strata[3],
                column=name,
                label=bad,
                reason=f"low by range restriction alone {bad}",
            )
            for name in names
        ),
        groups=tuple(replace(failures.groups[0], name=name) for name in names),
    )
    closing = Closing(
        "helps",
        f"{bad} closed 3 %. =1+1 \x1b[2J",
        names[0],
        (
            *(replace(attempt_of(name, 0.01), chosen=bad, tested=bad) for name in names),
            *(untried_of(name, bad) for name in names),
        ),
        0.95,
    )
    made = pool_of(len(names), families=3, names=names[:6])
    made = replace(
        made,
        here=bad,
        groups=bad,
        reason=bad,
        models=tuple(
            replace(model, name=name, family=bad)
            for model, name in zip(made.models, names, strict=True)
        ),
    )
    report = factory_fits.hostile_fits()
    report = replace(report, models=report.models[:1])
    return replace(
        with_reasons(
            report,
            shortcuts=shortcuts,
            stability=stability_of(names),
            failures=failures,
            closing=closing,
        ),
        pool=made,
    )


def overfull(name: int = 300) -> GapReport:
    """More of everything than a page can hold."""
    bad = '"' * name
    names = [f"{bad}{i}" for i in range(250)]
    failures = failures_of()
    failures = replace(
        failures,
        drivers=tuple(replace(failures.drivers[0], name=one) for one in names),
        rules=tuple(replace(failures.rules[0], text=10 * one) for one in names),
        strata=tuple(
            replace(failures.strata[3], column=one, label=one, reason=one) for one in names
        ),
        groups=tuple(replace(failures.groups[0], name=one) for one in names),
    )
    closing = replace(
        closing_of(),
        sentence=10 * bad,
        attempts=(
            *(replace(attempt_of(one, 0.01), chosen=bad, tested=bad) for one in names),
            *(untried_of(one, bad) for one in names),
        ),
    )
    records: dict[str, object] = {
        "shortcuts": shortcuts_of(names, 90),
        "stability": stability_of(names),
        "failures": failures,
        "closing": closing,
    }
    report = factory.report_of((factory.model_of(bad, (factory.grouping_of(bad, names[:9]),)),))
    grouping: Grouping = replace(report.headline, **records)  # pyright: ignore[reportArgumentType]
    return replace(
        report,
        models=(replace(report.models[0], groupings=(grouping,) * 4),),
        pool=pool_of(900, families=90, names=names[:30]),
    )


def damaged() -> GapReport:
    """Shapes that no audit makes, but JSON by hand may hold."""
    made = pool_of(6)
    report = with_reasons(
        factory_fits.one_model(),
        shortcuts=replace(shortcuts_of(), n=40),
        closing=replace(closing_of(), best="no such remedy"),
    )
    models = tuple(
        replace(model, scores=model.scores[: i % 3]) for i, model in enumerate(made.models)
    )
    return replace(report, pool=replace(made, models=models, rates=made.rates[:2]))
