"""The doctor: one line for each subject, with what to do, and exit code 6 if one failed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from pydantic.fields import FieldInfo

from demo.server import Fault, StandIn
from pipeline.doctor import database, machine, monitor, publication
from safe_zone import Settings
from sentinel.health.facts import HealthCheck
from sentinel.notifications import telegram
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.support.commands import Module, Script
from tests.support.monitor import Reply, Target, listening
from tests.support.site import make_status

DOCTOR = "pipeline.doctor"


@pytest.fixture
def doctor(live_script: Script) -> Module:
    return Module(live_script.folder, live_script.environment)


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    with listening() as target:
        monkeypatch.setattr(telegram, "API_URL", target.base_url)
        monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw")
        monkeypatch.setenv("TELEGRAM_CHAT_ID", "-100123")
        yield target


def _states(output: str) -> dict[str, str]:
    return {check["name"]: check["state"] for check in json.loads(output)["checks"]}


def test_after_a_run_nothing_fails(live_script: Script, doctor: Module) -> None:
    assert live_script("ingest.py").returncode == 0
    done = doctor(DOCTOR)
    assert (done.returncode, "FAILED" in done.stdout) == (0, False), done.stdout
    assert "ok       coingecko       CoinGecko takes the key (Demo plan)." in done.stdout
    found = json.loads(doctor(DOCTOR, "--json").stdout)
    assert found["healthy"] is True
    names = {check["name"] for check in found["checks"]}
    assert names >= {
        *("python", "packages", "settings", "env_file", "state_folder", "disk", "registry"),
        *(
            "coingecko",
            "coingecko_clock",
            "clock",
            "quotas",
            "database",
            "freshness",
            "last_run",
            "delivery",
        ),
        *("backup", "schedule", "archive", "alerts", "heartbeat"),
    }


@pytest.mark.before_first_run
def test_before_the_first_run_it_says_what_comes_next(doctor: Module) -> None:
    done = doctor(DOCTOR)
    assert done.returncode == 6
    assert "warning  registry" in done.stdout
    assert "No run has stored anything in this database: run python ingest.py." in done.stdout


def test_a_broken_setup_has_a_line_for_each_fault(
    doctor: Module, live_stand_in: StandIn, tmp_path: Path
) -> None:
    live_stand_in.always = Fault(401, b'{"status":{"error_code":10002,"error_message":"no key"}}')
    (tmp_path / "coin_registry.json").write_text("{")
    url = "postgresql://me:hunter2@127.0.0.1:9/gone"
    broken = {**doctor.environment, "DATABASE_URL": url, "TELEGRAM_CHAT_ID": "5"}
    done = Module(doctor.folder, broken)(DOCTOR, "--json")
    assert done.returncode == 6
    failed = {name for name, state in _states(done.stdout).items() if state == "unhealthy"}
    assert failed == {"registry", "coingecko", "database", "alerts"}
    assert "hunter2" not in done.stdout + done.stderr


def test_wrong_settings_are_named_and_nothing_else_is_tried(doctor: Module) -> None:
    wrong = {**doctor.environment, "SENTINEL_PRIVATE_REPOSITORY": "perhaps"}
    done = Module(doctor.folder, wrong)(DOCTOR)
    assert done.returncode == 6
    assert done.stdout.splitlines()[-1].startswith("FAILED   settings        SENTINEL_PRIVATE_REPO")


@pytest.mark.parametrize(
    ("url", "state", "word"),
    [("archive", "ok", "0 days at"), ("s4://bucket/folder", "unhealthy", "s4")],
)
def test_the_archive_is_listed(
    doctor: Module, tmp_path: Path, url: str, state: str, word: str
) -> None:
    (tmp_path / "archive").mkdir()
    address = url if "://" in url else str(tmp_path / url)
    done = Module(doctor.folder, {**doctor.environment, "ARCHIVE_URL": address})(DOCTOR, "--json")
    [check] = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "archive"]
    assert (check["state"], word in check["message"]) == (state, True)


def test_a_neon_key_without_a_project_is_a_warning(doctor: Module) -> None:
    done = Module(doctor.folder, {**doctor.environment, "NEON_API_KEY": "x"})(DOCTOR, "--json")
    assert _states(done.stdout)["neon_api"] == "warning"


def test_published_documents_are_read_and_an_old_one_is_a_warning(tmp_path: Path) -> None:
    own = Settings(publish_url=str(tmp_path))
    (tmp_path / "monitor.json").write_text(
        make_status(maker="monitor", generated_at=NOW - timedelta(hours=4)).model_dump_json()
    )
    schedule, monitor = publication.check(own, NOW)
    assert (schedule.state, schedule.summary) == (
        "ok",
        f"status.json in {tmp_path}: not published yet.",
    )
    assert (monitor.state, monitor.summary) == (
        "warning",
        f"monitor.json in {tmp_path}: 4 hours old.",
    )
    assert list(publication.check(Settings(), NOW)) == []


# --- the machine -----------------------------------------------------------------------------


def _check_machine(settings: Settings, now: datetime = NOW) -> dict[str, HealthCheck]:
    return {check.name: check for check in machine.check(settings, now)}


def test_an_old_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pytest==1.0 \\\n    --hash=sha256:0\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    _python, packages = machine.check_installation()
    assert packages.state == "warning"
    assert "pytest" in packages.summary
    assert "instead of 1.0: run make setup" in packages.summary


def test_folders_and_files_that_others_can_open_are_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "read_file_system", lambda _folder: "ext4")
    settings.state_dir.mkdir()
    env_file = tmp_path / ".env"
    env_file.write_text("")
    for mode, state in ((0o755, "warning"), (0o700, "ok")):
        settings.state_dir.chmod(mode)
        env_file.chmod(mode & 0o666)
        found = _check_machine(settings)
        assert (found["state_folder"].state, found["env_file"].state) == (state, state)


def test_files_that_this_user_cannot_use_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = settings.state_dir / "spool"
    spool.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _rights: path != spool)
    found = _check_machine(settings)["state_folder"]
    assert (found.state, str(spool) in found.summary) == ("unhealthy", True)
    spool.rmdir()
    settings.state_dir.rmdir()
    settings.state_dir.symlink_to("/mnt/not-mounted")
    found = _check_machine(settings)["state_folder"]
    assert (found.state, "/mnt/not-mounted" in found.summary) == ("unhealthy", True)
    settings.registry_path.mkdir()  # a file that cannot be read
    assert _check_machine(settings)["registry"].state == "unhealthy"


@pytest.mark.parametrize(
    ("kind", "has_url", "state"),
    [
        ("ext4", False, "ok"),
        ("nfs4", False, "warning"),
        ("tmpfs", False, "warning"),
        ("exfat", False, "unhealthy"),
        ("exfat", True, "ok"),
        (None, False, "ok"),
    ],
)
def test_a_file_system_without_locks_or_owners_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, has_url: bool, state: str
) -> None:
    monkeypatch.setattr(machine, "read_file_system", lambda _folder: kind)
    tmp_path.chmod(0o700)
    settings = Settings(state_dir=tmp_path, database_url="postgresql://x/y" if has_url else None)
    assert _check_machine(settings)["state_folder"].state == state


def test_the_file_system_is_that_of_the_deepest_and_newest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "a / ext4 rw 0 0\nb /mnt exfat rw 0 0\nc /mnt/my\\040disk nfs4 rw 0 0\n"
        "d /mnt/my\\040disk btrfs rw 0 0\ne /mnt/my xfs rw 0 0\n"
    )
    for folder, kind in (
        ("/home", "ext4"),
        ("/mnt", "exfat"),
        ("/mnt/my disk/state", "btrfs"),
        ("/mnt/mine", "exfat"),
    ):
        assert machine.read_file_system(Path(folder), mounts) == kind
    assert machine.read_file_system(tmp_path, tmp_path / "none") is None  # not on Linux


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can be two users"
)
def test_a_state_folder_in_another_users_home_is_named(settings: Settings) -> None:
    settings.state_dir.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        found = _check_machine(replace(settings, state_dir=settings.state_dir / "state"))
    finally:
        os.seteuid(0)
    assert found["state_folder"].state == "unhealthy"
    assert "set SENTINEL_STATE_DIR" in found["state_folder"].summary
    assert found["registry"].state == "unhealthy"  # it is in a closed folder too


def test_a_registry_that_is_no_longer_synced_is_named(
    live_script: Script, settings: Settings
) -> None:
    live_script("ingest.py")
    now = datetime.now(NOW.tzinfo)
    assert _check_machine(settings, now)["registry"].state == "ok"
    later = _check_machine(settings, now + timedelta(days=4))["registry"]
    assert later.state == "warning"
    assert "look at the warnings of the runs" in later.summary


# --- the database ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({}, "ok", "PostgreSQL 18.1."),
        ({"is_superuser": True}, "warning", "superuser"),
        ({"is_read_only": True}, "unhealthy", "read-only"),
        ({"is_plain_tcp": True}, "warning", "sslmode=require"),
    ],
)
def test_a_role_or_server_that_is_not_suitable_is_named(
    changes: dict[str, bool], state: str, word: str
) -> None:
    settings = Settings(database_url="postgresql://db.example.org/x")
    usual = {"is_superuser": False, "is_read_only": False, "is_plain_tcp": False}
    role = database.Role("18.1", **(usual | changes))
    found = database.judge_role(settings, "x on db.example.org", role)
    assert found.state == state
    assert word in found.summary


@pytest.mark.parametrize(
    ("address", "state"),
    [
        ("postgresql:///x?hostaddr=203.0.113.7", "warning"),
        ("host=localhost dbname=x", "ok"),
        ("postgresql://[::1]/x", "ok"),
    ],
)
def test_only_a_network_needs_encryption(address: str, state: str) -> None:
    role = database.Role("18.1", is_superuser=False, is_read_only=False, is_plain_tcp=True)
    assert database.judge_role(Settings(database_url=address), "x", role).state == state


def test_a_schedule_that_rarely_comes_is_a_warning(
    live_script: Script, doctor: Module, fresh: FreshDatabase
) -> None:
    live_script("ingest.py")
    fresh.query("UPDATE sentinel.pipeline_runs SET started_at = started_at - interval '2 hours'")
    live_script("ingest.py")
    assert _states(doctor(DOCTOR, "--json").stdout)["schedule"] == "warning"


# --- the monitor -----------------------------------------------------------------------------


def _check_monitor() -> dict[str, HealthCheck]:
    return {check.name: check for check in monitor.check(Settings(), NOW)}


def test_the_bot_is_asked_whether_it_sees_the_chat_and_sends_nothing(chat: Target) -> None:
    assert _check_monitor()["alerts"].summary == "Telegram: the bot sees the chat."
    [(path, content)] = chat.requests
    assert (path.rpartition("/")[2], content) == ("getChat", {"chat_id": -100123})
    chat.always = Reply(401, b'{"ok":false,"error_code":401,"description":"Unauthorized"}')
    found = _check_monitor()["alerts"]
    assert found.state == "unhealthy"
    assert found.summary.startswith("Telegram answered 401: Unauthorized: check TELEGRAM_BOT_TOKEN")


@pytest.mark.usefixtures("chat")
def test_a_telegram_that_does_not_respond_is_named_without_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telegram, "API_URL", "http://127.0.0.1:9")
    found = _check_monitor()["alerts"]
    assert found.state == "unhealthy"
    assert "AAHdq" not in found.message


@pytest.mark.parametrize(
    ("name", "value", "check", "state"),
    [
        ("ALERT_URLS", "json://127.0.0.1:9/hook", "alerts", "ok"),
        ("ALERT_URLS", "nonsense", "alerts", "unhealthy"),
        ("TELEGRAM_CHAT_ID", "5", "alerts", "unhealthy"),  # without a token
        ("HEARTBEAT_URL", "https://hc.example/x", "heartbeat", "ok"),
        ("SENTINEL_STATE_DIR", "x", "heartbeat", "warning"),  # none is set
        ("HEARTBEAT_URL_BACKUP", "https://hc.example/x", "heartbeat", "warning"),
        ("TUNNEL_TOKEN", "x", "tunnel", "warning"),  # without its public name
        ("SENTINEL_PUBLIC_HOSTS", "nowhere.invalid", "tunnel", "warning"),
    ],
)
def test_what_the_monitor_talks_to_is_checked(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, state: str
) -> None:
    monkeypatch.setenv(name, value)
    assert _check_monitor()[check].state == state


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTINEL_PUBLIC_HOSTS", "https://a.org"),
        ("SENTINEL_API_TOKEN", "a-short-one"),
        ("HEARTBEAT_URL_MONITOR", "hc.example/x"),
        ("HEARTBEAT_URL_BACKUP", "hc.example/x"),
        ("SENTINEL_DASHBOARD_PORT", "99999"),
    ],
)
def test_a_wrong_setting_of_the_monitor_is_named(doctor: Module, name: str, value: str) -> None:
    done = doctor(DOCTOR, **{name: value})
    assert done.returncode == 6
    assert done.stdout.splitlines()[-1].startswith(f"FAILED   monitor         {name} ")


@pytest.mark.parametrize(
    ("status", "location", "state"),
    [
        (302, "https://team.cloudflareaccess.com/cdn-cgi/access/login/x", "ok"),
        (401, "", "ok"),
        (200, "", "unhealthy"),
        (302, "https://cloudflareaccess.com.evil.example/", "unhealthy"),
        (502, "", "warning"),
    ],
)
def test_a_dashboard_that_is_open_to_strangers_fails(
    status: int, location: str, state: str
) -> None:
    assert monitor.judge_public_host("home.example.org", status, location).state == state


def test_the_doctor_validates_the_monitors_variables_as_the_monitor_does() -> None:
    """pipeline/ imports no service, so it has types of its own for them."""

    def list_variables(settings: type) -> set[object]:
        hints = get_type_hints(settings, include_extras=True).values()
        options = [option for hint in hints for option in get_args(hint)]
        aliases = {o.validation_alias for o in options if isinstance(o, FieldInfo)}
        return {alias for alias in aliases if alias not in (None, "monitor")}

    any_text = {"SENTINEL_API_HOST", "SENTINEL_DASHBOARD_HOST"}
    of_the_monitor = list_variables(MonitorSettings) - any_text
    assert list_variables(monitor.MonitorVariables) == of_the_monitor
