"""Alerts over a real database: recorded with the state they rest on, told once, calm."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from sentinel.notifications import outbox
from sentinel.notifications.messages import (
    AlertContext,
    MessageFormatter,
    Mover,
    coin_message,
    market_message,
)
from sentinel.storage.connection import open_connection
from services.ingestion import alerting
from services.settings import MonitorOptions
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import ENGLISH, load, minutes

# A threshold of five per cent, whatever the coin does.
FIVE = MonitorOptions(min_threshold=0.05, max_threshold=0.05, alerts_per_coin_week=None)


class Day:
    """A day at the monitor: prices come, are looked at, and time passes."""

    def __init__(self, fresh: FreshDatabase) -> None:
        self.fresh, self.now = fresh, NOW
        self.options = FIVE

    def brings(self, prices: dict[str, float], *, source: Any = "observed", age: float = 0) -> int:
        """Five minutes later these prices are there; returns the alerts that they raise."""
        self.now += minutes(5)
        at = self.now - minutes(age)
        rows = [(at, coin_id, price) for coin_id, price in prices.items()]
        load(self.fresh.address(), rows, self.now, source=source, idr=16_000.0)
        return self.looks()

    def looks(self) -> int:
        with psycopg.connect(self.fresh.url, autocommit=True) as connection:
            return alerting.watch(connection, self.options, ENGLISH, ["log"], self.now)

    def told(self) -> list[str]:
        return [t for (t,) in self.fresh.query("SELECT title FROM outbox ORDER BY message_id")]

    def alerts(self) -> list[tuple[Any, ...]]:
        return self.fresh.query(
            "SELECT coin_id, kind, alerts.price, step FROM alerts JOIN coins USING (coin_key)"
            " ORDER BY alert_id"
        )


@pytest.fixture
def day(fresh: FreshDatabase) -> Day:
    return Day(fresh)


def _bring(day: Day, prices: Sequence[float], coin_id: str = "bitcoin") -> None:
    for price in prices:
        day.brings({coin_id: price})


def test_an_alert_its_state_and_its_message_are_one(day: Day) -> None:
    _bring(day, [100, 100, 94, 93.9])
    assert day.alerts() == [("bitcoin", "panic", 93.9, 1)]
    assert day.told() == ["Bitcoin (BITC) fell 6.1% below its high"]
    assert day.looks() == 0
    assert day.told() == ["Bitcoin (BITC) fell 6.1% below its high"]


def test_what_fails_in_between_leaves_nothing_behind(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bring(day, [100, 100, 94])
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "put", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            day.brings({"bitcoin": 93.9})
    assert day.alerts() == []
    assert day.looks() == 1
    assert len(day.told()) == 1


def test_watching_begins_with_the_first_look_not_with_an_old_high(day: Day) -> None:
    for n in range(20):
        load(day.fresh.address(), [(NOW - minutes(200 - n * 10), "bitcoin", 120 - n)], NOW)
    _bring(day, [99, 98, 97.5])
    assert day.alerts() == []


def test_backfilled_and_stale_values_raise_no_alert(day: Day) -> None:
    _bring(day, [100, 100])
    for _ in range(2):
        assert day.brings({"bitcoin": 80}, source="backfilled") == 0
    for age in (17, 16):
        day.now += minutes(20)
        assert day.brings({"bitcoin": 70}, age=age) == 0
    assert day.brings({"bitcoin": 70}) == 1


def test_observations_that_no_look_saw_are_looked_at_later(day: Day) -> None:
    _bring(day, [100, 100])
    for price in (94.0, 93.9):
        day.now += minutes(5)
        load(day.fresh.address(), [(day.now, "bitcoin", price)], day.now)
    assert day.looks() == 1
    assert day.alerts() == [("bitcoin", "panic", 93.9, 1)]


def test_held_ranked_and_named_coins_are_watched(day: Day) -> None:
    day.options = MonitorOptions(top_coins=2, watchlist=["eeee", "GHOST", "Ffff"])
    day.brings({name * 4: 1.0 for name in "abcdefg"})
    day.fresh.query(
        "INSERT INTO transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)"
        " VALUES (now(), 'dddd', 2, 1, 0, ''), (now(), 'cccc', 2, 1, 0, ''),"
        "        (now(), 'cccc', -2, 1, 0, '')"
    )
    day.brings({name * 4: 1.0 for name in "abcdefg"})
    watched = day.fresh.query("SELECT coin_id FROM alert_trackers JOIN coins USING (coin_key)")
    assert {coin_id for (coin_id,) in watched} == {"aaaa", "bbbb", "dddd", "eeee", "ffff"}


COINS = [f"coin-{n:02}" for n in range(20)]


def test_many_coins_that_fall_together_are_one_message(day: Day) -> None:
    for price in (100.0, 100.0, 85.0):
        day.brings({coin: price if n < 14 else 100.0 for n, coin in enumerate(COINS)})
    assert len(day.alerts()) == 14
    assert day.told() == ["Market-wide: 14 of 20 coins fell"]


def test_the_next_rung_of_many_coins_is_one_message_too(day: Day) -> None:
    for price in (100.0, 100.0, 85.0, 80.0, 73.0):
        day.brings(dict.fromkeys(COINS, price))
    assert day.told() == ["Market-wide: 20 of 20 coins fell"] * 3


def test_who_falls_after_the_others_is_told_of_by_name(day: Day) -> None:
    for count in (0, 0, 7, 8):
        day.brings({coin: 85.0 if n < count else 100.0 for n, coin in enumerate(COINS)})
    assert day.told() == [
        "Market-wide: 7 of 20 coins fell",
        "Coin-07 (COIN) fell 15.0% below its high",
    ]


def test_a_coin_without_an_observation_stops_no_other(day: Day) -> None:
    load(day.fresh.address(), [(NOW - timedelta(days=9), "aaaa", 1.0)], NOW)
    day.options = MonitorOptions(min_threshold=0.05, max_threshold=0.05)
    for price in (100.0, 100.0, 88.0):
        day.brings({"bitcoin": price, "dead": 0.0, "tiny": 1e-320})
    assert day.alerts() == [("bitcoin", "panic", 88.0, 1)]


def test_coins_that_follow_within_the_window_are_gathered(day: Day) -> None:
    def fall(count: int) -> None:
        day.brings({coin: 85.0 if n < count else 100.0 for n, coin in enumerate(COINS)})

    for count in (0, 0, 3, 5, 7, 9, 14, 14):
        fall(count)
    singles = [title for title in day.told() if "Market" not in title]
    assert len(singles) == 7
    assert [t for t in day.told() if "Market" in t] == [
        "Market-wide: 7 of 20 coins fell",
        "Market-wide: 14 of 20 coins fell",
    ]


def test_an_alert_gets_its_outcome(day: Day) -> None:
    _bring(day, [100, 100, 88])
    fired = day.now
    for after, price in ((62, 90.0), (24 * 60 + 3, 80.0)):
        day.now = fired + minutes(after - 5)
        day.brings({"bitcoin": price})
    [(hour, day_)] = day.fresh.query(
        "SELECT after_1h, after_24h FROM alerts ORDER BY alert_id LIMIT 1"
    )
    assert hour == pytest.approx(90 / 88 - 1)
    assert day_ == pytest.approx(80 / 88 - 1)


def test_an_outcome_that_nobody_saw_stays_unknown(day: Day) -> None:
    _bring(day, [100, 100, 88])
    day.now += timedelta(hours=30)
    day.brings({"bitcoin": 88})
    assert day.fresh.query("SELECT after_1h, after_24h FROM alerts") == [(None, None)]


def test_k_is_solved_for_one_coin_a_look_and_kept_beside_the_wish(day: Day) -> None:
    dice = random.Random(2)
    prices = {"aaaa": 100.0, "bbbb": 50.0}
    rows = []
    for n in range(20 * 48):
        prices = {coin: price * (1 + dice.gauss(0, 0.006)) for coin, price in prices.items()}
        at = NOW - minutes(30 * (20 * 48 - n))
        rows += [(at, coin, price) for coin, price in prices.items()]
    load(day.fresh.address(), rows, NOW)
    day.options = MonitorOptions(alerts_per_coin_week=3.0)
    day.brings(prices)
    [(solved,)] = day.fresh.query("SELECT count(*) FROM alert_trackers WHERE solved_at IS NOT NULL")
    assert solved == 1
    day.brings(prices)
    for k, wished, achieved in day.fresh.query("SELECT k, wished, achieved FROM alert_trackers"):
        assert wished == 3.0
        assert achieved == pytest.approx(3.0, abs=0.7)
        assert k != 1.5


def test_two_looks_at_once_see_each_observation_once(day: Day) -> None:
    _bring(day, [100, 100, 94])
    day.now += minutes(5)
    load(day.fresh.address(), [(day.now, "bitcoin", 93.9)], day.now)
    found, ready = list[int](), threading.Barrier(4)

    def look() -> None:
        with open_connection(day.fresh.address()) as own:
            ready.wait()
            found.append(alerting.watch(own, FIVE, ENGLISH, ["log"], day.now))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 1]


# --- what is said ----------------------------------------------------------------------------


def _told(**changes: Any) -> AlertContext:
    at = datetime.fromisoformat("2026-11-20T07:05:00+00:00")
    told = AlertContext(
        "bitcoin", "btc", "Bitcoin", "panic", at, 92_140.123, 97_200.0, at - minutes(180),
        -0.052, 0.05, 2, Decimal("0.25"), 16_250.0,
    )  # fmt: skip
    return told._replace(**changes)


def test_a_message_says_price_move_threshold_time_and_what_the_holder_has() -> None:
    message = coin_message(_told(), ENGLISH)
    assert message.title == "Bitcoin (BTC) fell 5.2% below its high"
    assert message.body.splitlines() == [
        "Price $92,140.12 (Rp1,497,276,999)",
        "High $97,200.00, 20 Nov 11:05 WIB",
        "Threshold 5.0%, step 2",
        "Your 0.25 BTC: $23,035.03 (Rp374,319,250), -Rp20,555,750 since the mark",
        "20 Nov 14:05 WIB",
    ]


def test_the_same_in_indonesian() -> None:
    message = coin_message(_told(kind="reversal", move=0.123), MessageFormatter("id", ENGLISH.zone))
    assert message.title == "Bitcoin (BTC) naik 12,3% dari titik terendahnya"
    assert message.body.splitlines()[0] == "Harga US$92.140,12 (Rp1.497.276.999)"


def test_both_languages_say_the_same_things() -> None:
    from sentinel.notifications.messages import CATALOG

    assert CATALOG["en"].keys() == CATALOG["id"].keys()
    for key, text in CATALOG["en"].items():
        fields = {part.partition("}")[0] for part in text.split("{")[1:]}
        assert fields == {part.partition("}")[0] for part in CATALOG["id"][key].split("{")[1:]}, key


def test_a_missing_rate_is_said_and_a_tiny_price_keeps_its_digits() -> None:
    body = coin_message(_told(price=0.0000047123456, idr_per_usd=None), ENGLISH).body
    assert "Price $0.000004712 (no rupiah rate)" in body
    assert "$0.000001178 (no rupiah rate)" in body


def test_a_message_about_many_names_what_is_held_then_the_farthest_and_not_all() -> None:
    movers = [Mover(f"c{n}", -0.05 - n / 1000, 10.0, Decimal(n == 3)) for n in range(25)]
    message = market_message("panic", movers, 30, 30, NOW, 16_000.0, ENGLISH)
    lines = message.body.splitlines()
    assert lines[1:4] == [
        "C3 -5.3%  $10.00 (Rp160,000)",
        "  your 1 C3: $10.00 (Rp160,000)",
        "C24 -7.4%  $10.00 (Rp160,000)",
    ]
    assert lines[-2] == "and 5 more"
