"""Several files at once: all new, or all as they were."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from elsewhere.core.errors import InputError
from elsewhere.core.files import write_together

OLD = {"report.html": b"old page", "report.json": b"old numbers"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in OLD.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def fail_at(monkeypatch: pytest.MonkeyPatch, nth: int, error: BaseException) -> None:
    """Let the nth file that is forced to the disk fail."""
    calls = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == nth:
            raise error
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def new(folder: Path) -> dict[Path, bytes]:
    return {folder / name: b"new " + name.encode() for name in (*OLD, "extra.csv")}


def test_all_files_are_written_and_nothing_else_is_left(folder: Path) -> None:
    write_together(new(folder))
    assert contents(folder) == {p.name: c for p, c in new(folder).items()}


def test_parent_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "report.json"
    write_together({target: b"x"})
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_leaves_old_files_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    fail_at(monkeypatch, nth, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(InputError, match="No space left on device") as caught:
        write_together(new(folder))
    assert str(list(new(folder))[nth - 1]) in caught.value.argument
    assert contents(folder) == OLD


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_interrupt_leaves_old_files_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    fail_at(monkeypatch, nth, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_together(new(folder))
    assert contents(folder) == OLD


def test_a_failure_while_names_are_taken_leaves_whole_files_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(InputError, match="Input/output error"):
        write_together(new(folder))
    found = contents(folder)
    assert set(found) == set(OLD)
    for name, content in found.items():
        assert content in (OLD[name], b"new " + name.encode())


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "taken").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_together({folder / "report.json": b"new", folder / "taken": b"x"})
    assert (folder / "report.json").read_bytes() == b"old numbers"
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json", "taken"]


def test_a_file_in_place_of_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_together({folder / "report.json": b"new", folder / "report.html" / "x": b"x"})
    assert contents(folder) == OLD


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write to read-only folders")
def test_a_read_only_folder_is_refused(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            write_together(new(folder))
        assert contents(folder) == OLD
    finally:
        folder.chmod(0o700)


def test_a_folder_without_permission_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refused(self: Path, mode: str = "r", *rest: object) -> object:
        if "x" in mode or "w" in mode:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, mode, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        with pytest.raises(InputError, match="Permission denied"):
            write_together(new(folder))
    assert contents(folder) == OLD


def test_long_names_of_files_are_written(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 250 + ".json")
    write_together({target: b"x"})
    assert target.read_bytes() == b"x"
