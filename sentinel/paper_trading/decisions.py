"""What a step does for one coin of a wallet, without a database.

A step fills the order of the step before at the next observation, and then asks the strategy about
the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from sentinel.backtesting import engine
from sentinel.backtesting.engine import ACCEPTED_DELAY_SECONDS, Order
from sentinel.backtesting.portfolio import Costs, Portfolio
from sentinel.backtesting.price_series import PriceSeries
from sentinel.paper_trading import ledger
from sentinel.paper_trading.ledger import CoinAccount, LedgerEvent
from sentinel.paper_trading.strategy_worker import DecisionRequest


@dataclass(frozen=True, slots=True)
class CoinStep:
    """The step of one coin before its strategy has decided."""

    coin_id: str
    # The fill or rejection of the order of an earlier step, if it had one.
    settled: LedgerEvent | None
    # What the strategy is asked; None if no order is possible now.
    request: DecisionRequest | None


def prepare_step(
    coin_id: str, account: CoinAccount, series: PriceSeries, costs: Costs, now: datetime
) -> CoinStep:
    """Settle the order that waits, if there is one, and find out whether to ask the strategy."""
    portfolio, settled = account.portfolio, None
    if account.pending_order:
        settled = _settle_order(account.pending_order, portfolio, series, costs, now)
        if settled is None:
            return CoinStep(coin_id, None, None)
        if settled.kind == "filled":
            portfolio.apply(settled.trade)
    is_open = _is_fresh(series, now) and _is_undecided(account, series)
    request = DecisionRequest(series, account.started_at, portfolio) if is_open else None
    return CoinStep(coin_id, settled, request)


def record_order(
    coin_id: str, request: DecisionRequest, order: Order, costs: Costs, now: datetime
) -> LedgerEvent | None:
    """Return the event of what a strategy has decided on, or that purchases are possible again.

    None if there is no order, or if it is too small to be executed.
    """
    at, price = float(request.series.times[-1]), float(request.series.prices[-1])
    observed_at, share = datetime.fromtimestamp(at, UTC), order.share
    if order.unblocks:  # a later step can neither know nor ask again what the strategy wanted now
        return LedgerEvent("unblocked", coin_id, observed_at, now)
    if not share or request.portfolio.simulate_fill(share, at, price, costs) is None:
        return None
    return LedgerEvent("ordered", coin_id, observed_at, now, share, reason=order.reason)


def _is_fresh(series: PriceSeries, now: datetime) -> bool:
    """Return whether an order at the newest observation can still be filled in time."""
    delay = engine.max_fill_delay(series, len(series) - 1, ACCEPTED_DELAY_SECONDS)
    return bool(series.is_observed[-1] and now.timestamp() - series.times[-1] <= delay)


def _is_undecided(account: CoinAccount, series: PriceSeries) -> bool:
    """Return whether the newest observation is later than all that the ledger knows.

    A process whose clock is slow sees no newer one than an earlier step of another process. The
    opening comes before the first decision, at the same observation.
    """
    at, last = float(series.times[-1]), account.last_event
    if last.kind == "opened":
        return at >= account.started_at
    return at > last.observed_at.timestamp()


def _settle_order(
    order: LedgerEvent, portfolio: Portfolio, series: PriceSeries, costs: Costs, now: datetime
) -> LedgerEvent | None:
    """Return the fill or rejection of an order, or None while there is no next observation."""
    # The index of the observation at which the order was placed; the fill is at the next one.
    index = int(np.searchsorted(series.times, order.observed_at.timestamp(), side="right")) - 1
    if index + 1 >= len(series) or order.share is None:
        return None
    at, price = float(series.times[index + 1]), float(series.prices[index + 1])
    observed_at = datetime.fromtimestamp(at, UTC)
    exit_reason = ledger.to_exit_reason(order.reason)
    trade = portfolio.simulate_fill(order.share, at, price, costs, exit_reason)
    if trade is None or index < 0 or not engine.is_fillable(series, index):
        reason = "late" if series.is_observed[index + 1] else "backfilled"
        reason = reason if trade else "too small"
        return LedgerEvent("rejected", order.coin_id, observed_at, now, order.share, reason=reason)
    return LedgerEvent(
        "filled",
        order.coin_id,
        observed_at,
        now,
        order.share,
        trade.price_usd,
        trade.quantity,
        trade.cash_usd,
        trade.fee_usd,
        trade.reason,
    )
