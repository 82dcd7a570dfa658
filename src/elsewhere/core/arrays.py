"""Arrays in: checked once at the border, coded to integers, summed by code."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from elsewhere.core.errors import InputError
from elsewhere.core.untyped import untyped

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Objects: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = Hashable

MEMORY_BUDGET = 256 * 2**20
"""Bytes that one vectorised step may hold; longer work runs in chunks of this size."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Values as integers into a sorted list of distinct keys.

    Args:
        codes: Index into `keys` for each row, shape (n,).
        keys: Distinct values in a fixed order that does not depend on the rows' order.
    """

    codes: Integers
    keys: tuple[Key, ...]

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        return len(self.keys)


def chunks(n: int, bytes_per_item: int) -> Iterator[slice]:
    """Cut `range(n)` into slices whose work arrays stay within `MEMORY_BUDGET`.

    Args:
        n: Number of items.
        bytes_per_item: Working memory that one item needs.

    Yields:
        Consecutive slices that cover the range.

    Example:
        >>> list(chunks(3, MEMORY_BUDGET // 2))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, MEMORY_BUDGET // max(1, bytes_per_item))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def missing(values: Objects) -> Booleans:
    """Mark missing entries: NaN, NaT, None and the like.

    Args:
        values: Any array, shape (n,) or (n, k).

    Returns:
        True where the row misses at least one value, shape (n,).
    """
    if values.dtype.kind == "f":
        bad = np.isnan(values)
    elif values.dtype.kind in "mM":
        bad = np.isnat(values)
    elif values.dtype.kind == "O":
        pd = untyped("pandas")

        bad = np.asarray(pd.isna(values), dtype=bool)
    else:
        bad = np.zeros(values.shape, dtype=bool)
    return cast("Booleans", bad.any(axis=1) if bad.ndim == 2 else bad)


def as_array(values: Any, argument: str, *, columns: bool = False) -> Objects:
    """Take an array-like of any library as a NumPy array without missing values.

    Args:
        values: List, NumPy array, pandas / polars / Arrow column, or (n, k) table of numbers.
        argument: Name for the message.
        columns: Whether two dimensions are allowed.

    Returns:
        Array of shape (n,) or (n, k). The input is never written to.

    Raises:
        InputError: Wrong number of dimensions or missing values.
    """
    array = np.asarray(values)
    if array.dtype.kind in "US":
        array = array.astype(object)
    allowed = (1, 2) if columns else (1,)
    if array.ndim not in allowed:
        raise InputError(
            argument,
            f"has shape {array.shape}",
            "one value for each row" + (" or one column for each class" if columns else ""),
        )
    gone = missing(array)
    if gone.any():
        first = ", ".join(str(row) for row in np.flatnonzero(gone)[:5])
        raise InputError(
            argument,
            f"misses {int(gone.sum())} of {len(array)} values (first rows: {first})",
            "a value in every row",
            "drop or fill these rows first (`--drop-missing` on the command line)",
        )
    return array


def _sortable(key: Key) -> tuple[int, Any, str]:
    """Order numbers before everything else, numbers by value, the rest by text."""
    if isinstance(key, bool | int | float):
        return (0, float(key), str(key))
    return (1, str(key), type(key).__name__)


def code(values: Objects) -> Coded:
    """Replace values by integers into their sorted distinct keys.

    Args:
        values: Array without missing values, shape (n,).

    Returns:
        Codes and keys. Keys are plain Python values. The same set of values gives the same keys
        in the same order, whatever the order of the rows.

    Cost: one pass with a hash table; sorting only the distinct keys.
    """
    if values.dtype.kind == "b":
        present = [bool(key) for key in (False, True) if np.any(values == key)]
        offset = int(present[0]) if present else 0
        return Coded(values.astype(np.int64) - offset, tuple(present))
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low <= max(1024, 4 * len(values)):
            return _code_integers(values, low, high)
    pd = untyped("pandas")

    raw, distinct = pd.factorize(_to_days(values) if values.dtype.kind == "M" else values)
    plain = [_plain(value) for value in np.asarray(distinct)]
    order = sorted(range(len(plain)), key=lambda index: _sortable(plain[index]))
    rank = np.empty(len(plain), dtype=np.int64)
    rank[order] = np.arange(len(plain))
    return Coded(rank[np.asarray(raw, dtype=np.int64)], tuple(plain[index] for index in order))


def number(values: Objects) -> Integers:
    """Number distinct values from 0 in their sorted order, without keeping them.

    Args:
        values: Array without missing values, shape (n,).

    Returns:
        Number of each row's value, shape (n,); the same for any order of the rows.

    Cost: one hash table and a sort of the distinct values, both outside Python.
    """
    pd = untyped("pandas")

    if values.dtype.kind == "O" and len(set(map(type, cast("list[Any]", values.tolist())))) > 1:
        return code(values).codes
    codes, _ = pd.factorize(values, sort=True)
    return np.asarray(codes, dtype=np.int64)


def _code_integers(values: Objects, low: int, high: int) -> Coded:
    """Code integers of a small range by counting, without hashing."""
    shifted = values.astype(np.int64) - low
    seen = np.bincount(shifted, minlength=high - low + 1) > 0
    rank = np.cumsum(seen) - 1
    return Coded(rank[shifted], tuple(int(key) + low for key in np.flatnonzero(seen)))


def _to_days(moments: Objects) -> Objects:
    """Drop the time of day where it is midnight everywhere, and fractions of seconds if zero."""
    for unit in ("D", "s"):
        coarse = moments.astype(f"datetime64[{unit}]")
        if bool(np.all(coarse == moments)):
            return coarse.astype(str).astype(object)
    return moments


def _plain(value: Any) -> Key:
    """Turn a NumPy scalar into the Python value that it prints as."""
    if isinstance(value, np.datetime64):
        return str(cast("Any", value))
    return cast("Key", _item(value) if hasattr(value, "item") else value)


def _item(scalar: Any) -> Any:
    """Unwrap a NumPy scalar."""
    return scalar.item()


def encode(values: Objects, keys: Mapping[Key, int] | tuple[Key, ...], argument: str) -> Integers:
    """Look up values in given keys.

    Args:
        values: Array, shape (n,).
        keys: Distinct keys, or a mapping from key to code.
        argument: Name for the message.

    Returns:
        Code of each row, shape (n,).

    Raises:
        InputError: A value that is not among the keys.
    """
    table = keys if isinstance(keys, Mapping) else {key: index for index, key in enumerate(keys)}
    coded = code(values)
    unknown = [key for key in coded.keys if key not in table]
    if unknown:
        raise InputError(
            argument,
            f"has unknown values, for example {unknown[0]!r}",
            "values among " + ", ".join(repr(key) for key in list(table)[:8]),
        )
    lookup = np.array([table[key] for key in coded.keys], dtype=np.int64)
    return lookup[coded.codes] if len(lookup) else coded.codes


def sums(codes: Integers, n: int, values: Floats | None = None) -> Floats:
    """Sum values by code.

    Args:
        codes: Code of each row in [0, n), shape (rows,).
        n: Number of codes.
        values: Values to sum, shape (rows,); ones when absent.

    Returns:
        Sums, shape (n,), zero for codes without rows.
    """
    return np.bincount(codes, weights=values, minlength=n).astype(np.float64, copy=False)


def digest(*arrays: Objects) -> str:
    """Hash the contents of arrays.

    Args:
        arrays: Arrays of numbers, booleans or objects with a stable `repr`.

    Returns:
        First 16 hexadecimal digits of the SHA-256 of shapes and values. Integer and boolean
        arrays hash by value, whatever their width.
    """
    state = hashlib.sha256()
    for array in arrays:
        state.update(repr(array.shape).encode())
        if array.dtype.kind in "biu":
            state.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
        elif array.dtype.kind == "f":
            state.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
        else:
            state.update("\x1f".join(map(str, array.ravel().tolist())).encode())
    return state.hexdigest()[:16]
