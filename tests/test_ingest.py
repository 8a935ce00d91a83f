"""Whole runs with the stand-in over HTTP, a real PostgreSQL and a fake clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import transform
from coin_registry import CoinRegistry
from demo.server import Fault, StandIn
from ingest import RunReport, run_pipeline
from safe_zone import Settings
from sentinel.errors import Interrupted
from tests.conftest import FakeTime, FreshDatabase, make_market

Run = Callable[..., RunReport]
DOWN = Fault(500, b'{"status":500,"error":"Internal Server Error"}')
REPORT_KEYS = """
mode status exit_code run_id started_at finished_at duration_seconds targets rows_valid
rows_inserted rows_updated rows_unchanged rows_backfilled rows_spooled rows_drained rejected
missing strikes deactivated healed api_calls api_credits db_seconds purged_rows
clock_offset_seconds slot_coverage alerts_raised messages_sent messages_waiting warnings message
"""


@pytest.fixture
def run(settings: Settings, in_process: Callable[[Settings], RunReport]) -> Run:
    return lambda **changes: in_process(replace(settings, **changes))


def _registry(settings: Settings) -> CoinRegistry:
    return CoinRegistry.load(settings.registry_path)


def _without(*coin_ids: str, **changes: Any) -> Fault:
    """The valid response without these coins, and with other entries for some."""

    def rewrite(body: bytes) -> bytes:
        content = json.loads(body)
        return json.dumps(
            {i: v for i, v in content.items() if i not in coin_ids} | changes
        ).encode()

    return Fault(path="/simple/price", rewrite=rewrite)


def _list_without(coin_id: str) -> Fault:
    """The valid list of coins without this one."""

    def rewrite(body: bytes) -> bytes:
        return json.dumps([c for c in json.loads(body) if c["id"] != coin_id]).encode()

    return Fault(path="/coins/list", rewrite=rewrite)


def _spool_files(settings: Settings) -> list[Path]:
    return list((settings.state_dir / "spool").glob("*"))


# --- normal runs ----------------------------------------------------------------------------


@pytest.mark.before_first_run
def test_a_first_run_stores_the_top_500(
    run: Run, stand_in: StandIn, fresh: FreshDatabase, settings: Settings
) -> None:
    stand_in.market = make_market(620)
    report = run(limit=500)
    assert (report.status, report.exit_code, report.api_calls) == ("ok", 0, 5)
    assert (report.targets, report.rows_valid, report.rows_inserted) == (500, 500, 500)
    stored = {coin_id for (coin_id,) in fresh.query("SELECT coin_id FROM stored_rows")}
    assert stored == {coin.id for coin in stand_in.market.ranked[:500]}
    assert fresh.query("SELECT coin_id FROM sentinel.coins ORDER BY rank LIMIT 2") == [
        ("bitcoin",),
        ("ethereum",),
    ]
    assert _registry(settings).top_ids(500) == [coin.id for coin in stand_in.market.ranked[:500]]


def test_the_message_names_the_database(run: Run, fresh: FreshDatabase) -> None:
    message = run().message
    assert message.startswith(f"100 of 100 coins in {fresh.address().display_name}, 3 API calls.")


def test_the_report_has_exactly_the_keys_of_the_contract(run: Run) -> None:
    assert list(asdict(run())) == REPORT_KEYS.split()


def test_a_warm_run_costs_one_call_and_one_credit(run: Run, stand_in: StandIn) -> None:
    assert run().api_calls == 3  # the list, the ranking, the prices
    stand_in.requests.clear()
    report = run()
    assert (report.api_calls, report.api_credits, len(stand_in.requests)) == (1, 1, 1)


def test_a_second_run_within_a_minute_changes_nothing(run: Run, fresh: FreshDatabase) -> None:
    run()
    report = run()
    assert (report.rows_inserted, report.rows_updated, report.rows_unchanged) == (0, 0, 100)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(100,)]


def test_a_later_run_adds_observations(run: Run, time_: FakeTime, fresh: FreshDatabase) -> None:
    run()
    time_.at += timedelta(minutes=15)
    assert run().rows_inserted == 100
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(200,)]


def test_the_registry_is_synced_once_a_day(run: Run, stand_in: StandIn, time_: FakeTime) -> None:
    run(limit=5)
    time_.at += timedelta(hours=23)
    run(limit=5)
    assert len(stand_in.paths("/coins/list")) == 1
    time_.at += timedelta(hours=1)
    run(limit=5)
    assert len(stand_in.paths("/coins/list")) == 2


def test_the_rupiah_rate_is_stored_with_the_prices(run: Run, fresh: FreshDatabase) -> None:
    run()
    [(currency, rate)] = fresh.query("SELECT currency, per_usd FROM sentinel.fx_rates")
    assert (currency, round(rate)) == ("idr", 16_250)


def test_the_run_is_recorded_with_the_data(run: Run, fresh: FreshDatabase) -> None:
    report = run()
    assert fresh.query(
        "SELECT run_id, status, targets, rows_valid, rows_inserted, api_calls, api_credits "
        "FROM sentinel.pipeline_runs"
    ) == [(report.run_id, "ok", 100, 100, 100, 3, 3)]


def test_only_the_resolved_targets_are_fetched(run: Run, stand_in: StandIn) -> None:
    report = run(targets=("BTC", "ethereum", "neo", "🟥🟩", "-11", "_"))
    assert (report.targets, report.rows_inserted) == (6, 6)
    [path] = stand_in.paths("/simple/price")
    assert "ids=-11,_,bitcoin,ethereum,neo-token,red-green&" in path


def test_each_run_warns_of_extra_coins_that_coingecko_does_not_list(
    settings: Settings, time_: FakeTime
) -> None:
    for mode in ("ingest", "dry-run"):  # the registry of the second run is not synced
        report = run_pipeline(
            replace(settings, mode=mode, limit=5),
            clocks=time_.clocks,
            extra_coins=["BTC", "bitcoinn", "nosuch"],
        )
        where = "in the watchlist or the price targets"
        assert report.warnings == [f"CoinGecko does not list these coins {where}: bitcoinn, nosuch"]
        assert report.exit_code == 0


def test_a_limit_above_the_market_fetches_all_coins_and_warns(
    run: Run, caplog: pytest.LogCaptureFixture, stand_in: StandIn
) -> None:
    report = run(limit=10_000)
    assert report.targets == len(stand_in.market.coins)
    assert report.exit_code == 0
    assert "limit 10000 is above the 120 active coins: fetching all" in caplog.text


@pytest.mark.before_first_run
def test_a_dry_run_writes_no_file_and_opens_no_database(
    run: Run, fresh: FreshDatabase, settings: Settings, tmp_path: Path
) -> None:
    report = run(mode="dry-run")
    assert (report.status, report.rows_valid, report.rows_inserted) == ("ok", 100, 0)
    assert list(tmp_path.iterdir()) == []
    assert fresh.query("SELECT to_regclass('sentinel.coins')") == [(None,)]
    assert settings.registry_path.exists() is False


# --- invalid coins -------------------------------------------------------------------------


def test_one_invalid_coin_does_not_affect_the_others(
    run: Run, stand_in: StandIn, fresh: FreshDatabase, settings: Settings
) -> None:
    stand_in.faults.append(_without("ethereum", bitcoin={"usd": "cheap"}, tether=None))
    report = run()
    assert (report.status, report.rows_inserted) == ("ok", 97)
    assert report.rejected == {"not_a_number": 1, "malformed": 1}
    assert report.missing == ["ethereum"]
    assert sorted(report.strikes) == ["bitcoin", "ethereum", "tether"]
    kept = fresh.query(
        "SELECT run_id, coin_id, reason, raw FROM sentinel.rejections ORDER BY coin_id"
    )
    assert kept == [
        (report.run_id, "bitcoin", "not_a_number", '{"usd": "cheap"}'),
        (report.run_id, "tether", "malformed", "null"),
    ]
    assert _registry(settings).coins["ethereum"].reason == "missing"


@pytest.mark.slow
def test_three_failures_deactivate_a_coin_and_one_valid_price_restores_it(
    run: Run, stand_in: StandIn, time_: FakeTime, settings: Settings, fresh: FreshDatabase
) -> None:
    for _ in range(3):
        stand_in.faults.append(_without("ethereum"))
        report = run(limit=20)
        time_.at += timedelta(minutes=15)
    assert report.deactivated == ["ethereum"]
    assert run(limit=20).targets == 20  # the next in rank takes the place
    assert "ethereum" not in stand_in.paths("/simple/price")[-1]
    time_.at += timedelta(days=1)
    report = run(limit=20)
    assert report.healed == ["ethereum"]
    assert (report.targets, report.rows_valid) == (20, 21)
    assert report.message.startswith("20 of 20 coins in")
    assert len(stand_in.paths("/simple/price")) == 5  # the probe rode along
    assert _registry(settings).coins["ethereum"].status == "active"
    recorded = fresh.query(
        "SELECT deactivated, reactivated, exit_code FROM sentinel.pipeline_runs ORDER BY started_at"
    )
    assert recorded == [
        *2 * [([], [], 0)],
        (["ethereum"], [], 0),
        ([], [], 0),
        ([], ["ethereum"], 0),
    ]


@pytest.mark.slow
def test_a_coin_that_stays_missing_is_probed_less_and_less(
    run: Run, time_: FakeTime, settings: Settings
) -> None:
    run(targets=("bitcoin", "0xlsd"))
    run(targets=("bitcoin", "0xlsd"))
    assert run(targets=("bitcoin", "0xlsd")).deactivated == ["0xlsd"]
    start, probes = time_.at, []
    for day in (1, 2, 3, 6, 7, 14, 15):  # each probe, and the day before it is due
        time_.at = start + timedelta(days=day)
        if "0xlsd" in run(limit=5).strikes:
            probes.append(day)
    assert probes == [1, 3, 7, 15]
    assert _registry(settings).coins["0xlsd"].strikes == 7


def test_a_degraded_response_gives_no_strikes_and_the_run_is_partial(
    run: Run, stand_in: StandIn, fresh: FreshDatabase, settings: Settings
) -> None:
    gone = [coin.id for coin in stand_in.market.ranked[:21]]
    stand_in.faults.append(_without(*gone))
    report = run()
    assert (report.status, report.exit_code, report.strikes) == ("partial", 0, [])
    assert (report.rows_inserted, len(report.missing)) == (79, 21)
    assert not any(coin.strikes for coin in _registry(settings).coins.values())
    assert fresh.query("SELECT status FROM sentinel.pipeline_runs") == [("partial",)]


def test_a_coin_missing_from_the_list_is_delisted(
    run: Run, stand_in: StandIn, time_: FakeTime, settings: Settings
) -> None:
    run()
    time_.at += timedelta(days=2)
    stand_in.faults.append(_list_without("tether"))
    report = run()
    assert _registry(settings).coins["tether"].status == "delisted"
    assert (report.targets, report.rows_valid) == (100, 100)


def test_a_delisted_coin_loses_its_rank_in_the_database_too(
    run: Run, stand_in: StandIn, time_: FakeTime, fresh: FreshDatabase
) -> None:
    run()
    time_.at += timedelta(days=2)
    stand_in.faults.append(_list_without("tether"))
    run()
    assert fresh.query("SELECT rank FROM sentinel.coins WHERE coin_id = 'tether'") == [(None,)]
    ranks = fresh.query("SELECT count(rank), count(DISTINCT rank) FROM sentinel.coins")
    assert ranks[0][0] == ranks[0][1] == 100


def test_a_coin_without_observations_has_no_latest_price(
    run: Run, time_: FakeTime, fresh: FreshDatabase
) -> None:
    run(targets=("bitcoin", "ethereum"))
    time_.at += timedelta(days=62)
    run(targets=("bitcoin",))
    latest = (
        "SELECT coin_id FROM sentinel.coins WHERE observed_at IS NOT NULL OR price_usd IS NOT NULL"
    )
    assert fresh.query(latest) == [("bitcoin",)]


def test_a_run_without_rows_is_partial(run: Run) -> None:
    report = run(targets=("0xlsd",))
    assert (report.status, report.exit_code, report.missing) == ("partial", 0, ["0xlsd"])
    assert "0 of 1 coins" in report.message


def test_if_every_coin_is_inactive_the_due_probes_are_fetched(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    run(targets=("bitcoin",))
    registry = _registry(settings)
    for coin_id in registry.coins:
        for _ in range(3):
            registry.strike(coin_id, "missing", time_.at)
    registry.save(settings.registry_path)
    time_.at += timedelta(days=1)
    report = run(limit=5)
    assert report.targets == 0
    assert len(report.healed) > 80


# --- CoinGecko fails -------------------------------------------------------------------------


def test_an_unavailable_api_exits_with_3_within_seconds(
    run: Run, stand_in: StandIn, time_: FakeTime, settings: Settings
) -> None:
    stand_in.always = DOWN
    started = time_.at
    report = run()
    assert (report.status, report.exit_code, report.rows_valid) == ("failed", 3, 0)
    assert (time_.at - started).total_seconds() < 15
    assert "500 Internal Server Error" in report.message
    assert not settings.registry_path.exists() or len(_registry(settings)) == 0


def test_rows_that_arrived_before_an_api_failure_are_loaded(
    run: Run, stand_in: StandIn, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_library.CHUNK_IDS", 20)
    run()
    stand_in.faults.append(Fault(path="/simple/price", rewrite=lambda body: body))
    stand_in.always = DOWN
    report = run()
    assert (report.status, report.exit_code) == ("partial", 3)
    assert report.rows_valid == 20
    assert report.api_calls == 1 + 4 + 4  # one good, two exhausted, then the circuit is open
    recorded = fresh.query(
        "SELECT status, rows_valid FROM sentinel.pipeline_runs ORDER BY rows_valid"
    )
    assert recorded == [("partial", 20), ("ok", 100)]


def test_a_failed_chunk_does_not_affect_the_others(
    run: Run, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_library.CHUNK_IDS", 20)
    stand_in.faults.extend([replace(DOWN, path="/simple/price")] * 4)
    report = run()
    assert (report.status, report.exit_code, report.rows_valid) == ("partial", 3, 80)
    assert report.strikes == []


def test_a_failed_sync_does_not_stop_a_run_with_known_coins(
    run: Run, stand_in: StandIn, time_: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    time_.at += timedelta(days=2)
    stand_in.faults.extend([replace(DOWN, path="/coins/list")] * 4)
    report = run()
    assert (report.status, report.rows_valid) == ("ok", 100)
    assert "registry was not synced" in caplog.text


def test_a_list_that_stays_short_costs_a_credit_every_six_hours_until_it_is_believed(
    run: Run,
    stand_in: StandIn,
    time_: FakeTime,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def shorten(body: bytes) -> bytes:
        return json.dumps(json.loads(body)[:80]).encode()

    run(limit=5)
    stand_in.always = Fault(path="/coins/list", rewrite=shorten)
    lists = []
    for hours in (24, 0.25, 6, 72):
        time_.at += timedelta(hours=hours)
        stand_in.requests.clear()
        assert run(limit=1, backfill_credits_per_day=0).status == "ok"
        lists.append(len(stand_in.paths("/coins/list")))
    assert lists == [1, 0, 1, 1]
    assert "lists 80 coins, but 120 were known. If it does so for 3 days" in caplog.text
    assert "the list is believed, and the other coins are delisted" in caplog.text
    assert len(_registry(settings).top_ids(120)) == 80


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"bitcoin":', b'{"error":"x"}', b"[]"])
def test_an_invalid_body_exits_with_3_and_gives_no_strikes(
    run: Run, stand_in: StandIn, settings: Settings, body: bytes
) -> None:
    stand_in.always = Fault(200, body, path="/simple/price")
    report = run()
    assert (report.status, report.exit_code, report.strikes) == ("failed", 3, [])
    assert not any(coin.strikes for coin in _registry(settings).coins.values())


def test_a_key_on_the_wrong_host_exits_with_2_and_names_the_remedy(
    run: Run, stand_in: StandIn
) -> None:
    stand_in.always = Fault(400, b'{"status":{"error_code":10010,"error_message":"x"}}')
    report = run()
    assert (report.status, report.exit_code, report.api_calls) == ("failed", 2, 1)
    assert "set COINGECKO_IS_PRO=true" in report.message


def test_unknown_targets_exit_with_2_and_the_sync_is_saved(run: Run, settings: Settings) -> None:
    report = run(targets=("bitcoin", "etherium", "zork"))
    assert (report.status, report.exit_code) == ("failed", 2)
    assert "'etherium' (near: ethereum" in report.message
    assert "'zork'" in report.message
    assert _registry(settings).synced_at is not None


def test_a_response_about_other_coins_gives_no_strikes(
    run: Run, stand_in: StandIn, settings: Settings
) -> None:
    stand_in.always = Fault(200, b'{"message":"Throttled"}', path="/simple/price")
    report = run(limit=5)
    assert (report.status, report.exit_code, report.strikes) == ("failed", 3, [])
    assert not any(coin.strikes for coin in _registry(settings).coins.values())


def test_a_response_without_a_usable_price_is_a_failure(run: Run, stand_in: StandIn) -> None:
    def all_null(body: bytes) -> bytes:
        return json.dumps({coin_id: {"usd": None} for coin_id in json.loads(body)}).encode()

    stand_in.faults.append(Fault(path="/simple/price", rewrite=all_null))
    report = run()
    assert (report.status, report.exit_code, report.strikes) == ("failed", 3, [])
    assert report.rejected == {"null_price": 100}


@pytest.mark.parametrize("days", [-1, 70])
def test_a_wrong_clock_costs_no_price_and_is_named(
    run: Run,
    stand_in: StandIn,
    fresh: FreshDatabase,
    settings: Settings,
    time_: FakeTime,
    caplog: pytest.LogCaptureFixture,
    days: int,
) -> None:
    run(targets=("bitcoin",))
    stand_in.now = (time_.at + timedelta(hours=1)).timestamp
    time_.at += timedelta(days=days, hours=1)
    report = run(targets=("bitcoin",))
    assert (report.status, report.rejected) == ("ok", {})
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(2,)]
    side = "ahead of" if days > 0 else "behind"
    minutes = abs(days) * 24 * 60
    assert f"clock is {minutes:,} minutes {side} CoinGecko's: set it (NTP)" in caplog.text
    assert report.clock_offset_seconds == days * 86_400
    assert _registry(settings).coins["bitcoin"].strikes == 0


def test_an_invalid_database_address_is_reported_before_any_call(
    run: Run, stand_in: StandIn
) -> None:
    report = run(database_url="postgresql://me:hunter2/x@host/d")
    assert (report.exit_code, report.api_calls, stand_in.requests) == (2, 0, [])
    assert "hunter2" not in report.message


# --- the database fails ----------------------------------------------------------------------

NOWHERE = "postgresql://me:hunter2@127.0.0.1:9/market"


def test_rows_wait_in_the_spool_for_newer_code(run: Run, fresh: FreshDatabase) -> None:
    run(limit=1)
    fresh.query("INSERT INTO sentinel.schema_version (version) VALUES (99)")
    failed = run(limit=1)
    assert failed.exit_code == 2
    assert failed.message.endswith("git pull. 1 rows wait in the spool.")


def test_rows_that_cannot_be_stored_wait_in_the_spool_for_the_next_run(
    run: Run, fresh: FreshDatabase, settings: Settings, time_: FakeTime, stand_in: StandIn
) -> None:
    stand_in.faults.append(_without(bitcoin={"usd": None}))
    failed = run(database_url=NOWHERE)
    assert (failed.status, failed.exit_code) == ("failed", 4)
    assert (failed.rows_spooled, failed.rows_inserted) == (99, 0)
    assert "99 rows wait in the spool" in failed.message
    assert "hunter2" not in failed.message
    waiting = [path.name for path in _spool_files(settings) if path.suffix != ".lock"]
    assert waiting == [f"{failed.run_id}-000.jsonl"]
    time_.at += timedelta(minutes=15)
    report = run()
    assert (report.status, report.rows_drained, report.rows_inserted) == ("ok", 99, 100)
    assert (report.rows_spooled, _spool_files(settings)) == (0, [])
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(199,)]
    assert fresh.query("SELECT run_id, reason FROM sentinel.rejections") == [
        (failed.run_id, "null_price")
    ]
    assert fresh.query("SELECT count(*) FROM sentinel.fx_rates") == [(2,)]


def test_the_spool_is_drained_even_while_coingecko_is_down(
    run: Run, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    run(database_url=NOWHERE)
    stand_in.always = DOWN
    report = run()
    assert (report.exit_code, report.rows_drained) == (3, 100)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(100,)]


def test_an_unexpected_error_of_the_database_costs_no_health_changes(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("pipeline.store.store_run", fail)
    with pytest.raises(NotImplementedError):
        run()
    assert settings.registry_path.exists()


def test_spooled_rows_older_than_the_retention_are_kept_beside_the_spool(
    run: Run,
    time_: FakeTime,
    fresh: FreshDatabase,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(database_url=NOWHERE)
    time_.at += timedelta(days=61)
    report = run()
    assert (report.rows_drained, report.rows_inserted) == (0, 100)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(100,)]
    [kept] = _spool_files(settings)
    assert (kept.suffix, len(kept.read_text().splitlines())) == (".left-out", 101)
    assert "101 entries beyond the retention" in caplog.text


@pytest.mark.parametrize("days", [70, -70])
@pytest.mark.parametrize("has_stored", [True, False])
def test_a_clock_that_leaps_loses_no_row_of_the_spool(
    run: Run,
    time_: FakeTime,
    fresh: FreshDatabase,
    stand_in: StandIn,
    settings: Settings,
    days: int,
    has_stored: bool,
) -> None:
    if has_stored:
        run(limit=5)
        time_.at += timedelta(minutes=15)
    run(limit=5, database_url=NOWHERE)
    stand_in.now = time_.at.timestamp
    time_.at += timedelta(days=days)
    report = run(limit=5)
    assert (report.exit_code, report.rows_drained) == (0, 5)
    assert _spool_files(settings) == []
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(10 if has_stored else 5,)]


def test_a_clock_that_leaps_drops_no_day_of_the_retention(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    run(targets=("bitcoin",))
    time_.at += timedelta(days=57)
    run(targets=("bitcoin",), backfill_credits_per_day=0)
    stand_in.now = time_.at.timestamp
    time_.at += timedelta(days=70)
    assert run(targets=("bitcoin",)).purged_rows == 0
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(2,)]


def test_a_clock_that_was_set_back_loses_no_row_while_coingecko_is_down(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn, settings: Settings
) -> None:
    run(limit=5, database_url=NOWHERE)
    stand_in.always = Fault(200, b"", {"Date": "unknown"})
    time_.at -= timedelta(days=1)
    assert run(limit=5).rows_drained == 0
    stand_in.always = None
    time_.at += timedelta(days=1)
    assert run(limit=5).rows_drained == 5
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(5,)]
    assert _spool_files(settings) == []


def test_a_row_of_the_future_is_not_drained(
    run: Run, fresh: FreshDatabase, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = settings.state_dir / "spool"
    folder.mkdir(parents=True)
    row = '["row", "bitcoin", "2030-01-01T00:00:00+00:00", 1.0, null, null, "observed"]\n'
    (folder / "hand-made.jsonl").write_text(row)
    assert run(limit=5).rows_drained == 0
    assert fresh.query("SELECT max(timestamp) < '2030-01-01' FROM stored_rows") == [(True,)]
    assert [path.name for path in _spool_files(settings)] == ["hand-made.left-out"]
    assert "in the future were not loaded; the file is kept" in caplog.text


def test_health_changes_are_saved_if_the_database_fails(
    run: Run, stand_in: StandIn, settings: Settings
) -> None:
    stand_in.faults.append(_without("ethereum"))
    assert run(database_url=NOWHERE).strikes == ["ethereum"]
    assert _registry(settings).coins["ethereum"].strikes == 1


def test_an_unexpected_error_while_fetching_costs_no_health_changes(
    run: Run, stand_in: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise TypeError("a defect")

    stand_in.faults.append(_without("ethereum"))
    monkeypatch.setattr("pipeline.fetch._implied_rates", fail)
    with pytest.raises(TypeError, match="a defect"):
        run(limit=5)
    assert _registry(settings).coins["ethereum"].strikes == 1


def test_a_spool_that_cannot_be_written_does_not_stop_the_load(
    run: Run, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.state_dir.mkdir()
    (settings.state_dir / "spool").write_text("a file where the folder should be")
    report = run()
    assert (report.status, report.rows_inserted) == ("ok", 100)
    assert "the spool cannot be written" in caplog.text


# --- the registry file fails -----------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"synced_at": "2026', "{}", "[5]", "\x00"])
def test_a_damaged_registry_is_renamed_and_rebuilt(
    run: Run, settings: Settings, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    settings.registry_path.write_text(text)
    report = run()
    assert (report.status, report.rows_inserted) == ("ok", 100)
    assert "was damaged" in caplog.text
    [aside] = settings.registry_path.parent.glob("coin_registry.json.damaged-*")
    assert aside.read_text() == text
    assert len(_registry(settings)) == 120


def test_a_dry_run_does_not_rename_a_damaged_registry(run: Run, settings: Settings) -> None:
    settings.registry_path.write_text("{")
    assert run(mode="dry-run").status == "ok"
    assert settings.registry_path.read_text() == "{"


def test_a_read_only_registry_loses_health_changes_but_no_rows(
    run: Run, settings: Settings, fresh: FreshDatabase
) -> None:
    report = run(registry_path=settings.state_dir / "nowhere" / "coin_registry.json")
    assert (report.status, report.exit_code) == ("partial", 2)
    assert "cannot be written" in report.message
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(100,)]


def test_an_unchanged_registry_is_not_written(run: Run, settings: Settings) -> None:
    run()
    before = settings.registry_path.stat().st_mtime_ns
    run()
    assert settings.registry_path.stat().st_mtime_ns == before


# --- signals --------------------------------------------------------------------------------


@pytest.mark.before_first_run
def test_a_run_stopped_while_fetching_spools_its_rows_and_opens_no_database(
    run: Run, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_library.CHUNK_IDS", 20)
    honest, calls = transform.transform_and_validate, []

    def stopped_at_the_third_chunk(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted(15)
        return honest(*arguments)

    monkeypatch.setattr("pipeline.fetch.transform_and_validate", stopped_at_the_third_chunk)
    report = run()
    assert (report.status, report.exit_code, report.rows_spooled) == ("failed", 143, 40)
    assert "SIGTERM" in report.message
    assert fresh.query("SELECT to_regclass('sentinel.coins')") == [(None,)]
    monkeypatch.undo()
    assert run().rows_drained == 40
