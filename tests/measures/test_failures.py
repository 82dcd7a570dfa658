from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import scale

from elsewhere.core.errors import InputError
from elsewhere.core.explanations import Failures
from elsewhere.measures.failure_models import cut_pairs
from elsewhere.measures.failures import explain_failures
from elsewhere.testing import measure_checks

FAIR = Path(__file__).parents[1] / "assets" / "statsmodels" / "fair.csv"


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed) or 0)


def planted(seed: int, n: int = 1800, groups: int = 6) -> dict:
    """Failures that depend on age, length and the group's size; not on insurance or borough."""
    g = rng(seed, n)
    group = g.choice(groups, n, p=np.arange(1, groups + 1) / np.arange(1, groups + 1).sum())
    age, words = g.uniform(20, 90, n), g.lognormal(5.9, 0.7, n)
    chance = 0.05 + 0.25 * (age > 65) + 0.3 * (words > 512) + 0.15 / (group + 1)
    return {
        "loss": (g.random(n) < chance).astype(float),
        "columns": {
            "insurance": g.choice(np.array(["private", "government", None], dtype=object), n),
            "age": np.where(g.random(n) < 0.05, np.nan, age),
            "borough": g.choice(list("news"), n),
            "words": words,
        },
        "group": group,
    }


def nothing(seed: int, n: int = 240) -> dict:
    """A small table in which nothing goes with failing."""
    g = rng(7, seed)
    loss = g.random(n) < 0.3 if seed % 2 else g.exponential(size=n)
    columns = {"a": g.normal(size=n), "b": g.integers(0, 3, n), "c": g.choice(list("xyz"), n)}
    return {"loss": np.asarray(loss, float), "columns": columns, "group": g.integers(0, 5, n)}


FOUND = explain_failures(**planted(0), named=["borough", "insurance"], what="wrong or right")


# --- drivers ------------------------------------------------------------------------------------


def test_planted_drivers_stand_above_noise() -> None:
    assert {driver.name for driver in FOUND.drivers[:2]} == {"age", "words"}
    for driver in FOUND.drivers:
        true = driver.name in ("age", "words")
        assert (driver.q < 0.05) == true
        assert (driver.low > 0) == true
        assert driver.low <= driver.importance <= driver.high
    effect = {driver.name: driver.effect for driver in FOUND.drivers}
    assert effect["age"] > 0.2
    assert effect["words"] > 0.2
    assert np.isnan([effect["insurance"], effect["borough"]]).all()
    assert FOUND.low > 0.5
    assert 0.6 < FOUND.auc < 0.8
    assert (FOUND.loss, FOUND.reason) == ("wrong or right", "")
    assert FOUND.failing.startswith("a loss of 1 (")


def test_area_is_at_most_that_of_the_true_chances() -> None:
    """Within groups nothing ranks better than the chances that the table was drawn with."""
    given = planted(0)
    columns, group = given["columns"], given["group"]
    chance = 0.25 * (columns["age"] > 65) + 0.3 * (columns["words"] > 512)
    best = np.mean([roc_auc_score(given["loss"][group == k], chance[group == k]) for k in range(6)])
    assert best - 0.06 < FOUND.auc < best + 0.03


def null_rates(tables: int) -> tuple[float, float]:
    found = [explain_failures(**nothing(s)) for s in range(tables)]
    drivers = np.mean([any(driver.q < 0.05 for driver in one.drivers) for one in found])
    return float(drivers), float(np.mean([one.low <= 0.5 <= one.high for one in found]))


def test_nothing_is_found_where_there_is_nothing() -> None:
    drivers, covered = null_rates(30)
    assert drivers <= 0.14
    assert covered >= 0.94


@pytest.mark.long
def test_nothing_is_found_in_many_tables() -> None:
    drivers, covered = null_rates(400)
    assert drivers <= 0.075
    assert covered >= 0.95


def test_blocks_are_what_counts() -> None:
    """Failing and the column are the patient's: 60 patients are no 600 rows."""
    few = []
    for s in range(10):
        g = rng(5, s)
        patient = np.repeat(np.arange(60), 10)
        failing = (g.random(60) < 0.4)[patient].astype(float)
        columns = {"trait": g.normal(size=60)[patient]}
        group = (np.arange(60) % 4)[patient]
        rows = explain_failures(failing, columns, group).drivers[0].p
        blocks = explain_failures(failing, columns, group, block=patient).drivers[0].p
        few.append((rows < 0.05, blocks < 0.05, rows != blocks))
    by_rows, by_blocks, differ = np.sum(few, axis=0)
    assert by_rows >= 3
    assert by_blocks <= 2
    assert differ >= 9


def test_a_column_that_groups_share_is_a_trait_of_groups_alone() -> None:
    given = planted(1)
    given["loss"] = (rng(6).random(1800) < 0.6 - 0.1 * given["group"]).astype(float)
    given["columns"]["beds"] = given["group"] * 10.0
    given["columns"]["town"] = np.array(list("abcdef"), dtype=object)[given["group"]]
    found = explain_failures(**given)
    assert {driver.name for driver in found.drivers} == {"insurance", "age", "borough", "words"}
    traits = {one.name: one for one in found.groups}
    assert set(traits) == {"rows", "mean of age", "mean of words", "mean of beds"}
    assert traits["mean of beds"].correlation == pytest.approx(-1)
    assert traits["mean of beds"].p == pytest.approx(2 / 720)
    assert traits["mean of beds"].n == 6
    assert list(found.groups) == sorted(found.groups, key=lambda one: -abs(one.correlation))


def test_a_shuffled_column_is_no_driver() -> None:
    given = planted(0)
    mixed = rng(8).permutation(given["columns"]["age"])
    found = explain_failures(**(given | {"columns": given["columns"] | {"age": mixed}}))
    by_name = {driver.name: driver for driver in found.drivers}
    assert by_name["age"].q > 0.05 > by_name["words"].q
    assert found.auc < FOUND.auc


# --- folds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "nested", "some shared", "crossed"])
def test_a_block_is_never_on_both_sides(kind: str) -> None:
    g = rng(9)
    group = g.integers(0, 7, 700)
    block = {
        "none": None,
        "nested": group * 20 + g.integers(0, 20, 700),
        "some shared": np.where(group < 2, 0, group * 20 + g.integers(0, 20, 700)),
        "crossed": g.integers(0, 30, 700),
    }[kind]
    if block is not None:
        block = np.unique(block, return_inverse=True)[1]
    pairs = cut_pairs(group, block, 0)
    assert np.array_equal(np.sort(np.concatenate([test for _, test in pairs])), np.arange(700))
    for train, test in pairs:
        assert len(train) > 100
        assert not set(group[train]) & set(group[test])
        if block is not None:
            assert not set(block[train]) & set(block[test])
    assert len(pairs) == (9 if kind == "crossed" else 5)


def test_days_across_all_groups() -> None:
    given = planted(2)
    found = explain_failures(**given, block=rng(10).integers(0, 120, 1800))
    assert {driver.name for driver in found.drivers[:2]} == {"age", "words"}
    assert found.low > 0.5
    assert len(found.rules) > 1


# --- rules --------------------------------------------------------------------------------------


def test_rules_are_told_and_measured_in_groups_that_did_not_find_them() -> None:
    assert len(FOUND.rules) > 2
    assert "words > 5" in FOUND.rules[0].text
    assert "age" in FOUND.rules[0].text
    losses = [rule.loss for rule in FOUND.rules]
    assert losses == sorted(losses, reverse=True)
    assert all(rule.low <= rule.loss <= rule.high for rule in FOUND.rules)
    assert losses[0] > 2 * losses[-1]
    n = sum(rule.n_rows for rule in FOUND.rules)
    assert 0.3 * 1800 < n < 0.7 * 1800


def meets(words: str, columns: dict) -> np.ndarray:
    """Rows that meet a rule, read from its words."""
    found = np.ones(len(columns["age"]), bool)
    for condition in words.split(" and "):
        match condition.strip("()").replace(" or missing", "").split(" "):
            case [low, "<", name, "<=", high]:
                own = (columns[name] > float(low)) & (columns[name] <= float(high))
            case [name, ">", low]:
                own = columns[name] > float(low)
            case [name, "<=", high]:
                own = columns[name] <= float(high)
            case [name, "is", "not", "missing"]:
                own = ~np.isnan(columns[name])
            case [name, "is", "missing"]:
                own = np.isnan(columns[name])
            case [name, "is", "not", text]:
                own = columns[name] != text
            case [name, "is", text]:
                own = columns[name] == text
            case _:
                raise AssertionError(condition)
        if "or missing" in condition:
            own |= np.isnan(columns[name])
        found &= own
    return found


def test_a_rule_in_words_is_the_rule() -> None:
    """The same two groups of four hold all rules' rows, with the losses that are told."""
    g = rng(11)
    n = 1200
    group, age, sex = g.integers(0, 4, n), g.uniform(20, 90, n), g.choice(list("fm"), n)
    age[g.random(n) < 0.1] = np.nan
    chance = np.where((age > 60) & (sex == "f"), 0.6, 0.1) + 0.3 * np.isnan(age)
    loss = (g.random(n) < chance).astype(float)
    columns = {"age": age, "sex": sex}
    rules = explain_failures(loss, columns, group).rules
    assert "sex is" in rules[0].text
    assert any("missing" in rule.text for rule in rules)
    fits = []
    for half in [(a, b) for a in range(4) for b in range(a)]:
        rows = [meets(rule.text, columns) & np.isin(group, half) for rule in rules]
        fits.append(
            all(
                abs(own.sum() - rule.n_rows) <= 1
                and loss[own].mean() == pytest.approx(rule.loss, abs=0.02)
                for own, rule in zip(rows, rules, strict=True)
            )
        )
    assert sum(fits) == 1


def test_no_rules_of_three_groups() -> None:
    given = planted(3, n=900, groups=3)
    found = explain_failures(**given)
    assert found.rules == ()
    assert np.isfinite(found.auc)


# --- strata -------------------------------------------------------------------------------------


def test_strata_of_named_columns_and_of_drivers() -> None:
    columns = [stratum.column for stratum in FOUND.strata]
    assert list(dict.fromkeys(columns))[:2] == ["borough", "insurance"]
    assert set(columns) == {"borough", "insurance", "age", "words"}
    given = planted(0)
    for column, label, rows in (
        ("borough", "n", given["columns"]["borough"] == "n"),
        ("insurance", "missing", pd.isna(given["columns"]["insurance"])),
        ("age", "missing", np.isnan(given["columns"]["age"])),
    ):
        (one,) = [s for s in FOUND.strata if (s.column, s.label) == (column, label)]
        assert one.n_rows == rows.sum()
        assert one.loss == pytest.approx(given["loss"][rows].mean())
        assert one.low < one.loss < one.high
        assert np.isnan([one.value, one.expected, one.adjusted]).all()
    ages = [s for s in FOUND.strata if s.column == "age"]
    assert len(ages) == 5
    assert sum(s.n_rows for s in ages) == 1800
    assert ages[3].loss > ages[0].loss + 0.1


def test_few_distinct_numbers_and_many_texts() -> None:
    g = rng(12)
    n = 1500
    columns = {
        "comorbidity": g.integers(1, 5, n),
        "code": np.minimum(g.geometric(0.2, n), 20),
        "ward": g.choice(list("abcdefghijkl"), n),
    }
    found = explain_failures(
        g.random(n), columns, g.integers(0, 5, n), categorical=["code"], named=list(columns)
    )
    labels = {
        name: [s.label for s in found.strata if s.column == name]
        for name in ("comorbidity", "code", "ward")
    }
    assert labels["comorbidity"] == ["1", "2", "3", "4"]
    assert labels["code"] == ["1", "2", "3", "4", "5", "6", "7", "other values"]
    assert len(labels["ward"]) == 8
    assert "largest quarter of the loss over all rows (above 0.7" in found.failing
    assert "25.0% of the rows" in found.failing


def test_areas_in_strata_and_small_ones() -> None:
    g = rng(13)
    n = 2000
    p = 1 / (1 + np.exp(-g.normal(-2.5, 1.2, n)))
    y = (g.random(n) < p).astype(int)
    unit = np.where(np.arange(n) < 30, "tiny", np.where(p < 0.02, "safe", "rest"))
    found = explain_failures(
        (p - y) ** 2, {"unit": unit}, g.integers(0, 4, n), y=y, probability=p, named=["unit"]
    )
    rest, safe, tiny = (
        next(s for s in found.strata if s.label == k) for k in ("rest", "safe", "tiny")
    )
    own = unit == "rest"
    assert rest.value == pytest.approx(roc_auc_score(y[own], p[own]))
    assert rest.value_low < rest.value < rest.value_high
    assert "no area under the curve" in safe.reason
    assert "at least 10 of each" in safe.reason
    assert np.isfinite(safe.loss)
    assert np.isnan([tiny.loss, tiny.value]).all()
    assert tiny.reason == "30 rows; at least 50 are needed"
    assert "share of positives" in [one.name for one in found.groups]


def wards(wrong: float, n: int = 5000) -> dict:
    """A ward of alike patients, and one where the model's logits are partly noise."""
    g = rng(14)
    ward = g.choice(np.array(["mixed", "alike", "odd"], dtype=object), n, p=[0.6, 0.2, 0.2])
    risk = np.where(ward == "alike", g.normal(0.5, 0.5, n), g.normal(-0.5, 1.8, n))
    y = (g.random(n) < 1 / (1 + np.exp(-risk))).astype(int)
    noise = g.normal(0, 1.8, n)
    logit = np.where(ward == "odd", (1 - wrong) * risk + wrong * noise, risk)
    p = 1 / (1 + np.exp(-logit))
    found = explain_failures(
        (p - y) ** 2, {"ward": ward}, g.integers(0, 4, n), y=y, probability=p, named=["ward"]
    )
    return {stratum.label: stratum for stratum in found.strata}


def test_range_restriction_is_told_from_a_worse_model() -> None:
    found = wards(0.8)
    assert found["alike"].reason.startswith("low by range restriction alone")
    assert found["alike"].value_low <= found["alike"].expected <= found["alike"].value_high
    assert found["odd"].reason.startswith("worse than its own probabilities promise")
    assert found["odd"].adjusted < found["odd"].expected - 0.1
    assert found["mixed"].reason == ""
    fine = wards(0.0)
    assert fine["odd"].reason == ""
    assert fine["odd"].adjusted == pytest.approx(fine["odd"].value, abs=0.02)


def test_a_model_that_is_too_sure_everywhere_is_told_as_that() -> None:
    g = rng(15)
    n = 6000
    risk = g.normal(0, 1.5, n)
    y = (g.random(n) < 1 / (1 + np.exp(-risk))).astype(int)
    p = 1 / (1 + np.exp(-3 * risk))
    side = g.choice(list("ab"), n)
    found = explain_failures(
        (p - y) ** 2, {"side": side}, g.integers(0, 4, n), y=y, probability=p, named=["side"]
    )
    assert all("as all rows are" in stratum.reason for stratum in found.strata)


# --- a table of others --------------------------------------------------------------------------


def test_affairs_are_missed_where_they_happen() -> None:
    """A calibrated model's squared error is largest for the unhappy, whose outcome is open."""
    if not FAIR.exists():
        pytest.skip("make assets")
    table = pd.read_csv(FAIR)
    y = (table["affairs"] > 0).to_numpy().astype(int)
    x = scale(table[["rate_marriage", "age", "yrs_married", "religious"]].to_numpy(float))
    p = cross_val_predict(LogisticRegression(), x, y, cv=5, method="predict_proba")[:, 1]
    found = explain_failures(
        np.abs(p - y),
        {name: table[name] for name in ("rate_marriage", "religious", "educ")},
        table["occupation"],
        y=y,
        probability=p,
        named=["rate_marriage"],
        what="absolute error of the probability",
    )
    assert found.drivers[0].name == "rate_marriage"
    assert found.drivers[0].effect < 0
    assert found.drivers[0].q < 0.05
    whole = roc_auc_score(y, p)
    for stratum in found.strata:
        if stratum.column == "rate_marriage" and np.isfinite(stratum.value):
            # Its strongest predictor is fixed there, so that areas are lower throughout.
            assert stratum.expected < whole
            assert stratum.value < whole + 0.03


# --- promises -----------------------------------------------------------------------------------


def on_arrays(loss, group, block, y, probability, age, words, town) -> Failures:
    columns = {"age": age, "words": words, "town": town}
    return explain_failures(
        loss, columns, group, y=y, probability=probability, block=block, named=["town"]
    )


def rows(seed: int = 16, n: int = 400) -> dict:
    g = rng(seed)
    p = g.uniform(0.1, 0.9, n)
    y = (g.random(n) < p).astype(int)
    return {
        "loss": (p - y) ** 2,
        "group": g.integers(0, 4, n),
        "block": g.integers(0, 150, n),
        "y": y,
        "probability": p,
        "age": np.where(g.random(n) < 0.1, np.nan, g.normal(size=n)),
        "words": g.integers(5, 900, n),
        "town": g.choice(np.array(["x", "y", "z"], dtype=object), n),
    }


CHECKS = dict(measure_checks(on_arrays, rows()))


@pytest.mark.parametrize("name", CHECKS)
def test_conformance(name: str) -> None:
    CHECKS[name]()


def test_names_of_groups_do_not_matter() -> None:
    given = rows()
    renamed = given | {"group": np.array(["a", "b", "c", "d"], dtype=object)[given["group"]]}
    assert str(on_arrays(**given)) == str(on_arrays(**renamed))


def test_another_seed_changes_draws_and_not_what_is_told() -> None:
    found = explain_failures(**planted(0), seed=1)
    assert found != FOUND
    assert {driver.name for driver in found.drivers[:2]} == {"age", "words"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": np.zeros(240)}, "no row fails"),
        ({"loss": np.ones(240)}, "every row fails alike"),
        ({"loss": np.full(240, 0.3)}, "every row fails alike"),
        ({"group": np.zeros(240)}, "one group; at least 3 are needed"),
        ({"group": np.arange(240) % 2}, "2 groups; at least 3 are needed"),
    ],
)
def test_too_little_says_why(changes: dict, words: str) -> None:
    found = explain_failures(**(nothing(0) | changes))
    assert found.reason == words
    assert np.isnan([found.auc, found.low, found.high]).all()
    assert (found.drivers, found.rules, found.strata, found.groups) == ((), (), (), ())


@pytest.mark.parametrize("n", [0, 1, 99])
def test_few_rows_say_so(n: int) -> None:
    given = nothing(0)
    columns = {name: values[:n] for name, values in given["columns"].items()}
    found = explain_failures(given["loss"][:n], columns, given["group"][:n])
    assert found.reason == f"{n} rows; at least 100 are needed"


def test_no_column_or_none_that_varies_leaves_the_groups() -> None:
    given = nothing(0)
    for columns in ({}, {"same": np.ones(240)}, {"gone": np.full(240, np.nan)}):
        found = explain_failures(given["loss"], columns, given["group"])
        assert found.reason == "no column differs enough between the rows of a group"
        assert found.drivers == ()
        assert found.groups[0].name == "rows"


def test_groups_too_small_for_an_area_still_have_drivers() -> None:
    given = planted(4, n=400)
    given["group"] = np.arange(400) % 40
    found = explain_failures(**given)
    assert "0 of 40 groups have 10 rows that fail" in found.reason
    assert np.isnan([found.auc, found.drivers[0].importance]).all()
    assert {d.name for d in found.drivers if d.q < 0.05} >= {"words"}


def test_most_of_the_loss_at_its_largest_value() -> None:
    given = nothing(1)
    loss = np.where(given["loss"] == 1, 2.0, 5.0)
    found = explain_failures(loss, given["columns"], given["group"])
    assert "at least 5" in found.failing
    assert np.isfinite(found.auc)


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"loss": [[1.0]]}, "loss", "shape"),
        ({"loss": [0.1, None, 0.3]}, "loss", "misses 1"),
        ({"group": [0, 1]}, "group", "2 rows; expected 3"),
        ({"block": [0, 1]}, "block", "2 rows; expected 3"),
        ({"y": [0, 1, 2]}, "y", "0 and 1"),
        ({"probability": [0.1, 0.2, 0.3]}, "probability", "without y"),
        ({"y": [0, 1, 1], "probability": [0.1, 0.2, 3]}, "probability", "predict_proba"),
        ({"y": [0, 1, 1], "probability": [0.1, 0.2]}, "probability", "2 rows; expected 3"),
        ({"columns": {"a": [1, 2]}}, "columns['a']", "expected \\(3,\\)"),
        ({"columns": {"a": [1, 2, np.inf]}}, "columns['a']", "infinite"),
        (
            {"columns": {"a": np.array(["2024-01-01"] * 3, dtype="datetime64[D]")}},
            "columns['a']",
            "the weekday",
        ),
        ({"named": ["agee"]}, "named", "did you mean 'age'"),
        ({"categorical": ["b"]}, "categorical", "names 'b'"),
        ({"bins": 1}, "bins", "at least 2"),
        ({"least_rows": 0}, "least_rows", "at least 1"),
        ({"least_positives": 9}, "least_positives", "at least 10"),
        ({"permutations": 0}, "permutations", "at least 1"),
        ({"level": 1.5}, "level", "between 0 and 1"),
    ],
)
def test_bad_input(changes: dict, argument: str, words: str) -> None:
    given = {"loss": [0, 1, 0], "columns": {"age": [1, 2, 3]}, "group": [0, 1, 2]}
    with pytest.raises(InputError, match=words) as error:
        explain_failures(**(given | changes))
    assert error.value.argument == argument


def test_inputs_stay_as_they_are() -> None:
    given = planted(5, n=600)
    before = {name: values.copy() for name, values in given["columns"].items()}
    for values in given["columns"].values():
        values.flags.writeable = False
    explain_failures(**given)
    for name, values in given["columns"].items():
        assert replace_missing(values) == replace_missing(before[name])


def replace_missing(values: np.ndarray) -> list:
    return ["missing" if pd.isna(value) else value for value in values.tolist()]
