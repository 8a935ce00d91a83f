"""Paper trading: strategies on stored prices, wallets that go on from day to day, and sweeps.

Nothing is bought. A wish is filled at the next observation, never at a stale or a backfilled one,
with a fee and slippage on both sides; how many fills were refused for that is said beside every
result.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from safe_zone import load_settings
from sentinel import arguments as typed
from sentinel import console
from sentinel.archive import export
from sentinel.archive.store import Archive
from sentinel.backtesting import (
    builtin_strategies,
    engine,
    executors,
    report,
    strategies,
    walk_forward,
)
from sentinel.backtesting import prices as price_source
from sentinel.backtesting.engine import Outcome
from sentinel.backtesting.portfolio import DEFAULT_FEE, DEFAULT_SLIPPAGE, DEFAULT_USD, Costs
from sentinel.backtesting.price_series import Series
from sentinel.backtesting.report import Report
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import EXIT_OK, ConfigurationError, SentinelError
from sentinel.paper_trading import output, wallets
from sentinel.paper_trading.wallets import Event, Wallet
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection

EPILOG = """examples:
  python sandbox.py strategies
  python sandbox.py backtest --strategy sma-cross --coins BTC,ETH --days 60
  python sandbox.py backtest --strategy my_idea.py --csv prices.csv --html result.html
  python sandbox.py trade --wallet slow --strategy sma-cross --param slow=96 --coins BTC
  python sandbox.py trade                  one step of every wallet, for a cron
  python sandbox.py report --wallet slow --html slow.html --png slow.png
  python sandbox.py close --wallet slow
  python sandbox.py sweep --strategy sma-cross --param fast=6,12,24 --param slow=48,96 --days 60"""
DEFAULT_DAYS = 30
MOST_USD = Decimal(10) ** 15
MOST_BPS = Decimal(5_000)  # half of what is traded
MOST_JOBS = 1_024


def main() -> int:
    """Do what the command line says; returns 0, or the exit code of a wallet's trouble."""
    parser = argparse.ArgumentParser(
        prog="sandbox.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("strategies", help="the strategies there are, with their parameters")
    _add_backtest(actions.add_parser("backtest", help="a strategy on past prices"))
    _add_trade(actions.add_parser("trade", help="open a wallet, and one step of it or of all"))
    _add_report(actions.add_parser("report", help="what wallets have come to"))
    close = actions.add_parser("close", help="step a wallet no more; its ledger stays")
    close.add_argument("--wallet", metavar="NAME", required=True, help="this one")
    _add_sweep(actions.add_parser("sweep", help="many parameters, judged on unseen days"))
    arguments = parser.parse_args()
    console.configure_logging()
    act = {
        "strategies": _strategies,
        "backtest": _backtest,
        "trade": _trade,
        "report": _report,
        "close": _close,
        "sweep": _sweep,
    }
    return act[arguments.action](arguments)


def _add_backtest(parser: argparse.ArgumentParser) -> None:
    _add_strategy(parser, "a name, or a file such as my_idea.py", required=True)
    _add_prices(parser)
    _add_money(parser)
    _add_pages(parser)


def _add_trade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wallet", metavar="NAME", help="this one (default: every wallet)")
    _add_strategy(parser, "opens the wallet with it", required=False)
    parser.add_argument("--coins", help="ids, symbols or names, such as BTC,ethereum")
    _add_money(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wallet", metavar="NAME", help="this one in full (default: all in short)")
    _add_pages(parser)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    _add_strategy(parser, "names or files, with commas between", required=True)
    _add_prices(parser)
    _add_money(parser)
    parser.add_argument("--folds", help=f"steps of the walk (default {walk_forward.DEFAULT_FOLDS})")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--jobs", help="processes on this machine (default: one a core)")
    place.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's: tcp://host:8786")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_strategy(parser: argparse.ArgumentParser, words: str, *, required: bool) -> None:
    parser.add_argument("--strategy", required=required, metavar="NAME", help=words)
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="of the strategy"
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coins", help="ids, symbols or names, such as BTC,ethereum")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--days", help=f"of database and archive (default {DEFAULT_DAYS})")
    source.add_argument("--csv", type=Path, metavar="FILE", help="timestamp,coin_id,price")


def _add_money(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--initial-usd", help=f"cash to begin with (default {DEFAULT_USD})")
    parser.add_argument("--fee-bps", help=f"fee in basis points (default {DEFAULT_FEE})")
    parser.add_argument("--slippage-bps", help=f"slippage likewise (default {DEFAULT_SLIPPAGE})")


def _add_pages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with curves")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write a picture of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


# --- strategies, backtest --------------------------------------------------------------------


def _strategies(_arguments: argparse.Namespace) -> int:
    rows = [
        (name, " ".join(f"{k}={v:g}" for k, v in found.parameters.items()), found.does)
        for name, found in builtin_strategies.BUILT_IN.items()
    ]
    console.show_table("strategies", ("name", "parameters", "what it does"), rows)
    print("Your own: a file with a function decide(past, purse), given as --strategy my_idea.py")
    return EXIT_OK


def _backtest(arguments: argparse.Namespace) -> int:
    strategy = strategies.choose(arguments.strategy, typed.parameters(arguments.param))
    initial, costs = _money(arguments)
    prices = _prices(arguments)
    own = trade_all(prices, strategy, costs, initial)
    hold = trade_all(prices, strategies.choose("hold"), costs, initial)
    title = f"{strategy.described()} on {output.coins(list(prices))}, {output.span(prices)}"
    found = report.report(title, list(prices), own, hold)
    _write_pages(arguments, found)
    if arguments.json:
        print(json.dumps(output.as_json(strategy, found)))
    else:
        output.show(found)
    return EXIT_OK


def trade_all(
    prices: Mapping[str, Series], strategy: Strategy, costs: Costs, initial: Decimal
) -> list[Outcome]:
    """The outcome on each coin, each with an equal part of the cash."""
    part = initial / len(prices)
    return [engine.run(own, strategy.signals(own), costs, part) for own in prices.values()]


def _write_pages(arguments: argparse.Namespace, found: Report) -> None:
    if arguments.html:
        report.write_html(found, arguments.html)
    if arguments.png:
        report.write_png(found, arguments.png)


# --- wallets ---------------------------------------------------------------------------------


def _trade(arguments: argparse.Namespace) -> int:
    settings, now = load_settings(), datetime.now(UTC)
    typed.name("--wallet", arguments.wallet, wallets.LONGEST_NAME)
    archive = export.archive_of(settings)
    with schema.open_session(settings) as session:
        opened: dict[str, list[Event]] = {}
        if arguments.strategy:
            opened = session.use(lambda c: _ensure_wallet(c, archive, arguments, now))
        elif word := _opening_words(arguments):
            raise ConfigurationError(f"{word} is for opening a wallet: add --strategy NAME")
        added = opened
        troubles: list[SentinelError] = []
        if not opened:
            chosen = session.use(lambda connection: _chosen(connection, arguments.wallet))
            added, troubles = session.use(lambda c: wallets.step_all(c, archive, chosen, now))
    for trouble in troubles:
        console.print_error(trouble)
    if arguments.json:
        print(
            json.dumps(
                {name: [output.event_json(e) for e in events] for name, events in added.items()}
            )
        )
    else:
        output.show_events(added)
    return troubles[0].exit_code if troubles else EXIT_OK


def _opening_words(arguments: argparse.Namespace) -> str | None:
    """A flag that only an opening takes, if one was typed."""
    flags = ("coins", "initial_usd", "fee_bps", "slippage_bps", "param")
    typed_ones = (f"--{flag.replace('_', '-')}" for flag in flags if getattr(arguments, flag))
    return next(typed_ones, None)


def _ensure_wallet(
    connection: Connection, archive: Archive | None, arguments: argparse.Namespace, now: datetime
) -> dict[str, list[Event]]:
    """Open the wallet that was named and step it, both or none, or see that it is the one that was
    meant; returns what was added to the ledger of a new one."""
    if not arguments.wallet:
        raise ConfigurationError("--strategy opens a wallet: give it a name with --wallet NAME")
    word = arguments.strategy
    name = str(Path(word).absolute()) if word.endswith(".py") else word
    strategy = strategies.choose(name, typed.parameters(arguments.param))
    initial, costs = _money(arguments)
    coin_ids = price_source.resolve(connection, typed.names("--coins", arguments.coins))
    missing = price_source.without_prices(connection, coin_ids)
    if missing or not coin_ids:
        raise ConfigurationError(
            f"The database has no price of {', '.join(missing) or 'any coin'}: run ingest.py, or "
            "name other coins with --coins"
        )
    found = wallets.wallets(connection, arguments.wallet)
    if not found:
        with connection.transaction():
            wallets.open_wallet(
                connection, arguments.wallet, strategy, coin_ids, initial, costs, now
            )
            [wallet] = wallets.wallets(connection, arguments.wallet)
            return {wallet.name: wallets.step(connection, archive, wallet, now)}
    [wallet] = found
    purses = wallets.purses(connection, wallet)
    there = (
        (wallet.strategy, dict(wallet.parameters)) == (name, dict(strategy.parameters))
        and (not arguments.coins or set(coin_ids) == set(purses))
        and (wallet.costs == costs or not (arguments.fee_bps or arguments.slippage_bps))
        and (not arguments.initial_usd or sum(p.initial for p in purses.values()) == initial)
    )
    if not there:
        was = strategies.described(wallet.strategy, wallet.parameters)
        raise ConfigurationError(
            f"The wallet '{wallet.name}' is there already and trades {was} on "
            f"{output.coins(list(purses))}: leave --strategy out to go on with it, or take another "
            "name"
        )
    return {}


def _close(arguments: argparse.Namespace) -> int:
    name = typed.name("--wallet", arguments.wallet, wallets.LONGEST_NAME)
    with schema.open_session(load_settings()) as session:
        [wallet] = session.use(lambda connection: _chosen(connection, name))
        session.use(lambda connection: wallets.close(connection, wallet, datetime.now(UTC)))
    print(f"{wallet.name}: closed. Its ledger stays: sandbox.py report --wallet {wallet.name}")
    return EXIT_OK


def _chosen(connection: Connection, name: str | None) -> list[Wallet]:
    found = wallets.wallets(connection, name)
    if not found:
        which = f"no wallet '{name}'" if name else "no wallet yet"
        raise ConfigurationError(
            f"There is {which}: open one with trade --wallet NAME --strategy NAME"
        )
    return found


def _report(arguments: argparse.Namespace) -> int:
    settings, now = load_settings(), datetime.now(UTC)
    typed.name("--wallet", arguments.wallet, wallets.LONGEST_NAME)
    if not arguments.wallet and (arguments.html or arguments.png):
        raise ConfigurationError("--html and --png show one wallet: name it with --wallet")
    archive = export.archive_of(settings)
    with schema.open_session(settings) as session:
        chosen = session.use(lambda connection: _chosen(connection, arguments.wallet))
        found, troubles = session.use(lambda c: wallets.report_all(c, archive, chosen, now))
    for trouble in troubles:
        console.print_error(trouble)
    _tell_reports(arguments, found)
    return troubles[0].exit_code if troubles else EXIT_OK


def _tell_reports(arguments: argparse.Namespace, found: Sequence[tuple[Wallet, Report]]) -> None:
    if arguments.json:
        print(json.dumps([output.wallet_json(wallet, own) for wallet, own in found]))
    elif not arguments.wallet and found:
        output.show_wallets(found)
    for _, own in found if arguments.wallet else ():
        _write_pages(arguments, own)
        if not arguments.json:
            output.show(own)


# --- sweep -----------------------------------------------------------------------------------


def _sweep(arguments: argparse.Namespace) -> int:
    names = typed.names("--strategy", arguments.strategy)
    wanted = walk_forward.candidates(names, typed.grid(arguments.param))
    folds = typed.whole(
        "--folds", arguments.folds, walk_forward.DEFAULT_FOLDS, walk_forward.MOST_FOLDS
    )
    jobs = typed.whole("--jobs", arguments.jobs, os.cpu_count() or 1, MOST_JOBS)
    initial, costs = _money(arguments)
    tasks = walk_forward.plan(_prices(arguments), wanted, folds, costs, initial)
    with console.show_progress() as progress:

        def count(done: int) -> None:
            progress("coins", done, len(tasks))

        if arguments.scheduler is not None:
            scored = executors.do_on_cluster(tasks, arguments.scheduler, count)
        else:
            scored = executors.do_here(tasks, jobs, count)
    findings = walk_forward.select_winners(tasks, scored)
    if arguments.json:
        print(json.dumps(output.sweep_json(findings)))
    else:
        output.show_sweep(findings)
    return EXIT_OK


# --- what was typed --------------------------------------------------------------------------


def _prices(arguments: argparse.Namespace) -> Mapping[str, Series]:
    terms = typed.names("--coins", arguments.coins)
    if arguments.csv:
        return price_source.from_file(arguments.csv, terms)
    most = Decimal(price_source.MOST_DAYS)
    days = typed.amount("--days", arguments.days, Decimal(DEFAULT_DAYS), most)
    return price_source.from_database(load_settings(), terms, float(days), datetime.now(UTC))


def _money(arguments: argparse.Namespace) -> tuple[Decimal, Costs]:
    least = Decimal(0)
    initial = typed.amount("--initial-usd", arguments.initial_usd, DEFAULT_USD, MOST_USD)
    fee = typed.amount("--fee-bps", arguments.fee_bps, DEFAULT_FEE, MOST_BPS, least=least)
    slippage = typed.amount(
        "--slippage-bps", arguments.slippage_bps, DEFAULT_SLIPPAGE, MOST_BPS, least=least
    )
    return initial, Costs(fee, slippage)


if __name__ == "__main__":
    run_as_script(main)
