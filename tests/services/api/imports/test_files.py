"""Twenty import files against holdings, money and fees that were computed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import pytest

from services.api.imports.options import ImportOptions
from services.api.imports.preparation import prepare_file
from services.api.imports.reading import ImportRequest
from services.api.portfolio.transactions import store_identified
from tests.services.api.imports.conftest import FILES, Importer

HOLDINGS = """
SELECT coin_id, sum(quantity) FROM sentinel.transaction_legs
GROUP BY coin_id HAVING sum(quantity) <> 0
"""
MONEY = "SELECT sum(value_usd) + sum(fee_usd), sum(fee_usd) FROM sentinel.transaction_legs"


class Expected(NamedTuple):
    """What a file comes to."""

    format: str
    # By coin id.
    holdings: Mapping[str, str]
    # In USD: paid minus received, with fees; and the fees.
    cash: str
    fees: str
    request: ImportRequest = ImportRequest()


IDR_16000 = ImportRequest(options=ImportOptions(idr_per_usd=Decimal(16_000)))
MAPPED = ImportRequest(
    columns={
        "made_at": "When",
        "coin": "What",
        "quantity": "How many",
        "total": "Worth",
        "kind": "Kind",
        "fee": "Cost of trade",
        "currency": "USD",
    }
)
SIGNS = ImportRequest(
    columns={
        "made_at": "Date",
        "coin": "Coin",
        "quantity": "Amount",
        "price": "Price",
        "currency": "usd",
    }
)
EXPECTED = {
    # 0.5 x 94,000.50 + 12.25 - (0.1 x 101,000 - 5) + 0.75
    "sentinel.csv": Expected("sentinel", {"bitcoin": "0.2", "ethereum": "7.51"}, "36918.25", "18"),
    # 1,462,500,000 / 16,250 = 90,000; 2 x 2,900.50; 0.5 x 3,000
    "sentinel-spreadsheet.csv": Expected(
        "sentinel", {"bitcoin": "0.1", "ethereum": "1.5"}, "13312.25", "11.25"
    ),
    # The BNB that paid for 1INCH has no stored price: a sale for nothing without a fee.
    "binance.csv": Expected(
        "binance",
        {"bitcoin": "0.02995", "binancecoin": "1.9885", "1inch": "10"},
        "1506.8",  # 2,100 + 1,200 + 5 - 1,800 + 1.80
        "4.8",  # 2.10 + 0.45 + 0.45 + 1.80
    ),
    # One ETH is said to be 1,050 USD; 1 XLM of the fee is worth 0.5 x 1,050 / 1,000.
    "binance-2018.csv": Expected(
        "binance-old",
        {"ethereum": "0.499", "stellar": "599"},
        "780.22",
        "1.745",
        ImportRequest(options=ImportOptions(prices={3: Decimal(1050)})),
    ),
    "binance-market.csv": Expected(
        "binance-old", {"solana": "1.5"}, "200.5045", "1.0045", IDR_16000
    ),
    "binance-ledger.csv": Expected("binance-ledger", {"bitcoin": "0.01006"}, "1.9", "4.7"),
    "binance-ledger-2025.csv": Expected(
        "binance-ledger", {"solana": "9.9", "binancecoin": "0.02", "dogecoin": "25"}, "1500", "1.5"
    ),
    "kraken-trades.csv": Expected(
        "kraken", {"bitcoin": "0.015", "tezos": "100"}, "908.913", "3.913"
    ),
    # The withdrawal of 0.0051 BTC counts 70,000 each, 0.0001 of it as the fee.
    "kraken-ledgers.csv": Expected(
        "kraken-ledger",
        {"bitcoin": "0.0149", "cardano": "104.3"},
        "702.6",
        "9.85",
        ImportRequest(options=ImportOptions(prices={11: Decimal(70_000)})),
    ),
    "kraken-ledgers-2019.csv": Expected("kraken-ledger", {"bitcoin": "0.05"}, "161.404", "1.404"),
    "coinbase.csv": Expected(
        "coinbase", {"bitcoin": "0.025", "ethereum": "0.502"}, "2587.99", "7.99"
    ),
    "coinbase-2022.csv": Expected("coinbase", {"solana": "1"}, "233.49", "5"),
    "coinbase-2020.csv": Expected("coinbase", {"bitcoin": "0.02"}, "150", "5"),
    "indodax-interface.csv": Expected(
        "indodax", {"bitcoin": "0.001"}, "104.246875", "1.121875", IDR_16000
    ),
    # At the stored rate of 16,250.
    "indodax.csv": Expected("indodax", {"bitcoin": "0.001", "ethereum": "0.1"}, "389.72", "1.72"),
    "tokocrypto-interface.csv": Expected(
        "tokocrypto", {"bitcoin": "0.00799"}, "737.6625", "1.0625", IDR_16000
    ),
    "tokocrypto.csv": Expected("tokocrypto", {"solana": "1.498"}, "220.08", "0.38"),
    "pintu.csv": Expected("pintu", {"bitcoin": "0.0006"}, "49.12", "0.12"),
    "mapped.csv": Expected("mapped", {"bitcoin": "0.2", "ethereum": "1"}, "22518", "18", MAPPED),
    "mapped-signs.csv": Expected("mapped", {"dogecoin": "600"}, "70", "0", SIGNS),
}


def test_every_file_has_its_expectation() -> None:
    assert {path.name for path in FILES.iterdir()} == EXPECTED.keys()
    assert len(EXPECTED) == 20


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_comes_to_what_was_computed_by_hand_and_only_once(
    importer: Importer, name: str
) -> None:
    expected, content = EXPECTED[name], (FILES / name).read_bytes()
    connection, context = importer.connection, importer.context
    prepared = prepare_file(context, connection, content, expected.request)
    assert (prepared.reading.format, prepared.conflict) == (expected.format, "")
    assert [line for line in prepared.lines if line.status == "problem"] == []
    assert store_identified(connection, prepared.new_transactions)
    again = prepare_file(context, connection, content, expected.request)
    assert again.new_transactions == []
    assert again.count("duplicate") == prepared.count("new")
    holdings: dict[str, Decimal] = dict(connection.execute(HOLDINGS).fetchall())
    assert holdings == {coin: Decimal(quantity) for coin, quantity in expected.holdings.items()}
    money = connection.execute(MONEY).fetchall()
    assert money == [(Decimal(expected.cash), Decimal(expected.fees))]
