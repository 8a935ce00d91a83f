"""Each page of the dashboard by axe-core (WCAG 2.2 AA), and a dialog in the dark."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browser import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
AXE = Axe().axe_script
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PAGES = ("Coin", "Alerts", "Forecasts", "Paper trading", "Pipeline", "Portfolio")


def _find_violations(page: Page, *rules: str) -> list[str]:
    """Return what axe finds by all rules of WCAG, or by some rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    run = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": WCAG}
    # Without `preload` axe does not fetch the stylesheets, which none of the rules needs.
    options = {"resultTypes": ["violations"], "runOnly": run, "preload": False}
    found: list[dict[str, Any]] = page.evaluate("o => axe.run(o)", options)["violations"]
    return [f"{page.url} {each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def test_each_page_and_a_dialog_are_accessible_in_light_and_dark(visitor: Visitor) -> None:
    page = visitor.open("?q=bitcoin")
    assert _find_violations(page) == []
    for title in PAGES:
        visitor.follow(title)
        assert _find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme=='dark'")
    assert _find_violations(page, "color-contrast") == []
    page.get_by_role("button", name="Share a link").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create a link").click()
    revoke = dialog.get_by_role("button", name="Revoke")
    expect(revoke).to_have_count(1)
    assert _find_violations(page) == []
    # Dialogs are outside of the element whose color scheme Streamlit sets.
    ink = "element => getComputedStyle(element).color"
    assert dialog.get_by_role("cell").first.evaluate(ink) == "rgb(227, 232, 238)"
    revoke.click()
    expect(revoke).to_have_count(0)
    assert visitor.errors == []
