"""What an import does with overlapping, damaged and unknown files, with coins, fees and options."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.api.imports import table
from services.api.imports.formats import FORMATS_BY_ID
from services.api.imports.reading import ImportRequest, read_file
from services.api.imports.table import UnreadableFile
from tests.services.api.client import problem_detail
from tests.services.api.imports.conftest import FILES, Importer

BINANCE = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee\n"
BUY = "2025-01-10 10:00:00,BTCUSDT,BUY,40000,0.1BTC,4000USDT,4USDT\n"
LATER = "2025-04-10 10:00:00,BTCUSDT,SELL,80000,0.05BTC,4000USDT,4USDT\n"
KRAKEN = "txid,refid,time,type,asset,amount,fee\n"
SIMPLE = "made_at,coin_id,quantity,price\n"


def _statuses(preview: Any) -> list[str]:
    return [line["status"] for line in preview["lines"]]


def test_overlapping_files_add_only_what_is_new(importer: Importer) -> None:
    assert importer.send(BINANCE + BUY + BUY).json()["added"] == 2  # two alike are two
    assert importer.send(BINANCE + LATER + BUY + BUY + BUY).json() == {
        "format": "binance",
        "added": 2,
        "skipped": 2,
        "ignored": 0,
    }
    # The identity is that of the line: another wallet or coin of its symbol adds nothing.
    options = {"coins": json.dumps({"btc": "aave-btc"}), "wallet": "Binance"}
    assert importer.send(BINANCE + BUY, **options).json()["added"] == 0
    # Nor does an export of the portfolio, by either route.
    exported = importer.api.get("/portfolio/transactions.csv").text
    assert importer.send(exported).json()["skipped"] == 4
    headers = {"Content-Type": "text/csv"}
    again = importer.api.post("/portfolio/transactions.csv", data=exported, headers=headers)
    assert again.json() == {"added": 0, "skipped": 4}
    # The same trade from another kind of file is pointed out.
    columns = "Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin\n"
    other = columns + "2025-01-10 10:00:00,BTCUSDT,BUY,40000,0.1,4000,4,USDT\n"
    [line] = importer.preview(other)["lines"]
    assert "a stored transaction has the same time" in line["message"]


def test_a_file_that_is_sent_several_times_at_once_is_added_by_one_import(
    importer: Importer,
) -> None:
    with ThreadPoolExecutor() as pool:
        responses = list(pool.map(importer.send, [BINANCE + BUY] * 3))
    assert sorted(response.json()["added"] for response in responses) == [0, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "The file is empty."),
        ("\n \n", "The file is empty."),
        (BINANCE + BUY[:40], "Line 2: the line must have 7 fields as the header, not 5"),
        (BINANCE + BUY.strip() + ",1,2\n", "must have 7 fields as the header, not 9"),
        (BINANCE + '"2025-01-10 10:00:00,BTC', "Line 2 cannot be read"),
        (BINANCE.encode() + b"\xff\xfa\x80", "not UTF-8"),
        (BINANCE.encode("utf-16-le"), "NUL"),
        (b"PK\x03\x04\x00\x00", "This is an Excel file: export it as CSV."),
        (b"%PDF-1.7", "This is a PDF"),
        ("\n<!DOCTYPE html><p>Sign in</p>", "This is a web page"),
        (BINANCE.replace("Fee", "price"), "The header names the column 'price' twice"),
        (BINANCE + BUY.replace("0.1BTC", "0.1.1BTC"), "Line 2: '0.1.1' is not a number."),
        (BINANCE + BUY.replace("BUY", "HODL"), "Line 2: the type 'hodl' is not known"),
        (BINANCE + BUY.replace("2025-01-10", "2025-13-10"), "Line 2: '2025-13-10 10:00:00' is not"),
        (BINANCE + BUY.replace("2025", "2027"), "Line 2: 2027-01-10T10:00:00+00:00 is in"),
        (BINANCE + BUY.replace("4000USDT", "5000USDT"), "is not price times quantity"),
        (BINANCE + BUY.replace("0.1BTC", "1e99BTC"), "too many digits"),
        (BINANCE + BUY.replace("BTC", "NIX"), "no known coin has the symbol NIX: name the"),
        (BINANCE + BUY.replace("BTC", "TWIN"), "several coins have the symbol TWIN"),
        (BINANCE + BUY.replace("USDT", "EUR"), "the rate of EUR is not stored"),
        (BINANCE + BUY.replace("USDT", "IDR"), "Line 2: no rupiah rate of 2025-01-10 is stored"),
        (BINANCE + BUY.replace("BTCUSDT", "BTC?"), "Line 2: 'BTC?' is not a pair"),
        (BINANCE + LATER, "Line 2: bitcoin: "),
        (BINANCE + BUY + BUY.replace("BUY,40000,0.1", "SELL,20000,0.2"), "Line 3: bitcoin: "),
        (KRAKEN + "b,r,2025-01-10,trade,XBT,1,-0.1\n", "Line 2: the fee is negative"),
        (BINANCE + BUY[:40] + "\n" + BUY[:40], "export it again. 1 more line has a problem."),
        ("Tanggal,Pair,Tipe,Harga,Jumlah\n,BTC/IDR,Beli,5,1\n", "Line 2: 'tanggal' is empty."),
        ("Tanggal,Pair,Tipe,Harga,Jumlah\n01/02/2026,BTC/IDR,Beli,5,1\n", "date_order"),
        ("Tanggal,Pair,Tipe,Harga,Jumlah\n2026-02-01,BTC/IDR,Beli,1.234,1\n", "decimal_comma"),
        (SIMPLE + "2026-11-20,bitcoin,x,5\n", "Line 2: 'x' is not a number."),
        # Such a field held up a regular expression, and with it the whole API, for many seconds.
        pytest.param(
            SIMPLE + f"2026-11-20,bitcoin,-{' ' * 20_000}x,5\n", "is not a number", id="spaces"
        ),
        (SIMPLE + "2026-11-20,bitcoin,1,\n", "Line 2: price"),
        (SIMPLE + "2026-11-20,nix,1,5\n", "Line 2: no known coin has the symbol nix"),
        ("{}", "The file has a single column"),
        ("a,b\n1,2\n", "The columns are those of no known format"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_refused_in_one_sentence_and_changes_nothing(
    importer: Importer, content: str | bytes, message: str
) -> None:
    detail = importer.refusal(content)
    assert detail.startswith("Nothing was imported. ")
    assert message in detail


def test_a_file_with_only_a_header_adds_nothing(importer: Importer) -> None:
    for header in (BINANCE, SIMPLE):
        assert importer.send(header).json()["added"] == 0


def test_an_unknown_file_is_imported_by_a_mapping(importer: Importer) -> None:
    content = "Buchung;Token;Menge;Preis\n01.02.2026;BTC;0,5;90.000,00\n02.02.2026;NIX;1;1\n"
    preview = importer.preview(content)
    assert (preview["format"], preview["lines"]) == (None, [])
    assert preview["message"].startswith("The columns are those of no known format")
    assert preview["headers"] == ["Buchung", "Token", "Menge", "Preis"]
    assert preview["suggested_mapping"] == {"coin": "Token"}
    assert preview["sample"][0] == ["01.02.2026", "BTC", "0,5", "90.000,00"]
    columns = {"made_at": "Buchung", "coin": "Token", "quantity": "Menge", "price": "Preis"}
    mapping: dict[str, Any] = columns | {"currency": "USD"}
    lines = importer.preview(content, mapping=json.dumps(mapping))["lines"]
    assert [line["asks"] for line in lines] == ["date_order", "date_order"]
    mapping |= {"date_order": "dmy", "time_zone": "Asia/Jakarta"}
    lines = importer.preview(content, mapping=json.dumps(mapping))["lines"]
    assert [line["asks"] for line in lines] == [None, "coins"]
    options = {"mapping": json.dumps(mapping), "coins": json.dumps({"NIX": "litecoin"})}
    assert importer.send(content, **options).json()["added"] == 2
    [first, _] = importer.api.get_json("/portfolio/transactions")["items"]
    assert (first["made_at"], first["price_usd"]) == ("2026-01-31T17:00:00Z", "90000")
    missing = json.dumps(mapping | {"fee": "Gebühr"})
    assert "'Gebühr' for fee, but the file has no such column" in importer.refusal(
        content, mapping=missing
    )


def test_the_preview_shows_each_line_as_it_would_be_stored(importer: Importer) -> None:
    content = BINANCE.replace(",Pair", ",PAIR").replace(",", " ,") + BUY + LATER
    preview = importer.preview(content, wallet="Binance")
    assert preview["reason"] == "the file has its columns"
    assert preview["counts"] == {"new": 2, "duplicate": 0, "ignored": 0, "problem": 0}
    line = preview["lines"][0]
    assert line["coin"] == {"coin_id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "rank": 1}
    assert [coin["coin_id"] for coin in line["alternatives"]] == ["aave-btc", "osmosis-allbtc"]
    expected = {
        "line": 2,
        "more_lines": [],
        "status": "new",
        "kind": "buy",
        "wallet": "Binance",
        "quantity": "0.1",
        "price": "40000",
        "currency": "USDT",
        "price_usd": "40000",
        "fee_usd": "4",
        "fee_sales": [],
        "made_at": "2025-01-10T10:00:00Z",
    }
    assert line | expected == line
    chosen = importer.preview(content, coins='{"BTC": "aave-btc"}')["lines"][0]
    assert chosen["coin"]["coin_id"] == "aave-btc"
    unknown = importer.preview(content, coins='{"BTC": "nix"}')["lines"][0]
    assert (unknown["status"], unknown["asks"]) == ("problem", "coins")


def test_old_symbols_mean_the_coins_of_today(importer: Importer) -> None:
    lines = [
        f"{date} 10:00:00,{symbol}USDT,BUY,1,1{symbol},1USDT,0USDT"
        for date, symbol in (
            *(("2022-01-01", "LUNA"), ("2023-01-01", "LUNA"), ("2023-01-01", "MATIC")),
            ("2023-01-01", "XBT"),
        )
    ]
    preview = importer.preview(BINANCE + "\n".join(lines))
    found = [line["coin"]["coin_id"] for line in preview["lines"]]
    assert found == ["terra-luna", "terra-luna-2", "polygon-ecosystem-token", "bitcoin"]
    rewards = (f"{coin},{coin},2023-01-01,staking,{coin},1,0\n" for coin in ("LUNA", "LUNA2"))
    preview = importer.preview(KRAKEN + "".join(rewards))
    assert [line["coin"]["coin_id"] for line in preview["lines"]] == ["terra-luna", "terra-luna-2"]


def test_a_fee_in_a_coin_whose_symbol_begins_with_a_digit_reduces_it(importer: Importer) -> None:
    line = "2025-02-02 11:00:00,1INCHUSDT,BUY,0.5,101INCH,5USDT,0.11INCH\n"
    [shown] = importer.preview(BINANCE + line)["lines"]
    assert (shown["quantity"], shown["fee_usd"]) == ("9.9", "0.05")


def test_a_fee_in_a_third_coin_is_a_sale_of_its_own(importer: Importer) -> None:
    bnb = "2026-11-20 08:00:00,BNBUSDT,BUY,800,0.01BNB,8USDT,0USDT\n"
    trade = "2026-11-20 09:00:00,BTCUSDT,BUY,90000,0.1BTC,9000USDT,0.01BNB\n"
    line = importer.preview(BINANCE + bnb + trade)["lines"][1]
    [sale] = line["fee_sales"]
    assert (sale["coin_id"], sale["quantity"], sale["fee_usd"]) == ("binancecoin", "0.01", "8")
    assert line["message"] == "the fee of 0.01 BNB is a sale of its own"
    importer.send(BINANCE + bnb + trade)
    profit = {
        item["coin_id"]: item["total_profit"]
        for item in importer.api.get_json("/portfolio")["holdings"]
    }
    assert profit["binancecoin"]["fees_usd"] == "8"
    # The sale stays when its trade is deleted, and is not counted twice when that is added again.
    importer.database.query("DELETE FROM sentinel.transactions WHERE coin_id = 'bitcoin'")
    assert importer.send(BINANCE + bnb + trade).json()["added"] == 1
    # Without the coins that paid the fee, nothing is imported.
    importer.database.query("DELETE FROM sentinel.transactions")
    assert "Line 2: binancecoin: " in importer.refusal(BINANCE + trade)


def test_stablecoins_can_be_coins(importer: Importer) -> None:
    deposit = "2025-01-09,tether,5000,1\n"
    assert importer.send(SIMPLE + deposit).json()["added"] == 1
    [line] = importer.preview(BINANCE + BUY, stablecoins_as_usd="false")["lines"]
    assert (line["kind"], line["coin"]["coin_id"], line["to_coin"]["coin_id"]) == (
        *("trade", "tether", "bitcoin"),
    )
    assert (
        line["message"] == "USDT counts at its face value; the fee of 4 USDT is a sale of its own"
    )
    assert line["price_usd"] == "1"
    assert importer.send(BINANCE + BUY, stablecoins_as_usd="false").json()["added"] == 1
    rows = importer.database.query(
        "SELECT coin_id, sum(quantity) FROM sentinel.transaction_legs GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("bitcoin", Decimal("0.1")), ("tether", Decimal(996))]


def test_a_rate_or_price_of_the_request_serves_only_lines_without_a_stored_one(
    importer: Importer,
) -> None:
    rows = "".join(
        f"{date} 10:00:00,BTCIDR,BUY,1600000000,0.1BTC,160000000IDR,0IDR\n"
        for date in ("2025-01-10", "2026-11-20")
    )
    old, new = importer.preview(BINANCE + rows, idr_per_usd="16000")["lines"]
    assert (old["price_usd"], old["message"]) == (
        "100000",
        "at your rate of 16000 rupiah: none of 2025-01-10 is stored",
    )
    assert (new["price_usd"][:10], new["message"]) == ("98461.5384", "")
    euro = BINANCE + BUY.replace("USDT", "EUR")
    [line] = importer.preview(euro, prices='{"2": "44000"}')["lines"]
    assert (line["price_usd"], line["fee_usd"]) == ("44000", "4.4")


def test_transfers_can_be_left_out(importer: Importer) -> None:
    content = (FILES / "kraken-ledgers.csv").read_bytes()
    assert "or leave all transfers out with transfers=ignore" in importer.refusal(content)
    response = importer.send(content, transfers="ignore").json()
    assert response == {"format": "kraken-ledger", "added": 3, "skipped": 0, "ignored": 4}


def test_formulas_in_notes_are_text(importer: Importer) -> None:
    content = SIMPLE.strip() + ",note\n2026-11-20,BTC,1,5,=HYPERLINK(1)\n"
    assert importer.send(content).json()["added"] == 1
    [item] = importer.api.get_json("/portfolio/transactions")["items"]
    assert item["note"] == "=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("option", "value", "status", "message"),
    [
        ("format", "mtgox", 422, "format: must match ^(auto"),
        ("idr_per_usd", "-1", 422, "idr_per_usd: must match"),
        ("transfers", "maybe", 422, "transfers"),
        ("mapping", "{", 409, "mapping"),
        ("mapping", '{"made_at": 1}', 409, "mapping.made_at"),
        ("mapping", '{"time_zone": "Mars/Base"}', 409, "no time zone 'Mars/Base'"),
        ("prices", '{"x": 1}', 409, "prices"),
        ("coins", "[]", 409, "coins"),
    ],
)
def test_a_wrong_option_is_named(
    importer: Importer, option: str, value: str, status: int, message: str
) -> None:
    response = importer.send(BINANCE, "/preview", **{option: value})
    assert message in problem_detail(response, status)


def test_a_format_can_be_demanded(importer: Importer) -> None:
    assert importer.send(BINANCE + BUY, format="binance").json()["added"] == 1
    assert "not have the columns of the format 'kraken'" in importer.refusal(
        BINANCE + BUY, format="kraken"
    )


HEADERS = sorted(",".join(sorted(names)) for one in FORMATS_BY_ID.values() for names in one.headers)
WORDS = ("BUY", "Beli", "deposit", "trade", "2025-01-02 03:04:05", "01/02/2026", "1,5", "-0.1BTC")
CELL = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))


def test_a_file_with_too_many_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_LINES", 2)
    with pytest.raises(UnreadableFile, match="has 3 lines; at most 2 are allowed"):
        read_file((BINANCE + BUY * 3).encode(), ImportRequest())


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_file_raises_anything_but_the_documented_error(data: st.DataObject) -> None:
    header = data.draw(st.sampled_from(HEADERS))
    row = st.lists(CELL, min_size=header.count(",") + 1, max_size=header.count(",") + 1)
    rows = data.draw(st.lists(row, max_size=3))
    text = "\n".join([header, *(",".join(cells) for cells in rows)])
    content = text.encode("utf-8", "surrogatepass")[: data.draw(st.integers(0, 400))]
    by_hand = {"made_at": "time", "coin": "pair", "quantity": "fee"}
    columns = data.draw(st.sampled_from(({}, by_hand)))
    try:
        read_file(content, ImportRequest(columns=columns))
    except UnreadableFile:
        return
