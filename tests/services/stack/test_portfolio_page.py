"""The portfolio in a browser: transactions, imports, share links."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.services.stack.conftest import Running
from tests.support.browser import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
OWN_CSV = "made_at,coin_id,quantity,price,note\n2025-01-02,bitcoin,0.25,95000,last year\n"
AMOUNTS = re.compile(r"[$]|Rp")


def _dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def _choose(page: Page, label: str, text: str) -> None:
    """Choose the first entry that a list offers for a text, by keyboard."""
    box = _dialog(page).get_by_role("combobox", name=label, exact=True)
    box.click()
    box.fill(text)
    page.get_by_role("option", name=text).first.click()


def _fill(page: Page, label: str, text: str) -> None:
    box = _dialog(page).get_by_role("textbox", name=label, exact=True)
    box.fill(text)
    box.press("Tab")


def _transactions(page: Page) -> Locator:
    return page.get_by_role("table", name="Transactions").locator("tbody tr")


def test_a_purchase_of_last_year_is_added_edited_deleted_and_brought_back(
    visitor: Visitor,
) -> None:
    page = visitor.open("portfolio")
    before = _transactions(page).count()
    page.get_by_role("button", name="Add a transaction").click()
    _choose(page, "Coin", "Bitcoin (BTC)")
    date = _dialog(page).get_by_test_id("stDateInput")
    date.get_by_role("spinbutton").first.click()
    page.keyboard.type("20250102")
    page.keyboard.press("Tab")
    _fill(page, "Quantity", "0.5")
    expect(_dialog(page).get_by_text("enter the one that you paid")).to_be_visible()
    _fill(page, "Price", "95,000")
    _fill(page, "Note", "<b>bonus</b> 95,000")
    _dialog(page).get_by_role("button", name="Save").click()
    expect(page.get_by_text("The transaction was added.")).to_be_visible()
    row = _transactions(page).filter(has_text="<b>bonus</b>")
    expect(row).to_contain_text("2 Jan 2025")
    expect(row).to_contain_text("$47,500.00")

    row.get_by_role("button", name="Edit").click()
    expect(_dialog(page).get_by_role("textbox", name="Price", exact=True)).to_have_value("95000")
    _fill(page, "Quantity", "0.25")
    _dialog(page).get_by_role("button", name="Save").click()
    expect(row).to_contain_text("$23,750.00")

    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)
    page.reload()
    expect(_transactions(page)).to_have_count(before + 1)
    assert visitor.errors == []


def test_an_odd_price_is_asked_about_and_bad_input_is_explained(
    stack: Running, visitor: Visitor
) -> None:
    known = stack.get("/portfolio/transactions")
    page = visitor.open("portfolio")
    page.get_by_role("button", name="Add a transaction").click()
    save = _dialog(page).get_by_role("button", name=re.compile("Save"))
    expect(save).to_be_disabled()
    _choose(page, "Coin", "Bitcoin (BTC)")
    for text, problem in (("plenty", "is not a number"), ("-1", "without a sign")):
        _fill(page, "Quantity", text)
        expect(_dialog(page).get_by_text(problem)).to_be_visible()
        expect(save).to_be_disabled()
    _fill(page, "Quantity", "0.1")
    # Rupiah typed while USD is chosen.
    _fill(page, "Price", "1,474,248,000")
    expect(_dialog(page).get_by_text("right currency")).to_be_visible()
    expect(save).to_have_text("Save anyway")
    _dialog(page).get_by_text("Sell", exact=True).click()
    _fill(page, "Quantity", "1000000")
    save.click()
    expect(_dialog(page).get_by_text(re.compile("Nothing was changed"))).to_be_visible()
    assert stack.get("/portfolio/transactions") == known


def _open_import(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("button", name="Import", exact=True).click()
    _drop_file(page, name, content)


def _drop_file(page: Page, name: str, content: bytes) -> None:
    file: FilePayload = {"name": name, "mimeType": "text/csv", "buffer": content}
    _dialog(page).locator("input[type=file]").set_input_files(file)


def test_a_file_is_previewed_imported_once_and_a_damaged_one_is_refused_as_a_whole(
    stack: Running, visitor: Visitor
) -> None:
    page = visitor.open("portfolio")
    _open_import(page, "own.csv", OWN_CSV.encode())
    expect(_dialog(page).get_by_text("1 new, 0 imported before")).to_be_visible()
    _dialog(page).get_by_role("button", name="Import 1 transactions").click()
    expect(page.get_by_text("1 transactions were imported.")).to_be_visible()
    visitor.wait_until_idle()  # a file that is given while the page is still built gets no preview
    known = stack.get("/portfolio/transactions")

    _open_import(page, "own.csv", OWN_CSV.encode())
    expect(_dialog(page).get_by_text("0 new, 1 imported before")).to_be_visible()
    expect(_dialog(page).get_by_role("button", name="Import 0")).to_be_disabled()
    page.keyboard.press("Escape")

    damaged = OWN_CSV + "2025-01-03,bitcoin,much,95000,\n"
    _open_import(page, "damaged.csv", damaged.encode())
    expect(_dialog(page).get_by_text(re.compile("1 with problems"))).to_be_visible()
    expect(_dialog(page).get_by_role("button", name=re.compile("^Import \\d"))).to_be_disabled()
    page.keyboard.press("Escape")

    _open_import(page, "other.csv", b"a,b,c,d,e\n1,2,3,4,5\n")
    expect(_dialog(page).get_by_text("Choose at least the time")).to_be_visible()
    _drop_file(page, "strange.csv", b"when;what;how many;rate\n2025-01-05;BTC;0.1;95000\n")
    sample = _dialog(page).get_by_role("table", name="First lines").locator("tbody tr")
    expect(sample).to_have_text(["2025-01-05BTC0.195000"])
    for label, column in (("Time", "when"), ("Coin", "what"), ("Quantity", "how many")):
        _choose(page, label, column)
    _choose(page, "Price of one coin", "rate")
    _choose(page, "Currency", "USD")
    expect(_dialog(page).get_by_text("1 new, 0 imported before")).to_be_visible()
    # What was chosen for one file does not hold for the next.
    _drop_file(page, "own.csv", OWN_CSV.encode())
    expect(_dialog(page).get_by_text("0 new, 1 imported before")).to_be_visible()
    expect(_dialog(page).get_by_text("Choose which column")).to_have_count(0)
    assert stack.get("/portfolio/transactions") == known


def test_a_share_link_shows_percentages_to_everybody_until_it_is_revoked(
    stack: Running, visitor: Visitor
) -> None:
    page = visitor.open("portfolio")
    page.get_by_role("button", name="Share a link").click()
    _dialog(page).get_by_role("button", name="Create a link").click()
    link = _dialog(page).get_by_test_id("stCode").inner_text().strip()
    assert link.startswith(f"{stack.dashboard}/share/")
    shared = visitor.browser.new_page()
    shared.goto(link)
    text = shared.locator("body").inner_text()
    assert "Bitcoin" in text
    assert "%" in text
    assert not AMOUNTS.search(text)
    _dialog(page).get_by_role("button", name="Revoke").click()
    expect(_dialog(page).get_by_text("There are no links.")).to_be_visible()
    response = shared.goto(link)
    assert response
    assert response.status == 404
    shared.close()


def test_hidden_amounts_leave_percentages(visitor: Visitor) -> None:
    page = visitor.open("portfolio")
    page.get_by_role("button", name="Settings").click()
    page.get_by_text("Hide my amounts").click()
    expect(page.get_by_text("•••").first).to_be_visible()
    visitor.wait_until_idle()
    figures = page.get_by_test_id("stMetric").all_inner_texts()
    assert any("%" in figure for figure in figures)
    tables = [page.get_by_role("table", name=name) for name in ("Profit", "Transactions")]
    own = [*figures, *(table.locator("tbody").inner_text() for table in tables)]
    assert not [text for text in own if AMOUNTS.search(text)]
    for holding in page.get_by_role("table", name="Holdings").locator("tbody tr").all():
        assert len(AMOUNTS.findall(holding.inner_text())) == 1  # the public price
    # A note may contain an amount.
    assert "invented" not in page.get_by_test_id("stMain").inner_text()
    second = visitor.browser.new_page()
    second.goto(f"{visitor.base}/portfolio")
    expect(second.get_by_text("•••").first).to_be_visible()  # in every tab of the browser
    second.close()
