"""The alert stage of a run: alerts once, in the run's own session, and no failure of the run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

from demo.server import Fault, StandIn
from ingest import RunReport, run_pipeline
from pipeline import alert_stage, alerts
from pipeline.job_summary import summarize
from pipeline.run import Run
from safe_zone import ROOT, Settings
from sentinel.alerting import stage
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.settings import AlertSettings
from sentinel.daily_summary import queueing
from sentinel.errors import Interrupted
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.quiet_hours import QuietHours
from sentinel.notifications.targets import make_targets
from sentinel.storage import service_status
from sentinel.storage.connection import Session
from tests.conftest import FakeTime, FreshDatabase
from tests.support.commands import Script, assert_error
from tests.support.monitor import ENGLISH, Reply, Target, listening

# The threshold is five per cent, whatever the volatility, and one coin is watched.
OPTIONS = MonitorOptions(
    top_coins=1,
    min_threshold=0.05,
    max_threshold=0.05,
    alerts_per_coin_week=None,
    daily_summary=None,
)
FELL = "Bitcoin (BTC) fell 15.0% below its high"
TEST = "Market Sentinel: test message"
WARNINGS = "Market Sentinel: the scheduled run has warnings"


class Killed(BaseException):
    """The process of a run ends."""


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as target:
        yield target


class Runs:
    """Makes runs 15 minutes apart, each with a price of bitcoin."""

    def __init__(self, settings: Settings, stand_in: StandIn, time_: FakeTime, url: str) -> None:
        self.settings, self.stand_in, self.time_ = replace(settings, limit=5), stand_in, time_
        self.alerts = AlertSettings(
            options=OPTIONS, alert_urls=(url,), dashboard_url="https://home.example"
        )

    def __call__(self, price_usd: float, *, pause_minutes: float = 15) -> RunReport:
        def rewrite(body: bytes) -> bytes:
            content = json.loads(body)
            content["bitcoin"]["usd"] = price_usd
            return json.dumps(content).encode()

        self.time_.at += timedelta(minutes=pause_minutes)
        self.stand_in.faults.append(Fault(path="/simple/price", rewrite=rewrite))
        return run_pipeline(
            self.settings, clocks=self.time_.clocks, is_scheduled=True, alert_settings=self.alerts
        )


@pytest.fixture
def run(settings: Settings, stand_in: StandIn, time_: FakeTime, target: Target) -> Runs:
    return Runs(settings, stand_in, time_, target.url)


@pytest.mark.parametrize("pause_minutes", [15, 26 * 60])
def test_a_fall_between_two_runs_arrives_once(
    run: Runs, target: Target, pause_minutes: float
) -> None:
    run(100_000)
    reports = [run(85_000, pause_minutes=pause_minutes), run(85_000), run(85_000)]
    assert target.titles == [TEST, FELL]
    assert "https://home.example/coin?coin=bitcoin" in target.messages[1]
    [report] = [report for report in reports if report.alerts_raised]
    assert (report.exit_code, report.warnings) == (0, [])
    assert (report.alerts_raised, report.messages_sent, report.messages_waiting) == (1, 1, 0)
    assert "| alerts | 1 raised; messages: 1 sent, 0 wait |" in summarize(report, None)


def test_a_price_target_of_the_settings_arrives_once(run: Runs, target: Target) -> None:
    entries = [{"coin": "BTC", "price": 100_000}]
    options = MonitorOptions.model_validate(
        {"top_coins": 0, "daily_summary": None, "price_targets": entries}
    )
    run.alerts = replace(run.alerts, options=options)
    for price in (99_000, 100_500, 101_000, 101_000):
        run(price)
    assert target.titles == [TEST, "Bitcoin (BTC) reached your target: $100,000.00 or more"]


def test_a_target_that_fails_is_a_warning_and_gets_the_message_from_the_next_run(
    run: Runs, target: Target
) -> None:
    run(100_000)
    target.always = Reply(500)
    reports = [run(85_000), run(85_000)]
    assert {report.exit_code for report in reports} == {0}
    [warning] = reports[-1].warnings
    assert warning == "JSON accepts no messages, 1 wait for the next run: JSON answered 500"
    assert (reports[-1].messages_sent, reports[-1].messages_waiting) == (0, 1)
    target.always = Reply()
    assert (run(85_000).messages_sent, target.titles) == (1, [TEST, FELL])


def test_a_target_that_hangs_holds_the_database_for_a_limited_time(
    run: Runs, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_stage, "ATTEMPT_SECONDS", 0.05)
    target.always = Reply(stall=60)
    report = run(100_000)
    assert (report.exit_code, report.rows_inserted, report.messages_waiting) == (0, 5, 1)
    assert "was not done after 0 s" in report.warnings[0]


@pytest.mark.parametrize("victim", ["load and alerts", "alerts and delivery"])
def test_a_run_that_is_killed_between_two_stages_repeats_and_loses_nothing(
    run: Runs, target: Target, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    run(100_000)
    run(85_000)
    with monkeypatch.context() as patch:
        place: tuple[object, str] = (Notifier, "deliver")
        if victim == "load and alerts":
            place = (alerts, "send_alerts")
        patch.setattr(place[0], place[1], mock.Mock(side_effect=Killed))
        try:
            run(85_000)
        except Killed:
            target.accepted.append(("killed", ""))
    run(85_000)
    run(85_000)
    assert sorted(title for title in target.titles if title != "killed") == sorted([TEST, FELL])


@pytest.mark.slow
def test_runs_and_the_loop_at_the_same_time_announce_once(
    run: Runs, target: Target, monkeypatch: pytest.MonkeyPatch, fresh: FreshDatabase
) -> None:
    run(100_000)
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "send_alerts", lambda *_: None)
        run(85_000)
        run(85_000)
    clocks = run.time_.clocks
    barrier = threading.Barrier(4)

    def send(is_loop: bool) -> None:
        with Session(fresh.address()) as session:
            barrier.wait()
            if not is_loop:
                made = Run(run.settings, clocks, alert_settings=run.alerts)
                made.alert_targets = alert_stage.prepare_targets(run.alerts)
                alert_stage.send_alerts(made, session, run.alerts)
                return
            notifier = Notifier(make_targets(run.alerts.alert_urls), clocks)
            session.use(
                lambda connection: stage.process_new_prices(
                    connection, OPTIONS, ENGLISH, notifier.names, clocks.now()
                )
            )
            session.use(lambda connection: notifier.deliver(connection, seconds=5))

    threads = [threading.Thread(target=send, args=(n % 2 == 0,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(85_000)  # sends what a locked target made wait
    assert target.titles == [TEST, FELL]


def test_an_unexpected_error_in_the_alert_stage_fails_neither_load_nor_backfill(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "process_new_prices", mock.Mock(side_effect=KeyError("state")))
    report = run(100_000)
    assert (report.status, report.exit_code, report.rows_inserted) == ("ok", 0, 5)
    assert report.warnings == ["Alerts wait for the next run: KeyError: 'state'"]


def test_an_error_in_the_daily_summary_holds_back_no_alert(
    run: Runs, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "queue_if_due", mock.Mock(side_effect=KeyError("moves")))
    report = run(100_000)
    assert target.titles == [TEST, WARNINGS]
    assert report.warnings == ["The daily summary waits for the next run: KeyError: 'moves'"]


def test_a_signal_during_the_delivery_ends_the_run_whose_rows_are_stored(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notifier, "deliver", mock.Mock(side_effect=Interrupted(15)))
    report = run(100_000)
    assert (report.exit_code, report.rows_inserted, report.warnings) == (143, 5, [])


def test_a_wrong_clock_of_the_machine_costs_no_alert(run: Runs, target: Target) -> None:
    def now() -> float:
        return run.time_.at.timestamp() - 2 * 86_400

    run.stand_in.now = now
    for price in (100_000, 85_000, 85_000):
        run(price)
    assert target.titles == [TEST, FELL]


def test_the_warnings_of_a_run_are_one_message_a_day(
    run: Runs, target: Target, session: Session, time_: FakeTime
) -> None:
    def record(connection: object) -> None:
        state = {"interval_seconds": 300}
        service_status.record(connection, "ingestion", state, time_.now())  # type: ignore[arg-type]

    session.use(record)
    for _ in range(4):
        run(100_000, pause_minutes=6 * 60)
    assert target.titles == [TEST, WARNINGS, WARNINGS]
    assert "The monitor on this database has been silent for 6 hours" in target.messages[1]


def test_a_run_delivers_nothing_while_quiet_hours_hold_all_that_waits(
    run: Runs, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(100_000)
    quiet = QuietHours.model_validate({"from": "11:00", "to": "20:00"})
    run.alerts = replace(run.alerts, options=OPTIONS.model_copy(update={"quiet_hours": quiet}))
    for _ in range(2):
        run(85_000)
    with monkeypatch.context() as patch:
        patch.setattr(Notifier, "deliver", mock.Mock(side_effect=KeyError))
        report = run(85_000)
    assert (report.messages_waiting, report.warnings, target.titles) == (1, [], [TEST])
    run(85_000, pause_minutes=8 * 60)
    assert target.titles[1:] == [f"Late (20 Nov 12:45 UTC): {FELL}"]


def test_a_run_sends_the_daily_summary_once(run: Runs, target: Target) -> None:
    options = OPTIONS.model_copy(update={"daily_summary": "13:00"})
    run.alerts = replace(run.alerts, options=options)
    run(100_000)  # at 12:15
    run(100_000, pause_minutes=50)
    run(100_000)
    [title] = [title for title in target.titles if title != TEST]
    assert "summary" in title.lower()


# --- the command ---------------------------------------------------------------------------------

OFF = dict.fromkeys(["apprise", "sentinel.alerting.settings", "pipeline.alert_stage"])


@pytest.mark.parametrize("mode", ["ingest", "backfill"])
def test_a_run_without_targets_or_in_another_mode_imports_no_alerts_and_writes_none(
    live_script: Script, fresh: FreshDatabase, target: Target, mode: str
) -> None:
    urls = target.url if mode == "backfill" else ""
    with mock.patch.dict(sys.modules, OFF):
        done = live_script("ingest.py", "--json", "--limit=3", f"--mode={mode}", ALERT_URLS=urls)
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["warnings"]) == (0, [])
    assert target.requests == []
    for table in ("alert_trackers", "alert_targets", "outbox"):
        assert fresh.query(f"SELECT count(*) FROM sentinel.{table}") == [(0,)]


def test_a_run_of_the_command_fetches_the_coins_of_its_settings_and_sends_its_first_message(
    live_script: Script, fresh: FreshDatabase, target: Target, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    price_targets = [{"coin": "pepe", "price": 1}]
    monitor = {"watchlist": ["neo-token"], "top_coins": 0, "price_targets": price_targets}
    config.write_text(json.dumps({"monitor": monitor}))
    done = live_script(
        "ingest.py", "--json", "--limit=3", "--config", str(config), ALERT_URLS=target.url
    )
    assert (json.loads(done.stdout)["messages_sent"], target.titles) == (1, [TEST])
    watched = "SELECT coin_id FROM sentinel.alert_trackers JOIN sentinel.coins USING (coin_key)"
    assert fresh.query(watched) == [("neo-token",)]
    assert fresh.query("SELECT coin_id FROM sentinel.price_targets") == [("pepe",)]


def test_without_the_packages_of_alerts_the_run_stores_prices_and_says_what_to_install(
    live_script: Script, target: Target
) -> None:
    lacking = {"apprise": None}
    with mock.patch.dict(sys.modules, lacking):
        for name in ("pipeline.alert_stage", "sentinel.notifications.targets"):
            sys.modules.pop(name, None)
        done = live_script("ingest.py", "--json", "--limit=3", ALERT_URLS=target.url)
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["rows_inserted"]) == (0, 3)
    assert "the package apprise is not installed" in report["warnings"][0]
    assert "requirements/alerts.txt" in done.stderr


@pytest.mark.slow
def test_the_alert_stage_needs_no_package_of_the_monitor_or_the_archive() -> None:
    """A runner installs requirements/alerts.txt only."""
    program = (
        "import sys, pipeline.alert_stage, importlib.metadata as m;"
        "found = m.packages_distributions();"
        "print(*{p for name in sys.modules for p in found.get(name.partition('.')[0], [])})"
    )
    output = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    needed = {name.lower().replace("_", "-") for name in output.split()}
    folder = ROOT / "requirements"
    text = "".join((folder / f"{name}.in").read_text() for name in ("containers", "archive"))
    others = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
    assert "numpy" in others
    assert "apprise" in needed
    assert not needed & others


def test_a_wrong_option_of_alerts_is_an_error_of_a_run_with_targets(
    live_script: Script, target: Target, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"monitor": {"time_zone": "Mars", "top_coin": 3}}')
    done = live_script("ingest.py", "--config", str(config), ALERT_URLS=target.url)
    assert_error(done, 2, "monitor.time_zone", "did you mean 'top_coins'?")
    half = live_script("ingest.py", TELEGRAM_BOT_TOKEN="1:secret")
    assert_error(half, 2, "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID go together")
