"""`python -m services.ingestion.replay`: what would have fired, from the database or a CSV."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from safe_zone import RETENTION
from sentinel import console
from sentinel.analytics.alerts import Alert, Rules
from sentinel.backtesting import price_csv
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session, resolve_database
from services.ingestion import calibration
from services.ingestion.alerting import rules_of, watched_coins
from services.ingestion.calibration import Series
from services.settings import MonitorSettings, load_monitor_settings

Histories = Mapping[str, Series]
SHOWN_ALERTS = 200
EPILOG = """examples:
  python -m services.ingestion.replay --days 30 --budget 2
  python -m services.ingestion.replay --csv prices.csv --k 2 --plot alerts.html
  python -m services.ingestion.replay --csv november.csv --budget 2 --fit october.csv --json
Without --k and --budget the settings decide. A CSV has the header timestamp,coin_id,price."""

WATCHED_HISTORY = """
SELECT c.coin_id, extract(epoch FROM o.observed_at)::float8, o.price
FROM coins c JOIN observations o USING (coin_key)
WHERE o.observed_at > %(since)s AND o.observed_at <= %(now)s AND o.source = 'observed'
  AND o.price > 0
  AND c.coin_id = ANY (%(coin_ids)s)
ORDER BY c.coin_id, o.observed_at
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """Alerts by coin with the k each was judged by, and their number per coin and week (None where
    the history has no length); `wished` is the budget, None where k was given."""

    alerts: Mapping[str, list[Alert]]
    k: Mapping[str, float]
    per_coin_week: float | None
    wished: float | None
    fitted: float | None


def replay(histories: Histories, rules: Rules, fit: Histories) -> Replayed:
    """Run histories through the trackers; with a budget, k is solved on `fit` before."""
    k, fitted = dict.fromkeys(histories, rules.k), None
    if rules.per_week is not None:
        solved = calibration.solve(fit, rules.per_week, rules)
        k = {coin: solved.k.get(coin, solved.typical) for coin in histories}
        fitted = solved.achieved
    alerts = {
        coin: calibration.replay(series, dataclasses.replace(rules, k=k[coin]))
        for coin, series in histories.items()
    }
    span = sum(map(calibration.weeks, histories.values()))
    rate = sum(map(len, alerts.values())) / span if span else None
    return Replayed(alerts, k, rate, rules.per_week, fitted)


def as_json(found: Replayed) -> dict[str, Any]:
    """The object that `--json` prints; `k` is the median of the coins' own."""
    alerts = [
        {
            "coin_id": coin_id,
            "kind": alert.kind,
            "at": _moment(alert.at).isoformat(),
            "price": alert.price,
            "reference": alert.reference,
            "move": alert.move,
            "threshold": alert.threshold,
            "step": alert.step,
        }
        for coin_id, own in found.alerts.items()
        for alert in own
    ]
    return {
        "alerts": sorted(alerts, key=lambda alert: (alert["at"], alert["coin_id"])),
        "per_coin_week": found.per_coin_week,
        "k": statistics.median(found.k.values()),
        "k_by_coin": dict(found.k),
        "wished_per_coin_week": found.wished,
        "fitted_per_coin_week": found.fitted,
    }


def show(found: Replayed) -> None:
    """The alerts as a table on stdout, and what they come to."""
    content = as_json(found)
    cells = [
        (
            f"{datetime.fromisoformat(alert['at']):%Y-%m-%d %H:%M}",
            alert["coin_id"],
            alert["kind"],
            alert["step"],
            f"{alert['move']:+.1%}",
            f"{alert['threshold']:.1%}",
            console.number(alert["price"]),
        )
        for alert in content["alerts"]
    ]
    columns = ("at (UTC)", "coin", "kind", "step", "move", "threshold", "USD")
    title = f"{len(cells)} alerts would have fired"
    if len(cells) > SHOWN_ALERTS:
        title += f"; the last {SHOWN_ALERTS}"
    console.show_table(title, columns, cells[-SHOWN_ALERTS:])
    print(_summary(found))


def _summary(found: Replayed) -> str:
    rate = "unknown" if found.per_coin_week is None else f"{found.per_coin_week:.2f}"
    text = f"{rate} per coin and week over {len(found.k)} coins"
    if found.wished is not None:
        text += f", {found.wished:g} wished"
    return f"{text}; k {statistics.median(found.k.values()):.2f} (median)"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def plot(found: Replayed, histories: Histories, path: Path) -> None:
    """Prices with the alerts marked, as one HTML page. Raises ConfigurationError."""
    import plotly.graph_objects as go

    colours = {"panic": ("triangle-down", "#c0392b"), "reversal": ("triangle-up", "#1e8449")}
    figure = go.Figure()
    for coin_id, series in histories.items():
        first = series[0][1]
        figure.add_scatter(
            x=[_moment(at) for at, _ in series],
            y=[price / first * 100 for _, price in series],
            name=coin_id,
            line={"width": 1},
        )
        for kind, (symbol, colour) in colours.items():
            own = [alert for alert in found.alerts[coin_id] if alert.kind == kind]
            figure.add_scatter(
                x=[_moment(alert.at) for alert in own],
                y=[alert.price / first * 100 for alert in own],
                text=[f"{coin_id}: {kind} {alert.move:+.1%}, step {alert.step}" for alert in own],
                mode="markers",
                marker={"symbol": symbol, "color": colour, "size": 9},
                name=f"{coin_id} {kind}",
                showlegend=False,
            )
    figure.update_layout(title=_summary(found), yaxis_title="price, first = 100")
    try:
        figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        raise ConfigurationError(f"--plot {path} cannot be written ({error.strerror})") from error


def main() -> int:
    """Replay as the command line says; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m services.ingestion.replay",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--csv", type=Path, metavar="FILE", help="a file of prices")
    source.add_argument("--days", help="how far back in the database (default 30, at most 60)")
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument("--k", help="thresholds in standard deviations over the horizon")
    wish.add_argument("--budget", help="alerts per coin and week, for which k is solved")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="the history to solve k on")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an HTML page")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    console.configure_logging()
    monitor = load_monitor_settings()
    rules = _rules(rules_of(monitor.options), arguments.k, arguments.budget)
    if arguments.fit and rules.per_week is None:
        raise ConfigurationError("--fit goes with a budget: with --k there is nothing to solve")
    if arguments.csv:
        histories: Histories = price_csv.read(arguments.csv)
    else:
        histories = _from_database(monitor, _number("--days", arguments.days or "30", 60))
    found = replay(histories, rules, price_csv.read(arguments.fit) if arguments.fit else histories)
    if arguments.plot:
        plot(found, histories, arguments.plot)
    if arguments.json:
        print(json.dumps(as_json(found)))
    else:
        show(found)
    return EXIT_OK


def _rules(rules: Rules, k: str | None, budget: str | None) -> Rules:
    if k is not None:
        return dataclasses.replace(rules, k=_number("--k", k, 100), per_week=None)
    if budget is not None:
        return dataclasses.replace(rules, per_week=_number("--budget", budget, 200))
    return rules


def _number(name: str, word: str, most: float) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise ConfigurationError(f"{name} '{word[:40]}' must be a number above 0, {most:g} at most")
    return number


def _from_database(monitor: MonitorSettings, days: float) -> Histories:
    """The watched coins' observations. Raises ConfigurationError where there are none."""
    now = datetime.now(UTC)

    def read(connection: Connection) -> dict[str, list[tuple[float, float]]]:
        if not schema.is_up_to_date(connection):
            return {}
        found: dict[str, list[tuple[float, float]]] = {}
        parameters = {
            "since": now - min(timedelta(days=days), RETENTION),
            "now": now,
            "coin_ids": list(watched_coins(connection, monitor.options)),
        }
        for coin_id, at, price in connection.execute(WATCHED_HISTORY, parameters):
            found.setdefault(coin_id, []).append((at, price))
        return found

    with resolve_database(monitor.settings) as address, Session(address) as session:
        histories = session.use(read)
        if not histories:
            raise ConfigurationError(
                f"{address.place} holds no prices of watched coins yet: let the monitor run, or "
                "name a file with --csv"
            )
    return histories


if __name__ == "__main__":
    run_as_script(main)
