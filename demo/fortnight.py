"""A fortnight of invented history for `make demo`, so that each part of the public page shows it.

An unreliable scheduler delivered the runs. Most of the gaps are backfilled, some wait, and one of
them cannot be filled. Two coins are inactive, CoinGecko failed for two hours, and a monitor has
raised alerts, scored forecasts and verified a backup.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from psycopg.types.json import Jsonb

import budget_monitor
import database
from coin_registry import CoinRegistry
from demo.history import RUN_SUFFIX, make_report, record_rupiah
from demo.market import Market
from demo.past import FAILED, INACTIVE, RECENT, SILENT, SLOT, SPAN, Past, invent_alerts
from safe_zone import Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.coin import from_iso
from sentinel.errors import ApiUnavailable
from sentinel.files import replace_atomically
from sentinel.models import Gap, Rejection
from sentinel.site.status import SimulationResult
from sentinel.storage import incidents, run_records, service_status
from sentinel.storage.connection import Address, Connection, Session
from sentinel.storage.incidents import Incident
from sentinel.storage.partitions import Days, create_partitions

# Coins with a history, and coins of each run.
COINS, TARGETS = 100, 500
# Rejected entries: hours before now, coin, reason and content.
REJECTED = (
    (4, "1000rats", "malformed", "{}"), (28, "1000rats", "malformed", "{}"),
    (48, "1000rats", "malformed", "{}"), (49, "1000rats", "malformed", "{}"),
    (75, "atlas-2", "null_price", '{"usd": null}'), (76, "atlas-2", "null_price", '{"usd": null}'),
    (130, "pepe", "not_a_number", '{"usd": "cheap"}'),
)  # fmt: skip
ALERT_SCORE = {
    "scored_days": 14, "falls": 23, "caught": 21, "missed": 2, "stray": 19, "actual_rate": 1.58,
}  # fmt: skip

# The prices of `DemoCoin.price_at`, computed where they are stored: in Python it takes seconds.
STORE_PRICES = """
INSERT INTO sentinel.observations
    (observed_at, price_usd, market_cap_usd, volume_24h_usd, coin_key, source)
SELECT seen.observed_at, price, price * supply, price * supply * 0.04, coin_key, tick.source
FROM unnest(%(at)s::timestamptz[], %(source)s::sentinel.observation_source[]) AS tick (at, source)
CROSS JOIN jsonb_to_recordset(%(coins)s) AS coin
    (id text, base_price_usd float8, supply float8, lag_seconds int, waves float8[])
JOIN sentinel.coins ON coin_id = id
CROSS JOIN LATERAL (SELECT at - lag_seconds * interval '1 second' AS observed_at) AS seen
CROSS JOIN LATERAL (SELECT 2 * pi() * extract(epoch FROM seen.observed_at)::float8 AS turn) AS turns
CROSS JOIN LATERAL (SELECT base_price_usd * exp(
    waves[1][2] * sin(turn / waves[1][1] + waves[1][3])
    + waves[2][2] * sin(turn / waves[2][1] + waves[2][3])
    + waves[3][2] * sin(turn / waves[3][1] + waves[3][3])
    + waves[4][2] * sin(turn / waves[4][1] + waves[4][3])) AS price) AS prices
ON CONFLICT DO NOTHING
"""

WATCH = """
INSERT INTO sentinel.alert_trackers
    (coin_key, threshold, effective_multiplier, state, watched_since)
SELECT coin_key, 0.05, 3, '{}', %(since)s FROM sentinel.coins WHERE rank <= 20
ON CONFLICT DO NOTHING
"""

RAISE_ALERTS = """
INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd, move, threshold,
                             coin_key, level, kind)
SELECT %(now)s - hours * interval '1 hour', %(now)s - (hours + 3) * interval '1 hour', price_usd,
       price_usd / (1 + move), move, 0.05, coin_key, 1,
       (CASE WHEN move < 0 THEN 'panic' ELSE 'reversal' END)::sentinel.alert_kind
FROM unnest(%(hours)s::float8[], %(coin_ids)s::text[], %(moves)s::float8[])
     AS a (hours, coin_id, move)
JOIN sentinel.coins USING (coin_id)
ON CONFLICT DO NOTHING
"""

# Six forecasts an hour and coin that are hardly better than "no change". The bands hold fewer
# prices in wild hours.
SCORE_FORECASTS = """
INSERT INTO sentinel.forecast_scores (
    hour, coin_key, abs_error, abs_no_change, scored, directional, hits, with_interval,
    within_interval, calm, within_calm, middle, within_middle, wild, within_wild)
SELECT hour, coin_key, 0.0058 + 0.0004 * sin(n), 0.0059, 6, 4, 2 + (n %% 7 = 0)::int, 6,
       5 - (n %% 6 = 0)::int, 2, 2 - (n %% 4 = 0)::int, 2, 2 - (n %% 3 = 0)::int, 2,
       1 + (n %% 2)
FROM (SELECT hour, coin_key, extract(epoch FROM hour)::bigint / 3600 + coin_key AS n
      FROM generate_series(date_trunc('hour', %(start)s, 'UTC'), %(now)s,
                           interval '1 hour') AS hour
      CROSS JOIN (SELECT coin_key FROM sentinel.coins WHERE rank <= 20) AS watched) AS hours
ON CONFLICT DO NOTHING
"""

# Only an invented run has a fortnight before it.
NEWEST_INVENTED_RUN = """
SELECT max(started_at) FROM sentinel.pipeline_runs
WHERE started_at < %(before)s AND run_id LIKE %(invented)s
"""


def fill_past(address: Address, settings: Settings, now: datetime) -> None:
    """Invent what happened until now: in the last fortnight, or since the demo ran before.

    Needs a run of now, which creates the schema and the registry.

    Raises StorageUnavailable and OSError.
    """
    with Session(address) as session:
        parameters = {"before": now - RECENT, "invented": f"%{RUN_SUFFIX}"}
        [(newest,)] = session.use(lambda c: c.execute(NEWEST_INVENTED_RUN, parameters).fetchall())
        past = Past(max(now - SPAN, newest or now - SPAN), now)
        database.run_write_transaction(session, functools.partial(_store_prices, past), now)
        session.use(functools.partial(_store_events, past))
    _deactivate_coins(past, settings.registry_path)
    _log_usage(past, budget_monitor.log_path(settings))


def make_simulation(now: datetime) -> SimulationResult:
    """Return a simulation that passed last night."""
    commit = hashlib.sha1(b"demo", usedforsecurity=False).hexdigest()
    at = now - timedelta(hours=9)
    return SimulationResult(passed_at=at, first_seed=26_330_000, seeds=200, days=7, commit=commit)


def _store_prices(past: Past, connection: Connection, days: Days) -> None:
    """Store the prices, the rupiah and the runs."""
    ticks = list(past.list_ticks())
    create_partitions(connection, days, {at.date() for at, _ in ticks})
    coins = Jsonb([dataclasses.asdict(coin) for coin in Market().ranked[:COINS]])
    parameters = {"at": [at for at, _ in ticks], "source": [source for _, source in ticks]}
    connection.execute(STORE_PRICES, parameters | {"coins": coins})
    for after, at in pairwise([past.start, *past.runs]):
        record_rupiah(connection, at)
        changes = past.find_changes(after, at)
        report = make_report(at, TARGETS, **changes)
        if past.is_during(FAILED, at):
            report |= {"status": "failed", "exit_code": ApiUnavailable.exit_code, "rows_valid": 0}
        run_records.record_run(
            connection, report, unrecorded_runs=0, backfill_credits=0, reactivated=changes["healed"]
        )


def _store_events(past: Past, connection: Connection) -> None:
    """Store what runs and a monitor record beside prices."""
    now = past.now
    if past.has(SILENT[0]):
        _store_unfillable_gaps(past, connection)
    if past.has(FAILED[0]):
        began_at, ended_at = (now - ago for ago in FAILED)
        summary = "Scheduled runs failed: CoinGecko gave no usable answer."
        incident = Incident("schedule", "coingecko_unavailable", began_at, ended_at, summary)
        incidents.record(connection, "schedule", [incident], now)
    rejected = [entry for entry in REJECTED if past.has(timedelta(hours=entry[0]))]
    run_records.record_rejections(connection, [_make_rejection(now, *each) for each in rejected])
    connection.execute(WATCH, {"since": past.start})
    hours, coin_ids, moves = zip(*invent_alerts(), strict=True)
    count = sum(past.has(timedelta(hours=each)) for each in hours)
    columns = {"hours": hours[:count], "coin_ids": coin_ids[:count], "moves": moves[:count]}
    connection.execute(RAISE_ALERTS, {"now": now} | {name: list(c) for name, c in columns.items()})
    week = max(past.start, now - timedelta(days=7))
    connection.execute(SCORE_FORECASTS, {"start": week, "now": now})
    service_status.record(connection, "alert_score", ALERT_SCORE, now - timedelta(hours=2))
    at = now - timedelta(hours=6)
    backup = {
        "verified_at": f"{at}",
        "file": f"market-{at:%Y%m%dT%H%M%SZ}.dump",
        "bytes": 1_320_000,
        "rows": 41_000,
    }
    service_status.record(connection, "backup", backup, at)


def _store_unfillable_gaps(past: Past, connection: Connection) -> None:
    """Store that CoinGecko has no prices for the pause around SILENT."""
    silence = past.now - SILENT[0]
    start = max(at for at in past.runs if at < silence) - SLOT
    stop = min(at for at in past.runs if at >= silence)
    gaps = [
        Gap(coin.id, start, stop, SLOT, (stop - start) // SLOT, "no_prices")
        for coin in Market().ranked[:COINS]
    ]
    run_records.record_unfillable_gaps(connection, gaps, stop)


def _make_rejection(now: datetime, hours: int, coin_id: str, reason: str, raw: str) -> Rejection:
    at = now - timedelta(hours=hours)
    return Rejection(coin_id, reason, raw, f"{at:%Y%m%dT%H%M%SZ}{RUN_SUFFIX}", at)


def _deactivate_coins(past: Past, path: Path) -> None:
    """Strike coins as often as runs did: three times, and at each probe."""
    registry = CoinRegistry.load(path)
    for coin_id, reason, ago in INACTIVE:
        if not past.has(ago):
            continue
        at = past.now - ago
        registry.strike(coin_id, reason, at - 2 * SLOT)
        registry.strike(coin_id, reason, at - SLOT)
        while at < past.now and registry.strike(coin_id, reason, at):
            at = from_iso(registry.coins[coin_id].next_probe or "")
    registry.save(path)


def _log_usage(past: Past, path: Path) -> None:
    """Add the runs to the usage log."""
    added = [Usage(at, 1.0, api_credits=1, db_seconds=0.1, is_metered=False) for at in past.runs]
    usages = sorted([*usage_log.read(path).usages, *added])
    replace_atomically(path, usage_log.to_text(usages).encode())
