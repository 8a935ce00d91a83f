"""Value transactions at given prices and exchange rates: holdings, net worth, profit.

Pure functions. A missing price or rate makes every figure that needs it None and is named in
`missing`; it is never taken as 0 or 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.api.portfolio.arithmetic import ZERO, exact_arithmetic, multiply_known
from services.api.portfolio.cost_basis import compute_average_cost, compute_fifo_cost
from services.api.portfolio.legs import Leg, expand
from services.api.portfolio.models import (
    CoinFlow,
    ExchangeRate,
    Holding,
    Oversold,
    Portfolio,
    PriceQuote,
    Transaction,
)
from services.api.portfolio.profit import add_profits, compute_profit

Label = tuple[str, str]  # symbol and name
# Ends the messages about prices and rates of the day before.
DAY_AGO = "24 hours ago"


@dataclass(frozen=True, slots=True)
class ValuationPrices:
    """Prices by coin id and the exchange rate at one time."""

    quotes: Mapping[str, PriceQuote]
    rate: ExchangeRate | None

    def price_usd(self, coin_id: str) -> Decimal | None:
        """Return a coin's price, None if it is unknown."""
        quote = self.quotes.get(coin_id)
        return quote.price_usd if quote else None

    @property
    def idr_per_usd(self) -> Decimal | None:
        """The exchange rate, None if it is unknown."""
        return self.rate.idr_per_usd if self.rate else None


@exact_arithmetic()
def ensure_not_oversold(transactions: Iterable[Transaction]) -> None:
    """Raise Oversold if more coins leave a wallet than it holds at the time. Any order of input."""
    held: dict[tuple[str, str], Decimal] = {}
    for leg in expand(transactions):
        before = held.get((leg.coin_id, leg.wallet), ZERO)
        if before + leg.quantity < 0:
            raise Oversold(leg.coin_id, leg.wallet, leg.made_at, before)
        held[leg.coin_id, leg.wallet] = before + leg.quantity


@exact_arithmetic()
def value_portfolio(
    transactions: Sequence[Transaction],
    now: ValuationPrices,
    day_ago: ValuationPrices,
    day_start: datetime,
    labels: Mapping[str, Label] = {},
) -> Portfolio:
    """Return the portfolio at the newest prices, and its profit since `day_start`.

    `day_ago` holds the prices and the rate of `day_start`. A coin without a label was never stored:
    its id stands in for symbol and name.
    """
    by_coin: dict[str, list[Leg]] = {}
    for leg in expand(transactions):
        by_coin.setdefault(leg.coin_id, []).append(leg)
    holdings = [
        _value_holding(labels.get(coin_id, (coin_id, coin_id)), own, now, day_ago, day_start)
        for coin_id, own in sorted(by_coin.items())
    ]
    net_worth = sum((h.value_usd for h in holdings if h.value_usd is not None), ZERO)
    holdings = [_add_share(holding, net_worth) for holding in holdings]
    holdings.sort(key=lambda holding: (-(holding.value_usd or ZERO), holding.coin_id))
    rate = now.idr_per_usd
    return Portfolio(
        net_worth_usd=net_worth,
        net_worth_idr=multiply_known(net_worth, rate),
        idr_per_usd=rate,
        rate_observed_at=now.rate.observed_at if now.rate else None,
        total_profit=add_profits(holding.total_profit for holding in holdings),
        day_profit=add_profits(holding.day_profit for holding in holdings),
        holdings=tuple(holdings),
        history=(),
        missing=tuple(f"{h.coin_id}: {message}" for h in holdings for message in h.missing),
    )


def _value_holding(
    label: Label,
    own: Sequence[Leg],
    now: ValuationPrices,
    day_ago: ValuationPrices,
    day_start: datetime,
) -> Holding:
    coin_id = own[0].coin_id
    quantity = sum((leg.quantity for leg in own), ZERO)
    opening = sum((leg.quantity for leg in own if leg.made_at < day_start), ZERO)
    day_flows: list[CoinFlow | Leg] = [leg for leg in own if leg.made_at >= day_start]
    if opening:
        # For the day's profit, the opening holding counts as bought at the prices of day_start.
        day_flows.insert(0, CoinFlow(opening, day_ago.price_usd(coin_id), day_ago.idr_per_usd))
    price, rate = now.price_usd(coin_id), now.idr_per_usd
    # No coins are worth 0, even if their price or the rate is unknown.
    value_usd = multiply_known(quantity, price) if quantity else ZERO
    return Holding(
        coin_id=coin_id,
        symbol=label[0],
        name=label[1],
        quantity=quantity,
        price_usd=price,
        observed_at=now.quotes[coin_id].observed_at if coin_id in now.quotes else None,
        value_usd=value_usd,
        value_idr=multiply_known(value_usd, rate) if quantity else ZERO,
        average_cost=compute_average_cost(own),
        fifo_cost=compute_fifo_cost(own),
        total_profit=compute_profit(own, price, rate),
        day_profit=compute_profit(day_flows, price, rate),
        share=None,
        missing=tuple(_list_missing(own, quantity, opening, now, day_ago)),
    )


def _list_missing(
    own: Sequence[Leg],
    quantity: Decimal,
    opening: Decimal,
    now: ValuationPrices,
    day_ago: ValuationPrices,
) -> Iterable[str]:
    """Yield which of the prices and rates that a holding needs are unknown."""
    coin_id = own[0].coin_id
    if quantity and now.price_usd(coin_id) is None:
        yield "no price"
    if quantity and now.rate is None:
        yield "no rupiah rate"
    if opening and day_ago.price_usd(coin_id) is None:
        yield f"no price from {DAY_AGO}"
    if opening and day_ago.rate is None:
        yield f"no rupiah rate from {DAY_AGO}"
    without_rate = len({leg.transaction_id for leg in own if _lacks_rate(leg)})
    if without_rate:
        plural = "s" if without_rate > 1 else ""
        yield f"no rupiah rate on the date of {without_rate} transaction{plural}"


def _lacks_rate(leg: Leg) -> bool:
    return leg.idr_per_usd is None and bool(leg.fee_usd or not leg.is_internal)


def _add_share(holding: Holding, net_worth: Decimal) -> Holding:
    if holding.value_usd is None or not net_worth:
        return holding
    return dataclasses.replace(holding, share=holding.value_usd / net_worth)
