"""The monthly budget: awake times, projections, decisions, and the output of the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import budget_monitor
from budget_monitor import BudgetStatus, check_budget_status
from demo.schedule import delivered_runs
from safe_zone import Settings
from sentinel.budget import budget_output, neon_api, quotas, usage_log
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.usage_log import Usage
from tests.conftest import NeonConsole
from tests.support.commands import Script

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
NEON = "postgresql://me:hunter2@ep-cool-darkness-123456-pooler.eu-central-1.aws.neon.tech/db"
MINUTE = timedelta(minutes=1)


def _every(minutes: float, days: float, start: datetime = MONTH, **fields: Any) -> list[Usage]:
    count = int(days * 1440 / minutes)
    fields = {"duration_seconds": 12.0, "api_credits": 1, "db_seconds": 1.0} | fields
    return [Usage(start + n * minutes * MINUTE, **fields) for n in range(count)]


def _check(usages: Sequence[Usage], at: datetime, **settings: Any) -> BudgetStatus:
    return check_budget_status(Settings(**settings), at, usages=usages)


def _usage_of(status: BudgetStatus, name: str) -> QuotaUsage:
    return next(meter for meter in status.quota_usages if meter.name == name)


# --- compute hours -----------------------------------------------------------------------------


def test_a_run_costs_its_database_time_and_tail_times_the_compute_size() -> None:
    status = _check([Usage(MONTH, 60.0, db_seconds=2.0)], MONTH + timedelta(hours=1))
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(302 / 3600 * 0.25)


def test_a_run_without_database_time_counts_with_its_whole_duration() -> None:
    status = _check([Usage(MONTH, 60.0)], MONTH + timedelta(hours=1), compute_units=1.0)
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(360 / 3600)


def test_a_run_that_did_not_connect_costs_no_compute() -> None:
    silent = [
        Usage(MONTH, 60.0, db_seconds=0.0),
        Usage(MONTH + timedelta(hours=1), 60.0, is_skipped=True),
        Usage(MONTH + timedelta(hours=2), 60.0, is_metered=False),
    ]
    assert _usage_of(_check(silent, MONTH + timedelta(days=1)), "neon_compute_hours").used == 0.0


@given(
    st.lists(
        st.tuples(st.integers(0, 86_400), st.integers(0, 4_000)),
        min_size=1,
        max_size=30,
        unique=True,
    ),
    st.integers(0, 100_000),
)
def test_overlapping_awake_times_count_once(runs: list[tuple[int, int]], until: int) -> None:
    usages = [Usage(MONTH + timedelta(seconds=at), float(length)) for at, length in runs]
    is_awake = bytearray(100_000)  # one byte for each second
    for at, length in runs:
        is_awake[at : at + length + 300] = bytes([1]) * (length + 300)
    stop = MONTH + timedelta(seconds=until)
    assert quotas.awake_time(usages, MONTH, stop) == timedelta(seconds=sum(is_awake[:until]))


def test_only_the_part_of_a_window_in_this_month_counts() -> None:
    usages = [Usage(MONTH - timedelta(seconds=100), 0.0)]
    status = _check(usages, MONTH + timedelta(hours=1))
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(200 / 3600 * 0.25)


def test_the_projection_uses_the_pace_since_the_first_run() -> None:
    usages = _every(15, 5, MONTH + timedelta(days=10))
    status = _check(usages, MONTH + timedelta(days=15))
    compute = _usage_of(status, "neon_compute_hours")
    used = 480 * 301 / 3600 * 0.25
    assert compute[1:3] == pytest.approx((used, 4 * used), rel=1e-3)


# --- decisions ------------------------------------------------------------------------------------


def test_a_quarter_hourly_cadence_stays_within_all_quotas() -> None:
    status = _check(_every(15, 20), MONTH + timedelta(days=20))
    assert (status.decision, _usage_of(status, "neon_compute_hours").state) == ("run", "ok")


def test_an_eight_minute_cadence_is_skipped_now_and_then() -> None:
    status = _check(_every(8, 10), MONTH + timedelta(days=10))
    assert (status.decision, _usage_of(status, "neon_compute_hours").state) == ("skip", "warn")
    assert status.reason.startswith("Neon compute hours would not last the month: 37.62 used")


def test_a_compute_that_is_always_awake_stops_the_runs() -> None:
    status = _check(_every(5, 30), MONTH + timedelta(days=29, hours=23))
    assert (status.decision, _usage_of(status, "neon_compute_hours").state) == ("stop", "stop")


def test_the_first_runs_of_a_month_do_not_set_the_pace() -> None:
    assert _check(_every(1, 5 / 1440), MONTH + 6 * MINUTE).decision == "run"


def test_usage_restarts_with_a_new_month() -> None:
    usages = _every(5, 30)
    assert _check(usages, MONTH + timedelta(days=30, hours=1)).decision == "run"


def _sum_up(log: list[Usage]) -> list[Usage]:
    """The last eight runs, and one that was awake as long as all before them together."""
    before = quotas.awake_time(log[:-8], MONTH, log[-8].started_at)
    return [Usage(MONTH, 12.0, 1, before.total_seconds() - 300), *log[-8:]]


@pytest.mark.parametrize(
    ("minutes", "compute_units", "longest_pause"),
    [pytest.param(5, 0.5, 20, marks=pytest.mark.slow), (15, 1.0, 45)],
)
def test_a_cadence_that_costs_too_much_is_reduced_until_it_fits(
    minutes: int, compute_units: float, longest_pause: int
) -> None:
    """A month of checks at this cadence never stops, and uses the quota but not more.

    The checks read a short log; one a day reads all runs too, and decides the same.
    """
    usages: list[Usage] = []
    log: list[Usage] = []
    at, skipped_in_a_row, longest = MONTH, 0, 0
    while at < MONTH + timedelta(days=30):
        status = _check(log, at, compute_units=compute_units)
        assert status.decision != "stop"
        is_going = status.decision == "run" or status.is_due
        if at.hour == at.minute == 0 and usages:
            full = _check(usages, at, compute_units=compute_units)
            assert (full.decision, full.is_due) == (status.decision, status.is_due)
        if is_going:
            usages.append(Usage(at, 12.0, 1, 1.0))
            log = [*(log if len(log) < 24 else _sum_up(log)), usages[-1]]
        skipped_in_a_row = 0 if is_going else skipped_in_a_row + 1
        longest = max(longest, skipped_in_a_row)
        at += minutes * MINUTE
    used = quotas.awake_time(usages, MONTH, at) / timedelta(hours=1) * compute_units
    assert 92 < used <= 95.1
    assert (longest + 1) * minutes <= longest_pause


def test_credits_that_would_not_last_skip_runs_and_used_up_credits_stop_them() -> None:
    key = {"api_key": "a-demo-key"}
    dear = _every(15, 10, api_credits=4)
    assert _check(dear, MONTH + timedelta(days=10), **key).decision == "skip"
    assert _check(dear, MONTH + timedelta(days=10)).decision == "run"  # keyless: no credits a month
    used_up = [Usage(MONTH, 1.0, 10_000, 0.0)]
    assert _check(used_up, MONTH + timedelta(days=10), **key).decision == "stop"
    assert _check(used_up, MONTH + timedelta(days=10), is_pro=True, **key).decision == "run"


def test_the_rest_of_a_quota_is_spread_over_neons_own_month(neon: NeonConsole) -> None:
    """Neon's month ends on the 5th, so its last hours are not spread over the calendar month."""
    period = {"consumption_period_start": "2026-11-05T00:00:00Z"}
    _figures(
        neon, **period, consumption_period_end="2026-12-05T00:00:00Z", compute_time_seconds=334_800
    )
    at = datetime(2026, 12, 2, tzinfo=UTC)
    settings = Settings(**_with_key(neon), database_url=NEON)
    runs = [Usage(at - timedelta(minutes=m), 12.0, 1, 1.0) for m in (60, 45)]
    meter = quotas.measure_quota_usage(
        runs,
        Settings().quotas | {"coingecko_credits": None},
        at,
        compute_units=0.25,
        backfill_per_day=0,
        is_private=False,
        figures=neon_api.read_project(settings),
    )[0]
    assert meter.exceeds_skip_share
    pause = quotas.minimum_pause(meter, runs, at, 0.25)
    assert pause == pytest.approx(3 * timedelta(days=1) * (301 / 3600 * 0.25 / 2), abs=MINUTE)


def test_failed_runs_and_backfills_do_not_change_the_cost_of_a_run() -> None:
    usages = _every(15, 10, api_credits=4)
    at = MONTH + timedelta(days=10)
    meter = _usage_of(_check(usages, at, api_key="k"), "coingecko_credits")
    usual = quotas.minimum_pause(meter, usages, at, 0.25)
    failed = [*usages, *(Usage(at, 1.0, 0, 0.0) for _ in range(4))]
    dear = [*usages, *(Usage(at, 1.0, 29, 1.0, backfill_credits=25) for _ in range(4))]
    assert usual > timedelta(minutes=10)
    assert quotas.minimum_pause(meter, failed, at, 0.25) == usual
    assert quotas.minimum_pause(meter, dear, at, 0.25) == usual


def test_storage_that_the_retention_limits_is_never_predicted_to_be_full() -> None:
    usages = [Usage(MONTH + timedelta(days=n), 1.0, db_bytes=n * 4_800_000) for n in range(20)]
    assert _check(usages, MONTH + timedelta(days=20)).days_until_storage_full is None


def test_one_expensive_day_does_not_cause_a_long_pause() -> None:
    """25 manual runs of 60 credits, then a quarter-hourly schedule."""
    usages = [Usage(MONTH + n * MINUTE, 1.0, 60, 0.1) for n in range(25)]
    at, silence, longest = MONTH + 30 * MINUTE, 0, 0
    while at < MONTH + timedelta(days=5):
        status = _check(usages, at, api_key="k")
        is_going = status.decision == "run" or status.is_due
        usages.append(Usage(at, 1.0, int(is_going), 0.1, is_skipped=not is_going))
        silence = 0 if is_going else silence + 15
        longest = max(longest, silence)
        at += 15 * MINUTE
    assert longest < 6 * 60


def test_the_backfill_is_reduced_before_runs_are() -> None:
    """A backfill that would exceed the quota does not skip runs: its allowance shrinks."""
    usages = _every(15, 10, api_credits=6, backfill_credits=5)
    status = _check(usages, MONTH + timedelta(days=10), api_key="k", backfill_credits_per_day=500)
    assert status.decision == "run"
    assert 0 < status.allowance.daily < 150


def test_todays_backfill_counts_against_todays_allowance() -> None:
    at = MONTH + timedelta(days=3, hours=12)
    usages = [
        Usage(at - timedelta(hours=13), 1.0, 50, 1.0, backfill_credits=50),
        Usage(at - timedelta(hours=2), 1.0, 30, 1.0, backfill_credits=30),
    ]
    assert _check(usages, at).allowance.left == 120


def test_storage_and_actions_minutes_warn_but_stop_no_run() -> None:
    usages = _every(15, 25, db_bytes=600_000_000)
    at = MONTH + timedelta(days=25)
    status = _check(usages, at, is_private_repository=True)
    assert _usage_of(status, "neon_storage_bytes").state == "stop"
    assert _usage_of(status, "actions_minutes").state == "stop"
    assert status.decision == "run"


def test_each_actions_job_is_rounded_up_and_public_repositories_are_free() -> None:
    usages = [Usage(MONTH, seconds) for seconds in (0.5, 60.0, 60.1)]
    at = MONTH + timedelta(days=1)
    assert _usage_of(_check(usages, at), "actions_minutes")[1:4] == (4.0, 120.0, None)
    private = _usage_of(_check(usages, at, is_private_repository=True), "actions_minutes")
    assert private.quota == 2000.0


def test_storage_is_measured_by_the_last_run_and_predicts_when_it_is_full() -> None:
    usages = [
        Usage(MONTH + timedelta(days=n), 1.0, db_bytes=100_000_000 + n * 10_000_000)
        for n in range(11)
    ]
    status = _check(usages, MONTH + timedelta(days=10))
    storage = _usage_of(status, "neon_storage_bytes")
    assert (storage.used, storage.projected) == (200e6, 400e6)
    assert status.days_until_storage_full == pytest.approx(30)
    assert _usage_of(_check([], MONTH), "neon_storage_bytes").used is None


def test_neons_quota_never_stops_runs_on_another_database(tmp_path: Path) -> None:
    at = MONTH + timedelta(days=29)
    _write(tmp_path / "usage_log.json", [Usage(MONTH, 12.0, 1, db_seconds=405 * 3600.0)])
    local = Settings(state_dir=tmp_path, database_url="postgresql://localhost/db")
    assert check_budget_status(replace(local, database_url=NEON), at).decision == "stop"
    # The log's last run used Neon, so the first run elsewhere is still stopped.
    # The entry of that run changes it.
    assert check_budget_status(local, at).decision == "stop"
    budget_monitor.save_run(local, Usage(at, 1.0, 0, 0.0, is_metered=False), at)
    assert check_budget_status(local, at + MINUTE).decision == "run"
    assert check_budget_status(replace(local, database_url=NEON), at + MINUTE).decision == "stop"


def test_runs_from_the_future_do_not_count_and_cause_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status = _check(_every(5, 30), MONTH + timedelta(days=1))
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(6.0, rel=0.01)
    assert "a clock was wrong" in caplog.text


@pytest.mark.parametrize("api_key", [None, "k"])
def test_a_quota_set_to_null_is_no_limit_for_any_plan(api_key: str | None) -> None:
    used_up = [Usage(MONTH, 1.0, 10_000, 0.0)]
    unlimited = Settings().quotas | {"coingecko_credits": None}
    status = _check(used_up, MONTH + timedelta(days=1), api_key=api_key, quotas=unlimited)
    assert (status.decision, _usage_of(status, "coingecko_credits").quota) == ("run", None)


def test_usage_without_a_quota_limits_nothing() -> None:
    unlimited = Settings().quotas | {"neon_compute_hours": None}
    status = _check(_every(5, 10), MONTH + timedelta(days=10), quotas=unlimited)
    assert (status.decision, _usage_of(status, "neon_compute_hours").state) == ("run", "ok")


def test_runs_that_did_not_reach_the_database_are_counted() -> None:
    later = MONTH + timedelta(days=1)
    failed = [Usage(later + timedelta(hours=1), 1.0, 1, 0.2, is_stored=False)]
    skipped = _every(15, 3 / 96, later, is_skipped=True, is_stored=False)
    usages = [*_every(60, 1), *skipped, *failed]
    assert _check(usages, MONTH + timedelta(days=2)).unrecorded_runs == 4


def test_the_log_alone_shows_a_schedule_that_delivers_half() -> None:
    usages = [Usage(at, 12.0) for at in delivered_runs(MONTH, MONTH + timedelta(days=10))]
    status = _check(usages, MONTH + timedelta(days=10))
    assert status.schedule_coverage.share is not None
    assert 0.4 < status.schedule_coverage.share < 0.56
    assert timedelta(minutes=40) < status.allowance.pause < timedelta(minutes=60)


def test_the_lead_of_the_backfill_follows_the_longest_silence_of_the_last_week() -> None:
    def silence(*hours: float) -> timedelta:
        """Return the lead after runs that many hours before the check."""
        at = MONTH + timedelta(days=20)
        usages = [Usage(at - timedelta(hours=ago), 12.0) for ago in hours]
        return _check(usages, at).allowance.silence

    assert silence() == silence(1, 0.5) == timedelta(hours=2)
    assert silence(20, 9, 1, 0) == timedelta(hours=11)
    assert silence(400, 200, 1, 0) == timedelta(hours=2)  # older than a week
    assert silence(100, 1, 0) == timedelta(hours=14)  # longer than any lead may be
    assert silence(9) == timedelta(hours=9)  # the silence that this run ends


def test_a_run_that_reached_no_database_does_not_shorten_the_silence() -> None:
    at = MONTH + timedelta(days=20)
    failed = Usage(at - timedelta(hours=3), 1.0, is_stored=False)
    usages = [Usage(at - timedelta(hours=6), 12.0), failed]
    assert _check(usages, at).allowance.silence == timedelta(hours=6)


# --- Neon's own figures ----------------------------------------------------------------------


def _with_key(neon: NeonConsole) -> dict[str, Any]:
    return {"neon_api_key": "napi-secret", "neon_project_id": "p-1", "neon_base_url": neon.url}


def _judge_own(
    usages: Sequence[Usage], at: datetime, neon: NeonConsole, folder: Path
) -> BudgetStatus:
    """The status of a deployment on Neon, by its own log and Neon's figures."""
    _write(folder / "usage_log.json", usages)
    return check_budget_status(Settings(state_dir=folder, database_url=NEON, **_with_key(neon)), at)


def _figures(neon: NeonConsole, **project: Any) -> None:
    neon.bodies["p-1"] = json.dumps({"project": project}).encode()
    branches = [{"logical_size": 300_000_000}, {"logical_size": 100_000_000}, {}]
    neon.bodies["branches"] = json.dumps({"branches": branches}).encode()


def test_the_larger_of_neons_figures_and_the_logs_decides(
    neon: NeonConsole, tmp_path: Path
) -> None:
    _figures(neon, compute_time_seconds=99 * 3600, branch_logical_size_limit_bytes=10**9)
    status = _judge_own(_every(60, 10), MONTH + timedelta(days=10), neon, tmp_path)
    compute, storage = (_usage_of(status, f"neon_{n}") for n in ("compute_hours", "storage_bytes"))
    assert (compute.reported, storage.reported, storage.quota) == (99.0, 400e6, 1e9)
    assert compute.used == pytest.approx(240 * 301 / 3600 * 0.25)
    assert status.decision == "skip"
    assert [path for _, path, _ in neon.requests] == [
        "/api/v2/projects/p-1",
        "/api/v2/projects/p-1/branches",
    ]


def test_neons_own_billing_month_is_used_if_it_is_known(neon: NeonConsole, tmp_path: Path) -> None:
    period = {"consumption_period_start": "2026-11-05T00:00:00Z"}
    _figures(neon, **period, consumption_period_end="2026-12-05T00:00:00Z")
    status = _judge_own(_every(15, 10), MONTH + timedelta(days=10), neon, tmp_path)
    used = 6 * 96 * 301 / 3600 * 0.25
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(used, rel=1e-3)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"message": "napi-secret"}', "rejects the key (401)"),
        (404, b"{}", "knows no such project"),
        (429, b"slow down", "status 429"),
        (500, b"<html>", "status 500"),
        (302, b"", "status 302"),
        (200, b"nonsense", "no usable response"),
        (200, b"[1, 2]", "status 200"),
        (200, b'{"project": 5}', "has no project"),
        (200, b"[" * 100_000, "no usable response"),
    ],
)
def test_an_error_of_neons_api_is_a_warning_and_the_run_continues(
    neon: NeonConsole, status: int, body: bytes, said: str, tmp_path: Path, caplog: Any
) -> None:
    neon.status, neon.bodies = status, {"p-1": body}
    assert _judge_own(_every(15, 1), MONTH + timedelta(days=1), neon, tmp_path).decision == "run"
    assert said in caplog.text
    assert "napi-secret" not in caplog.text


def test_neons_figures_of_the_last_month_do_not_stop_the_new_one(
    neon: NeonConsole, tmp_path: Path
) -> None:
    period = {"consumption_period_start": "2026-10-01T00:00:00Z"}
    _figures(
        neon, **period, consumption_period_end="2026-11-01T00:00:00Z", compute_time_seconds=360_000
    )
    status = _judge_own(_every(15, 1), MONTH + timedelta(days=1), neon, tmp_path)
    assert (status.decision, _usage_of(status, "neon_compute_hours").reported) == ("run", None)


@pytest.mark.parametrize("seconds", [10**401, 1e300, -5, True])
def test_impossible_figures_count_as_unknown(
    neon: NeonConsole, seconds: float, tmp_path: Path
) -> None:
    _figures(neon, compute_time_seconds=seconds)
    status = _judge_own(_every(15, 1), MONTH + timedelta(days=1), neon, tmp_path)
    assert _usage_of(status, "neon_compute_hours").reported is None


def test_invalid_values_in_neons_figures_count_as_unknown(
    neon: NeonConsole, tmp_path: Path
) -> None:
    _figures(
        neon,
        compute_time_seconds="many",
        consumption_period_start=5,
        consumption_period_end="2020-01-01",
        branch_logical_size_limit_bytes=-1,
    )
    status = _judge_own(_every(15, 1), MONTH + timedelta(days=1), neon, tmp_path)
    assert _usage_of(status, "neon_compute_hours").reported is None
    assert _usage_of(status, "neon_storage_bytes").quota == 500e6


def test_without_a_key_no_request_is_sent_and_a_key_without_project_warns(
    neon: NeonConsole, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check_budget_status(Settings(state_dir=tmp_path, neon_base_url=neon.url), MONTH)
    assert not neon.requests
    _check([], MONTH, **_with_key(neon))  # another log is not this project's
    assert not neon.requests
    half = Settings(state_dir=tmp_path, neon_base_url=neon.url, neon_api_key="napi-secret")
    check_budget_status(half, MONTH)
    assert not neon.requests
    assert "NEON_PROJECT_ID is not" in caplog.text


# --- suspending the compute ----------------------------------------------------------------------


def test_a_compute_is_suspended_by_its_own_id(neon: NeonConsole) -> None:
    settings = Settings(database_url=NEON, **_with_key(neon))
    assert neon_api.suspend(settings)
    assert neon.requests == [
        (
            "POST",
            "/api/v2/projects/p-1/endpoints/ep-cool-darkness-123456/suspend",
            "Bearer napi-secret",
        )
    ]


@pytest.mark.parametrize("status", [401, 404, 423, 500])
def test_a_compute_that_cannot_be_suspended_is_no_error(
    neon: NeonConsole, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    neon.status = status
    assert not neon_api.suspend(Settings(database_url=NEON, **_with_key(neon)))
    assert caplog.text == ""


def test_only_a_neon_database_is_suspended(neon: NeonConsole) -> None:
    for url in (None, "postgresql://localhost/db", "host=/tmp dbname=ep-x.neon.tech", "no address"):
        assert not neon_api.suspend(Settings(database_url=url, **_with_key(neon)))
    assert neon.requests == []


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (NEON, "ep-cool-darkness-123456"),
        ("postgresql://u@ep-a-1.c-3.us-east-2.aws.neon.tech/db?sslmode=require", "ep-a-1"),
        ("host=ep-b-2.eu-central-1.aws.neon.tech dbname=x", "ep-b-2"),
        ("postgresql://u@ep-a-1.neon.tech.example.org/db", None),
        ("postgresql://u@localhost/neon.tech", None),
    ],
)
def test_a_compute_is_identified_by_its_host(url: str, endpoint: str | None) -> None:
    assert neon_api.endpoint_of(url) == endpoint


def test_a_suspended_compute_has_a_short_tail() -> None:
    usages = [Usage(MONTH, 12.0, db_seconds=1.0, tail_seconds=5.0)]
    status = _check(usages, MONTH + timedelta(days=1))
    assert _usage_of(status, "neon_compute_hours").used == pytest.approx(6 / 3600 * 0.25)


# --- the command line --------------------------------------------------------------------------


def _write(path: Path, usages: Sequence[Usage]) -> str:
    path.write_text(usage_log.to_text(usages))
    return str(path)


def test_the_json_matches_the_contract(script: Script, tmp_path: Path) -> None:
    log = _write(tmp_path / "log.json", _every(15, 10))
    done = script("budget_monitor.py", "--json", "--log", log, "--at", "2026-11-11T00:00:00Z")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"], done.stderr) == (0, "run", "")
    assert list(found["meters"]) == [
        "neon_compute_hours",
        "neon_storage_bytes",
        "neon_egress_bytes",
        "coingecko_credits",
        "actions_minutes",
    ]
    for meter in found["meters"].values():
        assert meter.keys() >= {"used", "projected", "quota", "state", "source", "checked_on"}


def test_every_quota_names_its_source_unless_the_settings_change_it(tmp_path: Path) -> None:
    changed = Settings().quotas | {"actions_minutes": 3_000.0}
    settings = Settings(state_dir=tmp_path, api_key="k", quotas=changed)
    meters = budget_output.as_json(check_budget_status(settings, MONTH))["meters"]
    assert meters.pop("actions_minutes")["source"] is None
    for meter in meters.values():
        assert meter["source"].startswith("https://")
        assert meter["checked_on"] > "2026-01-01"


def test_a_used_up_quota_exits_with_5(script: Script, tmp_path: Path) -> None:
    log = _write(tmp_path / "log.json", _every(5, 30))
    done = script("budget_monitor.py", "--log", log, "--at", "2026-11-30T12:00:00")
    assert done.returncode == 5
    assert "decision: stop (Neon compute hours used up" in done.stdout


def test_the_table_shows_bars_and_schedule_coverage(script: Script, tmp_path: Path) -> None:
    log = _write(tmp_path / "log.json", _every(15, 20))
    done = script("budget_monitor.py", "--log", log, "--at", "2026-11-21")
    assert "██" in done.stdout
    assert "672 of 672 slots (100%)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--log", "nowhere.json"), "no such file"),
        (("--log", "/"), "is a folder, not a file"),
        (("--at", "tomorrow"), "--at: 'tomorrow' is not a time"),
        (("--at", "9999-12-31T23:59:59-14:00"), "is not a time"),
        (("--at", "0001-01-03"), "is not a time"),
        (("--log", "x" * 5_000), "no such file"),
    ],
)
def test_invalid_arguments_are_named(script: Script, arguments: tuple[str, ...], said: str) -> None:
    done = script("budget_monitor.py", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_damaged_log_is_a_warning_on_the_command_line(script: Script, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text("[{")
    done = script("budget_monitor.py", "--log", str(tmp_path / "log.json"))
    assert (done.returncode, "is damaged" in done.stderr) == (0, True)
