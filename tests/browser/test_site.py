"""Every page fits wide and narrow screens; tables scroll by themselves, tabs switch, search finds pages. No server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SITE

PAGES = sorted(path.name for path in SITE.glob("*.html") if path.name != "404.html")

WIDE = 1280

#: Facts about a page: widths in pixels, and the boxes in which its tables scroll, scrolled to their ends.
LAYOUT = """() => {
    const tables = [...document.querySelectorAll('.md-typeset table')].map(table => {
        const box = table.closest('.md-typeset__scrollwrap') || table.parentElement;
        box.scrollLeft = box.scrollWidth;
        const cells = table.querySelectorAll('tr:first-child > *');
        return {
            first: cells[0].innerText,
            hidden: box.scrollWidth - box.clientWidth,
            end: cells[cells.length - 1].getBoundingClientRect().right,
        };
    });
    const images = [...document.querySelectorAll('.md-content img')].map(image => ({
        source: image.getAttribute('src'), loaded: image.naturalWidth > 0, end: image.getBoundingClientRect().right,
    }));
    return {
        width: document.documentElement.clientWidth,
        whole: document.documentElement.scrollWidth,
        tables, images,
        text: document.querySelector('.md-content').innerText,
    };
}"""


def opened(page: Page, name: str) -> None:
    """Open a page of the site as a file, until its scripts have changed it."""
    page.goto((SITE / name).as_uri(), wait_until="load")
    if page.locator(".md-typeset table").count():
        page.locator(".md-typeset__scrollwrap").first.wait_for(state="attached")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_screen_and_its_tables_scroll_by_themselves(page: Page, name: str) -> None:
    opened(page, name)

    layout: dict[str, Any] = page.evaluate(LAYOUT)
    width, is_wide = layout["width"], page.viewport_size == {"width": WIDE, "height": 900}
    assert layout["whole"] <= width, "the page scrolls sideways as a whole"
    # On a wide screen each table is seen without scrolling; on a narrow one, its last column after scrolling.
    assert [table for table in layout["tables"] if table["end"] > width + 1] == []
    assert [table for table in layout["tables"] if is_wide and table["hidden"] > 1] == []
    assert [image for image in layout["images"] if not image["loaded"] or image["end"] > width + 1] == []
    assert not re.search(r'^=== "', layout["text"], re.MULTILINE), "tabs that are not rendered"


def test_tabs_switch(page: Page) -> None:
    opened(page, "command-line.html")
    tabs = page.locator(".tabbed-set").first
    labels, blocks = tabs.locator(".tabbed-labels label"), tabs.locator(".tabbed-block")
    assert labels.all_inner_texts() == ["bash", "zsh", "fish"]

    for number in (2, 1, 0):
        labels.nth(number).click()

        for other in range(3):
            expect(blocks.nth(other)).to_be_visible(visible=other == number)


@pytest.mark.parametrize(
    ("word", "target"), [("checkpoint", "evictions.html"), ("stop_check_seconds", "settings.html")]
)
def test_search_finds_a_page_from_the_file(page: Page, word: str, target: str) -> None:
    opened(page, "index.html")
    icon = page.locator("label.md-header__button[for=__search]")
    if icon.is_visible():  # on a narrow screen
        icon.click()
    page.locator(".md-search__input").click()  # loads the index
    expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching", timeout=60_000)
    page.keyboard.type(word)

    result = page.locator(f".md-search-result__link[href*='{target}?h={word}']").first
    result.click(timeout=60_000)

    page.wait_for_url(f"**/{target}*")
    assert word in page.locator(".md-content").inner_text()


def test_the_site_has_pages() -> None:
    assert len(PAGES) > 20
