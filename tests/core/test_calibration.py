"""The debiased calibration error against known truths."""

from __future__ import annotations

import numpy as np
import pytest

from elsewhere.core.calibration import MIN_BIN_ROWS, Calibration, calibration


def outcomes(p: np.ndarray, rng: np.random.Generator, stretch: float) -> np.ndarray:
    """Outcomes whose log odds are those of `p` times `stretch`; 1 is calibrated."""
    return (rng.random(len(p)) < _true(p, stretch)).astype(int)


def _true(p: np.ndarray, stretch: float) -> np.ndarray:
    odds = stretch * np.log(p / (1 - p))
    return 1 / (1 + np.exp(-odds))


def binned_truth(p: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Mean squared distance over the bins of the reliability curve, without chance."""
    order = np.argsort(p)
    return float(
        np.mean(
            [(p[rows].mean() - truth[rows].mean()) ** 2 for rows in np.array_split(order, bins)]
        )
    )


def plain_square(found: Calibration) -> float:
    share = np.array([b.n_rows for b in found.curve]) / found.n_rows
    return float(share @ [(b.predicted - b.observed) ** 2 for b in found.curve])


def signed_square(found: Calibration, p: np.ndarray, y: np.ndarray) -> float:
    """The debiased square before it is cut at 0, from the curve: plain minus chance."""
    share = np.array([b.n_rows for b in found.curve]) / found.n_rows
    order = np.argsort(p, kind="stable")
    chance, start = 0.0, 0
    for part, each in zip(share, found.curve, strict=True):
        rows = order[start : start + each.n_rows]
        chance += part * (p[rows] - y[rows]).var(ddof=1) / len(rows)
        start += each.n_rows
    return plain_square(found) - chance


@pytest.mark.parametrize("stretch", [1.0, 0.5])
def test_the_square_is_unbiased_and_the_plain_one_is_not(stretch: float) -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 600)
    truth = binned_truth(p, _true(p, stretch))
    signed, plain, shown = [], [], []
    for _ in range(300):
        y = outcomes(p, rng, stretch)
        found = calibration(y, p)
        signed.append(signed_square(found, p, y))
        plain.append(plain_square(found))
        shown.append(found.error)
    error = np.std(signed) / np.sqrt(len(signed))
    assert abs(np.mean(signed) - truth) < 3 * error
    assert np.mean(plain) - truth > 10 * error
    # What is shown is the root of the same square, 0 where chance explains all of it.
    np.testing.assert_allclose(shown, np.sqrt(np.maximum(signed, 0)), atol=1e-7)


def test_a_calibrated_model_often_shows_no_error_and_its_interval_starts_at_0() -> None:
    rng = np.random.default_rng(1)
    none, starts = 0, 0
    for _ in range(200):
        p = rng.uniform(0.05, 0.95, 600)
        found = calibration(outcomes(p, rng, 1.0), p)
        none += found.error == 0
        starts += found.low == 0
    assert none >= 80
    assert starts >= 0.93 * 200


@pytest.mark.parametrize("rows", [300, 2000])
@pytest.mark.parametrize("stretch", [0.4, 0.6])
def test_the_interval_holds_the_error_of_a_miscalibrated_model(rows: int, stretch: float) -> None:
    rng = np.random.default_rng([rows, round(10 * stretch)])
    held, bias = 0, 0
    for _ in range(300):
        p = rng.beta(2, 2, rows).clip(0.01, 0.99)
        y = outcomes(p, rng, stretch)
        found = calibration(y, p)
        truth = np.sqrt(binned_truth(p, _true(p, stretch), len(found.curve)))
        held += found.low <= truth <= found.high
        bias += found.bias_low <= (p - _true(p, stretch)).mean() <= found.bias_high
    assert held >= 0.9 * 300
    assert bias >= 0.93 * 300


def test_duplicated_rows_in_blocks_change_nothing() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 2, 400)
    y = outcomes(p, rng, 0.5)
    once = calibration(y, p, unit=np.arange(400))
    twice = calibration(
        np.repeat(y, 2),
        np.repeat(p, 2),
        unit=np.repeat(np.arange(400), 2),
        weight=np.full(800, 0.5),
    )
    for name in ("error", "low", "high", "bias", "bias_low", "bias_high"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name), abs=1e-9)
    assert twice.n_blocks == once.n_blocks == 400
    careless = calibration(np.repeat(y, 2), np.repeat(p, 2))
    assert careless.high - careless.low < once.high - once.low


def test_rows_in_another_order_change_nothing() -> None:
    rng = np.random.default_rng(0)
    p = np.round(rng.beta(2, 2, 500), 2).clip(0.01, 0.99)
    y, weight, unit = outcomes(p, rng, 0.5), rng.uniform(0.5, 2, 500), np.arange(500) // 5
    order = rng.permutation(500)
    one = calibration(y, p, unit=unit, weight=weight)
    other = calibration(y[order], p[order], unit=unit[order], weight=weight[order])
    for name in ("error", "low", "high", "bias"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)


def test_overstated_risks_have_a_positive_bias() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.5, 2000)
    found = calibration((rng.random(2000) < p - 0.08).astype(int), p)
    assert found.bias_low < 0.08 < found.bias_high
    assert found.bias_low > 0
    assert found.error == pytest.approx(0.08, abs=0.02)


def test_few_rows_give_a_reason_and_no_number() -> None:
    found = calibration(np.ones(39, int), np.full(39, 0.5))
    assert np.isnan((found.error, found.low, found.bias)).all()
    assert "39 rows" in found.reason
    assert found.curve == ()


def test_bins_are_few_where_rows_or_values_are_few() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    assert len(calibration(outcomes(p, rng, 1), p).curve) == 100 // MIN_BIN_ROWS
    two = np.repeat([0.2, 0.7], 200)
    curve = calibration(outcomes(two, rng, 1), two).curve
    assert [b.predicted for b in curve] == pytest.approx([0.2, 0.7])
    assert [b.n_rows for b in curve] == [200, 200]
    for each in curve:
        assert each.low <= each.observed <= each.high


def test_rows_that_weigh_nothing_do_not_count():
    g = np.random.default_rng(0)
    p = g.random(200)
    y = (g.random(200) < p).astype(int)
    nothing = calibration(y, p, weight=np.zeros(200))
    assert np.isnan(nothing.error)
    assert nothing.reason == "0 rows; at least 40 needed"
    few = calibration(y, p, weight=np.where(np.arange(200) < 39, 1.0, 0.0))
    assert few.reason == "39 rows; at least 40 needed"
