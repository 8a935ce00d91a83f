"""A real browser for tests: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

# How long an action or an expectation may take, in milliseconds: other tests use the machine too.
TIMEOUT = 30_000
expect.set_options(timeout=TIMEOUT)

# Widths and heights in pixels.
WIDE, PHONE = (1440, 1100), (390, 844)
# A name whose owner points it at this machine.
REBOUND_NAME = "evil.example"
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's sandbox does not start as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--host-resolver-rules=MAP {REBOUND_NAME} 127.0.0.1",
)
IDLE_SELECTOR = (
    "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
)
CONTENT_SELECTOR = "[data-drawn=true], [data-testid=stAlert]"
IDLE_URL = "about:blank#idle"  # of a window that no viewer uses
# Streamlit's client looks for its server below every page's address before it tries the root. The
# browser logs these requests as errors.
STREAMLIT_PROBES = ("/_stcore/health", "/_stcore/host-config")


def find_chromium() -> str:
    """Return the path of the browser; skip the test if there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is not installed: apt-get install chromium")


@contextlib.contextmanager
def running_browser() -> Iterator[BrowserContext]:
    """Run the browser for as long as the block lasts."""
    path = find_chromium()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser.new_context(timezone_id="Asia/Jakarta", reduced_motion="reduce")
        browser.close()


@dataclass
class Visitor:
    """One viewer with a browser window of their own; it records the errors of the pages.

    A window is used again by the next viewer: compiling Streamlit's scripts takes most of the time
    of a window's first page.
    """

    browser: BrowserContext
    base: str
    size: tuple[int, int] = WIDE
    scheme: Literal["light", "dark"] = "light"
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        idle = [page for page in self.browser.pages if page.url == IDLE_URL]
        self.page: Page = idle[0] if idle else self.browser.new_page()
        self.page.goto("about:blank")
        self.browser.clear_cookies()  # the preferences of the viewer before
        self.resize(self.size)
        self.page.emulate_media(color_scheme=self.scheme)
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("pageerror", self._record_page_error)
        self.page.on("console", self._record_error)

    def _record_page_error(self, error: Any) -> None:
        self.errors.append(str(error))

    def _record_error(self, message: Any) -> None:
        url = str(message.location.get("url", ""))
        is_probe = any(path in url for path in STREAMLIT_PROBES)
        if message.type == "error" and not is_probe:
            self.errors.append(f"{message.text} {message.location}")

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size."""
        self.size = size
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def open(self, path: str = "") -> Page:
        """Open a page and wait until it has content."""
        self.page.goto(f"{self.base}/{path}")
        self.wait_for_content()
        return self.page

    def follow(self, title: str) -> Page:
        """Open a page from the navigation and wait until it has content.

        The browser keeps Streamlit's scripts, which it loads again for an address.
        """
        self.page.get_by_role("link", name=title, exact=True).click()
        self.page.locator("nav [aria-current=page]", has_text=title).wait_for(state="attached")
        self.wait_for_content()
        return self.page

    def wait_for_content(self) -> None:
        """Wait until the page has content and Streamlit has finished its run."""
        self.page.wait_for_selector(CONTENT_SELECTOR)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until Streamlit has finished the run of the page."""
        self.page.wait_for_selector(IDLE_SELECTOR)
        self.page.wait_for_selector("[data-testid=stStatusWidget]", state="detached")
        # The browser has drawn two frames, so the page that Streamlit has described is there.
        self.page.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def wait_for_text(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is on the page."""
        self.page.get_by_text(text).first.wait_for()

    def close(self) -> None:
        """End the session, and leave the window to the next viewer."""
        self.page.remove_listener("pageerror", self._record_page_error)
        self.page.remove_listener("console", self._record_error)
        self.page.goto(IDLE_URL)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
