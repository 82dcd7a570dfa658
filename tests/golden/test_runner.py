"""The runner of reference numbers finds what is there, and says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAPER = "31-geographic-disparity"


def run(root: Path) -> tuple[int, str]:
    """Run the reference numbers of another root in a process of their own."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            str(HERE / "test_golden.py"),
        ],
        env={**os.environ, "ELSEWHERE_GOLDEN": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one paper and no README or check."""
    (tmp_path / PAPER).mkdir()
    return tmp_path


def test_more_cases_of_the_same_kind_run_from_another_root(root: Path) -> None:
    source = HERE / PAPER / "region_accuracy_00.json"
    for number in ("01", "03", "117"):
        case = json.loads(source.read_text())
        order = list(range(len(case["region"])))[:: -1 if number == "03" else 1]
        for key in ("logits", "label_sets", "region", "income_group", "top1_hit", "top5_hit"):
            case[key] = [case[key][i] for i in order]
        if number == "117":
            del case["acc_by_income_top1"], case["acc_by_income_top5"]
        (root / PAPER / f"region_accuracy_{number}.json").write_text(json.dumps(case))
    (root / "99-not-yet").mkdir()
    (root / "notes").mkdir()
    status, text = run(root)
    assert status == 0, text
    others = [p for p in HERE.iterdir() if (p / "check.py").is_file() and p.name != PAPER]
    assert f"3 passed, {1 + len(others)} skipped" in text
    assert "99-not-yet: no check here yet" in text
    for each in others:
        assert f"no folder {each.name} under" in text


def test_wrong_numbers_and_files_without_a_function_fail(root: Path) -> None:
    source = HERE / PAPER / "region_accuracy_02.json"
    for number, wrong in enumerate(("hit", "mean", "difference")):
        case = json.loads(source.read_text())
        if wrong == "hit":
            case["top5_hit"][7] = not case["top5_hit"][7]
        elif wrong == "mean":
            case["acc_by_region_top1"]["Europe"] *= 1 + 1e-8
        else:
            case["disparity_top1_Europe_minus_Africa"] *= -1
        (root / PAPER / f"region_accuracy_{number}.json").write_text(json.dumps(case))
    shutil.copy(source, root / PAPER / "region_accuracy_3.json")
    shutil.copy(source, root / PAPER / "progress_00.json")
    status, text = run(root)
    assert status == 1, text
    assert "4 failed, 1 passed" in text
    assert "has no function progress for progress_00.json" in text


def test_a_folder_without_cases_fails(root: Path) -> None:
    (root / PAPER / "README.md").write_text("nothing")
    status, text = run(root)
    assert status == 1, text
    assert "holds no case" in text


def test_absent_papers_are_skipped_and_an_absent_root_fails(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    status, text = run(tmp_path / "other")
    assert status in (0, 5), text
    assert f"no folder {PAPER} under" in text
    status, text = run(tmp_path / "nowhere")
    assert status == 1, text
    assert "names no folder" in text
