"""The audit command with an estimator: what it says, keeps, resumes and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from elsewhere import GapReport
from elsewhere.cli.main import app

FIT = (
    "--target",
    "y",
    "--group",
    "site",
    "--estimator",
    "linear",
    "--no-explain",
    "--no-close",
    "--jobs",
    "1",
)

MODEL = """
from sklearn.linear_model import LogisticRegression

def make():
    return LogisticRegression(C=0.5)

ready = LogisticRegression()
number = 3

class Fails:
    def fit(self, X, y):
        raise KeyError("no column 'zeta'")
    def predict(self, X):
        return X
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `elsewhere audit` beside a small table and a module with estimators."""
    monkeypatch.chdir(tmp_path)
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "site": np.repeat(list("ABCD"), 100)})
    table["visit"] = np.arange(400) // 2
    table["y"] = (x[:, 0] + g.normal(size=400) > 0).astype(int)
    table.to_csv("t.csv", index=False)
    Path("own_models.py").write_text(MODEL)

    def call(*arguments):
        sys.modules.pop("own_models", None)
        return CliRunner().invoke(app, ["audit", *map(str, arguments)], catch_exceptions=False)

    return call


def test_the_cost_comes_first_and_the_ladder_is_printed(run):
    result = run("t.csv", *FIT, "--block", "visit", "--without", "b", "--out", "r.json")
    assert result.exit_code == 0
    assert result.stderr.startswith("28 fits on ")
    assert "linear: random rows 0." in result.stdout
    assert "linear without b: random rows 0." in result.stdout
    report = GapReport.from_json(Path("r.json").read_text())
    assert [rung.name for rung in report.models[0].ladder] == [
        "random rows",
        "unseen visit",
        "unseen site",
    ]
    assert report.fits.n == 28
    assert json.loads(Path("r.json").read_text())["settings"]["estimator"] == "linear"


@pytest.mark.parametrize("name", ["make", "ready", "Fails"])
def test_objects_of_a_module_in_the_working_directory(run, name):
    result = run("t.csv", *FIT, "--estimator", f"own_models:{name}")
    if name == "Fails":
        assert result.exit_code == 2
        assert "Fails raised KeyError: \"no column 'zeta'\"" in result.stderr
        assert not Path("elsewhere-report.html").exists()
    else:
        assert result.exit_code == 0
        assert "LogisticRegression: random rows 0." in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--estimator", "own_models:number"), "int has no method 'fit'"),
        (("--estimator", "own_models:maker"), "did you mean 'make'?"),
        (("--estimator", "nowhere:x"), "cannot be imported"),
        (("--estimator", "bosting"), "did you mean 'boosting'?"),
        (("--merge", "A"), "expected GROUP=FAMILY"),
        (("--merge", "Q=x"), "names 'Q', which is no group"),
        (("--duplicates", "drop"), "--duplicates is 'drop'"),
        (("--keep", "t.csv"), "--keep (t.csv) cannot be a folder"),
        (("--score", "a"), "together with --estimator"),
        (("--time", "site"), "cannot be read as dates"),
        (("--folds", "0"), "--folds is 0; expected at least 2"),
        (("--feature", "aa"), "did you mean 'a'?"),
    ],
)
def test_refusals_are_one_line(run, options, words):
    result = run("t.csv", *FIT, *options)
    assert result.exit_code == 2
    assert words in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.output
    assert not Path("elsewhere-report.html").exists()


def test_ctrl_c_keeps_finished_fits_and_the_next_run_goes_on(run, tmp_path):
    slow = tmp_path / "slow_models.py"
    slow.write_text(
        "import time\nfrom sklearn.linear_model import LogisticRegression\n"
        "class Slow(LogisticRegression):\n"
        "    def fit(self, X, y):\n        time.sleep(0.3)\n        return super().fit(X, y)\n"
    )
    command = [sys.executable, "-m", "elsewhere.cli.main", "audit", "t.csv", *FIT]
    command += ["--estimator", "slow_models:Slow", "--keep", "fits", "--out", "r.json"]
    program = "import sys; from elsewhere.cli.main import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", program, *command[3:]]
    started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.glob("fits/*.npz"))) < 2:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted" in said
    kept = len(list(tmp_path.glob("fits/*.npz")))
    assert kept >= 2
    assert not (tmp_path / "r.json").exists()
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    fits = json.loads((tmp_path / "r.json").read_text())["fits"]["n"]
    assert kept < fits == len(list(tmp_path.glob("fits/*.npz")))


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signals to hold back")
@pytest.mark.parametrize("after", ["at once", "a fit"])
def test_ctrl_c_of_a_terminal_reaches_worker_processes_too(run, tmp_path, after):
    """A terminal interrupts the whole group of processes: one line, however far they are."""
    (tmp_path / "slow_models.py").write_text(
        "import os, time\nfrom sklearn.linear_model import LogisticRegression\n"
        "class Slow(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        open(f'pid-{os.getpid()}', 'w').close()\n        time.sleep(0.3)\n"
        "        return super().fit(X, y)\n"
    )
    program = (
        "import sys; from elsewhere.audit import fitted; fitted.SMALL_WORK = 0\n"
        "from elsewhere.cli.main import app; app(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "audit", "t.csv", *FIT, "--jobs", "2"]
    command += ["--estimator", "slow_models:Slow", "--keep", "fits", "--out", "r.json"]
    started = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    needed = {"at once": ("pid-*", 2), "a fit": ("fits/*.npz", 2)}[after]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.glob(needed[0]))) < needed[1]:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert len(list(tmp_path.glob("pid-*"))) >= 2  # fits ran in processes of their own
    assert started.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted; nothing was written"
    assert "Traceback" not in said
    assert "Error" not in said
    assert not (tmp_path / "r.json").exists()
