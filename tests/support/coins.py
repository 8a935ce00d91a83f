"""Made-up coins for tests of the registry."""

from __future__ import annotations

from coin_registry import Coin, CoinRegistry
from tests.conftest import NOW

BITCOIN = Coin("bitcoin", "btc", "Bitcoin", 1)
COINS = (
    BITCOIN,
    Coin("batcat", "btc", "batcat", 900),
    Coin("tether", "usdt", "Tether", 3),
    Coin("bridged-tether", "usdt", "Tether"),
    Coin("eth", "wrong", "A coin whose id is a ticker", 950),
    Coin("ethereum", "eth", "Ethereum", 2),
    Coin("bitcoin-cash", "bch", "Bitcoin Cash", 20),
    Coin("_", "gib", "༼ つ ◕_◕ ༽つ"),
    Coin("-11", "-11", "Eleven"),
    Coin("neo-token", "neo\u00a0", "Neo Token"),
    Coin("red-green", "🟥🟩", "Red Green"),
)


def make_registry(count: int) -> CoinRegistry:
    """Return a registry of ranked coins c00000, c00001, …"""
    return CoinRegistry((Coin(f"c{n:05}", f"s{n}", f"N{n}", n + 1) for n in range(count)), NOW)


def make_listing(registry: CoinRegistry) -> list[dict[str, str]]:
    """Return the registry's coins as CoinGecko's `/coins/list` would list them."""
    return [{"id": c.id, "symbol": c.symbol, "name": c.name} for c in registry.coins.values()]
