"""What the symbols of exchanges mean: money, stablecoins, and symbols that were renamed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

Money = Literal["usd", "idr"]

MONEY: dict[str, Money] = {"USD": "usd", "IDR": "idr", "RP": "idr"}
# Tokens that stand for one dollar or one rupiah.
STABLECOINS: dict[str, Money] = {
    **dict.fromkeys(("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI"), "usd"),
    **dict.fromkeys(("BIDR", "IDRT"), "idr"),
}
# Money whose rate is not stored.
OTHER_MONEY = frozenset(
    {"EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR", "INR"}
    | {"SGD", "MYR", "THB", "PHP", "VND", "KRW", "HKD", "NZD", "PLN", "CZK", "SEK", "MXN", "ARS"}
    | {"AED"}
)
# What pairs such as BTCUSDT may end with.
QUOTE_SYMBOLS = frozenset(
    {*MONEY, *STABLECOINS, *OTHER_MONEY, "BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "SOL", "USDS"}
    | {"USDE", "USD1", "PYUSD", "VAI", "PAX", "USDP", "UST"}
) - {"RP"}

# Symbols that exchanges used for a time, and never for another coin.
RENAMED = {
    "XBT": "BTC",  # ISO 4217 keeps X for currencies without a country; Kraken writes it
    "XDG": "DOGE",  # Kraken
    "BCHABC": "BCH",  # Binance after the fork of November 2018
    "BCC": "BCH",  # Binance before it
    "BCHSV": "BSV",  # Binance after the fork
    "ETH2": "ETH",  # Kraken and Coinbase while staked coins were locked
    "CGLD": "CELO",  # Coinbase until 2023
}
# Coins that changed their symbol one to one; the best ranked coin of either symbol is meant.
SUCCESSORS = {
    "MATIC": "POL",  # 2024
    "MIOTA": "IOTA",
    "IOTA": "MIOTA",  # CoinGecko used MIOTA
    "NANO": "XNO",  # 2021
    "RNDR": "RENDER",  # 2024
    "FTM": "S",  # 2025
    "EOS": "A",  # 2025
}
# LUNA is Terra Classic (LUNC) in files until the new chain began, and Terra after it.
NEW_LUNA = datetime(2022, 5, 28, tzinfo=UTC)


def find_money(symbol: str, *, stablecoins_as_usd: bool) -> Money | None:
    """Return which money a symbol stands for; None for a coin or money without a rate."""
    known = MONEY | STABLECOINS if stablecoins_as_usd else MONEY
    return known.get(symbol.upper())


def modernize(symbol: str, made_at: datetime) -> str:
    """Return the symbol that a coin has today."""
    symbol = symbol.upper()
    if symbol == "LUNA" and made_at < NEW_LUNA:
        return "LUNC"
    return RENAMED.get(symbol, symbol)
