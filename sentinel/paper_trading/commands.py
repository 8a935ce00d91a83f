"""The commands of sandbox.py about wallets, which need the database."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from safe_zone import Settings, load_settings
from sentinel import console
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.backtesting import checked_run, price_loader
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.strategies import Strategy
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, ConfigurationError, SentinelError
from sentinel.paper_trading import (
    ledger,
    output,
    stepping,
    strategy_files,
    wallet_reports,
    wallets,
)
from sentinel.paper_trading.ledger import LedgerEvent
from sentinel.paper_trading.options import MAX_LISTED_COINS, load_strategy, read_money, write_files
from sentinel.paper_trading.parser import RULE_FLAGS
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.storage import schema
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.wallets")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns 0, or the exit code of a wallet's error."""
    actions = {"step": _step, "report": _report, "close": _close}
    return actions[options.action](options)


def _step(options: argparse.Namespace) -> int:
    settings, now = load_settings(), datetime.now(UTC)
    archive = open_configured_archive(settings)
    errors: list[SentinelError] = []
    added: dict[str, list[LedgerEvent]] = {}
    with schema.open_session(settings) as session, StrategyProcess() as process:
        if options.strategy:
            added = session.use(
                lambda c: _ensure_wallet(c, archive, options, settings, now, process)
            )
        elif flag := _find_opening_flag(options):
            raise ConfigurationError(f"{flag} is for opening a wallet: add --strategy NAME")
        if not added:
            chosen = session.use(lambda connection: _load_wallets(connection, options.wallet))
            if options.wallet:
                wallets.require_open(chosen[0])
            _warn_of_edited_files(settings, chosen)
            added, errors = session.use(
                lambda c: stepping.step_wallets(
                    c, archive, chosen, now, settings.state_dir, process
                )
            )
    for error in errors:
        console.print_error(error)
    # The wallets that were stepped are printed even if others failed.
    if options.json:
        events = {name: [output.event_json(event) for event in own] for name, own in added.items()}
        print(json.dumps(events))
    else:
        output.print_events(added)
    return errors[0].exit_code if errors else EXIT_OK


def _find_opening_flag(options: argparse.Namespace) -> str | None:
    """Return a flag that only the opening of a wallet takes, if the user typed one."""
    for name in ("coins", "initial_usd", "fee_bps", "slippage_bps", "param", *RULE_FLAGS):
        if getattr(options, name) not in (None, []):
            return f"--{name.replace('_', '-')}"
    return None


def _ensure_wallet(
    connection: Connection,
    archive: Archive | None,
    options: argparse.Namespace,
    settings: Settings,
    now: datetime,
    process: StrategyProcess,
) -> dict[str, list[LedgerEvent]]:
    """Open the named wallet and step it, both or neither; returns its events.

    If the wallet exists with these settings, this returns nothing, so that a repeated command goes
    on with it. Raises ConfigurationError if it exists with other settings, or is closed.
    """
    if not options.wallet:
        raise ConfigurationError("--strategy opens a wallet: give it a name with --wallet NAME")
    # A cron job may step the wallet from another folder.
    is_file = options.strategy.endswith(".py")
    name = str(Path(options.strategy).absolute()) if is_file else options.strategy
    strategy = load_strategy(name, options)
    if strategy.is_joint:
        raise ConfigurationError(
            f"{options.strategy} has weights for several coins, but a wallet trades each coin "
            "alone: use it with backtest, sweep and check"
        )
    initial_usd, costs = read_money(options)
    state_dir = ensure_state_dir(settings.state_dir)
    coin_ids = price_loader.resolve_coin_ids(connection, options.coins)
    unpriced = price_loader.find_unpriced(connection, coin_ids)
    if unpriced or not coin_ids:
        raise ConfigurationError(
            f"The database has no price of {', '.join(unpriced) or 'any coin'}: run ingest.py, or "
            "name other coins with --coins"
        )
    if found := wallets.load_wallets(connection, options.wallet):
        wallets.require_open(found[0])
        _require_same(connection, found[0], strategy, coin_ids, options)
        wallets.adopt_source(connection, found[0], strategy, state_dir)
        return {}
    _check_opening(connection, archive, strategy, coin_ids, options, now)
    # A strategy that fails at its first step must not leave a wallet behind.
    opening = wallets.compose_opening(connection, coin_ids, initial_usd, now)
    added = stepping.open_and_step(
        connection, archive, options.wallet, strategy, opening, costs, now, state_dir, process
    )
    return {options.wallet: added}


def _check_opening(
    connection: Connection,
    archive: Archive | None,
    strategy: Strategy,
    coin_ids: Sequence[str],
    options: argparse.Namespace,
    now: datetime,
) -> None:
    """Check the strategy of a new wallet on the prices that it will see. Raises LookAhead."""
    start = now - price_loader.WARM_UP
    series = price_loader.read_series(connection, archive, coin_ids, start, now)
    if prices := checked_run.take_second_half(series):
        initial_usd, costs = read_money(options)
        check = checked_run.require_causal(prices, strategy, costs, initial_usd)
        if not options.json:
            print(f"{options.wallet}: {check.describe()}")


def _require_same(
    connection: Connection,
    wallet: Wallet,
    strategy: Strategy,
    coin_ids: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Raise ConfigurationError if a typed option differs from an existing wallet."""
    accounts = ledger.load_accounts(connection, wallet.wallet_id)
    initial_usd, costs = read_money(options)
    cash = sum((account.initial_usd for account in accounts.values()), Decimal(0))
    has_typed_costs = options.fee_bps is not None or options.slippage_bps is not None
    is_same = (
        (wallet.strategy, dict(wallet.parameters)) == (strategy.name, dict(strategy.parameters))
        and wallet.order_rules == strategy.rules
        and (not options.coins or set(coin_ids) == set(accounts))
        and (not has_typed_costs or wallet.costs == costs)
        and (options.initial_usd is None or cash == initial_usd)
    )
    if not is_same:
        trades = wallet.describe_strategy()
        coins = console.list_first(list(accounts), MAX_LISTED_COINS)
        raise ConfigurationError(
            f"There is a wallet '{wallet.name}' already. It trades {trades} on {coins}: leave "
            "--strategy out to step it, or take another name"
        )


def _close(options: argparse.Namespace) -> int:
    with schema.open_session(load_settings()) as session:
        [wallet] = session.use(lambda connection: _load_wallets(connection, options.wallet))
        session.use(lambda connection: wallets.close_wallet(connection, wallet, datetime.now(UTC)))
    closed = f"closed on {wallet.closed_at:%Y-%m-%d} already" if wallet.closed_at else "closed"
    print(f"{wallet.name}: {closed}. Its ledger stays: sandbox.py report --wallet {wallet.name}")
    return EXIT_OK


def _load_wallets(connection: Connection, name: str | None) -> list[Wallet]:
    """Return the named wallet, or all of them. Raises ConfigurationError if there is none."""
    found = wallets.load_wallets(connection, name)
    if not found:
        which = f"no wallet '{name}'" if name else "no wallet yet"
        raise ConfigurationError(
            f"There is {which}: open one with step --wallet NAME --strategy NAME"
        )
    return found


def _warn_of_edited_files(settings: Settings, chosen: Sequence[Wallet]) -> None:
    for wallet in chosen:
        edited = strategy_files.find_edited_files(
            settings.state_dir, wallet.strategy, wallet.source_sha256
        )
        if edited and not wallet.closed_at:
            log.warning(
                "wallet '%s' goes on with the text that it was opened with: %s has changed since",
                wallet.name,
                ", ".join(edited),
            )


def _report(options: argparse.Namespace) -> int:
    settings, now = load_settings(), datetime.now(UTC)
    if not options.wallet and (options.html or options.png or options.trades or options.curve):
        raise ConfigurationError("A file shows one wallet: name it with --wallet")
    archive = open_configured_archive(settings)
    with schema.open_session(settings) as session:
        chosen = session.use(lambda connection: _load_wallets(connection, options.wallet))
        reports, errors = session.use(
            lambda c: wallet_reports.report_wallets(c, archive, chosen, now)
        )
    _warn_of_edited_files(settings, chosen)
    for error in errors:
        console.print_error(error)
    _print_reports(options, reports)
    return errors[0].exit_code if errors else EXIT_OK


def _print_reports(
    options: argparse.Namespace, reports: Sequence[tuple[Wallet, BacktestReport]]
) -> None:
    if options.json:
        print(
            json.dumps(
                [
                    output.wallet_json(wallet, report)
                    | output.rows_json(report, options.trades, options.curve)
                    for wallet, report in reports
                ]
            )
        )
    elif not options.wallet and reports:
        output.print_wallets(reports)
    for _, report in reports if options.wallet else ():
        if not options.json:
            output.print_report(report)
        write_files(options, report)
