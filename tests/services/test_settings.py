"""The settings of the monitor, the messages for wrong ones, and the polling interval."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api_library import DEMO, KEYLESS, PRO
from sentinel.errors import ConfigurationError
from sentinel.notifications.kinds import DEFAULT_LOUDNESS
from sentinel.notifications.targets import make_targets
from services.ingestion.polling_interval import affordable_interval
from services.settings import load_monitor_settings

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _load(tmp_path: Path, monitor: Any = None, **environ: str) -> Any:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"monitor": monitor} if monitor is not None else {}))
    return load_monitor_settings(config=str(path), environ=environ)


def test_every_setting_has_a_default(tmp_path: Path) -> None:
    monitor = _load(tmp_path)
    assert monitor.alert_urls == ()
    assert (monitor.api_host, monitor.api_port) == ("127.0.0.1", 8000)
    assert (monitor.options.top_coins, monitor.options.alerts_per_coin_week) == (20, 2.0)


def test_a_kind_without_a_loudness_keeps_its_default(tmp_path: Path) -> None:
    options = _load(tmp_path, {"loudness": {"reversal": "silent"}}).options
    assert options.loudness == {**DEFAULT_LOUDNESS, "reversal": "silent"}


def test_telegram_is_the_first_target_and_the_repr_shows_no_secret(tmp_path: Path) -> None:
    monitor = _load(
        tmp_path,
        TELEGRAM_BOT_TOKEN="123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
        TELEGRAM_CHAT_ID="-100123",
        ALERT_URLS="json://localhost:9/x, ntfy://topic",
        SENTINEL_API_TOKEN="geheim-0123456789",
    )
    assert [url.partition(":")[0] for url in monitor.alert_urls] == ["tgram", "json", "ntfy"]
    assert make_targets(monitor.alert_urls)[0].label == "Telegram"
    for secret in ("AAHdq", "geheim", "topic"):
        assert secret not in repr(monitor)


@pytest.mark.parametrize(
    ("monitor", "environ", "message"),
    [
        ({"tops": 3}, {}, "monitor: unknown key 'tops'; did you mean 'top_coins'?"),
        ({"top_coins": -1}, {}, "monitor.top_coins '-1' must be greater than or equal to 0"),
        ({"top_coins": "20"}, {}, "monitor.top_coins '20' must be a valid integer"),
        ([], {}, "monitor must be an object"),
        (
            {"min_threshold": 0.5},
            {},
            "monitor.max_threshold 0.25 is below monitor.min_threshold 0.5",
        ),
        ({"time_zone": "Mars/Base"}, {}, "monitor.time_zone 'Mars/Base' is not a time zone"),
        ({"time_zone": "../etc"}, {}, "not a time zone"),
        (
            {"quiet_hours": {"from": "7:00", "to": "08:00"}},
            {},
            "monitor.quiet_hours.from '7:00' is not a time of day",
        ),
        ({"quiet_hours": {"from": "07:00", "to": "07:00"}}, {}, "from and to are both 07:00"),
        ({"quiet_hours": {"from": "23:00"}}, {}, "monitor.quiet_hours.to"),
        *(
            ({option: 1e-300}, {}, f"monitor.{option} '1e-300' must be greater than")
            for option in ("window_hours", "horizon_hours", "volatility_half_life_hours")
        ),
        ({"daily_summary": "25:00"}, {}, "monitor.daily_summary '25:00' is not a time of day"),
        ({"loudness": {"panic": "quiet"}}, {}, "monitor.loudness"),
        ({"loudness": {"panics": "off"}}, {}, "monitor.loudness"),
        ({"language": "de"}, {}, "monitor.language 'de' must be 'en' or 'id'"),
        ({"alerts_per_coin_week": 0}, {}, "monitor.alerts_per_coin_week"),
        ({"watchlist": "bitcoin"}, {}, "monitor.watchlist"),
        ({}, {"TELEGRAM_CHAT_ID": "5"}, "go together"),
        ({}, {"SENTINEL_API_PORT": "http"}, "SENTINEL_API_PORT 'http' must be a port"),
        ({}, {"SENTINEL_API_PORT": "70000"}, "SENTINEL_API_PORT"),
        ({}, {"SENTINEL_API_TOKEN": "zwei worte"}, "SENTINEL_API_TOKEN"),
        ({}, {"SENTINEL_API_TOKEN": "fifteen-letters"}, "SENTINEL_API_TOKEN has 15 characters"),
        ({}, {"SENTINEL_PUBLIC_HOSTS": "*.example.org"}, "'*.example.org' stands for many names"),
        ({}, {"SENTINEL_PUBLIC_HOSTS": "a.org, *"}, "SENTINEL_PUBLIC_HOSTS '*' stands for"),
        ({}, {"SENTINEL_LOCAL_USERS": "root, missing"}, "'missing' is not a user of this machine"),
        ({}, {"SENTINEL_PUBLIC_HOSTS": "https://a.org"}, "leave out https://"),
        ({}, {"SENTINEL_PUBLIC_HOSTS": "a.org:443"}, "leave out https://"),
        ({}, {"SENTINEL_API_ORIGINS": "https://a.org/app"}, "SENTINEL_API_ORIGINS 'https://a.org"),
        ({}, {"SENTINEL_API_ORIGINS": "*"}, "'*' is not the origin of a page"),
    ],
)
def test_the_error_names_the_wrong_setting_in_one_line(
    tmp_path: Path, monitor: Any, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)) as refused:
        _load(tmp_path, monitor, **environ)
    assert "\n" not in str(refused.value)
    assert "zwei worte" not in str(refused.value)


def test_errors_of_the_pipeline_and_of_the_monitor_are_reported_together(tmp_path: Path) -> None:
    monitor = {"top_coins": -1, "max_threshold": 0.001, "languages": "en"}
    environ = {
        "DATABASE_URL": "mysql://u:hunter2@h/d",
        "SENTINEL_DASHBOARD_PORT": "0",
        "TELEGRAM_BOT_TOKEN": "hunter2",
        "SENTINEL_API_URL": "http://user:hunter2@api",
    }
    with pytest.raises(ConfigurationError) as refused:
        _load(tmp_path, monitor, **environ)
    errors = str(refused.value).split("; ")
    for name in (*environ, "monitor.top_coins", "monitor.max_threshold", "monitor: unknown key"):
        assert sum(name in error for error in errors) == 1, name
    assert "hunter2" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such list")
def test_a_user_of_a_directory_service_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pwd.getpwall", list)
    assert _load(tmp_path, SENTINEL_LOCAL_USERS="root").local_users == ("root",)


def test_the_dashboard_finds_the_api_at_its_port_without_an_address(tmp_path: Path) -> None:
    assert _load(tmp_path, SENTINEL_API_PORT="8080").api_url == "http://127.0.0.1:8080"
    api_url = "http://api:8000/"
    monitor = _load(tmp_path, SENTINEL_API_PORT="8080", SENTINEL_API_URL=api_url)
    assert monitor.api_url == "http://api:8000"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("192.168.1.5", "http://192.168.1.5:8000"),
        ("pi.local", "http://pi.local:8000"),
    ],
)
def test_the_dashboard_finds_the_api_where_it_listens(tmp_path: Path, host: str, url: str) -> None:
    monitor = _load(tmp_path, SENTINEL_API_HOST=host)
    assert monitor.api_url == monitor.own_api_url == url


def test_the_configured_names_are_accepted_and_the_containers_name_only_in_containers(
    tmp_path: Path,
) -> None:
    names = {"SENTINEL_PUBLIC_HOSTS": "Sentinel.Example.org., nas", "SENTINEL_API_HOST": "pi.local"}
    hosts = _load(tmp_path, **names).hosts
    assert {"localhost", "sentinel.example.org", "nas", "pi.local"} <= hosts
    assert "api" not in hosts
    assert "api" in _load(tmp_path, SENTINEL_API_HOST="0.0.0.0").hosts


def test_an_invalid_target_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError, match="target 2 of 2") as refused:
        make_targets(["json://localhost", "nonsense://secret-token@host"])
    assert "secret-token" not in str(refused.value)


def test_keyless_and_pro_poll_every_minute_and_a_demo_key_about_every_five() -> None:
    assert affordable_interval(KEYLESS, None, 0, 500, NOVEMBER) == MINUTE
    assert affordable_interval(PRO, 100_000, 0, 500, NOVEMBER) == MINUTE
    assert 4.5 * MINUTE < affordable_interval(DEMO, 10_000, 0, 500, NOVEMBER) < 5.5 * MINUTE


def test_polling_slows_down_with_used_credits_and_waits_for_the_next_month_without_any() -> None:
    half = NOVEMBER + timedelta(days=15)
    assert affordable_interval(DEMO, 10_000, 8_000, 500, half) > 20 * MINUTE
    assert affordable_interval(DEMO, 10_000, 10_000, 500, half) == timedelta(days=15)


def test_the_interval_grows_with_the_number_of_calls() -> None:
    assert affordable_interval(KEYLESS, None, 0, 19_000, NOVEMBER) == timedelta(seconds=38 * 6)


def test_a_month_at_the_affordable_interval_stays_within_the_quota() -> None:
    at, used, daily = NOVEMBER, 0.0, NOVEMBER
    while at.month == 11:
        if at >= daily:
            used, daily = used + 5, daily + timedelta(days=1)
        used += 1
        at += affordable_interval(DEMO, 10_000, used, 500, at)
    assert 8_500 < used < 9_500
