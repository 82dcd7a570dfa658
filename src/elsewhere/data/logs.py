"""Evaluation logs in: Inspect's and lm-eval's, as one table of scores with a column a model."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from elsewhere.core.errors import InputError
from elsewhere.core.untyped import untyped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from elsewhere.core.arrays import Objects

Paths: TypeAlias = "str | Path | Sequence[str | Path]"
Plain: TypeAlias = str | int | float | bool
Setting: TypeAlias = tuple[tuple[str, Plain], ...]

RESERVED = ("task", "id", "epoch", "sample", "ideal", "target")
"""Columns that every table of logs has; a field of the same name is called `metadata.<name>`."""

MAX_FILES = 10_000
"""Logs of one table."""

MAX_JSON_BYTES = 512 * 2**20
"""Size of a log that has to be parsed as a whole."""

MAX_ARCHIVE_BYTES = 8 * 2**30
"""Size of an .eval file."""

MAX_MEMBER_BYTES = 128 * 2**20
"""Unpacked size of one part of an .eval file, and length of a line."""

MAX_UNPACKED_BYTES = 4 * 2**30
"""Unpacked size of all parts that are read of one .eval file."""

MAX_SAMPLES = 5_000_000
"""Samples of all logs together."""

MAX_FIELDS = 1_000
"""Fields of samples that become columns."""

MAX_TEXT = 200
"""Characters of a text that can be a group; a field with longer ones is left out."""

_ZSTANDARD = 93
"""Number of the compression that newer .eval files use; zipfile knows it from Python 3.14 on."""

_REMOVED = "Key removed from summary (> 1k)"
"""What Inspect writes in place of a value that is too long for a summary."""

_WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_LOWER_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}

_SAMPLES_NAME = re.compile(r"samples_(.+?)(?:_(\d{4}-\d\d-\d\dT[\d.\-]+))?\.jsonl")

_LINE_KEYS = frozenset(
    {
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
        "schema_version",
    }
)
"""Keys of an lm-eval line that are no scores."""


def read_logs(paths: Paths) -> pd.DataFrame:
    """Read evaluation logs as one table: a row a sample, a column of scores a model.

    Inspect logs (`.eval`, `.json`) and lm-eval samples (`samples_<task>_<date>.jsonl`) may be
    mixed. Logs of several models are joined on format, task, settings of the task, sample and
    epoch.

    Args:
        paths: A log, a folder that is searched for logs, a pattern such as "logs/*.eval", or
            several of these.

    Returns:
        One row a sample of a task and epoch, sorted. Columns that are always there: `task`; `id`
        (the sample within the task); `epoch` (from 1); `sample`, what identifies the sample over
        tasks, settings, epochs and models, the block of an audit, since answers to one question
        belong together (task and id for Inspect; the hash of the document for lm-eval, so that
        templates of one data set share it); `ideal`, 1 everywhere, for audits, which ask for a
        target; `target`, the right answer as text, where it is short. Then one column a model,
        named as the model: its first score that is a number (Inspect's C, P, I and N are 1, .5, 0
        and 0; what is not a number, or not there, is NaN); `<model>:<score>` for each score, where
        a model has several, or one that is not the first of its task; `task.<name>` for settings
        of the task; then metadata of the sample (Inspect) or fields of the document (lm-eval), one
        level deep (`a.b`), where values are short and the same in all logs.

    Raises:
        InputError: A path that does not exist or holds no log, a log that is cut off, malformed
            or too large, or two logs that answer the same sample by the same model. Of Inspect
            logs with one task id (tries of the same run) the newest successful one counts.

    Cost: one pass over each log; an `.eval` file with summaries is read without its transcripts.
        Memory of one parsed log (for `.eval` and lm-eval, of one part or line) and the table.

    Example:
        >>> import json, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> sample = {"id": 1, "epoch": 1, "target": "B", "metadata": {"subject": "law"},
        ...           "scores": {"choice": {"value": "C"}}}
        >>> log = {"version": 2, "eval": {"task": "bar", "model": "m/1"}, "samples": [sample]}
        >>> _ = (folder / "log.json").write_text(json.dumps(log))
        >>> read_logs(folder)[["sample", "ideal", "m/1", "subject"]].to_dict("records")
        [{'sample': 'bar/1', 'ideal': 1, 'm/1': 1.0, 'subject': 'law'}]
    """
    files = find_logs(paths)
    if not files:
        raise InputError(
            _shown(paths),
            "is no evaluation log" if not _is_folder(paths) else "is a folder without logs",
            "Inspect logs (.eval, .json) or lm-eval samples (samples_*.jsonl)",
            "run lm-eval with its option log_samples, or inspect log convert",
        )
    logs = [log for path in files for log in _read(path)]
    logs = [log for log in _newest(logs) if log.answers]
    if not logs:
        raise InputError(
            _shown(paths),
            "holds no samples",
            "logs with at least one sample",
            "check the log's status; Inspect leaves samples out if log_samples is off",
        )
    return _table(logs)


def find_logs(paths: Paths) -> tuple[Path, ...]:
    """Find the files that are evaluation logs, by ending and first bytes.

    Args:
        paths: As for `read_logs`.

    Returns:
        Files in order of their names; empty where a single path is something else.

    Raises:
        InputError: A path that does not exist, is no log among several, or too many files.
    """
    given = (paths,) if isinstance(paths, str | Path) else tuple(paths)
    found: list[Path] = []
    for one in given:
        path = Path(one)
        if path.is_dir():
            here = [p for p in _walk(path) if _is_log(p)]
        elif path.is_file():
            here = [path] if _is_log(path) else []
        else:
            names = sorted(glob.glob(str(one)))  # noqa: PTH207 (Path.glob takes no absolute ones)
            here = [Path(name) for name in names if _is_log(Path(name))]
        if not here and len(given) > 1:
            problem = "is no evaluation log" if path.exists() else "does not exist"
            raise InputError(str(one), problem, "an Inspect or lm-eval log", "check the path")
        found += here
    if len(found) > MAX_FILES:
        raise InputError(
            _shown(paths), f"holds {len(found)} logs", f"at most {MAX_FILES}", "a narrower folder"
        )
    return tuple(dict.fromkeys(found))


def _shown(paths: Paths) -> str:
    """Name what was given, in messages."""
    if isinstance(paths, str | Path):
        return str(paths)
    shown = ", ".join(str(path) for path in list(paths)[:3])
    return shown + (", ..." if len(paths) > 3 else "") if paths else "the list of logs"


def _is_folder(paths: Paths) -> bool:
    return isinstance(paths, str | Path) and Path(paths).is_dir()


def _walk(folder: Path) -> Iterator[Path]:
    """List the files under a folder in order; links to folders and hidden names are passed over."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _is_log(path: Path) -> bool:
    """Recognise a log by its ending and first bytes, without reading it."""
    suffix = path.suffix.lower()
    if suffix not in (".eval", ".json", ".jsonl") or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.readline(2**16) if suffix == ".jsonl" else stream.read(4096).lstrip()
            if suffix == ".json":
                return head.startswith(b"{") and b'"eval"' in head and b'"version"' in head
            if suffix == ".jsonl" and b'"doc_id"' in head:
                cut = not head.endswith(b"\n")
                rest = stream.readline(MAX_MEMBER_BYTES) if cut else b""
                return _is_line(json.loads(head + rest))
    except (OSError, ValueError, RecursionError):
        return False  # Whoever asks next says what is wrong with it.
    return suffix == ".eval"


def _is_line(record: Any) -> bool:
    """Whether a record has what every line of lm-eval has."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("doc"), dict)  # pyright: ignore[reportUnknownMemberType]
        and "doc_id" in record
        and ("resps" in record or "filtered_resps" in record)
    )


# --- what a log holds --------------------------------------------------------------------------


@dataclass
class _Answer:
    """What a model scored on one sample.

    Args:
        id: The sample within its task.
        epoch: Which repetition, from 1.
        sample: Identity over tasks, settings and models.
        scores: Numbers by score.
        fields: Values of the sample by field; None where there is none, `_UNFIT` where it is
            long or nested.
    """

    id: str | int
    epoch: int
    sample: str
    scores: dict[str, float]
    fields: dict[str, Any]


@dataclass
class _Log:
    """One model's answers to one task.

    Args:
        path: Where they come from.
        format: "Inspect" or "lm-eval"; samples and scores of one are none of the other's.
        model: Name of the model.
        task: Name of the task.
        setting: Arguments of the task.
        run: What tries of the same run share; empty where the log does not say.
        rank: Larger for the try that counts.
        answers: One entry a sample and epoch.
    """

    path: Path
    format: str
    model: str
    task: str
    setting: Setting = ()
    run: str = ""
    rank: tuple[bool, float] = (False, 0.0)
    answers: list[_Answer] = field(default_factory=list[_Answer])


class _Unfit:
    """Stands for a value that is too long or nested to be a group."""


_UNFIT = _Unfit()


def _read(path: Path) -> list[_Log]:
    """Read one file."""
    size = path.stat().st_size
    suffix = path.suffix.lower()
    limit = MAX_JSON_BYTES if suffix == ".json" else MAX_ARCHIVE_BYTES
    if size > limit:
        hint = "inspect log convert, which makes .eval files" if suffix == ".json" else "split it"
        raise InputError(str(path), f"has {size} bytes", f"at most {limit}", hint)
    try:
        if suffix == ".eval":
            return [_inspect_archive(path)]
        if suffix == ".json":
            return [_inspect_json(path)]
        return [_lm_eval(path)]
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror or error})", "a readable file"
        ) from None


def _newest(logs: list[_Log]) -> list[_Log]:
    """Keep one log of each run: a later try takes over what an earlier one had finished."""
    best: dict[tuple[str, ...], _Log] = {}
    for index, log in enumerate(logs):
        key = (log.run, log.model) if log.run else ("", str(index))
        if key not in best or (log.rank, bool(log.answers)) > (
            best[key].rank,
            bool(best[key].answers),
        ):
            best[key] = log
    kept = {id(log) for log in best.values()}
    return [log for log in logs if id(log) in kept]


def _parse(data: bytes, where: str) -> Any:
    """Parse JSON; Inspect writes NaN as such, which Python's parser takes."""
    try:
        return json.loads(data)
    except UnicodeDecodeError:
        raise InputError(where, "is not UTF-8 text", "an evaluation log", "copy it again") from None
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            where, f"is not JSON ({reason})", "a whole evaluation log", "copy it again"
        ) from None


def _mapping(value: Any) -> dict[str, Any]:
    """Take a mapping, or nothing."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a mapping one level deep."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            found.update({f"{name}.{key}": _plain(item) for key, item in inner.items()})
        else:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """Take short plain values as they are."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT and value != _REMOVED:
        return value
    return _UNFIT


def _natural(value: str | int) -> tuple[bool, int, str]:
    """Sort whole numbers as numbers, before text."""
    return (isinstance(value, str), 0 if isinstance(value, str) else value, str(value))


# --- Inspect -----------------------------------------------------------------------------------


def _inspect_json(path: Path) -> _Log:
    """Read Inspect's JSON form."""
    record = _mapping(_parse(path.read_bytes(), str(path)))
    log = _header(record, path)
    samples = record.get("samples") or []
    if not isinstance(samples, list):
        raise InputError(str(path), "has no list of samples", "an Inspect log", "copy it again")
    for sample in cast("list[Any]", samples):
        log.answers.append(_inspect_sample(sample, log, path))
    return log


def _header(record: Mapping[str, Any], path: Path) -> _Log:
    """Read what Inspect says of the whole run."""
    said = _mapping(record.get("eval"))
    task, model = said.get("task"), said.get("model")
    if not isinstance(task, str) or not isinstance(model, str):
        raise InputError(
            str(path),
            "names no task and model",
            "an Inspect log with eval.task and eval.model",
            "write it again with a newer Inspect",
        )
    settings = sorted(_mapping(said.get("task_args")).items())
    return _Log(
        path,
        "Inspect",
        model,
        task,
        tuple((name, _setting(value)) for name, value in settings if value is not None),
        str(said.get("task_id") or ""),
        (record.get("status") == "success", _time(said.get("created"))),
    )


def _setting(value: Any) -> Plain:
    """Take an argument of a task as a plain value; long ones by their hash."""
    plain = _plain(value)
    if not isinstance(plain, _Unfit) and plain is not None:
        return cast("Plain", plain)
    text = json.dumps(value, sort_keys=True, default=str)
    if len(text) <= MAX_TEXT:
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _time(text: Any) -> float:
    """Read a time as seconds; 0 where there is none."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _inspect_sample(record: Any, log: _Log, path: Path) -> _Answer:
    """Read one sample or its summary."""
    sample = _mapping(record)
    name, epoch = sample.get("id"), sample.get("epoch", 1)
    if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(epoch, int):
        raise InputError(
            str(path),
            f"has a sample with the id {name!r} and the epoch {epoch!r}",
            "a text or whole number as id, a whole number as epoch",
            "copy the log again",
        )
    scores: dict[str, float] = {}
    if not sample.get("invalidation"):
        given = sample.get("scores")
        if given is None and sample.get("score") is not None:  # Before scorers had names.
            given = {"score": sample["score"]}
        for scorer, score in _mapping(given).items():
            value = score.get("value") if isinstance(score, dict) else score  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if isinstance(value, dict):
                inner = cast("dict[str, Any]", value)
                scores.update({f"{scorer}/{key}": _number(item) for key, item in inner.items()})
            elif not isinstance(value, list):
                scores[scorer] = _number(value)
    target = sample.get("target")
    if isinstance(target, list) and len(cast("list[Any]", target)) == 1:
        target = cast("list[Any]", target)[0]
    fields = {"target": _plain(target), **_named(_fields(_mapping(sample.get("metadata"))))}
    return _Answer(name, epoch, f"{log.task}/{name}", scores, fields)


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Keep fields off the columns that every table has."""
    return {f"metadata.{n}" if n in RESERVED else n: value for n, value in fields.items()}


def _number(value: Any) -> float:
    """Read a score as Inspect's own metrics do, but NaN where it is no number."""
    if isinstance(value, str):
        known = _WORDS.get(value, _LOWER_WORDS.get(value.lower()))
        value = value if known is None else known
    elif not isinstance(value, bool | int | float):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _inspect_archive(path: Path) -> _Log:
    """Read Inspect's zipped form: from its summaries where they say enough, else its samples."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise InputError(
            str(path),
            f"is not an .eval file ({str(error)[:120]})",
            "a whole zip archive",
            "copy it again; it may be cut off",
        ) from None
    with archive:
        parts = _Parts(archive, path)
        start = next((n for n in ("header.json", "_journal/start.json") if n in parts.names), None)
        if start is None:
            raise InputError(
                str(path), "has no header.json", "an archive that Inspect wrote", "copy it again"
            )
        header = _mapping(parts.read(start))
        log = _header(header, path)
        summaries = _summaries(parts, header)
        records = parts.samples() if summaries is None else iter(summaries)
        log.answers = [_inspect_sample(record, log, path) for record in records]
    return log


def _summaries(parts: _Parts, header: Mapping[str, Any]) -> list[Any] | None:
    """Read all samples' summaries, if they hold metadata and no sample was declared invalid."""
    if "summaries.json" not in parts.names or header.get("invalidated"):
        return None
    found = parts.read("summaries.json")
    if not isinstance(found, list):
        return None
    records = cast("list[Any]", found)
    if not all("metadata" in _mapping(record) for record in records):
        return None
    newest = {(r.get("id"), r.get("epoch")): r for r in map(_mapping, records)}
    return list(newest.values())


class _Parts:
    """The parts of an .eval file, each with a bounded size; nothing is written to disk.

    Args:
        archive: The open archive.
        path: Its path, for messages.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path
        self.names = frozenset(archive.namelist())
        self.unpacked = 0

    def samples(self) -> Iterator[dict[str, Any]]:
        """Read sample after sample, in both shapes that Inspect writes."""
        for name in sorted(self.names):
            steps = name.split("/")
            if steps[0] != "samples":
                continue
            if len(steps) == 2 and name.endswith(".json"):
                yield _mapping(self.read(name))
            elif len(steps) == 3 and steps[2] == "sample.json":
                beside = f"samples/{steps[1]}/metadata.json"
                more = {"metadata": self.read(beside)} if beside in self.names else {}
                yield {**_mapping(self.read(name)), **more}

    def read(self, name: str) -> Any:
        """Unpack and parse one part."""
        info, where = self.archive.getinfo(name), f"{self.path}, {name[:80]!r}"
        self.unpacked += info.file_size
        if info.file_size > MAX_MEMBER_BYTES or self.unpacked > MAX_UNPACKED_BYTES:
            raise InputError(
                where,
                f"unpacks to {info.file_size} bytes ({self.unpacked} so far)",
                f"at most {MAX_MEMBER_BYTES} a part and {MAX_UNPACKED_BYTES} in all",
                "write it again with a newer Inspect, whose summaries hold the metadata",
            )
        try:
            data = self._unpack(info)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise InputError(
                where, f"cannot be unpacked ({reason})", "a whole .eval file", "copy it again"
            ) from None
        return _parse(data, where)

    def _unpack(self, info: zipfile.ZipInfo) -> bytes:
        """Unpack one part, never more than its stated size and one byte."""
        if info.compress_type != _ZSTANDARD or info.flag_bits & 1:
            with self.archive.open(info) as stream:
                data = stream.read(info.file_size + 1)
        else:
            with self.path.open("rb") as file:
                file.seek(info.header_offset)
                start = file.read(30)
                if len(start) < 30 or start[:4] != b"PK\x03\x04":
                    raise zipfile.BadZipFile("no part where the directory says")
                file.seek(sum(struct.unpack("<HH", start[26:])), os.SEEK_CUR)
                packed = file.read(min(info.compress_size, 2 * MAX_MEMBER_BYTES))
            arrow = untyped("pyarrow")
            with arrow.CompressedInputStream(arrow.BufferReader(packed), "zstd") as stream:
                data = bytes(stream.read(info.file_size + 1))
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise zipfile.BadZipFile("its size or checksum is another than stated")
        return data


# --- lm-eval -----------------------------------------------------------------------------------


def _lm_eval(path: Path) -> _Log:
    """Read the samples of one task; lines of several filters belong to one sample."""
    named = _SAMPLES_NAME.fullmatch(path.name)
    task = named[1] if named else path.stem.removeprefix("samples_")
    log = _Log(path, "lm-eval", _lm_eval_model(path, named[2] if named else None), task)
    answers: dict[str | int, _Answer] = {}
    for number, record in _lines(path):
        where = f"{path}, line {number}"
        name = record["doc_id"]
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise InputError(where, f"has the doc_id {name!r}", "a whole number or text")
        scores = _lm_eval_scores(record)
        if name not in answers:
            fields = {"target": _plain(record.get("target")), **_named(_fields(record["doc"]))}
            known = record.get("doc_hash")
            same = str(known)[:16] if known else f"{task}/{name}"
            answers[name] = _Answer(name, 1, same, scores, fields)
        elif twice := answers[name].scores.keys() & scores.keys():
            raise InputError(
                where,
                f"gives {min(twice)!r} of doc_id {name} a second time",
                "one line a document and filter",
                "keep one run a file",
            )
        else:
            answers[name].scores.update(scores)
    log.answers = list(answers.values())
    return log


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read one line after the other, each checked."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_MEMBER_BYTES + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MAX_MEMBER_BYTES:
                raise InputError(where, f"has more than {MAX_MEMBER_BYTES} bytes", "shorter lines")
            if not line.strip():
                continue
            record = _parse(line, where)
            if not _is_line(record):
                raise InputError(
                    where,
                    "is no sample of lm-eval",
                    "an object with doc_id, doc and filtered_resps",
                    "run lm-eval with its option log_samples",
                )
            yield number, record


def _lm_eval_scores(record: Mapping[str, Any]) -> dict[str, float]:
    """Take the scores that are plain numbers, named as lm-eval names them in its results."""
    listed = record.get("metrics")
    if isinstance(listed, list):
        names = [n for n in cast("list[Any]", listed) if isinstance(n, str) and n in record]
    else:
        names = [n for n in record if n not in _LINE_KEYS]
    filtered = record.get("filter", "none")
    suffix = "" if filtered in ("none", None) else f",{filtered}"
    numbers = {n: record[n] for n in names if isinstance(record[n], bool | int | float)}
    return {f"{name}{suffix}": _number(value) for name, value in numbers.items()}


def _lm_eval_model(path: Path, date: str | None) -> str:
    """Take the model's name from the results of the same run, else from the folder."""
    if date is not None:
        for beside in sorted(path.parent.glob(f"*_{date}.json")):
            if beside.is_file() and beside.stat().st_size <= MAX_MEMBER_BYTES:
                try:
                    said = _mapping(json.loads(beside.read_bytes())).get("model_name")
                except (OSError, ValueError, RecursionError):
                    continue  # The name is a convenience; the scores do not hang on this file.
                if isinstance(said, str) and said:
                    return said
    return path.resolve().parent.name or "model"


# --- the table ---------------------------------------------------------------------------------


@dataclass
class _Row:
    """One sample of a task, setting and epoch, under all models."""

    log: _Log
    answer: _Answer
    fields: dict[str, Any]
    scores: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


def _table(logs: list[_Log]) -> pd.DataFrame:
    """Join logs and lay out columns."""
    rows, unfit = _join(logs)
    ordered = sorted(
        rows.values(),
        key=lambda row: (
            row.log.task,
            repr(row.log.setting),
            row.log.format,
            _natural(row.answer.id),
            row.answer.epoch,
        ),
    )
    scores = _score_columns(logs, ordered)
    columns: dict[str, Objects] = {
        "task": _column([row.log.task for row in ordered]),
        "id": _column([row.answer.id for row in ordered]),
        "epoch": np.array([row.answer.epoch for row in ordered], dtype=np.int64),
        "sample": _column([row.answer.sample for row in ordered]),
        "ideal": np.ones(len(ordered), dtype=np.int64),
        **scores,
    }
    for name in dict.fromkeys(n for row in ordered for n, _ in row.log.setting):
        given = [dict(row.log.setting).get(name) for row in ordered]
        columns[_free(f"task.{name}", columns)] = _column(given)
    names = dict.fromkeys(n for row in ordered for n in row.fields)
    kept = [name for name in names if name not in unfit]
    if len(kept) > MAX_FIELDS:
        raise InputError(
            str(logs[0].path),
            f"and the other logs have {len(kept)} fields of samples",
            f"at most {MAX_FIELDS}",
            "elsewhere.data.read_logs on fewer logs",
        )
    for name in kept:
        given = [row.fields.get(name) for row in ordered]
        if any(value is not None for value in given):
            columns[_free(name, columns)] = _column(given)
    return untyped("pandas").DataFrame(columns)


def _free(name: str, columns: Mapping[str, Any]) -> str:
    """Find a name that no column has yet."""
    while name in columns:
        name = f"metadata.{name}"
    return name


def _join(logs: list[_Log]) -> tuple[dict[tuple[Any, ...], _Row], set[str]]:
    """Put all models' answers to one sample into one row; find fields that are no groups."""
    rows: dict[tuple[Any, ...], _Row] = {}
    origin: dict[tuple[Any, ...], Path] = {}
    unfit: set[str] = set()
    mains = _mains(logs)
    for log in logs:
        main = mains[log.format, log.task, log.setting]
        joint = (log.format, log.task, repr(log.setting))
        for answer in log.answers:
            key = (*joint, type(answer.id), answer.id, answer.epoch)
            if (log.model, key) in origin:
                raise InputError(
                    str(log.path),
                    f"answers sample {answer.id!r} of task {log.task!r} by {log.model!r}, as does "
                    f"{origin[log.model, key]}",
                    "one log for each model and task",
                    "name the logs to read, or move the older one away",
                )
            origin[log.model, key] = log.path
            row = rows.get(key)
            if row is None:
                if len(rows) >= MAX_SAMPLES:
                    raise InputError(str(log.path), "is one sample too many", f"{MAX_SAMPLES}")
                row = rows[key] = _Row(log, answer, {})
            row.scores[log.model, ""] = answer.scores.get(main, math.nan)
            row.scores.update({(log.model, n): value for n, value in answer.scores.items()})
            for name, value in answer.fields.items():
                before = row.fields.setdefault(name, value)
                if before is None:
                    row.fields[name] = value
                if isinstance(value, _Unfit) or (None not in (before, value) and before != value):
                    unfit.add(name)
    return rows, unfit


def _mains(logs: list[_Log]) -> dict[tuple[str, str, Setting], str]:
    """Find each task's first score that is a number for some model: the same one for all."""
    named: dict[tuple[str, str, Setting], dict[str, bool]] = {}
    for log in logs:
        names = named.setdefault((log.format, log.task, log.setting), {})
        for answer in log.answers:
            for name, value in answer.scores.items():
                names[name] = names.get(name, False) or math.isfinite(value)
    return {
        task: next((n for n, known in names.items() if known), "") for task, names in named.items()
    }


def _score_columns(logs: list[_Log], rows: list[_Row]) -> dict[str, Objects]:
    """Lay out a column a model, and one a score where a model's column does not hold them all."""
    models: dict[str, dict[str, None]] = {log.model: {} for log in logs}
    partly: set[str] = set()
    for row in rows:
        for (model, name), value in row.scores.items():
            if name:
                models[model][name] = None
                if math.isfinite(value) and math.isnan(row.scores[model, ""]):
                    partly.add(model)
    found: dict[str, Objects] = {}
    for model, names in models.items():
        for name in ["", *(names if len(names) > 1 or model in partly else ())]:
            column = f"{model}:{name}" if name else model
            if column in (*RESERVED, *found):
                raise InputError(
                    "model",
                    f"is called {column!r}",
                    f"a name other than {', '.join(RESERVED)}, once",
                    "rename the column after elsewhere.data.read_logs",
                )
            found[column] = np.array([row.scores.get((model, name), math.nan) for row in rows])
    return found


def _column(values: list[Any]) -> Objects:
    """Make an array of numbers, of booleans, or of text where kinds mix."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and all(abs(v) < 2**53 for v in values if v is not None):
        whole = kinds == {int} and None not in values
        return np.array(
            [math.nan if v is None else v for v in values],
            dtype=np.int64 if whole else np.float64,
        )
    if kinds == {bool} and None not in values:
        return np.array(values, dtype=bool)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [None if value is None else str(value) for value in values]
    return texts
