"""Price targets over a real database: added, checked with the alerts, previewed, purged."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sentinel.alerting import alert_storage, stage, target_checks, watched_coins
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.price_targets import (
    NewTarget,
    PriceTarget,
    TargetRejected,
    add_target,
    delete_target,
    list_targets,
    preview_target,
)
from sentinel.analytics.price_targets import MAX_OPEN_TARGETS
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage import retention
from sentinel.storage.connection import Connection, Session, open_connection
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import ENGLISH, load, minutes

# No alerts of trackers.
OPTIONS = MonitorOptions(top_coins=0)


class Monitor:
    """A monitor that looks at the prices of one coin every 15 minutes."""

    def __init__(self, fresh: FreshDatabase, session: Session, connection: Connection) -> None:
        self.fresh, self.session, self.connection, self.now = fresh, session, connection, NOW
        self.formatter = ENGLISH

    def store(self, price: float, *, source: Any = "observed", idr: float | None = 16_000) -> None:
        """Store a price 15 minutes later."""
        self.now += minutes(15)
        prices = [(self.now, "bitcoin", price)]
        load(self.session, prices, self.now, source=source, idr=idr)

    def check(self) -> None:
        stage.process_new_prices(self.connection, OPTIONS, self.formatter, ["log"], self.now)

    def see(self, *prices: float, idr: float | None = 16_000) -> None:
        """Store and check prices, one after the other."""
        for price in prices:
            self.store(price, idr=idr)
            self.check()

    def add(self, price: str, **fields: Any) -> PriceTarget:
        return add_target(self.connection, NewTarget("bitcoin", Decimal(price), **fields), self.now)

    def listed(self) -> Sequence[PriceTarget]:
        return list_targets(self.connection)

    def titles(self) -> list[str]:
        rows = self.fresh.query("SELECT title FROM sentinel.outbox ORDER BY message_id")
        return [title for (title,) in rows]


@pytest.fixture
def monitor(fresh: FreshDatabase, session: Session) -> Iterator[Monitor]:
    with open_connection(fresh.address()) as connection:
        monitor = Monitor(fresh, session, connection)
        monitor.store(98)
        yield monitor


REACHED = "Bitcoin (BITC) reached your target: $100.00 or more"


def test_a_target_fires_once_and_remains_listed(monitor: Monitor) -> None:
    monitor.add("100")
    monitor.see(99, 101, 102, 98, 98, 98, 98, 103, 103)
    assert monitor.titles() == [REACHED]
    [target] = monitor.listed()
    assert (target.state, target.fired_count, target.is_armed) == ("fired", 1, False)
    assert target.last_fired_at == NOW + minutes(60)


def test_a_repeated_target_fires_after_each_return(monitor: Monitor) -> None:
    monitor.add("100", repeats=True)
    monitor.see(101, 102, 101, 99.8, 100.1, 100.2, 98, 98, 101, 101)
    assert monitor.titles() == [REACHED] * 2
    [target] = monitor.listed()
    assert (target.state, target.fired_count) == ("open", 2)


def test_a_single_wrong_price_fires_no_target(monitor: Monitor) -> None:
    monitor.add("100")
    monitor.see(99_000, 98, 98)
    assert monitor.titles() == []


def test_the_message_has_note_price_time_and_links(monitor: Monitor) -> None:
    monitor.add("100", note="sell half at bitcoin.example", repeats=True)
    monitor.see(101, 101.5)
    [(body, kind, coin_id)] = monitor.fresh.query("SELECT body, kind, coin_id FROM sentinel.outbox")
    assert (kind, coin_id) == ("target", "bitcoin")
    assert body.splitlines() == [
        "sell half at bitcoin.\u2060example",
        "Price: $101.50",
        "20 Nov 19:45 WIB",
        "This target repeats. It waits until the price has returned.",
        "https://www.coingecko.com/en/coins/bitcoin",
    ]


def test_a_target_in_rupiah_uses_the_rate_of_the_run(monitor: Monitor) -> None:
    monitor.formatter = MessageFormatter("id", ENGLISH.zone)
    monitor.add("1600000", currency="idr")
    monitor.see(99, idr=16_100)
    monitor.see(99, 99, idr=16_200)
    assert monitor.titles() == ["Bitcoin (BITC) mencapai target Anda: Rp1.600.000 atau lebih"]
    [(body,)] = monitor.fresh.query("SELECT body FROM sentinel.outbox")
    assert body.startswith("Harga: Rp1.603.800\n")


def test_a_target_in_rupiah_waits_while_the_rate_is_older_than_a_day(monitor: Monitor) -> None:
    monitor.add("1600000", currency="idr")
    monitor.now += timedelta(days=1)
    monitor.see(200, 200, idr=None)
    assert monitor.titles() == []
    monitor.see(200, 200)
    assert len(monitor.titles()) == 1


def test_a_crossing_during_an_outage_is_sent_afterwards_with_the_price_now(
    monitor: Monitor,
) -> None:
    monitor.add("100")
    for price in (101, 102, 99, 97, 96, 96):
        monitor.store(price, source="backfilled")
    monitor.see(95)
    assert monitor.titles() == ["Bitcoin (BITC) was at your target: $100.00 or more"]
    [(body,)] = monitor.fresh.query("SELECT body FROM sentinel.outbox")
    assert body.splitlines()[:2] == [
        "It crossed on 20 Nov 19:45 WIB, at $102.00. This was noticed late.",
        "Price now: $95.00",
    ]


def test_several_crossings_during_an_outage_are_one_message(monitor: Monitor) -> None:
    monitor.add("100", repeats=True)
    for price in [101, 101, 101, 101, 101, 98, 98] * 3:
        monitor.store(price, source="backfilled")
    monitor.check()
    assert len(monitor.titles()) == 1
    assert monitor.listed()[0].fired_count == 3


def test_a_target_expires_but_not_before_its_last_prices_are_checked(monitor: Monitor) -> None:
    expires_at = monitor.now + minutes(40)
    early, late = monitor.add("100", expires_at=expires_at), monitor.add("90", direction="below")
    monitor.see(99, 99, 101, 101)
    assert monitor.titles() == []
    assert [(t.target_id, t.state) for t in monitor.listed()] == [
        (late.target_id, "open"),
        (early.target_id, "expired"),
    ]
    monitor.add("110", expires_at=monitor.now + minutes(40))
    for price in (111, 111, 100):
        monitor.store(price)
    monitor.check()
    assert len(monitor.titles()) == 1


def test_a_price_that_is_already_beyond_the_line_has_to_return_first(monitor: Monitor) -> None:
    target = monitor.add("90", direction="above", repeats=True)
    assert not target.is_armed
    monitor.see(95, 95)
    assert monitor.titles() == []
    monitor.see(89, 89, 91, 91)
    assert len(monitor.titles()) == 1


def test_targets_and_messages_change_in_one_transaction(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.add("100")
    monitor.see(101)
    with monkeypatch.context() as patch:
        patch.setattr(alert_storage, "record_outcomes", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            monitor.see(101)
    assert monitor.titles() == []
    monitor.check()
    monitor.check()
    assert monitor.titles() == [REACHED]


def test_two_processes_at_once_fire_a_target_once(monitor: Monitor) -> None:
    monitor.add("100")
    monitor.see(101)
    monitor.store(101)
    ready, fired = threading.Barrier(3), list[int]()

    def check() -> None:
        with open_connection(monitor.fresh.address()) as own:
            ready.wait()
            with own.transaction():
                fired.append(len(target_checks.check_targets(own, OPTIONS, ENGLISH, monitor.now)))

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fired) == [0, 0, 1]


def test_the_preview_has_the_crossings_that_the_checks_find(monitor: Monitor) -> None:
    monitor.add("100", repeats=True)
    prices = [101, 101, 101, 101, 98, 98, 105, 98, 101, 98, 99, 102, 103, 98, 101, 101] * 2
    fired = list[datetime]()
    for price in prices:
        monitor.see(price)
        last = monitor.listed()[0].last_fired_at
        if last and last not in fired:
            fired.append(last)
    assert len(fired) > 2
    preview = preview_target(monitor.connection, NewTarget("bitcoin", Decimal(100)), monitor.now)
    assert preview.direction == "below"
    wanted = NewTarget("bitcoin", Decimal(100), direction="above")
    preview = preview_target(monitor.connection, wanted, monitor.now)
    assert [crossing.at for crossing in preview.crossings] == fired
    assert preview.is_reached
    assert preview.current_price == Decimal(101)
    assert preview.since == NOW + minutes(15)


def test_a_coin_with_an_open_target_is_fetched(monitor: Monitor) -> None:
    target = add_target(
        monitor.connection, NewTarget("far-coin", Decimal(1), direction="above"), NOW
    )
    assert "far-coin" in watched_coins.list_watched_ids(monitor.connection, OPTIONS)
    assert delete_target(monitor.connection, target.target_id, NOW)
    assert not delete_target(monitor.connection, target.target_id, NOW)
    assert watched_coins.list_watched_ids(monitor.connection, OPTIONS) == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"price": Decimal(0)}, "bad_price"),
        ({"price": Decimal("NaN")}, "bad_price"),
        ({"expires_at": NOW}, "past_expiry"),
        ({"note": "x" * 201}, "long_note"),
        ({"coin_id": "unknown"}, "no_price"),
    ],
)
def test_a_target_that_makes_no_sense_is_rejected(
    monitor: Monitor, fields: dict[str, Any], reason: str
) -> None:
    values: dict[str, Any] = {"coin_id": "bitcoin", "price": Decimal(1)}
    new = NewTarget(**values | fields)
    for work in (add_target, preview_target):
        with pytest.raises(TargetRejected) as rejection:
            work(monitor.connection, new, monitor.now)
        assert rejection.value.reason == reason


def test_the_number_of_open_targets_is_limited(monitor: Monitor) -> None:
    monitor.fresh.query(
        "INSERT INTO sentinel.price_targets (created_at, checked_at, coin_id, direction, price,"
        " currency, repeats, source, note) SELECT now(), now(), 'a', 'above', 1, 'usd', false,"
        " 'api', '' FROM generate_series(1, %s)",
        MAX_OPEN_TARGETS,
    )
    with pytest.raises(TargetRejected, match="There are 200 open price targets already"):
        monitor.add("100")


def test_closed_targets_are_deleted_with_the_prices_of_their_day(monitor: Monitor) -> None:
    monitor.add("100")
    monitor.see(101, 101)
    for days, left in ((60, 1), (61, 0)):
        oldest = {"oldest": monitor.now + timedelta(days=days) - timedelta(days=60)}
        monitor.connection.execute(retention.DELETE_EXPIRED_ROWS["price_targets"], oldest)
        assert len(monitor.listed()) == left
