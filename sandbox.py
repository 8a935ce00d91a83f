"""Backtest trading strategies on stored prices, trade them with paper wallets, sweep parameters.

No real money is traded. An order is filled at the next observation, with a fee and slippage on both
sides. It is rejected if that price was backfilled or came too late; every result shows how many
fills were rejected.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import functools
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from safe_zone import Settings, load_settings
from sentinel import console
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.backtesting import (
    backtest_report,
    builtin_strategies,
    checked_run,
    cluster,
    exports,
    html_page,
    local_pool,
    png_page,
    price_loader,
    strategies,
    sweep_pages,
    time_span,
    user_strategy,
    walk_forward,
)
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.portfolio import (
    DEFAULT_FEE_BPS,
    DEFAULT_INITIAL_USD,
    DEFAULT_SLIPPAGE_BPS,
    Costs,
)
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.backtesting.strategies import Strategy
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ConfigurationError, SentinelError
from sentinel.paper_trading import ledger, output, stepping, wallet_reports, wallets
from sentinel.paper_trading.ledger import LedgerEvent
from sentinel.paper_trading.parser import RULE_FLAGS, build_parser, read_rules
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection

T = TypeVar("T")
MAX_COINS = 5  # named in a title or a message


def main() -> int:
    """Run the command that the user typed; returns 0, or the exit code of a wallet's error."""
    options = build_parser(__doc__).parse_args()
    actions = {
        "strategies": _list_strategies,
        "backtest": _run_backtest,
        "step": _step,
        "report": _report,
        "close": _close,
        "sweep": _sweep,
        "check": _check,
    }
    return actions[options.action](options)


# --- strategies, backtest --------------------------------------------------------------------


def _list_strategies(_options: argparse.Namespace) -> int:
    rows = [
        (name, " ".join(f"{k}={v:g}" for k, v in found.parameters.items()), found.description)
        for name, found in builtin_strategies.BUILT_IN.items()
    ]
    console.show_table("strategies", ("name", "parameters", "what it does"), rows)
    print(
        f"Your own: a file with a function {' or '.join(user_strategy.FUNCTIONS.values())}, given "
        "as --strategy my_idea.py"
    )
    return EXIT_OK


def _run_backtest(options: argparse.Namespace) -> int:
    strategy = _load_strategy(options.strategy, options)
    initial_usd, costs = _read_money(options)
    prices = _load_prices(options)
    results, check = checked_run.trade_and_check(prices, strategy, costs, initial_usd)
    holding = checked_run.trade_all(prices, strategies.load("hold"), costs, initial_usd)
    coins = [
        backtest_report.report_coin(coin_id, prices.series[coin_id], own, held)
        for coin_id, own, held in zip(prices.series, results, holding, strict=True)
    ]
    report = backtest_report.build_report(
        strategy.describe(), coins, costs, output.causality_remarks(check)
    )
    _write_files(options, report)
    if options.json:
        rows = output.rows_json(report, options.trades, options.curve)
        own = {"causality": check.to_json()}
        print(json.dumps(output.backtest_json(strategy, report) | own | rows))
    else:
        output.print_report(report)
    return EXIT_UNHEALTHY if check.outcome == "look-ahead" else EXIT_OK


def _check(options: argparse.Namespace) -> int:
    strategy = strategies.load(options.strategy, _to_dict(options.param))
    prices = _load_prices(options)
    _, check = checked_run.trade_and_check(prices, strategy, Costs(), DEFAULT_INITIAL_USD)
    if options.json:
        print(json.dumps(output.check_json(strategy, check)))
    else:
        output.print_check(strategy, prices, check)
    return EXIT_OK if check.is_causal else EXIT_UNHEALTHY


def _write_files(options: argparse.Namespace, report: BacktestReport) -> None:
    if output.IN_JSON in (options.trades, options.curve) and not options.json:
        raise ConfigurationError("- puts rows into the JSON object: add --json, or name a file")
    for flag, path, write in (
        ("--html", options.html, html_page.write_report),
        ("--png", options.png, png_page.write_report),
        ("--trades", options.trades, exports.write_trades),
        ("--curve", options.curve, exports.write_curve),
    ):
        if path and path != output.IN_JSON:
            output.write_file(flag, path, functools.partial(write, report))


# --- wallets ---------------------------------------------------------------------------------


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
    strategy = _load_strategy(name, options)
    initial_usd, costs = _read_money(options)
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
        initial_usd, costs = _read_money(options)
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
    initial_usd, costs = _read_money(options)
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
        coins = console.list_first(list(accounts), MAX_COINS)
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
        _write_files(options, report)
        if not options.json:
            output.print_report(report)


# --- sweep -----------------------------------------------------------------------------------


def _sweep(options: argparse.Namespace) -> int:
    found = walk_forward.build_candidates(options.strategy, _to_dict(options.param))
    candidates = [strategies.with_rules(one, read_rules(options)) for one in found]
    initial_usd, costs = _read_money(options)
    prices = _load_prices(options)
    firsts = walk_forward.list_firsts(candidates)
    checks = checked_run.check_each(prices, firsts, costs, initial_usd)
    sweep = walk_forward.plan_sweep(prices, candidates, options.folds, costs, initial_usd)
    with console.show_progress() as progress:

        def on_progress(done: int) -> None:
            progress("backtests", done, sweep.backtests)

        if options.scheduler is not None:
            scored = cluster.run_on_cluster(
                sweep, options.scheduler, on_progress, console.print_notice
            )
        else:
            jobs = options.jobs or os.cpu_count() or 1
            scored = local_pool.run_locally(sweep, jobs, on_progress)
    result = walk_forward.select_winners(sweep, scored)
    for flag, path, write in (
        ("--html", options.html, sweep_pages.write_html),
        ("--png", options.png, sweep_pages.write_png),
    ):
        if path:
            output.write_file(flag, path, functools.partial(write, result))
    winners = [one for one in walk_forward.list_winners(result) if one not in firsts]
    checks += checked_run.check_each(prices, winners, costs, initial_usd)
    if options.json:
        own = {"causality": [output.check_json(*entry) for entry in checks]}
        print(json.dumps(output.sweep_json(result) | own))
    else:
        output.print_sweep(result)
        output.print_checks(checks)
    return EXIT_OK


# --- options ---------------------------------------------------------------------------------


def _load_prices(options: argparse.Namespace) -> LoadedPrices:
    if options.csv:
        return price_loader.load_from_csv(options.csv, options.coins, options.start, options.stop)
    now = datetime.now(UTC)
    days = options.days and float(options.days)
    span = time_span.choose_span(days, options.start, options.stop, now)
    return price_loader.load_from_database(
        load_settings(), options.coins, span, now, ignore_budget=options.ignore_budget
    )


def _load_strategy(name: str, options: argparse.Namespace) -> Strategy:
    strategy = strategies.load(name, _to_dict(options.param))
    return strategies.with_rules(strategy, read_rules(options))


def _read_money(options: argparse.Namespace) -> tuple[Decimal, Costs]:
    """Return the initial cash and the costs, with defaults for what the user did not type."""

    def choose(typed: Decimal | None, default: Decimal) -> Decimal:
        return default if typed is None else typed  # a fee of 0 is a value

    return choose(options.initial_usd, DEFAULT_INITIAL_USD), Costs(
        choose(options.fee_bps, DEFAULT_FEE_BPS),
        choose(options.slippage_bps, DEFAULT_SLIPPAGE_BPS),
    )


def _to_dict(pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    """Return the --param options by name. Raises ConfigurationError for a repeated name."""
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigurationError(f"--param {name[:40]} is given twice")
        found[name] = value
    return found


if __name__ == "__main__":
    run_as_script(main)
