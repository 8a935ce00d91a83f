"""The report of a backtest or a wallet: its figures beside buy-and-hold and beside cash."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from sentinel import console
from sentinel.backtesting import luck, metrics
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.metrics import Performance
from sentinel.backtesting.portfolio import Costs, Trade
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.round_trips import RoundTrip, build_round_trips

MAX_COINS = 5  # named in a headline


def _format(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


def format_days(days: float | None) -> str:
    """Return a time in days, or in hours or minutes if it is short."""
    if days is None:
        return "-"
    if days >= 1 or days == 0:
        return f"{days:,.1f} d"
    return f"{days * 24:.1f} h" if days * 24 >= 1 else f"{days * 1440:.0f} min"


# The figures of a report as text, by their labels.
FORMATS: dict[str, Callable[[Performance], str]] = {
    "final USD": lambda own: f"{own.final_usd:,.2f}",
    "net profit USD": lambda own: f"{own.net_profit_usd:+,.2f}",
    "return": lambda own: f"{own.total_return:+.2%}",
    "CAGR": lambda own: _format(own.cagr, "+,.1%"),
    "volatility": lambda own: _format(own.volatility, ",.1%"),
    "Sharpe": lambda own: _format(own.sharpe, ".2f"),
    "Sortino": lambda own: _format(own.sortino, ".2f"),
    "Calmar": lambda own: _format(own.calmar, ",.2f"),
    "max drawdown": lambda own: f"{own.max_drawdown:.2%}",
    "longest drawdown": lambda own: format_days(own.longest_drawdown_days),
    "exposure": lambda own: f"{own.exposure:.0%}",
    "fees USD": lambda own: f"{own.fees_usd:,.2f}",
    "filled orders": lambda own: f"{own.trades:,}",
    "round trips": lambda own: f"{own.round_trips:,}",
    "win rate": lambda own: _format(own.win_rate, ".1%"),
    "profit factor": lambda own: _format(own.profit_factor, ",.2f"),
    "average trade": lambda own: _format(own.average_trade, "+.2%"),
    "best trade": lambda own: _format(own.best_trade, "+,.2%"),
    "worst trade": lambda own: _format(own.worst_trade, "+.2%"),
    "time held": lambda own: format_days(own.average_days_held),
}


@dataclass(frozen=True, slots=True, eq=False)
class CoinReport:
    """What a report shows of one coin."""

    coin_id: str
    # From the start of trading on.
    prices: PriceSeries
    result: BacktestResult
    buy_and_hold: BacktestResult
    # In order of time.
    round_trips: Sequence[RoundTrip]


@dataclass(frozen=True, eq=False)
class BacktestReport:
    """What a report shows of a strategy, and of buy-and-hold with the same cash and costs."""

    # What was tested, such as `sma-cross (fast=12, slow=48)`.
    title: str
    coins: Sequence[CoinReport]
    costs: Costs
    strategy: Performance
    buy_and_hold: Performance
    # The values of all coins together.
    curve: BacktestResult
    buy_and_hold_curve: BacktestResult
    # Sentences to show below the figures.
    remarks: Sequence[str] = ()

    @property
    def subject(self) -> str:
        """The coins, and the first and the last day."""
        coins = console.list_first([coin.coin_id for coin in self.coins], MAX_COINS)
        first, last = (format_day(float(at)) for at in self.curve.times[[0, -1]])
        return f"{coins}, {first} to {last}"

    @property
    def headline(self) -> str:
        """The title with the coins and the days."""
        return f"{self.title} on {self.subject}"

    @property
    def trades(self) -> list[tuple[str, Trade]]:
        """The trades with the ids of their coins, in order of time."""
        trades = [(coin.coin_id, trade) for coin in self.coins for trade in coin.result.trades]
        return sorted(trades, key=lambda entry: entry[1].filled_at)

    @property
    def round_trips(self) -> list[RoundTrip]:
        """The round trips of all coins, in order of their entries."""
        trips = [trip for coin in self.coins for trip in coin.round_trips]
        return sorted(trips, key=lambda trip: trip.entered_at)

    @functools.cached_property
    def better_than_random(self) -> float | None:
        """The share of random entries that did worse, 0 to 1; None with too few round trips."""
        coins = [(coin.prices, coin.round_trips) for coin in self.coins]
        return luck.compare_with_random(coins, self.costs)


def report_coin(
    coin_id: str,
    series: PriceSeries,
    result: BacktestResult,
    buy_and_hold: BacktestResult,
    earlier_trades: Sequence[Trade] = (),
) -> CoinReport:
    """Return what a report shows of one coin.

    `earlier_trades` were made before the report starts: they belong to a position held there.
    """
    start = float(result.times[0])
    trips = build_round_trips(coin_id, [*earlier_trades, *result.trades])
    shown = [trip for trip in trips if trip.exited_at >= start]
    return CoinReport(coin_id, series.between(start, np.inf), result, buy_and_hold, shown)


def build_report(
    title: str, coins: Sequence[CoinReport], costs: Costs, remarks: Sequence[str] = ()
) -> BacktestReport:
    """Return the report of the coins together."""
    curve = metrics.combine_results([coin.result for coin in coins])
    holding = metrics.combine_results([coin.buy_and_hold for coin in coins])
    trips = [trip for coin in coins for trip in coin.round_trips]
    return BacktestReport(
        title,
        coins,
        costs,
        metrics.compute_metrics(curve, trips),
        metrics.compute_metrics(holding, [], is_strategy=False),
        curve,
        holding,
        remarks,
    )


def collect_figures(report: BacktestReport) -> dict[str, float | int | None]:
    """Return all figures by the names of the JSON output: USD, days, and fractions."""
    own, holding = report.strategy, _collect_rates(report.buy_and_hold)
    return {
        "initial_usd": float(own.initial_usd),
        "final_usd": float(own.final_usd),
        "net_profit_usd": float(own.net_profit_usd),
        "return": own.total_return,
        "buy_and_hold_return": report.buy_and_hold.total_return,
        "fees_usd": float(own.fees_usd),
        "trades": own.trades,
        "refused_fills": own.rejected_fills,  # a name that scripts rely on
        "exposure": own.exposure,
        "round_trips": own.round_trips,
        **_collect_rates(own),
        **{f"buy_and_hold_{name}": rate for name, rate in holding.items()},
        "win_rate": own.win_rate,
        "profit_factor": own.profit_factor,
        "average_trade": own.average_trade,
        "best_trade": own.best_trade,
        "worst_trade": own.worst_trade,
        "average_days_held": own.average_days_held,
    }


def _collect_rates(own: Performance) -> Mapping[str, float | None]:
    """Return the figures that holding has too."""
    return {
        "max_drawdown": own.max_drawdown,
        "longest_drawdown_days": own.longest_drawdown_days,
        "cagr": own.cagr,
        "volatility": own.volatility,
        "sharpe": own.sharpe,
        "sortino": own.sortino,
        "calmar": own.calmar,
    }


def format_rows(report: BacktestReport) -> list[tuple[str, str, str, str]]:
    """Return (label, strategy, buy and hold, cash) for each figure."""
    cash = Performance(report.strategy.initial_usd, report.strategy.initial_usd)
    return [
        (label, form(report.strategy), form(report.buy_and_hold), form(cash))
        for label, form in FORMATS.items()
    ]


def describe_luck(report: BacktestReport) -> str:
    """Return the comparison with random entries as a sentence."""
    if report.better_than_random is None:
        return f"A comparison with random entries needs {luck.MIN_ROUND_TRIPS} closed round trips."
    return (
        f"Better than {report.better_than_random:.0%} of {luck.PLACEMENTS:,} random entries with "
        "the same holding times."
    )


def list_notes(report: BacktestReport) -> list[str]:
    """Return the sentences that a reader of the figures should know."""
    notes = [
        describe_luck(report),
        "Coins that are held at the end count as sold at the last price, but not as a round trip.",
        *report.remarks,
    ]
    if report.strategy.sharpe is None:
        notes.append(
            f"A figure shown as - needs more evidence. Rates per year need {metrics.MIN_DAYS} "
            "days. Those of a strategy, win rate, profit factor and average trade need "
            f"{metrics.MIN_ROUND_TRIPS} closed round trips."
        )
    if report.strategy.rejected_fills:
        notes.append(
            f"{report.strategy.rejected_fills} fills were rejected: the next price was backfilled "
            "or late."
        )
    return notes


def format_day(seconds: float) -> str:
    """Return the UTC day of a time in UNIX seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def thin_indices(length: int, target: int) -> list[int]:
    """Return about `target` evenly spaced indices of a curve, always with the last one."""
    step = max(1, -(-length // target))
    return sorted({*range(0, length, step), length - 1})
