"""Values of the portfolio, which the API returns as they are.

Amounts are Decimal, and text in JSON; None means that a price or a rate is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from services.api.schemas.base import Amount, Share, example_config, strip_zeros

TransactionKind = Literal["buy", "sell", "trade", "transfer", "reward"]


def choose_kind(quantity: Decimal) -> Literal["buy", "sell"]:
    """Return the kind of a transaction that was sent without one."""
    return "sell" if quantity < 0 else "buy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An entry of the portfolio, as the user made it, in USD.

    buy, sell: `quantity` is above 0, or below.
    trade: `quantity` (below 0) of `coin_id` was given for `to_quantity` of `to_coin_id`.
    transfer: coins moved from `wallet` to `to_wallet`. Without `to_wallet` they came from outside,
    or went there if `quantity` is below 0, and count as bought or sold at their price.
    reward: coins received for nothing.

    `price_usd` is that of one `coin_id`; 0 for a reward and between own wallets.
    """

    __pydantic_config__ = example_config("""{"transaction_id": 1, "made_at": "2026-11-20T09:30:00Z",
        "kind": "buy", "wallet": "", "coin_id": "bitcoin", "quantity": "0.25", "price_usd": "91000",
        "fee_usd": "0", "idr_per_usd": "16250", "to_coin_id": null, "to_quantity": null,
        "to_wallet": null, "note": ""}""")

    # 0 for a transaction that is not stored yet.
    transaction_id: int = 0
    made_at: datetime
    kind: TransactionKind
    # '' is the main wallet.
    wallet: str = ""
    coin_id: str
    quantity: Amount
    price_usd: Amount
    fee_usd: Amount = Decimal(0)
    # The rate of its date, null if unknown.
    idr_per_usd: Amount | None = None
    to_coin_id: str | None = None
    to_quantity: Amount | None = None
    to_wallet: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class CoinFlow:
    """Coins that count as bought at a price and an exchange rate, which may be unknown."""

    quantity: Decimal
    price_usd: Decimal | None
    idr_per_usd: Decimal | None
    fee_usd: Decimal = Decimal(0)
    # Only legs of transfers between own wallets are internal.
    is_internal: bool = False


class PriceQuote(NamedTuple):
    """A coin's price and the time of its observation."""

    price_usd: Decimal
    observed_at: datetime


class ExchangeRate(NamedTuple):
    """The price of one USD in rupiah and the time of its observation."""

    idr_per_usd: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """Profit in USD and in rupiah; null if a price or a rate is missing.

    USD: realized plus unrealized minus fees. Rupiah: realized plus unrealized (together the coin's
    move) plus the rupiah's move minus fees.
    """

    usd: Amount | None
    idr: Amount | None
    # Of coins sold, traded or sent away, and of those still held. First in, first out.
    realized_usd: Amount | None
    unrealized_usd: Amount | None
    realized_idr: Amount | None
    unrealized_idr: Amount | None
    coin_move_idr: Amount | None
    rupiah_move_idr: Amount | None
    fees_usd: Amount
    fees_idr: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBasis:
    """What the coins still held have cost, fees included, and the profit that sales realized."""

    cost_usd: Amount
    realized_usd: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One coin of the portfolio."""

    coin_id: str
    symbol: str
    name: str
    quantity: Amount
    price_usd: Amount | None
    observed_at: datetime | None
    value_usd: Amount | None
    value_idr: Amount | None
    # Cost basis by moving average, and by first in, first out.
    average_cost: CostBasis
    fifo_cost: CostBasis
    total_profit: Profit
    # Of the last 24 hours.
    day_profit: Profit
    # Part of the net worth, as a fraction.
    share: Share | None
    # Which prices and rates are unknown, in words.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WalletHolding:
    """One coin in a wallet; the value is null if its price is missing."""

    coin_id: str
    symbol: str
    name: str
    quantity: Amount
    value_usd: Amount | None


@dataclass(frozen=True, slots=True)
class WalletContent:
    """A wallet and what it holds, the most valuable coin first; '' is the main wallet.

    The values are null if a price or the rate is missing.
    """

    __pydantic_config__ = example_config("""{"wallet": "Binance", "value_usd": "23035.03",
        "value_idr": "374319237.5", "holdings": [{"coin_id": "bitcoin", "symbol": "btc",
        "name": "Bitcoin", "quantity": "0.25", "value_usd": "23035.03"}]}""")

    wallet: str
    value_usd: Amount | None
    value_idr: Amount | None
    holdings: tuple[WalletHolding, ...]


@dataclass(frozen=True, slots=True)
class NetWorth:
    """The net worth at the end of a day, or now for the newest; null if a price is missing.

    Net worth minus net invested is the total profit until then.
    """

    __pydantic_config__ = example_config("""{"valued_at": "2026-11-20T12:00:00Z",
        "net_worth_usd": "23035.03", "net_worth_idr": "374319250",
        "net_invested_usd": "20000", "net_invested_idr": "325000000", "missing": []}""")

    valued_at: datetime
    net_worth_usd: Amount | None
    net_worth_idr: Amount | None
    # Money put in minus money taken out, fees included. Rupiah: at the rates of the payments.
    net_invested_usd: Amount
    net_invested_idr: Amount | None
    missing: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Net worth and profit at the newest prices and exchange rate.

    Sums leave out the coins that `missing` names.
    """

    net_worth_usd: Amount
    net_worth_idr: Amount | None
    idr_per_usd: Amount | None
    rate_observed_at: datetime | None
    total_profit: Profit
    day_profit: Profit
    # The most valuable holding first.
    holdings: tuple[Holding, ...]
    # Of the last days, without those before the first transaction; empty until the route adds it.
    history: tuple[NetWorth, ...]
    missing: tuple[str, ...]


class Oversold(Exception):
    """A transaction that takes more coins than a wallet held at the time."""

    def __init__(self, coin_id: str, wallet: str, made_at: datetime, held: Decimal) -> None:
        self.coin_id, self.made_at = coin_id, made_at
        place = f"the wallet {wallet!r}" if wallet else "the main wallet"
        super().__init__(
            f"{coin_id}: {place} held only {strip_zeros(held)} at {made_at.isoformat()}, so no "
            "more can be sold, traded or sent."
        )


def sort_transactions(transactions: Iterable[Transaction]) -> list[Transaction]:
    """Return transactions by time; at the same time purchases first, then by id."""
    # A sale may need the coins of a purchase that was entered with the same time.
    return sorted(transactions, key=lambda t: (t.made_at, t.quantity < 0, t.transaction_id))
