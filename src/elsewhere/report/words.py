"""Names and numbers as text: inert, short enough, and with the same digits everywhere."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.core.gap_report import GapReport, GroupKey, key_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufff9-\uffff]"
)
"""Controls, direction overrides, lone surrogates and non-characters: never passed on as they are.
Joiners stay: Persian, Indic scripts and emoji need them."""

_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

THIN_SPACE = "\u202f"
"""Narrow space that does not break, between thousands."""

MISSING = "—"
"""Stands where there is no number."""


def visible(text: object) -> str:
    r"""Write controls and direction overrides as escapes, so that they are seen and do nothing.

    Args:
        text: Any value; turned into text first.

    Returns:
        Text that every format here can hold, XML and UTF-8 included.

    Example:
        >>> print(visible("a\nb\x00"))
        a\nb\x00
    """
    return _UNSEEN.sub(_escape, str(text))


def _escape(found: re.Match[str]) -> str:
    """Write one character as Python would."""
    character = found.group()
    number = ord(character)
    return _SHORT_ESCAPES.get(character) or (
        f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    )


def shorten(text: object, limit: int) -> str:
    """Make text inert and cut its middle out where it is too long.

    Args:
        text: Any value.
        limit: Most characters to keep, at least 8.

    Returns:
        Visible text of at most `limit` characters; both ends stay, since long names often differ
        only in the last part.

    Example:
        >>> shorten("a-very-long-name-of-a-site-17", 16)
        'a-very-lo…ite-17'
    """
    written = str(text)
    if len(written) > 4 * limit:
        written = written[: 2 * limit] + written[-2 * limit :]
    written = visible(written)
    if len(written) <= limit:
        return written
    tail = (limit - 1) * 2 // 5
    return f"{written[: limit - 1 - tail]}…{written[-tail:]}"


def isolate(text: str) -> str:
    """Wrap right-to-left text in isolates, so that it does not reorder the sentence around it."""
    if any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in text):
        return f"\u2068{text}\u2069"
    return text


def group_name(key: GroupKey, limit: int) -> str:
    """Name a group for a reader.

    Args:
        key: The group.
        limit: Most characters to keep.

    Returns:
        Inert, shortened text that is never blank.
    """
    text = key_text(key)
    if not text.strip():
        return "(blank)" if text else "(empty)"
    return shorten(text, limit)


@dataclass(frozen=True)
class Numbers:
    """Writes numbers with one number of decimals.

    Args:
        decimals: Digits after the point.
        minus: The minus sign; the typographic one by default.
        thousands: What stands between thousands; a narrow space by default.
    """

    decimals: int
    minus: str = "−"
    thousands: str = THIN_SPACE

    def one(self, value: float) -> str:
        """Write one number, or a dash where there is none."""
        if math.isnan(value):
            return MISSING
        if math.isinf(value):
            return "∞" if value > 0 else f"{self.minus}∞"
        if abs(value) >= 1e9:
            return f"{value:.3g}".replace("-", self.minus)
        text = f"{value:.{self.decimals}f}"
        if float(text) == 0:
            text = text.lstrip("-")
        if abs(value) >= 10_000:
            text = f"{float(text):,.{self.decimals}f}".replace(",", self.thousands)
        return text.replace("-", self.minus)

    def interval(self, low: float, high: float) -> str:
        """Write both limits in brackets, or nothing where there are none."""
        if math.isnan(low) and math.isnan(high):
            return ""
        return f"[{self.one(low)}, {self.one(high)}]"

    def both(self, value: float, low: float, high: float) -> str:
        """Write a number and its interval."""
        return f"{self.one(value)} {self.interval(low, high)}".rstrip()


def numbers_for(report: GapReport, *, plain: bool = False) -> Numbers:
    """Choose the decimals of a report: two digits of its interval's width, three below 10.

    Args:
        report: The report.
        plain: Whether to write ASCII signs only.

    Returns:
        A writer of numbers.
    """
    gaps = [grouping.gap for model in report.models for grouping in model.groupings]
    return numbers_of(
        [v for g in gaps for v in (g.here, g.elsewhere)],
        [g.high - g.low for g in gaps],
        plain=plain,
    )


def numbers_of(values: Iterable[float], widths: Iterable[float], *, plain: bool = False) -> Numbers:
    """Choose decimals: two digits of the widest interval, three below 10.

    Args:
        values: Numbers of the size to write.
        widths: Widths of their intervals; what is not a positive number is passed over.
        plain: Whether to write ASCII signs only.

    Returns:
        A writer of numbers.
    """
    sizes = [abs(v) for v in values if math.isfinite(v)]
    known = [w for w in widths if math.isfinite(w) and w > 0]
    least = 3 if max(sizes, default=1.0) < 10 else 0
    wanted = math.ceil(-math.log10(max(known))) + 1 if known else least
    decimals = min(max(least, wanted), 9)
    return Numbers(decimals, "-", ",") if plain else Numbers(decimals)


def count(n: int) -> str:
    """Write a count with narrow spaces between thousands.

    Example:
        >>> count(327346) == "327\u202f346"
        True
    """
    return f"{n:,}".replace(",", THIN_SPACE)


def percent(share: float) -> str:
    r"""Write a share as a percentage.

    Example:
        >>> percent(0.95)
        '95\xa0%'
    """
    return MISSING if math.isnan(share) else f"{100 * share:.3g}\u00a0%"


def shares(value: float, low: float, high: float, *, plain: bool = False) -> tuple[str, str]:
    r"""Write a share and its interval in percent, with a decimal where the interval is narrow.

    Args:
        value: The share, 1 for all of it.
        low: Lower limit.
        high: Upper limit.
        plain: Whether to write ASCII signs only.

    Returns:
        The share, and its limits in brackets (empty where there are none).

    Example:
        >>> shares(0.38, 0.21, 0.55)
        ('38\xa0%', '[21, 55]')
    """
    narrow = math.isfinite(high - low) and high - low < 0.05
    numbers = Numbers(int(narrow), "-", ",") if plain else Numbers(int(narrow))
    space = " " if plain else "\u00a0"
    text = MISSING if math.isnan(value) else f"{numbers.one(100 * value)}{space}%"
    return text, numbers.interval(100 * low, 100 * high)


def probability(value: float) -> str:
    """Write a p-value or q-value: three decimals, and never 0."""
    if math.isnan(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def joined(parts: Sequence[str]) -> str:
    """Join parts with commas and a last "and".

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def plural(n: int, one: str, many: str = "") -> str:
    """Write a count with its noun.

    Example:
        >>> plural(1, "group"), plural(12, "group")
        ('1 group', '12 groups')
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
