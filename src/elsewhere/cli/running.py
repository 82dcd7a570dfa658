"""What every command shares: exit codes, one-line errors, a progress bar."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from elsewhere.core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from elsewhere.audit.fitting import Cost

P = ParamSpec("P")

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


def exit_codes(command: Callable[P, int]) -> Callable[P, None]:
    """Turn a command's result and errors into exit codes.

    Args:
        command: Returns 0 (done) or 1 (found what a check looks for).

    Returns:
        The command, leaving with that code, with 2 and one line for bad input, and with 130 when
        interrupted.
    """

    @wraps(command)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            code = command(*arguments, **options)
        except InputError as error:
            code = _say(f"error: {error}", 2)
        except KeyboardInterrupt:
            code = _say("interrupted; nothing was written", INTERRUPTED)
        except MemoryError:
            code = _say("error: not enough memory; keep fewer rows, or use fewer --jobs", 2)
        raise typer.Exit(code)

    return wrapped


def _say(message: str, code: int) -> int:
    """Write one line to standard error, control characters made visible."""
    inert = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    typer.echo(inert, file=sys.stderr)
    return code


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar on a terminal, nothing in a pipe.

    Yields:
        Function of (done, total, what) to call as work advances.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def step(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield step


def announcer() -> Callable[[Cost], None]:
    """Say what the fits will cost before they start, on standard error.

    Returns:
        Function of the cost, to call before the fits and after them.
    """
    said: list[Cost] = []

    def announce(cost: Cost) -> None:
        if not said:
            typer.echo(f"{cost}", err=True)
        said.append(cost)

    return announce


def one_of(option: str, given: str, allowed: tuple[str, ...]) -> Any:
    """Check a word.

    Args:
        option: The option, for the message.
        given: What came.
        allowed: The known words.

    Returns:
        The word.

    Raises:
        InputError: Another word.
    """
    if given not in allowed:
        raise InputError(option, f"is {given!r}", "a known word", nearest(given, allowed))
    return given


def named_delimiter(given: str | None) -> str | None:
    """Let users write the tab by name."""
    return "\t" if given in ("tab", "\\t") else given
