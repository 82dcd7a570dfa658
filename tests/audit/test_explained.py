"""What an audit adds to explain itself: shortcuts, stability, failures, pools of models."""

from __future__ import annotations

import fitted_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import elsewhere
from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport


def predictions(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Labels that are wrong more often for the old, at every site alike."""
    g = np.random.default_rng(seed)
    age = g.uniform(20, 90, n)
    y = g.integers(0, 2, n)
    wrong = g.random(n) < np.where(age > 60, 0.4, 0.1)
    site = np.array(list("ABCDEF"), dtype=object)[np.arange(n) % 6]
    return pd.DataFrame(
        {
            "y": y,
            "guess": np.where(wrong, 1 - y, y),
            "p": np.clip(np.where(wrong, 1 - y, y) * 0.6 + 0.2 + 0.05 * g.normal(size=n), 0, 1),
            "age": age,
            "noise": g.normal(size=n),
            "word": g.choice(["x", "y"], n),
            "site": site,
            "split": np.where(g.random(n) < 0.3, "train", "new"),
        }
    )


# --- where predictions fail --------------------------------------------------------------------


@pytest.mark.parametrize("role", ["prediction", "score"])
def test_columns_that_were_named_explain_where_predictions_fail(role):
    table = predictions()
    column = "guess" if role == "prediction" else "p"
    report = elsewhere.audit(
        table, target="y", group="site", feature=["age", "noise", "word"], **{role: column}
    )
    found = report.headline.failures
    assert found is not None
    assert found.reason == ""
    assert found.low > 0.55
    assert found.drivers[0].name == "age"
    assert found.drivers[0].q < 0.05
    assert all(each.q > 0.05 for each in found.drivers if each.name != "age")
    old = next(s for s in found.strata if s.column == "age")
    assert old.n_rows > 0
    without = elsewhere.audit(table, target="y", group="site", **{role: column})
    assert without.headline.failures is None
    assert "feature" not in without.settings
    assert report.gap == without.gap


def test_failures_are_those_of_the_rows_elsewhere():
    table = predictions()
    new = (table["split"] == "new").to_numpy()
    roles = {"target": "y", "prediction": "guess", "group": "site", "feature": "age"}
    both = elsewhere.audit(table, here="split==train", **roles).headline.failures
    alone = elsewhere.audit(table[new], **roles).headline.failures
    assert both is not None
    assert alone is not None
    assert both.drivers[0].effect == pytest.approx(alone.drivers[0].effect, rel=1e-6)


def test_losses_of_numbers_and_of_cut_scores():
    table = predictions()
    g = np.random.default_rng(1)
    table["amount"] = g.normal(size=len(table))
    table["guessed"] = table["amount"] + np.where(table["age"] > 60, 1.0, 0.2) * g.normal(
        size=len(table)
    )
    numbers = elsewhere.audit(
        table, target="amount", prediction="guessed", group="site", feature=["age", "noise"]
    )
    found = numbers.headline.failures
    assert found is not None
    assert found.loss == "absolute error"
    assert found.drivers[0].name == "age"
    cut = elsewhere.audit(
        table, target="y", score="p", metric="accuracy", group="site", feature="age"
    ).headline.failures
    assert cut is not None
    assert cut.loss == "error (0 or 1)"
    assert cut.drivers[0].q < 0.05


def test_scores_of_ones_own_fail_by_what_they_miss():
    table = predictions().assign(ideal=1)
    table["score"] = np.where(table["guess"] == table["y"], 0.75, 0.25)
    roles = {"target": "ideal", "prediction": "score", "metric": "mean", "group": "site"}
    found = elsewhere.audit(table, feature=["age", "noise"], **roles).headline.failures
    assert found is not None
    assert found.loss == "1 minus the score"
    assert found.drivers[0].name == "age"
    assert found.drivers[0].q < 0.05
    table["score"] *= 100
    assert elsewhere.audit(table, feature=["age"], **roles).headline.failures is None


def test_scores_without_a_loss_of_a_row_have_no_failures():
    table = predictions()
    table["logit"] = 10 * table["p"]
    report = elsewhere.audit(table, target="y", score="logit", group="site", feature="age")
    assert report.headline.failures is None


def test_infinite_values_count_as_missing():
    table = predictions(900)
    table.loc[::7, "age"] = np.inf
    report = elsewhere.audit(table, target="y", score="p", group="site", feature=["age", "noise"])
    assert report.headline.failures.reason == ""
    fitted = elsewhere.audit(
        table,
        target="y",
        group="site",
        estimator="linear",
        feature=["age", "noise"],
        folds=2,
        jobs=1,
        close=False,
    )
    assert {each.name for each in fitted.headline.failures.drivers} == {"age", "noise"}


@pytest.mark.parametrize(("feature", "words"), [("aeg", "'age'"), ("y", "names the target 'y'")])
def test_features_that_cannot_explain_are_refused(feature, words):
    with pytest.raises(InputError, match=f"--feature.*{words}"):
        elsewhere.audit(predictions(600), target="y", score="p", group="site", feature=feature)


# --- fitted models -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weather() -> GapReport:
    return elsewhere.audit(
        worlds.seasons(2400, effect=2.5),
        target="y",
        group="month",
        block="visit",
        estimator="boosting",
        feature=["a", "b", "month", "day"],
        duplicates="ignore",
        folds=3,
        close=False,
        jobs=1,
    )


def test_shortcuts_of_fits_are_flagged_and_real_features_are_not(weather):
    found = weather.headline.shortcuts
    assert found is not None
    assert found.what == "permutation importance"
    flagged = {row.feature for row in found.rows if row.shortcut}
    assert "day" in flagged
    assert flagged <= {"month", "day"}
    assert found.n == len(flagged)


def test_stability_of_numeric_features(weather):
    found = weather.headline.stability
    assert found is not None
    assert {row.feature for row in found.rows} == {"a", "b", "day"}  # month makes the groups
    shares = {row.feature: row.share for row in found.rows}
    assert all(0 < share < 0.5 for share in shares.values())
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_failures_of_fits_are_foreseen_by_their_features(weather):
    found = weather.headline.failures
    assert found is not None
    assert "month" not in {each.name for each in found.drivers}
    assert found.loss == "squared error of the probability"


def test_two_groups_say_why_there_are_no_shortcuts():
    table = worlds.table("null", n=600)
    table = table[table["site"].isin(["A", "B"])].reset_index(drop=True)
    report = elsewhere.audit(
        table, target="y", group="site", estimator="linear", folds=2, jobs=1, labels=10
    )
    assert report.headline.shortcuts.rows == ()
    assert "fewer than three groups" in report.headline.shortcuts.reason
    assert report.headline.failures.reason
    dropped = next(
        a for a in report.headline.closing.attempts if a.name == "drop shortcut features"
    )
    assert dropped.reason == "too few groups to tell"


# --- pools of models ---------------------------------------------------------------------------


def pool(n_models: int = 6) -> pd.DataFrame:
    """Models of growing quality; site C gains half as much of it."""
    g = np.random.default_rng(0)
    n = 6000
    y, site = g.integers(0, 2, n), np.array(list("ABC"), dtype=object)[np.arange(n) % 3]
    table = pd.DataFrame({"y": y, "site": site, "split": np.where(g.random(n) < 0.5, "a", "b")})
    for k in range(n_models):
        pull = (0.4 + 0.4 * k) * np.where(site == "C", 0.5, 1.0)
        table[f"m{k}"] = 1 / (1 + np.exp(-(pull * (2 * y - 1) + g.normal(size=n))))
    return table


def test_five_models_or_more_have_slopes():
    table = pool()
    names = [f"m{k}" for k in range(6)]
    report = elsewhere.audit(
        table, target="y", score=names, metric="accuracy", group="site", pair=("A", "C")
    )
    found = report.pool
    assert found is not None
    rates = {slope.name: slope.value for slope in found.rates}
    assert set(rates) == {"A", "B", "C"}
    scores = {
        s: [((table[m] > 0.5) == table["y"])[table["site"] == s].mean() for m in names]
        for s in "ABC"
    }
    here = np.mean([scores[s] for s in "ABC"], axis=0)
    for s in "ABC":
        assert rates[s] == pytest.approx(np.polyfit(here, scores[s], 1)[0], rel=1e-9)
    assert np.mean(list(rates.values())) == pytest.approx(1)
    assert rates["C"] < min(rates["A"], rates["B"])
    assert found.disparity.logit_low > 0
    assert found.disparity.value == pytest.approx(rates["A"] - rates["C"], rel=1e-9)
    assert GapReport.from_json(report.to_json()).to_json() == report.to_json()


def test_two_sides_follow_the_score_elsewhere():
    table = pool()
    names = [f"m{k}" for k in range(6)]
    report = elsewhere.audit(table, target="y", score=names, group="site", here="split==a")
    found = report.pool
    assert found is not None
    assert [slope.name for slope in found.rates] == ["elsewhere by site"]
    new = table[table["split"] == "b"]
    first = [
        np.mean([roc_auc_score(part["y"], part[m]) for _, part in new.groupby("site")])
        for m in names
    ]
    assert [model.scores[0] for model in found.models] == pytest.approx(first)


def test_losses_count_with_their_sign_turned():
    table = pool()
    names = [f"m{k}" for k in range(5)]
    report = elsewhere.audit(table, target="y", score=names, metric="brier_score", group="site")
    found = report.pool
    assert found is not None
    assert found.models[0].here < found.models[-1].here < 0
    assert found.here.startswith("minus ")


def test_fewer_than_five_models_have_no_slopes():
    table = pool()
    report = elsewhere.audit(table, target="y", score=["m0", "m1", "m2", "m3"], group="site")
    assert report.pool is None
