"""What typed options of sandbox.py mean: the strategy, the money, and files to write.

The modules of pages are loaded by commands that write pages: all others start faster.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from sentinel.backtesting import exports, strategies
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.portfolio import (
    DEFAULT_FEE_BPS,
    DEFAULT_INITIAL_USD,
    DEFAULT_SLIPPAGE_BPS,
    Costs,
)
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.walk_forward import SweepResult
from sentinel.errors import ConfigurationError
from sentinel.paper_trading import output
from sentinel.paper_trading.parser import read_rules

T = TypeVar("T")
MAX_LISTED_COINS = 5  # named in a message


def load_strategy(name: str, options: argparse.Namespace) -> Strategy:
    """Return a strategy with the typed parameters and rules. Raises ConfigurationError."""
    strategy = strategies.load(name, to_dict(options.param))
    return strategies.with_rules(strategy, read_rules(options))


def read_money(options: argparse.Namespace) -> tuple[Decimal, Costs]:
    """Return the initial cash and the costs, with defaults for what the user did not type."""

    def choose(typed: Decimal | None, default: Decimal) -> Decimal:
        return default if typed is None else typed  # a fee of 0 is a value

    return choose(options.initial_usd, DEFAULT_INITIAL_USD), Costs(
        choose(options.fee_bps, DEFAULT_FEE_BPS),
        choose(options.slippage_bps, DEFAULT_SLIPPAGE_BPS),
    )


def to_dict(pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    """Return the --param options by name. Raises ConfigurationError for a repeated name."""
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigurationError(f"--param {name[:40]} is given twice")
        found[name] = value
    return found


def check_files(options: argparse.Namespace) -> None:
    """Refuse what would lose a file, before anything runs. Raises ConfigurationError."""
    typed = {name: getattr(options, name, None) for name in ("html", "png", "trades", "curve")}
    if output.IN_JSON in (typed["trades"], typed["curve"]) and not options.json:
        raise ConfigurationError("- puts rows into the JSON object: add --json, or name a file")
    strategies_typed = getattr(options, "strategy", None) or ()
    if isinstance(strategies_typed, str):
        strategies_typed = (strategies_typed,)
    used = {Path(one).resolve(): "--strategy" for one in strategies_typed if Path(one).is_file()}
    if csv := getattr(options, "csv", None):
        used[Path(csv).resolve()] = "--csv"
    for name, path in typed.items():
        if path is None or path == output.IN_JSON:
            continue
        if path.is_dir() or not path.parent.is_dir():
            reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
            raise ConfigurationError(f"--{name} {path} cannot be written: {reason}")
        other = used.setdefault(path.resolve(), f"--{name}")
        if other != f"--{name}":
            raise ConfigurationError(f"--{name} {path} would overwrite {other}: name another file")


def write_files(options: argparse.Namespace, report: BacktestReport) -> None:
    """Write the files that the user named. Raises ConfigurationError."""
    if not any((options.html, options.png, options.trades, options.curve)):
        return
    from sentinel.backtesting import html_page, png_page

    _write(
        report,
        ("--html", options.html, html_page.write_report),
        ("--png", options.png, png_page.write_report),
        ("--trades", options.trades, exports.write_trades),
        ("--curve", options.curve, exports.write_curve),
    )


def write_sweep_files(options: argparse.Namespace, result: SweepResult) -> None:
    """Write the files of a sweep that the user named. Raises ConfigurationError."""
    if not (options.html or options.png):
        return
    from sentinel.backtesting import sweep_pages

    _write(
        result,
        ("--html", options.html, sweep_pages.write_html),
        ("--png", options.png, sweep_pages.write_png),
    )


def _write(found: T, *files: tuple[str, Path | None, Callable[[T, Path], None]]) -> None:
    for flag, path, write in files:
        if path and path != output.IN_JSON:
            output.write_file(flag, path, functools.partial(write, found))
