"""The Pipeline page in a browser: strips by keyboard, replay and discard with their dialog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.services.stack.conftest import Running
from tests.support.browser import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
INSERT = "INSERT INTO sentinel.rejections VALUES (%s, %s, %s, %s, %s)"


@pytest.fixture
def rejections(stack: Running) -> Iterator[None]:
    """Two entries without a price, and one that today's validation accepts."""
    [pid_file] = stack.state_dir.rglob("postmaster.pid")
    host = pid_file.read_text().splitlines()[4]
    now = datetime.now(UTC)
    at = int((now - timedelta(minutes=20)).timestamp())
    with psycopg.connect(
        host=host, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        for coin_id, reason, price in (
            ("ethereum", "null_price", None),
            ("solana", "null_price", None),
            ("bitcoin", "price_too_high", 92_000.5),
        ):
            raw = json.dumps({"usd": price, "last_updated_at": at, "usd_market_cap": 1e12})
            connection.execute(INSERT, [now, "browser", coin_id, reason, raw])
        yield
        connection.execute("DELETE FROM sentinel.rejections")


def _row(page: Page, table: str, text: str) -> Locator:
    return page.get_by_role("table", name=table, exact=True).locator("tbody tr", has_text=text)


@pytest.mark.usefixtures("rejections")
def test_entries_are_filtered_and_replayed_or_discarded_after_a_dry_run(
    stack: Running, visitor: Visitor
) -> None:
    page = visitor.open("pipeline?reason=null_price")
    entries = page.get_by_role("table", name="Open rejected entries").locator("tbody tr")
    expect(entries).to_have_count(2)
    _row(page, "Rejected entries by reason", "implausibly high").get_by_role(
        "button", name="Replay"
    ).press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Prices to store: 1")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert len(stack.get("/rejections?is_open=true")["items"]) == 3, "a dry run changes nothing"
    _row(page, "Open rejected entries", "Solana").get_by_role("button", name="Discard").click()
    dialog.get_by_label("Note").fill("a price was never sent")
    dialog.get_by_role("button", name="Discard (1)").click()
    visitor.wait_for_text("Entries discarded: 1.")
    expect(entries).to_have_count(1)
    [discarded] = stack.get("/rejections?is_open=false")["items"]
    assert (discarded["coin_id"], discarded["note"]) == ("solana", "a price was never sent")
    page.get_by_role("button", name="Close").click()
    assert visitor.errors == []


def test_a_day_of_the_strip_names_its_pauses_at_the_keyboards_focus(visitor: Visitor) -> None:
    visitor.resize(PHONE)
    page = visitor.open("pipeline")
    days = page.locator(".ms-day")
    expect(days.first).to_be_in_viewport(ratio=1)
    days.first.focus()
    page.keyboard.press("Tab")
    expect(days.nth(1)).to_be_focused()
    shown = "element => getComputedStyle(element, '::after').content"
    assert "slots delivered" in days.nth(1).evaluate(shown)
    days.nth(2).locator("i[data-tip]").first.hover()
    assert "·" in days.nth(2).locator("i[data-tip]").first.evaluate(shown)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE[0], "nothing is wider than a phone"
    assert page.locator("text=/home/").count() == 0
    assert visitor.errors == []
