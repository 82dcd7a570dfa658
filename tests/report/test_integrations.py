"""Model cards and MLflow: what arrives there, under which names, and what is left out."""

from __future__ import annotations

import json
import math
import posixpath
import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from factory import HOSTILE, NAN, gap_of, grouping_of, model_of, report_of

from elsewhere import GapReport
from elsewhere.core.errors import InputError
from elsewhere.report import SUFFIXES, log_report, render, to_model_card
from elsewhere.report import mlflow as module

# --- model card --------------------------------------------------------------------------------


def read_yaml(text):
    """Read the part of YAML that a model card uses: indented keys, list items, JSON scalars."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all(re.fullmatch(r"(?: {2})*(?:- )?[a-z-]+:(?: .+)?", line) for line in lines)

    def block(at, indent):
        found = [] if lines[at].lstrip().startswith("- ") else {}
        while at < len(lines):
            line = lines[at]
            depth = len(line) - len(line.lstrip())
            if depth < indent:
                break
            assert depth == indent, line
            if isinstance(found, list):
                assert line[depth : depth + 2] == "- "
                lines[at] = " " * (depth + 2) + line[depth + 2 :]
                item, at = block(at, depth + 2)
                found.append(item)
                continue
            if line[depth:].startswith("- "):
                break
            key, _, value = line.strip().partition(":")
            if value.strip():
                found[key], at = json.loads(value), at + 1
            else:
                inner = len(lines[at + 1]) - len(lines[at + 1].lstrip())
                found[key], at = block(at + 1, inner)
        return found, at

    found, at = block(0, 0)
    assert at == len(lines)
    return found


def named(*names, **options):
    return report_of([model_of("score", [grouping_of("site", names, **options)])])


def test_a_card_holds_both_sides_the_gap_and_the_next_group():
    report = report_of([model_of("score"), model_of("other", [grouping_of(mean=0.3)])])
    found = read_yaml(to_model_card(report))
    assert [entry["name"] for entry in found["model-index"]] == ["score", "other"]
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"]["name"] == "flights"
    assert result["task"]["name"] == "generalization by month"
    gap = report.gap
    values = {m["name"]: (m["type"], m["value"], m["args"]) for m in result["metrics"]}
    assert list(values) == [
        "roc_auc, here",
        "roc_auc, elsewhere",
        "roc_auc, gap",
        "roc_auc, gap of one more month",
    ]
    kind, value, limits = values["roc_auc, gap"]
    assert kind == "gap"
    np.testing.assert_allclose(value, gap.estimate, rtol=1e-9)
    np.testing.assert_allclose(
        [limits["low"], limits["high"], limits["level"]], [gap.low, gap.high, 0.95], rtol=1e-9
    )
    nxt = values["roc_auc, gap of one more month"][2]
    np.testing.assert_allclose([nxt["low"], nxt["high"]], [gap.next_low, gap.next_high], rtol=1e-9)
    assert values["roc_auc, here"][0] == "roc_auc"


def test_numbers_that_are_not_there_are_left_out():
    few = named("A", "B")
    (result,) = read_yaml(to_model_card(few))["model-index"][0]["results"]
    assert [m["name"].split(", ")[1] for m in result["metrics"]] == ["here", "elsewhere", "gap"]
    nothing = gap_of(NAN, NAN, here=NAN, reason="too few rows")
    grouping = replace(grouping_of("site", ["A", "B"]), gap=nothing)
    empty = report_of([model_of("score", [grouping])])
    assert "model-index: []" in to_model_card(empty)
    assert "NaN" not in to_model_card(empty).split("\n\n")[0]


def test_one_side_names_the_worst_group():
    report = named("A", "B", "C", two_sided=False)
    (result,) = read_yaml(to_model_card(report))["model-index"][0]["results"]
    assert [m["name"].split(", ", 1)[1] for m in result["metrics"]] == [
        "other groups",
        "lowest site",
        "gap",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name):
    grouping = grouping_of(f"site: {name}\n- x", [name, "B"], two_sided=False)
    report = report_of([model_of(f"m: {name}\n# x", [grouping])], table=f"t\n{name}")
    text = to_model_card(report)
    text.encode()
    found = read_yaml(text)
    assert found["model-index"][0]["name"].startswith("m: ")
    assert "\\n# x" in found["model-index"][0]["name"]
    for line in text.splitlines():
        assert line == "" or line.startswith(("#", " ", "model-index:"))


def test_yaml_libraries_read_the_same():
    text = to_model_card(named(*HOSTILE))
    assert yaml.safe_load(text) == read_yaml(text)


@pytest.mark.parametrize("value", [0.1, 1.0, -3e-12, 1e-5, 1e25, 0.0, 123456789012.0])
def test_numbers_are_numbers_in_every_yaml(value):
    gap = gap_of(value, 0.0, here=0.0)
    report = report_of([model_of("m", [replace(grouping_of("site", ["A", "B"]), gap=gap)])])
    written = re.search(r'name: "roc_auc, gap"\n +value: (.+)', to_model_card(report))[1]
    assert re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?", written)
    np.testing.assert_allclose(float(written), value, rtol=1e-9)


def test_the_section_holds_the_first_line_and_the_worst_groups():
    report = named(*(f"site|{i}" for i in range(30)))
    text = to_model_card(report)
    section = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    assert "## Generalization" in section
    assert any("gap 0.100 \\[" in line for line in section)
    rows = [line for line in section if line.startswith("| site\\|")]
    assert len(rows) == 10
    assert "The worst 10 of 30 groups." in section
    gaps = [float(row.split(" | ")[3].split(" ")[0]) for row in rows]
    assert gaps == sorted(gaps, reverse=True)


def test_the_ending_names_the_form():
    report = report_of()
    assert {".yaml", ".yml"} <= set(SUFFIXES)
    assert render(report, ".YAML") == render(report, ".yml") == to_model_card(report).encode()
    again = GapReport.from_json(report.to_json())
    assert to_model_card(again) == to_model_card(report)


# --- MLflow ------------------------------------------------------------------------------------


class FakeMlflow:
    """The public functions that are used, with the rules of MLflow's own validation."""

    def __init__(self, *, active=False):
        self.metrics, self.params, self.tags, self.texts = {}, {}, {}, {}
        self.calls, self.ended = [], []
        self.run = SimpleNamespace(info=SimpleNamespace(run_id="run-1")) if active else None

    def active_run(self):
        return self.run

    @contextmanager
    def start_run(self):
        self.run = SimpleNamespace(info=SimpleNamespace(run_id="run-2"))
        yield self.run
        self.ended.append(self.run.info.run_id)
        self.run = None

    def _name(self, name):
        assert self.run is not None
        assert re.fullmatch(r"[/\w.\- ]+", name), name
        assert len(name) <= 250
        assert posixpath.normpath(name) == name
        assert not name.startswith(("..", "/"))

    def log_metrics(self, metrics):
        assert len(metrics) <= 1000
        for name, value in metrics.items():
            self._name(name)
            assert type(value) is float
            assert math.isfinite(value)
            assert name.casefold() not in {known.casefold() for known in self.metrics}
            self.metrics[name] = value

    def log_params(self, params):
        assert len(params) <= 100
        for name, value in params.items():
            self._name(name)
            assert self.params.setdefault(name, value) == value
            assert len(value) <= 500

    def set_tags(self, tags):
        for name, value in tags.items():
            self._name(name)
            assert len(value) <= 5000
        self.tags |= tags

    def log_text(self, text, artifact_file):
        self._name(artifact_file)
        text.encode()
        self.texts[artifact_file] = text


def test_what_arrives():
    report = report_of([model_of("score"), model_of("other", [grouping_of(mean=0.3)])])
    mlflow = FakeMlflow(active=True)
    assert log_report(report, module=mlflow) == "run-1"
    gap = report.gap
    expected = {
        "here": gap.here,
        "elsewhere": gap.elsewhere,
        "gap": gap.estimate,
        "gap_low": gap.low,
        "gap_high": gap.high,
        "next_low": gap.next_low,
        "next_high": gap.next_high,
        "model/other/here": 0.8,
        "model/other/elsewhere": report.models[1].groupings[0].gap.elsewhere,
        "model/other/gap": 0.3,
    }
    for row in report.headline.rows:
        expected[f"group/{row.key[0][1]}"] = row.value
        expected[f"group_gap/{row.key[0][1]}"] = row.gap
    assert mlflow.metrics == expected
    assert mlflow.params["table"] == "flights"
    assert mlflow.params["table_sha256"] == "ab" * 32
    assert mlflow.params["setting.group"] == "month"
    assert mlflow.params["model"] == "score"
    assert mlflow.tags["elsewhere.answer"] == "gap"
    assert mlflow.tags["elsewhere.first_line"] == report.first_line()
    assert mlflow.tags["elsewhere.worst_group"] == "not distinguishable: 3 groups"
    assert sorted(mlflow.texts) == ["elsewhere/report.html", "elsewhere/report.json"]
    assert mlflow.texts["elsewhere/report.json"] == report.to_json()
    assert mlflow.texts["elsewhere/report.html"].startswith("<!doctype html>")
    assert mlflow.run is not None


def test_a_run_is_started_and_ended_where_none_is_active():
    mlflow = FakeMlflow()
    assert log_report(report_of(), module=mlflow) == "run-2"
    assert mlflow.ended == ["run-2"]


def test_no_number_is_skipped_and_a_lone_worst_group_is_a_metric():
    grouping = grouping_of("site", ["A", "B", "C"], two_sided=False)
    worst = max(grouping.rows, key=lambda row: row.gap)
    grouping = replace(grouping, worst=(worst.key,))
    mlflow = FakeMlflow()
    log_report(report_of([model_of("score", [grouping])]), module=mlflow)
    assert mlflow.metrics["worst"] == worst.value
    assert mlflow.tags["elsewhere.worst_group"] == worst.key[0][1]
    assert "next_low" not in mlflow.metrics
    assert len(mlflow.metrics) == 6 + 6


def test_hostile_names_are_accepted_and_distinct():
    mlflow = FakeMlflow()
    report = report_of([model_of("a", [grouping_of("site", HOSTILE)]), model_of("../../b\n")])
    log_report(report, module=mlflow)
    assert sum(name.startswith("group/") for name in mlflow.metrics) == len(HOSTILE)
    assert mlflow.metrics["model/.._.._b_n/gap"] == report.models[1].groupings[0].gap.estimate


def test_many_groups_go_in_bounded_calls_and_keep_their_names():
    names = [f"s/{i}" for i in range(700)]
    mlflow = FakeMlflow()
    report = report_of([model_of("a", [grouping_of("site", names)])])
    log_report(report, module=mlflow)
    logged = {n.removeprefix("group/") for n in mlflow.metrics if n.startswith("group/")}
    assert len(logged) == module.MAX_GROUPS
    rows = {f"s_{i}": row for i, row in enumerate(report.headline.rows)}
    shown = sorted(rows.values(), key=lambda row: -row.shrunk)[: module.MAX_GROUPS]
    assert {name for name, row in rows.items() if row in shown} == logged
    for name in logged:
        assert mlflow.metrics[f"group_gap/{name}"] == rows[name].gap


def test_names_do_not_depend_on_case_or_order_of_ranks():
    assert module.names(["a", "A", "a/", "", "...", "x" * 99]) == [
        "a",
        "A_2",
        "a_",
        "_",
        "__2",
        "x" * 36 + "_" + "x" * 23,
    ]


def test_prefix_and_folder():
    mlflow = FakeMlflow(active=True)
    log_report(report_of(), module=mlflow)
    other = report_of(level=0.9)
    with pytest.raises(AssertionError):
        log_report(other, module=mlflow)
    log_report(other, prefix="by month/", artifact_path="a/b", module=mlflow)
    assert mlflow.metrics["by month/gap"] == other.gap.estimate
    assert mlflow.params["by month/level"] == "0.9"
    assert mlflow.tags["by month/elsewhere.answer"] == "gap"
    assert "a/b/report.html" in mlflow.texts
    for prefix in ("../x/", "/x", "a//b", "a:b", "a\n"):
        with pytest.raises(InputError, match="prefix is"):
            log_report(other, prefix=prefix, module=FakeMlflow())
    for path in ("", "../x", "/x", ".", "a*b"):
        with pytest.raises(InputError, match="artifact_path is"):
            log_report(other, artifact_path=path, module=FakeMlflow())


def test_without_mlflow_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match="pip install mlflow"):
        log_report(report_of())
