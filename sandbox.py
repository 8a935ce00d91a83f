"""Paper trading: strategies on stored prices, wallets that go on from day to day, and sweeps.

Nothing is bought. A wish is filled at the next observation, never at a stale or a backfilled one,
with a fee and slippage on both sides; how many fills were refused for that is said beside every
result.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import backtest
import console
import performance
import price_source
import strategies
from backtest import Outcome
from errors import EXIT_OK, ConfigurationError, run_as_script
from paper import DEFAULT_FEE, DEFAULT_SLIPPAGE, DEFAULT_USD, Costs
from performance import Performance
from safe_zone import load_settings
from series import Series
from strategies import Strategy

EPILOG = """examples:
  python sandbox.py strategies
  python sandbox.py backtest --strategy sma-cross --coins BTC,ETH --days 60
  python sandbox.py backtest --strategy my_idea.py --csv prices.csv --html result.html
  python sandbox.py trade --wallet slow --strategy sma-cross --param slow=96 --coins BTC
  python sandbox.py trade                  one step of every wallet, for a cron
  python sandbox.py report --wallet slow --html slow.html --png slow.png
  python sandbox.py sweep --strategy sma-cross --param fast=6,12,24 --param slow=48,96 --days 60"""
DEFAULT_DAYS = 30
MOST_USD = Decimal(10) ** 15
MOST_BPS = Decimal(5_000)  # half of what is traded


def main() -> int:
    """Do what the command line says; returns 0."""
    parser = argparse.ArgumentParser(
        prog="sandbox.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("strategies", help="the strategies there are, with their parameters")
    _add_backtest(actions.add_parser("backtest", help="a strategy on past prices"))
    arguments = parser.parse_args()
    console.speak_through_logging()
    return {"strategies": _strategies, "backtest": _backtest}[arguments.action](arguments)


def _add_backtest(parser: argparse.ArgumentParser) -> None:
    _add_strategy(parser, required=True)
    _add_prices(parser)
    _add_money(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_strategy(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--strategy", required=required, metavar="NAME", help="a name, or a file such as my_idea.py"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="of the strategy"
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coins", help="ids, symbols or names, such as BTC,ethereum")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--days", help=f"of the database and the archive (default {DEFAULT_DAYS})")
    source.add_argument("--csv", type=Path, metavar="FILE", help="timestamp,coin_id,price")


def _add_money(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--initial-usd", help=f"cash to begin with (default {DEFAULT_USD})")
    parser.add_argument("--fee-bps", help=f"fee in basis points (default {DEFAULT_FEE})")
    parser.add_argument("--slippage-bps", help=f"slippage likewise (default {DEFAULT_SLIPPAGE})")


# --- the actions -----------------------------------------------------------------------------


def _strategies(_arguments: argparse.Namespace) -> int:
    rows = [
        (name, " ".join(f"{k}={v:g}" for k, v in found.parameters.items()), found.does)
        for name, found in strategies.BUILT_IN.items()
    ]
    console.show_table("strategies", ("name", "parameters", "what it does"), rows)
    print("Your own: a file with a function decide(past, purse), given as --strategy my_idea.py")
    return EXIT_OK


def _backtest(arguments: argparse.Namespace) -> int:
    strategy = strategies.choose(arguments.strategy, _parameters(arguments.param))
    initial, costs = _money(arguments)
    prices = _prices(arguments, datetime.now(UTC))
    outcomes = trade_all(prices, strategy, costs, initial)
    held = trade_all(prices, strategies.choose("hold"), costs, initial)
    found, hold = performance.measure(outcomes), performance.measure(held)
    if arguments.json:
        print(json.dumps(as_json(strategy, found, hold)))
    else:
        show(strategy, prices, found, hold)
    return EXIT_OK


def trade_all(
    prices: Mapping[str, Series], strategy: Strategy, costs: Costs, initial: Decimal
) -> list[Outcome]:
    """The outcome on each coin, each with an equal part of the cash."""
    part = initial / len(prices)
    return [backtest.run(own, strategy.wishes(own), costs, part) for own in prices.values()]


def as_json(strategy: Strategy, found: Performance, hold: Performance) -> dict[str, object]:
    """The object that `backtest --json` prints; fractions, and USD."""
    return {
        "strategy": strategy.name,
        "initial_usd": float(found.initial),
        "final_usd": float(found.final),
        "return": found.total_return,
        "buy_and_hold_return": hold.total_return,
        "fees_usd": float(found.fees),
        "trades": found.trades,
        "refused_fills": found.refused,
        "max_drawdown": found.max_drawdown,
        "sharpe": found.sharpe,
    }


def show(
    strategy: Strategy, prices: Mapping[str, Series], found: Performance, hold: Performance
) -> None:
    """The same for a person, with holding and cash beside it."""
    first = min(own.times[0] for own in prices.values())
    last = max(own.times[-1] for own in prices.values())
    span = f"{_day(first)} to {_day(last)}"
    coins = ", ".join(list(prices)[:5]) + (f" and {len(prices) - 5} more" * (len(prices) > 5))
    rows = [
        (name, *cells)
        for name, *cells in zip(
            _NAMES, _cells(found), _cells(hold), _cells(_cash(found.initial)), strict=True
        )
    ]
    title = f"{strategy.described()} on {coins}, {span}"
    console.show_table(title, ("", strategy.name, "buy and hold", "cash"), rows)
    if found.trades < performance.ENOUGH_TRADES:
        print(f"fewer than {performance.ENOUGH_TRADES} trades: ratios would be luck")
    if found.refused:
        print(f"{found.refused} fills were refused: the next price was backfilled or came late")


_NAMES = (
    *("final USD", "net profit USD", "return", "fees USD", "trades", "win rate", "max drawdown"),
    *("exposure", "CAGR", "Sharpe", "Sortino"),
)


def _cells(found: Performance) -> tuple[str, ...]:
    return (
        f"{found.final:,.2f}",
        f"{found.profit:+,.2f}",
        f"{found.total_return:+.2%}",
        f"{found.fees:,.2f}",
        str(found.trades),
        _percent(found.win_rate),
        f"{found.max_drawdown:.2%}",
        f"{found.exposure:.0%}",
        _percent(found.cagr),
        _ratio(found.sharpe),
        _ratio(found.sortino),
    )


def _cash(initial: Decimal) -> Performance:
    nothing = Decimal(0)
    return Performance(initial, initial, nothing, 0, 0, 0.0, 0.0, None, None, None, None)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d}"


# --- what was typed --------------------------------------------------------------------------


def _prices(arguments: argparse.Namespace, now: datetime) -> Mapping[str, Series]:
    terms = _names(arguments.coins)
    if arguments.csv:
        return price_source.from_file(arguments.csv, terms)
    days = _amount("--days", arguments.days, Decimal(DEFAULT_DAYS), Decimal(price_source.MOST_DAYS))
    return price_source.from_database(load_settings(), terms, float(days), now)


def _names(word: str | None) -> list[str]:
    if word is None:
        return []
    found = list(dict.fromkeys(term.strip() for term in word.split(",") if term.strip()))
    if not found:
        raise ConfigurationError("--coins names none: give ids or symbols, such as BTC,ethereum")
    return found


def _money(arguments: argparse.Namespace) -> tuple[Decimal, Costs]:
    initial = _amount("--initial-usd", arguments.initial_usd, DEFAULT_USD, MOST_USD)
    fee = _amount("--fee-bps", arguments.fee_bps, DEFAULT_FEE, MOST_BPS, least=Decimal(0))
    slippage = _amount(
        "--slippage-bps", arguments.slippage_bps, DEFAULT_SLIPPAGE, MOST_BPS, least=Decimal(0)
    )
    return initial, Costs(fee, slippage)


def _amount(
    flag: str, word: str | None, default: Decimal, most: Decimal, *, least: Decimal | None = None
) -> Decimal:
    """A number up to `most`, from `least` or above 0. Raises ConfigurationError."""
    if word is None:
        return default
    try:
        number = Decimal(word)
    except InvalidOperation:
        number = Decimal("NaN")
    lower = "above 0" if least is None else f"{least} or more"
    if (
        not number.is_finite()
        or number > most
        or (number <= 0 if least is None else number < least)
    ):
        raise ConfigurationError(
            f"{flag} '{word[:40]}' must be a number {lower}, {most:,.0f} at most"
        )
    return number


def _parameters(words: Sequence[str]) -> dict[str, float]:
    """The parameters typed as name=value. Raises ConfigurationError."""
    return {name: values[0] for name, values in _grid(words, most=1).items()}


def _grid(words: Sequence[str], most: int) -> dict[str, list[float]]:
    """Parameters typed as name=value or name=value,value,…: each with its values."""
    found: dict[str, list[float]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        try:
            numbers = [float(value) for value in values.split(",")]
            is_sound = equals and all(abs(number) < float("inf") for number in numbers)
        except ValueError:
            is_sound, numbers = "", []
        if not is_sound or len(numbers) > most:
            example = "fast=12" if most == 1 else "fast=6,12,24"
            raise ConfigurationError(f"--param '{word[:60]}' must look like {example}")
        found[name.strip()] = list(dict.fromkeys(numbers))
    return found


if __name__ == "__main__":
    run_as_script(main)
