"""The prices and exchange rates of one imported entry. Pure."""

from __future__ import annotations

from decimal import Decimal

from services.api.imports.coins import ResolvedCoin
from services.api.imports.entries import Amount, BadLine, ImportedEntry
from services.api.imports.market import PastMarket
from services.api.imports.options import ImportOptions
from services.api.imports.symbols import STABLECOINS, find_money


class EntryPrices:
    """Finds prices in the request, in the file and in the stored ones; says which it took."""

    def __init__(self, entry: ImportedEntry, options: ImportOptions, market: PastMarket) -> None:
        self._entry, self._options, self._market = entry, options, market
        # The rate of the entry's date; one of the request once it was needed.
        self.idr_per_usd = market.rates.get(entry.made_at)
        # What the user should know about the prices.
        self.messages: list[str] = []

    @property
    def stated(self) -> Decimal | None:
        """The price in USD that the request names for the line."""
        return self._options.prices.get(self._entry.rows[0].number)

    def find(self, coin: ResolvedCoin, amount: Amount) -> Decimal | None:
        """Return a coin's price in USD: the request's, the file's, or the stored one."""
        price = self._entry.price
        sides = {side.symbol for side in (self._entry.given, self._entry.received) if side}
        if self.stated is not None:
            return self.stated
        # In BTCUSDT the price is that of the BTC, which may be the coin received.
        is_in_money = price and find_money(price.symbol, stablecoins_as_usd=True)
        if price and is_in_money and price.symbol not in sides:
            return price.quantity / self.per_usd(price.symbol)
        return self.find_stored(coin, amount)

    def find_stored(self, coin: ResolvedCoin, amount: Amount) -> Decimal | None:
        """Return the stored price of a coin, or the face value of a stablecoin without one."""
        price = self._market.prices.get((coin.coin.coin_id, self._entry.made_at))
        if price is None and amount.symbol in STABLECOINS:
            self.messages.append(f"{amount.symbol} counts at its face value")
            return 1 / self.per_usd(amount.symbol)
        return price

    def per_usd(self, money: str) -> Decimal:
        """Return how much of a money one dollar is. Raises BadLine if no rate is known."""
        known = find_money(money, stablecoins_as_usd=True)
        if known == "usd":
            return Decimal(1)
        if known is None:
            raise BadLine(f"the fee is in {money}, whose rate is not stored: set it to 0.")
        day = f"{self._entry.made_at:%Y-%m-%d}"
        if self.idr_per_usd is None and self._options.idr_per_usd:
            self.idr_per_usd = self._options.idr_per_usd
            self.messages.append(
                f"at your rate of {self.idr_per_usd:f} rupiah: none of {day} is stored"
            )
        if self.idr_per_usd is None:
            raise BadLine(
                f"no rupiah rate of {day} is stored: give one in idr_per_usd.", "idr_per_usd"
            )
        return self.idr_per_usd

    def missing(self, coin: ResolvedCoin, remedy: str = "") -> BadLine:
        """Return the problem of a coin without a price."""
        day = f"{self._entry.made_at:%Y-%m-%d}"
        example = f'{{"{self._entry.rows[0].number}": "…"}}'
        return BadLine(
            f"no price of {coin.coin.name} on {day} is stored{self._market.note}: give it in "
            f"prices as {example}, in USD{remedy}.",
            "prices",
        )
