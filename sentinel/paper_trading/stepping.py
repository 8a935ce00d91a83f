"""Step wallets: fill and place the orders that are due.

A step reads, decides without an open transaction, and then appends its events in a short one.
Stepping twice on the same prices changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sentinel.archive.store import Archive
from sentinel.backtesting import strategies
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import SentinelError
from sentinel.paper_trading import decisions, ledger, strategy_files, strategy_worker, wallets
from sentinel.paper_trading.ledger import CoinAccount, LedgerEvent
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.storage.connection import Connection


def step_wallets(
    connection: Connection,
    archive: Archive | None,
    chosen: Sequence[Wallet],
    now: datetime,
    state_dir: Path,
    process: StrategyProcess,
) -> tuple[dict[str, list[LedgerEvent]], list[SentinelError]]:
    """Step the open wallets; returns the new events by wallet name, and the errors.

    Wallets with a user's own strategy come last and share the time of `process`.
    """
    waiting = [wallet for wallet in chosen if not wallet.closed_at]
    waiting.sort(key=lambda wallet: wallet.has_own_strategy)
    process.share_time(sum(wallet.has_own_strategy for wallet in waiting))
    results, errors = wallets.process_each(
        waiting,
        lambda wallet: step_wallet(connection, archive, wallet, now, state_dir, process),
    )
    return {wallet.name: added for wallet, added in results}, errors


def step_wallet(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    now: datetime,
    state_dir: Path,
    process: StrategyProcess,
) -> list[LedgerEvent]:
    """Fill and place the orders that are due; returns the new events.

    If another process steps or closes the wallet meanwhile, this step adds nothing. Raises
    ConfigurationError if the user's strategy fails, InvalidTrades, ArchiveUnavailable,
    ArchiveDamaged.
    """
    strategy = strategy_files.load_strategy(
        state_dir, wallet.strategy, wallet.parameters, wallet.source_sha256
    )
    strategy = strategies.with_rules(strategy, wallet.order_rules)
    last_event_id = ledger.find_last_event_id(connection, wallet.wallet_id)
    accounts = ledger.load_accounts(connection, wallet.wallet_id)
    prices = wallets.read_prices(connection, archive, wallet.opened_at, list(accounts), now)
    added = _decide(wallet.name, strategy, accounts, prices, wallet.costs, now, process)
    if added and ledger.add_if_unchanged(connection, wallet.wallet_id, added, last_event_id):
        return added
    return []


def open_and_step(
    connection: Connection,
    archive: Archive | None,
    name: str,
    strategy: Strategy,
    opening: Sequence[LedgerEvent],
    costs: Costs,
    now: datetime,
    state_dir: Path,
    process: StrategyProcess,
) -> list[LedgerEvent]:
    """Open a wallet and step it, both or neither; returns the events of the step.

    `opening` comes from `wallets.compose_opening`. Raises what `wallets.open_wallet` and
    `step_wallet` raise.
    """
    accounts = ledger.replay_events(opening)
    prices = wallets.read_prices(connection, archive, now, list(accounts), now)
    added = _decide(name, strategy, accounts, prices, costs, now, process)
    wallets.open_wallet(connection, name, strategy, costs, [*opening, *added], now, state_dir)
    return added


def _decide(
    name: str,
    strategy: Strategy,
    accounts: Mapping[str, CoinAccount],
    prices: Mapping[str, PriceSeries],
    costs: Costs,
    now: datetime,
    process: StrategyProcess,
) -> list[LedgerEvent]:
    """Return the events that a step adds to a ledger, coin by coin."""
    steps = [
        decisions.prepare_step(coin_id, account, prices[coin_id], costs, now)
        for coin_id, account in accounts.items()
        if coin_id in prices
    ]
    requests = [step.request for step in steps if step.request]
    if strategy.source is None or not requests:
        orders = [strategy_worker.decide(strategy, request) for request in requests]
    else:
        orders = process.decide(name, strategy, requests)
    decided = iter(orders)
    added: list[LedgerEvent] = []
    for step in steps:
        if step.settled:
            added.append(step.settled)
        if step.request and (
            event := decisions.record_order(step.coin_id, step.request, next(decided), costs, now)
        ):
            added.append(event)
    return added
