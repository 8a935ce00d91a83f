"""The page of a coin in a browser: periods, candles, comparison, zoom, targets, another coin."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.services.stack.conftest import Running
from tests.support.browser import PHONE, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def _legend(page: Page) -> str:
    return page.locator(".ms-legend").inner_text()


def test_all_choices_of_the_chart_are_in_the_address_and_survive_a_reload_and_back(
    visitor: Visitor,
) -> None:
    page = visitor.open("coin?coin=bitcoin&range=24h")
    expect(page.get_by_role("radio", name="24 h")).to_be_checked()
    assert all(name in _legend(page) for name in ("Price", "Volume, 24 h", "Next 10 min"))
    expect(page.get_by_text(re.compile(r"Next 10 min: .* \(4 of 5\), "))).to_be_visible()
    # With the keyboard alone.
    page.get_by_role("radio", name="24 h").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "range" not in url)  # the default
    page.get_by_role("radio", name="Candles").click()
    page.wait_for_url("**chart=candles*")
    page.get_by_text("Log axis").click()
    page.wait_for_url("**log=1*")
    page.get_by_text("Volume", exact=True).click()
    page.wait_for_url("**volume=0*")
    page.reload()
    visitor.wait_for_content()
    expect(page.get_by_role("radio", name="Candles")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Log axis")).to_be_checked()
    assert "Volume" not in _legend(page)
    box = page.get_by_role("combobox", name="Compare with")
    box.fill("Ethereum (ETH)")
    box.press("Enter")
    page.wait_for_url("**compare=ethereum*")
    page.get_by_role("button", name="Ethereum (ETH)").wait_for()  # in the legend
    page.go_back()
    page.get_by_role("button", name="Ethereum (ETH)").wait_for(state="detached")
    assert visitor.errors == []


def test_a_zoom_survives_a_refresh_and_a_star_is_kept(stack: Running, visitor: Visitor) -> None:
    page = visitor.open("coin?coin=cardano")
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 100, steps=3)
    page.mouse.up()
    reset = page.get_by_role("button", name="Whole range")
    reset.wait_for()
    page.get_by_role("button", name="☆ Watchlist").click()
    page.get_by_role("button", name="★ Watchlist").wait_for()  # the page was drawn again
    visitor.wait_until_idle()
    expect(reset).to_be_visible()
    assert stack.get("/coins/cardano")["is_starred"]
    page.get_by_role("button", name="★ Watchlist").click()
    page.get_by_role("button", name="☆ Watchlist").wait_for()
    reset.click()
    reset.wait_for(state="hidden")
    assert visitor.errors == []


def test_on_a_phone_the_chart_begins_above_the_fold_below_name_price_and_change(
    visitor: Visitor,
) -> None:
    visitor.resize(PHONE)
    page = visitor.open("coin?coin=bitcoin")
    title = page.get_by_test_id("coin-title").bounding_box()
    chart = page.locator(".ms-plot").bounding_box()
    assert title
    assert chart
    assert title["height"] < 70  # two lines
    assert title["y"] < chart["y"] < PHONE[1] / 2
    assert chart["y"] + chart["height"] <= PHONE[1]
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth <= main.clientWidth")
    link = page.get_by_role("link", name="CoinGecko ↗")
    expect(link).to_have_attribute("href", "https://www.coingecko.com/en/coins/bitcoin")
    assert visitor.errors == []


def test_a_price_target_is_previewed_saved_and_deleted(stack: Running, visitor: Visitor) -> None:
    page = visitor.open("coin?coin=ripple")
    page.get_by_role("button", name="New target").click()
    page.get_by_label("Price", exact=True).fill("1,000,000")
    page.get_by_label("Note").fill("sell a tenth")
    page.get_by_role("button", name="Preview").click()
    visitor.wait_for_text("At or above $1,000,000.00, once")
    visitor.wait_for_text("It would not have fired in the last")
    assert stack.get("/price-targets?coin_id=ripple")["items"] == []
    page.get_by_role("button", name="Save", exact=True).click()
    visitor.wait_for_text("Saved: At or above")
    [target] = stack.get("/price-targets?coin_id=ripple")["items"]
    assert (target["note"], target["source"]) == ("sell a tenth", "dashboard")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete").click()
    visitor.wait_for_text("No price targets.")
    assert stack.get("/price-targets?coin_id=ripple")["items"] == []
    assert visitor.errors == []


def test_another_coin_is_chosen_by_search_and_back_undoes_it_and_an_unknown_one_is_reported(
    stack: Running, visitor: Visitor
) -> None:
    page = visitor.open("coin?coin=solana")
    box = page.get_by_test_id("stMain").get_by_role("combobox", name="Coin", exact=True)
    box.fill("pepe-of")
    box.press("Enter")
    page.wait_for_url("**coin=pepe-of-wisdom*")
    # Another coin has its name and symbol.
    price = stack.get("/coins/pepe-of-wisdom/page")["coin"]["price_usd"]
    expect(page.locator(".ms-coin h1")).to_contain_text("Pepe")
    shown = page.locator(".ms-coin-price").inner_text().strip("$").replace(",", "")
    assert float(shown) == pytest.approx(price, rel=0.05)
    page.go_back()
    page.wait_for_url("**coin=solana*")
    expect(page.locator(".ms-coin h1")).to_contain_text("Solana")
    page.get_by_role("button", name="What they caught").click()
    page.get_by_text("counted once an hour").or_(page.get_by_text("less than a day")).wait_for()
    page.goto(f"{visitor.base}/coin?coin=nope-such")
    visitor.wait_for_text("There is no coin with the id nope-such.")
    assert page.get_by_role("button", name="New target").count() == 0
