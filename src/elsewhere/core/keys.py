"""Groups by value: how they are named in reports, never by position."""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | None
GroupKey: TypeAlias = tuple[tuple[str, Value], ...]
"""A group by value: ((column, value), ...), never by position."""


def key_text(key: GroupKey) -> str:
    """Write a group as a reader would: the value alone, or "column=value, ..." for several.

    Example:
        >>> key_text((("site", "A"),)), key_text((("site", "A"), ("sex", "F")))
        ('A', 'site=A, sex=F')
    """
    if len(key) == 1:
        return str(key[0][1])
    return ", ".join(f"{column}={value}" for column, value in key)
