"""The overview in a browser: open coins, filter, sort and star them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.services.stack.conftest import Running
from tests.support.browser import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
# A laptop's window.
LAPTOP = (1440, 900)
MIN_ROWS = 25


def _table(page: Page) -> Locator:
    return page.get_by_role("table", name="All coins")


def _names(page: Page) -> list[str]:
    return _table(page).locator("tbody .ms-name").all_inner_texts()


def test_25_rows_of_the_table_the_movers_and_the_alerts_are_in_sight(
    stack: Running, visitor: Visitor
) -> None:
    visitor.resize(LAPTOP)
    page = visitor.open()
    rows = _table(page).locator("tbody tr")
    expect(rows.nth(MIN_ROWS - 1)).to_be_in_viewport(ratio=1)
    for name in ("Movers, 24 h", "Last alerts"):
        expect(page.get_by_role("heading", name=name)).to_be_in_viewport()
    # The head of the table stays in sight below the page's header.
    page.mouse.move(500, 500)
    page.mouse.wheel(0, 1500)
    expect(rows.first).not_to_be_in_viewport()
    expect(_table(page).get_by_role("button", name="Market cap")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name=re.compile("Show all")).click()
    expect(rows).to_have_count(len(stack.get("/overview")["coins"]))
    assert visitor.errors == []


def test_filter_and_sort_work_while_typing_and_are_kept_by_reload_and_back(
    visitor: Visitor,
) -> None:
    page = visitor.open("?sort=-price")
    expect(_table(page).get_by_role("columnheader", name="Price")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_label("Filter").type("pepe")
    expect(_table(page).locator("tbody tr")).to_have_count(2)
    assert set(_names(page)) == {"Pepe"}
    page.wait_for_url("**q=pepe*")
    page.reload()
    visitor.wait_for_content()
    expect(_table(page).locator("tbody tr")).to_have_count(2)
    expect(page.get_by_label("Filter")).to_have_value("pepe")
    page.get_by_label("Filter").fill("no such coin")
    visitor.wait_for_text("Nothing matches")
    page.wait_for_url("**q=no*")
    page.go_back()
    expect(_table(page).locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Price", exact=True).first.press("Enter")
    page.wait_for_url("**sort=price*")
    assert visitor.errors == []


def test_a_name_opens_its_coin_and_a_click_with_ctrl_another_tab(visitor: Visitor) -> None:
    page = visitor.open("?q=ethereum")
    link = _table(page).get_by_role("link").first
    with page.context.expect_page() as opened:
        link.click(modifiers=["ControlOrMeta"])
    opened.value.wait_for_url("**/coin?coin=ethereum")
    opened.value.close()
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/coin?*coin=ethereum*")
    page.go_back()
    expect(_table(page).get_by_role("link")).to_have_count(1)


def test_a_star_is_saved_and_the_watchlist_shows_the_starred_coins(
    stack: Running, visitor: Visitor
) -> None:
    page = visitor.open("?q=ripple")
    star = _table(page).get_by_role("button", name="Star XRP")
    star.press("Enter")
    expect(star).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Watchlist").click()
    page.wait_for_url("**starred=1*")
    assert [c["coin_id"] for c in stack.get("/starred-coins")["items"]] == ["ripple"]
    star.press("Enter")
    visitor.wait_for_text("Nothing matches")
    page.get_by_role("button", name="Watchlist").click()
    page.wait_for_url(lambda address: "starred" not in address)
    expect(star).to_have_attribute("aria-pressed", "false")
    assert stack.get("/starred-coins")["items"] == []
    assert visitor.errors == []


def test_the_keyboard_moves_through_the_table_and_opens_a_coin(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_label("Filter").focus()
    for _ in range(30):
        if page.evaluate("document.activeElement.closest('tbody')"):
            break
        page.keyboard.press("Tab")
    for key in ("Tab", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/coin?*coin=ethereum*")


def test_a_phone_has_a_menu_that_closes_and_movers_and_alerts_above_the_table(
    visitor: Visitor,
) -> None:
    visitor.resize(PHONE)
    page = visitor.open("alerts")
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Overview").click()
    expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport()
    expect(page.locator(".ms-page-name")).to_have_text("Overview")
    page.get_by_role("heading", name="Last alerts").get_by_role("button").press("Enter")
    expect(page.get_by_role("table", name="The newest alerts")).to_be_visible()
    for name in ("Star", "Coin", "Price", "24 h", "7 days"):
        expect(_table(page).get_by_role("columnheader", name=name)).to_be_in_viewport(ratio=1)
    assert visitor.errors == []
