"""Files written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from elsewhere.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files so that a failure leaves every old file as it was.

    All contents go to temporary files beside their targets and reach the disk first; only then
    each takes its final name. A full disk, a read-only folder or an interrupt before that point
    leaves nothing behind.

    Args:
        files: Contents by path. Parent folders are made.

    Raises:
        InputError: A target cannot be written; the message names it and the reason.
    """
    waiting: list[tuple[Path, Path]] = []
    target = Path()
    try:
        for target, content in files.items():
            if target.is_dir():
                raise InputError(f"output {target}", "is a folder", "a file name")
            target.parent.mkdir(parents=True, exist_ok=True)
            # A fresh name that must not exist: nothing that lies there, or links away, is written.
            temporary = target.with_name(f".{secrets.token_hex(8)}.part")
            waiting.append((temporary, target))
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        while waiting:
            temporary, target = waiting[0]
            temporary.replace(target)
            waiting.pop(0)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"output {target}",
            f"cannot be written ({reason})",
            "a writable folder with free space",
            "another path for --out",
        ) from error
    finally:
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)
