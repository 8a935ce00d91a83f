"""The report of a backtest or a wallet: its figures beside buy-and-hold and beside cash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sentinel.backtesting import metrics
from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.metrics import EquityCurve, Performance
from sentinel.backtesting.portfolio import Trade

LABELS = (
    *("final USD", "net profit USD", "return", "fees USD", "trades", "win rate", "max drawdown"),
    *("exposure", "CAGR", "Sharpe", "Sortino"),
)


@dataclass(frozen=True, slots=True, eq=False)
class BacktestReport:
    """What a report shows of a strategy, and of buy-and-hold with the same cash and costs."""

    title: str
    strategy: Performance
    buy_and_hold: Performance
    curve: EquityCurve
    buy_and_hold_curve: EquityCurve
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
    return BacktestReport(
        title,
        metrics.measure_results(results),
        metrics.measure_results(buy_and_hold),
        metrics.combine_curves(results),
        metrics.combine_curves(buy_and_hold),
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
    columns = map(_format_column, (report.strategy, report.buy_and_hold, cash))
    return list(zip(LABELS, *columns, strict=True))


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


def _format_column(own: Performance) -> tuple[str, ...]:
    """Return the figures as text, in the order of LABELS."""
    return (
        f"{own.final_usd:,.2f}",
        f"{own.net_profit_usd:+,.2f}",
        f"{own.total_return:+.2%}",
        f"{own.fees_usd:,.2f}",
        str(own.trades),
        _format_percent(own.win_rate),
        f"{own.max_drawdown:.2%}",
        f"{own.exposure:.0%}",
        _format_percent(own.cagr),
        _format_ratio(own.sharpe),
        _format_ratio(own.sortino),
    )


def _format_percent(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1%}"


def _format_ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def thin_indices(length: int, target: int) -> list[int]:
    """Return about `target` evenly spaced indices of a curve, always with the last one."""
    step = max(1, -(-length // target))
    return sorted({*range(0, length, step), length - 1})
