"""The prices and exchange rates that a portfolio is valued at, by time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from services.api.portfolio.arithmetic import ZERO
from services.api.portfolio.models import ExchangeRate, PriceQuote
from services.api.portfolio.timeline import Flow, Held

Currency = Literal["usd", "idr"]
# A coin and a time whose price is needed.
Wanted = tuple[str, datetime]
# A price or a rate stands for at most this time after it.
MAX_AGE = timedelta(days=1)
# More missing prices are counted, not named.
MAX_NAMED = 3


class ReturnUnavailable(Exception):
    """A figure cannot be computed; the message says why."""


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The last prices and rupiah rates at or before given times."""

    quotes: dict[Wanted, PriceQuote] = field(default_factory=dict)
    rates: dict[datetime, ExchangeRate] = field(default_factory=dict)
    # Why prices may be missing; it follows "no price of bitcoin on 2026-03-01".
    note: str = ""

    def add_flows(self, flows: list[Flow]) -> None:
        """Add what the transactions themselves say, where nothing is stored."""
        for flow in flows:
            for coin_id, price_usd in flow.own_prices_usd.items():
                self.quotes.setdefault((coin_id, flow.at), PriceQuote(price_usd, flow.at))
            if flow.own_idr_per_usd is not None:
                self.rates.setdefault(flow.at, ExchangeRate(flow.own_idr_per_usd, flow.at))

    def price(
        self, coin_id: str, at: datetime, currency: Currency, max_age: timedelta = MAX_AGE
    ) -> Decimal:
        """Return a coin's price. Raises ReturnUnavailable."""
        return self.value({coin_id: Decimal(1)}, at, currency, max_age)

    def rate(self, at: datetime, currency: Currency, max_age: timedelta = MAX_AGE) -> Decimal:
        """Return what one USD is worth in a currency. Raises ReturnUnavailable."""
        if currency == "usd":
            return Decimal(1)
        rate = self.rates.get(at)
        if rate is None or at - rate.observed_at > max_age:
            raise ReturnUnavailable(f"no rupiah rate on {format_date(at)}")
        return rate.idr_per_usd

    def value(
        self, held: Held, at: datetime, currency: Currency, max_age: timedelta = MAX_AGE
    ) -> Decimal:
        """Return the value of coins. Raises ReturnUnavailable, which names what is missing."""
        if not held:
            return ZERO
        if missing := list(self._missing(held, at, max_age)):
            more = len(missing) - MAX_NAMED
            names = ", ".join(missing[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
            raise ReturnUnavailable(f"no price of {names} on {format_date(at)}{self.note}")
        usd = sum((q * self.quotes[coin, at].price_usd for coin, q in held.items()), ZERO)
        return usd * self.rate(at, currency, max_age)

    def _missing(self, held: Held, at: datetime, max_age: timedelta) -> Iterator[str]:
        for coin_id in held:
            quote = self.quotes.get((coin_id, at))
            if quote is None or at - quote.observed_at > max_age:
                yield coin_id


def format_date(at: datetime) -> str:
    """Return the day in UTC, as messages name it."""
    return f"{at.astimezone(UTC):%Y-%m-%d}"
