"""What gap() promises whatever the rows: properties, reasons and refusals."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elsewhere.core.errors import InputError
from elsewhere.core.gaps import Gap, gap
from elsewhere.core.scores import Scored

METRICS = ["accuracy", "zero_one_loss", "roc_auc", "mean_squared_error", "f1", "log_loss", "r2"]
NUMBERS = [f.name for f in dataclasses.fields(Gap) if f.type == "float" and f.name != "level"]
LIMITS = ["low", "high", "here_low", "here_high", "elsewhere_low", "elsewhere_high"]

worlds = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "metric": st.sampled_from(METRICS),
        "groups": st.integers(1, 7),
        "paired": st.booleans(),
        "blocked": st.booleans(),
        "weighted": st.booleans(),
    }
)
tried = settings(max_examples=30, deadline=None, derandomize=True)


def table(
    *, seed: int, metric: str, groups: int, paired: bool, blocked: bool, weighted: bool
) -> list[dict[str, Any]]:
    """Two sides as columns, with enough rows of each class for every metric."""
    rng = np.random.default_rng(seed)
    sides = []
    for shift in (1.5, 1.0):
        rows = 60 if paired else int(rng.integers(50, 80))
        n = groups * rows
        y = np.arange(n) % 2
        score = 1 / (1 + np.exp(-(shift * (y - 0.5) + rng.normal(size=n))))
        prediction = (
            (score > 0.5).astype(int) if metric in ("accuracy", "zero_one_loss", "f1") else score
        )
        side: dict[str, Any] = {
            "prediction": prediction,
            "y": y,
            "group": np.repeat(np.arange(groups), rows),
        }
        if paired:
            side["row"] = np.arange(n)
        if blocked:
            side["block"] = np.arange(n) // 4 + (0 if paired else len(sides) * n)
        if weighted:
            side["weight"] = rng.uniform(0.5, 2, n)
        sides.append(side)
    return sides


def measure(sides: list[dict[str, Any]], metric: str, **options: Any) -> Gap:
    return gap(*(Scored(**side) for side in sides), metric=metric, **options)


def numbers(found: Gap, names: list[str] = NUMBERS) -> np.ndarray:
    return np.array([getattr(found, name) for name in names])


def same(one: Gap, other: Gap, names: list[str] = NUMBERS, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(numbers(one, names), numbers(other, names), rtol=0, atol=atol)


@given(worlds)
@tried
def test_the_order_of_rows_changes_nothing(world: dict[str, Any]) -> None:
    sides = table(**world)
    rng = np.random.default_rng(world["seed"])
    mixed = []
    for side in sides:
        order = rng.permutation(len(side["y"]))
        mixed.append({name: values[order] for name, values in side.items()})
    same(measure(sides, world["metric"]), measure(mixed, world["metric"]))


@given(worlds)
@tried
def test_the_names_of_groups_blocks_and_rows_change_nothing(world: dict[str, Any]) -> None:
    sides = table(**world)
    rng = np.random.default_rng(world["seed"])
    names = rng.permutation([f"site {g}" for g in range(world["groups"])]).astype(object)
    renamed = [
        side
        | {"group": names[side["group"]]}
        | {key: np.char.add("x", side[key].astype(str)) for key in ("row", "block") if key in side}
        for side in sides
    ]
    same(measure(sides, world["metric"]), measure(renamed, world["metric"]))


@given(worlds)
@tried
def test_copies_of_rows_in_the_blocks_of_their_originals_change_nothing(
    world: dict[str, Any],
) -> None:
    world |= {"paired": False}
    sides = table(**world)
    for index, side in enumerate(sides):
        n = len(side["y"])
        side.setdefault("weight", np.ones(n))
        side.setdefault("block", np.arange(n) + 10**6 * index)
    doubled = []
    for side in sides:
        copy = {name: np.repeat(values, 2) for name, values in side.items()}
        doubled.append(copy | {"weight": copy["weight"] / 2})
    same(measure(sides, world["metric"]), measure(doubled, world["metric"]), atol=1e-9)


@given(worlds, st.floats(-50, 50))
@tried
def test_a_constant_added_to_every_score_leaves_the_area(
    world: dict[str, Any], constant: float
) -> None:
    sides = table(**world | {"metric": "roc_auc"})
    for side in sides:
        side["prediction"] = np.round(side["prediction"], 6)
    moved = [side | {"prediction": side["prediction"] + round(constant)} for side in sides]
    same(measure(sides, "roc_auc"), measure(moved, "roc_auc"), atol=1e-10)


@given(worlds)
@tried
def test_swapped_sides_turn_the_sign(world: dict[str, Any]) -> None:
    sides = table(**world)
    one, other = measure(sides, world["metric"]), measure(sides[::-1], world["metric"])
    assert one.estimate == pytest.approx(-other.estimate, abs=1e-12)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)
    if not math.isnan(one.next_low):
        assert (one.next_low, one.next_high) == pytest.approx(
            (-other.next_high, -other.next_low), abs=1e-12
        )


@given(worlds)
@tried
def test_the_interval_holds_the_estimate_and_narrows_with_the_level(world: dict[str, Any]) -> None:
    sides = table(**world)
    wide, narrow = (measure(sides, world["metric"], level=level) for level in (0.99, 0.8))
    assert wide.low <= narrow.low <= narrow.estimate <= narrow.high <= wide.high
    assert wide.estimate == narrow.estimate
    sign = -1 if world["metric"] in ("zero_one_loss", "mean_squared_error", "log_loss") else 1
    assert wide.estimate == pytest.approx(sign * (wide.here - wide.elsewhere), abs=1e-12)


@given(worlds)
@tried
def test_single_precision_is_computed_in_double(world: dict[str, Any]) -> None:
    sides = table(**world | {"metric": "mean_squared_error"})
    small = [s | {"prediction": s["prediction"].astype(np.float32)} for s in sides]
    large = [s | {"prediction": s["prediction"].astype(np.float64)} for s in small]
    same(measure(small, "mean_squared_error"), measure(large, "mean_squared_error"))
    same(measure(small, "mean_squared_error"), measure(sides, "mean_squared_error"), atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_input_may_be_read_only_and_strided_and_is_left_as_it_was(metric: str) -> None:
    sides = table(seed=1, metric=metric, groups=3, paired=True, blocked=True, weighted=True)
    plain = measure(sides, metric)
    before = [{name: values.copy() for name, values in side.items()} for side in sides]
    measure(sides, metric)
    for side, old in zip(sides, before, strict=True):
        for name, values in side.items():
            np.testing.assert_array_equal(values, old[name])
    strided = []
    for side in sides:
        columns = {name: np.repeat(values, 3)[::3] for name, values in side.items()}
        for values in columns.values():
            values.flags.writeable = False
        strided.append(columns)
    same(plain, measure(strided, metric), atol=0)


def test_the_global_random_state_is_left_alone() -> None:
    sides = table(seed=1, metric="r2", groups=2, paired=False, blocked=False, weighted=False)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = (random.getstate(), np.random.get_state()[1].tobytes())  # noqa: NPY002
    gap(*(Scored(**side) for side in sides), metric=lambda y, p: float(np.corrcoef(y, p)[0, 1]))
    measure(sides, "r2")
    assert before == (random.getstate(), np.random.get_state()[1].tobytes())  # noqa: NPY002


def test_the_seed_moves_the_folds_only() -> None:
    sides = table(seed=1, metric="r2", groups=2, paired=False, blocked=False, weighted=False)
    scored = [Scored(**side) for side in sides]

    def correlation(y: np.ndarray, p: np.ndarray) -> float:
        return float(np.corrcoef(y, p)[0, 1])

    one, again, other = (gap(*scored, metric=correlation, seed=seed) for seed in (1, 1, 2))
    assert one == again or np.isnan(one.next_low)
    same(one, again, atol=0)
    assert one.estimate == other.estimate
    assert one.low != other.low
    same(measure(sides, "r2", seed=1), measure(sides, "r2", seed=2), atol=0)


@pytest.mark.parametrize("metric", ["accuracy", "mean_squared_error", "mean"])
def test_one_row_a_side(metric: str) -> None:
    y = None if metric == "mean" else [1]
    g = gap(Scored([1], y=y), Scored([0], y=y), metric=metric)
    assert np.isfinite(g.estimate)
    if metric == "accuracy":  # one right, one wrong: almost anything is possible
        assert g.low < 0 < 1 <= g.high + 1e-12
    else:
        assert (g.low, g.high) == (-np.inf, np.inf)
    assert g.answer() == "unclear"
    assert np.isnan(g.next_low)
    assert "1 group says nothing" in g.reason


def test_one_row_has_no_area_and_a_reason() -> None:
    many = Scored(np.arange(40) % 7, y=np.arange(40) % 2)
    g = gap(many, Scored([1.0], y=[1]), metric="roc_auc")
    assert np.isnan(g.estimate)
    assert "one class" in g.reason


def test_small_groups_are_left_out_by_name_and_the_rest_stands() -> None:
    sides = table(seed=0, metric="roc_auc", groups=3, paired=False, blocked=False, weighted=False)
    for side in sides:
        side["group"] = np.array(["a", "b", "c"], dtype=object)[side["group"]]
        kept = (side["group"] != "b") | (np.cumsum(side["group"] == "b") <= 12)
        for name in list(side):
            side[name] = side[name][kept]
    g = measure(sides, "roc_auc")
    assert g.n_groups == 2
    assert "left out 1 of 3 groups (b: fewer than 10 rows of a class" in g.reason
    without = [{n: v[s["group"] != "b"] for n, v in s.items()} for s in sides]
    same(g, measure(without, "roc_auc"))


def test_a_group_on_one_side_only_takes_no_part_beside_matched_ones() -> None:
    here = Scored([1, 1, 0, 1], y=[1] * 4, group=["a", "a", "b", "b"])
    away = Scored([1, 0, 1], y=[1] * 3, group=["a", "a", "c"])
    g = gap(here, away, metric="accuracy")
    assert (g.here, g.elsewhere, g.n_groups) == (1.0, 0.5, 1)
    assert "rows on one side only" in g.reason


def test_sides_in_separate_groups_are_compared_by_their_averages() -> None:
    here = Scored([1, 1, 0, 1], y=[1] * 4, group=["a", "a", "b", "b"])
    away = Scored([1, 0, 0], y=[1] * 3, group=["c", "c", "d"])
    g = gap(here, away, metric="accuracy")
    assert (g.here, g.elsewhere, g.n_groups) == (0.75, 0.25, 2)


def test_pairing_and_blocks_change_the_interval_and_not_the_estimate() -> None:
    rng = np.random.default_rng(0)
    luck = np.repeat(rng.random(50), 6)
    right = (luck < 0.8).astype(int)
    worse = right * (rng.random(300) < 0.95)
    y, row, block = np.ones(300, int), np.arange(300), np.arange(300) // 6
    apart = gap(Scored(right, y=y), Scored(worse, y=y), metric="accuracy")
    paired = gap(Scored(right, y=y, row=row), Scored(worse, y=y, row=row), metric="accuracy")
    assert apart.estimate == paired.estimate
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)
    assert (apart.n_blocks, paired.n_blocks) == (600, 300)
    blocked = gap(
        Scored(right, y=y, block=block), Scored(worse, y=y, block=block + 50), metric="accuracy"
    )
    assert blocked.here_high - blocked.here_low > 2 * (apart.here_high - apart.here_low)
    assert blocked.n_blocks == 100


@pytest.mark.parametrize(
    ("low", "high", "negligible", "answer"),
    [
        (0.01, 0.2, 0, "gap"),
        (-0.1, 0.2, 0, "unclear"),
        (-0.2, -0.1, 0, "better elsewhere"),
        (-0.01, 0.02, 0.03, "no gap"),
        (0.01, 0.2, 0.03, "unclear"),
        (0.04, 0.2, 0.03, "gap"),
        (-0.2, -0.1, 0.03, "no gap"),
        (np.nan, np.nan, 0.03, "unclear"),
        (-np.inf, 0.01, 0.03, "unclear"),
    ],
)
def test_answers(low: float, high: float, negligible: float, answer: str) -> None:
    one = gap(Scored([1, 0], y=[1, 1]), Scored([1, 0], y=[1, 1]), metric="accuracy")
    found = dataclasses.replace(one, low=low, high=high)
    assert found.answer(negligible) == answer
    with pytest.raises(InputError, match="negligible"):
        found.answer(-0.1)


def test_the_detectable_gap_is_found_with_power_80() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(size=500)
    size = gap(Scored(a), Scored(b), metric="mean").detectable
    assert size == pytest.approx((1.96 + 0.8416) * np.sqrt(2 / 500), rel=0.1)
    found = 0
    for _ in range(300):
        g = gap(Scored(rng.normal(size=500)), Scored(rng.normal(size=500) - size), metric="mean")
        found += g.low > 0
    assert found / 300 == pytest.approx(0.8, abs=0.07)


def fields(**change: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "prediction": [1.0, 0.0, 1.0],
        "y": [1.0, 1.0, 0.0],
        "group": ["a", "b", "a"],
        "block": [1, 2, 3],
        "weight": [1.0, 2.0, 1.0],
        "row": [0, 1, 2],
    }
    return columns | change


@pytest.mark.parametrize("name", list(fields()))
@pytest.mark.parametrize("hole", [float("nan"), None])
def test_missing_values_name_their_argument_and_rows(name: str, hole: object) -> None:
    values = [*fields()[name][:2], hole]
    with pytest.raises(InputError, match=r"misses 1 of 3 values \(first rows: 2\)") as caught:
        Scored(**fields(**{name: np.array(values, dtype=object)}))
    assert caught.value.argument == name


@pytest.mark.parametrize("name", [n for n in fields() if n != "prediction"])
def test_lengths_that_differ_name_their_argument(name: str) -> None:
    with pytest.raises(InputError, match="has 2 rows; expected 3") as caught:
        Scored(**fields(**{name: fields()[name][:2]}))
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight", [1.0, -1, 1]),
        ("weight", [0, 0, 0]),
        ("weight", [1, np.inf, 1]),
        ("weight", ["a", "b", "c"]),
        ("group", np.ones((3, 2))),
        ("prediction", np.ones((3, 2, 2))),
        ("prediction", 3.0),
    ],
)
def test_wrong_columns_name_their_argument(name: str, values: Any) -> None:
    with pytest.raises(InputError) as caught:
        Scored(**fields(**{name: values}))
    assert caught.value.argument == name


def test_sides_that_do_not_fit_together_are_refused() -> None:
    one = Scored([1, 0], y=[1, 1])
    for argument, here, away in (
        ("elsewhere", one, Scored([], y=[])),
        ("here", Scored([], y=[]), one),
        ("group", one, Scored([1, 0], y=[1, 1], group=["a", "b"])),
        ("row", one, Scored([1, 0], y=[1, 1], row=[1, 2])),
        ("prediction", one, Scored(np.ones((2, 3)), y=[1, 1])),
        ("row", *(Scored([1, 0], y=[1, 1], row=[3, 3]),) * 2),
        ("y", *(Scored([1, 0]),) * 2),
    ):
        with pytest.raises(InputError) as caught:
            gap(here, away, metric="accuracy")
        assert caught.value.argument == argument
    for level in (0, 1, 95):
        with pytest.raises(InputError, match="level"):
            gap(one, one, metric="accuracy", level=level)


COLUMNS = {
    "list": list,
    "pandas": pd.Series,
    "pandas with an index": lambda v: pd.Series(v, index=range(100, 100 + len(v))),
    "pandas nullable": lambda v: pd.Series(v).convert_dtypes(),
    "pandas category": lambda v: pd.Series(v).astype("category"),
    "polars": pl.Series,
    "arrow": pa.array,
    "arrow chunks": lambda v: pa.chunked_array([pa.array(v[:50]), pa.array(v[50:])]),
}


@pytest.mark.parametrize("library", list(COLUMNS))
def test_columns_of_every_library_give_the_same_gap(library: str) -> None:
    wrap = COLUMNS[library]
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(2):
        y = rng.integers(0, 2, 120)
        sides.append(
            {
                "prediction": np.where(rng.random(120) < 0.7, y, 1 - y),
                "y": y,
                "group": np.repeat(["north", "south"], 60).astype(object),
                "block": np.repeat(np.arange(40), 3),
                "weight": rng.uniform(0.5, 2, 120),
                "row": np.arange(120),
            }
        )
    plain = measure(sides, "accuracy")
    wrapped = [{n: wrap(v.tolist()) for n, v in side.items()} for side in sides]
    same(plain, measure(wrapped, "accuracy"))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, None, 0], dtype="Int64"),
        pd.Series(["a", None, "b"]),
        pl.Series([1, None, 0]),
        pl.Series(["a", None, "b"]),
        pa.array([1, None, 0]),
        pa.array(["a", None, "b"]),
        pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-02"])),
    ],
    ids=["pandas", "pandas text", "polars", "polars text", "arrow", "arrow text", "dates"],
)
def test_missing_values_of_every_library_are_seen(column: Any) -> None:
    with pytest.raises(InputError, match="group misses 1 of 3"):
        Scored([1, 0, 1], y=[1, 1, 0], group=column)


def test_probabilities_may_come_as_a_table() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 50)
    y = np.array(["x", "y", "z"], dtype=object)[rng.integers(0, 3, 50)]
    plain = gap(Scored(p, y=y), Scored(p, y=y), metric="log_loss")
    for wrap in (pd.DataFrame, pl.DataFrame):
        side = Scored(wrap(p), y=y)
        same(plain, gap(side, side, metric="log_loss"))


@pytest.mark.parametrize(
    "group",
    [
        np.array(["2020-01-01", "2020-01-02"] * 30, dtype="datetime64[D]"),
        [True, False] * 30,
        [1.5, 2.5] * 30,
        [1, "one"] * 30,
        [("a", 1), ("b", 2)] * 0 or ["a", "b"] * 30,
    ],
    ids=["dates", "booleans", "floats", "mixed", "texts"],
)
def test_groups_may_be_values_of_any_type(group: Any) -> None:
    group = (
        np.asarray(group, dtype=object) if isinstance(group, list) and group[1] == "one" else group
    )
    rng = np.random.default_rng(0)
    side = Scored(rng.integers(0, 2, 60), y=np.ones(60, int), group=group)
    assert gap(side, side, metric="accuracy").n_groups == 2


def test_a_selection_keeps_its_fields() -> None:
    rows = Scored(**fields(), classes=[0, 1]).at(np.array([True, False, True]))
    assert rows.n == 2
    assert rows.group.tolist() == ["a", "a"]
    assert rows.classes == [0, 1]
