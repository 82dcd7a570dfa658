"""The main job: audit predictions that people already have.

`elsewhere.audit(table, ...)` calls `elsewhere.audit.predictions.audit`: the room is named after its
one job, so the module itself can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from elsewhere.audit.predictions import audit

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport

__all__ = ["audit"]


class _Room(ModuleType):
    """A module that does its one job when called."""

    def __call__(self, *arguments: Any, **options: Any) -> GapReport:
        """Audit predictions; see `elsewhere.audit.predictions.audit`."""
        return audit(*arguments, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to worker processes by name, as every module does."""
        return import_module, (__name__,)


sys.modules[__name__].__class__ = _Room
