"""A real browser for the tests: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WIDE, PHONE = (1440, 1100), (390, 844)
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root it starts no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
IDLE = (
    "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
)
SHOWN = "[data-testid=stDataFrame], .js-plotly-plot, [data-testid=stAlert]"
# Streamlit's client looks for its server below every page's address before it asks at the root.
PROBES = ("/_stcore/health", "/_stcore/host-config")


def chromium() -> str:
    """Where the browser is; skips the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium here: apt-get install chromium")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """The browser, for as long as the block lasts."""
    path = chromium()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One viewer with a window of their own; remembers what went wrong in it."""

    browser: Browser
    base: str
    size: tuple[int, int] = WIDE
    scheme: Literal["light", "dark"] = "light"
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        width, height = self.size
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=self.scheme,
            timezone_id="Asia/Jakarta",
        )
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        is_probe = any(part in str(message.location.get("url", "")) for part in PROBES)
        if message.type == "error" and not is_probe:
            self.complaints.append(f"{message.text} {message.location}")

    def open(self, path: str = "") -> Page:
        """Go to a page and wait until it shows something."""
        self.page.goto(f"{self.base}/{path}")
        self.page.wait_for_selector(SHOWN)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing runs any more."""
        self.page.wait_for_selector(IDLE)
        self.page.wait_for_selector("[data-testid=stStatusWidget]", state="detached")
        self.page.wait_for_timeout(300)  # of the browser's own animations

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        self.page.get_by_text(text).first.wait_for()

    def metric(self, label: str) -> str:
        """The figure below a label. Metrics are drawn in no certain order: the first that is there
        need not be the page's first."""
        named = self.page.get_by_text(label, exact=True)
        metric = self.page.locator("[data-testid=stMetric]").filter(has=named)
        return metric.locator("[data-testid=stMetricValue]").inner_text()

    def close(self) -> None:
        """Close the window."""
        self.page.context.close()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
