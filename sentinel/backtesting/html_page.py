"""Pages of backtests: one HTML file each that needs no network and follows the reader's theme."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentinel import amounts, static_files
from sentinel.backtesting import backtest_report, luck, metrics, report_charts
from sentinel.backtesting.backtest_report import FORMATS, BacktestReport
from sentinel.backtesting.exports import name_exit
from sentinel.backtesting.round_trips import RoundTrip

FOLDER = Path(__file__).parent / "templates"
MAX_ROWS = 2_000  # of the table of trades


def write_report(report: BacktestReport, path: Path) -> None:
    """Write the page of a report. Raises OSError, ModuleNotFoundError without Jinja2."""
    trips = report.round_trips[::-1]
    charts = report_charts.describe_charts(report)
    coins = report_charts.list_charted(report)
    page = render(
        "report.html",
        report=report,
        tiles=list(_iterate_tiles(report)),
        rows=backtest_report.format_rows(report),
        notes=backtest_report.list_notes(report),
        years=_group_months(report),
        trips=[_describe_trip(trip) for trip in trips[:MAX_ROWS]],
        hidden_trips=max(0, len(trips) - MAX_ROWS),
        coins=[coin.coin_id for coin in coins],
        hidden_coins=len(report.coins) - len(coins),
        charts=charts,
    )
    path.write_text(page, encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """Return a page. Raises ModuleNotFoundError without Jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,  # coins' names are chosen by strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _format_json
    style = static_files.read("base.css", "chart.css")
    own = (FOLDER / "report.css").read_text(encoding="utf-8")
    values |= {"style": f"{style}\n{own}", "read_script": _read_script}
    return environment.get_template(template).render(values)


def _read_script() -> str:
    """Return the script of the charts."""
    own = (FOLDER / "report.js").read_text(encoding="utf-8")
    return f"{static_files.read(*static_files.CHART_SCRIPTS)}\n{own}"


def _format_json(value: object) -> str:
    """Return JSON for a script element, which ends at the first `</`."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _iterate_tiles(report: BacktestReport) -> Iterator[tuple[str, str, str, float | None]]:
    """Yield label, figure, note, and the number whose sign colors the figure."""
    own, hold = report.strategy, report.buy_and_hold
    yield "Return", f"{own.total_return:+.2%}", f"{own.net_profit_usd:+,.2f} USD", own.total_return
    yield "Buy and hold", f"{hold.total_return:+.2%}", "the same coins, cash and costs", None
    fall = FORMATS["max drawdown"]
    yield "Max drawdown", fall(own), f"buy and hold {fall(hold)}", None
    ratio = FORMATS["Sharpe"]
    yield "Sharpe", ratio(own), f"buy and hold {ratio(hold)}", None
    wins = f"{FORMATS['win rate'](own)} won" if own.win_rate is not None else "closed positions"
    yield "Round trips", f"{own.round_trips:,}", wins, None
    share = report.better_than_random
    if share is None:
        yield "Random entries beaten", "-", f"needs {luck.MIN_ROUND_TRIPS} round trips", None
    else:
        note = f"of {luck.PLACEMENTS:,} with the same holding times"
        yield "Random entries beaten", f"{share:.0%}", note, None


def _group_months(report: BacktestReport) -> dict[int, list[tuple[str, float, float]]]:
    """Return (month, strategy, buy and hold) of each month by year; returns are fractions."""
    hold = metrics.monthly_returns(report.buy_and_hold_curve)
    years: dict[int, list[tuple[str, float, float]]] = {}
    for (year, month), own in metrics.monthly_returns(report.curve).items():
        if (year, month) in hold:
            name = f"{datetime(year, month, 1, tzinfo=UTC):%b}"
            years.setdefault(year, []).append((name, own, hold[year, month]))
    return years


def _describe_trip(trip: RoundTrip) -> dict[str, object]:
    return {
        "coin": trip.coin_id,
        "entry": (_format_minute(trip.entered_at), _format_price(float(trip.entry_price_usd))),
        "exit": (_format_minute(trip.exited_at), _format_price(float(trip.exit_price_usd))),
        "reason": name_exit(trip),
        "gain": float(trip.gain_usd),
        "return": trip.growth - 1,
        "held": backtest_report.format_days(trip.seconds_held / metrics.DAY_SECONDS),
    }


def _format_price(price: float) -> str:
    return amounts.format_price(price, currency="USD", language="en")


def _format_minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
