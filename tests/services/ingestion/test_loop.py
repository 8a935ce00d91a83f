"""The loop: ticks, outages, restarts, and the command."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from demo.server import Fault, StandIn
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.analytics.forecast_band import MIN_CHANGES
from sentinel.backtesting import strategies
from sentinel.backtesting.portfolio import DEFAULT_INITIAL_USD, Costs
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.clocks import Clocks
from sentinel.errors import SentinelError
from sentinel.notifications import telegram
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.targets import make_targets
from sentinel.paper_trading import wallets
from sentinel.storage import embedded
from sentinel.storage.connection import Session
from sentinel.storage.queries.recent_activity import RecentActivity, read_recent_activity
from services.ingestion.__main__ import print_summary
from services.ingestion.loop import MAX_FAILED_TICKS, Loop
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase, open_to_other_users
from tests.sentinel.notifications.helpers import TOKEN
from tests.support.commands import Module, wait_until
from tests.support.monitor import ENGLISH, Reply, Target, listening, load, minutes
from tests.support.telegram import BLOCKED

# A threshold so low that there are alerts in every hour.
LOW_THRESHOLD = MonitorOptions(min_threshold=0.001, max_threshold=0.001, alerts_per_coin_week=None)


HEARTBEAT_TIME = "SELECT recorded_at FROM sentinel.service_status WHERE service = 'ingestion'"


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as target:
        yield target


Start = Callable[..., Loop]


@pytest.fixture
def start(settings: Settings, time_: FakeTime, target: Target) -> Start:
    """Return a function that makes a loop over 40 coins. A second call is like a restart."""

    def start(
        options: MonitorOptions | None = None, clocks: Clocks | None = None, **changes: Any
    ) -> Loop:
        clocks = clocks or time_.clocks
        monitor = MonitorSettings(
            settings=dataclasses.replace(settings, **({"limit": 40} | changes)),
            options=options or MonitorOptions(),
        )
        return Loop(monitor, Notifier(make_targets([target.url]), clocks), ENGLISH, clocks)

    return start


def _ticks(loop: Loop, time_: FakeTime, count: int, every: float = 5) -> None:
    for _ in range(count):
        loop.tick()
        assert not loop.errors
        time_.at += minutes(every)


def _heartbeat(fresh: FreshDatabase) -> dict[str, Any]:
    [(state,)] = fresh.query(
        "SELECT state FROM sentinel.service_status WHERE service = 'ingestion'"
    )
    return dict(state)


def test_a_tick_stores_prices_updates_trackers_and_records_a_heartbeat(
    start: Start, fresh: FreshDatabase, tmp_path: Path
) -> None:
    loop = start(publish_url=str(tmp_path / "page"))
    report = loop.tick()
    loop.publication.wait()
    assert (tmp_path / "page" / "monitor.json").exists()
    assert report.status == "ok"
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(40,)]
    assert fresh.query("SELECT count(*) FROM sentinel.alert_trackers") == [(20,)]
    assert _heartbeat(fresh)["errors"] == []
    assert _heartbeat(fresh)["run_id"] == report.run_id
    assert _heartbeat(fresh)["clock_offset_seconds"] == 0


@pytest.mark.slow
def test_forecasts_are_made_after_an_hour_and_scored_later(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    prices = [(time_.now() - minutes(5 * n), "bitcoin", 90_000.0 + n) for n in range(1, 9)]
    load(fresh.address(), prices, time_.now())
    loop = start(targets=("bitcoin",))
    _ticks(loop, time_, 1)
    assert fresh.query("SELECT count(*) FROM sentinel.forecasts") == [(0,)]
    _ticks(loop, time_, 7)
    [(made, scored)] = fresh.query("SELECT count(*), count(actual_usd) FROM sentinel.forecasts")
    assert made > scored > 0
    [(counted, error, naive)] = fresh.query(
        "SELECT sum(scored), sum(abs_error), sum(abs_no_change) FROM sentinel.forecast_scores"
    )
    assert counted == scored
    assert error > 0
    assert naive > 0
    assert fresh.query(
        "SELECT count(*) FROM sentinel.forecasts WHERE due_at <> made_at + '10 min'"
    ) == [(0,)]


@pytest.mark.slow
def test_a_forecast_is_scored_once_and_has_a_band_once_changes_are_known(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    hour = [
        (time_.now() - minutes(5 * n), coin_id, price + n)
        for coin_id, price in (("bitcoin", 90_000.0), ("ethereum", 3_000.0))
        for n in range(1, 13)
    ]
    load(fresh.address(), hour, time_.now())
    fresh.query(
        "INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, slope_per_minute, "
        "predicted_usd, volatility, direction, actual_usd)"
        " SELECT coin_key, %s - n * interval '5 min', %s, 100, 0, 100, 0.001, 'neutral', 100 + n"
        " FROM sentinel.coins, generate_series(3, %s) AS n",
        time_.now(),
        time_.now(),
        MIN_CHANGES + 1,  # one fewer than a band needs
    )
    _ticks(start(targets=("bitcoin", "ethereum")), time_, 5)
    rows = fresh.query(
        "SELECT low_usd < price_usd AND price_usd < high_usd, constant_radius, volatility_class "
        "FROM sentinel.forecasts WHERE volatility <> 0.001::real ORDER BY made_at"
    )
    assert [None in row for row in rows] == [True] * 6 + [False] * 4
    assert all(is_around for is_around, *_ in rows[6:])
    [(scored, counted)] = fresh.query(
        "SELECT (SELECT count(actual_usd) FROM sentinel.forecasts WHERE volatility <> 0.001::real),"
        " (SELECT sum(scored) FROM sentinel.forecast_scores)"
    )
    assert scored == counted == 4


@pytest.mark.slow
def test_with_a_tick_per_minute_forecasts_are_made_every_five_minutes(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    hour = [(time_.now() - minutes(n), "bitcoin", 90_000.0 + n) for n in range(1, 62)]
    load(fresh.address(), hour, time_.now())
    _ticks(start(targets=("bitcoin",)), time_, 16, every=1)
    rows = fresh.query("SELECT made_at FROM sentinel.forecasts ORDER BY made_at")
    pauses = {
        round((later - earlier).total_seconds() / 60) for (earlier,), (later,) in pairwise(rows)
    }
    assert len(rows) == 4
    assert pauses == {5}


@pytest.mark.slow
def test_alerts_reach_the_target(start: Start, time_: FakeTime, target: Target) -> None:
    _ticks(start(LOW_THRESHOLD), time_, 12)
    assert any("below its high" in title or "above its low" in title for title in target.titles)


@pytest.mark.slow
def test_a_restart_before_every_tick_gives_the_same_alerts(
    start: Start, time_: FakeTime, fresh: FreshDatabase, target: Target
) -> None:
    for _ in range(15):
        _ticks(start(LOW_THRESHOLD), time_, 1)
    alerts = "SELECT coin_key, kind, observed_at, level FROM sentinel.alerts ORDER BY alert_id"
    restarted = fresh.query(alerts)
    titles = sorted(target.titles)
    fresh.query(
        "TRUNCATE sentinel.alerts, sentinel.alert_trackers, sentinel.outbox, sentinel.alert_targets"
    )
    fresh.query("TRUNCATE sentinel.observations, sentinel.pipeline_runs")
    fresh.query("UPDATE sentinel.coins SET observed_at = NULL")
    target.accepted.clear()
    time_.at -= minutes(15 * 5)
    _ticks(start(LOW_THRESHOLD), time_, 15)
    assert fresh.query(alerts) == restarted != []
    assert sorted(target.titles) == titles


def test_held_coins_are_fetched_even_outside_the_top_coins(
    start: Start, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    loop = start()
    _ticks(loop, time_, 1)
    far = stand_in.market.ranked[90].id
    fresh.query(
        "INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)"
        f" VALUES (now(), '{far}', 1, 1, 0, '')"
    )
    calls = len(stand_in.paths("simple/price"))
    _ticks(loop, time_, 1)
    assert fresh.query("SELECT count(*) FROM stored_rows WHERE coin_id = %s", far) == [(1,)]
    assert len(stand_in.paths("simple/price")) == calls + 1
    assert loop.tick().targets == 40


@pytest.mark.slow
def test_watched_coins_are_backfilled_at_once_after_an_outage(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    loop = start(MonitorOptions(watchlist=["bitcoin", "no-such-coin"], top_coins=3))
    _ticks(loop, time_, 12)
    time_.at += timedelta(hours=3)
    assert loop.tick().status == "ok"
    filled = "SELECT count(*) FROM stored_rows WHERE coin_id = %s AND source = 'backfilled'"
    for coin_id in ("bitcoin", "ethereum"):
        assert fresh.query(filled, coin_id)[0][0] > 20


def test_a_long_interval_is_not_an_outage(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    loop = start(MonitorOptions(top_coins=3))
    loop.requested_interval = minutes(40)
    _ticks(loop, time_, 4, every=40)
    assert fresh.query("SELECT DISTINCT mode FROM sentinel.pipeline_runs") == [("ingest",)]


def test_gaps_are_not_checked_in_every_tick(
    start: Start, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[int] = []

    def counting(*arguments: Any, **options: Any) -> RecentActivity:
        checks.append(len(options["coin_ids"]))
        return read_recent_activity(*arguments, **options)

    monkeypatch.setattr("pipeline.store.read_recent_activity", counting)
    _ticks(start(), time_, 7)
    assert sorted(checks) == [0] * 5 + [40, 40]


def test_with_an_exhausted_budget_the_loop_ticks_hourly_and_reports_it(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    loop = start(quotas={"coingecko_credits": 3.0, "neon_compute_hours": None,
                         "neon_storage_bytes": None, "neon_egress_bytes": None,
                         "actions_minutes": None})  # fmt: skip
    for _ in range(4):
        loop.tick()
        time_.at += minutes(61)
    assert loop.failed_ticks == 0
    assert loop.interval() == minutes(60)
    assert "The run made no API call" in _heartbeat(fresh)["errors"][0]


def test_with_egress_used_up_the_loop_ticks_hourly(
    start: Start, time_: FakeTime, settings: Settings
) -> None:
    used = Usage(time_.at - minutes(5), 1.0, egress_bytes=4_900_000_000)
    settings.state_dir.mkdir(exist_ok=True)
    (settings.state_dir / "usage_log.json").write_text(usage_log.to_text([used]))
    assert start().interval() == minutes(60)


def test_watched_coins_are_fetched_in_addition_to_named_targets(
    start: Start, fresh: FreshDatabase
) -> None:
    start(MonitorOptions(watchlist=["ETH"], top_coins=0), targets=("bitcoin",)).tick()
    stored = fresh.query("SELECT DISTINCT coin_id FROM stored_rows ORDER BY 1")
    assert stored == [("bitcoin",), ("ethereum",)]


def test_a_mistyped_coin_is_logged_once(
    start: Start, time_: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    _ticks(start(MonitorOptions(watchlist=["bitcoinn"], top_coins=0), limit=5), time_, 2)
    assert caplog.text.count("in the watchlist or the price targets: bitcoinn") == 1


def test_a_clock_that_jumps_by_months_loses_no_history(
    start: Start, time_: FakeTime, fresh: FreshDatabase, stand_in: StandIn
) -> None:
    loop = start()
    _ticks(loop, time_, 3)
    truth = time_.at
    stand_in.now = truth.timestamp
    before = fresh.query("SELECT count(*) FROM stored_rows")
    time_.at += timedelta(days=70)
    loop.tick()
    time_.at = truth
    assert loop.tick().status == "ok"
    assert fresh.query("SELECT count(*) FROM stored_rows")[0] >= before[0]


def test_after_five_failed_ticks_of_an_api_outage_the_loop_ends(
    start: Start, time_: FakeTime, stand_in: StandIn, fresh: FreshDatabase
) -> None:
    loop = start()
    _ticks(loop, time_, 1)
    stand_in.always = Fault(503)
    with pytest.raises(SentinelError) as left:
        loop.run()
    assert left.value.exit_code == 3
    assert loop.failed_ticks == MAX_FAILED_TICKS
    assert _heartbeat(fresh)["failures_in_a_row"] == MAX_FAILED_TICKS
    stand_in.always = None
    time_.at += minutes(5)
    again = start()
    assert again.tick().status == "ok"
    assert again.failed_ticks == 0


def test_a_database_outage_loses_no_rows(
    start: Start, time_: FakeTime, fresh: FreshDatabase
) -> None:
    loop = start()
    _ticks(loop, time_, 1)
    away = dataclasses.replace(loop.monitor.settings, database_url="host=127.0.0.1 port=9 user=x")
    gone = dataclasses.replace(loop.monitor, settings=away)
    broken = Loop(gone, loop.notifier, loop.formatter, loop.clocks)
    assert broken.tick().exit_code == 4
    assert broken.failed_ticks == 1
    time_.at += minutes(5)
    report = start().tick()
    assert (report.status, report.rows_drained) == ("ok", 40)
    assert fresh.query('SELECT count(DISTINCT "timestamp") > 80 FROM stored_rows') == [(True,)]


def test_an_outage_of_a_target_delays_only_messages(
    start: Start, time_: FakeTime, target: Target, fresh: FreshDatabase
) -> None:
    target.always = Reply(500)
    loop = start(LOW_THRESHOLD)
    _ticks(loop, time_, 5)
    waiting = _heartbeat(fresh)["messages_waiting"]
    assert waiting > 0
    assert target.titles == []
    target.always = Reply()
    time_.at += minutes(10)
    loop._pause_until(time_.monotonic() + 300)
    assert len(target.titles) >= waiting


@pytest.mark.slow
@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(days=-2), timedelta(minutes=-7)])
def test_ticks_after_a_clock_jump_are_correct(
    start: Start, time_: FakeTime, fresh: FreshDatabase, jump: timedelta
) -> None:
    steady = [0.0]

    def sleep(seconds: float) -> None:
        steady[0] += seconds
        time_.at += timedelta(seconds=seconds)

    loop = start(LOW_THRESHOLD, Clocks(time_.now, lambda: steady[0], sleep))
    stamps = []
    for n in range(8):
        if n == 4:
            time_.at += jump
        report = loop.tick()
        assert report.status in ("ok", "partial"), report.message
        stamps.append(fresh.query("SELECT max(observed_at) FROM sentinel.coins")[0][0])
        loop._pause_until(steady[0] + 300)
    assert report.status == "ok"
    assert _heartbeat(fresh)["errors"] == []
    assert fresh.query("SELECT count(*) FROM (SELECT FROM sentinel.alerts GROUP BY coin_key, kind,"
                       " observed_at HAVING count(*) > 1) AS twice") == [(0,)]  # fmt: skip


def test_the_interval_is_what_the_credits_allow_or_a_longer_requested_one(
    start: Start, time_: FakeTime
) -> None:
    time_.at = time_.at.replace(day=1)
    loop = start(api_key=None)
    assert loop.interval() == minutes(1)
    loop.requested_interval = minutes(10)
    assert loop.interval() == minutes(10)
    demo = start()
    demo.requested_interval = minutes(1)
    assert minutes(4.5) < demo.interval() < minutes(5.5)


def test_the_loop_ticks_until_it_should_stop(start: Start, time_: FakeTime) -> None:
    loop = start(api_key=None)
    ends = time_.at + minutes(3.5)
    loop.should_stop = lambda: time_.at >= ends
    loop.run()
    assert time_.slept
    assert time_.at < ends + minutes(1)


def test_a_delivery_between_ticks_has_a_deadline_too(start: Start) -> None:
    loop = start(api_key=None)
    deadlines: list[str] = []
    found: list[str] = []

    @contextlib.contextmanager
    def deadline() -> Iterator[None]:
        deadlines.append("begins")
        yield
        deadlines.append("ends")

    def deliver(_loop: Loop, _seconds: float) -> None:
        found.extend(deadlines)

    loop.deadline = deadline
    loop.should_stop = lambda: bool(found)
    with mock.patch.object(Loop, "tick"), mock.patch.object(Loop, "_deliver", deliver):
        loop.run()
    assert found == ["begins", "ends", "begins"]


# --- as a process ----------------------------------------------------------------------------


def test_once_runs_one_tick(live_module: Module, fresh: FreshDatabase) -> None:
    done = live_module("services.ingestion", "--once")
    assert done.returncode == 0, done.stderr
    assert "116 of 120 coins" in done.stdout
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(116,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--interval", "soon"], "is not an interval"),
        (["--interval", "0s"], "is not an interval"),
        (["--interval", "25h"], "is not an interval"),
        (
            ["--once", "--config", "nowhere.json"],
            "nowhere.json cannot be read as JSON (FileNotFoundError: No such file",
        ),
    ],
)
def test_wrong_usage_is_explained(module: Module, arguments: list[str], message: str) -> None:
    done = module("services.ingestion", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_loop_sends_the_daily_summary_which_a_command_prints_too(
    start: Start, time_: FakeTime, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = start(limit=5)
    time_.at = NOW.replace(hour=0, minute=55)  # 07:55 in Jakarta
    _ticks(loop, time_, 2)
    assert target.titles == ["Daily summary, 20 Nov 08:00 WIB"]
    assert "Alerts in 24 hours: none\nRuns in 24 hours: " in target.messages[0]
    assert print_summary(loop.monitor, ENGLISH) == 0
    assert "\nQuotas: all last the month, highest: CoinGecko credits" in capsys.readouterr().out


@pytest.mark.slow
def test_the_test_notification_arrives_or_the_command_reports_why_not(
    module: Module, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = module("services.ingestion", "--test-notification", ALERT_URLS=target.url)
    assert done.returncode == 0, done.stderr
    assert target.titles == ["Market Sentinel: test message"]
    target.always = Reply(401)
    done = module("services.ingestion", "--test-notification", ALERT_URLS=target.url)
    assert done.returncode == 6
    assert "answered 401" in done.stderr
    assert "secret-path" not in done.stderr + done.stdout
    monkeypatch.setattr(telegram, "API_URL", target.base_url)
    target.always = BLOCKED
    bot = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "-100123"}
    done = module("services.ingestion", "--test-notification", **bot)
    reason = "Telegram answered 403: Forbidden: bot was blocked by the user."
    assert f"The test message did not arrive: {reason}" in done.stderr


@pytest.mark.slow
def test_sigterm_finishes_the_tick(live_module: Module, fresh: FreshDatabase) -> None:
    process = live_module.start("services.ingestion", COINGECKO_API_KEY="")
    state = Path(live_module.environment["SENTINEL_STATE_DIR"])
    wait_until(process, (state / "spool").exists)
    process.send_signal(signal.SIGTERM)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "stopping after this tick" in complaints
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(116,)]
    assert _heartbeat(fresh)["status"] == "ok"


@pytest.mark.slow
def test_a_second_signal_ends_the_loop_at_once(live_module: Module, live_stand_in: StandIn) -> None:
    live_stand_in.always = Fault(hang=60)
    process = live_module.start("services.ingestion")
    wait_until(process, lambda: bool(live_stand_in.requests))
    process.send_signal(signal.SIGTERM)
    assert process.stderr
    assert "stopping after this tick" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, complaints
    assert time.monotonic() - began < 10


@pytest.mark.before_first_run
@pytest.mark.slow
def test_a_second_monitor_in_the_same_state_directory_is_refused(
    live_module: Module, fresh: FreshDatabase
) -> None:
    process = live_module.start("services.ingestion")
    try:
        wait_until(
            process,
            lambda: bool(fresh.query("SELECT to_regclass('sentinel.service_status')")[0][0]),
        )
        done = live_module("services.ingestion", "--once")
        assert done.returncode == 2
        assert "Another monitor runs" in done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.soak
@pytest.mark.slow
def test_kill_9_at_any_moment_is_followed_by_a_correct_tick(
    live_module: Module,
    fresh: FreshDatabase,
    live_stand_in: StandIn,
    target: Target,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limit": 60, "monitor": LOW_THRESHOLD.model_dump()}))
    arguments = ("services.ingestion", "--once", "--config", str(config))
    minute = [time.time() - 12 * 60]  # ends at the present
    live_stand_in.now = lambda: minute[0]
    began = time.monotonic()
    assert live_module(*arguments, ALERT_URLS=target.url).returncode == 0
    usual = time.monotonic() - began
    for _ in range(12):
        minute[0] += 60
        process = live_module.start(*arguments, ALERT_URLS=target.url)
        time.sleep(dice.uniform(0.2, 1.0) * usual)  # at a random moment
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = live_module(*arguments, ALERT_URLS=target.url)
        assert done.returncode == 0, done.stderr
    assert _heartbeat(fresh)["errors"] == []
    assert not list((Path(live_module.environment["SENTINEL_STATE_DIR"]) / "spool").glob("2*"))
    # At most 20 are sent per minute. Each message marked as delivered did arrive.
    [(delivered,)] = fresh.query(
        "SELECT count(*) FROM sentinel.outbox WHERE delivered_at IS NOT NULL"
    )
    assert len(target.titles) >= delivered > 0
    titles = {title for (title,) in fresh.query("SELECT title FROM sentinel.outbox")}
    assert set(target.titles) <= titles
    [(alerts, messages)] = fresh.query(
        "SELECT (SELECT count(*) FROM sentinel.alerts), (SELECT count(*) FROM sentinel.outbox)"
    )
    assert messages <= alerts


@pytest.mark.slow
def test_after_the_database_was_killed_the_next_tick_succeeds(
    settings: Settings, time_: FakeTime, target: Target, tmp_path: Path
) -> None:
    own = dataclasses.replace(settings, database_url=None, limit=40, state_dir=tmp_path / "own")
    own.state_dir.mkdir()
    open_to_other_users(own.state_dir)
    notifier = Notifier(make_targets([target.url]), time_.clocks)
    loop = Loop(MonitorSettings(settings=own), notifier, ENGLISH, time_.clocks)
    with embedded.ensure_running(own.state_dir):
        _ticks(loop, time_, 2)
        [pid_file] = own.state_dir.rglob("postmaster.pid")
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
        loop.tick()
        time_.at += minutes(5)
        assert loop.tick().status == "ok"
        assert loop.errors == []


@pytest.fixture
def open_wallet(
    fresh: FreshDatabase, time_: FakeTime, settings: Settings, tmp_path: Path
) -> Callable[[str, str], None]:
    """Return a function that opens a wallet for Bitcoin with a built-in or an own strategy."""

    def open_wallet(name: str, word: str) -> None:
        if "\n" in word:  # the text of an own strategy
            path = tmp_path / f"{name}.py"
            path.write_text(word)
            word = str(path)
        strategy, at = strategies.load(word), time_.at
        with Session(fresh.address()) as session:
            opening = session.use(
                lambda c: wallets.compose_opening(c, ["bitcoin"], DEFAULT_INITIAL_USD, at)
            )
            session.use(
                lambda c: wallets.open_wallet(
                    c, name, strategy, Costs(), opening, at, settings.state_dir
                )
            )

    return open_wallet


def test_every_tick_steps_the_wallets_and_a_failing_strategy_is_no_error_of_the_loop(
    start: Start,
    time_: FakeTime,
    fresh: FreshDatabase,
    open_wallet: Callable[[str, str], None],
) -> None:
    loop = start()
    _ticks(loop, time_, 1)
    open_wallet("broken", "def decide(history, portfolio):\n    return 1 / 0\n")
    open_wallet("patient", "hold")
    _ticks(loop, time_, 3)
    assert fresh.query(
        "SELECT kind::text FROM sentinel.wallet_events WHERE wallet_id = 2 ORDER BY 1"
    ) == [
        ("filled",),
        ("opened",),
        ("ordered",),
    ]
    assert fresh.query("SELECT count(*) FROM sentinel.wallet_events WHERE wallet_id = 1") == [(1,)]


def test_a_strategy_that_hangs_is_asked_after_messages_and_heartbeat_and_ends_with_a_signal(
    start: Start,
    time_: FakeTime,
    fresh: FreshDatabase,
    target: Target,
    tmp_path: Path,
    open_wallet: Callable[[str, str], None],
) -> None:
    """The strategy hangs until the test has looked and asks the loop to stop."""
    asked = tmp_path / "asked"
    loop = start(LOW_THRESHOLD)
    _ticks(loop, time_, 1)
    recorded = fresh.query(HEARTBEAT_TIME)
    hang = f"    open({str(asked)!r}, 'w').close()\n    while True: pass\n"
    open_wallet("late", f"def decide(history, portfolio):\n{hang}")
    open_wallet("patient", "hold")
    load(fresh.address(), [(time_.now() - minutes(1), "bitcoin", 1.0)], time_.now())
    seen: list[tuple[object, int]] = []

    def should_stop() -> bool:
        if asked.exists() and not seen:
            [(recorded_at,)] = fresh.query(HEARTBEAT_TIME)
            seen.append((recorded_at, len(target.requests)))
        return bool(seen)

    loop.should_stop = should_stop
    _ticks(loop, time_, 1)
    [(recorded_at, messages)] = seen
    assert [(recorded_at,)] != recorded
    assert messages > 0
    assert fresh.query(
        "SELECT wallet_id, kind::text FROM sentinel.wallet_events ORDER BY 1, 2"
    ) == [
        (1, "opened"),
        (2, "opened"),
        (2, "ordered"),
    ]


def test_an_error_of_the_wallets_after_the_heartbeat_is_reported_by_the_next_one(
    start: Start,
    time_: FakeTime,
    fresh: FreshDatabase,
    open_wallet: Callable[[str, str], None],
) -> None:
    loop = start()
    _ticks(loop, time_, 1)
    open_wallet("patient", "hold")
    fresh.query("ALTER TABLE sentinel.wallet_events RENAME TO away")
    loop.tick()
    assert len(loop.errors) == 1
    assert _heartbeat(fresh)["errors"] == []
    fresh.query("ALTER TABLE sentinel.away RENAME TO wallet_events")
    time_.at += minutes(5)
    loop.tick()
    assert len(_heartbeat(fresh)["errors"]) == 1
    assert fresh.query("SELECT count(*) FROM sentinel.wallet_events") == [(2,)]
