"""A simulated market: its coins and prices depend only on a seed and the time."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Oddity = Literal["", "ghost", "empty", "null", "stale", "unranked"]
REFRESH_SECONDS = 60  # CoinGecko's public host returns the same response within a minute
IDR_PER_USD = 16_250.0
STALE_SECONDS = 208 * 86_400  # the oldest price seen in a real top 100

# Well-known coins. Some symbols occur twice, as they do at CoinGecko.
_KNOWN_COINS = (
    ("bitcoin", "btc", "Bitcoin", 92_000.0),
    ("ethereum", "eth", "Ethereum", 3_100.0),
    ("tether", "usdt", "Tether", 1.0),
    ("binancecoin", "bnb", "BNB", 870.0),
    ("ripple", "xrp", "XRP", 2.1),
    ("usd-coin", "usdc", "USDC", 1.0),
    ("solana", "sol", "Solana", 140.0),
    ("dogecoin", "doge", "Dogecoin", 0.15),
    ("cardano", "ada", "Cardano", 0.48),
    ("bitcoin-cash", "bch", "Bitcoin Cash", 510.0),
    ("pepe", "pepe", "Pepe", 0.0000047),
    ("batcat", "btc", "batcat", 0.00002),
    ("bridged-tether", "usdt", "Bridged Tether", 1.0),
    ("bridged-usd-coin", "usdc", "Bridged USDC", 1.0),
    ("pepe-of-wisdom", "pepe", "Pepe", 0.0003),
)
# Unusual ids, symbols and responses found in CoinGecko's lists.
_ODD_COINS: tuple[tuple[str, str, str, Oddity], ...] = (
    ("_", "gib", "༼ つ ◕_◕ ༽つ", "unranked"),
    ("-11", "-11", "Eleven", "unranked"),
    ("hundred_yen", "100¥", "Hundred Yen", "unranked"),
    ("red-green", "🟥🟩", "Red Green", "unranked"),
    ("neo-token", "neo\u00a0", "Neo Token", "unranked"),
    ("air-coin", "空气币 /", "Air Coin", "unranked"),
    ("0xlsd", "0xlsd", "0xLSD", "ghost"),
    ("atlas-2", "atlas", "ATLAS", "null"),
    ("1000rats", "rats", "Rats", "empty"),
    ("eutbl", "eutbl", "Euro T-Bills", "stale"),
)
_SYLLABLES = (
    "al",
    "be",
    "co",
    "da",
    "el",
    "fi",
    "go",
    "hu",
    "in",
    "jo",
    "ka",
    "lu",
    "mo",
    "no",
    "ze",
)


@dataclass(frozen=True, slots=True)
class DemoCoin:
    """A simulated coin."""

    id: str
    symbol: str
    name: str
    # The center of its price waves.
    base_price_usd: float
    supply: float
    # (period in seconds, amplitude, phase), of the logarithm of the price.
    waves: tuple[tuple[float, float, float], ...]
    # How old its newest price is after a refresh.
    lag_seconds: int
    # What is unusual about the coin in responses; empty for a normal coin.
    oddity: Oddity = ""

    def price_at(self, at: float) -> float:
        """Return the price in USD at a UNIX time: waves around the base price."""
        drift = sum(
            a * math.sin(2 * math.pi * at / period + phase) for period, a, phase in self.waves
        )
        return self.base_price_usd * math.exp(drift)


class Market:
    """`size` coins. The same seed always gives the same market."""

    def __init__(self, size: int = 620, seed: int = 7) -> None:
        rng = random.Random(seed)
        self.coins = [self._make_coin(rng, place, size) for place in range(size)]
        self.by_id = {coin.id: coin for coin in self.coins}
        ranked = [coin for coin in self.coins if coin.oddity not in ("unranked", "ghost", "null")]
        self.ranked = sorted(ranked, key=lambda coin: -coin.base_price_usd * coin.supply)
        self.ranks = {coin.id: rank for rank, coin in enumerate(self.ranked, start=1)}

    def _make_coin(self, rng: random.Random, place: int, size: int) -> DemoCoin:
        market_cap = 1.8e12 / (place + 1) ** 1.35
        oddity: Oddity = ""
        if place < len(_KNOWN_COINS):
            coin_id, symbol, name, price = _KNOWN_COINS[place]
        elif place >= size - len(_ODD_COINS):
            coin_id, symbol, name, oddity = _ODD_COINS[place - size]
            price = 10 ** rng.uniform(-9, 1)
        else:
            word = "".join(rng.choices(_SYLLABLES, k=3))
            coin_id, symbol, name = f"{word}-{place}", word[: rng.randint(2, 4)], word.title()
            price = 10 ** rng.uniform(-6, 3)
        is_stable = symbol in ("usdt", "usdc")
        waves = tuple(
            (
                period * rng.uniform(0.7, 1.4),
                0.0002 if is_stable else amplitude,
                rng.uniform(0, 6.3),
            )
            for period, amplitude in ((420, 0.001), (5_400, 0.004), (86_400, 0.02), (900_000, 0.08))
        )
        return DemoCoin(
            coin_id, symbol, name, price, market_cap / price, waves, rng.randint(0, 45), oddity
        )

    def list_coins(self) -> list[dict[str, Any]]:
        """Return the response of `/coins/list`, sorted by id as CoinGecko's roughly is."""
        coins = sorted(self.coins, key=lambda coin: coin.id)
        return [{"id": c.id, "symbol": c.symbol, "name": c.name} for c in coins]

    def make_quote(self, coin_id: str, currencies: list[str], at: float) -> dict[str, Any] | None:
        """Return one coin of `/simple/price`; None if CoinGecko would leave the coin out."""
        coin = self.by_id.get(coin_id)
        if coin is None or coin.oddity == "ghost":
            return None
        if coin.oddity == "empty":
            return {}
        seen_at = self._seen_at(coin, at)
        quote: dict[str, Any] = {}
        for currency in currencies:
            rate = {"usd": 1.0, "idr": IDR_PER_USD}.get(currency)
            if rate is not None:
                price = None if coin.oddity == "null" else coin.price_at(seen_at) * rate
                cap = None if price is None else price * coin.supply
                volume = None if cap is None else cap * 0.04
                quote |= {
                    currency: price,
                    f"{currency}_market_cap": cap,
                    f"{currency}_24h_vol": volume,
                }
        return quote | {"last_updated_at": None if coin.oddity == "null" else int(seen_at)}

    def make_markets_page(self, per_page: int, page: int, at: float) -> list[dict[str, Any]]:
        """Return one page of `/coins/markets`, sorted by market cap."""
        return [
            self._make_market_row(coin, at)
            for coin in self.ranked[(page - 1) * per_page : page * per_page]
        ]

    def make_chart(self, coin_id: str, days: int, at: float) -> dict[str, Any] | None:
        """Return the response of `/coins/{id}/market_chart`.

        As in recorded responses, the points jitter, one pair is out of order and the last point is
        the current price. None for an unknown coin; no points for a coin without a price.
        """
        coin = self.by_id.get(coin_id)
        if coin is None:
            return None
        times: list[float] = []
        if coin.oddity in ("", "unranked"):
            step = 300 if days == 1 else 3600 if days <= 90 else 86_400
            first = math.ceil((at - days * 86_400) / step)
            rng = random.Random(coin_id)
            jitter = [rng.uniform(0.0, 0.35) * step for _ in range(37)]
            times = [n * step + jitter[n % 37] for n in range(first, int(at // step))]
            times[-2:] = times[:-3:-1]
            times.append(self._seen_at(coin, at))
        prices = [(round(time * 1000), coin.price_at(time)) for time in times]
        return {
            "prices": [[at_ms, price] for at_ms, price in prices],
            "market_caps": [[at_ms, price * coin.supply] for at_ms, price in prices],
            "total_volumes": [[at_ms, price * coin.supply * 0.04] for at_ms, price in prices],
        }

    def _make_market_row(self, coin: DemoCoin, at: float) -> dict[str, Any]:
        seen_at = self._seen_at(coin, at)
        price, before = coin.price_at(seen_at), coin.price_at(seen_at - 86_400)
        change = (price / before - 1) * 100
        return {
            "id": coin.id,
            "symbol": coin.symbol,
            "name": coin.name,
            "image": f"https://coin-images.coingecko.com/coins/images/{coin.lag_seconds}/large/coin.png",
            "current_price": price,
            "market_cap": round(price * coin.supply),
            "market_cap_rank": self.ranks[coin.id],
            "fully_diluted_valuation": round(price * coin.supply),
            "total_volume": round(price * coin.supply * 0.04),
            "high_24h": max(price, before),
            "low_24h": min(price, before),
            "price_change_24h": price - before,
            "price_change_percentage_24h": round(change, 5),
            "market_cap_change_24h": (price - before) * coin.supply,
            "market_cap_change_percentage_24h": round(change, 5),
            "circulating_supply": coin.supply,
            "total_supply": coin.supply,
            "max_supply": None,
            "ath": coin.base_price_usd * 1.2,
            "ath_change_percentage": round((price / coin.base_price_usd / 1.2 - 1) * 100, 5),
            "ath_date": "2025-10-06T18:57:42.558Z",
            "atl": coin.base_price_usd * 0.1,
            "atl_change_percentage": round((price / coin.base_price_usd / 0.1 - 1) * 100, 5),
            "atl_date": "2013-07-06T00:00:00.000Z",
            "roi": None,
            "last_updated": f"{datetime.fromtimestamp(seen_at, UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        }

    def _seen_at(self, coin: DemoCoin, at: float) -> float:
        """Return the UNIX time of the coin's newest price: its lag before the last refresh."""
        age = STALE_SECONDS if coin.oddity == "stale" else coin.lag_seconds
        return at // REFRESH_SECONDS * REFRESH_SECONDS - age
