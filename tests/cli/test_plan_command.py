"""The plan command: what it prints, writes and refuses, and that its page lists its options."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from elsewhere import GapReport
from elsewhere.cli.main import app
from elsewhere.cli.plan import DEFAULT_OUTPUT

PAGE = Path(__file__).parents[2] / "docs" / "plan.md"
PLAN = (
    "--target",
    "y",
    "--group",
    "site",
    "--budget",
    "200",
    "--estimator",
    "linear",
    "--jobs",
    "1",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `elsewhere plan` beside a small table."""
    monkeypatch.chdir(tmp_path)
    g = np.random.default_rng(0)
    x = g.normal(size=(360, 2))
    table = pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "site": np.repeat(["Bonn", "Cork", "x=1"], 120)}
    )
    table["visit"] = np.arange(360) // 2
    table["y"] = (x[:, 0] + g.normal(size=360) > 0).astype(int)
    table.to_csv("t.csv", index=False)

    def call(*arguments):
        return CliRunner().invoke(app, ["plan", *map(str, arguments)], catch_exceptions=False)

    return call


def test_the_plan_is_printed_beside_equal_and_proportional(run):
    result = run("t.csv", *PLAN, "--block", "visit", "--cost", "Cork=2", "--cost", "x=1=1.5",
                 "--out", "r.json", "--out", "r.html", "--out", "r.csv")  # fmt: skip
    assert result.exit_code == 0
    assert re.match(r"\d+ fits on ", result.stderr)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(("For ", "Nothing worth buying"))
    head = next(line for line in lines if line.startswith("site"))
    assert head.split() == [
        "site",
        "have",
        "buy",
        "loss",
        "now",
        "expected",
        "equal",
        "buys",
    ]
    rows = [line.split() for line in lines if line.startswith(("Bonn", "Cork", "x=1"))]
    assert all(row[1] == "120" for row in rows[:3])
    for strategy in ("planned", "equal", "equal spend", "proportional"):
        assert any(line.startswith(f"{strategy}: mean loss 0.") for line in lines)
    assert "worth" in lines[0] or "expected" in lines[0]
    assert lines[-1] == "report: r.csv"
    report = GapReport.from_json(Path("r.json").read_text())
    assert [curve.unit_cost for curve in report.plan.curves] == [1, 2, 1.5]
    page = Path("r.html").read_text()
    assert '<p class="kind">Buying plan</p>' in page
    assert "What to buy</a></dt>" in page
    lines = pd.read_csv("r.csv").query("kind == 'plan'")
    best = lines[lines["detail"] == "planned"]
    assert set(lines["detail"]) == {one.strategy for one in report.plan.allocations}
    assert best["group"].tolist() == ["Bonn", "Cork", "x=1"]
    assert best["n_rows"].tolist() == [120, 120, 120]
    assert best["labels"].tolist() == list(report.plan.allocations[0].bought)
    assert best["cost"].sum() == pytest.approx(report.plan.allocations[0].cost)
    assert best["before"].tolist() == pytest.approx([one.loss for one in report.plan.curves])
    assert best["value"].tolist() == pytest.approx(report.plan.allocations[0].predicted)


def test_quiet_writes_files_only(run):
    result = run("t.csv", *PLAN, "--quiet", "--weigh-by-rows", "--out", "r.json")
    assert (result.exit_code, result.output) == (0, "")
    assert GapReport.from_json(Path("r.json").read_text()).settings["weights"] == "rows"
    assert not Path("elsewhere-plan.html").exists()
    assert Path("elsewhere-plan.html") == DEFAULT_OUTPUT


def test_every_option_reaches_the_plan(run):
    result = run(
        "t.csv", *PLAN, "--utility", "concave", "--aversion", "2", "--models", "each",
        "--weight-of", "Bonn=3", "--exponent", "free", "--metric", "accuracy", "--ignore", "visit",
        "--seed", "3", "--max-rows", "500", "--level", "0.9", "--out", "r.json",
    )  # fmt: skip
    assert result.exit_code == 0
    report = GapReport.from_json(Path("r.json").read_text())
    assert report.plan.utility == "concave"
    assert report.plan.models == "each"
    assert report.metric == "accuracy"
    assert report.level == 0.9
    assert report.plan.curves[0].weight == pytest.approx(0.6)
    assert report.settings["weights"] == "Bonn=3"
    assert report.settings["exponent"] == "free"
    assert report.settings["seed"] == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cost", "Corck=2"), "--cost names 'Corck', which is no site"),
        (("--cost", "Corck=2"), "did you mean 'Cork'?"),
        (("--cost", "Cork"), "expected GROUP=NUMBER"),
        (("--cost", "Cork=x"), "expected GROUP=NUMBER"),
        (("--cost", "Cork=1", "--cost", "Cork=2"), "names 'Cork' twice"),
        (("--cost", "Cork=-1"), "a number above 0"),
        (("--weight-of", "Cork=1", "--weigh-by-rows"), "one of the two"),
        (("--utility", "max"), "did you mean 'max-min'?"),
        (("--models", "all"), "--models is 'all'"),
        (("--exponent", "p"), "--exponent is 'p'"),
        (("--budget", "-3"), "--budget is -3"),
        (("--out", "r.pdf"), "a name ending in .html"),
        (("--out", "t.csv"), "which is read by this run"),
        (("--estimator", "bosting"), "did you mean 'boosting'?"),
        (("--feature", "aa"), "did you mean 'a'?"),
        (("--group", "sites"), "did you mean 'site'?"),
    ],
)
def test_refusals_are_one_line(run, options, words):
    result = run("t.csv", *PLAN, *options)
    assert result.exit_code == 2
    assert words in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.output
    assert not Path("elsewhere-plan.html").exists()


def test_a_missing_option_is_bad_usage(run):
    assert run("t.csv", "--target", "y", "--group", "site").exit_code == 2


def test_ctrl_c_writes_nothing(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("elsewhere.audit.planning.run", interrupted)
    result = run("t.csv", *PLAN)
    assert result.exit_code == 130
    assert "interrupted; nothing was written" in result.stderr
    assert not Path("elsewhere-plan.html").exists()


# --- the page of the documentation -------------------------------------------------------------


def option_lines() -> dict[str, str]:
    """Lines of the option tables by option."""
    found: dict[str, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(--[a-z-]+)", line):
            found[match[1]] = line
    return found


def test_the_option_tables_list_the_options_of_the_command():
    params = get_command(app).commands["plan"].params
    real = {opt for p in params for opt in p.opts if opt.startswith("--")} | {"--help"}
    assert set(option_lines()) == real
    shown = CliRunner().invoke(app, ["plan", "--help"]).output.split("Options", 1)[1]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown)) == real
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= real


def test_defaults_of_options():
    for parameter in get_command(app).commands["plan"].params:
        value = parameter.default
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = f"{value:g}".removeprefix("0") or "0"
            text = f"{value:,}".replace(",", " ") if isinstance(value, int) else text
            assert f"Default {text}." in option_lines()[parameter.opts[0]], parameter.opts
