"""The one error that bad input raises."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: says which argument, what came, what was expected and what to try.

    Args:
        argument: Name of the offending argument, option or file, as the user wrote it.
        problem: What came, in a clause ("has 3 missing values (rows 2, 9, 11)").
        expected: What was expected instead.
        hint: What to try next.

    Example:
        >>> print(InputError("target", "has one class", "two classes", "check the filter"))
        target has one class; expected two classes. Try: check the filter
    """

    def __init__(self, argument: str, problem: str, expected: str = "", hint: str = "") -> None:
        message = f"{argument} {problem}"
        if expected:
            message += f"; expected {expected}"
        if hint:
            message += f". Try: {hint}"
        super().__init__(message)
        self.argument = argument
        self.problem = problem
        self.expected = expected
        self.hint = hint

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str, str]]:
        """Rebuild from the four parts, so that worker processes can pass the error on."""
        return type(self), (self.argument, self.problem, self.expected, self.hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the closest known spelling, or list a few, as the text of a hint.

    Args:
        name: What the user wrote.
        known: The accepted names.

    Returns:
        "did you mean 'site'?" or "one of 'a', 'b', ... (12 in all)".

    Example:
        >>> nearest("sit", ["site", "score"])
        "did you mean 'site'?"
    """
    names = list(known)
    lowered = {entry.lower(): entry for entry in names}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    listed = ", ".join(repr(entry) for entry in names[:12])
    return f"one of {listed}" + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
