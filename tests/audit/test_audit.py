"""The audit through its public function: numbers against naive ones, and what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import elsewhere
from elsewhere import InputError, audit


def values(report, model=0, grouping=0):
    rows = report.models[model].groupings[grouping].rows
    return {row.key[0][1]: row for row in rows}


def test_group_values_equal_scikit_learn(table):
    rows = values(audit(table, target="y", score="score", group="site"))
    for site, part in table.groupby("site"):
        assert rows[site].value == pytest.approx(roc_auc_score(part["y"], part["score"]), abs=1e-12)
        others = [roc_auc_score(p["y"], p["score"]) for s, p in table.groupby("site") if s != site]
        assert rows[site].here == pytest.approx(np.mean(others), abs=1e-12)
        assert rows[site].gap == pytest.approx(np.mean(others) - rows[site].value, abs=1e-12)


def test_worst_group_is_named_and_holds_for_all_together(table):
    report = audit(table, target="y", prediction="guess", group="site", block="patient")
    assert report.headline.worst_text == "C"
    assert report.answer == "gap"
    row = values(report)["C"]
    assert (report.gap.low, report.gap.high) == (row.joint_low, row.joint_high)
    assert row.joint_low < row.gap_low < row.gap < row.gap_high < row.joint_high
    assert report.first_line().startswith("other groups 0.")
    assert "worst site C" in report.first_line()


def test_equal_groups_name_no_worst(table):
    g = np.random.default_rng(0)
    same = table.assign(guess=np.where(g.random(600) < 0.8, table["y"], 1 - table["y"]))
    report = audit(same, target="y", prediction="guess", group="site", negligible=0.02)
    assert report.headline.worst_text.startswith("not distinguishable: ")
    assert report.answer == "unclear"
    assert "would have been found with power .8" in report.verdict()


def test_no_gap_needs_equivalence():
    g = np.random.default_rng(1)
    n = 40_000
    big = pd.DataFrame(
        {
            "y": g.integers(0, 2, n),
            "site": g.integers(0, 6, n),
            "split": g.choice(["train", "test"], n),
        }
    )
    big["guess"] = np.where(g.random(n) < 0.9, big["y"], 1 - big["y"])
    asked = {"target": "y", "prediction": "guess", "group": "site", "here": "split==train"}
    assert audit(big, **asked, negligible=0.02).answer == "no gap"
    assert audit(big, **asked).answer == "unclear"


def test_here_and_elsewhere_by_condition(table):
    report = audit(table, target="y", prediction="guess", group="site", here="split == train")
    here, there = (table[table["split"] == s] for s in ("train", "test"))
    means = [
        part.assign(hit=part["y"] == part["guess"]).groupby("site")["hit"].mean()
        for part in (here, there)
    ]
    assert report.gap.here == pytest.approx(means[0].mean())
    assert report.gap.elsewhere == pytest.approx(means[1].mean())
    assert report.gap.n_rows == (len(here), len(there))
    assert np.isnan(report.gap.next_low)
    assert "4 groups say nothing about the next one" in report.gap.reason


def test_pairing_by_row_narrows_the_interval(table):
    worse = table.assign(guess=np.where(np.arange(600) % 20 == 0, 1 - table["y"], table["guess"]))
    asked = {"target": "y", "prediction": "guess", "group": "site", "here_table": table}
    paired, apart = audit(worse, **asked, row="row").gap, audit(worse, **asked).gap
    assert paired.estimate == pytest.approx(apart.estimate)
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)
    assert "rows paired" in paired.method


def test_blocks_widen_the_interval(table):
    tripled = pd.concat([table] * 3, ignore_index=True)
    asked = {"target": "y", "score": "score", "group": "site", "here": "split==train"}
    once = audit(table, **asked, block="row").gap
    blocked = audit(tripled, **asked, block="row").gap
    naive = audit(tripled, **asked).gap
    assert (blocked.low, blocked.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert naive.high - naive.low < 0.7 * (blocked.high - blocked.low)


def test_groups_on_one_side_only(table):
    report = audit(table, target="y", prediction="guess", group="site", here="site!=C")
    assert report.gap.n_groups == 1
    assert report.gap.estimate > 0.1
    assert [row.key[0][1] for row in report.headline.rows] == ["C"]


@pytest.mark.parametrize(
    "kind", ["pandas", "polars", "arrow", "mapping", "csv", "tsv", "parquet", "jsonl"]
)
def test_every_kind_of_table_gives_the_same_numbers(table, tmp_path, kind):
    made = {
        "pandas": lambda: table,
        "polars": lambda: pl.from_pandas(table),
        "arrow": lambda: pa.Table.from_pandas(table),
        "mapping": lambda: {name: table[name].to_numpy() for name in table},
        "csv": lambda: table.to_csv(tmp_path / "t.csv", index=False) or tmp_path / "t.csv",
        "tsv": lambda: (
            table.to_csv(tmp_path / "t.tsv", index=False, sep="\t") or str(tmp_path / "t.tsv")
        ),
        "parquet": lambda: table.to_parquet(tmp_path / "t.parquet") or tmp_path / "t.parquet",
        "jsonl": lambda: (
            table.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
            or tmp_path / "t.jsonl"
        ),
    }[kind]()
    asked = {
        "target": "y",
        "score": "score",
        "group": ["site", "sex"],
        "block": "patient",
        "time": "date",
    }
    expected, found = audit(table, **asked), audit(made, **asked)
    assert found.models[0].groupings[0].rows[2].gap == pytest.approx(
        expected.models[0].groupings[0].rows[2].gap, abs=1e-9
    )
    assert found.first_line() == expected.first_line()
    assert len(found.models[0].groupings) == 3


def test_categoricals_booleans_and_nullable_integers(table):
    odd = table.astype({"site": "category", "y": "Int64"}).assign(y=lambda t: t["y"] == 1)
    assert (
        audit(odd, target="y", score="score", group="site").first_line()
        == audit(table, target="y", score="score", group="site").first_line()
    )


def test_multiclass_labels_and_probabilities_on_wine():
    data = load_wine()
    site = np.where(data.data[:, 0] > np.median(data.data[:, 0]), "strong", "light")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    p = cross_val_predict(model, data.data, data.target, method="predict_proba")
    frame = pd.DataFrame({f"p_{k}": p[:, k] for k in range(3)})
    frame = frame.assign(y=data.target, guess=p.argmax(axis=1), site=site)
    labels = values(audit(frame, target="y", prediction="guess", group="site"))
    for name, part in frame.groupby("site"):
        assert labels[name].value == pytest.approx(accuracy_score(part["y"], part["guess"]))
    report = audit(frame, target="y", score="p_*", group="site", metric="neg_log_loss")
    assert report.models[0].name == "p_*"
    assert np.isfinite(report.gap.estimate)


def test_regression_takes_the_mean_absolute_error(table):
    g = np.random.default_rng(0)
    frame = table.assign(y=g.normal(size=600))
    frame["guess"] = frame["y"] + g.normal(size=600) * np.where(frame["site"] == "B", 3, 1)
    report = audit(frame, target="y", prediction="guess", group="site")
    assert report.metric == "mean_absolute_error"
    assert not report.greater_is_better
    assert report.headline.worst_text == "B"
    part = frame[frame["site"] == "B"]
    assert values(report)["B"].value == pytest.approx(mean_absolute_error(part["y"], part["guess"]))
    assert values(report)["B"].gap > 0


def test_multilabel_by_patterns(table):
    g = np.random.default_rng(0)
    tags = g.integers(0, 2, (600, 3))
    frame = table.assign(**{f"tag_{k}": tags[:, k] for k in range(3)})
    noisy = np.where(g.random((600, 3)) < 0.9, tags, 1 - tags)
    frame = frame.assign(**{f"guess_{k}": noisy[:, k] for k in range(3)})
    report = audit(frame, target="tag_*", prediction="guess_*", group="site", metric="f1_macro")
    assert 0.8 < report.gap.here < 1


def test_several_models_are_compared_on_the_same_rows(table):
    report = audit(table, target="y", score=["score", "other"], group="site", block="patient")
    (comparison,) = report.comparisons
    means = [
        np.mean([roc_auc_score(p["y"], p[name]) for _, p in table.groupby("site")])
        for name in ("score", "other")
    ]
    assert comparison.estimate == pytest.approx(means[0] - means[1])
    assert comparison.low < comparison.estimate < comparison.high


def test_a_model_compared_with_itself_differs_by_nothing(table):
    twin = table.assign(other=table["score"])
    (comparison,) = audit(twin, target="y", score=["score", "other"], group="site").comparisons
    assert comparison.estimate == 0
    own = values(audit(twin, target="y", score="score", group="site"))["A"]
    assert comparison.high - comparison.low < 0.2 * (own.high - own.low)


def test_intersections_find_the_crossed_group(table):
    planted = table.copy()
    worst = (planted["site"] == "A") & (planted["sex"] == "f")
    planted.loc[worst, "guess"] = 1 - planted.loc[worst, "y"]
    report = audit(planted, target="y", prediction="guess", group=["site", "sex"], min_rows=30)
    first = report.models[0].intersections[0]
    assert dict(first.key) == {"site": "A", "sex": "f"}
    assert first.q < 1e-6
    assert all(row.n_rows >= 30 for row in report.models[0].intersections)


def test_time_is_cut_into_calendar_periods_in_order(table):
    over_time = audit(table, target="y", score="score", time="date").headline
    assert over_time.ordered
    keys = [row.key[0][1] for row in over_time.rows]
    assert keys == sorted(keys)
    assert keys[0] == "2024-01"


def test_one_class_group_gets_a_rate(table):
    frame = table.copy()
    frame.loc[frame["site"] == "D", "y"] = 1
    row = values(audit(frame, target="y", score="score", group="site"))["D"]
    assert np.isnan(row.value)
    assert row.reason.startswith("one class only")
    assert row.rate is not None
    assert row.rate.name == "recall"
    part = frame[frame["site"] == "D"]
    assert row.rate.value == pytest.approx((part["score"] >= 0.5).mean())
    assert row.rate.low < row.rate.value < row.rate.high


def test_threshold_of_one_class_groups_ignores_labels_of_elsewhere(table):
    frame = table.assign(score=table["score"] * 10 - 3)
    frame.loc[frame["site"] == "D", "y"] = 0
    asked = {"target": "y", "score": "score", "group": "site", "here": "split==train"}
    first = values(audit(frame, **asked))["D"].rate
    assert first is not None
    assert first.name == "false-positive rate"
    there = (frame["split"] == "test") & (frame["site"] != "D")
    shuffled = frame.copy()
    shuffled.loc[there, "y"] = 1 - shuffled.loc[there, "y"]
    assert values(audit(shuffled, **asked))["D"].rate == first


def test_pooled_area_splits_into_within_and_between():
    """Groups of equal quality whose scores are shifted: only the pooled value falls."""
    g = np.random.default_rng(3)
    n, sites = 6400, 16
    frame = pd.DataFrame({"y": g.integers(0, 2, n), "site": np.arange(n) % sites})
    frame["score"] = frame["y"] + g.normal(size=n)
    moved = frame.assign(score=frame["score"] + g.normal(0, 2, sites)[frame["site"]])
    report = audit(moved, target="y", score="score", group="site", here_table=frame)
    assert report.gap.low < 0 < report.gap.high
    pooled = report.headline.pooled_gap
    assert pooled is not None
    assert pooled.low > 0.05
    here, there = report.headline.parts
    for part in (here, there):
        whole = part.within_share * part.within + (1 - part.within_share) * part.between
        assert whole == pytest.approx(part.pooled)
    assert there.between < here.between - 0.05
    assert abs(there.within - here.within) < 0.02


def test_class_mixes_explain_a_gap_of_class_shares():
    """One class is hard; sites differ only in how often it occurs."""
    g = np.random.default_rng(0)
    n = 8000
    site = g.choice(["A", "B"], n)
    y = (g.random(n) < np.where(site == "A", 0.2, 0.8)).astype(int)
    guess = np.where(g.random(n) < np.where(y == 1, 0.6, 0.95), y, 1 - y)
    frame = pd.DataFrame({"y": y, "guess": guess, "site": site})
    report = audit(frame, target="y", prediction="guess", group="site", pair=("A", "B"))
    named, balanced, matched = report.headline.pairs
    assert named.estimate > 0.15
    assert named.low > 0.1
    for distance in (balanced, matched):
        assert distance.estimate < 0.06
        assert distance.low == 0


def test_calibration_by_group():
    g = np.random.default_rng(0)
    n = 20_000
    p = g.uniform(0.05, 0.95, n)
    site = g.choice(["A", "B"], n)
    y = (g.random(n) < np.where(site == "B", p**2, p)).astype(int)
    report = audit(
        pd.DataFrame({"y": y, "p": p, "site": site}), target="y", score="p", group="site"
    )
    by_site = {c.key[0][1] if c.key else "": c.calibration for c in report.models[0].calibrations}
    assert by_site["A"].low == 0
    assert by_site["B"].low > 0.1
    assert by_site["B"].bias == pytest.approx(np.mean(p - p**2), abs=0.02)


def test_positive_class_by_name(table):
    words = table.assign(y=table["y"].map({1: "bad", 0: "good"}))
    flipped = audit(words, target="y", score="score", group="site").gap
    named = audit(words, target="y", score="score", group="site", positive="bad").gap
    assert named.here == pytest.approx(1 - flipped.here, abs=0.2)
    assert named.here > 0.8 > 0.5 > flipped.here


def test_weights_change_values_as_in_scikit_learn(table):
    rows = values(audit(table, target="y", score="score", group="site", weight="weight"))
    part = table[table["site"] == "A"]
    assert rows["A"].value == pytest.approx(
        roc_auc_score(part["y"], part["score"], sample_weight=part["weight"])
    )


def test_change_since_a_baseline_is_paired_and_right(table):
    """Twin models on the same rows: the change is known and its interval narrow."""
    asked = {"target": "y", "group": "site", "here": "split==train", "block": "patient"}
    old = audit(table, prediction="guess", **asked)
    fixed = table.assign(
        guess=np.where(
            (table["site"] == "C") & (table["split"] == "test") & (table["row"] % 3 == 0),
            table["y"],
            table["guess"],
        )
    )
    new = audit(fixed, prediction="guess", baseline=old, **asked)
    assert new.change is not None
    assert new.change.estimate == pytest.approx(new.gap.estimate - old.gap.estimate)
    assert new.change.pairing == "paired by block"
    assert new.change.high < 0
    assert new.change.high - new.change.low < 0.5 * (new.gap.high - new.gap.low)


def test_change_keeps_to_the_group_of_the_earlier_headline(table):
    old = audit(table, target="y", prediction="guess", group="site")
    g = np.random.default_rng(0)
    other = table.assign(guess=np.where(table["site"] == "A", g.integers(0, 2, 600), table["y"]))
    new = audit(other, target="y", prediction="guess", group="site", baseline=old)
    assert new.change is not None
    assert new.change.now == pytest.approx(values(new)["C"].gap)
    assert "gap of C in both reports" in new.change.pairing


def test_callable_metric(table):
    def hits(y, prediction):
        return float(np.mean(y == prediction))

    found = audit(table, target="y", prediction="guess", group="site", metric=hits).gap
    exact = audit(table, target="y", prediction="guess", group="site").gap
    assert found.estimate == pytest.approx(exact.estimate)
    assert (found.high - found.low) == pytest.approx(exact.high - exact.low, rel=0.35)


def test_metric_of_labels_on_scores_uses_the_threshold(table):
    report = audit(table, target="y", score="score", group="site", metric="accuracy", threshold=0.4)
    part = table[table["site"] == "B"]
    assert values(report)["B"].value == pytest.approx(((part["score"] >= 0.4) == part["y"]).mean())
    assert "scores of at least 0.4 count as positive" in report.notes


def test_the_table_is_left_as_it_was(table):
    before = table.copy(deep=True)
    audit(
        table,
        target="y",
        score=["score", "other"],
        group=["site", "sex"],
        time="date",
        block="patient",
        weight="weight",
    )
    pd.testing.assert_frame_equal(table, before)


def test_row_order_does_not_matter(table):
    asked = {"target": "y", "score": "score", "group": ["site", "sex"], "block": "patient"}
    a, b = audit(table, **asked), audit(table.sample(frac=1, random_state=0), **asked)
    assert a.first_line() == b.first_line()
    for one, other in zip(a.headline.rows, b.headline.rows, strict=True):
        assert one.gap_low == pytest.approx(other.gap_low, abs=1e-12)


def test_the_room_can_be_called_however_it_was_imported(table):
    import elsewhere.audit as room

    asked = {"target": "y", "score": "score", "group": "site"}
    assert elsewhere.audit(table, **asked).first_line() == room.audit(table, **asked).first_line()


def test_an_outside_data_set():
    data = load_breast_cancer()
    y = data.target
    model = make_pipeline(StandardScaler(), LogisticRegression())
    p = cross_val_predict(model, data.data, y, method="predict_proba")[:, 1]
    size = (data.data[:, 9] > np.median(data.data[:, 9])).astype(int)
    report = audit({"y": y, "p": p, "size": size}, target="y", score="p", group="size")
    for g, row in values(report).items():
        assert row.value == pytest.approx(roc_auc_score(y[size == g], p[size == g]))
    assert report._repr_html_().startswith("<p><strong>")


def test_missing_roles_are_named(table):
    with pytest.raises(InputError, match="--prediction / --score are both absent"):
        audit(table, target="y", group="site")


def test_dates_as_groups_read_as_dates(table):
    dated = table.assign(
        day=pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(600) % 3, unit="D")
    )
    keys = [
        row.key for row in audit(dated, target="y", prediction="guess", group="day").headline.rows
    ]
    assert keys[0] == (("day", "2024-01-01"),)


def test_nothing_to_compute_says_why(table):
    report = audit(table.assign(group=table["y"]), target="y", score="score", group="group")
    assert report.first_line().startswith("no gap can be computed by group: 2 of 2 groups have no")
    assert report.verdict().startswith("No answer: ")
    with pytest.raises(InputError, match="score holds"):
        audit(table.assign(score=1j), target="y", score="score", group="site")
