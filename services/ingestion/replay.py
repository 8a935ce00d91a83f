"""`python -m services.ingestion.replay`: the alerts that past prices would have raised."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from safe_zone import RETENTION
from sentinel.alerting.stage import make_rules
from sentinel.alerting.watched_coins import list_watched_ids
from sentinel.analytics import calibration, falls
from sentinel.analytics.alerts import AlertRules
from sentinel.analytics.calibration import Calibration, Series
from sentinel.analytics.crossings import Alert
from sentinel.analytics.fixed_percentage import judge_percentages
from sentinel.arguments import make_parser, number
from sentinel.backtesting import price_csv
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session, resolve_database
from services.ingestion import replay_output
from services.ingestion.replay_output import ReplayResult
from services.ingestion.replay_scores import Comparison
from services.settings import MonitorSettings, load_monitor_settings

Histories = Mapping[str, Series]
DEFAULT_DAYS, MAX_DAYS = 30, 60
MAX_MULTIPLIER, MAX_TARGET_RATE = 100, 200
EPILOG = """examples:
  python -m services.ingestion.replay --days 30 --budget 2
  python -m services.ingestion.replay --csv prices.csv --k 2 --plot alerts.html
  python -m services.ingestion.replay --csv november.csv --budget 2 --fit october.csv --json
Without --k and --budget the settings apply. A CSV has the header timestamp,coin_id,price."""

WATCHED_HISTORY = """
SELECT c.coin_id, extract(epoch FROM o.observed_at)::float8, o.price_usd
FROM sentinel.coins c JOIN sentinel.observations o USING (coin_key)
WHERE o.observed_at > %(since)s AND o.observed_at <= %(now)s AND o.source = 'observed'
  AND o.price_usd > 0
  AND c.coin_id = ANY (%(coin_ids)s)
ORDER BY c.coin_id, o.observed_at
"""


def main() -> int:
    """Replay as the command line says; return 0."""
    arguments = _parse_arguments()
    monitor = load_monitor_settings()
    rules = _choose_rules(make_rules(monitor.options), arguments.k, arguments.budget)
    if arguments.fit and rules.target_rate is None:
        raise ConfigurationError("--fit goes with --budget: with --k nothing is calibrated")
    if arguments.csv:
        histories: Histories = price_csv.read_points(arguments.csv)
    else:
        histories = _read_database(monitor, float(arguments.days))
    fit = price_csv.read_points(arguments.fit) if arguments.fit else histories
    result = replay(histories, rules, fit)
    if arguments.plot:
        replay_output.write_page(result, histories, arguments.plot)
    if arguments.json:
        print(json.dumps(replay_output.as_json(result)))
    else:
        replay_output.show(result)
        print(replay_output.summarize(result))
    return EXIT_OK


def replay(histories: Histories, rules: AlertRules, fit: Histories) -> ReplayResult:
    """Return the alerts of these histories. For a target rate, calibrate on `fit` first.

    The trackers continue from what `fit` has before a coin's history.
    """
    found = Calibration(dict.fromkeys(histories, rules.multiplier), None)
    if rules.target_rate is not None:
        found = calibration.calibrate(fit, rules.target_rate, rules)
    multipliers = {coin: found.multipliers.get(coin, found.median_multiplier) for coin in histories}
    alerts = {
        coin: _replay_after(
            fit.get(coin, ()), series, dataclasses.replace(rules, multiplier=multipliers[coin])
        )
        for coin, series in histories.items()
    }
    weeks = sum(map(calibration.length_weeks, histories.values()))
    rate = sum(map(len, alerts.values())) / weeks if weeks else None
    scores = {coin: falls.score(series, alerts[coin]) for coin, series in histories.items()}
    references = judge_percentages(fit, histories, rate or 0.0)
    own = found._replace(multipliers=multipliers)
    return ReplayResult(alerts, own, rate, rules.target_rate, Comparison(scores, references))


def _replay_after(earlier: Series, series: Series, rules: AlertRules) -> list[Alert]:
    """Return the alerts of a history. Like the monitor's, the tracker knows the earlier prices."""
    start = series[0][0]
    before = [(at, price) for at, price in earlier if at < start]
    alerts = calibration.replay_series([*before, *series], rules)
    return [alert for alert in alerts if alert.at >= start]


def _parse_arguments() -> argparse.Namespace:
    parser = make_parser("python -m services.ingestion.replay", __doc__, EPILOG)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--csv", type=Path, metavar="FILE", help="read prices from this file")
    source.add_argument(
        "--days",
        type=number(MAX_DAYS),
        default=DEFAULT_DAYS,
        help=f"days of stored prices (default {DEFAULT_DAYS}, at most {MAX_DAYS})",
    )
    multiplier = parser.add_mutually_exclusive_group()
    multiplier.add_argument(
        "--k",
        type=number(MAX_MULTIPLIER),
        help="threshold multiplier: standard deviations of the price change",
    )
    multiplier.add_argument(
        "--budget",
        type=number(MAX_TARGET_RATE),
        help="target rate in alerts per coin and week; calibrates the multiplier",
    )
    parser.add_argument(
        "--fit", type=Path, metavar="FILE", help="calibrate on the prices of this file"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an HTML page")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _choose_rules(rules: AlertRules, k: Decimal | None, budget: Decimal | None) -> AlertRules:
    if k is not None:
        return dataclasses.replace(rules, multiplier=float(k), target_rate=None)
    if budget is not None:
        return dataclasses.replace(rules, target_rate=float(budget))
    return rules


def _read_database(monitor: MonitorSettings, days: float) -> Histories:
    """Return the observations of the watched coins. Raises ConfigurationError without any."""
    now = datetime.now(UTC)

    def read(connection: Connection) -> dict[str, list[tuple[float, float]]]:
        if not schema.is_up_to_date(connection):
            return {}
        parameters = {
            "since": now - min(timedelta(days=days), RETENTION),
            "now": now,
            "coin_ids": list(list_watched_ids(connection, monitor.options)),
        }
        histories: dict[str, list[tuple[float, float]]] = {}
        for coin_id, at, price in connection.execute(WATCHED_HISTORY, parameters):
            histories.setdefault(coin_id, []).append((at, price))
        return histories

    with resolve_database(monitor.settings) as address, Session(address) as session:
        histories = session.use(read)
        if not histories:
            raise ConfigurationError(
                f"{address.display_name} holds no prices of watched coins yet: run the monitor "
                "first, or name a file with --csv"
            )
    return histories


if __name__ == "__main__":
    run_as_script(main)
