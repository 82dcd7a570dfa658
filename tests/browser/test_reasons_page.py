"""Pages that say why there is a gap and what closes it, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import factory_why
import pytest
from test_report_page import VIEWS, opened

from elsewhere.report import render

if TYPE_CHECKING:
    from pathlib import Path

REPORTS = {
    "helped": factory_why.helped,
    "unhelped": factory_why.unhelped,
    "pool": factory_why.pool,
    "empty": factory_why.empty,
    "hostile": factory_why.hostile,
}


@pytest.fixture(scope="session")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reasons")
    found = {name: folder / f"{name}.html" for name in REPORTS}
    for name, path in found.items():
        path.write_bytes(render(REPORTS[name](), ".html"))
    return found


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_page_is_quiet_and_fits(browser, reasons, name, width, scheme):
    path = reasons[name]
    with opened(browser, path, width, scheme) as (page, events):
        assert events == [f"request: {path.as_uri()}"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("name", ["helped", "unhelped", "pool"])
@pytest.mark.parametrize(("width", "scheme"), [VIEWS[0], VIEWS[3]])
def test_page_is_accessible(browser, reasons, axe, name, width, scheme):
    with opened(browser, reasons[name], width, scheme) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]] == []


def test_page_is_complete_without_scripts(browser, reasons):
    with opened(browser, reasons["helped"], 1280, "light", java_script_enabled=False) as (page, _):
        for name in ("What closes it", "Shortcut features, by month", "Where it fails, by month"):
            assert page.get_by_role("heading", name=name, exact=True).is_visible()
        assert page.locator(".lines dt").all_inner_texts() == [
            "Here and elsewhere",
            "Why",
            "What closes it",
            "Price",
        ]


def test_names_and_marks_of_a_remedy_stand_beside_each_other(browser, reasons):
    for width in (390, 1280):
        with opened(browser, reasons["helped"], width, "light") as (page, _):
            figure = page.locator("figure.trials").first
            tops = figure.locator(".trial bdi:first-child").evaluate_all(
                "all => all.map(e => e.getBoundingClientRect().top)"
            )
            marks = figure.locator(".rows .sign.s0").evaluate_all(
                "all => all.map(e => e.getBoundingClientRect().top)"
            )
            assert len(tops) == len(marks) == 5
            assert all(0 <= mark - top <= 24 for top, mark in zip(tops, marks, strict=True))


def test_the_four_lines_lead_to_their_sections(browser, reasons):
    with opened(browser, reasons["helped"], 390, "light") as (page, _):
        page.get_by_role("link", name="Price", exact=True).click()
        assert page.url.endswith("#model-1-grouping-1-closing")
