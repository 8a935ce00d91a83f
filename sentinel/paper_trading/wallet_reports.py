"""Reports of wallets: their value over time beside buy-and-hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from sentinel.archive.store import Archive
from sentinel.backtesting import engine, strategies
from sentinel.backtesting.backtest_report import BacktestReport, build_report, report_coin
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import build_portfolio
from sentinel.backtesting.price_series import PriceSeries
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.paper_trading import ledger
from sentinel.paper_trading.ledger import CoinAccount
from sentinel.paper_trading.wallets import Wallet, process_each, read_prices
from sentinel.storage.connection import Connection

# If the first price that is left is this much later than the opening, the report says so.
MAX_UNREPORTED_SECONDS = timedelta(days=2).total_seconds()


def report_wallets(
    connection: Connection, archive: Archive | None, wallets: Sequence[Wallet], now: datetime
) -> tuple[list[tuple[Wallet, BacktestReport]], list[SentinelError]]:
    """Return the wallets with their reports, and the errors of wallets without one."""

    def report(wallet: Wallet) -> BacktestReport:
        accounts = ledger.load_accounts(connection, wallet.wallet_id)
        return report_wallet(connection, archive, wallet, accounts, now)

    return process_each(wallets, report)


def report_wallet(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    accounts: Mapping[str, CoinAccount],
    now: datetime,
) -> BacktestReport:
    """Return the report of a wallet with these accounts, as if its coins were sold now.

    Raises InvalidTrades, ConfigurationError if there are no prices, ArchiveUnavailable,
    ArchiveDamaged.
    """
    prices = read_prices(connection, archive, wallet.opened_at, list(accounts), now)
    hold = strategies.load("hold")
    coins, remarks = [], []
    for coin_id, account in accounts.items():
        series = prices.get(coin_id)
        if series is None:
            raise ConfigurationError(f"There is no price of {coin_id} since the wallet was opened")
        start, result = _replay_account(wallet, account, series)
        signals = hold.build_signals(series, start)
        holding = engine.run_backtest(series, signals, wallet.costs, result.initial_usd)
        # Buy-and-hold needs the prices before the start to know the usual pause.
        trimmed = engine.trim_start(holding, start)
        earlier = [trade for trade in account.trades if trade.filled_at < start]
        coins.append(report_coin(coin_id, series, result, trimmed, earlier))
        if start - account.started_at > MAX_UNREPORTED_SECONDS:
            remarks.append(_describe_lost_prices(coin_id, account, start, result))
    title = f"{wallet.name}: {wallet.describe_strategy()}"
    return build_report(title, coins, wallet.costs, remarks)


def _replay_account(
    wallet: Wallet, account: CoinAccount, series: PriceSeries
) -> tuple[float, BacktestResult]:
    """Return the start of the report (UNIX seconds) and the result since then.

    The report starts at the opening, or at the first price that is left.
    """
    start = max(account.started_at, float(series.times[0]))
    start = min(start, float(series.times[-1]))  # there may be no price since the opening
    before = [trade for trade in account.trades if trade.filled_at < start]
    since = account.trades[len(before) :]
    portfolio = build_portfolio(account.initial_usd, before)
    shown = series.between(start, np.inf)
    result = engine.replay_trades(shown, since, wallet.costs, portfolio, account.rejected_fills)
    return start, result


def _describe_lost_prices(
    coin_id: str, account: CoinAccount, start: float, result: BacktestResult
) -> str:
    day = datetime.fromtimestamp(start, UTC).date()
    return (
        f"There are no prices of {coin_id} before {day} any more: the report starts there. The "
        f"account was opened with {account.initial_usd:,.2f} USD and is worth "
        f"{result.final_usd:,.2f} USD."
    )
