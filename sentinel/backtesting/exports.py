"""Write the round trips and the curves of a report as CSV or Parquet, by the name of the file.

Times are UTC, amounts USD, shares fractions. docs/backtesting.md lists the columns.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sentinel.backtesting import metrics
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.round_trips import RoundTrip

SUFFIXES = (".csv", ".parquet")
Row = tuple[str | float | None, ...]
# The columns and their types in Parquet.
TRADE_COLUMNS: Mapping[str, str] = {
    "coin_id": "VARCHAR",
    "entered_at": "TIMESTAMPTZ",
    "exited_at": "TIMESTAMPTZ",
    "exit_reason": "VARCHAR",
    "quantity": "DOUBLE",
    "entry_price_usd": "DOUBLE",
    "exit_price_usd": "DOUBLE",
    "cost_usd": "DOUBLE",
    "proceeds_usd": "DOUBLE",
    "fees_usd": "DOUBLE",
    "gain_usd": "DOUBLE",
    "return": "DOUBLE",
    "days_held": "DOUBLE",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "valued_at": "TIMESTAMPTZ",
    "value_usd": "DOUBLE",
    "drawdown": "DOUBLE",
    "exposure": "DOUBLE",
    "buy_and_hold_usd": "DOUBLE",
    "buy_and_hold_drawdown": "DOUBLE",
}


def write_trades(report: BacktestReport, path: Path) -> None:
    """Write a row for each round trip. Raises OSError, ModuleNotFoundError without DuckDB."""
    _write(path, TRADE_COLUMNS, _iterate_trades(report))


def write_curve(report: BacktestReport, path: Path) -> None:
    """Write a row for each point of time. Raises OSError, ModuleNotFoundError without DuckDB."""
    _write(path, CURVE_COLUMNS, _iterate_curve(report))


def list_trades(report: BacktestReport) -> list[dict[str, object]]:
    """Return the rows of `write_trades` for the JSON output."""
    return [dict(zip(TRADE_COLUMNS, row, strict=True)) for row in _iterate_trades(report)]


def list_curve(report: BacktestReport) -> list[dict[str, object]]:
    """Return the rows of `write_curve` for the JSON output."""
    return [dict(zip(CURVE_COLUMNS, row, strict=True)) for row in _iterate_curve(report)]


def name_exit(trip: RoundTrip) -> str:
    """Return why a position was sold: `signal`, a rule, or `open` if it was not."""
    return "open" if trip.is_open else trip.reason or "signal"


def _iterate_trades(report: BacktestReport) -> Iterator[Row]:
    for trip in report.round_trips:
        yield (
            trip.coin_id,
            _format_time(trip.entered_at),
            _format_time(trip.exited_at),
            name_exit(trip),
            float(trip.quantity),
            float(trip.entry_price_usd),
            float(trip.exit_price_usd),
            float(trip.cost_usd),
            float(trip.proceeds_usd),
            float(trip.fees_usd),
            float(trip.gain_usd),
            trip.growth - 1,
            trip.seconds_held / metrics.DAY_SECONDS,
        )


def _iterate_curve(report: BacktestReport) -> Iterator[Row]:
    own, hold = report.curve, report.buy_and_hold_curve
    falls = (metrics.drawdowns(result) for result in (own, hold))
    columns = np.column_stack([own.equity, next(falls), own.exposure, hold.equity, next(falls)])
    for at, row in zip(own.times.tolist(), columns.tolist(), strict=True):
        yield (_format_time(at), *row)


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _write(path: Path, columns: Mapping[str, str], rows: Iterator[Row]) -> None:
    if path.suffix == ".csv":
        _write_csv(path, columns, rows)
        return
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as engine:
        text = Path(folder) / "rows.csv"
        _write_csv(text, columns, rows)
        found = engine.read_csv(str(text), header=True, dtype=dict(columns))
        try:
            found.write_parquet(str(path))
        except duckdb.IOException as error:
            raise OSError(0, str(error).splitlines()[0]) from error


def _write_csv(path: Path, columns: Mapping[str, str], rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
