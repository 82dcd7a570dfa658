"""Audits of five tables that others made: classes, numbers, repeated subjects, time."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from elsewhere.core.errors import InputError

ROOT = Path(__file__).parents[2]


def load(name: str):
    """Import an example, which belongs to no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


tables = load("audit_tables")


@cache
def audited(name: str):
    """Audit a table once, without explanations and remedies; skip where its file is absent."""
    try:
        tables.TABLES[name](None)
    except InputError as error:
        pytest.skip(str(error))
    return tables.audit(name, jobs=1, explain=False, close=False)


def rungs(report, model: int = 0):
    return {rung.name: rung for rung in report.models[model].ladder}


@pytest.mark.parametrize(
    ("name", "rows", "kind", "metric", "steps", "groups"),
    [
        ("fair", 6366, "classes (2)", "roc_auc", ["random rows", "unseen occupation"], 6),
        ("crackers", 3292, "classes (4)", "accuracy", ["random rows", "unseen id"], 136),
        ("diabetes", 442, "numbers", "mean_absolute_error", ["random rows", "unseen decade"], 5),
        (
            "wages",
            4360,
            "numbers",
            "mean_absolute_error",
            ["random rows", "unseen nr", "unseen industry"],
            12,
        ),
        (
            "computers",
            6259,
            "numbers",
            "mean_absolute_error",
            ["random rows", "unseen ram", "later"],
            6,
        ),
    ],
)
def test_each_table_is_taken_for_what_it_is(name, rows, kind, metric, steps, groups):
    report = audited(name)
    assert report.n_rows == rows
    assert f"the target is taken as {kind}" in report.notes
    assert report.metric == metric
    assert list(rungs(report)) == steps
    assert len(report.headline.rows) == groups
    assert set(report.fits.features).isdisjoint({"Unnamed: 0", "", "affairs", "decade"})
    for model in report.models:
        lowest, *others = model.ladder
        assert lowest.lowest
        assert lowest.gap.estimate == 0
        # Every step is compared with random rows under models that had as many rows.
        assert all(rung.n_train > 0 and not rung.lowest for rung in others)
        for rung in others:
            worse = rung.gap.elsewhere - rung.gap.here
            worse = -worse if report.greater_is_better else worse
            assert rung.gap.estimate == pytest.approx(worse, abs=1e-9)
            assert rung.gap.low < rung.gap.estimate < rung.gap.high


def test_two_classes_an_unseen_occupation_costs_nothing():
    report = audited("fair")
    gap = rungs(report)["unseen occupation"].gap
    assert 0.68 < gap.here < 0.74
    assert abs(gap.estimate) < 0.02
    assert report.answer == "no gap"
    # 41 students, 7 of whom had an affair: too few of a class.
    (missing,) = [row for row in report.headline.rows if row.value != row.value]
    assert missing.key == (("occupation", 1),)
    assert missing.n_rows == 41
    assert any("exact copy" in note for note in report.notes)


def test_several_classes_households_are_left_out_in_folds():
    report = audited("crackers")
    assert any("136 groups, left out in 24 folds" in note for note in report.notes)
    gap = rungs(report)["unseen id"].gap
    # Better than naming the most frequent brand (0.544), hardly worse in an unseen household.
    assert 0.545 < gap.elsewhere < 0.60
    assert abs(gap.estimate) < 0.03
    assert sum(row.n_rows for row in report.headline.rows) == 3292


def test_numbers_a_decade_of_age_never_seen():
    report = audited("diabetes")
    gap = rungs(report)["unseen decade"].gap
    # Naming the median is off by 65.5.
    assert 42 < gap.here < 48
    assert -1 < gap.estimate < 5
    assert {row.key[0][1] for row in report.headline.rows} == {
        "to 29",
        "30s",
        "40s",
        "50s",
        "60 on",
    }


def test_repeated_subjects_random_rows_promise_too_much():
    report = audited("wages")
    steps = rungs(report)
    man, industry = steps["unseen nr"].gap, steps["unseen industry"].gap
    # Other years of a man tell trees who he is.
    assert man.low > 0.002
    assert 0.33 < man.here < 0.40
    assert industry.estimate > man.estimate
    assert len({rung.n_train for rung in steps.values()}) == 1
    # The headline asks about industries alone: both of its sides are men never seen.
    assert report.gap.here == pytest.approx(man.elsewhere, abs=0.005)
    assert any("blocks span the groups of industry" in note for note in report.notes)


def test_time_random_months_promise_too_much():
    report = audited("computers")
    later = rungs(report)["later"].gap
    # Tested by months to come, trees that may use other months' prices miss by over twice as much.
    assert later.here < 200
    assert later.elsewhere > 1.7 * later.here
    assert later.low > 100
    assert [grouping.name for grouping in report.models[0].groupings] == ["ram", "trend"]


def test_time_a_column_that_tells_the_month_helps_random_rows_only():
    report = audited("computers")
    with_ads, without = rungs(report), rungs(report, 1)
    assert without["random rows"].gap.here > 1.2 * with_ads["random rows"].gap.here
    assert without["later"].gap.elsewhere < 1.15 * with_ads["later"].gap.elsewhere
    assert without["later"].gap.high < with_ads["later"].gap.low
    random, _, later = report.comparisons
    assert random.rung == "random rows"
    assert later.rung == "later"
    assert random.low > 0
    assert later.estimate < random.estimate


def test_the_command_prints_and_writes_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["audit_tables.py", "diabetes", "--out", str(tmp_path), "--jobs", "1"]
    )
    assert tables.main() == 0
    said = capsys.readouterr().out
    assert re.search(r"^here 4\d\.\d+ · elsewhere 4\d\.\d+ · gap ", said, re.MULTILINE)
    assert "linear: random rows 4" in said
    assert "why by decade: " in said
    assert "forecasts by decade: " in said
    page = (tmp_path / "diabetes.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "unseen decade" in page


def test_missing_assets_say_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["audit_tables.py", "wages", "--assets", str(tmp_path)])
    assert tables.main() == 2
    assert "make assets" in capsys.readouterr().err


def test_another_name_is_bad_usage(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["audit_tables.py", "iris"])
    with pytest.raises(SystemExit) as stopped:
        tables.main()
    assert stopped.value.code == 2
    assert "there is no table 'iris'" in capsys.readouterr().err


def test_assets_are_found_by_folder_variable_and_repository(tmp_path, monkeypatch):
    (tmp_path / "made" / "up").mkdir(parents=True)
    file = tmp_path / "made" / "up" / "x.csv"
    file.write_text("a\n1\n")
    assert tables.find("up", "x.csv", tmp_path / "made") == file
    monkeypatch.setenv("ELSEWHERE_ASSETS", str(tmp_path / "made"))
    assert tables.find("up", "x.csv") == file
    monkeypatch.delenv("ELSEWHERE_ASSETS")
    monkeypatch.chdir(tmp_path)  # the default does not depend on the working directory
    with pytest.raises(InputError, match=re.escape(str(ROOT / "tests" / "assets"))):
        tables.find("up", "x.csv")
