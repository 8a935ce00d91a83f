"""The output of sandbox.py: tables for people, JSON for scripts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel import console
from sentinel.backtesting import backtest_report, exports, sweep_report
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.causality import CausalityCheck
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.walk_forward import CandidateResult, SweepResult
from sentinel.errors import ConfigurationError

if TYPE_CHECKING:  # they load the database's driver
    from sentinel.paper_trading.ledger import LedgerEvent
    from sentinel.paper_trading.wallets import Wallet

MAX_ROWS = 20
# In place of a file: the rows become part of the JSON object.
IN_JSON = Path("-")


def backtest_json(strategy: Strategy, report: BacktestReport) -> dict[str, object]:
    """Return the object that `backtest --json` prints; returns are fractions."""
    return {"strategy": strategy.name, **_collect_figures(report)}


def _collect_figures(report: BacktestReport) -> dict[str, object]:
    figures = backtest_report.collect_figures(report)
    return {**figures, "better_than_random": report.better_than_random}


def rows_json(report: BacktestReport, trades: object, curve: object) -> dict[str, object]:
    """Return the rows that `--trades -` and `--curve -` add to the JSON object of a report."""
    rows: dict[str, object] = {}
    if trades == IN_JSON:
        rows["round_trip_list"] = exports.list_trades(report)
    if curve == IN_JSON:
        rows["curve"] = exports.list_curve(report)
    return rows


def write_file(flag: str, path: Path, write: Callable[[Path], None]) -> None:
    """Write a file that a flag names, or leave it as it was. Raises ConfigurationError."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            write(path)  # such as /dev/stdout
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".sandbox-") as folder:
            draft = Path(folder) / path.name
            write(draft)
            draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{flag} {path} cannot be written ({error.strerror})") from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{flag} needs {error.name}: python -m pip install -r requirements/services.txt"
        ) from error


def print_report(report: BacktestReport) -> None:
    """Print the figures beside buy-and-hold and cash, and the notes."""
    columns = ("", "strategy", "buy and hold", "cash")
    console.show_table(report.headline, columns, backtest_report.format_rows(report))
    print("\n".join(backtest_report.list_notes(report)))


def causality_remarks(check: CausalityCheck) -> list[str]:
    """Return the notes of a backtest about the check for look-ahead."""
    return [f"{check.describe()}.", check.describe_delay()]


def check_json(strategy: Strategy, check: CausalityCheck) -> dict[str, object]:
    """Return the object that `check --json` prints."""
    return {
        "strategy": strategy.name,
        "parameters": dict(strategy.parameters),
        **check.to_json(),
    }


def print_check(strategy: Strategy, prices: LoadedPrices, check: CausalityCheck) -> None:
    """Print the result of a check, and what it was made on."""
    coins = console.list_first(list(prices.series), 5)
    count = sum(len(own) for own in prices.series.values())
    first = min(float(own.times[0]) for own in prices.series.values())
    last = max(float(own.times[-1]) for own in prices.series.values())
    days = f"{backtest_report.format_day(first)} to {backtest_report.format_day(last)}"
    print(f"{strategy.describe()} on {coins}, {days}, {count:,} prices")
    print(f"  {check.describe()}")
    print(f"  {check.describe_delay()}")


def print_checks(checks: Sequence[tuple[Strategy, CausalityCheck]]) -> None:
    """Print the results of a sweep's checks."""
    for strategy, check in checks:
        print(f"{strategy.describe()}, {check.describe()}")


def event_json(event: LedgerEvent) -> dict[str, object]:
    """Return an event as `step --json` prints it, without fields that do not apply to its kind."""

    def to_json(value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat()
        return str(value) if isinstance(value, Decimal) else value

    return {name: to_json(value) for name, value in asdict(event).items() if value is not None}


def print_events(added: Mapping[str, Sequence[LedgerEvent]]) -> None:
    """Print the new events of each wallet."""
    for name, events in added.items():
        for event in events:
            print(f"{name}: {_describe_event(event)}")
        if not events:
            print(f"{name}: nothing to do")


def _describe_event(event: LedgerEvent) -> str:
    at = f"{event.observed_at:%Y-%m-%d %H:%M}"
    side = "buy" if (event.share or 0) > 0 else "sell"
    if event.kind == "unblocked":
        return f"{at} unblocked: {event.coin_id} may be bought again after its protective exit"
    rule = f", {event.reason}" if event.reason else ""
    if event.kind == "ordered":
        what = "the cash" if side == "buy" else "the coins"
        return (
            f"{at} ordered: {side} {event.coin_id} with {abs(event.share or 0):.0%} of {what}{rule}"
        )
    if event.kind == "rejected":
        return f"{at} rejected: {side} {event.coin_id}, because the fill was {event.reason}"
    price = console.format_number(float(event.price_usd or 0))
    return (
        f"{at} filled: {side} {abs(event.quantity or 0):.8g} {event.coin_id} at {price} USD, "
        f"fee {event.fee_usd or 0:,.2f} USD{rule}"
    )


def wallet_json(wallet: Wallet, report: BacktestReport) -> dict[str, object]:
    """Return the object that `report --json` prints of a wallet; returns are fractions."""
    return {
        "wallet": wallet.name,
        "strategy": wallet.strategy,
        "parameters": dict(wallet.parameters),
        "rules": dict(wallet.rules or {}),
        "opened_at": wallet.opened_at.isoformat(),
        "closed_at": wallet.closed_at.isoformat() if wallet.closed_at else None,
        **_collect_figures(report),
    }


def print_wallets(reports: Sequence[tuple[Wallet, BacktestReport]]) -> None:
    """Print a table of wallets."""
    columns = (
        *("wallet", "strategy", "since", "value USD", "return", "buy and hold", "trades"),
        "rejected",
    )
    rows = [
        (
            f"{wallet.name} (closed)" if wallet.closed_at else wallet.name,
            wallet.describe_strategy(),
            f"{wallet.opened_at:%Y-%m-%d}",
            f"{report.strategy.final_usd:,.2f}",
            f"{report.strategy.total_return:+.2%}",
            f"{report.buy_and_hold.total_return:+.2%}",
            report.strategy.trades,
            report.strategy.rejected_fills,
        )
        for wallet, report in reports
    ]
    console.show_table("wallets", columns, rows)


def sweep_json(result: SweepResult) -> dict[str, object]:
    """Return the object that `sweep --json` prints.

    Returns are fractions: the mean of all coins, one number for each fold.
    """
    return {
        "coins": result.coins,
        "winner": _candidate_json(result.folds[-1].winner),
        "folds": [
            {
                "training_starts_at": _format_time(fold.training_starts_at),
                "training_ends_at": _format_time(fold.training_ends_at),
                "test_ends_at": _format_time(fold.test_ends_at),
                "strategy": fold.winner.candidate.name,
                "parameters": dict(fold.winner.candidate.parameters),
                "training_return": fold.training_return,
                "test_return": fold.test_return,
                "test_buy_and_hold_return": fold.buy_and_hold_return,
            }
            for fold in result.folds
        ],
        "table": [_candidate_json(one) for one in result.table],
    }


def _candidate_json(result: CandidateResult) -> dict[str, object]:
    return {
        "strategy": result.candidate.name,
        "parameters": dict(result.candidate.parameters),
        "training_returns": list(result.training_returns),
        "test_returns": list(result.test_returns),
        "trades": result.trades,
        "refused_fills": result.rejected_fills,  # the same key as in `backtest --json`
    }


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def print_sweep(result: SweepResult) -> None:
    """Print the best candidates, and what the winner of each fold returned on unseen days."""
    shown = result.table[:MAX_ROWS]
    title = f"{len(result.table)} candidates on {result.coins} coins, mean returns"
    if len(shown) < len(result.table):
        title += f"; the best {len(shown)} in training"
    columns = ("strategy", "training", "test, each fold", "trades", "rejected")
    rows = [
        (
            one.candidate.describe(),
            f"{one.training_returns[-1]:+.2%}",
            "  ".join(f"{value:+.2%}" for value in one.test_returns),
            one.trades,
            one.rejected_fills,
        )
        for one in shown
    ]
    console.show_table(title, columns, rows)
    for fold in result.folds:
        print(
            f"trained until {backtest_report.format_day(fold.training_ends_at)}: "
            f"{fold.winner.candidate.describe()} returned {fold.training_return:+.2%}; "
            f"tested until {backtest_report.format_day(fold.test_ends_at)} on unseen days: "
            f"{fold.test_return:+.2%} "
            f"(buy and hold {fold.buy_and_hold_return:+.2%})"
        )
    print(sweep_report.describe_unseen(result))
