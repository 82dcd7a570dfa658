"""A browser for the tests that need one, and the accessibility checker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.append(str(Path(__file__).parents[1] / "report"))

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[1] / "assets" / "axe-core" / "axe.min.js"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


def axe_script() -> Path:
    """Path of axe-core, which `make assets` unpacks."""
    if not AXE.is_file():
        pytest.fail(f"{AXE} is missing: run `make assets`")
    return AXE


@pytest.fixture(scope="session")
def axe() -> str:
    """Source of the accessibility checker."""
    return axe_script().read_text("utf-8")


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: run `make test`, which installs what the tests need")
    with sync_playwright() as playwright:
        opened: Browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()
