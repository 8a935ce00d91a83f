"""What transactions come to, pure and in Decimal: holdings, cost bases, profit, net worth.

Profit in rupiah is split by the rate of each transaction's date. With quantity q bought at price P
and rate r, now worth P' at rate r' (or sold at them, the oldest coins first):

    q (P' r' - P r)  =  q (P' - P) r   the coin's move, at the rate of that date
                      + q P' (r' - r)  the rupiah's move, on what the coins have become worth

A missing price or rate makes what rests on it None and is named; it is never taken as 0 or 1.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

ZERO = Decimal(0)
DAY_AGO = "of 24 hours ago"


class Transaction(NamedTuple):
    """A purchase (`quantity` above 0) or a sale. Price and fee in USD; `idr_per_usd` is the rate of
    its date, None where unknown."""

    transaction_id: int
    made_at: datetime
    coin_id: str
    quantity: Decimal
    price_usd: Decimal
    fee_usd: Decimal
    idr_per_usd: Decimal | None
    note: str = ""


class Quote(NamedTuple):
    """What a coin costs in USD, and since when."""

    price_usd: Decimal
    observed_at: datetime


class Rate(NamedTuple):
    """What one USD costs in rupiah, and since when."""

    idr_per_usd: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """Profit in both currencies; the rupiah's parts add up to it. None: a price or a rate is
    missing."""

    usd: Decimal | None
    idr: Decimal | None
    coin_move_idr: Decimal | None
    rupiah_move_idr: Decimal | None
    fees_usd: Decimal
    fees_idr: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBasis:
    """What the coins still held have cost, fees included, and what sales have realised, in USD."""

    cost_usd: Decimal
    realised_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One coin. Values are None where `missing` says why; `share` is its part of the net worth."""

    coin_id: str
    quantity: Decimal
    quote: Quote | None
    value_usd: Decimal | None
    value_idr: Decimal | None
    average: CostBasis
    fifo: CostBasis
    total: Profit
    day: Profit
    share: Decimal | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """All holdings. Sums leave out what is missing, and `missing` says so."""

    net_worth_usd: Decimal
    net_worth_idr: Decimal | None
    rate: Rate | None
    total: Profit
    day: Profit
    holdings: tuple[Holding, ...]
    missing: tuple[str, ...]


class Oversold(Exception):
    """More was sold than was held."""

    def __init__(self, coin_id: str, at: datetime, held: Decimal) -> None:
        super().__init__(
            f"{coin_id}: at {at.isoformat()} more would have been sold than the {held:f} held"
        )


@dataclass(frozen=True, slots=True)
class _Flow:
    """Coins that came (or went) at a price and a rate; None where one is unknown."""

    quantity: Decimal
    price_usd: Decimal | None
    idr_per_usd: Decimal | None
    fee_usd: Decimal = ZERO


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """Arithmetic that rounds nothing anybody can enter: the usual 28 digits are too few for 20 and
    18 more behind the point. Also a decorator."""
    with localcontext(prec=100):
        yield


@exactly()
def check(transactions: Iterable[Transaction]) -> None:
    """Raises Oversold where a sale of the sequence (in any order) is of more than was held."""
    held: dict[str, Decimal] = {}
    for one in in_order(transactions):
        before = held.get(one.coin_id, ZERO)
        if before + one.quantity < 0:
            raise Oversold(one.coin_id, one.made_at, before)
        held[one.coin_id] = before + one.quantity


def in_order(transactions: Iterable[Transaction]) -> list[Transaction]:
    """By time; at one moment purchases come first, then as they were entered."""
    return sorted(transactions, key=lambda t: (t.made_at, t.quantity < 0, t.transaction_id))


@exactly()
def evaluate(
    transactions: Sequence[Transaction],
    quotes: Mapping[str, Quote],
    rate: Rate | None,
    quotes_before: Mapping[str, Quote],
    rate_before: Rate | None,
    day_began: datetime,
) -> Portfolio:
    """The portfolio at the newest quotes and rate; those "before" are of 24 hours ago."""
    by_coin: dict[str, list[Transaction]] = {}
    for one in in_order(transactions):
        by_coin.setdefault(one.coin_id, []).append(one)
    holdings = [
        _holding(coin_id, own, quotes, rate, quotes_before, rate_before, day_began)
        for coin_id, own in sorted(by_coin.items())
    ]
    worth = sum((h.value_usd for h in holdings if h.value_usd is not None), ZERO)
    holdings = [_with_share(holding, worth) for holding in holdings]
    holdings.sort(key=lambda h: (-(h.value_usd or ZERO), h.coin_id))
    return Portfolio(
        net_worth_usd=worth,
        net_worth_idr=None if rate is None else worth * rate.idr_per_usd,
        rate=rate,
        total=_add(holding.total for holding in holdings),
        day=_add(holding.day for holding in holdings),
        holdings=tuple(holdings),
        missing=tuple(f"{h.coin_id}: {what}" for h in holdings for what in h.missing),
    )


def _holding(
    coin_id: str,
    own: Sequence[Transaction],
    quotes: Mapping[str, Quote],
    rate: Rate | None,
    quotes_before: Mapping[str, Quote],
    rate_before: Rate | None,
    day_began: datetime,
) -> Holding:
    quantity = sum((one.quantity for one in own), ZERO)
    quote = quotes.get(coin_id)
    price = quote.price_usd if quote else None
    now = rate.idr_per_usd if rate else None
    flows = [_Flow(t.quantity, t.price_usd, t.idr_per_usd, t.fee_usd) for t in own]
    opening = sum((t.quantity for t in own if t.made_at < day_began), ZERO)
    before = quotes_before.get(coin_id)
    opened = _Flow(
        opening,
        before.price_usd if before else None,
        rate_before.idr_per_usd if rate_before else None,
    )
    today = [flow for flow, t in zip(flows, own, strict=True) if t.made_at >= day_began]
    value = _times(quantity, price)
    return Holding(
        coin_id=coin_id,
        quantity=quantity,
        quote=quote,
        value_usd=value,
        value_idr=None if value is None or (now is None and quantity) else value * (now or ZERO),
        average=_average(own),
        fifo=_fifo(own),
        total=_profit(flows, price, now),
        day=_profit([opened, *today] if opening else today, price, now),
        share=None,
        missing=tuple(_missing(own, quantity, opening, quote, rate, before, rate_before)),
    )


def _missing(
    own: Sequence[Transaction],
    quantity: Decimal,
    opening: Decimal,
    quote: Quote | None,
    rate: Rate | None,
    before: Quote | None,
    rate_before: Rate | None,
) -> Iterable[str]:
    """What could not be known, in words."""
    if quantity and quote is None:
        yield "no price"
    if quantity and rate is None:
        yield "no rupiah rate"
    if opening and before is None:
        yield f"no price {DAY_AGO}"
    if opening and rate_before is None:
        yield f"no rupiah rate {DAY_AGO}"
    unrated = sum(one.idr_per_usd is None for one in own)
    if unrated:
        yield f"no rupiah rate of the date of {unrated} transaction{'s' if unrated > 1 else ''}"


def _times(quantity: Decimal, price: Decimal | None) -> Decimal | None:
    """A value; nothing is worth nothing, whatever it costs."""
    if not quantity:
        return ZERO
    return None if price is None else quantity * price


def _profit(flows: Sequence[_Flow], price: Decimal | None, rate: Decimal | None) -> Profit:
    """What flows have come to at `price` and `rate`; see the top of this file."""
    fees = [(flow.fee_usd, flow.idr_per_usd) for flow in flows if flow.fee_usd]
    fees_usd = sum((fee for fee, _ in fees), ZERO)
    fees_idr = _sum(None if at is None else fee * at for fee, at in fees)
    lots = list(_lots(flows, _Flow(ZERO, price, rate)))
    usd = _sum(_product(lot.quantity, _less(lot.worth, lot.paid)) for lot in lots)
    coin = _sum(_product(lot.quantity, _less(lot.worth, lot.paid), lot.rate_paid) for lot in lots)
    rupiah = _sum(_product(lot.quantity, lot.worth, _less(lot.rate, lot.rate_paid)) for lot in lots)
    moved = _sum((coin, rupiah))
    return Profit(
        usd=_less(usd, fees_usd),
        idr=_less(moved, fees_idr),
        coin_move_idr=coin,
        rupiah_move_idr=rupiah,
        fees_usd=fees_usd,
        fees_idr=fees_idr,
    )


class _Lot(NamedTuple):
    """Coins that were paid for together, and are worth something together."""

    quantity: Decimal
    paid: Decimal | None
    rate_paid: Decimal | None
    worth: Decimal | None
    rate: Decimal | None


def _lots(flows: Sequence[_Flow], now: _Flow) -> Iterable[_Lot]:
    """Purchases matched with the sales that took them, oldest first; the rest with `now`."""
    open_: deque[_Flow] = deque()
    for flow in flows:
        left = -flow.quantity
        if left < 0:
            open_.append(flow)
        while left > 0 and open_:
            first = open_.popleft()
            taken = min(left, first.quantity)
            yield _Lot(taken, *_terms(first), *_terms(flow))
            left -= taken
            if first.quantity > taken:
                open_.appendleft(dataclasses.replace(first, quantity=first.quantity - taken))
    for flow in open_:
        yield _Lot(flow.quantity, *_terms(flow), *_terms(now))


def _terms(flow: _Flow) -> tuple[Decimal | None, Decimal | None]:
    return flow.price_usd, flow.idr_per_usd


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """None where one of them is."""
    total = ZERO
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _less(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one - other


def _product(*factors: Decimal | None) -> Decimal | None:
    product = Decimal(1)
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def _add(profits: Iterable[Profit]) -> Profit:
    """The sum over the coins where a currency's profit is known, so that its parts add up to it;
    who is left out is named beside it."""
    found = list(profits)
    in_usd = [one for one in found if one.usd is not None]
    in_idr = [one for one in found if one.idr is not None]
    rupiah = ("idr", "coin_move_idr", "rupiah_move_idr", "fees_idr")
    return Profit(
        usd=_sum(one.usd for one in in_usd) if in_usd or not found else None,
        fees_usd=sum((one.fees_usd for one in in_usd), ZERO),
        **{
            name: _sum(getattr(one, name) for one in in_idr) if in_idr or not found else None
            for name in rupiah
        },
    )


def _average(own: Iterable[Transaction]) -> CostBasis:
    """Cost basis by the moving average: a sale takes its part of the cost of all that is held."""
    held = cost = realised = ZERO
    for one in own:
        if one.quantity > 0:
            held += one.quantity
            cost += one.quantity * one.price_usd + one.fee_usd
        else:
            part = cost * -one.quantity / held if held else ZERO
            realised += -one.quantity * one.price_usd - one.fee_usd - part
            cost -= part
            held += one.quantity
    return CostBasis(cost_usd=cost if held else ZERO, realised_usd=realised)


def _fifo(own: Iterable[Transaction]) -> CostBasis:
    """Cost basis first in, first out: a sale takes the oldest coins."""
    lots: deque[tuple[Decimal, Decimal]] = deque()  # quantity, its cost
    realised = ZERO
    for one in own:
        if one.quantity > 0:
            lots.append((one.quantity, one.quantity * one.price_usd + one.fee_usd))
            continue
        left = -one.quantity
        realised += left * one.price_usd - one.fee_usd
        while left > 0 and lots:
            quantity, cost = lots.popleft()
            taken = min(left, quantity)
            part = cost * taken / quantity
            realised -= part
            left -= taken
            if quantity > taken:
                lots.appendleft((quantity - taken, cost - part))
    return CostBasis(cost_usd=sum((cost for _, cost in lots), ZERO), realised_usd=realised)


def _with_share(holding: Holding, worth: Decimal) -> Holding:
    if holding.value_usd is None or not worth:
        return holding
    return dataclasses.replace(holding, share=holding.value_usd / worth)
