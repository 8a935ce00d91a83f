"""The daily summary over a real database: its whole text, once a day, parts without data."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.daily_summary import net_worth
from sentinel.daily_summary.queueing import queue_if_due, write_summary
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage import service_status
from services.api.portfolio.models import Transaction, choose_kind
from services.api.portfolio.reading import value_now
from services.api.portfolio.transactions import (
    add_transaction,
    import_transactions,
    list_transactions,
)
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import ENGLISH, load

INDONESIAN = MessageFormatter("id", ZoneInfo("Asia/Jakarta"))
OPTIONS = MonitorOptions(daily_summary="19:00", time_zone="Asia/Jakarta")  # 30 seconds before NOW
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
QUOTAS = [
    QuotaUsage("coingecko_credits", 3_000, 6_300, 10_000, NOW + 10 * DAY),
    QuotaUsage("neon_compute_hours", None, None, 190, NOW + 10 * DAY),
]

RECORD_RUN = """
INSERT INTO sentinel.pipeline_runs (run_id, started_at, recorded_at, mode, status, targets,
    rows_valid, rows_inserted, rows_updated, rows_unchanged, rows_backfilled, rows_drained,
    rejected, missing, api_calls, api_credits, db_seconds, purged_rows)
SELECT gen_random_uuid(), at, at, 'ingest', 'ok', 0, 0, 0, 0, 0, 0, 0, '{}', '{}', 0, 0, 0, 0
FROM unnest(%s::timestamptz[]) AS at
"""
ADD_ALERT = """
INSERT INTO sentinel.alerts (coin_key, kind, observed_at, reference_at, price_usd, reference_usd,
    move, threshold, level, after_24h)
SELECT coin_key, %(kind)s, %(at)s, %(at)s, %(price)s, 1, %(move)s, 0.05, 1, %(after)s
FROM sentinel.coins WHERE coin_id = %(coin)s
"""


ADD_FIRED_TARGET = """
INSERT INTO sentinel.price_targets (created_at, checked_at, last_fired_at, closed_at, price,
    fired_count, repeats, coin_id, direction, currency, state, source, note)
SELECT at - interval '1 day', at, at, at, 92000, 1, false, 'bitcoin', 'above', 'usd', 'fired',
       'api', ''
FROM (SELECT %s::timestamptz AS at) AS fired
"""


class Deployment:
    """A database with the settings of a monitor, whose summary is due."""

    def __init__(self, fresh: FreshDatabase, settings: Settings) -> None:
        self.fresh, self.settings = fresh, settings

    def add_runs(self, hours: Sequence[float] = range(1, 30)) -> None:
        with self.connect() as connection:
            connection.execute(RECORD_RUN, [[NOW - hour * HOUR for hour in hours]])

    def add_prices(self, prices: dict[str, tuple[float, float]], **changes: Any) -> None:
        """Store two prices of each coin: 24 hours ago, and a minute ago."""
        rows = [(NOW - DAY, coin, before) for coin, (before, _) in prices.items()]
        rows += [(NOW - MINUTE, coin, after) for coin, (_, after) in prices.items()]
        load(self.fresh.address(), rows, NOW, **changes)

    def add_rate(self, ago: timedelta, rate: float) -> None:
        self.fresh.query("INSERT INTO sentinel.fx_rates VALUES (%s, %s, 'idr')", NOW - ago, rate)

    def buy(
        self, coin: str, quantity: str, price: str, days: float, rate: str | None = "16000"
    ) -> None:
        """Store a purchase, or a sale if the quantity is negative."""
        rated = None if rate is None else Decimal(rate)
        at = NOW - days * DAY
        new = Transaction(
            made_at=at,
            kind=choose_kind(Decimal(quantity)),
            coin_id=coin,
            quantity=Decimal(quantity),
            price_usd=Decimal(price),
            idr_per_usd=rated,
        )
        with self.connect() as connection:
            add_transaction(connection, new)

    def add_alert(
        self, coin: str, move: float, price: float, ago: timedelta, after: float | None = None
    ) -> None:
        kind = "panic" if move < 0 else "reversal"
        values = {"kind": kind, "coin": coin, "at": NOW - ago, "price": price, "move": move}
        with self.connect() as connection:
            connection.execute(ADD_ALERT, values | {"after": after})

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.fresh.url, autocommit=True)

    def queue(
        self,
        now: datetime = NOW,
        formatter: MessageFormatter = ENGLISH,
        options: MonitorOptions = OPTIONS,
        targets: Sequence[str] = ("log",),
    ) -> bool:
        with self.connect() as connection:
            return queue_if_due(
                connection, self.settings, options, formatter, targets, now, lambda: QUOTAS
            )

    def texts(self) -> list[str]:
        """Return all queued messages: title and body."""
        rows = self.fresh.query("SELECT title, body FROM sentinel.outbox ORDER BY message_id")
        return [f"{title}\n{body}" for title, body in rows]


@pytest.fixture
def deployment(fresh: FreshDatabase, settings: Settings) -> Deployment:
    return Deployment(fresh, settings)


def fill(deployment: Deployment) -> None:
    """Store a day with everything that a summary tells."""
    deployment.add_runs([*range(1, 13), *range(16, 30)])
    deployment.add_prices(
        {
            "bitcoin": (91_000.0, 92_140.0),
            "cardano": (0.9, 0.918),
            "dogecoin": (0.2, 0.188),
            "ethereum": (3_000.0, 3_240.0),
            "solana": (150.0, 147.0),
            "tether": (1.0, 1.0),
        }
    )
    deployment.add_rate(timedelta(), 16_250.0)
    deployment.add_rate(DAY, 16_200.0)
    deployment.buy("bitcoin", "0.25", "60000", days=30)
    deployment.buy("ethereum", "2", "3200", days=0.5)  # 6,400 USD of the day are no profit
    deployment.add_alert("ethereum", 0.081, 3_176.0, 3 * HOUR)
    deployment.add_alert("dogecoin", -0.052, 0.19, 30 * MINUTE)
    deployment.add_alert("bitcoin", -0.06, 89_000.0, 30 * HOUR, 0.031)
    deployment.add_alert("solana", -0.3, 100.0, HOUR)
    deployment.fresh.query("UPDATE sentinel.alerts SET is_announced = false WHERE move = -0.3")
    add_history(deployment, "zcash")
    with deployment.connect() as connection:
        connection.execute(ADD_FIRED_TARGET, [NOW - 100 * MINUTE])
        state = {"verified_at": (NOW - 9 * HOUR).isoformat()}
        service_status.record(connection, "backup", state, NOW - 9 * HOUR)


def add_history(deployment: Deployment, coin: str) -> None:
    """Store 16 slots of an older history: 12 observed, 2 backfilled, 2 open."""
    first, slot = NOW - 3 * DAY, 15 * MINUTE
    observed = [(first + number * slot, coin, 50.0) for number in (*range(12), 16)]
    backfilled = [(first + number * slot, coin, 50.0) for number in (12, 13)]
    load(deployment.fresh.address(), observed, NOW)
    load(deployment.fresh.address(), backfilled, NOW, source="backfilled")


ENGLISH_TEXT = """\
Daily summary, 20 Nov 19:00 WIB
Prices of 20 Nov 18:59 WIB
Net worth: $29,515.00, +$365.00 (+1.3%) in 24 hours
In rupiah: Rp479,618,750, +Rp8,668,750 (+1.8%) in 24 hours
Largest rises in 24 hours: ETHE +8.0%, CARD +2.0%, BITC +1.3%
Largest falls in 24 hours: DOGE -6.0%, SOLA -2.0%
Alerts in 24 hours: 2
- ETHE rose 8.1% at 16:00, 2.0% higher now
- DOGE fell 5.2% at 18:30, 1.1% lower now
Alerts of the day before: 1
- BITC fell 6.0% at 13:00, 3.1% higher a day later
Price target reached: BITC above $92,000.00 at 17:20
Runs in 24 hours: 20 of 95, longest pause 4 hours
Price history of the last week: 75.0% observed, 12.5% backfilled, 12.5% missing
Quotas: all last the month, highest: CoinGecko credits 63.0% by its end
Last verified backup: 9 hours ago
Health: everything is well"""

INDONESIAN_TEXT = """\
Ringkasan harian, 20 Nov 19:00 WIB
Harga per 20 Nov 18:59 WIB
Nilai portofolio: US$29.515,00, +US$365,00 (+1,3%) dalam 24 jam
Dalam rupiah: Rp479.618.750, +Rp8.668.750 (+1,8%) dalam 24 jam
Kenaikan terbesar dalam 24 jam: ETHE +8,0%, CARD +2,0%, BITC +1,3%
Penurunan terbesar dalam 24 jam: DOGE -6,0%, SOLA -2,0%
Peringatan dalam 24 jam: 2
- ETHE naik 8,1% pukul 16:00, sekarang 2,0% lebih tinggi
- DOGE turun 5,2% pukul 18:30, sekarang 1,1% lebih rendah
Peringatan hari sebelumnya: 1
- BITC turun 6,0% pukul 13:00, 3,1% lebih tinggi sehari kemudian
Target harga tercapai: BITC di atas US$92.000,00 pukul 17:20
Proses dalam 24 jam: 20 dari 95, jeda terpanjang 4 jam
Riwayat harga seminggu terakhir: 75,0% diamati, 12,5% diisi kemudian, 12,5% tidak ada
Kuota: semua cukup sampai akhir bulan, tertinggi: kredit CoinGecko 63,0%
Cadangan terverifikasi terakhir: 9 jam yang lalu
Kondisi: semuanya baik"""


def test_a_coin_is_named_with_its_id_if_a_better_ranked_one_has_its_symbol(
    deployment: Deployment,
) -> None:
    deployment.add_runs()
    deployment.add_prices({"bitcoin": (91_000.0, 90_000.0), "batcat": (1.0, 1.136)})
    deployment.fresh.query(
        "UPDATE sentinel.coins SET symbol = 'btc',"
        " rank = CASE coin_id WHEN 'bitcoin' THEN 1 ELSE 9 END"
    )
    deployment.add_alert("batcat", 0.136, 1.136, HOUR)
    assert deployment.queue()
    [text] = deployment.texts()
    assert "Largest rises in 24 hours: BTC (BATCAT) +13.6%\n" in text
    assert "Largest falls in 24 hours: BTC -1.1%\n" in text
    assert "- BTC (BATCAT) rose 13.6%" in text


@pytest.mark.parametrize(
    ("formatter", "expected"),
    [
        (ENGLISH, ENGLISH_TEXT),
        pytest.param(INDONESIAN, INDONESIAN_TEXT, marks=pytest.mark.slow),
    ],
)
def test_a_summary_has_a_line_for_each_fact(
    deployment: Deployment, formatter: MessageFormatter, expected: str
) -> None:
    fill(deployment)
    assert deployment.queue(formatter=formatter)
    assert deployment.texts() == [expected]
    [(kind, queue)] = deployment.fresh.query("SELECT kind, queue FROM sentinel.outbox")
    assert (kind, queue) == ("summary", "summary")


def test_a_summary_is_queued_once_a_day_by_two_processes(deployment: Deployment) -> None:
    deployment.add_runs()
    barrier, results = threading.Barrier(4), []

    def run() -> None:
        barrier.wait()
        results.append(deployment.queue())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    assert not deployment.queue(NOW + 3 * HOUR)
    assert not deployment.queue(NOW + 3 * HOUR, targets=["log", "a new target"])
    later = OPTIONS.model_copy(update={"daily_summary": "21:30"})
    assert not deployment.queue(NOW + 3 * HOUR, options=later)
    assert len(deployment.texts()) == 1
    assert deployment.queue(NOW + DAY)
    assert len(deployment.texts()) == 2


def test_a_late_summary_says_so(deployment: Deployment) -> None:
    deployment.add_runs()
    assert deployment.queue(NOW + 3 * HOUR)
    title, _, _ = deployment.texts()[0].partition("\n")
    assert title == "Daily summary, 20 Nov 22:00 WIB (late: it was planned for 20 Nov 19:00 WIB)"


@pytest.mark.parametrize(
    "changes",
    [
        {"options": MonitorOptions(daily_summary=None)},
        {"options": OPTIONS.model_copy(update={"loudness": {"summary": "off"}})},
        {"targets": []},
        {"now": NOW - MINUTE},
        {"now": NOW + 17 * HOUR},
    ],
)
def test_no_summary_is_queued_when_it_is_off_or_not_due(
    deployment: Deployment, changes: dict[str, Any]
) -> None:
    deployment.add_runs()
    assert not deployment.queue(**changes)
    assert deployment.texts() == []


def test_a_deployment_that_began_after_the_hour_sends_its_first_summary_tomorrow(
    deployment: Deployment,
) -> None:
    assert not deployment.queue(NOW)  # no run yet
    deployment.add_runs([-1])
    assert not deployment.queue(NOW + 2 * HOUR)
    assert deployment.queue(NOW + DAY)


def test_parts_without_data_are_left_out(deployment: Deployment) -> None:
    deployment.add_runs([0.5])
    assert deployment.queue()
    assert deployment.texts() == [
        "Daily summary, 20 Nov 19:00 WIB\n"
        "Runs in 24 hours: 1 of 2, longest pause 30 minutes\n"
        "Quotas: all last the month, highest: CoinGecko credits 63.0% by its end\n"
        "Health: needs attention\n"
        "- No observation is stored: start the ingestion (make up), or run python ingest.py."
    ]


def test_a_summary_names_the_coins_and_the_rate_that_are_missing(deployment: Deployment) -> None:
    deployment.add_runs()
    deployment.add_prices({"bitcoin": (90_000.0, 99_000.0)})
    rows = [(NOW - MINUTE, "bitcoin", 99_000.0), (NOW - MINUTE, "solana", 150.0)]
    rows.append((NOW - 30 * HOUR, "tether", 1.0))
    load(deployment.fresh.address(), rows, NOW)
    for coin in ("bitcoin", "solana", "tether", "never-stored"):
        deployment.buy(coin, "1", "1", days=30, rate=None)
    deployment.buy("bitcoin", "-0.5", "96000", days=0.5, rate=None)
    assert deployment.queue()
    [text] = deployment.texts()
    assert text.splitlines()[2:6] == [
        # Half a coin rose by 9,000 USD, the other half was sold 6,000 above.
        "Net worth: $49,650.00, +$7,500.00 (+17.8%) in 24 hours",
        "In rupiah: unknown, there is no rate of the last day",
        "Without NEVER-STORED, TETH: no price of the last day",
        "Change without SOLA: no price of 24 hours ago",
    ]


def test_runs_before_the_day_show_that_its_first_hours_are_missing(deployment: Deployment) -> None:
    deployment.add_runs([30, *(hour / 4 for hour in range(1, 9))])
    assert deployment.queue()
    assert "Runs in 24 hours: 8 of 95, longest pause 22 hours\n" in deployment.texts()[0]


def test_a_price_that_is_older_than_the_others_has_its_time(deployment: Deployment) -> None:
    deployment.add_runs()
    deployment.add_prices({"bitcoin": (90_000.0, 99_000.0)})
    load(
        deployment.fresh.address(),
        [(NOW - DAY, "solana", 100.0), (NOW - HOUR, "solana", 90.0)],
        NOW,
    )
    assert deployment.queue()
    assert "24 hours: SOLA -10.0% (price of 18:00)\n" in deployment.texts()[0]


def test_quotas_to_watch_and_failing_checks_are_named(deployment: Deployment) -> None:
    deployment.add_runs()
    with deployment.connect() as connection:
        state = {"verified_at": (NOW - 5 * DAY).isoformat()}
        service_status.record(connection, "backup", state, NOW - 5 * DAY)
        message = write_summary(
            connection,
            deployment.settings,
            OPTIONS,
            ENGLISH,
            NOW,
            lambda: [QUOTAS[0]._replace(projected=9_100), *QUOTAS[1:]],
        )
    assert "Quotas to watch: CoinGecko credits 91.0% by the month's end\n" in message.body
    assert "Last verified backup: 5 days ago\nHealth: needs attention\n- No obs" in message.body
    assert message.body.endswith(
        "- The last verified backup is 5 days old: run ./backup_db.sh, and schedule it "
        "(docs/monitor.md)."
    )


@pytest.mark.slow
def test_a_summary_of_500_watched_coins_fits_a_telegram_message(deployment: Deployment) -> None:
    deployment.add_runs()
    coins = {f"{n:03d}-a-coin-with-a-long-name": (1.0, 1.0 + (n - 250) / 1000) for n in range(500)}
    deployment.add_prices(coins)
    with deployment.connect() as connection:
        for ago in (HOUR, 30 * HOUR):
            many = ADD_ALERT.replace("%(move)s", "coin_key / 1000.0").replace(
                "WHERE coin_id = %(coin)s", ""
            )
            values = {"kind": "reversal", "at": NOW - ago, "price": 1.1, "after": 0.1}
            connection.execute(many.encode(), values)
        connection.execute(
            "INSERT INTO sentinel.transactions"
            " (made_at, coin_id, quantity, price_usd, fee_usd, note)"
            " SELECT %s, 'unknown-coin-with-a-long-name-' || n, 1, 1, 0, ''"
            " FROM generate_series(1, 500) AS n",
            [NOW - 9 * DAY],
        )
    assert deployment.queue(options=OPTIONS.model_copy(update={"top_coins": 500}))
    [text] = deployment.texts()
    assert "Alerts in 24 hours: 500\n" in text
    assert "and 496 more coins" in text
    assert len(text) < 2_500
    assert len(text.splitlines()) <= 25


@pytest.mark.slow
def test_value_and_change_are_those_of_the_portfolio(
    deployment: Deployment, dice: random.Random
) -> None:
    deployment.add_prices(
        {"bitcoin": (91_000.1, 92_140.7), "solana": (150.0, 147.3), "tether": (1.0, 1.0)}
    )
    load(deployment.fresh.address(), [(NOW - MINUTE, "ethereum", 3_240.0)], NOW)
    deployment.add_rate(timedelta(), 16_250.5)
    deployment.add_rate(DAY, 16_200.0)
    coins = ("bitcoin", "ethereum", "solana", "unpriced")
    with deployment.connect() as connection, connection.transaction():
        for _ in range(20):
            connection.execute("DELETE FROM sentinel.transactions")
            traded = dice.sample(coins, dice.randint(1, 4))
            trades = [trade for coin in traded for trade in draw_trades(dice, coin)]
            import_transactions(connection, trades)
            worth = net_worth.add_up(net_worth.find_holdings(connection, NOW).fetchall())
            portfolio = value_now(connection, list_transactions(connection), NOW)
            if worth is None or worth.value_usd is None:
                assert not portfolio.net_worth_usd
                continue
            assert worth.value_usd == portfolio.net_worth_usd
            assert worth.value_idr == portfolio.net_worth_idr
            # The API counts the unchanged value of a coin that was sold before, 0, as known.
            assert worth.change_usd in (portfolio.day_profit.usd, portfolio.day_profit.usd or None)
            assert worth.change_idr in (portfolio.day_profit.idr, portfolio.day_profit.idr or None)


def draw_trades(dice: random.Random, coin: str) -> Iterator[Transaction]:
    """Yield transactions of the last two days, by time; the last one moves what is held."""
    held = Decimal(0)
    for days in sorted((dice.uniform(0.01, 2) for _ in range(dice.randint(1, 5))), reverse=True):
        quantity = Decimal(dice.randint(1, 300)) / 100
        if held and dice.random() < 0.5:
            quantity = -dice.choice([held, min(held, quantity)])
        held += quantity
        price, fee = Decimal(dice.randint(1, 10**7)) / 100, Decimal(dice.randint(0, 3))
        rate = Decimal(dice.randint(15_000, 17_000)) if dice.random() < 0.9 else None
        drawn = Transaction(
            made_at=NOW - days * DAY,
            kind=choose_kind(quantity),
            coin_id=coin,
            quantity=quantity,
            price_usd=price,
            fee_usd=fee,
            idr_per_usd=rate,
        )
        if dice.random() < 0.3:
            drawn = replace(drawn, kind="transfer")
            if quantity < 0:  # a division by 4 leaves no remainder
                drawn = replace(drawn, kind="trade", to_coin_id="tether", to_quantity=Decimal(4))
        yield drawn
    if held:
        yield Transaction(
            made_at=NOW - DAY / 1000,
            kind="transfer",
            coin_id=coin,
            quantity=held,
            price_usd=Decimal(0),
            fee_usd=Decimal(dice.randint(0, 1)),
            to_wallet="Cold",
        )


@pytest.mark.before_first_run
def test_a_summary_of_an_empty_database_says_what_to_do(deployment: Deployment) -> None:
    with deployment.connect() as connection:
        message = write_summary(connection, deployment.settings, OPTIONS, ENGLISH, NOW, list)
    assert message.body == (
        "Health: needs attention\n"
        "- No run has stored anything in this database: run python ingest.py."
    )
