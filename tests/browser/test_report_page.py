from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import factory
import factory_fits
import pytest

from elsewhere.report import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from elsewhere.core.gap_report import GapReport

Scheme: TypeAlias = Literal["light", "dark"]
VIEWS: list[tuple[int, Scheme]] = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]


def compact() -> GapReport:
    """One model of the full report: every kind of part once or twice."""
    report = factory.full()
    return replace(report, models=report.models[:1])


REPORTS = {
    "compact": compact,
    "full": factory.full,
    "one-sided": factory.one_sided,
    "hostile": factory.hostile,
    "fitted": factory_fits.fitted,
    "fitted hostile": factory_fits.hostile_fits,
    "fitted many": lambda: factory_fits.one_model(
        ["x" * 500 + str(i) for i in range(60)], column="c" * 200
    ),
    "many": lambda: factory.report_of(
        (
            factory.model_of(
                "m" * 200,
                (
                    factory.grouping_of(
                        "c" * 200, ["x" * 500 + str(i) for i in range(300)], ordered=True
                    ),
                ),
            ),
        )
    ),
}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in REPORTS}
    for name, path in found.items():
        path.write_bytes(render(REPORTS[name](), ".html"))
    return found


@contextmanager
def opened(
    browser: Browser, path: Path, width: int, scheme: Scheme, **options: Any
) -> Iterator[tuple[Page, list[str]]]:
    """Open a page, and collect what it complains about and what it asks for."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, **options
    )
    page = context.new_page()
    events: list[str] = []
    page.on("console", lambda message: events.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: events.append(f"error: {error}"))
    page.on("request", lambda request: events.append(f"request: {request.url}"))
    page.on("dialog", lambda dialog: events.append(f"dialog: {dialog.message}"))
    page.goto(path.as_uri())
    yield page, events
    context.close()


@pytest.mark.parametrize("name", sorted(REPORTS.keys() - {"compact"}))
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_page_is_quiet_and_fits(browser, pages, name, width, scheme):
    path = pages[name]
    with opened(browser, path, width, scheme) as (page, events):
        assert events == [f"request: {path.as_uri()}"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("window.hacked") is None
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(21, 23, 26)") == (scheme == "dark")


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *(("compact", *view) for view in VIEWS),
        ("hostile", 1280, "light"),
        *(("fitted", *view) for view in VIEWS),
        ("fitted hostile", 390, "light"),
    ],
)
def test_page_is_accessible(browser, pages, axe, name, width, scheme):
    with opened(browser, pages[name], width, scheme) as (page, events):
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        problems = [
            (v["id"], v["help"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]
        ]
        assert problems == []
        assert len(events) == 1


def column(page: Page, number: int) -> list[str]:
    return (
        page.locator("#table-1")
        .locator("xpath=..")
        .locator(f"tbody tr > :nth-child({number})")
        .all_inner_texts()
    )


def test_clicking_a_heading_sorts_and_says_so(browser, pages):
    with opened(browser, pages["full"], 1280, "light") as (page, events):
        table = page.locator("#table-1").locator("xpath=..")
        heads = table.locator("thead th")
        rows = heads.nth(1)
        assert heads.nth(5).get_attribute("aria-sort") == "descending"
        rows.get_by_role("button").click()
        assert rows.get_attribute("aria-sort") == "ascending"
        assert heads.nth(5).get_attribute("aria-sort") is None
        sizes = [int(text.replace("\u202f", "")) for text in column(page, 2)]
        assert sizes == sorted(sizes)
        rows.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert rows.get_attribute("aria-sort") == "descending"
        sizes = [int(text.replace("\u202f", "")) for text in column(page, 2)]
        assert sizes == sorted(sizes, reverse=True)
        heads.nth(0).get_by_role("button").click()
        assert column(page, 1) == sorted(column(page, 1))
        assert [e for e in events if not e.startswith("request: file:")] == []


def test_numbers_sort_by_size_with_missing_ones_last(browser, pages):
    with opened(browser, pages["full"], 1280, "light") as (page, _):
        head = page.locator("#table-1").locator("xpath=..").locator("thead th").nth(6)
        for direction in (1, -1):
            head.get_by_role("button").click()
            texts = column(page, 7)
            assert texts[-2:] == ["—", "—"]
            lows = [float(text[1:].split(",")[0].replace("−", "-")) for text in texts[:-2]]
            assert lows == sorted(lows, reverse=direction < 0)


def test_page_is_complete_without_scripts(browser, pages):
    with opened(browser, pages["full"], 1280, "light", java_script_enabled=False) as (page, events):
        assert page.locator("button").count() == 0
        assert page.locator("#table-1").locator("xpath=..").locator("tbody tr").count() == 14
        assert page.get_by_role("heading", name="What this cannot tell you").is_visible()
        assert [e for e in events if not e.startswith("request: file:")] == []


@pytest.mark.parametrize("name", ["hostile", "fitted hostile"])
def test_hostile_names_make_no_elements_and_run_nothing(browser, pages, name):
    with opened(browser, pages[name], 1280, "light") as (page, events):
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 1
        assert page.locator("h1 script, td b, th b, u").count() == 0
        assert page.evaluate("window.hacked") is None
        for button in page.locator("thead button").all()[:12]:
            button.click()
        assert page.evaluate("window.hacked") is None
        assert [e for e in events if not e.startswith("request: file:")] == []
        assert page.locator("th bdi", has_text="<script>window.hacked=1</script>").count() > 0


def test_a_changed_script_does_not_run(browser, pages, tmp_path):
    path = tmp_path / "changed.html"
    text = pages["full"].read_text("utf-8")
    path.write_text(text.replace('"use strict";', '"use strict"; window.hacked = 1;'), "utf-8")
    with opened(browser, path, 1280, "light") as (page, events):
        assert page.evaluate("window.hacked") is None
        assert any("Content Security Policy" in event for event in events)


def test_wide_tables_scroll_by_keyboard_and_links_lead_to_sections(browser, pages):
    with opened(browser, pages["full"], 390, "light") as (page, _):
        region = page.get_by_role("region").filter(has=page.locator("#table-1")).last
        region.focus()
        assert region.evaluate("e => e.scrollWidth > e.clientWidth")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("e => e.scrollLeft > 0", arg=region.element_handle())
        page.get_by_role("link", name="What this cannot tell you").click()
        assert page.url.endswith("#limits")


def test_the_matrix_scrolls_by_keyboard_and_its_table_opens(browser, pages):
    with opened(browser, pages["fitted"], 390, "light") as (page, _):
        region = page.locator(".scroll").first
        region.focus()
        assert region.evaluate("e => e.scrollWidth > e.clientWidth")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("e => e.scrollLeft > 0", arg=region.element_handle())
        pairs = page.locator("details").first
        assert not pairs.locator("table").is_visible()
        pairs.locator("summary").focus()
        page.keyboard.press("Enter")
        assert pairs.locator("table").is_visible()


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG's contrast of two colours."""
    lights = []
    for color in (one, other):
        linear = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
            for c in (v / 255 for v in color)
        ]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    high, low = max(lights), min(lights)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_the_deepest_shade(browser, pages, scheme):
    script = """() => {
        const rgb = (text) => text.match(/[\\d.]+/g).map(Number).slice(0, 3);
        const cells = document.querySelector(".heat .cells");
        const shades = [...cells.children].map((c) => Number(getComputedStyle(c).fillOpacity));
        const depth = Math.max(...shades) * Number(getComputedStyle(cells).opacity);
        return [rgb(getComputedStyle(cells.children[0]).fill), depth,
            rgb(getComputedStyle(document.body).backgroundColor),
            rgb(getComputedStyle(document.querySelector(".heat .in text")).fill)];
    }"""
    with opened(browser, pages["fitted"], 1280, scheme) as (page, _):
        fill, depth, paper, ink = page.evaluate(script)
        shown = [depth * f + (1 - depth) * p for f, p in zip(fill, paper, strict=True)]
        assert contrast(shown, ink) >= 4.5
