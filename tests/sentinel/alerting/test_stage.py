"""Alerts over a real database: recorded with their tracker, announced once, grouped."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from sentinel.alerting import mutes, stage
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.watched_coins import list_watched_ids
from sentinel.analytics.crossings import Alert
from sentinel.notifications import outbox
from sentinel.notifications.alert_messages import (
    AlertContext,
    Mover,
    compose_coin_message,
    compose_market_message,
)
from sentinel.notifications.catalog import CATALOG
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage.connection import Session, open_connection
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import ENGLISH, load, minutes

# The threshold is five per cent, whatever the volatility.
FIVE = MonitorOptions(min_threshold=0.05, max_threshold=0.05, alerts_per_coin_week=None)


FOLLOWED_UP = FIVE.model_copy(update={"loudness": {**FIVE.loudness, "follow_up": "silent"}})


class Day:
    """A day of the monitor: stores prices, processes them, and moves the time."""

    def __init__(self, fresh: FreshDatabase, session: Session) -> None:
        self.fresh, self.session, self.now = fresh, session, NOW
        self.options = FIVE

    def add_prices(
        self, prices: dict[str, float], *, source: Any = "observed", age: float = 0
    ) -> int:
        """Store and process prices five minutes later; return the number of alerts."""
        self.now += minutes(5)
        at = self.now - minutes(age)
        rows = [(at, coin_id, price) for coin_id, price in prices.items()]
        load(self.session, rows, self.now, source=source, idr=16_000.0)
        return self.process()

    def process(self) -> int:
        return self.session.use(
            lambda c: stage.process_new_prices(c, self.options, ENGLISH, ["log"], self.now)
        )

    def titles(self) -> list[str]:
        return [
            title
            for (title,) in self.fresh.query(
                "SELECT title FROM sentinel.outbox ORDER BY message_id"
            )
        ]

    def alerts(self) -> list[tuple[Any, ...]]:
        return self.fresh.query(
            "SELECT coin_id, kind, alerts.price_usd, level FROM sentinel.alerts JOIN "
            "sentinel.coins "
            "USING (coin_key)"
            " ORDER BY alert_id"
        )


@pytest.fixture
def day(fresh: FreshDatabase, session: Session) -> Day:
    return Day(fresh, session)


def _add_all(day: Day, prices: Sequence[float], coin_id: str = "bitcoin") -> None:
    for price in prices:
        day.add_prices({coin_id: price})


def test_an_alert_is_recorded_and_announced_once(day: Day) -> None:
    _add_all(day, [100, 100, 94, 93.9])
    assert day.alerts() == [("bitcoin", "panic", 93.9, 1)]
    assert day.titles() == ["Bitcoin (BITC) fell 6.1% below its high"]
    assert day.process() == 0
    assert day.titles() == ["Bitcoin (BITC) fell 6.1% below its high"]


def test_a_failure_between_alert_and_message_stores_neither(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add_all(day, [100, 100, 94])
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "queue_message", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            day.add_prices({"bitcoin": 93.9})
    assert day.alerts() == []
    assert day.process() == 1
    assert len(day.titles()) == 1


def test_an_alert_of_a_kind_that_is_off_is_recorded_and_not_queued(day: Day) -> None:
    day.options = FIVE.model_copy(
        update=MonitorOptions(loudness={"panic": "off"}).model_dump(include={"loudness"})
    )
    _add_all(day, [100, 100, 94, 93.9, 99, 99.5])
    assert [kind for _, kind, *_ in day.alerts()] == ["panic", "reversal"]
    assert day.titles() == ["Bitcoin (BITC) rose 6.0% above its low"]
    assert day.fresh.query("SELECT kind, coin_id FROM sentinel.outbox") == [("reversal", "bitcoin")]


def _mute(day: Day, coin_id: str, hours: float) -> None:
    with open_connection(day.fresh.address()) as connection:
        mutes.mute(connection, coin_id, day.now + timedelta(hours=hours), day.now)


def test_an_alert_of_a_muted_coin_is_recorded_and_never_announced(day: Day) -> None:
    _add_all(day, [100, 100])
    _mute(day, "bitcoin", 1)
    _add_all(day, [94, 93.9])
    assert day.alerts() == [("bitcoin", "panic", 93.9, 1)]
    assert day.fresh.query("SELECT is_announced FROM sentinel.alerts") == [(False,)]
    day.now += timedelta(hours=1)  # the mute has ended
    _add_all(day, [93.9, 93.8])
    assert day.titles() == []
    _add_all(day, [99, 99.5])
    assert day.titles() == ["Bitcoin (BITC) rose 6.1% above its low"]


def test_a_market_wide_message_leaves_muted_coins_out(day: Day) -> None:
    for price in (100.0, 100.0, 85.0, 85.0):
        day.add_prices({coin: price if n < 8 else 100.0 for n, coin in enumerate(COINS)})
        _mute(day, COINS[0], 1)
    [(title, body)] = day.fresh.query("SELECT title, body FROM sentinel.outbox")
    assert title == "Market-wide move: 7 of 19 watched coins fell"
    assert body.count("-15.0%") == 7


def test_a_high_before_the_coin_was_watched_raises_no_alert(day: Day) -> None:
    for n in range(20):
        load(day.session, [(NOW - minutes(200 - n * 10), "bitcoin", 120 - n)], NOW)
    _add_all(day, [99, 98, 97.5])
    assert day.alerts() == []


def test_backfilled_and_stale_prices_raise_no_alert(day: Day) -> None:
    _add_all(day, [100, 100])
    for _ in range(2):
        assert day.add_prices({"bitcoin": 80}, source="backfilled") == 0
    for age in (17, 16):
        day.now += minutes(20)
        assert day.add_prices({"bitcoin": 70}, age=age) == 0
    assert day.add_prices({"bitcoin": 70}) == 1


def test_a_fall_during_an_outage_is_announced(day: Day) -> None:
    _add_all(day, [100, 100])
    day.now += timedelta(hours=26)
    _add_all(day, [60, 60])
    assert day.alerts() == [("bitcoin", "panic", 60, 1)]
    assert day.fresh.query("SELECT basis FROM sentinel.alerts") == [("outage",)]


def test_a_tracker_of_another_version_starts_again_from_the_stored_prices(day: Day) -> None:
    _add_all(day, [100, 100, 97])
    day.fresh.query("UPDATE sentinel.alert_trackers SET state = state - 'version' RETURNING 1")
    _add_all(day, [96, 95, 94])
    assert day.alerts() == []
    [(mark,)] = day.fresh.query("SELECT state #>> '{panic,marks,0,1}' FROM sentinel.alert_trackers")
    assert float(mark) == 96


def test_prices_stored_between_two_ticks_are_processed_later(day: Day) -> None:
    _add_all(day, [100, 100])
    for price in (94.0, 93.9):
        day.now += minutes(5)
        load(day.session, [(day.now, "bitcoin", price)], day.now)
    assert day.process() == 1
    assert day.alerts() == [("bitcoin", "panic", 93.9, 1)]


def test_held_starred_ranked_and_named_coins_are_watched(day: Day) -> None:
    day.options = MonitorOptions(top_coins=2, watchlist=["eeee", "GHOST", "Ffff"])
    day.add_prices({name * 4: 1.0 for name in "abcdefg"})
    day.fresh.query(
        "INSERT INTO sentinel.transactions"
        " (made_at, kind, coin_id, quantity, price_usd, fee_usd, note)"
        " VALUES (now(), 'buy', 'dddd', 2, 1, 0, ''), (now(), 'buy', 'cccc', 2, 1, 0, ''),"
        "        (now(), 'sell', 'cccc', -2, 1, 0, '')"
    )
    day.fresh.query(
        "INSERT INTO sentinel.transactions"
        " (made_at, kind, coin_id, quantity, price_usd, fee_usd, to_coin_id, to_quantity, note)"
        " VALUES (now(), 'trade', 'dddd', -1, 1, 0, 'iiii', 5, '')"
    )
    day.fresh.query("INSERT INTO sentinel.starred_coins VALUES (now(), 'gggg'), (now(), 'hhhh')")
    day.add_prices({name * 4: 1.0 for name in "abcdefg"})
    watched = day.fresh.query(
        "SELECT coin_id FROM sentinel.alert_trackers JOIN sentinel.coins USING (coin_key)"
    )
    assert {coin_id for (coin_id,) in watched} == {
        *("aaaa", "bbbb", "dddd", "eeee", "ffff", "gggg"),
    }
    fetched = day.session.use(lambda c: list_watched_ids(c, day.options))
    # No run has stored them yet: one is starred, the other was received in a trade.
    assert {"hhhh", "iiii"} <= set(fetched)


def test_a_coin_keeps_the_time_since_which_it_is_watched(day: Day) -> None:
    start = day.now
    for _ in range(2):
        day.add_prices({"aaaa": 1.0})
    [(watched_since,)] = day.fresh.query("SELECT watched_since FROM sentinel.alert_trackers")
    assert start <= watched_since < day.now


COINS = [f"coin-{n:02}" for n in range(20)]


def test_a_market_wide_move_is_one_message(day: Day) -> None:
    for price in (100.0, 100.0, 85.0, 85.0):
        day.add_prices({coin: price if n < 14 else 100.0 for n, coin in enumerate(COINS)})
    assert len(day.alerts()) == 14
    assert day.titles() == ["Market-wide move: 14 of 20 watched coins fell"]


def test_the_next_alert_level_of_a_market_wide_move_is_one_message_too(day: Day) -> None:
    for price in (100.0, 94.0, 94.0, 84.0, 84.0):
        day.add_prices(dict.fromkeys(COINS, price))
    assert day.titles() == ["Market-wide move: 20 of 20 watched coins fell"] * 2


def test_a_coin_that_falls_after_the_market_gets_its_own_message(day: Day) -> None:
    for count in (0, 0, 7, 8, 8):
        day.add_prices({coin: 85.0 if n < count else 100.0 for n, coin in enumerate(COINS)})
    assert day.titles() == [
        "Market-wide move: 7 of 20 watched coins fell",
        "Coin-07 (COIN) fell 15.0% below its high",
    ]


def test_a_coin_without_a_price_does_not_stop_the_other_coins(day: Day) -> None:
    load(day.session, [(NOW - timedelta(days=9), "aaaa", 1.0)], NOW)
    day.options = MonitorOptions(min_threshold=0.05, max_threshold=0.05)
    for price in (100.0, 100.0, 88.0, 88.0):
        day.add_prices({"bitcoin": price, "dead": 0.0, "tiny": 1e-320})
    assert day.alerts() == [("bitcoin", "panic", 88.0, 1)]


def test_coins_that_follow_within_the_window_are_grouped(day: Day) -> None:
    def fall(count: int) -> None:
        day.add_prices({coin: 85.0 if n < count else 100.0 for n, coin in enumerate(COINS)})

    for count in (0, 0, 3, 5, 7, 9, 14, 14):
        fall(count)
    singles = [title for title in day.titles() if "Market" not in title]
    assert len(singles) == 7
    assert [t for t in day.titles() if "Market" in t] == [
        "Market-wide move: 7 of 20 watched coins fell",
        "Market-wide move: 14 of 20 watched coins fell",
    ]


def test_the_outcome_of_an_alert_is_recorded_after_an_hour_and_a_day(day: Day) -> None:
    _add_all(day, [100, 100, 88, 88])
    fired = day.now
    for after, price in ((62, 90.0), (24 * 60 + 3, 80.0)):
        day.now = fired + minutes(after - 5)
        day.add_prices({"bitcoin": price})
    [(hour, day_)] = day.fresh.query(
        "SELECT after_1h, after_24h FROM sentinel.alerts ORDER BY alert_id LIMIT 1"
    )
    assert hour == pytest.approx(90 / 88 - 1)
    assert day_ == pytest.approx(80 / 88 - 1)


def _follow_up(day: Day, coins: Sequence[str]) -> list[tuple[str, str]]:
    """Let coins fall, and return the messages of the 25th hour after it."""
    day.options = FOLLOWED_UP
    for price in (100.0, 100.0, 94.0, 93.9):
        day.add_prices(dict.fromkeys(coins, price))
    sent = len(day.titles())
    day.now += timedelta(hours=24)
    for price in (98.0, 98.1):
        day.add_prices(dict.fromkeys(coins, price))
    messages = day.fresh.query("SELECT title, body, kind FROM sentinel.outbox ORDER BY message_id")
    return [(title, body) for title, body, kind in messages[sent:] if kind == "follow_up"]


def test_what_came_of_an_alert_is_one_message_a_day_later(day: Day) -> None:
    [(title, body)] = _follow_up(day, ["bitcoin"])
    assert title == "Bitcoin (BITC), a day after the alert: +4.4%"
    assert body.splitlines() == [
        "BITC fell 6.1% to $93.90 on 20 Nov 19:20 WIB. A day later: $98.00 (+4.4%)",
        "https://www.coingecko.com/en/coins/bitcoin",
    ]


def test_the_outcomes_of_one_hour_are_one_message(day: Day) -> None:
    [(title, body)] = _follow_up(day, COINS)
    assert title == "A day after 20 alerts"
    assert body.count("A day later: $98.00") == 20


def test_each_outcome_is_in_one_message_only(day: Day) -> None:
    day.options = FOLLOWED_UP
    for price in (100.0, 100.0, 94.0, 93.9):
        day.add_prices({"bitcoin": price, "ether": 100.0})
    for price in (94.0, 93.9):
        day.now += timedelta(hours=1)
        day.add_prices({"bitcoin": 93.9, "ether": price})
    for pause in (22, 2, 1):
        day.now += timedelta(hours=pause)
        day.add_prices({"bitcoin": 95.0, "ether": 95.0})
    assert [title for title in day.titles() if "day after" in title] == [
        "Bitcoin (BITC), a day after the alert: +1.2%",
        "Ether (ETHE), a day after the alert: +1.2%",
    ]


def test_a_muted_alert_gets_no_message_about_its_outcome(day: Day) -> None:
    _mute(day, "bitcoin", 1)
    assert _follow_up(day, ["bitcoin"]) == []


def test_an_outcome_of_more_than_two_days_ago_is_no_news(day: Day) -> None:
    for price in (100.0, 100.0, 94.0, 93.9):
        day.add_prices({"bitcoin": price})
    for hours in (24, 24):
        day.now += timedelta(hours=hours)
        day.add_prices({"bitcoin": 98.0})
    day.options = FOLLOWED_UP
    day.process()
    assert [title for title in day.titles() if "day after" in title] == []


def test_a_clock_set_back_delays_no_outcome(day: Day) -> None:
    [_] = _follow_up(day, ["bitcoin"])
    day.fresh.query(
        "UPDATE sentinel.alerts SET followed_up_at = followed_up_at + interval '1 year'"
    )
    for price in (105.0, 105.1):
        day.add_prices({"bitcoin": price})
    day.now += timedelta(hours=24)
    day.add_prices({"bitcoin": 106.0})
    assert len([title for title in day.titles() if "day after" in title]) == 2


def test_a_coin_that_is_muted_after_its_alert_gets_no_message_about_the_outcome(day: Day) -> None:
    for price in (100.0, 100.0, 94.0, 93.9):
        day.add_prices({"bitcoin": price})
    _mute(day, "bitcoin", 48)
    day.options = FOLLOWED_UP
    day.now += timedelta(hours=24)
    day.add_prices({"bitcoin": 98.0})
    assert [title for title in day.titles() if "day after" in title] == []


def test_a_message_has_the_change_of_24_hours(day: Day) -> None:
    day.add_prices({"bitcoin": 120.0})
    day.now += timedelta(hours=23, minutes=50)
    _add_all(day, [100, 94])
    *_, (body,) = day.fresh.query("SELECT body FROM sentinel.outbox ORDER BY message_id")
    assert "In 24 hours: -16.7%" in body


def test_an_outcome_without_an_observation_stays_unknown(day: Day) -> None:
    _add_all(day, [100, 100, 88, 88])
    day.now += timedelta(hours=30)
    day.add_prices({"bitcoin": 88})
    assert day.fresh.query("SELECT after_1h, after_24h FROM sentinel.alerts") == [(None, None)]


def test_one_coin_is_calibrated_per_tick_and_its_rates_are_stored(day: Day) -> None:
    dice = random.Random(2)
    prices = {"aaaa": 100.0, "bbbb": 50.0}
    rows = []
    for n in range(20 * 48):
        prices = {coin: price * (1 + dice.gauss(0, 0.006)) for coin, price in prices.items()}
        at = NOW - minutes(30 * (20 * 48 - n))
        rows += [(at, coin, price) for coin, price in prices.items()]
    load(day.session, rows, NOW)
    day.options = MonitorOptions(alerts_per_coin_week=1.0)
    day.add_prices(prices)
    [(calibrated,)] = day.fresh.query(
        "SELECT count(*) FROM sentinel.alert_trackers WHERE calibrated_at IS NOT NULL"
    )
    assert calibrated == 1
    day.add_prices(prices)
    for multiplier, target, actual in day.fresh.query(
        "SELECT threshold_multiplier, target_rate, actual_rate FROM sentinel.alert_trackers"
    ):
        assert target == 1.0
        assert actual == pytest.approx(1.0, abs=0.7)
        assert multiplier > 1.5


def test_a_tracker_of_another_version_starts_again_with_its_calibration(day: Day) -> None:
    day.options = MonitorOptions(min_threshold=0.05)
    day.add_prices({"aaaa": 100.0, "bbbb": 100.0})
    old = {"last_at": 1.7e9, "panic": {"marks": [[1.7e9, 101.0]], "last_alert_usd": 95.0}}
    day.fresh.query(
        "UPDATE sentinel.alert_trackers SET state = %s, threshold_multiplier = 20,"
        " calibrated_at = %s, target_rate = 2",
        Jsonb(old),
        day.now,
    )
    for price in (100.0, 90.0, 90.0):
        day.add_prices({"aaaa": price, "bbbb": price})
    assert [coin_id for coin_id, *_ in day.alerts()] == ["aaaa", "bbbb"]


def test_processes_at_the_same_time_process_each_price_once(day: Day) -> None:
    _add_all(day, [100, 100, 94])
    day.now += minutes(5)
    load(day.session, [(day.now, "bitcoin", 93.9)], day.now)
    found, ready = list[int](), threading.Barrier(4)

    def process() -> None:
        with open_connection(day.fresh.address()) as own:
            ready.wait()
            found.append(stage.process_new_prices(own, FIVE, ENGLISH, ["log"], day.now))

    threads = [threading.Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 1]


# --- the messages ----------------------------------------------------------------------------


def _alert(**changes: Any) -> AlertContext:
    at = datetime.fromisoformat("2026-11-20T07:05:00+00:00").timestamp()
    alert = Alert("panic", at, 92_140.123, 97_200.0, at - 180 * 60, -0.052, 0.05, 2)
    names = ("bitcoin", "btc", "Bitcoin")
    return AlertContext(alert._replace(**changes), *names, Decimal("0.25"), 16_250.0)


def test_a_message_has_price_move_reason_time_links_and_the_users_holding() -> None:
    home = dataclasses.replace(ENGLISH, dashboard_url="https://home.example")
    message = compose_coin_message(_alert()._replace(day_ago_usd=100_000.0), home)
    assert message.title == "Bitcoin (BTC) fell 5.2% below its high"
    assert message.body.splitlines() == [
        "Price: $92,140.12",
        "In rupiah: Rp1,497,276,999",
        "In 24 hours: -7.9%",
        "High: $97,200.00 on 20 Nov 11:05 WIB",
        "That is unusual for this coin: its alerts begin at 5.0%.",
        "It is alert 2 of this fall.",
        "You hold 0.25 BTC: $23,035.03, -$1,264.97 since then",
        "In rupiah: Rp374,319,250, -Rp20,555,750",
        "20 Nov 14:05 WIB",
        "https://home.example/coin?coin=bitcoin",
        "https://www.coingecko.com/en/coins/bitcoin",
    ]


@pytest.mark.parametrize(
    ("changes", "title", "line"),
    [
        ({"basis": "week"}, "fell 5.2% below its high of the week", "High: $97,200.00 on 20 Nov"),
        ({"basis": "outage"}, "fell 5.2% below its high", "from before a time without prices"),
        ({"basis": "peg", "reference_usd": 1.0}, "is 5.2% below $1", "against $1 each"),
        ({"basis": "peg", "kind": "reversal"}, "is near $1 again", "Low: $97,200.00 on 20 Nov"),
    ],
)
def test_a_message_says_what_the_move_is_measured_from(
    changes: dict[str, Any], title: str, line: str
) -> None:
    for language in ("en", "id"):
        message = compose_coin_message(_alert(**changes), MessageFormatter(language, ENGLISH.zone))
        if language == "en":
            assert message.title == f"Bitcoin (BTC) {title}"
            assert line in message.body


def test_a_name_in_a_message_becomes_no_link_and_no_mention() -> None:
    context = _alert()._replace(name="free.example", symbol="@a_person")
    title = compose_coin_message(context, ENGLISH).title
    assert title.startswith("free.\u2060example (@\u2060A_PERSON) fell")
    mover = Mover("a.io", -0.1, 1.0, Decimal(0))
    body = compose_market_message("panic", [mover], 30, 30, NOW, None, ENGLISH).body
    assert "A.\u2060IO -10.0%" in body


def test_a_message_in_indonesian() -> None:
    message = compose_coin_message(
        _alert(kind="reversal", move=0.123), MessageFormatter("id", ENGLISH.zone)
    )
    assert message.title == "Bitcoin (BTC) naik 12,3% dari titik terendahnya"
    assert message.body.splitlines() == [
        "Harga: US$92.140,12",
        "Dalam rupiah: Rp1.497.276.999",
        "Titik terendah: US$97.200,00 pada 20 Nov 11:05 WIB",
        "Ini tidak biasa untuk koin ini: peringatannya mulai dari 5,0%.",
        "Ini peringatan ke-2 dalam kenaikan ini.",
        "Anda memiliki 0,25 BTC: US$23.035,03, -US$1.264,97 sejak titik itu",
        "Dalam rupiah: Rp374.319.250, -Rp20.555.750",
        "20 Nov 14:05 WIB",
        "https://www.coingecko.com/en/coins/bitcoin",
    ]


def test_links_lead_to_the_coin_in_the_dashboard_and_at_coingecko() -> None:
    coingecko = "https://www.coingecko.com/en/coins/a%26b"
    assert ENGLISH.list_links("a&b") == [coingecko]
    home = dataclasses.replace(ENGLISH, dashboard_url="https://home.example")
    assert home.list_links("a&b") == ["https://home.example/coin?coin=a%26b", coingecko]


def test_both_languages_have_the_same_texts_and_values() -> None:
    assert CATALOG["en"].keys() == CATALOG["id"].keys()
    for key, text in CATALOG["en"].items():
        fields = {part.partition("}")[0] for part in text.split("{")[1:]}
        assert fields == {part.partition("}")[0] for part in CATALOG["id"][key].split("{")[1:]}, key


def test_a_missing_exchange_rate_is_stated_and_a_tiny_price_keeps_its_digits() -> None:
    alert = _alert(price_usd=0.0000047123456)._replace(idr_per_usd=None)
    body = compose_coin_message(alert, ENGLISH).body
    assert "Price: $0.000004712\nIn rupiah: no exchange rate" in body
    assert "You hold 0.25 BTC: $0.00, -$24,300.00 since then" in body


def test_a_market_message_lists_held_coins_then_the_largest_moves_up_to_twenty() -> None:
    movers = [Mover(f"c{n}", -0.05 - n / 1000, 10.0, Decimal(n == 3)) for n in range(25)]
    message = compose_market_message("panic", movers, 30, 30, NOW, 16_000.0, ENGLISH)
    lines = message.body.splitlines()
    assert lines[1:4] == [
        "C3 -5.3%, $10.00",
        "  You hold 1 C3: $10.00",
        "  In rupiah: Rp160,000",
    ]
    assert lines[4] == "C24 -7.4%, $10.00"
    assert lines[-2] == "and 5 more coins"
