"""Evaluation logs on the command line, and the example workflow."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from elsewhere import GapReport
from elsewhere.cli.main import app

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / "examples" / "github_action.yml").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, ["audit", *map(str, arguments)], catch_exceptions=False)

    return call


def write_eval(path, model, *, weak=0.4, template="plain", n=240):
    """An .eval file in which the category "sums" is answered worse."""
    g = np.random.default_rng(len(model) + ord(model[-1]) + len(template))
    samples = []
    for i in range(n):
        category = ["sums", "words", "maps"][i % 3]
        right = g.random() < (weak if category == "sums" else 0.85)
        samples.append(
            {
                "id": f"q{i}",
                "epoch": 1,
                "input": "?",
                "target": "B",
                "scores": {"choice": {"value": "C" if right else "I"}},
                "metadata": {"category": category},
            }
        )
    said = {"task": "quiz", "model": model, "task_args": {"template": template}}
    header = {"version": 2, "status": "success", "eval": said, "plan": {}}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(header))
        archive.writestr("summaries.json", json.dumps(samples))


def test_a_log_is_audited_by_category(run):
    write_eval("log.eval", "org/small")
    result = run(
        *("log.eval", "--target", "ideal", "--prediction", "org/small", "--group", "category"),
        *("--block", "sample", "--metric", "mean", "--out", "r.json"),
    )
    assert result.exit_code == 0, result.output
    assert "worst category sums" in result.stdout.splitlines()[0]
    report = GapReport.from_json(Path("r.json").read_text())
    assert report.table == "log.eval"
    assert report.n_rows == 240
    assert report.models[0].name == "org/small"


def test_a_folder_of_models_and_templates(run):
    for model, weak in (("org/small", 0.3), ("org/large", 0.85)):
        for template in ("plain", "polite"):
            path = f"logs/{model[4:]}-{template}.eval"
            write_eval(path, model, weak=weak, template=template)
    result = run(
        *("logs", "--target", "ideal", "--metric", "mean", "--block", "sample"),
        *("--prediction", "org/small", "--prediction", "org/large"),
        *("--group", "category", "--group", "task.template", "--out", "r.json"),
    )
    assert result.exit_code == 0, result.output
    report = GapReport.from_json(Path("r.json").read_text())
    assert report.n_rows == 480
    small, large = (model.groupings[0] for model in report.models)
    assert small.worst_text == "sums"
    assert len(large.worst) > 1
    assert [row.key[0][1] for row in report.models[0].groupings[1].rows] == ["plain", "polite"]
    assert report.comparisons[0].estimate < 0
    paired = run(
        *("logs", "--target", "ideal", "--metric", "mean", "--block", "sample", "--quiet"),
        *("--prediction", "org/large", "--group", "task.template", "--pair", "plain", "polite"),
    )
    assert paired.exit_code == 0


def test_lm_eval_samples_by_task(run):
    for task in ("law", "art", "maths"):
        lines = [
            {
                "doc_id": i,
                "doc": {"question": "?" * 300},
                "target": "1",
                "resps": [],
                "filtered_resps": [],
                "metrics": ["acc"],
                "filter": "none",
                "acc": float(i % 10 >= (6 if task == "maths" else 1)),
            }
            for i in range(120)
        ]
        path = Path("out/org__model", f"samples_{task}_2024-11-05T13-32-37.123456.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(
        *("out", "--target", "ideal", "--prediction", "org__model", "--group", "task"),
        *("--block", "sample", "--metric", "mean", "--fail-above", "0.3"),
    )
    assert result.exit_code == 1
    assert "other groups 0.900 · worst task maths 0.400" in result.stdout.splitlines()[0]


def test_a_model_that_is_not_there_is_refused_with_the_nearest(run):
    write_eval("log.eval", "org/small")
    result = run(
        *("log.eval", "--target", "ideal", "--prediction", "org/smal", "--group", "category"),
        *("--metric", "mean"),
    )
    assert result.exit_code == 2
    assert "did you mean 'org/small'?" in result.stderr
    assert "log.eval" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.eval", b"PK\x03\x04", "is not an .eval file"),
        ("cut.json", b'{"version": 2, "eval": {"task": ', "is not JSON"),
        ("other.json", b'{"a": 1}', "is JSON but no evaluation log"),
    ],
)
def test_bad_logs_leave_one_line_and_no_file(run, name, content, words):
    Path(name).write_bytes(content)
    result = run(name, "--target", "ideal", "--prediction", "m", "--group", "task")
    assert result.exit_code == 2
    assert words in result.stderr
    assert name in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not Path("elsewhere-report.html").exists()


# --- the example workflow ----------------------------------------------------------------------


def test_the_workflow_uses_only_actions_of_github():
    used = re.findall(r"uses: *(\S+)", WORKFLOW)
    assert {name.split("@")[0] for name in used} == {
        "actions/checkout",
        "actions/setup-python",
        "actions/upload-artifact",
    }
    assert all(re.fullmatch(r"[a-z/-]+@v\d+", name) for name in used)
    assert "\t" not in WORKFLOW


def test_the_workflow_is_yaml():
    steps = yaml.safe_load(WORKFLOW)["jobs"]["audit"]["steps"]
    assert sum("run" in step for step in steps) == 4


def test_the_audit_of_the_workflow_runs(run, table, capsys):
    table.rename(columns={"score": "p"}).to_csv("predictions.csv", index=False)
    command = re.search(r"elsewhere audit (.*?) \| tee", WORKFLOW, re.DOTALL)[1]
    words = shlex.split(command.replace("\\\n", " ").replace("$SIZE", "0.02"))
    Path("reports").mkdir()
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in Path("reports").iterdir()) == [
        "audit.html",
        "audit.json",
        "audit.xml",
        "model-card.yaml",
    ]
    code = re.search(r"<<'CODE'\n(.*?)^ +CODE$", WORKFLOW, re.DOTALL | re.MULTILINE)[1]
    ET.SubElement(
        (tree := ET.parse("reports/audit.xml")).find("testsuite/testcase"),
        "failure",
        message="a\nb",
    )
    tree.write("reports/audit.xml")
    exec("\n".join(line[10:] for line in code.splitlines()), {})
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "headline" in line]
    assert shown == "::error title=p by site%2C headline gap::a%0Ab"
