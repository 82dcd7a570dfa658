"""What closes a gap: planted and null tables, sealed labels, prices, words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import fitted_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB

import elsewhere
from elsewhere.audit.adapting import Adapting, design_of
from elsewhere.audit.attempts import CloseOptions, counted
from elsewhere.audit.closing import answered, refit_noise, share
from elsewhere.audit.designs import make_plan
from elsewhere.audit.estimators import make_recipe, resolve
from elsewhere.audit.fitting import Variant, run
from elsewhere.audit.ground import prepare
from elsewhere.audit.judge import Judge, Laid, known
from elsewhere.audit.question import Options
from elsewhere.audit.retraining import closing_fits, retrain, training_of
from elsewhere.audit.treatments import (
    SETTINGS,
    Importances,
    Training,
    Treatment,
    control,
    drop_group_names,
    importances,
    indicators,
    inside_of,
    suspected,
)
from elsewhere.core.errors import InputError
from elsewhere.core.gap_report import GapReport

if TYPE_CHECKING:
    from elsewhere.core.closing import Attempt, Closing


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
            "labels": 60,
            "folds": 3,
            **options,
        },
    )


def closing(report: GapReport) -> Closing:
    found = report.headline.closing
    assert found is not None
    return found


def attempts(report: GapReport) -> dict[tuple[str, str], Attempt]:
    return {(each.name, each.tested): each for each in closing(report).attempts}


def small() -> pd.DataFrame:
    """Three sites of 80 rows; labels are turned round in one."""
    table = worlds.table("y given x", n=480)
    return table[table["site"].isin(["A", "B", "C"])].reset_index(drop=True)


def silent(done: int, total: int, what: str) -> None:
    """Show no progress."""


def world(
    table: pd.DataFrame, *, estimator="linear", labels: int = 60, keep=None, **options
) -> tuple[Laid, object, object, CloseOptions]:
    """Everything that remedies work on."""
    ground = prepare(table, Options("y", estimator=resolve(estimator), **options))
    recipe = make_recipe(resolve(estimator), ground.kind, len(ground.classes))
    plan = make_plan(ground, folds=3, explain=False, seed=0)
    variants = (Variant(recipe.name, ground.features),)
    (fitted,) = run(ground, plan, recipe, variants, jobs=1, seed=0, on_step=silent)
    judge = Judge(ground.question.metric, ground.kind, recipe.how, ground.classes, None)
    how = CloseOptions(labels, 0.0, 0.95, 0, 1, keep, None, silent)
    return Laid(ground, plan, judge), recipe, fitted, how


def rows_of(laid: Laid, fitted) -> tuple[np.ndarray, np.ndarray]:
    return laid.seen(fitted, 0, laid.plan.block), laid.unseen(fitted, 0)


# --- planted and null tables -------------------------------------------------------------------


@pytest.fixture(scope="module")
def flipped() -> GapReport:
    """Two of six sites have y given x turned round; their own rows can tell."""
    return audit(worlds.table("y given x", n=1500))


def test_labelled_rows_close_a_gap_that_no_training_here_can(flipped):
    assert closing(flipped).answer == "helps"
    local = attempts(flipped)["local adaptation", "other rows"]
    assert local.low > 0
    assert 0 < local.closed_low < local.closed < local.closed_high
    assert local.labels == 60
    assert np.isnan(local.here_change)  # every site gets a model of its own
    assert closing(flipped).best in closing(flipped).sentence
    for name in ("group weights", "balanced refit", "drop features that name the group"):
        assert attempts(flipped)[name, "all rows"].high < local.low, name


def test_before_after_and_gain_fit_together(flipped):
    for each in closing(flipped).attempts:
        if not each.reason:
            assert each.after - each.before == pytest.approx(each.gain, abs=1e-12)
            assert each.low <= each.gain <= each.high
            gap = each.gain / each.closed if each.closed else np.nan
            assert np.isnan(gap) or gap > 0


def test_attempts_are_ordered_and_those_not_tried_say_why(flipped, weather):
    done = [each for each in closing(flipped).attempts if not each.reason]
    free = [each.gain for each in done if each.needs == "no labels"]
    assert free == sorted(free, reverse=True)
    assert [each.needs for each in done] == sorted((e.needs for e in done), reverse=True)
    assert len(done) == len(closing(flipped).attempts) == 11
    last = closing(weather).attempts[-3:]
    assert {each.name for each in last} == {
        "group identity as a feature",
        "group weights",
        "GroupDRO",
    }
    assert all(each.reason and np.isnan(each.gain) for each in last)


def test_recalibration_may_turn_an_order_round(flipped):
    turned = attempts(flipped)["recalibration", "other rows"]
    assert turned.low > 0  # the labels of two sites are turned round


def test_the_report_reads_itself_back(flipped):
    assert GapReport.from_json(flipped.to_json()).to_json() == flipped.to_json()
    found = json.loads(flipped.to_json())["models"][0]["groupings"][0]["closing"]
    assert found["answer"] == "helps"


@pytest.fixture(scope="module")
def null() -> GapReport:
    """Six sites that do not differ."""
    return audit(worlds.table("null", n=900, seed=1))


def test_a_table_without_shift_has_nothing_to_close(null):
    found = closing(null)
    assert found.answer == "nothing to close"
    assert found.sentence.startswith("Nothing to close: the gap is ")
    assert "would be" in found.sentence
    assert all(np.isnan(each.closed) for each in found.attempts)
    assert found.best == ""


def test_answers_in_words(flipped, null):
    gap, tried = null.gap, closing(flipped).attempts

    def said(tried, gap, negligible=0.0) -> Closing:
        return answered(tuple(tried), gap, negligible=negligible, level=0.95)

    below = said((), replace(gap, low=-0.01, high=0.02), 0.05)
    assert (below.answer, below.best) == ("nothing to close", "")
    assert below.sentence.endswith("below 0.05.")
    better = said((), replace(gap, estimate=-0.05, low=-0.06, high=-0.04))
    assert better.sentence.endswith("[-0.060, -0.040], below 0.")
    none = said((), replace(gap, estimate=np.nan, low=np.nan, high=np.nan, reason="no rows"))
    assert none.sentence == "Nothing to close: there is no gap (no rows)."
    yet = said(tried, gap)
    assert yet.answer == "nothing to close"
    assert " Yet with “" in yet.sentence
    useless = [
        each if each.reason else replace(each, gain=-0.01, low=-0.02, high=0.003) for each in tried
    ]
    nothing = said(useless, flipped.gap)
    assert (nothing.answer, nothing.best) == ("nothing helps", "")
    assert "none of 11 remedies is clearly better elsewhere" in nothing.sentence
    assert "loses 0.010 [-0.003, 0.020]" in nothing.sentence
    one = said(useless[:1], flipped.gap).sentence
    assert "the one remedy tried is not clearly better elsewhere" in one
    assert said((), flipped.gap).sentence == "Nothing helps: no remedy could be tried."
    still = [replace(each, gain=0.0, low=0.0, high=0.0) for each in tried[:2]]
    assert said(still, flipped.gap).sentence.endswith("None changes a prediction.")
    free = replace(tried[0], gain=0.02, low=0.01, high=0.03, closed=0.5, closed_low=0.2)
    free = replace(free, closed_high=0.9, here_change=-0.1, chosen="month, day")
    labelled = next(each for each in tried if each.name == "local adaptation")
    assert "with 60 labelled rows of each group." in said([labelled], flipped.gap).sentence
    all_of_it = replace(labelled, closed=2.0, closed_low=1.5, closed_high=2.5)
    text = said([all_of_it], flipped.gap).sentence
    assert "closes all of the gap (200 % [150, 250])" in text
    both = said([replace(free, gain=0.01, low=0.005), all_of_it], flipped.gap).sentence
    assert both.index(free.name) < both.index("local adaptation")
    even = said([replace(free, here_change=-0.0001)], flipped.gap).sentence
    assert even.endswith("of the gap, and changes nothing here.")
    uneven = said([replace(free, chosen="a (2 of 3 fits), b (1)")], flipped.gap).sentence
    assert uneven.startswith(f"“{free.name}” closes")
    helps = said((free,), flipped.gap)
    assert helps.answer == "helps"
    assert f"“{free.name}” (month, day) closes 50 % [20, 90] of the gap, and costs 0.100 here." == (
        helps.sentence
    )


@pytest.fixture(scope="module")
def weather() -> GapReport:
    """Month and day name a day's weather: worth a lot here, nothing in another month."""
    return audit(
        worlds.seasons(1800, effect=2.5),
        group="month",
        block="visit",
        estimator="boosting",
        feature=["a", "b", "month", "day"],
        duplicates="ignore",
    )


def test_shortcuts_are_found_by_groups_left_out_here_and_have_a_price(weather):
    assert weather.gap.low > 0
    dropped = attempts(weather)["drop shortcut features", "all rows"]
    assert "day" in dropped.chosen
    assert dropped.here_high < 0  # its price: what the shortcut was worth here
    assert dropped.fits > 0
    naming = attempts(weather)["drop features that name the group", "all rows"]
    assert naming.chosen == "month"
    assert "hold the group already" in attempts(weather)["group identity as a feature", ""].reason
    assert ("local adaptation", "other rows") in attempts(weather)


def test_limits_hold_what_refitting_alone_does():
    laid, recipe, fitted, how = world(small(), group="site")
    _here, unseen = rows_of(laid, fitted)
    tried, controls, _ = retrain(laid, recipe, fitted, how)
    assert len(controls) == 2
    assert {"control 1", "control 2"}.isdisjoint(each.name for each in tried)
    noise, freedom = refit_noise(laid, [(each.unseen, unseen) for each in controls])
    assert freedom == 6
    site, y = laid.ground.groupings[0].coded.codes, laid.ground.target
    by_hand = []
    for each in controls:
        fallen = [
            roc_auc_score(y[site == g], each.unseen[site == g])
            - roc_auc_score(y[site == g], unseen[site == g])
            for g in range(3)
        ]
        by_hand.append(sum(d**2 for d in fallen) / 9)
    assert noise == pytest.approx(np.sqrt(np.mean(by_hand)), rel=1e-9)
    assert refit_noise(laid, []) == (0.0, np.inf)
    refit = attempts(audit(small()))["balanced refit", "all rows"]
    assert refit.high - refit.low > 2 * 2 * noise


@pytest.mark.long
@pytest.mark.parametrize("kind", ["y given x", "covariate"])
def test_a_refit_that_changes_nothing_rarely_seems_to_help_where_there_is_a_gap(kind, monkeypatch):
    placebo = Treatment("placebo", lambda training: control(replace(training, seed=7)))
    monkeypatch.setattr("elsewhere.audit.retraining.treatments", lambda *given: ([placebo], []))
    found = [
        attempts(audit(worlds.table(kind, n=900, seed=seed), labels=0))["placebo", "all rows"]
        for seed in range(100, 140)
    ]
    assert sum(each.low > 0 or each.high < 0 for each in found) <= 5


@pytest.mark.long
def test_remedies_rarely_claim_to_help_where_there_is_no_shift():
    helped = [audit(worlds.table("null", n=900, seed=seed), labels=40) for seed in range(100, 160)]
    assert sum(closing(report).answer == "helps" for report in helped) <= 4
    assert sum(closing(report).best != "" for report in helped) <= 6


# --- the seal ----------------------------------------------------------------------------------


def turned(table: pd.DataFrame, site: str) -> pd.DataFrame:
    """The same rows with the labels of one site in another order."""
    rows = np.flatnonzero(table["site"] == site)
    found = table.copy()
    g = np.random.default_rng(5)
    found.loc[rows, "y"] = table["y"].to_numpy()[g.permutation(rows)]
    return found


def test_no_remedy_without_labels_sees_a_label_of_elsewhere():
    table = worlds.table("y given x", n=600)
    found = []
    for each in (table, turned(table, "B")):
        laid, recipe, fitted, how = world(each, group="site")
        tried, controls, _ = retrain(laid, recipe, fitted, how)
        here, unseen = rows_of(laid, fitted)
        adapted, _ = Adapting(laid, recipe, fitted, here, unseen, how).tried()
        free = [one for one in (*tried, *controls, *adapted) if one.needs == "no labels"]
        found.append({one.name: one.unseen for one in free})
    rows = np.flatnonzero(table["site"] == "B")
    assert len(found[0]) == 10  # two of them controls
    for name, before in found[0].items():
        np.testing.assert_array_equal(before[rows], found[1][name][rows], err_msg=name)
        others = np.setdiff1d(np.arange(len(table)), rows)
        changed = not np.array_equal(before[others], found[1][name][others])
        assert changed, f"{name} does not learn from B for the other sites"


def test_labelled_rows_are_the_only_labels_that_adaptations_see():
    table = worlds.table("y given x", n=900)
    laid, recipe, fitted, how = world(table, group="site")
    here, unseen = rows_of(laid, fitted)
    tried = {one.name: one for one in Adapting(laid, recipe, fitted, here, unseen, how).tried()[0]}
    tested = known(tried["local adaptation"].unseen)
    for site in worlds.SITES:
        assert (~tested & (table["site"] == site)).sum() == 60
    other = table.copy()
    g = np.random.default_rng(1)
    other.loc[tested, "y"] = g.permutation(table.loc[tested, "y"].to_numpy())
    changed = replace(laid, ground=replace(laid.ground, target=other["y"].to_numpy()))
    again = Adapting(changed, recipe, fitted, here, unseen, how)
    for one in again.tried()[0]:
        if one.needs == "labelled rows" and one.name == "local adaptation":
            np.testing.assert_array_equal(one.unseen, tried[one.name].unseen)


def test_later_rows_come_later_and_blocks_stay_whole():
    table = worlds.table("y given x", n=1200)
    g = np.random.default_rng(3)
    patient = np.arange(len(table)) // 4
    table = table.assign(patient=patient, when=g.permutation(300)[patient])
    laid, recipe, fitted, how = world(table, group="site", block="patient", time="when")
    here, unseen = rows_of(laid, fitted)
    tried, _ = Adapting(laid, recipe, fitted, here, unseen, how).tried()
    of = {(one.name, one.tested): known(one.unseen) for one in tried}
    assert ("local adaptation", "later rows") in of
    random = of["local adaptation", "other rows"]
    assert set(patient[random]).isdisjoint(patient[~random])
    later = of["local adaptation", "later rows"]
    for site in worlds.SITES:
        rows = (table["site"] == site).to_numpy()
        first, rest = table["when"][rows & ~later], table["when"][rows & later]
        assert first.max() < rest.min()


# --- fits and choices --------------------------------------------------------------------------


def training(table: pd.DataFrame, **options) -> Training:
    ground = prepare(table, Options("y", estimator="linear", **options))
    recipe = make_recipe("linear", ground.kind, len(ground.classes))
    judge = Judge(ground.question.metric, ground.kind, recipe.how, ground.classes, None)
    return training_of(ground, recipe, ground.features, judge, merge=None, seed=0)


def test_choices_are_judged_on_groups_and_blocks_not_trained_on():
    table = worlds.table("null", n=900).assign(patient=np.arange(900) // 3)
    inside = inside_of(training(table, group="site", block="patient"))
    some = inside.training
    sizes = {len(part.train) for part in (*inside.seen, *inside.unseen)}
    assert len(sizes) == 1
    for part in inside.unseen:
        assert set(some.group[part.train]).isdisjoint(some.group[part.test])
    for part in inside.unseen:
        assert set(some.block[part.train]).isdisjoint(some.block[part.test])
    for part in inside.seen:  # as a random split has it
        assert set(part.train).isdisjoint(part.test)
        assert len(set(some.block[part.train]) & set(some.block[part.test])) > 50
    for parts in (inside.seen, inside.unseen):
        tested = np.concatenate([part.test for part in parts])
        assert sorted(tested) == list(range(some.n))


def test_choices_with_blocks_across_groups_leave_the_tested_blocks_out_too():
    table = worlds.table("null", n=900).assign(day=np.arange(900) % 30)
    inside = inside_of(training(table, group="site", block="day"))
    some = inside.training
    for part in inside.unseen:
        assert len(part.test)
        assert set(some.group[part.train]).isdisjoint(some.group[part.test])
        assert set(some.block[part.train]).isdisjoint(some.block[part.test])


def test_importances_are_falls_of_the_score_when_a_column_is_shuffled():
    inside = inside_of(training(worlds.table("null", n=900), group="site", feature=["a", "b", "c"]))
    found = importances(inside)
    assert found.seen.shape == found.unseen.shape == (6, 3)
    for side in (found.seen, found.unseen):
        assert side[:, 0].min() > 0.1  # a matters, c does not
        assert abs(side[:, 2].mean()) < 0.02
    # By hand, for one group that a model did not see.
    some = inside.training
    part = inside.unseen[0]
    model = some.recipe.make(0, 3, ()).fit(some.matrix[part.train], some.target[part.train])
    group = some.group[part.test][0]
    rows = part.test[some.group[part.test] == group]
    from elsewhere.core.seeding import generator

    donor = generator(0, "shuffled values").permutation(some.n)
    shuffled = some.matrix[rows].copy()
    shuffled[:, 0] = some.matrix[donor[rows], 0]
    scores = [
        roc_auc_score(some.target[rows], model.predict_proba(each)[:, 1])
        for each in (some.matrix[rows], shuffled)
    ]
    assert found.unseen[group, 0] == pytest.approx(scores[0] - scores[1], abs=1e-9)


def test_suspects_are_clear_where_seen_and_lost_where_not():
    g = np.random.default_rng(0)
    seen = np.array([0.2, 0.2, 0.0, 0.2, 0.2]) + 0.01 * g.normal(size=(6, 5))
    unseen = np.array([0.2, 0.0, 0.0, -0.1, 0.09]) + 0.01 * g.normal(size=(6, 5))
    unseen[0, 4] = np.nan
    assert suspected(Importances(seen, unseen, tuple(range(6)), 0.8)) == [3, 1]
    assert suspected(Importances(seen[:2], unseen[:2], (0, 1), 0.8)) == []


def test_features_that_name_the_group_are_dropped_without_looking_at_labels():
    g = np.random.default_rng(0)
    table = worlds.table("null", n=900)
    code = {"A": 3.0, "B": -2.0, "C": 8.0, "D": 0.0, "E": 5.0, "F": -7.0}
    table = table.assign(
        name=table["site"].map(code) + 0.1 * g.normal(size=900), word=table["site"].str.lower()
    )
    change = drop_group_names(training(table, group="site"))
    assert set(change.dropped) == {"name", "word"}
    other = table.assign(y=g.permutation(table["y"]))
    assert drop_group_names(training(other, group="site")).dropped == change.dropped
    assert drop_group_names(training(worlds.table("null", n=900), group="site")).nothing


def test_indicators_mark_values_and_quarters():
    codes = np.array([0.0, 1, 1, 2, np.nan])
    np.testing.assert_array_equal(
        indicators(codes, categorical=True),
        [[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    )
    quarters = indicators(np.append(np.arange(100.0), np.nan), categorical=False)
    assert quarters.sum(axis=1).tolist() == [1.0] * 101
    assert quarters.sum(axis=0).tolist() == [25, 25, 25, 25, 1]
    numbers = np.repeat(np.arange(30.0), 10)  # each recurs: values, not amounts
    assert indicators(numbers, categorical=False).shape == (300, 30)
    assert indicators(np.full(5, np.nan), categorical=False).tolist() == [[1.0]] * 5


def test_what_was_chosen_in_words():
    assert counted(["x"]) == "x"
    assert counted(["", ""]) == ""
    assert counted(["nothing", "x", "nothing"]) == "nothing (2 of 3 fits), x (1)"
    assert counted(["a", "a", "b", "c", "d"]) == "a (2 of 5 fits), b (1), c (1) and others"


# --- prices and intervals ----------------------------------------------------------------------


def test_limits_of_a_share_hold_the_share():
    g = np.random.default_rng(0)
    for _ in range(2000):
        gain, gap, *errors = (*g.normal(0, 0.05, 1), *g.uniform(0.001, 0.1, 4))
        value, low, high = share(float(gain), float(gap), errors, 0.95)
        assert low <= value <= high


def test_limits_of_a_share_against_simulated_gains_and_gaps():
    g = np.random.default_rng(0)
    truth, inside, runs = (0.03, 0.08), 0, 4000
    cov = np.array([[4e-5, 1e-5], [1e-5, 9e-5]])
    errors = [cov[0, 0] ** 0.5, cov[1, 1] ** 0.5, (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) ** 0.5]
    for gain, gap in g.multivariate_normal(truth, cov, size=runs):
        value, low, high = share(gain, gap, errors, 0.95)
        assert low <= value <= high
        inside += low <= truth[0] / truth[1] <= high
    assert abs(inside / runs - 0.95) < 0.012


def test_a_share_of_an_unclear_gap_has_no_limits():
    assert share(0.01, 0.01, [0.01, 0.01, 0.01], 0.95)[1:] == (-np.inf, np.inf)


def test_a_remedy_that_changes_nothing_gains_nothing_exactly(null):
    kept = attempts(null)["drop features that name the group", "all rows"]
    assert (kept.gain, kept.low, kept.high) == (0.0, 0.0, 0.0)
    assert (kept.here_change, kept.here_low, kept.here_high) == (0.0, 0.0, 0.0)
    assert kept.fits == 0  # nothing to choose by fits, nothing to fit again
    assert kept.chosen == "nothing"


def test_gains_are_differences_of_the_metric_by_hand(flipped):
    laid, recipe, fitted, how = world(worlds.table("y given x", n=1500), group="site")
    here, unseen = rows_of(laid, fitted)
    tried, _ = Adapting(laid, recipe, fitted, here, unseen, how).tried()
    one = next(o for o in tried if o.name == "local adaptation")
    site, y = laid.ground.groupings[0].coded.codes, laid.ground.target
    aucs = []
    for g in range(6):
        rows = known(one.unseen) & (site == g)
        aucs.append([roc_auc_score(y[rows], p[rows]) for p in (unseen, one.unseen)])
    before, after = np.mean(aucs, axis=0)
    found = attempts(flipped)["local adaptation", "other rows"]
    assert found.before == pytest.approx(before, abs=1e-9)
    assert found.after == pytest.approx(after, abs=1e-9)


# --- other tables and estimators ---------------------------------------------------------------


def test_numbers_with_a_loss_as_metric():
    data = load_diabetes(as_frame=True)
    table = data.frame.rename(columns={"target": "y"})
    table["site"] = pd.qcut(table["bmi"], 4, labels=False)
    report = audit(table, labels=30, feature=["age", "bp", "s1", "s5", "sex"])
    found = attempts(report)
    assert found["recalibration", "other rows"].reason == ""
    assert found["GroupDRO", "all rows"].reason == ""
    for each in closing(report).attempts:
        if not each.reason:  # the metric is a loss: a gain is a fall of it
            assert each.before - each.after == pytest.approx(each.gain, abs=1e-9)


def test_several_classes():
    g = np.random.default_rng(0)
    site = np.repeat(list("ABCD"), 200)
    x = g.normal(size=(800, 3))
    shift = np.where(site == "D", 2.0, 0.0)
    y = np.array(["low", "mid", "high"], dtype=object)[
        np.digitize(x[:, 0] + shift + 0.5 * g.normal(size=800), [0, 1])
    ]
    table = pd.DataFrame(x, columns=list("abc")).assign(site=site, y=y)
    report = audit(table, metric="log_loss", labels=40)
    assert attempts(report)["recalibration", "other rows"].reason == ""
    assert attempts(report)["local adaptation", "other rows"].gain != 0
    cut = audit(table, metric="accuracy", labels=0)
    assert all(each.needs == "no labels" for each in closing(cut).attempts if not each.reason)
    assert "no labelled rows are allowed" in {e.reason for e in closing(cut).attempts}


class NoProbabilities(BaseEstimator, ClassifierMixin):
    """Gives classes only, and needs column a."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.model_ = LogisticRegression().fit(x[["a", "mark"]], y)
        return self

    def predict(self, x):
        return self.model_.predict(x[["a", "mark"]])


def test_the_users_own_estimator():
    g = np.random.default_rng(0)
    table = worlds.table("null", n=900).drop(columns=["b", "c", "d"])
    table["mark"] = table["site"].map(dict(zip(worlds.SITES, range(6), strict=True)))
    table["mark"] += 0.01 * g.normal(size=900)
    report = audit(table, estimator=NoProbabilities(), metric="accuracy")
    reasons = {each.name: each.reason for each in closing(report).attempts}
    assert "is yours" in reasons["settings tuned on left-out groups"]
    assert "raised KeyError" in reasons["drop features that name the group"]  # it needs mark
    assert reasons["balanced refit"] == ""
    assert "no probabilities" in reasons["local adaptation"]
    assert np.isfinite(report.gap.estimate)


def test_an_outside_table_with_an_outside_estimator():
    data = load_breast_cancer(as_frame=True)
    names = ["mean texture", "mean area", "mean smoothness", "mean concavity"]
    table = data.frame[names].assign(y=data.target)
    table["site"] = pd.qcut(table["mean texture"], 4, labels=list("ABCD")).astype(str)
    report = audit(table, estimator=GaussianNB(), labels=40)
    names_ = {each.name for each in closing(report).attempts}
    assert len(names_) == 11
    assert closing(report).sentence


def test_blocks_across_groups_leave_no_rows_here_to_borrow():
    table = worlds.table("null", n=900).assign(day=np.arange(900) % 30)
    report = audit(table, block="day")
    for name in ("instance-based adaptation", "cluster-based adaptation"):
        assert "blocks span the groups" in attempts(report)[name, ""].reason
    assert attempts(report)["local adaptation", "other rows"].reason == ""


def test_three_groups_leave_two_to_train_on_and_none_to_choose_by():
    reasons = {each.name: each.reason for each in closing(audit(small(), labels=0)).attempts}
    for name in ("drop shortcut features", "settings tuned on left-out groups"):
        assert reasons[name] == "too few groups to tell"
    assert reasons["balanced refit"] == ""


def test_small_groups_are_not_adapted_to():
    report = audit(worlds.table("null", n=480), labels=60)
    assert "too few rows to spare" in attempts(report)["local adaptation", "other rows"].reason


def test_kept_fits_and_more_processes_give_the_same_report(tmp_path, monkeypatch):
    table, options = small(), {"labels": 20, "folds": 2}
    plain = audit(table, **options)

    kept = [audit(table, keep=tmp_path, **options) for _ in range(2)]
    assert kept[0].to_json() == plain.to_json() == kept[1].to_json()
    monkeypatch.setattr("elsewhere.audit.retraining.SMALL_WORK", 0)
    assert audit(table, jobs=2, **options).to_json() == plain.to_json()


def test_the_plan_says_what_the_remedies_cost():
    costs = []
    table = worlds.table("null", n=480)
    report = audit(table, on_cost=costs.append)
    laid, _recipe, _, _ = world(table, group="site")
    once = len(closing_fits(laid.plan))
    assert costs[-1].fits == report.fits.n
    assert report.fits.n > len(laid.plan.fits) + 3 * once
    assert costs[0].fits >= costs[-1].fits  # choices may take fewer than they could
    bare = audit(table, close=False, on_cost=costs.append)
    assert bare.headline.closing is None
    assert costs[-1].fits == len(laid.plan.fits) == bare.fits.n


def test_texts_and_missing_values_in_adaptations():
    table = worlds.table("null", n=900)
    g = np.random.default_rng(0)
    table["word"] = g.choice(["x", "y", "z"], size=900)
    table.loc[g.random(900) < 0.1, "b"] = np.nan
    laid, *_ = world(table, group="site")
    assert design_of(laid.ground).shape == (900, 7)  # a missing number counts as the mean
    assert closing(audit(table)).attempts


@pytest.mark.parametrize(("given", "words"), [(-1, "--labels is -1"), (2.5, "whole")])
def test_bad_numbers_of_labels(given, words):
    with pytest.raises(InputError, match=words):
        audit(worlds.table("null", n=600), labels=given)


def test_remedies_need_an_estimator():
    table = pd.DataFrame({"y": [0, 1] * 50, "p": [0.2, 0.7] * 50, "g": ["a", "b"] * 50})
    for option in ({"close": False}, {"labels": 5}):
        with pytest.raises(InputError, match="without --estimator"):
            elsewhere.audit(table, target="y", score="p", group="g", **option)


@pytest.mark.parametrize("changed", ["metric", "weight", "settings"])
def test_kept_fits_are_those_of_the_same_question(changed, tmp_path, monkeypatch):
    g = np.random.default_rng(0)
    table = small().assign(w=g.uniform(0.1, 5, 240))
    usual = {"labels": 0, "feature": list("abcd"), "folds": 2}
    audit(table, keep=tmp_path, **usual)
    options = {
        "metric": {"metric": "neg_log_loss"},
        "weight": {"weight": "w"},
        "settings": {},
    }[changed]
    if changed == "settings":
        other = {"as it is": {}, "penalty 1e6": {"penalty": 1e6}}
        monkeypatch.setitem(SETTINGS, "linear", other)
    kept = audit(table, keep=tmp_path, **usual, **options)
    fresh = audit(table, **usual, **options)
    assert kept.to_json() == fresh.to_json()
