"""Libraries that carry no type information, loaded when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def untyped(name: str) -> Any:
    """Import a module whose contents a type checker shall take on trust.

    Args:
        name: Full name of the module.

    Returns:
        The module.
    """
    return import_module(name)
