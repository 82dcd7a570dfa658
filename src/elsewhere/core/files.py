"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from elsewhere.core.errors import InputError


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
    waiting: list[tuple[str, Path]] = []
    target = Path()
    try:
        for target, content in files.items():
            if target.is_dir():
                raise InputError(f"output {target}", "is a folder", "a file name")
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            waiting.append((temporary, target))
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
            Path(temporary).chmod(mode & 0o777)
        while waiting:
            temporary, target = waiting[0]
            Path(temporary).replace(target)
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
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """Read the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
