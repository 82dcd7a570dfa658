"""Audits that fit models: matched designs, sealed labels, planted shifts, odd estimators."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import fitted_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier

import elsewhere
from elsewhere.audit.designs import Plan, make_plan
from elsewhere.audit.estimators import make_recipe
from elsewhere.audit.fitting import Variant, run
from elsewhere.audit.ground import Ground, prepare
from elsewhere.audit.question import Options
from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport

if TYPE_CHECKING:
    from pathlib import Path


def patients(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """Patients with three visits each at six sites, over time; the patient is a shortcut."""
    g = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n // 3), 3)
    site = np.array(worlds.SITES, dtype=object)[patient % 6]
    habit = g.normal(size=n // 3)[patient]
    x = g.normal(size=(n, 3))
    y = (x[:, 0] + 4 * habit + 0.5 * g.normal(size=n) > 0).astype(int)
    when = pd.date_range("2020-01-01", periods=n, freq="12h")[g.permutation(n)]
    return pd.DataFrame(x, columns=list("abc")).assign(
        patient=patient, mark=g.random(n // 3)[patient], site=site, when=when, y=y
    )


def audit(table: pd.DataFrame, **options) -> GapReport:
    """Audit with small defaults."""
    return elsewhere.audit(
        table,
        **{
            "target": "y",
            "group": "site",
            "estimator": "linear",
            "jobs": 1,
            "explain": False,
            "close": False,
            **options,
        },
    )


def planned(table: pd.DataFrame, **options) -> tuple[Ground, Plan]:
    """Prepare a table and list its fits."""
    folds = options.pop("folds", 5)
    merge = options.pop("merge", None)
    ground = prepare(table, Options("y", estimator="linear", group="site", **options))
    return ground, make_plan(ground, folds=folds, merge=merge, seed=0)


# --- designs -----------------------------------------------------------------------------------


def test_sides_are_the_same_rows_under_models_of_equally_many_rows():
    ground, plan = planned(patients(), block="patient", time="when")
    size = plan.unseen[0][0].size
    for family in plan.unseen[0]:
        for f in family.fits:
            assert len(plan.fits[f].train) == family.size == size
    for f in (*plan.block[size], *plan.random[size]):
        assert len(plan.fits[f].train) == size
    for f in plan.later.fits:
        assert len(plan.fits[f].train) == plan.later.size
    tested = np.concatenate([plan.fits[f].test for f in plan.block[size]])
    assert np.array_equal(np.sort(tested), np.arange(ground.n))


def test_blocks_and_groups_stay_out_of_training():
    ground, plan = planned(patients(), block="patient", time="when")
    site, block = ground.groupings[0].coded.codes, ground.block
    for family in plan.unseen[0]:
        fit = plan.fits[family.study]
        assert not set(site[fit.train]) & set(family.groups)
        assert not set(block[fit.train]) & set(block[fit.test])
        assert not set(block[family.own]) & set(block[family.others])
        assert set(site[family.own]) <= set(family.groups)
    for f in (*plan.block[plan.unseen[0][0].size], *plan.later.fits):
        fit = plan.fits[f]
        assert not set(block[fit.train]) & set(block[fit.test])
    moment = ground.time.coded.codes
    for f in plan.later.fits:
        assert moment[plan.fits[f].train].max() < moment[plan.fits[f].test].min()
    for g, f in plan.one[0]:
        assert set(site[plan.fits[f].train]) == {g}
        assert set(site[plan.fits[f].test]) == set(range(6))


def test_blocks_that_span_groups_are_crossed():
    table = patients()
    table["site"] = np.array(worlds.SITES, dtype=object)[np.arange(len(table)) % 6]
    ground, plan = planned(table, block="patient")
    site, block = ground.groupings[0].coded.codes, ground.block
    assert any("span the groups" in note for note in plan.notes)
    for family in plan.unseen[0]:
        tested = np.concatenate([plan.fits[f].test[np.isin(
            site[plan.fits[f].test], family.groups)] for f in family.fits])  # fmt: skip
        assert np.array_equal(np.sort(tested), np.flatnonzero(np.isin(site, family.groups)))
        for f in family.fits:
            fit = plan.fits[f]
            assert not set(site[fit.train]) & set(family.groups)
            assert not set(block[fit.train]) & set(block[fit.test])


def test_many_groups_are_left_out_in_folds_and_families_together():
    g = np.random.default_rng(0)
    table = patients(2400)
    table["site"] = g.integers(0, 60, len(table))
    _, plan = planned(table)
    assert len(plan.unseen[0]) == 24
    _, plan = planned(patients(), merge={"A": "one", "B": "one"})
    assert sorted(len(family.groups) for family in plan.unseen[0]) == [1, 1, 1, 1, 2]


def test_a_giant_group_does_not_shrink_the_others():
    table = patients(1800)
    table["site"] = np.where(np.arange(1800) < 1300, "giant", table["site"])
    _, plan = planned(table)
    sizes = {family.groups: family.size for family in plan.unseen[0]}
    assert len(set(sizes.values())) == 2
    assert max(sizes.values()) > 1000 > 600 > min(sizes.values())


def test_a_group_that_leaves_one_class_is_named():
    table = patients()
    table["site"] = np.where(table["site"] < "D", "A", "B")
    table.loc[table["site"] == "B", "y"] = 0
    with pytest.raises(InputError, match="has its classes in a single site"):
        audit(table)


# --- reports -----------------------------------------------------------------------------------


def test_the_ladder_shows_what_random_rows_hide():
    forest = RandomForestClassifier(30)
    report = audit(
        patients(), block="patient", time="when", estimator=forest, feature=["a", "mark"]
    )
    names = [rung.name for rung in report.models[0].ladder]
    assert names == ["random rows", "unseen patient", "unseen site", "later"]
    random, block, group, _ = report.models[0].ladder
    assert random.gap.estimate == random.gap.low == random.gap.high == 0
    assert block.gap.here == pytest.approx(random.gap.elsewhere)
    assert block.gap.low > 0.02  # the mark names the patient, and visits of one patient are alike
    assert abs(group.gap.elsewhere - block.gap.elsewhere) < 0.08
    assert [g.name for g in report.models[0].groupings] == ["site", "when"]
    assert report.fits.rows["random rows"] == report.fits.rows["unseen site"]


def test_without_a_shortcut_is_compared_on_every_rung():
    forest = RandomForestClassifier(30)
    report = audit(
        patients(), block="patient", estimator=forest, feature=["a", "mark"], without=["mark"]
    )
    name = "RandomForestClassifier"
    assert [m.name for m in report.models] == [name, f"{name} without mark"]
    rungs = {c.rung: c for c in report.comparisons}
    assert set(rungs) == {"random rows", "unseen patient", "unseen site"}
    assert rungs["random rows"].low > 0
    first, second = (model.ladder[0].gap.elsewhere for model in report.models)
    assert rungs["random rows"].estimate == pytest.approx(first - second)


def test_any_number_of_workers_gives_the_same_bytes():
    table = worlds.table("y given x", 600)
    one = audit(table, jobs=1, explain=True)
    two = audit(table, jobs=2, explain=True)
    assert one.to_json() == two.to_json()
    assert GapReport.from_json(one.to_json()).to_json() == one.to_json()


def test_finished_fits_are_kept_and_found_again(tmp_path: Path):
    table, steps = worlds.table("null", 300), []
    first = audit(table, keep=tmp_path, on_step=lambda *s: steps.append(s[2]))
    files = sorted(tmp_path.iterdir())
    assert len(files) == first.fits.n
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:50])  # cut off: fitted again
    steps.clear()
    again = audit(table, keep=tmp_path, on_step=lambda *s: steps.append(s[2]))
    assert again.to_json() == first.to_json()
    assert f"{first.fits.n - 2} fits were kept from an earlier run" in steps
    steps.clear()
    audit(table, keep=tmp_path, seed=1, on_step=lambda *s: steps.append(s[2]))
    assert not any("kept from" in step for step in steps)


def test_an_interrupted_run_goes_on(tmp_path: Path):
    table = worlds.table("null", 300)

    def stop(done: int, total: int, what: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(table, keep=tmp_path, on_step=stop)
    assert len(list(tmp_path.iterdir())) == 7
    assert audit(table, keep=tmp_path).to_json() == audit(table).to_json()


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        ({"estimator": RandomForestClassifier(5)}, "roc_auc"),
        ({"estimator": RidgeClassifier()}, "roc_auc"),
        ({"estimator": RidgeClassifier(), "metric": "accuracy"}, "accuracy"),
        ({"metric": "log_loss"}, "log_loss"),
        ({"metric": "f1"}, "f1"),
        ({"target": "a", "estimator": Ridge()}, "mean_absolute_error"),
        ({"target": "a", "metric": "r2"}, "r2"),
    ],
)
def test_estimators_and_metrics(options, metric):
    table = worlds.table("null", 480)
    report = audit(table, **options)
    assert report.metric == metric
    assert np.isfinite(report.gap.estimate)
    assert report.models[0].groupings[0].transfer is None


def test_several_classes_and_numbers_on_outside_tables():
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "y"})
    wine["site"] = np.where(wine["alcohol"] > wine["alcohol"].median(), "strong", "light")
    report = audit(wine, metric="accuracy", ignore="alcohol")
    assert 0.8 < report.gap.here <= 1
    diabetes = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "y"})
    diabetes["site"] = (diabetes["age"] // 20).astype(int)
    report = audit(diabetes, metric="mean_absolute_error")
    assert not report.greater_is_better
    assert 35 < report.gap.here < 55


def test_features_are_all_columns_without_a_role():
    table = patients()
    report = audit(table, block="patient")
    assert report.fits.features == ("a", "b", "c", "mark", "when")
    report = audit(table, block="patient", feature=["a", "site"])
    assert report.fits.features == ("a", "site")
    report = audit(table, ignore=["m*", "when"])
    assert report.fits.features == ("a", "b", "c", "patient")


def test_time_alone_makes_its_periods_the_groups():
    report = elsewhere.audit(
        patients(), target="y", time="when", estimator="linear", explain=False, close=False, jobs=1
    )
    assert [g.ordered for g in report.models[0].groupings] == [False, True]
    names = [rung.name for rung in report.models[0].ladder]
    assert names == ["random rows", "unseen when", "later"]


def test_decisions_of_several_classes():
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "y"})
    wine["site"] = np.where(wine["alcohol"] > wine["alcohol"].median(), "strong", "light")
    report = audit(wine, estimator=RidgeClassifier())
    assert report.metric == "accuracy"
    assert report.gap.here > 0.8


def test_the_metric_says_what_whole_numbers_are():
    report = audit(worlds.table("null", 300), metric="mean_squared_error")
    assert not report.greater_is_better
    assert 0.05 < report.gap.here < 0.25


def test_text_dates_missing_values_and_unseen_words():
    table = worlds.table("null", 480)
    g = np.random.default_rng(0)
    table["word"] = g.choice(["red", "blue", None], len(table))
    table.loc[table["site"] == "A", "word"] = "only here"
    table["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(g.integers(0, 99, 480), "D")
    table.loc[::7, "a"] = np.nan
    for estimator in ("linear", "boosting"):
        report = audit(table, estimator=estimator)
        assert np.isfinite(report.gap.estimate)


def test_copies_in_other_groups_are_reported_and_can_be_kept_together():
    table = worlds.table("null", 480)
    table.loc[100:109, list("abcdy")] = table.loc[400:409, list("abcdy")].to_numpy()
    report = audit(table)
    note = next(note for note in report.notes if "exact copy" in note)
    assert note.startswith("20 rows have an exact copy (all features) in another")
    kept = audit(table, duplicates="block")
    assert any("copies were kept together" in note for note in kept.notes)
    assert any("unseen block" in rung.name for rung in kept.models[0].ladder)


def test_texts_that_are_nearly_the_same_are_reported():
    table = worlds.table("null", 120)
    g = np.random.default_rng(0)
    words = ["".join(g.choice(list("abcdefgh"), 6)) for _ in range(300)]
    table["text"] = [" ".join(g.choice(words, 12)) for _ in range(len(table))]
    table.loc[110, "text"] = table.loc[5, "text"] + "!"
    report = audit(table, feature=[*list("abcd"), "text"])
    assert any(
        note.startswith("2 rows have nearly the same text in column 'text' in another site")
        for note in report.notes
    )


def test_a_second_grouping_without_models_is_left_out_with_a_reason():
    report = audit(patients(), group=["site", "patient"], block="patient")
    assert [g.name for g in report.models[0].groupings] == ["site"]
    assert any("its rows are one block" in note for note in report.notes)


def test_a_baseline_and_a_pair():
    table = worlds.table("y given x", 600)
    first = audit(table, feature=["a"], pair=("A", "B"))
    assert first.headline.pairs[0].estimate > 0.1
    second = audit(table, baseline=first)
    assert second.change.pairing
    assert np.isfinite(second.change.estimate)


# --- the seal ----------------------------------------------------------------------------------


def test_labels_of_elsewhere_change_no_model_and_no_forecast():
    """Permuting a group's labels leaves all models that must not see them bit-identical."""
    table = worlds.table("y given x", 600)
    g = np.random.default_rng(1)
    changed = table.copy()
    rows = np.flatnonzero(table["site"] == "B")
    changed.loc[rows, "y"] = g.permutation(table.loc[rows, "y"].to_numpy())
    assert not changed["y"].equals(table["y"])
    found = []
    for each in (table, changed):
        ground, plan = planned(each)
        recipe = make_recipe("boosting", ground.kind, len(ground.classes))
        family = next(f for f in plan.unseen[0] if 1 in f.groups)
        kept = [*family.fits, *family.halves]
        some = replace(plan, fits=tuple(plan.fits[f] for f in kept))
        variants = (Variant("all", ground.features),)
        fitted = run(ground, some, recipe, variants, jobs=1, seed=0, on_step=lambda *_: None)
        found.append([fitted[0].of(i).tobytes() for i in range(len(kept))])
    assert found[0] == found[1]
    reports = [audit(each, explain=True) for each in (table, changed)]
    forecasts = [
        {f.method: next(r.forecast for r in f.rows if r.key[0][1] == "B") for f in
         report.headline.forecasts}
        for report in reports
    ]  # fmt: skip
    assert len(forecasts[0]) >= 6
    assert forecasts[0] == forecasts[1]


def test_the_plan_does_not_depend_on_which_row_has_which_label():
    table = worlds.table("null", 600)
    changed = table.assign(y=np.random.default_rng(3).permutation(table["y"].to_numpy()))
    _, one = planned(table)
    _, two = planned(changed)
    for a, b in zip(one.fits, two.fits, strict=True):
        assert np.array_equal(a.train, b.train)
        assert np.array_equal(a.test, b.test)


# --- planted shifts ----------------------------------------------------------------------------


def test_no_shift_is_no_gap():
    report = audit(worlds.table("null", 2400), negligible=0.02, explain=True)
    assert report.answer == "no gap"
    for why in report.headline.decompositions:
        assert why.auc_low <= 0.5


def explained(kind: str, part: str, seed: int = 0) -> None:
    """Check that both shifted sites are worse and that one part makes at least 80 % of it."""
    report = audit(
        worlds.table(kind, 9600, seed), estimator="boosting", metric="brier_score", explain=True
    )
    shifted = [d for d in report.headline.decompositions if d.key[0][1] in worlds.SHIFTED]
    assert len(shifted) == 2
    assert all(why.total.low > 0 for why in shifted)
    made = sum(p.estimate for why in shifted for p in why.parts if p.name == part)
    assert made / sum(why.total.estimate for why in shifted) > 0.8, shifted


def test_a_shift_of_y_given_x_is_found_and_named():
    table = worlds.table("y given x", 2400)
    report = audit(table, estimator="boosting", feature=[*"abcd", "site"], explain=True)
    by_size = sorted(report.headline.rows, key=lambda row: -row.gap)
    assert {row.key[0][1] for row in by_size[:2]} == set(worlds.SHIFTED)
    assert all(row.joint_low > 0 for row in by_size[:2])
    assert all(row.joint_low <= 0 for row in by_size[2:])
    assert sorted(report.headline.transfer.cluster) == [0, 0, 1, 1, 1, 1]
    worse = {d.key[0][1] for d in report.headline.decompositions if d.total.low > 0}
    assert worse == set(worlds.SHIFTED)
    explained("y given x", "shift of y given x")


def test_covariate_shift_is_found_and_named():
    explained("covariate", "covariate shift")


def test_label_shift_is_found_and_named():
    explained("label", "label shift")


@pytest.mark.long
def test_no_gap_in_at_least_95_of_100_tables_without_a_shift():
    answers = [
        audit(worlds.table("null", 2400, seed), negligible=0.02, seed=seed).answer
        for seed in range(100)
    ]
    assert answers.count("no gap") >= 95, answers


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 10))
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("y given x", "shift of y given x"),
        ("covariate", "covariate shift"),
        ("label", "label shift"),
    ],
)
def test_planted_shifts_are_named_on_other_seeds(kind, part, seed):
    explained(kind, part, seed)


# --- bad input ---------------------------------------------------------------------------------


class Odd(ClassifierMixin, BaseEstimator):
    """An estimator that goes wrong in one way."""

    def __init__(self, way: str = "") -> None:
        self.way = way

    def fit(self, X, y):
        """Fit, or raise."""
        if self.way == "raises":
            raise RuntimeError("no such column: zeta\nmore words")
        if self.way == "writes":
            X.iloc[:, 0] = 0.0
            y[:] = 0
        self.classes_ = np.unique(y)
        self.model_ = LogisticRegression().fit(X[["a", "b"]], y)
        return self

    def predict(self, X):
        """Predict classes."""
        return self.model_.predict(X[["a", "b"]])

    def predict_proba(self, X):
        """Predict probabilities, or something else."""
        found = self.model_.predict_proba(X[["a", "b"]])
        if self.way == "nan":
            found[3] = np.nan
        if self.way == "short":
            found = found[:-1]
        if self.way == "text":
            found = found.astype(str).astype(object)
            found[0, 0] = "high"
        return found


class Plain(BaseEstimator):
    """An estimator that only predicts classes."""

    def fit(self, X, y):
        """Remember the first column's mean."""
        self.cut_ = float(np.mean(X.iloc[:, 0]))
        return self

    def predict(self, X):
        """Predict by the first column."""
        return (X.iloc[:, 0].to_numpy() > self.cut_).astype(int)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("raises", r"Odd raised RuntimeError: no such column: zeta \(a trial fit on few rows"),
        ("nan", "predict_proba values hold 2 NaN or infinite values"),
        ("short", "predict_proba values have shape"),
        ("text", "predict_proba values are no numbers"),
    ],
)
def test_estimators_that_go_wrong(way, words):
    with pytest.raises(InputError, match=words) as raised:
        audit(worlds.table("null", 300), estimator=Odd(way))
    assert raised.value.argument == "--estimator"
    assert raised.value.expected


def test_an_estimator_that_writes_to_its_input_hurts_only_itself():
    class Writes(Odd):
        def fit(self, X, y):
            super().fit(X, y)
            X.iloc[:, 0] = 0.0
            y[:] = 0
            return self

    table = worlds.table("null", 300)
    before = table.copy()
    assert (
        audit(table, estimator=Writes()).to_json().replace("Writes", "Odd")
        == audit(table, estimator=Odd()).to_json()
    )
    assert table.equals(before)


def test_without_probabilities_the_metric_is_accuracy():
    report = audit(worlds.table("null", 300), estimator=Plain())
    assert report.metric == "accuracy"
    with pytest.raises(InputError, match="Plain has no predict_proba, which metric roc_auc needs"):
        audit(worlds.table("null", 300), estimator=Plain(), metric="roc_auc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "boostin"}, "did you mean 'boosting'"),
        ({"estimator": "no_such_module:thing"}, "cannot be imported"),
        ({"estimator": "json:lodas"}, "'json' has no 'lodas'.*did you mean 'loads'"),
        ({"estimator": "json:"}, "expected boosting, linear, or module:object"),
        ({"estimator": 3}, "has no method 'fit'"),
        ({"estimator": LogisticRegression}, None),
        ({"estimator": "sklearn.linear_model:Ridge", "target": "word2"}, "Ridge is for numbers"),
        ({"score": "a"}, "together with --estimator"),
        ({"feature": "zz"}, "names column 'zz'"),
        ({"feature": "y"}, "names the target"),
        ({"ignore": [*"abcd", "word*", "same"]}, "leaves no column to learn from"),
        ({"without": list("abcd"), "feature": list("abcd")}, "leaves no feature"),
        ({"without": "site"}, "which is no feature"),
        ({"target": "word2", "metric": "mean_absolute_error"}, "judges numbers"),
        ({"block": "site"}, "its rows are one block"),
        ({"target": "a", "metric": "roc_auc"}, "judges classes"),
        ({"folds": 1}, "--folds is 1"),
        ({"merge": {"A": "x", "B": "x", "C": "x", "D": "x", "E": "x", "F": "x"}}, "single family"),
        ({"merge": {"Q": "x"}}, "'Q', which is no group"),
        ({"time": "word"}, "cannot be read as dates"),
        ({"block": "same"}, "single value"),
    ],
)
def test_bad_options(options, words):
    table = worlds.table("null", 300).assign(word="soon", same=1)
    table["word2"] = np.where(table["a"] > 0, "up", "down")
    if words is None:
        assert np.isfinite(audit(table, ignore=["word*"], **options).gap.estimate)
        return
    with pytest.raises(InputError, match=words):
        audit(table, **options)


def test_fewer_rows_than_folds_and_tiny_groups():
    with pytest.raises(InputError, match="has 12 rows; expected at least 40"):
        audit(worlds.table("null", 12))
    table = worlds.table("null", 600)
    table.loc[:2, "site"] = "tiny"
    report = audit(table)
    row = next(r for r in report.headline.rows if r.key[0][1] == "tiny")
    assert np.isnan(row.gap)
    assert row.reason


def test_options_that_need_an_estimator():
    table = worlds.table("null", 60)
    for option in (
        {"without": "a"},
        {"merge": {"A": "x"}},
        {"keep": "somewhere"},
        {"folds": 4},
        {"duplicates": "block"},
        {"explain": False},
    ):
        with pytest.raises(InputError, match="without --estimator"):
            elsewhere.audit(table, target="y", prediction="a", group="site", **option)


def test_json_holds_the_new_parts():
    table = worlds.table("y given x", 600)
    report = audit(table.assign(y=np.where(table["y"] == 1, "yes", "no")), explain=True)
    found = json.loads(report.to_json())
    grouping = found["models"][0]["groupings"][0]
    assert len(grouping["decompositions"]) == 6
    assert [name for name, *_ in grouping["decompositions"][0]["classes"]] == ["no", "yes"]
    assert {"no change", "difference of confidences"} <= {
        f["method"] for f in grouping["forecasts"]
    }
    assert found["fits"]["estimator"] == "linear"
