"""What every command shares: exit codes, one-line errors, a progress bar."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import typer

from elsewhere.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
