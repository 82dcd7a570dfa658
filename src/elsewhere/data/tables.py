"""Tables in: files (CSV, TSV, Parquet, JSONL) and data frames, columns read only when asked for."""

from __future__ import annotations

import csv
import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from elsewhere.core.arrays import Objects, digest
from elsewhere.core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MISSING_WORDS = ("", "NaN", "nan", "NULL", "null", "None")
"""Cells of a text table that count as missing. "NA" does not: it is a country and a region."""


TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
"""Endings of tables that are text."""

KNOWN_STARTS = (
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "zip archive, as spreadsheets are"),
    (b"\xd0\xcf\x11\xe0", "old spreadsheet or document"),
    (b"\x1f\x8b", "gzip archive"),
    (b"PAR1", "Parquet table"),
)
"""First bytes of files that are often named like a table of text, and what they are."""


@dataclass(frozen=True)
class Limits:
    """How large a table may be before reading it is refused.

    Args:
        file_bytes: Size of the file.
        rows: Number of rows.
        columns: Number of columns.
        line_bytes: Length of one line of a text table.
    """

    file_bytes: int = 8 * 2**30
    rows: int = 50_000_000
    columns: int = 5_000
    line_bytes: int = 2**20


class Table(ABC):
    """Named columns of equal length.

    Args:
        name: Name in messages and reports.
        names: Column names, in order.
    """

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self.name = name
        self.names = tuple(names)
        twice = [column for column, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InputError(
                name,
                f"has {len(twice)} duplicate column names (such as {twice[0]!r})",
                "distinct column names",
                "rename or drop one of them",
            )

    @abstractmethod
    def load(self, names: Sequence[str]) -> dict[str, Objects]:
        """Read some columns.

        Args:
            names: Column names that exist.

        Returns:
            One array a column, missing values as NaN, NaT or None.
        """

    @abstractmethod
    def content_hash(self) -> str:
        """Hash the contents: SHA-256 in hexadecimal."""

    def find(self, name: str, option: str) -> str:
        """Check that a column exists.

        Args:
            name: Column name as the user wrote it.
            option: The option that named it.

        Returns:
            The name.

        Raises:
            InputError: No such column; the nearest name is suggested.
        """
        if name in self.names:
            return name
        raise InputError(
            option,
            f"names column {name!r}, which {self.name} does not have",
            "a column of the table",
            self.hint(name),
        )

    def hint(self, name: str) -> str:
        """Suggest what to try when a column is absent."""
        return nearest(name, self.names)

    def matching(self, pattern: str, option: str) -> tuple[str, ...]:
        """Find the columns that match a pattern such as "p_*".

        Args:
            pattern: Shell-style pattern.
            option: The option that named it.

        Returns:
            Column names in table order.

        Raises:
            InputError: None matches.
        """
        found = tuple(n for n in self.names if fnmatchcase(n, pattern))
        if not found:
            raise InputError(
                option,
                f"matches no column with {pattern!r}",
                "at least one match",
                self.hint(pattern.strip("*")),
            )
        return found


class FrameTable(Table):
    """A pandas, polars or Arrow table, or anything else that narwhals reads.

    Args:
        frame: The table.
        name: Name in messages and reports.
    """

    def __init__(self, frame: Any, name: str = "table") -> None:
        import narwhals as nw

        if isinstance(frame, dict):
            import pandas as pd

            frame = pd.DataFrame(frame)
        if type(frame).__module__.startswith("pandas"):
            # pandas allows duplicate names, which narwhals would refuse in its own words.
            super().__init__(name, [str(c) for c in frame.columns])
        try:
            self._frame = nw.from_native(frame, eager_only=True)
        except TypeError:
            raise InputError(
                name,
                f"is a {type(frame).__name__}",
                "a path, a pandas or polars DataFrame, an Arrow table, or a mapping",
                "collect a lazy frame first",
            ) from None
        super().__init__(name, [str(c) for c in self._frame.columns])
        if len(self._frame) == 0:
            raise InputError(name, "has no rows", "at least one row")

    def load(self, names: Sequence[str]) -> dict[str, Objects]:
        """Take columns as NumPy arrays."""
        positions = {n: i for i, n in enumerate(self.names)}
        return {n: np.asarray(self._frame[:, positions[n]].to_numpy()) for n in names}

    def content_hash(self) -> str:
        """Hash all columns by value."""
        state = hashlib.sha256()
        for name, column in self.load(self.names).items():
            state.update(f"{name}\x1e{digest(column)}\x1e".encode())
        return state.hexdigest()


class FileTable(Table):
    """A table in a file.

    Args:
        path: The file.
        limits: Largest accepted sizes.
        names: Column names, from the file's header.
    """

    def __init__(self, path: Path, limits: Limits, names: Sequence[str]) -> None:
        super().__init__(path.name, names)
        self.path, self.limits = path, limits
        if len(names) > limits.columns:
            raise InputError(
                path.name,
                f"has {len(names)} columns",
                f"at most {limits.columns}",
                f"keep the columns that the audit needs, or --max-columns {len(names)}",
            )

    def content_hash(self) -> str:
        """Hash the file's bytes."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def checked(self, columns: dict[str, Objects]) -> dict[str, Objects]:
        """Refuse tables without rows or with too many."""
        n = len(next(iter(columns.values()))) if columns else 0
        if columns and n == 0:
            raise InputError(self.name, "has a header but no rows", "at least one row")
        if n > self.limits.rows:
            raise InputError(
                self.name, f"has {n} rows", f"at most {self.limits.rows}", "split the file"
            )
        return columns


class CsvTable(FileTable):
    """Comma-separated (or otherwise delimited) text in UTF-8 with a header line."""

    def __init__(self, path: Path, limits: Limits, delimiter: str) -> None:
        self.delimiter = delimiter
        super().__init__(path, limits, _header(path, limits, delimiter))

    def hint(self, name: str) -> str:
        """Suspect the delimiter when the header is a single column."""
        if len(self.names) == 1:
            for other, word in ((";", "';'"), ("\t", "tab"), ("|", "'|'"), (",", "','")):
                if other != self.delimiter and other in self.names[0]:
                    return f"--delimiter {word} (the header reads {self.names[0][:60]!r})"
        return super().hint(name)

    def load(self, names: Sequence[str]) -> dict[str, Objects]:
        """Read columns with Arrow's parser, types inferred from all cells."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        try:
            table = arrow_csv.read_csv(
                self.path,
                read_options=arrow_csv.ReadOptions(block_size=8 * self.limits.line_bytes),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=list(names),
                    strings_can_be_null=True,
                    null_values=list(MISSING_WORDS),
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._refusal(str(error)) from None
        for name in names:
            if pa.types.is_binary(table.schema.field(name).type):
                raise InputError(
                    f"{self.name}, column {name!r}",
                    "is not UTF-8 text",
                    "UTF-8",
                    "convert the file: iconv -f latin1 -t utf-8",
                )
        return self.checked({n: _from_arrow(table.column(n)) for n in names})

    def _refusal(self, reason: str) -> InputError:
        """Turn the parser's words into ours."""
        if "straddling" in reason or "block" in reason:
            return InputError(
                self.name,
                f"has a line of more than {self.limits.line_bytes} bytes",
                "shorter lines",
                "check quotes that are opened and never closed",
            )
        if "UTF8" in reason or "UTF-8" in reason:
            return InputError(
                self.name,
                "is not UTF-8 text",
                "UTF-8",
                "convert the file: iconv -f latin1 -t utf-8",
            )
        return InputError(
            self.name,
            f"cannot be read as a table ({reason.splitlines()[0][:160]})",
            "the same number of cells in every line",
            "check --delimiter and quotes",
        )


def _header(path: Path, limits: Limits, delimiter: str) -> list[str]:
    """Read the first line of a text table."""
    with path.open("rb") as stream:
        line = stream.readline(limits.line_bytes + 1)
    if len(line) > limits.line_bytes:
        raise InputError(
            path.name,
            f"has a first line of more than {limits.line_bytes} bytes",
            "a header line with column names",
            "check that it is a text table",
        )
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            path.name, "is not UTF-8 text", "UTF-8", "convert the file: iconv -f latin1 -t utf-8"
        ) from None
    if "\0" in text:
        raise InputError(
            path.name,
            "is not a text table (it holds zero bytes)",
            "CSV, Parquet or JSONL",
            "check the file's format",
        )
    names = next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter), [])
    if not any(name.strip() for name in names):
        raise InputError(path.name, "has no header line", "column names in the first line")
    return names


class ParquetTable(FileTable):
    """An Apache Parquet file."""

    def __init__(self, path: Path, limits: Limits) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(path)
            rows, names = self._file.metadata.num_rows, self._file.schema_arrow.names
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise InputError(
                path.name,
                f"is not a Parquet file ({_first_line(error)})",
                "a whole Parquet file",
                "write it again; it may be cut off",
            ) from None
        super().__init__(path, limits, names)
        if rows == 0:
            raise InputError(path.name, "has columns but no rows", "at least one row")
        if rows > limits.rows:
            raise InputError(
                path.name, f"has {rows} rows", f"at most {limits.rows}", "split the file"
            )

    def load(self, names: Sequence[str]) -> dict[str, Objects]:
        """Read columns; nested ones are refused."""
        import pyarrow as pa

        schema = self._file.schema_arrow
        for name in names:
            if pa.types.is_nested(schema.field(name).type):
                raise InputError(
                    f"{self.name}, column {name!r}",
                    f"holds nested values ({schema.field(name).type})",
                    "one plain value a row",
                    "unnest the column first",
                )
        try:
            table = self._file.read(columns=list(names))
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                self.name,
                f"is damaged ({_first_line(error)})",
                "a whole Parquet file",
                "write it again",
            ) from None
        return self.checked({n: _from_arrow(table.column(n)) for n in names})


class JsonLinesTable(FileTable):
    """One JSON object a line."""

    def __init__(self, path: Path, limits: Limits) -> None:
        names: dict[str, None] = {}
        for number, record in self._records(path, limits):
            names.update(dict.fromkeys(record))
            if number >= 1000:
                break
        if not names:
            raise InputError(path.name, "has no records", "one JSON object a line")
        super().__init__(path, limits, list(names))

    @staticmethod
    def _records(path: Path, limits: Limits) -> Iterator[tuple[int, dict[str, Any]]]:
        """Read one record after the other, each checked."""
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(limits.line_bytes + 1):
                number += 1
                where = f"{path.name}, line {number}"
                if len(line) > limits.line_bytes:
                    raise InputError(
                        where,
                        f"has more than {limits.line_bytes} bytes",
                        "one JSON object a line",
                        "check the line breaks",
                    )
                if not line.strip():
                    continue
                try:
                    record = json.loads(line.decode("utf-8"))
                except UnicodeDecodeError:
                    raise InputError(
                        where,
                        "is not UTF-8 text",
                        "UTF-8",
                        "convert the file: iconv -f latin1 -t utf-8",
                    ) from None
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        where,
                        f"is not JSON ({_first_line(error)})",
                        "one JSON object a line",
                        "check the file's format",
                    ) from None
                if not isinstance(record, dict):
                    raise InputError(
                        where,
                        f"holds a {type(record).__name__}",
                        "one JSON object a line",
                        "write records, not a list",
                    )
                yield number, record

    def load(self, names: Sequence[str]) -> dict[str, Objects]:
        """Read columns; absent keys are missing values."""
        columns: dict[str, list[Any]] = {n: [] for n in names}
        for number, record in self._records(self.path, self.limits):
            for name, values in columns.items():
                value = record.get(name)
                if isinstance(value, dict | list):
                    raise InputError(
                        f"{self.name}, line {number}, {name!r}",
                        "holds nested values",
                        "one plain value",
                        "unnest the column first",
                    )
                values.append(value)
        return self.checked({n: _from_list(v) for n, v in columns.items()})


def _from_list(values: list[Any]) -> Objects:
    """Make an array of numbers, booleans or objects."""
    kinds = {type(v) for v in values if v is not None}
    if kinds and kinds <= {int, float} and all(abs(v) < 2**62 for v in values if v is not None):
        whole = kinds == {int} and None not in values
        return np.array(
            [np.nan if v is None else v for v in values], dtype=np.int64 if whole else np.float64
        )
    if kinds == {bool} and None not in values:
        return np.array(values, dtype=bool)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _from_arrow(column: Any) -> Objects:
    """Make a NumPy array; text becomes objects, decimals become floats."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    return np.asarray(column.to_numpy())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def open_table(
    source: Any, *, name: str = "table", delimiter: str | None = None, limits: Limits | None = None
) -> Table:
    """Open a table without reading its columns.

    Args:
        source: A path to .csv, .tsv, .parquet, .pq, .jsonl or .ndjson; evaluation logs, as a file,
            a folder, a pattern or a list of these (see `elsewhere.data.logs.read_logs`); a pandas,
            polars or Arrow table; or a mapping from column names to values.
        name: Name for a table that is not a file.
        delimiter: Delimiter of text tables; "," by default, tab for .tsv.
        limits: Largest accepted sizes.

    Returns:
        The table.

    Raises:
        InputError: Missing, empty, too large, or of another format.
    """
    if isinstance(source, Table):
        return source
    limits = limits or Limits()
    if logs := _logs(source):
        return _log_table(
            logs, Path(source).name if isinstance(source, str | Path) else name, limits
        )
    if not isinstance(source, str | Path):
        return FrameTable(source, name)
    path = Path(source)
    _check_file(path, limits)
    suffix = path.suffix.lower()
    if suffix in TEXT_ENDINGS:
        _check_text(path)
    if suffix in (".csv", ".tsv", ".txt"):
        chosen = delimiter or ("\t" if suffix == ".tsv" else ",")
        if len(chosen) != 1:
            raise InputError("--delimiter", f"is {chosen!r}", "a single character", "';' or tab")
        return CsvTable(path, limits, chosen)
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path, limits)
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesTable(path, limits)
    if suffix == ".json":
        raise InputError(
            str(path),
            "is JSON but no evaluation log",
            "a log of Inspect, or a table as .csv, .tsv, .parquet or .jsonl",
            "write a table as .jsonl, one JSON object a line",
        )
    raise InputError(
        str(path),
        f"ends in {suffix or 'nothing'!r}",
        ".csv, .tsv, .parquet or .jsonl, or an evaluation log of Inspect or lm-eval",
        "convert it, or rename it if it is one",
    )


def _logs(source: Any) -> tuple[Path, ...]:
    """Find evaluation logs; none where the source is a table of another kind."""
    from elsewhere.data.logs import find_logs

    if isinstance(source, str | Path):
        return find_logs(source)
    if isinstance(source, list | tuple) and source:
        items = cast("list[Any]", list(source))
        if all(isinstance(item, str | Path) for item in items):
            return find_logs(items)
    return ()


def _log_table(logs: tuple[Path, ...], name: str, limits: Limits) -> Table:
    """Read evaluation logs as a table, within the same limits as other tables."""
    from elsewhere.data.logs import read_logs

    frame = read_logs(logs)
    for what, found, most in (
        ("rows", len(frame), limits.rows),
        ("columns", len(frame.columns), limits.columns),
    ):
        if found > most:
            raise InputError(name, f"has {found} {what}", f"at most {most}", "fewer logs")
    return FrameTable(frame, name)


def _check_text(path: Path) -> None:
    """Refuse what is no text in any encoding, whatever its ending says."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            path.name, "is UTF-16 text", "UTF-8", "convert the file: iconv -f utf-16 -t utf-8"
        )
    kind = next((kind for start, kind in KNOWN_STARTS if head.startswith(start)), "")
    if kind or b"\0" in head:
        raise InputError(
            path.name,
            f"is no text ({kind or 'it holds zero bytes'})",
            f"a table of text, as its ending {path.suffix} says",
            "check the file, or save the table as CSV, Parquet or JSONL",
        )


def _check_file(path: Path, limits: Limits) -> None:
    """Refuse what is not a readable, non-empty, bearably large file."""
    if not path.exists():
        beside = (
            [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        )
        hint = nearest(path.name, beside)
        near = hint.startswith("did you mean")
        raise InputError(str(path), "does not exist", "a table", hint if near else "check the path")
    if path.is_dir():
        empty = next(path.iterdir(), None) is None
        raise InputError(
            str(path),
            "is an empty folder" if empty else "is a folder that holds no evaluation log",
            "a table, or a folder of logs of Inspect or lm-eval",
            "check the path" if empty else "name one table in it",
        )
    if not path.is_file():
        raise InputError(str(path), "is not a regular file", "a table", "save it to a file first")
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "a readable file"
        ) from None
    if size == 0:
        raise InputError(str(path), "is empty (0 bytes)", "a table with a header and rows")
    if size > limits.file_bytes:
        raise InputError(
            str(path),
            f"has {size} bytes",
            f"at most {limits.file_bytes}",
            "keep the columns that the audit needs, as Parquet",
        )
