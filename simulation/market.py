"""The market of the simulation: coins have bad days, and each price that was served is known."""

from __future__ import annotations

from typing import Any, Literal

from demo.market import Market

COINS = 40  # the market's; its unusual ones are among them
CoinFault = Literal["missing", "null", "negative", "empty"]
# A coin, and the time of its price in milliseconds since 1970.
Key = tuple[str, int]


class FaultyMarket(Market):
    """A market whose coins can be faulty until some time. Remembers what it served."""

    def __init__(self, seed: int) -> None:
        super().__init__(COINS, seed)
        # Each price that a response held.
        self.served: dict[Key, float] = {}
        self._quotes: dict[Key, float] = {}
        self._faults: dict[str, tuple[CoinFault, float]] = {}

    def begin_fault(self, coin_id: str, kind: CoinFault, until: float) -> None:
        """Let a coin's responses be bad until a UNIX time."""
        self._faults[coin_id] = (kind, until)

    def take_quotes(self) -> dict[Key, float]:
        """Return the prices of `/simple/price` that were served since the last call."""
        quotes, self._quotes = self._quotes, {}
        self.served |= quotes
        return quotes

    def make_quote(self, coin_id: str, currencies: list[str], at: float) -> dict[str, Any] | None:
        """Return the quote of a coin, as bad as its fault makes it."""
        quote = super().make_quote(coin_id, currencies, at)
        kind, until = self._faults.get(coin_id, (None, 0.0))
        if quote is None or (kind == "missing" and at < until):
            return None
        if kind == "empty" and at < until:
            return {}
        if at < until:
            quote["usd"] = None if kind == "null" else -1.0
        elif isinstance(quote.get("usd"), float):
            self._quotes[coin_id, quote["last_updated_at"] * 1000] = quote["usd"]
        return quote

    def make_chart(self, coin_id: str, days: int, at: float) -> dict[str, Any] | None:
        """Return the chart of a coin."""
        chart = super().make_chart(coin_id, days, at)
        for at_ms, price in chart["prices"] if chart else ():
            self.served[coin_id, at_ms] = price
        return chart
