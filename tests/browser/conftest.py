"""A headless browser, and the site that `make docs` has built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

SITE = Path(__file__).parents[2] / "site"

#: Names of the program, as distributions have them.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: Chromium looks for its maker's hosts otherwise, and has no sandbox in a container.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; `BROWSER` names another program, which must exist."""
    wanted = os.environ.get("BROWSER")
    found = shutil.which(wanted) if wanted else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and wanted:
        pytest.fail(f"there is no program `{wanted}`, which BROWSER names")
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} (Debian has the package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 400])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page of a wide and of a narrow screen, whose browser has no network and reports every error."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, offline=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda failed: errors.append(f"{failed.url}: {failed.failure}"))
    yield page
    context.close()
    assert errors == []
