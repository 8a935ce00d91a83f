"""An invented market: coins, and prices that move as a function of seed and time alone."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Oddity = Literal["", "ghost", "empty", "null", "stale", "unranked"]
REFRESH_SECONDS = 60  # CoinGecko's public host answers the same body within a minute
IDR_PER_USD = 16_250.0
STALE_SECONDS = 208 * 86_400  # the oldest price seen in a real top 100

# The head of the market, with tickers that others below share.
_FAMOUS = (
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
# Ids, symbols and oddities met in real lists.
_ODD: tuple[tuple[str, str, str, Oddity], ...] = (
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
    """One invented coin. `price` is its middle, in USD; a wave is (period s, amplitude, phase)."""

    id: str
    symbol: str
    name: str
    price: float
    supply: float
    waves: tuple[tuple[float, float, float], ...]
    lag: int
    oddity: Oddity = ""

    def price_at(self, at: float) -> float:
        """USD at a UNIX time: waves from minutes to weeks on the logarithm of the price."""
        drift = sum(
            a * math.sin(2 * math.pi * at / period + phase) for period, a, phase in self.waves
        )
        return self.price * math.exp(drift)


class Market:
    """`size` coins, the same for the same seed."""

    def __init__(self, size: int = 620, seed: int = 7) -> None:
        dice = random.Random(seed)
        self.coins = [self._coin(dice, place, size) for place in range(size)]
        self.by_id = {coin.id: coin for coin in self.coins}
        ranked = [coin for coin in self.coins if coin.oddity not in ("unranked", "ghost", "null")]
        self.ranked = sorted(ranked, key=lambda coin: -coin.price * coin.supply)
        self.places = {coin.id: place for place, coin in enumerate(self.ranked, start=1)}

    def _coin(self, dice: random.Random, place: int, size: int) -> DemoCoin:
        cap = 1.8e12 / (place + 1) ** 1.35
        oddity: Oddity = ""
        if place < len(_FAMOUS):
            coin_id, symbol, name, price = _FAMOUS[place]
        elif place >= size - len(_ODD):
            coin_id, symbol, name, oddity = _ODD[place - size]
            price = 10 ** dice.uniform(-9, 1)
        else:
            word = "".join(dice.choices(_SYLLABLES, k=3))
            coin_id, symbol, name = f"{word}-{place}", word[: dice.randint(2, 4)], word.title()
            price = 10 ** dice.uniform(-6, 3)
        stable = symbol in ("usdt", "usdc")
        waves = tuple(
            (period * dice.uniform(0.7, 1.4), 0.0002 if stable else size_, dice.uniform(0, 6.3))
            for period, size_ in ((420, 0.001), (5_400, 0.004), (86_400, 0.02), (900_000, 0.08))
        )
        return DemoCoin(
            coin_id, symbol, name, price, cap / price, waves, dice.randint(0, 45), oddity
        )

    def listing(self) -> list[dict[str, Any]]:
        """`/coins/list`: by id, as CoinGecko's is roughly by slug."""
        coins = sorted(self.coins, key=lambda coin: coin.id)
        return [{"id": c.id, "symbol": c.symbol, "name": c.name} for c in coins]

    def quote(self, coin_id: str, currencies: list[str], at: float) -> dict[str, Any] | None:
        """One coin of `/simple/price`; None where CoinGecko would leave it out."""
        coin = self.by_id.get(coin_id)
        if coin is None or coin.oddity == "ghost":
            return None
        if coin.oddity == "empty":
            return {}
        seen = self._seen(coin, at)
        answer: dict[str, Any] = {}
        for currency in currencies:
            rate = {"usd": 1.0, "idr": IDR_PER_USD}.get(currency)
            if rate is not None:
                price = None if coin.oddity == "null" else coin.price_at(seen) * rate
                cap = None if price is None else price * coin.supply
                volume = None if cap is None else cap * 0.04
                answer |= {
                    currency: price,
                    f"{currency}_market_cap": cap,
                    f"{currency}_24h_vol": volume,
                }
        return answer | {"last_updated_at": None if coin.oddity == "null" else int(seen)}

    def markets_page(self, per_page: int, page: int, at: float) -> list[dict[str, Any]]:
        """One page of `/coins/markets`, the largest cap first."""
        return [
            self._market(coin, at) for coin in self.ranked[(page - 1) * per_page : page * per_page]
        ]

    def chart(self, coin_id: str, days: int, at: float) -> dict[str, Any] | None:
        """`/coins/{id}/market_chart`: jittered points, one pair out of order, the last one now.

        None where CoinGecko knows no such coin; without points where it has no price.
        """
        coin = self.by_id.get(coin_id)
        if coin is None:
            return None
        times: list[float] = []
        if coin.oddity in ("", "unranked"):
            step = 300 if days == 1 else 3600 if days <= 90 else 86_400
            first = math.ceil((at - days * 86_400) / step)
            dice = random.Random(coin_id)
            jitter = [dice.uniform(0.0, 0.35) * step for _ in range(37)]
            times = [n * step + jitter[n % 37] for n in range(first, int(at // step))]
            times[-2:] = times[:-3:-1]
            times.append(self._seen(coin, at))
        prices = [(round(time * 1000), coin.price_at(time)) for time in times]
        return {
            "prices": [[at_ms, price] for at_ms, price in prices],
            "market_caps": [[at_ms, price * coin.supply] for at_ms, price in prices],
            "total_volumes": [[at_ms, price * coin.supply * 0.04] for at_ms, price in prices],
        }

    def _market(self, coin: DemoCoin, at: float) -> dict[str, Any]:
        seen = self._seen(coin, at)
        price, before = coin.price_at(seen), coin.price_at(seen - 86_400)
        change = (price / before - 1) * 100
        return {
            "id": coin.id,
            "symbol": coin.symbol,
            "name": coin.name,
            "image": f"https://coin-images.coingecko.com/coins/images/{coin.lag}/large/coin.png",
            "current_price": price,
            "market_cap": round(price * coin.supply),
            "market_cap_rank": self.places[coin.id],
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
            "ath": coin.price * 1.2,
            "ath_change_percentage": round((price / coin.price / 1.2 - 1) * 100, 5),
            "ath_date": "2025-10-06T18:57:42.558Z",
            "atl": coin.price * 0.1,
            "atl_change_percentage": round((price / coin.price / 0.1 - 1) * 100, 5),
            "atl_date": "2013-07-06T00:00:00.000Z",
            "roi": None,
            "last_updated": f"{datetime.fromtimestamp(seen, UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        }

    def _seen(self, coin: DemoCoin, at: float) -> float:
        """When the cached price of a coin was read: in whole refreshes, a little before `at`."""
        age = STALE_SECONDS if coin.oddity == "stale" else coin.lag
        return at // REFRESH_SECONDS * REFRESH_SECONDS - age
