"""Exports: the same rows as CSV, as Parquet and as JSON."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from sentinel.backtesting import engine, exports, strategies
from sentinel.backtesting.backtest_report import BacktestReport, build_report, report_coin
from tests.sentinel.backtesting.test_engine import COSTS, START, prices, signals_of


@pytest.fixture(scope="module")
def report() -> BacktestReport:
    """Return a report with a closed and an open round trip of a coin whose name has a comma."""
    series, cash = prices(1, 10, 20, 40, 20, 30), Decimal(1000)
    result = engine.run_backtest(series, signals_of([1, 0, -1, 1, 0, 0]), COSTS, cash)
    signals = strategies.load("hold").build_signals(series)
    holding = engine.run_backtest(series, signals, COSTS, cash)
    return build_report("mine", [report_coin("a, b", series, result, holding)], COSTS)


def test_the_trades_are_one_row_for_each_round_trip(report: BacktestReport, tmp_path: Path) -> None:
    exports.write_trades(report, tmp_path / "trades.csv")
    with (tmp_path / "trades.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["coin_id"], row["exit_reason"]) for row in rows] == [
        ("a, b", "signal"),
        ("a, b", "open"),
    ]
    assert rows[0]["entered_at"] == datetime.fromtimestamp(START + 900, UTC).isoformat()
    assert float(rows[0]["days_held"]) == pytest.approx(2 / 96)
    # Bought at 10 and sold at 40, less two fees and slippage twice.
    assert float(rows[0]["return"]) == pytest.approx(4 * 0.999**2 * 0.9995 / 1.0005 - 1)
    assert float(rows[0]["gain_usd"]) == pytest.approx(1000 * float(rows[0]["return"]))
    gains = sum(float(row["gain_usd"]) for row in rows)
    assert gains == pytest.approx(float(report.strategy.net_profit_usd))


def test_the_curve_is_one_row_for_each_price(report: BacktestReport, tmp_path: Path) -> None:
    exports.write_curve(report, tmp_path / "curve.csv")
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value_usd"]) for row in rows] == report.curve.equity.tolist()
    held = [float(row["buy_and_hold_usd"]) for row in rows]
    assert held == report.buy_and_hold_curve.equity.tolist()
    assert max(float(row["drawdown"]) for row in rows) == report.strategy.max_drawdown


@pytest.mark.parametrize("kind", ["trades", "curve"])
def test_parquet_and_json_hold_the_rows_of_the_csv(
    report: BacktestReport, tmp_path: Path, kind: str
) -> None:
    write, rows = getattr(exports, f"write_{kind}"), getattr(exports, f"list_{kind}")(report)
    write(report, tmp_path / "it's.csv")
    write(report, tmp_path / "it's.parquet")
    columns = getattr(exports, f"{kind.removesuffix('s').upper()}_COLUMNS")
    times = [f"epoch({name}) AS {name}" for name, type_ in columns.items() if "TIME" in type_]
    file = (tmp_path / "it's.parquet").as_posix().replace("'", "''")
    with duckdb.connect() as database:
        found = database.sql(f"SELECT * REPLACE ({', '.join(times)}) FROM '{file}'")
        assert found.columns == list(columns)
        stored = found.fetchall()
    with (tmp_path / "it's.csv").open() as text:
        header, *listed = list(csv.reader(text))
    assert header == list(columns)
    assert [list(map(str, row)) for row in stored] == [
        [str(datetime.fromisoformat(value).timestamp()) if "T" in value else value for value in row]
        for row in listed
    ]
    assert [list(map(str, row.values())) for row in rows] == listed


def test_a_folder_that_does_not_exist_is_an_error(report: BacktestReport, tmp_path: Path) -> None:
    for name in ("trades.csv", "trades.parquet"):
        with pytest.raises(OSError, match=r"trades\.|nowhere"):
            exports.write_trades(report, tmp_path / "nowhere" / name)
