"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import elsewhere.core
import elsewhere.testing

MODULES = [
    found.name
    for room in (elsewhere.core, elsewhere.testing)
    for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
] + ["elsewhere.testing"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
