"""Runs that check the budget, fill gaps and record their usage."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from budget_monitor import log_path
from demo.schedule import autumn_runs
from demo.server import Fault, StandIn, running
from ingest import Clocks, RunReport, run_pipeline
from safe_zone import Settings
from sentinel import files
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.models import MarketRow
from sentinel.storage.connection import Session
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.schedule_coverage import measure_schedule_coverage
from sentinel.storage.queries.slot_coverage import measure_slot_coverage
from tests.conftest import (
    FakeTime,
    FakeTimeStandIn,
    FreshDatabase,
    NeonConsole,
    new_database,
)
from tests.support.loading import load_rows
from tests.support.network import NEEDS_TCP_INFO, as_neon

Run = Callable[..., RunReport]
QUARTER = timedelta(minutes=15)
COINS = 10
LOST = 7 * COINS  # rows of the prepared outage: two hours of quarters
NEON = "host=ep-cool-darkness-123456.aws.neon.tech hostaddr=127.0.0.1 port=9 dbname=x user=me"


@pytest.fixture
def run(settings: Settings, in_process: Callable[[Settings], RunReport]) -> Run:
    return lambda **changes: in_process(replace(settings, **({"limit": COINS} | changes)))


def _small_market(time_: FakeTime) -> StandIn:
    """A stand-in with few coins: a run reads and writes all of them."""
    return FakeTimeStandIn(time_, size=60)


@pytest.fixture
def stand_in(time_: FakeTime) -> Iterator[StandIn]:
    with running(_small_market(time_)) as served:
        yield served


@dataclass(frozen=True)
class Outage:
    """A database, a registry and a state folder after an outage of two hours."""

    database: str
    folder: Path
    ended_at: datetime
    # The charts that the runs before and after the outage requested.
    charts: list[str]


@pytest.fixture(scope="session")
def prepared_outage(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outage]:
    """Four quarter-hourly runs, two hours of silence, four runs more: made once, then copied."""
    folder, time_ = tmp_path_factory.mktemp("outage"), FakeTime()
    with (
        new_database(server, template) as database,
        running(_small_market(time_)) as stand_in,
    ):
        settings = Settings(
            database_url=database.url,
            api_key="a-demo-key",
            base_url=stand_in.base_url,
            state_dir=folder / "state",
            registry_path=folder / "coin_registry.json",
            limit=COINS,
        )
        for pause in (0, 15, 15, 15, 120, 15, 15, 15):
            time_.at += timedelta(minutes=pause)
            assert run_pipeline(settings, clocks=time_.clocks).exit_code == 0
        name = str(conninfo_to_dict(database.url)["dbname"])
        yield Outage(name, folder, time_.at, stand_in.paths("market_chart"))


@pytest.fixture
def fresh(request: pytest.FixtureRequest, server: str, template: str) -> Iterator[FreshDatabase]:
    """A database of the test's own: after the outage if the test asks for it, else empty."""
    if "outage" in request.fixturenames:
        template = request.getfixturevalue("prepared_outage").database
    with new_database(server, template) as database:
        yield database


@pytest.fixture
def outage(prepared_outage: Outage, time_: FakeTime, settings: Settings) -> Outage:
    """Start the test after the outage, with copies of its database and files."""
    shutil.copytree(prepared_outage.folder, settings.registry_path.parent, dirs_exist_ok=True)
    time_.at = prepared_outage.ended_at
    return prepared_outage


def _pauses(fresh: FreshDatabase, coin_id: str) -> list[timedelta]:
    rows = fresh.query('SELECT "timestamp" FROM stored_rows WHERE coin_id = %s ORDER BY 1', coin_id)
    return [later - earlier for (earlier,), (later,) in pairwise(rows)]


def _gaps(fresh: FreshDatabase, time_: FakeTime) -> list[Any]:
    with psycopg.connect(fresh.url) as connection:
        return list(find_gaps(connection, time_.at, cadence=QUARTER))


def _usages(settings: Settings) -> list[Usage]:
    return list(usage_log.read(log_path(settings)).usages)


def _write_log(settings: Settings, usages: list[Usage]) -> None:
    log_path(settings).parent.mkdir(parents=True, exist_ok=True)
    log_path(settings).write_text(usage_log.to_text(usages))


# --- filling gaps ------------------------------------------------------------------------------


def test_a_gap_waits_and_is_filled_before_its_detail_expires(
    outage: Outage, run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    assert outage.charts == []
    assert len(_gaps(fresh, time_)) == COINS
    time_.at += timedelta(hours=20)
    report = run()
    assert (report.status, report.rows_backfilled > LOST) == ("ok", True)
    assert len(stand_in.paths("market_chart")) == COINS
    assert "days=1&" in stand_in.paths("market_chart")[0]
    assert max(_pauses(fresh, "bitcoin")) <= 2 * QUARTER
    assert fresh.query(
        "SELECT rows_backfilled FROM sentinel.pipeline_runs ORDER BY started_at DESC"
    )[0] == (report.rows_backfilled,)


@pytest.mark.usefixtures("outage")
def test_backfill_mode_fills_gaps_at_once_and_requests_no_prices(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    stand_in.requests.clear()
    time_.at += timedelta(minutes=10)
    report = run(mode="backfill")
    assert (report.mode, report.status, report.exit_code) == ("backfill", "ok", 0)
    assert (report.rows_valid, report.rows_backfilled, report.api_credits) == (0, LOST, COINS)
    assert stand_in.paths("/simple/price") == []
    assert max(_pauses(fresh, "bitcoin")) <= 2 * QUARTER
    assert f"{LOST} rows backfilled" in report.message
    assert _gaps(fresh, time_) == []


@pytest.mark.usefixtures("outage")
def test_backfilled_rows_are_marked_and_never_replace_observed_ones(
    run: Run, fresh: FreshDatabase
) -> None:
    before = set(fresh.query("SELECT * FROM sentinel.observations"))
    run(mode="backfill")
    after = set(fresh.query("SELECT * FROM sentinel.observations"))
    assert before < after
    sources = fresh.query(
        "SELECT source::text, count(*) FROM sentinel.observations GROUP BY 1 ORDER BY 1"
    )
    assert sources == [("backfilled", LOST), ("observed", 8 * COINS)]
    latest = fresh.query(
        "SELECT DISTINCT source::text FROM sentinel.coins WHERE observed_at IS NOT NULL"
    )
    assert latest == [("observed",)]


@pytest.mark.usefixtures("outage")
def test_a_second_backfill_finds_nothing_to_do(run: Run, stand_in: StandIn) -> None:
    run(mode="backfill")
    stand_in.requests.clear()
    report = run(mode="backfill")
    assert (report.rows_backfilled, report.api_calls, report.status) == (0, 0, "ok")


@pytest.mark.usefixtures("outage")
def test_the_days_allowance_is_kept_and_the_best_ranked_come_first(
    run: Run, settings: Settings, stand_in: StandIn, time_: FakeTime
) -> None:
    time_.at += timedelta(minutes=5)
    report = run(mode="backfill", backfill_credits_per_day=5)
    assert report.api_credits == 5
    best = [coin.id for coin in stand_in.market.ranked[:5]]
    assert [path.split("/")[4] for path in stand_in.paths("market_chart")] == best
    assert f"{COINS - 5} coins wait" in report.message
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill", backfill_credits_per_day=5).api_credits == 0
    assert _usages(settings)[-2].backfill_credits == 5


@pytest.mark.usefixtures("outage")
def test_backfill_mode_also_fills_the_pause_until_now(
    run: Run, time_: FakeTime, fresh: FreshDatabase
) -> None:
    time_.at += timedelta(hours=3)
    assert run(mode="backfill").rows_backfilled > COINS * (7 + 10)
    newest = fresh.query("SELECT max(observed_at) FROM sentinel.observations")[0][0]
    assert time_.at - newest <= 2 * QUARTER


@pytest.mark.slow
@pytest.mark.usefixtures("outage")
def test_an_outage_found_days_later_is_filled_with_hourly_prices_only(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    time_.at += timedelta(days=3)
    assert run().rows_backfilled > COINS * 24 * 3  # what still has its detail
    assert "days=1&" in stand_in.paths("market_chart")[-1]
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill").rows_backfilled >= COINS * 48
    assert "days=4&" in stand_in.paths("market_chart")[-1]
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill").api_calls == 0
    left = _gaps(fresh, time_)
    assert left
    assert all(gap.reason for gap in left)
    assert max(_pauses(fresh, "bitcoin")) <= timedelta(hours=2)


@pytest.mark.usefixtures("outage")
def test_a_gap_without_prices_becomes_unfillable_and_keeps_its_reason(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    empty = b'{"prices": [], "market_caps": [], "total_volumes": []}'
    stand_in.faults.append(Fault(200, empty, path="/coins/bitcoin/"))
    stand_in.faults.append(Fault(404, b'{"error":"coin not found"}', path="/coins/ethereum/"))
    run(mode="backfill")
    stand_in.requests.clear()
    assert run(mode="backfill").api_calls == 0
    found = {gap.coin_id: gap.reason for gap in _gaps(fresh, time_)}
    assert found == {"bitcoin": "no_prices", "ethereum": "unknown_coin"}


@pytest.mark.usefixtures("outage")
def test_an_unusable_chart_does_not_make_a_gap_unfillable(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    stand_in.faults.append(Fault(200, b"{}", path="/coins/bitcoin/"))
    nulls = json.dumps({"prices": [[int(time_.at.timestamp() * 1000), None]]}).encode()
    stand_in.faults.append(Fault(200, nulls, path="/coins/ethereum/"))
    report = run(mode="backfill")
    assert report.rejected == {"malformed": 1, "null_price": 1}
    assert {gap.coin_id: gap.reason for gap in _gaps(fresh, time_)} == {
        "bitcoin": "unusable_chart",
        "ethereum": "unusable_chart",
    }
    time_.at += timedelta(hours=12)
    assert run(mode="backfill", targets=("bitcoin",)).api_credits == 1  # for the silence since
    time_.at += timedelta(hours=12, minutes=1)
    assert all(gap.reason is None for gap in _gaps(fresh, time_) if gap.coin_id == "ethereum")
    assert fresh.query("SELECT coin_id, reason FROM sentinel.rejections ORDER BY 1") == [
        ("bitcoin", "malformed"),
        ("ethereum", "null_price"),
    ]


@pytest.mark.usefixtures("outage")
def test_an_api_failure_ends_the_backfill_but_not_the_run(
    run: Run, time_: FakeTime, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    time_.at += timedelta(hours=20)
    stand_in.always = Fault(500, b'{"status":500}', path="market_chart")
    report = run()
    assert (report.status, report.exit_code, report.rows_inserted) == ("ok", 0, COINS)
    assert "gaps wait for the next run" in caplog.text
    assert run(mode="backfill").exit_code == 3


@pytest.mark.usefixtures("outage")
def test_charts_that_arrived_before_a_failure_are_loaded(run: Run, stand_in: StandIn) -> None:
    stand_in.always = Fault(500, b'{"status":500}', path="/coins/solana/market_chart")
    report = run(mode="backfill")
    assert (report.exit_code, report.status, report.rows_backfilled) == (3, "partial", LOST - 7)


@pytest.mark.usefixtures("outage")
def test_a_database_that_fails_during_the_backfill_loses_no_response(
    run: Run, settings: Settings, fresh: FreshDatabase
) -> None:
    fresh.query("ALTER TABLE sentinel.unfillable_gaps RENAME TO hidden")
    assert run(mode="backfill").exit_code == 4
    fresh.query("ALTER TABLE sentinel.hidden RENAME TO unfillable_gaps")
    fresh.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.source = 'backfilled' THEN RAISE EXCEPTION 'not now'; END IF; "
        "RETURN NEW; END $$"
    )
    fresh.query(
        "CREATE TRIGGER refuse BEFORE INSERT ON sentinel.observations FOR EACH ROW EXECUTE "
        "FUNCTION refuse()"
    )
    report = run(mode="backfill")
    assert (report.exit_code, report.rows_spooled) == (4, LOST)
    fresh.query("DROP TRIGGER refuse ON sentinel.observations")
    report = run(mode="backfill")
    assert (report.rows_drained, report.rows_backfilled, report.exit_code) == (LOST, 0, 0)
    assert list((settings.state_dir / "spool").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("outage")
@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, b'{"status":500}', path="/coins/bitcoin/"),
        Fault(400, b'{"error":"no"}', path="/coins/bitcoin/"),
        Fault(200, b'{"foo":1}', path="/coins/bitcoin/"),
    ],
    ids=["500", "400", "nonsense"],
)
def test_a_coin_whose_chart_fails_does_not_delay_the_others(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn, fault: Fault
) -> None:
    stand_in.always = fault
    time_.at += timedelta(hours=19, minutes=50)
    for _ in range(8):
        assert run().exit_code == 0
        time_.at += timedelta(minutes=15)
    assert max(_pauses(fresh, "ethereum")) <= 2 * QUARTER
    assert len(stand_in.paths("/coins/bitcoin/market_chart")) <= 2


@pytest.mark.slow
def test_a_gap_of_days_without_prices_costs_only_two_credits(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    stand_in.always = Fault(200, b'{"prices": []}', path="market_chart")
    for pause in (0, 15, 15, 15, 30 * 60, *[15] * 28):
        time_.at += timedelta(minutes=pause)
        run(targets=("bitcoin",))
    assert len(stand_in.paths("market_chart")) <= 2
    assert [gap.reason for gap in _gaps(fresh, time_)] == ["no_prices"]


@pytest.mark.usefixtures("outage")
def test_two_backfills_at_once_spend_the_days_credits_once(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    time_.at += timedelta(minutes=5)
    with files.try_lock(settings.state_dir / "backfill"):  # another run is about it
        assert run(mode="backfill").api_credits == 0
    assert run(mode="backfill").api_credits == COINS


@pytest.mark.usefixtures("outage")
def test_credits_of_a_run_that_is_killed_during_the_backfill_are_counted(
    run: Run, settings: Settings, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_.at += timedelta(minutes=5)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.store._load_backfill", _killed)
        patch.setattr("ingest.save_usage", lambda *_arguments: None)
        run(mode="backfill", backfill_credits_per_day=5)
    assert _usages(settings)[-1].backfill_credits == 5
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill", backfill_credits_per_day=5).api_credits == 0


def _killed(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_gaps_are_found_and_filled_in_any_time_zone_of_the_server(
    run: Run, time_: FakeTime, fresh: FreshDatabase
) -> None:
    """The test runs in the hour that comes twice when summer time ends."""
    [(name,)] = fresh.query("SELECT current_database()")
    fresh.query(f"ALTER DATABASE {name} SET timezone = 'Europe/Berlin'")
    time_.at = datetime(2026, 10, 24, 23, 0, 30, tzinfo=UTC)
    for pause in (0, 15, 15, 15, 90, 15, 15, 15):
        time_.at += timedelta(minutes=pause)
        run(targets=("bitcoin",))
    time_.at += timedelta(minutes=5)
    run(mode="backfill", targets=("bitcoin",))
    assert max(_pauses(fresh, "bitcoin")) <= 2 * QUARTER
    assert _gaps(fresh, time_) == []


def test_a_coin_whose_chart_is_as_coarse_as_its_quotes_costs_one_call_and_one_row(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    """CoinGecko updates its price once an hour, and its chart has no other points."""
    now = time_.at
    hourly = [now - timedelta(hours=ago) for ago in range(23)]
    quotes = [MarketRow("bitcoin", at, 1.0, None, None) for at in hourly]
    with Session(fresh.address()) as session:
        load_rows(session, quotes)
    points = [[int(at.timestamp() * 1000), 1.0] for at in reversed(hourly)]
    stand_in.always = Fault(200, json.dumps({"prices": points}).encode(), path="market_chart")
    for _ in range(3):
        run(targets=("bitcoin",))
        time_.at += QUARTER
    assert len(stand_in.paths("market_chart")) == 1
    assert fresh.query("SELECT reason FROM sentinel.unfillable_gaps") == [("no_prices",)]
    assert {gap.reason for gap in _gaps(fresh, time_)} == {"no_prices"}


def test_a_week_of_a_slow_schedule_before_the_update_costs_one_call_a_coin(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    """Its hourly rows were no gaps for older versions; nothing finer is left of them."""
    now = time_.at
    hours = [now - timedelta(hours=ago) for ago in range(7 * 24 + 1)]
    coins = [coin.id for coin in stand_in.market.ranked[:3]]
    rows = [MarketRow(coin_id, at, 1.0, None, None) for coin_id in coins for at in hours]
    with Session(fresh.address()) as session:
        load_rows(session, rows)
    for _ in range(4):
        time_.at += QUARTER
        assert run(targets=tuple(coins)).exit_code == 0
    assert len(stand_in.paths("market_chart")) == 3
    assert fresh.query("SELECT count(*) FROM sentinel.unfillable_gaps") == [(0,)]
    recent = "SELECT count(*) FROM sentinel.observations WHERE source = 'backfilled'"
    assert fresh.query(recent)[0][0] >= 3 * 23 * 3


@pytest.mark.slow
def test_pauses_of_two_to_six_hours_leave_no_gap_older_than_a_day(
    run: Run, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    """The pauses of autumn 2026. Judged by the coins' own median, none of them was a gap."""
    begin = time_.at
    spent: dict[object, int] = {}
    for moment in autumn_runs(begin, begin + timedelta(days=3.5)):
        time_.at = max(moment, time_.at)
        before = len(stand_in.paths("market_chart"))
        report = run(limit=20, backfill_credits_per_day=30)
        assert report.exit_code == 0, report.message
        day = moment.date()
        spent[day] = spent.get(day, 0) + len(stand_in.paths("market_chart")) - before
    rows = fresh.query(
        'SELECT max(pause) FROM (SELECT "timestamp" - lag("timestamp") OVER '
        '(PARTITION BY coin_id ORDER BY "timestamp") AS pause, "timestamp" FROM stored_rows) p '
        'WHERE "timestamp" < %s',
        time_.at - timedelta(days=1),
    )
    assert rows[0][0] <= 2 * QUARTER
    assert max(spent.values()) <= 30
    with psycopg.connect(fresh.url) as connection:
        found = measure_slot_coverage(connection, time_.at, cadence=QUARTER, coins=20).fetchone()
    assert found is not None
    assert (found.coins, round(found.open_share, 6)) == (20, 0.0)
    assert found.backfilled_share > 0.9


# --- the budget in a run -------------------------------------------------------------------------


def _fill_month(settings: Settings, time_: FakeTime, minutes: float, **fields: Any) -> None:
    """A log of the month so far, with one run every so many minutes."""
    month = time_.at.replace(day=1, hour=0, minute=0, second=0)
    count = int((time_.at - month) / timedelta(minutes=minutes))
    fields = {"duration_seconds": 12.0, "db_seconds": 1.0} | fields
    usages = [Usage(month + n * timedelta(minutes=minutes), **fields) for n in range(count)]
    _write_log(settings, usages)


def test_a_used_up_budget_exits_with_5_before_any_call_or_connection(
    run: Run, settings: Settings, time_: FakeTime, stand_in: StandIn
) -> None:
    _fill_month(settings, time_, 4, duration_seconds=900.0, db_seconds=900.0)
    time_.at += timedelta(days=5)
    report = run(database_url=NEON, compute_units=1.0)
    assert (report.exit_code, report.status) == (5, "failed")
    assert "Neon compute hours used up" in report.message
    assert (stand_in.requests, report.db_seconds) == ([], 0.0)


def test_an_exceeded_budget_skips_the_run_and_names_the_quota(
    run: Run, settings: Settings, time_: FakeTime, stand_in: StandIn
) -> None:
    _fill_month(settings, time_, 8)
    report = run(database_url=NEON)
    assert (report.exit_code, report.status) == (0, "skipped")
    assert report.message.startswith(
        "Skipped to keep within the monthly budget: Neon compute hours"
    )
    assert stand_in.requests == []
    assert _usages(settings)[-1].is_skipped


def test_an_exceeded_budget_allows_a_run_after_a_long_enough_pause(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    _fill_month(settings, time_, 60, api_credits=14)
    assert run(limit=5).status == "skipped"
    time_.at += timedelta(hours=5)
    assert run(limit=5).status == "ok"


def test_used_up_credits_stop_runs_on_any_database(
    run: Run, settings: Settings, time_: FakeTime, stand_in: StandIn
) -> None:
    _fill_month(settings, time_, 60, api_credits=50)
    assert run().exit_code == 5
    assert stand_in.requests == []


def test_a_dry_run_checks_no_budget_and_writes_no_log(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    _fill_month(settings, time_, 60, api_credits=50)
    before = log_path(settings).read_bytes()
    assert run(mode="dry-run").exit_code == 0
    assert log_path(settings).read_bytes() == before


def test_the_next_stored_run_records_how_many_were_skipped_before_it(
    run: Run, settings: Settings, time_: FakeTime, fresh: FreshDatabase
) -> None:
    run()
    skipped = [
        Usage(time_.at + n * QUARTER, 1.0, db_seconds=0.0, is_skipped=True, is_stored=False)
        for n in (1, 2)
    ]
    _write_log(settings, [*_usages(settings), *skipped])
    time_.at += 3 * QUARTER
    run()
    assert fresh.query(
        "SELECT unrecorded_runs FROM sentinel.pipeline_runs ORDER BY started_at"
    ) == [
        (0,),
        (2,),
    ]
    with psycopg.connect(fresh.url) as connection:
        found = measure_schedule_coverage(connection, time_.at, QUARTER)
    assert (found.expected, found.delivered) == (4, 4)


def test_every_run_is_in_the_log_with_its_usage(run: Run, settings: Settings) -> None:
    report = run()
    [usage] = _usages(settings)
    assert usage.started_at == datetime.fromisoformat(report.started_at)
    assert (usage.api_credits, usage.db_seconds) == (report.api_credits, report.db_seconds)
    assert usage.db_bytes is not None
    assert usage.db_bytes > 1_000_000
    assert usage.is_metered is False  # the tests' database is not Neon's


def test_skipped_runs_before_a_backfill_run_are_recorded_too(
    run: Run, settings: Settings, time_: FakeTime, fresh: FreshDatabase
) -> None:
    run()
    lost = [Usage(time_.at + n * QUARTER, 1.0, db_seconds=0.2, is_stored=False) for n in (1, 2)]
    _write_log(settings, [*_usages(settings), *lost])
    time_.at += 2.5 * QUARTER
    run(mode="backfill")
    time_.at += 0.5 * QUARTER
    run()
    with psycopg.connect(fresh.url) as connection:
        found = measure_schedule_coverage(connection, time_.at, QUARTER)
    assert (found.expected, found.delivered) == (4, 4)


@pytest.mark.usefixtures("outage")
def test_a_lost_log_does_not_grant_a_second_allowance(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill", backfill_credits_per_day=5).api_credits == 5
    log_path(settings).unlink()
    time_.at += timedelta(minutes=5)
    assert run(mode="backfill", backfill_credits_per_day=5).api_credits == 0


def test_a_lost_log_is_rebuilt_from_the_database(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    for _ in range(5):
        run()
        time_.at += timedelta(days=1)
    before = [(u.started_at, u.api_credits) for u in _usages(settings)]
    log_path(settings).unlink()
    run()
    after = [(u.started_at, u.api_credits) for u in _usages(settings)]
    assert after[:-1] == before


@pytest.mark.slow
def test_a_lost_log_is_rebuilt_even_if_the_next_run_reaches_no_database(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    for _ in range(5):
        run()
        time_.at += timedelta(days=1)
    log_path(settings).unlink()
    assert run(database_url="postgresql://user@127.0.0.1:9/x").exit_code == 4
    time_.at += QUARTER
    run()
    assert len(_usages(settings)) == 7


def test_a_clock_that_is_a_month_off_for_one_run_loses_no_usage(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    for _ in range(5):
        run()
        time_.at += timedelta(hours=1)
    now = time_.at
    time_.at += timedelta(days=40)
    run()
    time_.at = now
    run()
    assert [usage.started_at.month for usage in _usages(settings)] == [11] * 6


@pytest.mark.slow
def test_a_rebuilt_log_knows_backfill_credits_and_short_tails(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    for pause in (0, 15, 15, 15, 120, 15, 15, 15, 5):
        time_.at += timedelta(minutes=pause)
        run()
    run(mode="backfill")
    time_.at += timedelta(minutes=5)
    run(mode="backfill")
    spent = sum(usage.backfill_credits for usage in _usages(settings))
    log_path(settings).unlink()
    time_.at += timedelta(minutes=5)
    run(suspend_after_run=True)
    rebuilt = _usages(settings)[:-1]
    assert spent > 0
    assert sum(usage.backfill_credits for usage in rebuilt) == spent
    assert {usage.tail_seconds for usage in rebuilt} == {5}


def test_a_damaged_log_is_rebuilt_and_the_run_continues(
    run: Run, settings: Settings, time_: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    time_.at += QUARTER
    log_path(settings).write_text("[{")
    report = run()
    assert (report.exit_code, len(_usages(settings))) == (0, 2)
    assert "is damaged" in caplog.text


def test_a_run_killed_before_it_wrote_the_log_is_counted_by_the_next(
    run: Run, settings: Settings, time_: FakeTime
) -> None:
    run()
    first = log_path(settings).read_bytes()
    time_.at += QUARTER
    run()
    log_path(settings).write_bytes(first)  # as if the second had been killed at its end
    time_.at += QUARTER
    run()
    assert len(_usages(settings)) == 3


def test_credits_of_a_run_that_is_killed_while_it_fetches_are_counted(
    run: Run, settings: Settings, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    time_.at += QUARTER
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.fetch.transform_and_validate", _killed)
        patch.setattr("ingest.save_usage", lambda *_arguments: None)
        run()
    killed = _usages(settings)[-1]
    assert (killed.api_credits, killed.is_stored, killed.started_at) == (1, False, time_.at)


def test_a_month_that_ends_during_a_run_loses_no_usage(
    run: Run, settings: Settings, time_: FakeTime, stand_in: StandIn
) -> None:
    time_.at = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC)
    stand_in.faults.append(Fault(429, b"Throttled", {"Retry-After": "20"}, path="/simple/price"))
    report = run()
    assert (report.exit_code, time_.at.month) == (0, 12)
    assert len(_usages(settings)) == 1
    time_.at += timedelta(minutes=20)
    run()
    assert [usage.started_at.month for usage in _usages(settings)] == [11, 12]
    time_.at += timedelta(days=31)
    run()
    assert [usage.started_at.month for usage in _usages(settings)] == [1]


def test_a_clock_set_back_during_a_run_causes_no_negative_time(
    settings: Settings, time_: FakeTime, in_process: Callable[[Settings], RunReport]
) -> None:
    times = iter([time_.at])
    later = time_.at - timedelta(hours=3)
    clocks = Clocks(lambda: next(times, later), time_.monotonic, time_.sleep)
    report = run_pipeline(replace(settings, limit=5), clocks=clocks)
    assert (report.exit_code, report.duration_seconds >= 0) == (0, True)
    assert _usages(settings)[0].duration_seconds >= 0
    assert in_process(replace(settings, limit=5)).exit_code == 0


def test_a_log_that_cannot_be_read_or_written_does_not_stop_the_run(
    run: Run, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log_path(settings).mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert run().exit_code == 0
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def test_a_run_suspends_neons_compute_on_request_and_counts_a_short_tail(
    settings: Settings, fresh: FreshDatabase, neon: NeonConsole, time_: FakeTime
) -> None:
    clocks = Clocks(time_.now, time.monotonic, time_.sleep)
    with as_neon(fresh.url) as url:
        tired = replace(
            settings,
            limit=5,
            suspend_after_run=True,
            neon_api_key="napi-secret",
            neon_project_id="p-1",
            neon_base_url=neon.url,
            database_url=url,
        )
        for neon.status in (200, 500):
            time_.at += QUARTER
            assert run_pipeline(tired, clocks=clocks).exit_code == 0
    assert [path[-8:] for method, path, _ in neon.requests if method == "POST"] == ["/suspend"] * 2
    usages = _usages(settings)
    assert [(u.tail_seconds, u.is_metered) for u in usages] == [(5, True), (300, True)]


@NEEDS_TCP_INFO
def test_a_run_notes_what_all_readers_received_this_month(
    settings: Settings, fresh: FreshDatabase, time_: FakeTime
) -> None:
    clocks = Clocks(time_.now, time.monotonic, time_.sleep)
    with as_neon(fresh.url) as url:
        for _ in range(2):
            time_.at += QUARTER
            run_pipeline(replace(settings, limit=5, database_url=url), clocks=clocks)
    first, second = (usage.egress_bytes or 0 for usage in _usages(settings))
    assert 1_000 < first < second < 200_000
    found = fresh.query("SELECT sum(received_bytes) FROM sentinel.egress")
    assert found == [(second,)]  # its own session included
