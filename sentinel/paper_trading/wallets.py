"""Wallets: open, list, step and close them.

A step fills the orders of the step before at the next observation, and then asks the strategy about
the newest one. Stepping twice on the same prices changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from safe_zone import MAX_CLOCK_SKEW, RETENTION
from sentinel.archive.store import Archive
from sentinel.backtesting import engine, price_loader, strategies
from sentinel.backtesting.engine import ACCEPTED_DELAY_SECONDS
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs, InvalidTrades, Portfolio
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import Parameters
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    ConfigurationError,
    SentinelError,
)
from sentinel.paper_trading import ledger, strategy_files
from sentinel.paper_trading.ledger import CoinAccount, LedgerEvent
from sentinel.storage.connection import Connection

T = TypeVar("T")

# Errors of one wallet. They do not keep the other wallets from being stepped or reported.
WALLET_ERRORS = (ConfigurationError, InvalidTrades, ArchiveUnavailable, ArchiveDamaged)
MAX_NAME_LENGTH = 60
MIN_CASH_STEP = Decimal("0.00000001")  # USD; the cash of a wallet is split in multiples of it
MAX_PRICE_AGE = timedelta(seconds=ACCEPTED_DELAY_SECONDS)

OPEN_WALLET = """
INSERT INTO sentinel.wallets (name, opened_at, fee_bps, slippage_bps, strategy, parameters,
                              source_sha256, rules)
VALUES (%(name)s, %(now)s, %(fee_bps)s, %(slippage_bps)s, %(strategy)s, %(parameters)s,
        %(source_sha256)s, %(rules)s)
ON CONFLICT (name) DO NOTHING
RETURNING wallet_id
"""
WALLETS = """
SELECT wallet_id, name, opened_at, closed_at, fee_bps, slippage_bps, strategy, parameters,
       source_sha256, rules
FROM sentinel.wallets
WHERE %(name)s::text IS NULL OR name = %(name)s::text
ORDER BY wallet_id
"""
SET_SOURCE = """
UPDATE sentinel.wallets SET source_sha256 = %(source_sha256)s WHERE wallet_id = %(wallet_id)s
"""
CLOSE_WALLET = "UPDATE sentinel.wallets SET closed_at = %(now)s WHERE wallet_id = %(wallet_id)s"
# A coin trades from its newest observation on, if that is fresh when the wallet opens.
FRESH_OBSERVATIONS = """
SELECT coin_id, observed_at FROM sentinel.coins
WHERE coin_id = ANY (%(coin_ids)s) AND observed_at > %(since)s AND observed_at <= %(now)s
"""
# Held until the transaction ends, so that two steps at once cannot add the same event twice.
LOCK_WALLET = "SELECT 1 FROM sentinel.wallets WHERE wallet_id = %(wallet_id)s FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as it was opened."""

    wallet_id: int
    name: str
    opened_at: datetime
    # A closed wallet is not stepped any more.
    closed_at: datetime | None
    fee_bps: Decimal
    slippage_bps: Decimal
    # A built-in strategy, or the path of the file that the wallet was opened with.
    strategy: str
    parameters: Parameters
    # Of that file's text. None: a built-in strategy, or the wallet is older than this field.
    source_sha256: str | None = None
    # The OrderRules around the strategy by name; None: none.
    rules: Mapping[str, float] | None = None

    @property
    def costs(self) -> Costs:
        """The fee and slippage of its trades."""
        return Costs(self.fee_bps, self.slippage_bps)

    @property
    def order_rules(self) -> OrderRules | None:
        """The rules around its strategy."""
        return OrderRules(**self.rules) if self.rules else None

    def describe_strategy(self) -> str:
        """Return its strategy with parameters and rules."""
        return strategies.describe(self.strategy, self.parameters, self.order_rules)


def check_name(name: str) -> str:
    """Return a name that can be printed, stored and used in a URL path.

    Raises ConfigurationError if the name cannot.
    """
    is_short = name.strip(" .") and len(name) <= MAX_NAME_LENGTH
    if not is_short or not name.isprintable() or "/" in name:
        shown = name[:40].encode("ascii", "backslashreplace").decode()
        raise ConfigurationError(
            f"'{shown}' is not a wallet name: take at most {MAX_NAME_LENGTH} printable characters "
            "without /"
        )
    return name


def open_wallet(
    connection: Connection,
    name: str,
    strategy: Strategy,
    coin_ids: Sequence[str],
    initial_usd: Decimal,
    costs: Costs,
    now: datetime,
    state_dir: Path,
) -> None:
    """Open a wallet with an equal part of the cash for each coin, in one transaction.

    The text of a user's strategy is kept in the state directory. Raises ConfigurationError if the
    name is invalid or taken, or if the text cannot be kept.
    """
    check_name(name)
    # The last coin gets what rounding leaves, so that the parts add up exactly.
    part = (initial_usd / len(coin_ids)).quantize(MIN_CASH_STEP, ROUND_DOWN)
    parts = [part] * (len(coin_ids) - 1) + [initial_usd - part * (len(coin_ids) - 1)]
    with connection.transaction():
        opened = connection.execute(
            OPEN_WALLET,
            asdict(costs)
            | {
                "name": name,
                "now": now,
                "strategy": strategy.name,
                "parameters": Jsonb(dict(strategy.parameters)),
                "source_sha256": strategy_files.keep_source(state_dir, strategy),
                "rules": Jsonb(strategy.rules.to_json()) if strategy.rules else None,
            },
        ).fetchone()
        if not opened:
            raise ConfigurationError(f"There is a wallet '{name}' already: take another name")
        parameters = {"coin_ids": list(coin_ids), "since": now - MAX_PRICE_AGE, "now": now}
        newest: dict[str, datetime] = dict(
            connection.execute(FRESH_OBSERVATIONS, parameters).fetchall()
        )
        for coin_id, cash in zip(coin_ids, parts, strict=True):
            event = LedgerEvent("opened", coin_id, newest.get(coin_id, now), now, cash_usd=cash)
            ledger.add_event(connection, opened[0], event)


def adopt_source(
    connection: Connection, wallet: Wallet, strategy: Strategy, state_dir: Path
) -> None:
    """Keep the text of the strategy of a wallet that is older than kept texts.

    Raises ConfigurationError if the wallet was opened with another text.
    """
    sha256, kept = strategy_files.keep_source(state_dir, strategy), wallet.source_sha256
    if strategy.source and kept not in (None, sha256):
        changed = ", ".join(strategy_files.find_changes(state_dir, strategy.source, kept))
        raise ConfigurationError(
            f"{changed} of the wallet '{wallet.name}' has changed since the wallet was opened: "
            "take another name for the new strategy, or leave --strategy out to go on with the "
            "old one"
        )
    parameters = {"source_sha256": sha256, "wallet_id": wallet.wallet_id}
    connection.execute(SET_SOURCE, parameters)


def load_wallets(connection: Connection, name: str | None = None) -> list[Wallet]:
    """Return all wallets in the order they were opened, or only the one with this name."""
    with connection.cursor(row_factory=class_row(Wallet)) as cursor:
        return cursor.execute(WALLETS, {"name": name}).fetchall()


def close_wallet(connection: Connection, wallet: Wallet, now: datetime) -> None:
    """Close a wallet: it is not stepped any more. Its ledger stays and can be reported."""
    connection.execute(CLOSE_WALLET, {"wallet_id": wallet.wallet_id, "now": now})


def process_each(
    wallets: Iterable[Wallet], process: Callable[[Wallet], T]
) -> tuple[list[tuple[Wallet, T]], list[SentinelError]]:
    """Return the wallets with their results, and the errors of wallets that have none.

    The message of an error begins with the name of the wallet.
    """
    results: list[tuple[Wallet, T]] = []
    errors: list[SentinelError] = []
    for wallet in wallets:
        try:
            results.append((wallet, process(wallet)))
        except WALLET_ERRORS as error:
            errors.append(type(error)(f"wallet '{wallet.name}': {error}"))
    return results, errors


def step_wallets(
    connection: Connection,
    archive: Archive | None,
    wallets: Sequence[Wallet],
    now: datetime,
    state_dir: Path,
) -> tuple[dict[str, list[LedgerEvent]], list[SentinelError]]:
    """Step the open wallets; returns the new events by wallet name, and the errors."""
    results, errors = process_each(
        (wallet for wallet in wallets if not wallet.closed_at),
        lambda wallet: step_wallet(connection, archive, wallet, now, state_dir),
    )
    return {wallet.name: added for wallet, added in results}, errors


def step_wallet(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    now: datetime,
    state_dir: Path,
) -> list[LedgerEvent]:
    """Fill and place the orders that are due, in one transaction; returns the new events.

    Raises ConfigurationError if the user's strategy fails, InvalidTrades, ArchiveUnavailable,
    ArchiveDamaged.
    """
    strategy = strategy_files.load_strategy(
        state_dir, wallet.strategy, wallet.parameters, wallet.source_sha256
    )
    strategy = strategies.with_rules(strategy, wallet.order_rules)
    with connection.transaction():
        connection.execute(LOCK_WALLET, {"wallet_id": wallet.wallet_id})
        accounts = ledger.load_accounts(connection, wallet.wallet_id)
        prices = read_prices(connection, archive, wallet, list(accounts), now)
        added = [
            event
            for coin_id, account in accounts.items()
            if coin_id in prices
            for event in _step_coin(wallet, strategy, coin_id, account, prices[coin_id], now)
        ]
        for event in added:
            ledger.add_event(connection, wallet.wallet_id, event)
    return added


def read_prices(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    coin_ids: Sequence[str],
    now: datetime,
) -> Mapping[str, PriceSeries]:
    """Return the prices that a wallet's strategy sees, from WARM_UP before its opening."""
    start, stop = wallet.opened_at - price_loader.WARM_UP, now + MAX_CLOCK_SKEW
    if start > now - RETENTION:
        archive = None  # the database holds all of it
    return price_loader.read_series(connection, archive, coin_ids, start, stop)


def _step_coin(
    wallet: Wallet,
    strategy: Strategy,
    coin_id: str,
    account: CoinAccount,
    series: PriceSeries,
    now: datetime,
) -> list[LedgerEvent]:
    added: list[LedgerEvent] = []
    portfolio = account.portfolio
    if account.pending_order:
        settled = _settle_order(wallet, account.pending_order, portfolio, series, now)
        if settled is None:
            return []
        added.append(settled)
        if settled.kind == "filled":
            portfolio.apply(settled.trade)
    order = _place_order(wallet, strategy, coin_id, account.started_at, portfolio, series, now)
    return [*added, order] if order else added


def _settle_order(
    wallet: Wallet, order: LedgerEvent, portfolio: Portfolio, series: PriceSeries, now: datetime
) -> LedgerEvent | None:
    """Return the fill or rejection of an order, or None while there is no next observation."""
    # The index of the observation at which the order was placed; the fill is at the next one.
    index = int(np.searchsorted(series.times, order.observed_at.timestamp(), side="right")) - 1
    if index + 1 >= len(series) or order.share is None:
        return None
    at, price = float(series.times[index + 1]), float(series.prices[index + 1])
    observed_at = datetime.fromtimestamp(at, UTC)
    exit_reason = ledger.to_exit_reason(order.reason)
    trade = portfolio.simulate_fill(order.share, at, price, wallet.costs, exit_reason)
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


def _place_order(
    wallet: Wallet,
    strategy: Strategy,
    coin_id: str,
    started_at: float,
    portfolio: Portfolio,
    series: PriceSeries,
    now: datetime,
) -> LedgerEvent | None:
    """Return the order at the newest observation, or that purchases are possible again.

    None if there is neither, or if that observation is not fresh.
    """
    index = len(series) - 1
    at = float(series.times[index])
    is_fresh = now.timestamp() - at <= engine.max_fill_delay(series, index, ACCEPTED_DELAY_SECONDS)
    if not series.is_observed[index] or not is_fresh or at < started_at:
        return None
    signals = strategy.build_signals(series, started_at)
    share, reason, unblocks = signals.place_order(index, portfolio)
    price, observed_at = float(series.prices[index]), datetime.fromtimestamp(at, UTC)
    if unblocks:  # a later step can neither know nor ask again what the strategy wanted now
        return LedgerEvent("unblocked", coin_id, observed_at, now)
    # An order that is too small to be executed is not recorded.
    if not share or portfolio.simulate_fill(share, at, price, wallet.costs) is None:
        return None
    return LedgerEvent("ordered", coin_id, observed_at, now, share, reason=reason)
