"""The command line of sandbox.py."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from sentinel.arguments import (
    add_ignore_budget,
    end_moment,
    make_parser,
    moment,
    names,
    number,
    parameter,
    parameter_values,
    percentage,
    whole_number,
)
from sentinel.backtesting import exports, time_span, walk_forward
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import (
    DEFAULT_FEE_BPS,
    DEFAULT_INITIAL_USD,
    DEFAULT_SLIPPAGE_BPS,
)
from sentinel.paper_trading import output
from sentinel.paper_trading.wallet_names import check_wallet_name

EPILOG = """examples:
  python sandbox.py strategies
  python sandbox.py backtest --strategy sma-cross --coins BTC,ETH --days 60
  python sandbox.py backtest --strategy my_idea.py --csv prices.csv --html result.html
  python sandbox.py backtest --strategy dca --from 2026-09-01 --to 2026-10-31
  python sandbox.py check my_idea.py --days 60
  python sandbox.py step --wallet slow --strategy sma-cross --param slow=96 --coins BTC
  python sandbox.py step                   one step of every wallet, for a cron job
  python sandbox.py report --wallet slow --html slow.html --png slow.png
  python sandbox.py close --wallet slow
  python sandbox.py sweep --strategy sma-cross --param fast=6,12,24 --param slow=48,96 --days 60"""
STRATEGY_HELP = "a built-in strategy, or a file such as my_idea.py"
MAX_USD = Decimal(10) ** 15
MAX_BPS = Decimal(5_000)  # half of the money that changes hands
# The fields of OrderRules, which are the names of the flags too.
RULE_FLAGS = tuple(field.name for field in dataclasses.fields(OrderRules))
MAX_PROFIT = 1_000_000  # per cent
MAX_JOBS = 1_024


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser; its result holds the name of the command in `action`.

    Options that `step` must tell from typed ones are None or empty by default.
    """
    parser = make_parser("sandbox.py", description, EPILOG)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("strategies", help="list the built-in strategies with their parameters")
    _add_backtest(actions.add_parser("backtest", help="run a strategy on past prices"))
    _add_check(actions.add_parser("check", help="check a strategy for look-ahead"))
    _add_step(actions.add_parser("step", help="step every wallet, or open one and step it"))
    _add_report(actions.add_parser("report", help="show the results of wallets"))
    close = actions.add_parser("close", help="stop stepping a wallet; its ledger stays")
    _add_wallet(close, "the wallet to close", required=True)
    _add_sweep(actions.add_parser("sweep", help="compare many parameters, tested on unseen days"))
    return parser


def _add_backtest(parser: argparse.ArgumentParser) -> None:
    _add_strategy(parser, STRATEGY_HELP, required=True)
    _add_prices(parser)
    _add_money(parser)
    _add_rules(parser)
    _add_pages(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("strategy", metavar="STRATEGY", help=STRATEGY_HELP)
    _add_parameters(parser, "NAME=VALUE", parameter, "set a parameter of the strategy")
    _add_prices(parser)
    _add_money(parser)
    _add_rules(parser)
    _add_json(parser)


def _add_step(parser: argparse.ArgumentParser) -> None:
    _add_wallet(parser, "only this one (default: every wallet)")
    _add_strategy(parser, "open the wallet with this strategy", required=False)
    _add_coins(parser)
    _add_money(parser)
    _add_rules(parser)
    _add_json(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    _add_wallet(parser, "show this one in full (default: a table of all)")
    _add_pages(parser)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        required=True,
        metavar="NAME",
        type=names,
        help="built-in strategies or files, separated by commas",
    )
    _add_parameters(parser, "NAME=VALUE,VALUE", parameter_values, "values to try for a parameter")
    _add_prices(parser)
    _add_money(parser)
    _add_rules(parser)
    parser.add_argument(
        "--folds",
        type=whole_number(walk_forward.MAX_FOLDS),
        default=walk_forward.DEFAULT_FOLDS,
        help="walk-forward folds (default %(default)s)",
    )
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument(
        "--jobs",
        type=whole_number(MAX_JOBS),
        help="processes on this machine (default: one for each core)",
    )
    workers.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster, such as tcp://host:8786"
    )
    _add_pictures(parser)
    _add_json(parser)


def _add_strategy(parser: argparse.ArgumentParser, text: str, *, required: bool) -> None:
    parser.add_argument("--strategy", required=required, metavar="NAME", help=text)
    _add_parameters(parser, "NAME=VALUE", parameter, "set a parameter of the strategy")


def _add_parameters(
    parser: argparse.ArgumentParser, metavar: str, parse: Callable[[str], object], text: str
) -> None:
    parser.add_argument(
        "--param", action="append", default=[], metavar=metavar, type=parse, help=text
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    _add_coins(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--days",
        type=number(time_span.MAX_DAYS),
        help=f"days from the database and the archive (default {time_span.DEFAULT_DAYS})",
    )
    source.add_argument(
        "--csv", type=Path, metavar="FILE", help="timestamp,coin_id,price, candles, or CoinGecko's"
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=moment,
        metavar="TIME",
        help="trade from this day or moment on; a strategy sees the prices before it",
    )
    parser.add_argument(
        "--to",
        dest="stop",
        type=end_moment,
        metavar="TIME",
        help="until this moment, or the end of this day (default: now)",
    )
    add_ignore_budget(parser)


def _add_coins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--coins", type=names, default=[], help="ids, symbols or names, such as BTC,ethereum"
    )


def _add_money(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--initial-usd",
        type=number(MAX_USD),
        help=f"initial cash (default {DEFAULT_INITIAL_USD})",
    )
    parser.add_argument(
        "--fee-bps",
        type=number(MAX_BPS, least=0),
        help=f"fee of a trade in basis points (default {DEFAULT_FEE_BPS})",
    )
    parser.add_argument(
        "--slippage-bps",
        type=number(MAX_BPS, least=0),
        help=f"slippage of a trade in basis points (default {DEFAULT_SLIPPAGE_BPS})",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    rules = parser.add_argument_group("rules around the strategy")
    for flag, most, text in (
        ("--stop-loss", 99, "sell at this much below the entry price, such as 5%%"),
        ("--take-profit", MAX_PROFIT, "sell at this much above the entry price"),
        ("--trailing-stop", 99, "sell at this much below the highest price since the entry"),
        ("--order-volatility", 100, "buy as much as moves the account by this much a day"),
    ):
        rules.add_argument(flag, metavar="PERCENT", type=percentage(most), help=text)
    rules.add_argument("--order-usd", type=number(MAX_USD), help="spend at most this to buy")


def read_rules(options: argparse.Namespace) -> OrderRules | None:
    """Return the rules that the user typed, or None."""
    typed = {name: getattr(options, name) for name in RULE_FLAGS}
    found = {name: float(value) for name, value in typed.items() if value is not None}
    return OrderRules(**found) if found else None


def _add_pages(parser: argparse.ArgumentParser) -> None:
    _add_pictures(parser)
    for name, rows in (("trades", "round trips"), ("curve", "values over time")):
        parser.add_argument(
            f"--{name}",
            type=_check_export,
            metavar="FILE",
            help=f"write the {rows} as .csv or .parquet; - puts them into --json",
        )
    _add_json(parser)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write an image of the charts")


def _check_export(text: str) -> Path:
    """Return the file of an export, or `-`. Raises ArgumentTypeError for another suffix."""
    path = Path(text)
    if path != output.IN_JSON and path.suffix not in exports.SUFFIXES:
        raise argparse.ArgumentTypeError(
            f"'{text}' does not end in {' or '.join(exports.SUFFIXES)}"
        )
    return path


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_wallet(parser: argparse.ArgumentParser, text: str, *, required: bool = False) -> None:
    parser.add_argument(
        "--wallet", metavar="NAME", type=check_wallet_name, required=required, help=text
    )
