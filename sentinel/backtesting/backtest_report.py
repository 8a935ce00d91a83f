"""The report of a backtest or a wallet: its figures beside buy-and-hold and beside cash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sentinel.backtesting import metrics
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.metrics import Performance
from sentinel.backtesting.portfolio import Trade


def _format(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


# The figures of a report as text, by their labels.
FORMATS: dict[str, Callable[[Performance], str]] = {
    "final USD": lambda own: f"{own.final_usd:,.2f}",
    "net profit USD": lambda own: f"{own.net_profit_usd:+,.2f}",
    "return": lambda own: f"{own.total_return:+.2%}",
    "fees USD": lambda own: f"{own.fees_usd:,.2f}",
    "trades": lambda own: str(own.trades),
    "win rate": lambda own: _format(own.win_rate, ",.1%"),
    "max drawdown": lambda own: f"{own.max_drawdown:.2%}",
    "exposure": lambda own: f"{own.exposure:.0%}",
    "CAGR": lambda own: _format(own.cagr, ",.1%"),
    "Sharpe": lambda own: _format(own.sharpe, ".2f"),
    "Sortino": lambda own: _format(own.sortino, ".2f"),
}


@dataclass(frozen=True, slots=True, eq=False)
class BacktestReport:
    """What a report shows of a strategy, and of buy-and-hold with the same cash and costs."""

    title: str
    strategy: Performance
    buy_and_hold: Performance
    curve: BacktestResult
    buy_and_hold_curve: BacktestResult
    # (coin id, trade) in order of time.
    trades: Sequence[tuple[str, Trade]]
    # Sentences to show below the figures.
    remarks: Sequence[str] = ()


def build_report(
    title: str,
    coin_ids: Sequence[str],
    results: Sequence[BacktestResult],
    buy_and_hold: Sequence[BacktestResult],
    remarks: Sequence[str] = (),
) -> BacktestReport:
    """Return the report of the results on coins and of holding the same coins."""
    trades = [
        (coin_id, trade)
        for coin_id, result in zip(coin_ids, results, strict=True)
        for trade in result.trades
    ]
    curve, buy_and_hold_curve = map(metrics.combine_results, (results, buy_and_hold))
    return BacktestReport(
        title,
        metrics.compute_metrics(curve),
        metrics.compute_metrics(buy_and_hold_curve),
        curve,
        buy_and_hold_curve,
        sorted(trades, key=lambda entry: entry[1].filled_at),
        remarks,
    )


def collect_figures(report: BacktestReport) -> dict[str, float | int | None]:
    """Return all figures by the names of the JSON output: USD, and fractions."""
    own = report.strategy
    return {
        "initial_usd": float(own.initial_usd),
        "final_usd": float(own.final_usd),
        "net_profit_usd": float(own.net_profit_usd),
        "return": own.total_return,
        "buy_and_hold_return": report.buy_and_hold.total_return,
        "fees_usd": float(own.fees_usd),
        "trades": own.trades,
        "refused_fills": own.rejected_fills,  # a name that scripts rely on
        "max_drawdown": own.max_drawdown,
        "exposure": own.exposure,
        "win_rate": own.win_rate,
        "cagr": own.cagr,
        "sharpe": own.sharpe,
        "sortino": own.sortino,
    }


def format_rows(report: BacktestReport) -> list[tuple[str, str, str, str]]:
    """Return (label, strategy, buy and hold, cash) for each figure."""
    initial_usd, nothing = report.strategy.initial_usd, Decimal(0)
    cash = Performance(initial_usd, initial_usd, nothing, 0, 0, 0.0, 0.0, None, None, None, None)
    return [
        (label, form(report.strategy), form(report.buy_and_hold), form(cash))
        for label, form in FORMATS.items()
    ]


def list_notes(report: BacktestReport) -> list[str]:
    """Return the sentences that a reader of the figures should know."""
    notes = ["Coins that are held at the end count as sold at the last price.", *report.remarks]
    if report.strategy.trades < metrics.MIN_TRADES:
        notes.append(f"Ratios need at least {metrics.MIN_TRADES} trades.")
    if report.strategy.rejected_fills:
        notes.append(
            f"{report.strategy.rejected_fills} fills were rejected: the next price was backfilled "
            "or late."
        )
    return notes


def thin_indices(length: int, target: int) -> list[int]:
    """Return about `target` evenly spaced indices of a curve, always with the last one."""
    step = max(1, -(-length // target))
    return sorted({*range(0, length, step), length - 1})
