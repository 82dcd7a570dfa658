"""Reference numbers of the papers: one runner for every folder of them.

The data lie in `ROOT/NN-slug/`: files `.json` and `.npz`, under `$ELSEWHERE_GOLDEN` or, without it,
beside this file. What to do with them stands in `NN-slug/check.py` beside this file: a function for
each kind of file, named as the file is without a trailing `_` and number (`loss_00.npz` and
`loss_01.npz` go to `loss`). It gets the path, asserts, and returns how many cases it found.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("ELSEWHERE_GOLDEN") or HERE)
KINDS = (".json", ".npz")
FOLDER = re.compile(r"\d+-[\w.-]+")


def papers(root: Path) -> set[str]:
    """Names of the folders of papers under a root."""
    return {p.name for p in root.iterdir() if p.is_dir() and FOLDER.fullmatch(p.name)}


def checks_of(paper: str) -> dict[str, Callable[[Path], int]]:
    """Functions of a paper's check.py by name."""
    where = HERE / paper / "check.py"
    spec = importlib.util.spec_from_file_location(
        f"golden_{paper.split('-', maxsplit=1)[0]}", where
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    }


def cases() -> Iterator[Any]:
    """Every data file of every paper, and the papers that have none or no check."""
    if not ROOT.is_dir():
        yield pytest.param("", None, id="root")
        return
    checked = {p for p in papers(HERE) if (HERE / p / "check.py").is_file()}
    present = papers(ROOT)
    for paper in sorted(checked | present):
        if paper not in present:
            yield skipped(paper, f"no folder {paper} under {ROOT}")
        elif paper not in checked:
            yield skipped(paper, "no check here yet")
        else:
            files = sorted(p for p in (ROOT / paper).iterdir() if p.suffix in KINDS)
            for path in files or [None]:
                name = f"{paper}-{path.name if path else 'empty'}"
                yield pytest.param(paper, path, id=name)


def skipped(paper: str, reason: str) -> Any:
    """A paper that is shown as skipped."""
    return pytest.param(paper, None, id=paper, marks=pytest.mark.skip(reason=f"{paper}: {reason}"))


@pytest.mark.parametrize(("paper", "path"), list(cases()))
def test_reference_numbers(paper: str, path: Path | None) -> None:
    assert paper, f"ELSEWHERE_GOLDEN names no folder: {ROOT}"
    assert path is not None, f"{ROOT / paper} holds no case: no {' or '.join(KINDS)} file"
    name = re.sub(r"_\d+$", "", path.stem)
    found = checks_of(paper)
    assert name in found, f"{paper}/check.py has no function {name} for {path.name}"
    n = found[name](path)
    assert n >= 1, f"{path} holds no case"
