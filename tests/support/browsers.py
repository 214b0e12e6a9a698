"""The Chromium of the system, for tests that look at pages."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator

from playwright.sync_api import Browser, Page, expect, sync_playwright
from waiting import HANG

PATIENCE = HANG * 1000  # ms
expect.set_options(timeout=PATIENCE)  # 5 s by default
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Start Chromium, with more arguments where they are given, and close it in the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *arguments], timeout=PATIENCE
        )
        yield browser
        browser.close()


def patient(page: Page) -> Page:
    """Return a page whose steps may take as long as a busy machine needs: 30 s by default."""
    page.set_default_timeout(PATIENCE)
    return page


def wait_on(page: Page, happened: Callable[[], bool], explain: Callable[[], object] = str) -> None:
    """Wait until something holds, while the page goes on: its policy forbids Playwright's own way to wait."""
    deadline = time.monotonic() + HANG
    while not happened():
        assert time.monotonic() < deadline, explain()
        page.wait_for_timeout(20)
