"""Generate a week of history for the demo stack, as the loop would have stored it.

It has a backfilled and an unfilled outage, alerts, price targets, forecasts, a small portfolio and
two wallets.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import database
from demo.history import make_report, make_rows, record_rupiah
from demo.market import DemoCoin, Market
from sentinel.alerting import stage
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.price_targets import NewTarget, add_target
from sentinel.backtesting import strategies
from sentinel.backtesting.portfolio import DEFAULT_INITIAL_USD, Costs
from sentinel.models import CoinLabel, Source
from sentinel.notifications.messages import MessageFormatter
from sentinel.paper_trading import stepping, wallets
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.storage import run_records, service_status
from sentinel.storage.connection import Address, Connection, Session
from sentinel.storage.partitions import Days, writer_transaction
from sentinel.storage.queries.table_health import count_stored
from sentinel.storage.schema import drop_schema, migrate_if_needed
from services.api.portfolio.models import Transaction, choose_kind
from services.api.portfolio.quotes import find_nearest_rate
from services.api.portfolio.transactions import add_transaction
from services.ingestion import forecasting

# Data that no seed wrote. A database with such data is never dropped.
DATA_OF_OTHERS = """
SELECT FROM sentinel.transactions WHERE note <> 'invented for the demo'
UNION ALL
SELECT FROM sentinel.price_targets WHERE note <> 'invented for the demo'
UNION ALL
SELECT FROM sentinel.pipeline_runs WHERE run_id NOT LIKE '%-seed'
"""

COINS = 500
SPAN = timedelta(days=7)
# Between ticks: first every 15 minutes, in the last hours as often as a loop with a key.
COARSE, FINE = timedelta(minutes=15), timedelta(minutes=5)
FINE_PERIOD = timedelta(hours=8)
# Alerts and forecasts start this long before now; they take most of the time of a seed.
ALERT_PERIOD = timedelta(days=2)
FORECAST_PERIOD = timedelta(hours=3)
# Start and end before now, and whether the gap was backfilled.
OUTAGES = (
    (timedelta(days=5, hours=2), timedelta(days=4, hours=22), True),
    (timedelta(days=2, hours=9), timedelta(days=2, hours=6), False),
    (timedelta(hours=15), timedelta(hours=14, minutes=10), True),
)
NOTE = "invented for the demo"
# Coin, its line as a multiple of the price at a time before now, and whether it repeats.
PRICE_TARGETS = (
    ("bitcoin", 1.0, timedelta(hours=12), True),
    ("solana", 1.0, timedelta(hours=30), False),
    ("ethereum", 1.5, timedelta(), False),
)
# Coin, quantity and time before now.
PURCHASES = (
    ("bitcoin", "0.15", timedelta(days=6)),
    ("ethereum", "2.5", timedelta(days=4)),
    ("solana", "40", timedelta(days=3)),
    ("solana", "-10", timedelta(days=1)),
)
# Name, strategy and coins.
WALLETS = (
    ("patient", "hold", ["bitcoin"]),
    ("crossing", "sma-cross", ["ethereum", "solana"]),
)


def seed(address: Address, now: datetime, state_dir: Path) -> bool:
    """Fill an empty database; return False if it already holds data.

    A seed that was interrupted starts again.
    """
    market = Market()
    coins = market.ranked[:COINS]
    labels = {c.id: CoinLabel(c.symbol, c.name, n) for n, c in enumerate(coins, start=1)}
    with Session(address) as session:
        session.use(migrate_if_needed)
        status = session.use(lambda c: service_status.read(c, "seed"))
        is_unfinished = status is not None and not status.state["done"]
        if is_unfinished and not session.use(lambda c: c.execute(DATA_OF_OTHERS).fetchone()):
            session.use(drop_schema)
            session.use(migrate_if_needed)
        stored = session.use(count_stored)
        if stored and any(stored):
            return False
        session.use(lambda c: service_status.record(c, "seed", {"done": False}, now))
        ticks = list(_list_ticks(now))
        early = [tick for tick in ticks if tick[0] < now - ALERT_PERIOD]

        def load_early(connection: Connection, days: Days) -> None:
            rows = (row for at, source in early for row in make_rows(coins, at, source))
            database.load_batch(connection, rows, labels.get, days)
            _record_runs(connection, early)

        database.run_write_transaction(session, load_early, now)
        session.use(lambda c: _add_price_targets(c, market, now))
        for at, source in ticks[len(early) :]:
            session.use(functools.partial(_run_tick, coins, labels, at, source, now))
            if at >= now - FINE_PERIOD and at.minute < FINE / timedelta(minutes=1):
                session.use(functools.partial(_step_wallets, at, state_dir))
        session.use(lambda c: _add_transactions(c, market, now))
        session.use(lambda c: service_status.record(c, "seed", {"done": True}, now))
    return True


def _list_ticks(now: datetime) -> Iterator[tuple[datetime, Source]]:
    """Yield the time of each tick, the oldest first, and the source of its prices.

    During an outage there are backfilled prices or none.
    """
    at = now - SPAN
    while at < now - FINE / 2:
        outage = next((o for o in OUTAGES if now - o[0] <= at < now - o[1]), None)
        if outage is None:
            yield at, "observed"
        elif outage[2]:
            yield at, "backfilled"
        at += FINE if at >= now - FINE_PERIOD else COARSE


def _run_tick(
    coins: Sequence[DemoCoin],
    labels: dict[str, CoinLabel],
    at: datetime,
    source: Source,
    now: datetime,
    connection: Connection,
) -> None:
    """Store the prices of one tick, with its alerts and forecasts."""
    # Without a target rate no coin is calibrated, which would take seconds per coin.
    options = MonitorOptions(alerts_per_coin_week=None)
    rows = list(make_rows(coins, at, source))
    with writer_transaction(connection) as days:
        database.load_batch(connection, rows, labels.get, days)
        _record_runs(connection, [(at, source)])
    stage.process_new_prices(connection, options, MessageFormatter("en", ZoneInfo("UTC")), [], at)
    if at > now - FORECAST_PERIOD:
        forecasting.update_forecasts(connection, FINE, at)


def _step_wallets(at: datetime, state_dir: Path, connection: Connection) -> None:
    """Step every wallet; open them first."""
    if not wallets.load_wallets(connection):
        for name, strategy, coin_ids in WALLETS:
            chosen = strategies.load(strategy)
            opening = wallets.compose_opening(connection, coin_ids, DEFAULT_INITIAL_USD, at)
            wallets.open_wallet(connection, name, chosen, Costs(), opening, at, state_dir)
    with StrategyProcess() as process:
        opened = wallets.load_wallets(connection)
        stepping.step_wallets(connection, None, opened, at, state_dir, process)


def _record_runs(connection: Connection, ticks: Sequence[tuple[datetime, Source]]) -> None:
    for at, source in ticks:
        record_rupiah(connection, at)
        if source == "observed":
            run_records.record_run(
                connection, make_report(at, COINS), unrecorded_runs=0, backfill_credits=0
            )


def _add_price_targets(connection: Connection, market: Market, now: datetime) -> None:
    for coin_id, factor, ago, repeats in PRICE_TARGETS:
        price = market.by_id[coin_id].price_at((now - ago).timestamp())
        new = NewTarget(coin_id, Decimal(f"{price * factor:.2f}"), repeats=repeats, note=NOTE)
        with connection.transaction():
            add_target(connection, new, now - ALERT_PERIOD)


def _add_transactions(connection: Connection, market: Market, now: datetime) -> None:
    for coin_id, quantity, ago in PURCHASES:
        at = (now - ago).astimezone(UTC).replace(microsecond=0)
        price = Decimal(f"{market.by_id[coin_id].price_at(at.timestamp()):.2f}")
        rate = find_nearest_rate(connection, at)
        new = Transaction(
            made_at=at,
            kind=choose_kind(Decimal(quantity)),
            coin_id=coin_id,
            quantity=Decimal(quantity),
            price_usd=price,
            idr_per_usd=rate,
            note=NOTE,
        )
        with connection.transaction():
            add_transaction(connection, new)
