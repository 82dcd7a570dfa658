"""Parts of a difference in loss: planted causes come back, and the intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import planted_shifts as planted
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from elsewhere.core.errors import InputError
from elsewhere.measures import decomposition
from elsewhere.measures.decomposition import Sample, decompose
from elsewhere.measures.two_sample import CrossFitted, TwoSample
from elsewhere.testing import measure_checks

if TYPE_CHECKING:
    from elsewhere.core.shifts import Decomposition, Part


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def by_name(found: Decomposition) -> dict[str, Part]:
    return {part.name: part for part in (found.total, *found.parts, *found.alternative)}


def adds_up(found: Decomposition) -> bool:
    return all(
        sum(part.estimate for part in parts) == pytest.approx(found.total.estimate, abs=1e-12)
        for parts in (found.parts, found.alternative)
        if parts
    )


# --- planted causes ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("world", "cause"),
    [
        (planted.FEATURES, "covariate shift"),
        (planted.GIVEN_FEATURES, "shift of y given x"),
        (planted.CLASSES, "label shift"),
    ],
    ids=str,
)
def test_a_planted_cause_makes_the_difference(world: planted.World, cause: str, seed: int) -> None:
    found = decompose(*planted.sides(world, 2000, seed), seed=seed)
    part = by_name(found)[cause]
    assert part in found.parts
    assert part.estimate / found.total.estimate >= 0.8
    assert part.low * part.high > 0
    assert adds_up(found)
    assert not found.reason
    by_classes = cause == "label shift"
    assert found.reading == ("by classes" if by_classes else "by features")
    assert found.shared == pytest.approx(planted.truth(world)["shared"], abs=0.06)
    if by_classes:
        assert found.within_auc < 0.53
        (_, *zero), (_, *one) = found.classes
        assert zero[:2] == pytest.approx([0.75, 0.4], abs=0.05)
        assert zero[2] == pytest.approx(0.4, abs=0.15)
        assert np.sum([zero, one], axis=0) == pytest.approx([1, 1, 1])
    if world is planted.GIVEN_FEATURES:
        assert found.auc_low <= 0.5
        assert found.within_auc > 0.6


DEMANDED = 0.92
"""Least coverage of intervals of nominal .95."""


def at_least(runs: int) -> float:
    """What a share of few runs must reach: twice its standard error less than what is demanded."""
    return DEMANDED - 2 * float(np.sqrt(DEMANDED * (1 - DEMANDED) / runs))


def cover(world: planted.World, rows: int, runs: int, *, classes: bool) -> dict[str, float]:
    """Share of runs whose interval holds the truth, by part."""
    truth = planted.truth(world)
    hits: dict[str, list[bool]] = {}
    for seed in range(runs):
        sides = planted.sides(world, rows, seed)
        if not classes:
            sides = tuple(replace(side, y=None, predicted=None) for side in sides)
        for name, part in by_name(decompose(*sides, seed=seed)).items():
            hits.setdefault(name, []).append(part.low <= truth[name] <= part.high)
    return {name: float(np.mean(own)) for name, own in hits.items()}


def test_intervals_hold_the_truth_of_mixed_causes() -> None:
    share = cover(planted.BOTH, 1000, 40, classes=True)
    assert len(share) == 5
    assert min(share.values()) >= at_least(40), share


def test_nothing_is_found_on_alike_sides() -> None:
    share = cover(planted.NULL, 600, 40, classes=False)
    assert len(share) == 3
    assert min(share.values()) >= at_least(40), share


@pytest.mark.long
@pytest.mark.parametrize("rows", [500, 2000])
@pytest.mark.parametrize(
    "world",
    [planted.NULL, planted.FEATURES, planted.GIVEN_FEATURES, planted.BOTH, planted.CLASSES],
    ids=str,
)
def test_intervals_hold_the_truth(world: planted.World, rows: int) -> None:
    share = cover(world, rows, 200, classes=True)
    assert min(share.values()) >= at_least(200), share


# --- by hand and by loops ------------------------------------------------------------------------


def test_two_cells_by_hand() -> None:
    """Feature 0 or 1 with shares (.8, .2) here and (.4, .6) elsewhere.

    Losses here .1 and .3, elsewhere .1 and .5. Shared shares p q / (p + q): .32 / 1.2 and .12 / .8,
    that is .64 and .36; so y given x makes .36 x .2 = .072 of .34 - .14 = .2.
    """
    sides = []
    for shares, rates in (((800, 200), (0.1, 0.3)), ((400, 600), (0.1, 0.5))):
        x = np.repeat([0.0, 1.0], shares)
        loss = np.concatenate(
            [np.arange(n) < round(rate * n) for n, rate in zip(shares, rates, strict=True)]
        )
        sides.append(Sample(x[:, None], loss.astype(float)))
    found = decompose(*sides, categorical=[0])
    parts = by_name(found)
    assert found.total.estimate == pytest.approx(0.2)
    assert parts["shift of y given x"].estimate == pytest.approx(0.072, abs=0.004)
    assert parts["covariate shift"].estimate == pytest.approx(0.128, abs=0.004)
    assert found.shared == pytest.approx(0.8333, abs=0.02)
    assert found.alternative == ()
    assert found.classes == ()


def test_residuals_are_the_one_step_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the estimate of each side's mean loss under the shared features, in loops."""
    g = rng(30)
    n = (90, 60)
    side = np.repeat([0, 1], n)
    x, loss = g.normal(size=(150, 1)), g.exponential(size=150)

    def known(values: np.ndarray) -> tuple[np.ndarray, ...]:
        pi = 1 / (1 + np.exp(-values))
        one, two = 1 + values**2, 2 - values
        return pi, one, two, pi * two + (1 - pi) * one

    def tell_apart(x: np.ndarray, *_: object, **__: object) -> tuple[TwoSample, float]:
        return TwoSample(0.6, 0.5, 0.7, 0.1, known(x[:, 0])[0], n), 0.0

    def cross_fit(x: np.ndarray, *_: object, **__: object) -> CrossFitted:
        mean = known(x[:, 0])[3]
        return CrossFitted(mean, mean[None])

    monkeypatch.setattr(decomposition, "tell_apart", tell_apart)
    monkeypatch.setattr(decomposition, "cross_fit", cross_fit)
    sums = {"here": 0.0, "elsewhere": 0.0, "overlap": 0.0}
    for i in range(150):
        pi, one, two, _ = known(x[i, 0])
        t, w = side[i], 0.5 / n[side[i]]
        turn = (1 - 2 * pi) * (t - pi)
        sums["here"] += w * ((pi * (1 - pi) + turn) * one + pi * (1 - t) * (loss[i] - one))
        sums["elsewhere"] += w * ((pi * (1 - pi) + turn) * two + (1 - pi) * t * (loss[i] - two))
        sums["overlap"] += w * (pi * (1 - pi) + turn)
    found = decompose(Sample(x[:90], loss[:90]), Sample(x[90:], loss[90:]))
    expected = (sums["elsewhere"] - sums["here"]) / sums["overlap"]
    assert found.parts[1].estimate == pytest.approx(expected, abs=1e-12)
    assert found.shared == pytest.approx(min(4 * sums["overlap"], 1))


def test_class_parts_and_their_limits_by_leaving_rows_out() -> None:
    g = rng(31)
    n = (140, 110)
    y = [g.integers(0, 3, n[0]), np.minimum(g.integers(0, 4, n[1]), 2)]
    loss = [g.exponential(1 + y[0]), g.exponential(1.3 + y[1])]

    def label(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        mixed = sum(np.mean(y[1][b] == k) * np.mean(loss[0][a][y[0][a] == k]) for k in range(3))
        parts = mixed - np.mean(loss[0][a]), np.mean(loss[1][b]) - mixed
        return np.array([*parts, sum(parts)])

    rows = [np.arange(k) for k in n]
    variance = np.zeros(3)
    for side in (0, 1):
        left = np.array(
            [
                label(*(np.delete(r, i) if s == side else r for s, r in enumerate(rows)))
                for i in range(n[side])
            ]
        )
        variance += (n[side] - 1) / n[side] * ((left - left.mean(axis=0)) ** 2).sum(axis=0)
    found = decompose(
        *(Sample(g.normal(size=(n[s], 2)), loss[s], y=y[s]) for s in (0, 1)), level=0.9
    )
    parts = by_name(found)
    for name, value, spread in zip(
        ("label shift", "shift of x given y", "total"), label(*rows), variance, strict=True
    ):
        assert parts[name].estimate == pytest.approx(value)
        half = (parts[name].high - parts[name].low) / 2
        assert half == pytest.approx(1.652 * np.sqrt(spread), rel=0.03)
    assert [c[0] for c in found.classes] == ["0", "1", "2"]
    assert found.classes[2][2] == pytest.approx(np.mean(y[1] == 2))
    assert np.isnan(found.classes[0][3])


# --- blocks --------------------------------------------------------------------------------------


def test_copies_of_rows_count_once_as_blocks() -> None:
    here, there = planted.sides(planted.BOTH, 150, 0)
    alone = decompose(
        replace(here, block=np.arange(150)), replace(there, block=150 + np.arange(150))
    )

    def copied(side: Sample, start: int) -> Sample:
        rows = np.repeat(np.arange(150), 4)
        return Sample(side.x[rows], side.loss[rows], y=side.y[rows], block=start + rows)

    found = decompose(copied(here, 0), copied(there, 150))
    loose = decompose(*(replace(s, block=None) for s in (copied(here, 0), copied(there, 150))))
    for name in ("total", "label shift", "shift of x given y"):
        one, same, narrow = (by_name(d)[name] for d in (alone, found, loose))
        assert (same.low, same.high) == pytest.approx((one.low, one.high))
        assert narrow.high - narrow.low < 0.6 * (one.high - one.low)
    assert found.auc_high - found.auc_low > 1.3 * (loose.auc_high - loose.auc_low)


def test_what_blocks_share_on_both_sides_cancels() -> None:
    """A day's weather moves losses here and elsewhere alike."""
    g = rng(32)
    day = np.repeat(np.arange(40), 10)
    weather = g.normal(size=40)[day]
    sides = [
        Sample(g.normal(size=(400, 2)), weather + 0.3 * g.normal(size=400), block=day)
        for _ in range(2)
    ]
    paired = decompose(*sides)
    apart = decompose(sides[0], replace(sides[1], block=day + 40))
    for one, other in zip(
        (paired.total, paired.parts[1]), (apart.total, apart.parts[1]), strict=True
    ):
        assert one.high - one.low < 0.4 * (other.high - other.low)


# --- what cannot be said -------------------------------------------------------------------------


def test_disjoint_features_have_no_parts() -> None:
    here, there = planted.sides(planted.CLASSES, 300, 0)
    found = decompose(here, replace(there, x=there.x + 50))
    assert found.shared < 0.05
    assert found.auc == pytest.approx(1, abs=0.01)
    assert "tell the sides apart almost everywhere" in found.reason
    assert found.reading == "by features"
    assert all(np.isnan(part.estimate) for part in found.parts)
    assert np.isfinite(found.total.low)
    assert found.alternative[0].name == "label shift"
    assert np.isfinite(found.alternative[0].estimate)


def test_few_rows_or_blocks_have_no_parts() -> None:
    here, there = planted.sides(planted.BOTH, 200, 0)
    few = replace(there, **{k: getattr(there, k)[:20] for k in ("x", "loss", "y", "predicted")})
    found = decompose(here, few)
    assert found.reason == "a side has fewer than 30 rows (200 here, 20 elsewhere)"
    assert np.isnan(found.auc)
    assert found.n_rows == (200, 20)
    assert found.total.estimate == pytest.approx(few.loss.mean() - here.loss.mean())
    whole = decompose(replace(here, block=np.arange(200)), replace(there, block=np.full(200, 999)))
    assert "one block only" in whole.reason
    assert np.isinf(whole.total.high)
    empty = Sample(np.empty((0, 6)), [], y=[], predicted=[])
    assert np.isnan(decompose(here, empty).total.estimate)


def test_a_class_that_here_lacks_gives_no_reading_by_classes() -> None:
    here, there = planted.sides(planted.BOTH, 200, 0)
    found = decompose(here, replace(there, y=there.y + 1, predicted=there.predicted + 1))
    assert [part.name for part in found.alternative] == ["label shift", "shift of x given y"]
    assert all(np.isnan(part.estimate) for part in found.alternative)
    assert np.isnan(found.within_auc)
    assert np.isfinite(found.parts[0].estimate)
    assert found.classes[2][:2] == ("2", 0.0)


# --- size, order, seeds --------------------------------------------------------------------------


def test_larger_sides_are_sampled_for_models_only() -> None:
    here, there = planted.sides(planted.GIVEN_FEATURES, 3000, 0)
    found = decompose(here, there, max_rows=500)
    again = decompose(here, there, max_rows=500)
    other = decompose(here, there, max_rows=500, seed=1)
    whole = decompose(here, there)
    assert found == again
    assert found.parts != other.parts
    assert (found.total, found.alternative) == (whole.total, whole.alternative)
    assert found.n_rows == (3000, 3000)
    width, full = (d.parts[1].high - d.parts[1].low for d in (found, whole))
    assert width > 1.5 * full
    assert found.parts[1].low <= whole.parts[1].estimate <= found.parts[1].high
    assert adds_up(found)


def frozen(x0, loss0, y0, block0, x1, loss1, y1, block1, **settings) -> Decomposition:
    """`decompose` on arrays by name, its headline number first."""
    return decompose(
        Sample(x0, loss0, y0, block0, y0), Sample(x1, loss1, y1, block1, y1), **settings
    )


SIDES = planted.sides(planted.BOTH, 80, 0)
GIVEN = [
    {
        f"x{s}": np.column_stack([side.x[:, :3], np.arange(80) % 3]),
        f"loss{s}": side.loss,
        f"y{s}": side.y,
        f"block{s}": np.arange(80) // 2 + 30 * s,
    }
    for s, side in enumerate(SIDES)
]
CHECKS = {
    name: check
    for name, check in measure_checks(frozen, *GIVEN, categorical=[3], seed=2, max_rows=60)
    if name != "answer"  # a record of a report: its first field is the group
}


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


def test_swapped_sides_change_the_sign() -> None:
    here, there = planted.sides(planted.GIVEN_FEATURES, 600, 0)
    one, other = decompose(here, there), decompose(there, here)
    assert one.parts[1].estimate == pytest.approx(-other.parts[1].estimate, abs=0.01)
    assert one.total.low == pytest.approx(-other.total.high)


# --- real rows -----------------------------------------------------------------------------------


def test_tumours_with_another_mix_of_classes() -> None:
    """Elsewhere has three times as many malignant tumours for each benign one; nothing else."""
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)[:, [0, 1, 4, 8, 9]]
    g = rng(33)
    order = g.permutation(len(y))
    learn, rest = order[:169], order[169:]
    model = LogisticRegression().fit(x[learn], y[learn])
    loss = (model.predict(x) != y).astype(float)
    there = rest[:200]
    there = there[(y[there] == 0) | (g.random(200) < 0.3)]
    here = rest[200:]
    found = decompose(
        *(Sample(x[r], loss[r], y=y[r], predicted=model.predict(x[r])) for r in (here, there))
    )
    (_, p, q, guess), _ = found.classes
    assert q > p + 0.2
    assert guess == pytest.approx(q, abs=0.1)
    rest_part = by_name(found)["shift of x given y"]
    assert rest_part.low <= 0 <= rest_part.high
    assert found.within_auc < 0.6
    assert adds_up(found)


# --- bad input -----------------------------------------------------------------------------------


HERE = Sample(np.ones((40, 2)), np.ones(40))


@pytest.mark.parametrize(
    ("call", "argument", "words"),
    [
        (partial(decompose, HERE, Sample(np.ones((40, 3)), np.ones(40))), "elsewhere.x", "3 col"),
        (partial(decompose, HERE, Sample(np.ones(40), np.ones(40))), "elsewhere.x", "shape"),
        (
            partial(decompose, HERE, Sample(np.ones((40, 2)), np.ones(4))),
            "elsewhere.loss",
            "4 rows",
        ),
        (
            partial(decompose, HERE, replace(HERE, loss=np.full(40, np.nan))),
            "elsewhere.loss",
            "mis",
        ),
        (partial(decompose, replace(HERE, y=np.ones(40)), HERE), "elsewhere.y", "absent"),
        (partial(decompose, HERE, replace(HERE, block=np.ones(40))), "here.block", "absent"),
        (partial(decompose, *2 * [replace(HERE, y=np.full(40, -1))]), "here.y", "class codes"),
        (partial(decompose, *2 * [replace(HERE, y=np.ones(7))]), "here.y", "7 rows"),
        (partial(decompose, HERE, HERE, max_rows=10), "max_rows", "at least 30"),
        (partial(decompose, HERE, HERE, level=1.0), "level", "between 0 and 1"),
        (partial(decompose, HERE, HERE, categorical=[2]), "categorical", "column 2"),
    ],
)
def test_bad_input(call, argument: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        call()
    assert error.value.argument == argument
