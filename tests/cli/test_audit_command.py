"""The audit command: what it prints, writes and returns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from elsewhere import GapReport
from elsewhere.cli.main import app

ROLES = ("--target", "y", "--score", "score", "--group", "site")


@pytest.fixture
def run(tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    table.to_csv("t.csv", index=False)

    def call(*arguments):
        return CliRunner().invoke(app, ["audit", *map(str, arguments)], catch_exceptions=False)

    return call


def test_first_line_is_the_headline_and_the_report_is_written(run):
    result = run("t.csv", *ROLES, "--here", "split==train", "--block", "patient")
    assert result.exit_code == 0
    first = result.stdout.splitlines()[0]
    assert first.startswith("here 0.")
    assert " · elsewhere 0." in first
    assert " · gap " in first
    assert result.stdout.splitlines()[-1] == "report: elsewhere-report.html"
    assert Path("elsewhere-report.html").read_text().startswith("<!doctype html>")


def test_formats_by_suffix(run):
    names = ["r.html", "r.json", "r.csv", "r.tex", "r.xml"]
    assert run("t.csv", *ROLES, *(p for n in names for p in ("--out", n))).exit_code == 0
    assert GapReport.from_json(Path("r.json").read_text()).headline.worst_text == "C"
    assert Path("r.csv").read_text().count("\n") >= 5
    assert "\\toprule" in Path("r.tex").read_text()
    assert "<testsuite" in Path("r.xml").read_text()


def test_fail_above_needs_the_whole_interval(run):
    for size, code in ((0.05, 1), (0.3, 0), (0.9, 0)):
        assert run("t.csv", *ROLES, "--fail-above", size, "--quiet").exit_code == code


def test_quiet_prints_nothing(run):
    assert run("t.csv", *ROLES, "--quiet").stdout == ""


def test_the_same_bytes_for_any_jobs_and_run(run):
    base = ("t.csv", *ROLES, "--group", "sex", "--score", "other", "--time", "date")
    suffixes = (".html", ".json", ".csv", ".tex", ".xml")
    for name, jobs in (("a", 1), ("b", 2), ("c", 1)):
        outs = (p for s in suffixes for p in ("--out", name + s))
        assert run(*base, "--jobs", jobs, *outs).exit_code == 0
    for suffix in suffixes:
        contents = {Path(name + suffix).read_bytes() for name in "abc"}
        assert len(contents) == 1


def test_baseline_gives_the_paired_change(run):
    assert run("t.csv", *ROLES, "--here", "split==train", "--out", "old.json").exit_code == 0
    result = run(
        "t.csv",
        "--target",
        "y",
        "--score",
        "other",
        "--group",
        "site",
        "--here",
        "split==train",
        "--baseline",
        "old.json",
        "--out",
        "new.json",
    )
    assert result.exit_code == 0
    change = json.loads(Path("new.json").read_text())["change"]
    assert change["pairing"] == "paired by row position"
    assert change["low"] < change["estimate"] < change["high"]


def test_here_table(run, table):
    table.assign(score=table["y"]).to_csv("here.csv", index=False)
    result = run("t.csv", *ROLES, "--here-table", "here.csv", "--row", "row")
    assert result.stdout.startswith("here 1.000")


STARTED = """
import elsewhere.audit.predictions as room
work = room._models
def announced(*arguments):
    print("STARTED", flush=True)
    return work(*arguments)
room._models = announced
from elsewhere.cli.main import app
app()
"""


def test_ctrl_c_stops_cleanly(tmp_path, table):
    """A real interrupt of a real process at work: exit code 130, no traceback, no file."""
    big = pd.concat([table] * 1500, ignore_index=True)
    big.to_parquet(tmp_path / "t.parquet")
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, "audit", "t.parquet", *ROLES, "--score", "other"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "STARTED\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


HEAVY = {
    "torch",
    "scipy",
    "pandas",
    "matplotlib",
    "transformers",
    "sqlalchemy",
    "sklearn",
    "pyarrow",
}


@pytest.mark.parametrize(
    "code",
    [
        "import elsewhere",
        "import elsewhere; dir(elsewhere)",
        "import sys; sys.argv = ['elsewhere', '--help']; from elsewhere.cli.main import app\n"
        "try: app()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['elsewhere', 'audit', '--help']\n"
        "from elsewhere.cli.main import app\ntry: app()\nexcept SystemExit: pass",
    ],
)
def test_import_and_help_load_nothing_heavy(code):
    probe = f"{code}\nimport sys\nprint('LOADED', sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_the_audit_never_loads_torch(tmp_path, table):
    table.to_csv(tmp_path / "t.csv", index=False)
    probe = (
        "import elsewhere, sys\n"
        "elsewhere.audit('t.csv', target='y', score='score', group='site')\n"
        "print(sorted({'torch', 'transformers', 'sqlalchemy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
