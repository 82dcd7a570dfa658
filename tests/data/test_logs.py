"""Evaluation logs: Inspect's two forms in several versions, lm-eval's lines, joins and refusals."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from elsewhere import audit
from elsewhere.core.errors import InputError
from elsewhere.data import Limits, open_table, read_logs
from elsewhere.data import logs as module
from elsewhere.data.logs import find_logs


def inspect_log(model="m/a", task="quiz", *, n=6, skill=2, epochs=1, run="", args=None, **changes):
    """An Inspect log of version 2: every `skill`-th sample is wrong."""
    samples = [
        {
            "id": i,
            "epoch": e,
            "input": f"Question {i}",
            "target": "AB"[i % 2],
            "messages": [{"role": "user", "content": "long " * 50}],
            "output": {"model": model, "choices": []},
            "scores": {"match": {"value": "I" if (i + e) % skill == 0 else "C", "answer": "A"}},
            "metadata": {
                "subject": ["law", "art"][i % 2],
                "level": i % 3,
                "origin": {"lang": "de", "deep": {"er": 1}},
                "tags": ["x"],
                "essay": "y" * 300,
            },
        }
        for e in range(1, epochs + 1)
        for i in range(1, n + 1)
    ]
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "run_id": "r",
            "task_id": run,
            "created": "2025-02-11T15:17:00-05:00",
            "task": task,
            "task_version": 0,
            "task_args": args or {},
            "dataset": {"name": "quiz", "samples": n},
            "model": model,
            "config": {},
        },
        "plan": {"name": "plan", "steps": []},
        "results": {"scores": [{"name": "match", "scorer": "match", "metrics": {}}]},
        "stats": {},
        "samples": samples,
        **changes,
    }


def as_json(path, log):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(log))
    return path


def as_eval(path, log, *, summaries="full", compression=zipfile.ZIP_DEFLATED, finished=True):
    """Write the zipped form: a header, one part a sample, and summaries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {k: v for k, v in log.items() if k != "samples"}
    parts = {"_journal/start.json": {k: header[k] for k in ("version", "eval", "plan")}}
    for s in log["samples"]:
        parts[f"samples/{s['id']}_epoch_{s['epoch']}.json"] = s
    kept = ["id", "epoch", "input", "target", "scores"] + ["metadata"] * (summaries == "full")
    rows = [{k: s[k] for k in kept if k in s} for s in log["samples"]]
    parts["_journal/summaries/1.json"] = rows
    if finished and summaries:
        parts["summaries.json"] = rows
    if finished:
        parts["header.json"] = header
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, value in parts.items():
            archive.writestr(name, json.dumps(value))
    return path


def as_zstd(path, parts):
    """Write a zip whose parts are compressed with Zstandard, byte by byte as the format says."""
    body, directory = b"", b""
    for name, value in parts.items():
        data, label = json.dumps(value).encode(), name.encode()
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        packed = sink.getvalue().to_pybytes()
        common = struct.pack(
            "<HHHHHIIIHH", 63, 0, 93, 0, 33, zlib.crc32(data), len(packed), len(data), len(label), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 63) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + label
        body += b"PK\x03\x04" + common + label + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(parts), len(parts), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


def line(i, *, doc=None, filtered="none", metrics=("acc", "acc_norm"), new=True, **scores):
    """A line of lm-eval, as newer versions write it or as older ones did."""
    found = {
        "doc_id": i,
        "doc": doc or {"question": "q" * 400, "subject": ["law", "art"][i % 2], "choices": ["a"]},
        "target": str(i % 4),
        "arguments": {"gen_args_0": {"arg_0": "prompt", "arg_1": " a"}},
        "resps": [[["-1.5", "False"]], [["-0.5", "True"]]],
        "filtered_resps": [["-1.5", "False"], ["-0.5", "True"]],
        **(scores or {"acc": float(i % 3 > 0), "acc_norm": float(i % 2)}),
    }
    if new:
        found |= {
            "filter": filtered,
            "metrics": list(metrics),
            "doc_hash": sha256(b"%d" % i).hexdigest(),
        }
    return found


DATE = "2024-11-05T13-32-37.123456"


def as_samples(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


# --- Inspect -----------------------------------------------------------------------------------


def test_an_inspect_log_becomes_a_row_a_sample(tmp_path):
    table = read_logs(as_json(tmp_path / "a.json", inspect_log()))
    expected = pd.DataFrame(
        {
            "task": "quiz",
            "id": range(1, 7),
            "epoch": 1,
            "sample": [f"quiz/{i}" for i in range(1, 7)],
            "ideal": 1,
            "m/a": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
            "target": list("BABABA"),
            "subject": ["art", "law"] * 3,
            "level": [1, 2, 0, 1, 2, 0],
            "origin.lang": "de",
        }
    )
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    assert table["ideal"].dtype == table["id"].dtype == np.int64


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("C", 1.0),
        ("I", 0.0),
        ("P", 0.5),
        ("N", 0.0),
        ("yes", 1.0),
        ("False", 0.0),
        ("0.25", 0.25),
        (True, 1.0),
        (7, 7.0),
        (0.3, 0.3),
        (math.nan, math.nan),
        (math.inf, math.nan),
        (10**400, math.nan),
        ("c", math.nan),
        ("refused", math.nan),
        (None, math.nan),
    ],
)
def test_values_of_scores(tmp_path, value, number):
    log = inspect_log(n=2)
    log["samples"][0]["scores"]["match"]["value"] = value
    found = read_logs(as_json(tmp_path / "a.json", log))["m/a"].tolist()
    np.testing.assert_equal(found, [number, 1.0])


@pytest.mark.parametrize("summaries", ["full", "bare", ""])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_zipped_form_says_the_same(tmp_path, summaries, compression):
    log = inspect_log(epochs=2)
    plain = read_logs(as_json(tmp_path / "a.json", log))
    path = as_eval(tmp_path / "a.eval", log, summaries=summaries, compression=compression)
    pd.testing.assert_frame_equal(read_logs(path), plain)


def test_a_run_that_broke_off_is_read_from_its_samples(tmp_path):
    log = inspect_log()
    path = as_eval(tmp_path / "a.eval", log, finished=False)
    plain = read_logs(as_json(tmp_path / "a.json", log))
    pd.testing.assert_frame_equal(read_logs(path), plain)


def test_zstandard_and_samples_in_pieces(tmp_path):
    log = inspect_log()
    parts = {"header.json": {k: v for k, v in log.items() if k != "samples"}}
    for s in log["samples"]:
        shell = {k: v for k, v in s.items() if k not in ("metadata", "messages")}
        at = f"samples/{s['id']}_epoch_{s['epoch']}"
        parts |= {f"{at}/sample.json": shell, f"{at}/metadata.json": s["metadata"]}
        parts[f"{at}/messages/0.json"] = s["messages"]
    plain = read_logs(as_json(tmp_path / "a.json", log))
    path = as_zstd(tmp_path / "a.eval", parts)
    pd.testing.assert_frame_equal(read_logs(path), plain)
    broken = bytearray(path.read_bytes())
    broken[60] ^= 255
    path.write_bytes(broken)
    with pytest.raises(InputError, match=r"header\.json.*cannot be unpacked"):
        read_logs(path)


def test_several_scorers_scores_in_parts_and_the_first_that_is_a_number(tmp_path):
    log = inspect_log(n=3)
    for i, s in enumerate(log["samples"]):
        s["scores"] = {
            "note": {"value": "free text"},
            "steps": {"value": [1, 2]},
            "judge": {"value": {"fluent": i, "true": i == 1}},
            "match": {"value": "C"},
        }
    table = read_logs(as_json(tmp_path / "a.json", log))
    assert table["m/a"].tolist() == table["m/a:judge/fluent"].tolist() == [0, 1, 2]
    assert table["m/a:judge/true"].tolist() == [0, 1, 0]
    assert table["m/a:match"].tolist() == [1, 1, 1]
    assert table["m/a:note"].isna().all()
    assert "m/a:steps" not in table


def test_a_sample_from_before_scorers_had_names(tmp_path):
    log = inspect_log(n=1)
    log["samples"][0].pop("scores")
    log["samples"][0]["score"] = {"value": "P"}
    assert read_logs(as_json(tmp_path / "a.json", log))["m/a"].tolist() == [0.5]


def test_samples_declared_invalid_or_failed_have_no_score(tmp_path):
    log = inspect_log(n=3, skill=9, invalidated=True)
    log["samples"][0]["invalidation"] = {"author": "me", "timestamp": "2025-01-01T00:00:00+00:00"}
    log["samples"][1].update(error={"message": "time-out"}, scores=None)
    for path in (as_json(tmp_path / "a.json", log), as_eval(tmp_path / "b.eval", log)):
        np.testing.assert_equal(read_logs(path)["m/a"].to_numpy(), [math.nan, math.nan, 1.0])


def test_settings_of_a_task_are_templates(tmp_path):
    for i, template in enumerate(("plain", "polite")):
        args = {"template": template, "shots": [1, 2], "long": "z" * 900, "none": None}
        as_json(tmp_path / f"{i}.json", inspect_log(args=args, skill=2 + i))
    table = read_logs(tmp_path)
    assert len(table) == 12
    assert table["task.template"].tolist() == ["plain"] * 6 + ["polite"] * 6
    assert table["task.shots"].unique().tolist() == ["[1, 2]"]
    assert table["task.long"].str.startswith("sha256:").all()
    assert table["sample"].value_counts().unique().tolist() == [2]


def test_fields_called_like_columns_of_every_table(tmp_path):
    log = inspect_log(n=2)
    for s in log["samples"]:
        s["metadata"] = {"task": "t", "m/a": 3, "epoch": 9, "task.x": "meta"}
    log["eval"]["task_args"] = {"x": "arg"}
    table = read_logs(as_json(tmp_path / "a.json", log))
    assert table["epoch"].tolist() == [1, 1]
    assert table["metadata.epoch"].tolist() == [9, 9]
    assert table["metadata.m/a"].tolist() == [3, 3]
    assert table["task.x"].tolist() == ["arg", "arg"]
    assert table["metadata.task.x"].tolist() == ["meta", "meta"]


def test_kinds_of_fields(tmp_path):
    log = inspect_log(n=3)
    given = {
        "whole": [1, 2, 3],
        "real": [1, 2.5, None],
        "flag": [True, False, True],
        "mixed": ["a", 1, True],
        "gone": [None, None, math.nan],
        "huge": [10**30, 1, 2],
        "cut": ["a", "b", "Key removed from summary (> 1k)"],
    }
    for i, s in enumerate(log["samples"]):
        s["metadata"] = {name: values[i] for name, values in given.items()}
    table = read_logs(as_json(tmp_path / "a.json", log))
    assert [table[n].dtype.kind for n in ("whole", "real", "flag")] == ["i", "f", "b"]
    assert table["mixed"].tolist() == ["a", "1", "True"]
    assert table["huge"].tolist() == [str(10**30), "1", "2"]
    assert not {"gone", "cut"} & set(table.columns)


# --- lm-eval -----------------------------------------------------------------------------------


def test_lm_eval_lines(tmp_path):
    path = tmp_path / "org__model" / f"samples_mmlu_law_{DATE}.jsonl"
    table = read_logs(as_samples(path, [line(i) for i in range(4)]))
    assert table.columns.tolist() == [
        *("task", "id", "epoch", "sample", "ideal", "org__model", "org__model:acc"),
        *("org__model:acc_norm", "target", "subject"),
    ]
    assert table["task"].unique().tolist() == ["mmlu_law"]
    assert table["org__model"].tolist() == [0, 1, 1, 0]
    assert table["org__model:acc_norm"].tolist() == [0, 1, 0, 1]
    assert table["sample"].str.len().unique().tolist() == [16]


def test_the_model_is_named_by_the_results_of_the_same_run(tmp_path):
    path = as_samples(tmp_path / f"samples_t_{DATE}.jsonl", [line(0)])
    (tmp_path / f"results_{DATE}.json").write_text(json.dumps({"model_name": "org/model"}))
    assert "org/model" in read_logs(path)
    (tmp_path / f"results_{DATE}.json").write_text("{broken")
    assert tmp_path.name in read_logs(path)


def test_older_lines_without_metrics_filter_and_hash(tmp_path):
    lines = [line(i, new=False, acc=i == 1, f1=[1, 0], note="x") for i in range(2)]
    table = read_logs(as_samples(tmp_path / "old" / "samples_t.jsonl", lines))
    assert table["old"].tolist() == [0, 1]
    assert table["sample"].tolist() == ["t/0", "t/1"]
    assert table["task"].tolist() == ["t", "t"]


def test_lines_of_several_filters_are_one_sample(tmp_path):
    lines = [
        line(i, filtered=f, metrics=["exact_match"], exact_match=float(i == hit))
        for f, hit in (("strict-match", 0), ("flexible-extract", 1))
        for i in range(2)
    ]
    path = tmp_path / "m" / f"samples_gsm8k_{DATE}.jsonl"
    table = read_logs(as_samples(path, lines))
    assert table["m"].tolist() == table["m:exact_match,strict-match"].tolist() == [1, 0]
    assert table["m:exact_match,flexible-extract"].tolist() == [0, 1]
    with pytest.raises(InputError, match=r"line 5 gives 'exact_match,strict-match' of doc_id 0"):
        read_logs(as_samples(path, [*lines, lines[0]]))


def test_templates_of_one_data_set_share_their_samples(tmp_path):
    for task in ("plain", "polite"):
        as_samples(tmp_path / f"samples_{task}_{DATE}.jsonl", [line(i) for i in range(3)])
    table = read_logs(tmp_path)
    assert table["sample"].nunique() == 3
    assert len(table) == 6


# --- several logs ------------------------------------------------------------------------------


def test_models_are_columns_joined_by_sample(tmp_path):
    as_eval(tmp_path / "x" / "a.eval", inspect_log("m/a", epochs=2))
    shorter = inspect_log("m/b", epochs=2, skill=3)
    shorter["samples"] = [s for s in reversed(shorter["samples"]) if s["id"] != 4]
    as_json(tmp_path / "y" / "b.json", shorter)
    as_samples(tmp_path / "org__c" / f"samples_t_{DATE}.jsonl", [line(0)])
    (tmp_path / "notes.json").write_text('{"other": 1}')
    (tmp_path / ".hidden.eval").write_text("")
    table = read_logs(tmp_path)
    assert len(table) == 13
    naive = {}
    for model, log in (("m/a", inspect_log("m/a", epochs=2)), ("m/b", shorter)):
        for s in log["samples"]:
            naive[s["id"], s["epoch"], model] = float(s["scores"]["match"]["value"] == "C")
    quiz = table[table["task"] == "quiz"]
    for model in ("m/a", "m/b"):
        keys = zip(quiz["id"], quiz["epoch"], strict=True)
        expected = [naive.get((*key, model), math.nan) for key in keys]
        np.testing.assert_equal(quiz[model].to_numpy(), expected)
        assert quiz[model].nunique() == 2
    assert quiz["m/b"].isna().sum() == 2
    assert table["org__c"].notna().sum() == 1
    parts = [tmp_path / "y", tmp_path / "org__c", str(tmp_path / "x" / "*.eval")]
    columns = sorted(table.columns)
    pd.testing.assert_frame_equal(read_logs(parts)[columns], table[columns])


def test_the_score_of_a_model_is_the_same_one_for_all(tmp_path):
    first, second = inspect_log("m/a", n=2), inspect_log("m/b", n=2)
    for log, value in ((first, "unclear"), (second, 0.25)):
        for s in log["samples"]:
            s["scores"] = {"judge": {"value": value}, "match": {"value": "C"}}
    as_json(tmp_path / "a.json", first)
    as_json(tmp_path / "b.json", second)
    table = read_logs(tmp_path)
    assert table["m/a"].isna().all()
    assert table["m/b"].tolist() == [0.25, 0.25]


def test_formats_with_tasks_of_one_name_keep_their_scores_apart(tmp_path):
    as_json(tmp_path / "a.json", inspect_log("m/a", "t", n=4, skill=3))
    one = [line(i, metrics=("acc",), acc=float(i != 2)) for i in range(1, 5)]
    as_samples(tmp_path / "org__c" / f"samples_t_{DATE}.jsonl", one)
    as_samples(tmp_path / "m" / f"samples_t_{DATE}.jsonl", one)
    table = read_logs(tmp_path)
    assert len(table) == 8
    assert table["epoch"].eq(1).all()
    assert table["m/a"].dropna().tolist() == [1, 0, 1, 1]
    for model in ("org__c", "m"):
        assert table[model].dropna().tolist() == [1, 0, 1, 1]
        assert f"{model}:acc" not in table
    assert (table["m/a"].notna() != table["m"].notna()).all()
    pd.testing.assert_series_equal(table["m"], table["org__c"], check_names=False)


def test_a_score_that_is_not_the_one_of_its_task_has_a_column(tmp_path):
    first, second = inspect_log("m/a", n=2), inspect_log("m/b", n=2)
    for s in second["samples"]:
        s["scores"] = {"judge": {"value": 0.25}}
    as_json(tmp_path / "a.json", first)
    as_json(tmp_path / "b.json", second)
    table = read_logs(tmp_path)
    assert table["m/b"].isna().all()
    assert table["m/b:judge"].tolist() == [0.25, 0.25]
    assert "m/a:match" not in table


def test_fields_that_differ_between_logs_are_no_groups(tmp_path):
    for model in ("m/a", "m/b"):
        log = inspect_log(model, n=2)
        for s in log["samples"]:
            s["metadata"] |= {"tries": len(model) + (model == "m/b"), "late": None}
        log["samples"][0]["metadata"]["late"] = "x" if model == "m/b" else None
        as_json(tmp_path / f"{model[-1]}.json", log)
    table = read_logs(tmp_path)
    assert "tries" not in table
    assert table["late"].isna().tolist() == [False, True]
    assert table["late"][0] == "x"
    assert "subject" in table


def test_the_newest_try_of_a_run_counts(tmp_path):
    old = inspect_log(run="abc", n=3, skill=99, status="error")
    new = inspect_log(run="abc", n=6)
    new["eval"]["created"] = "2025-02-12T15:17:00-05:00"
    as_json(tmp_path / "2.json", old)
    as_json(tmp_path / "1.json", new)
    assert read_logs(tmp_path)["m/a"].tolist() == [0, 1, 0, 1, 0, 1]


def test_two_answers_to_one_sample_are_refused(tmp_path):
    for name in ("a", "b"):
        as_json(tmp_path / f"{name}.json", inspect_log(run=name))
    with pytest.raises(InputError, match=r"b\.json answers sample 1 .* as does .*a\.json"):
        read_logs(tmp_path)


def test_file_names_do_not_matter(tmp_path):
    for name, model in (("1", "m/a"), ("2", "m/b")):
        as_json(tmp_path / "p" / f"{name}.json", inspect_log(model))
        as_json(tmp_path / "q" / f"{3 - int(name)}.json", inspect_log(model))
    first, second = read_logs(tmp_path / "p"), read_logs(tmp_path / "q")
    pd.testing.assert_frame_equal(first, second[first.columns])


# --- as a table of an audit --------------------------------------------------------------------


def test_open_table_knows_logs(tmp_path):
    path = as_eval(tmp_path / "run" / "a.eval", inspect_log())
    table = open_table(path)
    assert table.name == "a.eval"
    assert table.load(["m/a"])["m/a"].tolist() == [0, 1, 0, 1, 0, 1]
    assert open_table(tmp_path / "run").name == "run"
    assert open_table([path]).content_hash() == table.content_hash()
    plain = tmp_path / "samples_plain.jsonl"
    plain.write_text('{"doc_id": 1, "y": 2}\n')
    assert open_table(plain).names == ("doc_id", "y")
    with pytest.raises(InputError, match="at most 3"):
        open_table(path, limits=Limits(rows=3))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="is an empty folder"):
        open_table(empty)


def test_an_audit_of_logs_finds_the_weak_subject(tmp_path):
    g = np.random.default_rng(3)
    for model in ("m/a", "m/b"):
        log = inspect_log(model, n=400)
        for s in log["samples"]:
            subject = ["law", "art", "bio", "maths"][s["id"] % 4]
            s["metadata"]["subject"] = subject
            right = g.random() < (0.5 if subject == "maths" and model == "m/a" else 0.9)
            s["scores"]["match"]["value"] = "C" if right else "I"
        as_eval(tmp_path / f"{model[-1]}.eval", log)
    report = audit(
        tmp_path,
        target="ideal",
        prediction=["m/a", "m/b"],
        group="subject",
        block="sample",
        metric="mean",
    )
    assert report.headline.worst_text == "maths"
    assert report.models[1].groupings[0].gap.estimate < 0.1 < report.gap.estimate
    table = read_logs(tmp_path)
    means = table.groupby("subject")["m/a"].mean()
    for row in report.headline.rows:
        np.testing.assert_allclose(row.value, means[row.key[0][1]], rtol=1e-12)


def test_missing_samples_are_dropped_when_asked(tmp_path):
    log = inspect_log("m/b", n=40)
    as_json(tmp_path / "a.json", inspect_log("m/a", n=40))
    log["samples"] = log["samples"][:30]
    as_json(tmp_path / "b.json", log)
    roles = {"target": "ideal", "prediction": "m/b", "group": "subject", "metric": "mean"}
    with pytest.raises(InputError, match="misses 10 of 40"):
        audit(tmp_path, **roles)
    assert audit(tmp_path, drop_missing=True, **roles).n_rows == 30


# --- bad logs ----------------------------------------------------------------------------------


def raw(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.json", b'{"version": 2, "eval": {"task": "t"', "is not JSON"),
        ("a.json", b'{"version": 2, "eval": ' + b"[" * 100_000, "is not JSON"),
        ("a.json", b'{"version": 2, "eval": "\xff"}', "not UTF-8"),
        ("a.json", b'{"version": 2, "eval": {"task": "t"}}', "names no task and model"),
        ("a.json", b'{"version": 2, "eval": {"task": "t", "model": "m"}}', "holds no samples"),
        (
            "a.json",
            b'{"version": 2, "eval": {"task": "t", "model": "m"}, "samples": {"a": 1}}',
            "no list of samples",
        ),
        (
            "a.json",
            b'{"version": 2, "eval": {"task": "t", "model": "m"}, "samples": [3]}',
            "the id None",
        ),
        ("a.json", b'{"other": 1}', "is no evaluation log"),
        ("a.csv", b"a,b\n1,2\n", "is no evaluation log"),
        ("a.eval", b"PK\x03\x04 cut", r"is not an \.eval file"),
        ("a.eval", b"", r"is not an \.eval file"),
        (
            "a.jsonl",
            json.dumps(line(0)).encode() + b'\n{"doc_id": 2}\n',
            "line 2 is no sample of lm-eval",
        ),
        ("a.jsonl", json.dumps(line(0)).encode() + b"\n{broken\n", "line 2 is not JSON"),
        ("a.jsonl", json.dumps({**line(0), "doc_id": None}).encode(), "has the doc_id None"),
    ],
)
def test_malformed_logs_are_named(tmp_path, name, data, words):
    with pytest.raises(InputError, match=words) as caught:
        read_logs(raw(tmp_path / name, data))
    assert name in str(caught.value)
    assert "expected" in str(caught.value)


def test_absent_and_empty_paths(tmp_path):
    with pytest.raises(InputError, match="is no evaluation log"):
        read_logs(tmp_path / "none.eval")
    with pytest.raises(InputError, match="is a folder without logs"):
        read_logs(tmp_path)
    good = as_json(tmp_path / "a.json", inspect_log())
    with pytest.raises(InputError, match=r"none\.eval does not exist"):
        read_logs([good, tmp_path / "none.eval"])
    with pytest.raises(InputError, match="the list of logs"):
        read_logs([])


def test_a_zip_without_header_or_with_damage(tmp_path):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(InputError, match=r"has no header\.json"):
        read_logs(path)
    data = bytearray(as_eval(path, inspect_log(), compression=zipfile.ZIP_STORED).read_bytes())
    at = data.rindex(b'"success"')
    data[at + 1 : at + 3] = b"zz"
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_logs(raw(path, bytes(data)))


def test_zip_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 2**20)
    log = inspect_log()
    paths = [
        as_eval(tmp_path / f"b{name}.eval", log, summaries=name) for name in ("full", "bare", "")
    ]
    for path in paths:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("samples/9_epoch_1.json", b"[" * (2**20 + 1))
        assert path.stat().st_size < 2**14
    assert len(read_logs(paths[0])) == 6  # The summaries say enough.
    for path in paths[1:]:
        with pytest.raises(InputError, match=r"samples/9_epoch_1\.json' unpacks to 1048577 bytes"):
            read_logs(path)
    monkeypatch.setattr(module, "MAX_UNPACKED_BYTES", 3_000)
    with pytest.raises(InputError, match="and 3000 in all"):
        read_logs(as_eval(tmp_path / "c.eval", log, summaries=""))


def test_a_part_that_lies_about_its_size(tmp_path):
    parts = {"header.json": inspect_log()}
    path = as_zstd(tmp_path / "a.eval", parts)
    data = path.read_bytes()
    size = struct.pack("<I", len(json.dumps(parts["header.json"]).encode()))
    path.write_bytes(data.replace(size, struct.pack("<I", 50)))
    with pytest.raises(InputError, match="another than stated"):
        read_logs(path)


def test_names_inside_an_archive_reach_no_file(tmp_path):
    log = inspect_log(n=1)
    path = as_eval(tmp_path / "in" / "a.eval", log, summaries="")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.json", "{}")
        archive.writestr("/samples/9_epoch_1.json", json.dumps(log["samples"][0]))
    before = sorted(tmp_path.rglob("*"))
    assert len(read_logs(path)) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_JSON_BYTES", 10, "bytes; expected at most 10"),
        ("MAX_FILES", 0, "holds 1 logs"),
        ("MAX_FIELDS", 1, "fields of samples"),
        ("MAX_SAMPLES", 2, "one sample too many"),
    ],
)
def test_limits(tmp_path, monkeypatch, name, value, words):
    monkeypatch.setattr(module, name, value)
    with pytest.raises(InputError, match=words):
        read_logs(as_json(tmp_path / "a.json", inspect_log()))


def test_a_model_called_like_a_column(tmp_path):
    with pytest.raises(InputError, match="is called 'task'"):
        read_logs(as_json(tmp_path / "a.json", inspect_log("task")))


def test_long_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 5_000)
    path = as_samples(tmp_path / "a.jsonl", [line(0), line(1, doc={"q": "x" * 6_000})])
    with pytest.raises(InputError, match="line 2 has more than 5000 bytes"):
        read_logs(path)


def test_find_logs_reads_nothing_else(tmp_path):
    as_json(tmp_path / "a.json", inspect_log())
    (tmp_path / "results.json").write_text('{"results": {}, "eval": 1}')
    (tmp_path / "table.csv").write_text("a\n1\n")
    assert [p.name for p in find_logs(tmp_path)] == ["a.json"]
    assert find_logs(Path("no such file")) == ()
