"""The price targets of ingest_config.json: each entry becomes a target once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.alerting import stage
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.price_targets import PriceTarget, delete_target, list_targets
from sentinel.storage.connection import Connection, open_connection
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import ENGLISH, load, minutes


class Monitor:
    """A monitor whose settings change."""

    def __init__(self, fresh: FreshDatabase, connection: Connection) -> None:
        self.fresh, self.connection, self.now = fresh, connection, NOW

    def see(self, price: float, *entries: dict[str, Any]) -> list[PriceTarget]:
        """Store and check a price 15 minutes later, with these entries; return the targets."""
        self.now += minutes(15)
        load(self.fresh.address(), [(self.now, "bitcoin", price)], self.now, idr=16_000.0)
        options = MonitorOptions.model_validate({"top_coins": 0, "price_targets": list(entries)})
        stage.process_new_prices(self.connection, options, ENGLISH, ["log"], self.now)
        return list_targets(self.connection)

    def count_messages(self) -> int:
        return len(self.fresh.query("SELECT 1 FROM sentinel.outbox"))


@pytest.fixture
def monitor(fresh: FreshDatabase) -> Iterator[Monitor]:
    with open_connection(fresh.address()) as connection:
        yield Monitor(fresh, connection)


ABOVE = {"coin": "BITC", "price": 100, "note": "sell"}


def test_an_entry_that_has_fired_does_not_come_back(monitor: Monitor) -> None:
    [target] = monitor.see(98, ABOVE, ABOVE)
    assert (target.coin_id, target.direction, target.source) == ("bitcoin", "above", "settings")
    monitor.see(101, ABOVE)
    monitor.see(101, ABOVE)
    [target] = monitor.see(98, ABOVE)
    assert target.state == "fired"
    monitor.see(101, ABOVE)
    monitor.see(101, ABOVE)
    assert monitor.count_messages() == 1


def test_an_entry_that_is_removed_is_withdrawn_and_one_that_is_edited_is_another_target(
    monitor: Monitor,
) -> None:
    [first] = monitor.see(98, ABOVE)
    [second] = monitor.see(98, ABOVE | {"note": "sell more"})
    assert (second.target_id, second.note) != (first.target_id, first.note)
    assert monitor.see(98) == []
    monitor.see(101)
    monitor.see(101)
    assert monitor.count_messages() == 0


def test_a_target_that_fired_stays_listed_after_its_entry_is_removed(monitor: Monitor) -> None:
    for price in (98, 101, 101):
        monitor.see(price, ABOVE)
    assert [target.state for target in monitor.see(98)] == ["fired"]
    monitor.now += timedelta(days=61)
    assert monitor.see(98) == []


def test_a_deleted_entry_does_not_come_back(monitor: Monitor) -> None:
    [target] = monitor.see(98, ABOVE)
    assert delete_target(monitor.connection, target.target_id, monitor.now)
    assert monitor.see(98, ABOVE) == []
    assert not delete_target(monitor.connection, target.target_id, monitor.now)


def test_an_entry_of_a_coin_without_a_price_is_added_later(monitor: Monitor) -> None:
    entry = {"coin": "late", "price": "1000000", "currency": "idr"}
    assert monitor.see(98, entry) == []
    load(monitor.fresh.address(), [(monitor.now, "late", 60.0)], monitor.now)
    [target] = monitor.see(98, entry)
    assert (target.coin_id, target.direction) == ("late", "above")


def test_the_coins_of_the_entries_are_fetched() -> None:
    options = MonitorOptions.model_validate({"watchlist": ["pepe"], "price_targets": [ABOVE]})
    assert options.named_coins == ("pepe", "BITC")


def test_a_blank_coin_of_the_watchlist_is_rejected_and_spaces_around_a_coin_are_ignored() -> None:
    with pytest.raises(ValidationError, match="the coin is blank"):
        MonitorOptions.model_validate({"watchlist": ["BTC", ""]})
    assert MonitorOptions.model_validate({"watchlist": [" pepe "]}).watchlist == ["pepe"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"price": "1,000"}, "'1,000' is not a number: write one such as 0.25"),
        ({"price": 0}, "greater than 0"),
        ({"price": float("nan")}, "finite"),
        ({"expires_at": "soon"}, "'soon' is not a time"),
        ({"coin": "  "}, "the coin is blank: write its id, symbol or name"),
        ({"coin": "a\0"}, "characters that no database stores"),
        ({"currency": "eur"}, "'usd' or 'idr'"),
    ],
)
def test_a_wrong_entry_is_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MonitorOptions.model_validate({"price_targets": [ABOVE | entry]})
