"""What was held, and what had been paid for it, at any time. Pure.

A payment is money put in, or taken out if it is negative: purchases, sales, coins from and to
outside at their price, and all fees. Trades of coin for coin, transfers between own wallets and
rewards are no payments, except for their fees. So the value of the coins minus all payments is the
total profit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from services.api.portfolio.arithmetic import ZERO, add_known, exact_arithmetic, multiply_known
from services.api.portfolio.legs import expand
from services.api.portfolio.models import Transaction

# Payments closer together than this are one: prices are stored once a minute at most. A longer step
# is used for a portfolio that would have more than MAX_FLOWS.
STEPS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
MAX_FLOWS = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Held = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Quantities by coin id, without zeros, and the sum of all payments until `at`."""

    at: datetime
    held: Held
    paid_usd: Decimal
    # None if the rate of a payment is unknown.
    paid_idr: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Payments of about the same time, and what was held before and after them."""

    at: datetime
    before: Held
    after: Held
    usd: Decimal
    # None if the rate of a payment is unknown.
    idr: Decimal | None
    # What the transactions themselves say about that time.
    own_prices_usd: Mapping[str, Decimal]
    own_idr_per_usd: Decimal | None

    @property
    def is_inflow(self) -> bool:
        """Whether the money came in before it bought, so that `before` is to be valued."""
        return self.usd >= 0

    @property
    def valued(self) -> Held:
        """What is valued at this time: what was there before money came in, or after it left."""
        return self.before if self.is_inflow else self.after


def compute_payment(transaction: Transaction) -> Decimal:
    """Return what a transaction put in, in USD; negative: took out."""
    is_trade = transaction.kind == "trade"
    value = ZERO if is_trade else transaction.quantity * transaction.price_usd
    return value + transaction.fee_usd


@exact_arithmetic()
def take_snapshots(
    transactions: Sequence[Transaction], times: Iterable[datetime]
) -> Iterator[Snapshot]:
    """Yield a snapshot of each time; the times ascend. A transaction counts at its own time."""
    waiting = sorted(transactions, key=lambda transaction: transaction.made_at)[::-1]
    held: dict[str, Decimal] = {}
    paid_usd = ZERO
    paid_idr: Decimal | None = ZERO
    for at in times:
        passed = []
        while waiting and waiting[-1].made_at <= at:
            passed.append(waiting.pop())
        _add_legs(held, passed)
        paid_usd += sum(map(compute_payment, passed), ZERO)
        paid_idr = add_known((paid_idr, _sum_idr(passed)))
        yield Snapshot(at, dict(held), paid_usd, paid_idr)


@exact_arithmetic()
def list_flows(transactions: Sequence[Transaction], cuts: Sequence[datetime] = ()) -> list[Flow]:
    """Return the flows by time. None has payments until a cut and after it; the cuts ascend."""
    ordered = sorted(transactions, key=lambda transaction: transaction.made_at)
    times = [transaction.made_at for transaction in ordered if compute_payment(transaction)]
    fitting = (step for step in STEPS if len({(at - _EPOCH) // step for at in times}) <= MAX_FLOWS)
    step = next(fitting, STEPS[-1])

    def find_group(transaction: Transaction) -> tuple[int, int]:
        at = transaction.made_at
        return (at - _EPOCH) // step, bisect_left(cuts, at)

    flows: list[Flow] = []
    held: dict[str, Decimal] = {}
    for _, group in groupby(ordered, key=find_group):
        same_time = list(group)
        before = dict(held)
        _add_legs(held, same_time)
        if any(map(compute_payment, same_time)):
            flows.append(_make_flow(same_time, before, dict(held)))
    return flows


def _make_flow(transactions: Sequence[Transaction], before: Held, after: Held) -> Flow:
    rates = [t.idr_per_usd for t in transactions if t.idr_per_usd is not None]
    return Flow(
        at=transactions[0].made_at,
        before=before,
        after=after,
        usd=sum(map(compute_payment, transactions), ZERO),
        idr=_sum_idr(transactions),
        own_prices_usd=_own_prices(transactions),
        own_idr_per_usd=rates[0] if rates else None,
    )


def _add_legs(held: dict[str, Decimal], transactions: Iterable[Transaction]) -> None:
    for leg in expand(transactions):
        held[leg.coin_id] = held.get(leg.coin_id, ZERO) + leg.quantity
        if not held[leg.coin_id]:
            del held[leg.coin_id]


def _sum_idr(transactions: Iterable[Transaction]) -> Decimal | None:
    payments = ((compute_payment(t), t.idr_per_usd) for t in transactions)
    return add_known(multiply_known(usd, rate) for usd, rate in payments if usd)


def _own_prices(transactions: Iterable[Transaction]) -> dict[str, Decimal]:
    """Return the prices of purchases, sales and trades, which were made at the market's price."""
    prices: dict[str, Decimal] = {}
    for t in transactions:
        if t.kind in ("buy", "sell", "trade") and t.price_usd:
            prices[t.coin_id] = t.price_usd
            if t.to_coin_id and t.to_quantity:
                prices[t.to_coin_id] = -t.quantity * t.price_usd / t.to_quantity
    return prices
