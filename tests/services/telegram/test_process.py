"""The process itself: one for each bot, killed between an update and its answer, and stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safe_zone import ROOT, Settings
from sentinel.errors import ConfigurationError
from sentinel.notifications.alert_buttons import find_alert_buttons
from sentinel.notifications.targets import make_targets
from sentinel.storage.connection import open_connection
from services.settings import MonitorSettings
from services.telegram import __main__ as command
from services.telegram.access import make_access
from services.telegram.bot import Bot
from tests.conftest import FreshDatabase
from tests.services.telegram.conftest import API_TOKEN
from tests.support.commands import Module
from tests.support.monitor import Reply
from tests.support.telegram import OWNER, TOKEN, running_telegram

# The process talks to the stand-in instead of Telegram.
PROGRAM = """
import sys
from sentinel.notifications import telegram
telegram.API_URL = sys.argv.pop()
from sentinel.process import run_as_script
from services.telegram.__main__ import main
run_as_script(main)
"""


@contextlib.contextmanager
def _running(url: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url],
        cwd=ROOT,
        env=dict(environment),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)  # another process is working


@pytest.mark.slow
def test_a_process_that_is_killed_before_its_answer_carries_the_command_out_once(
    market: FreshDatabase, api_url: str, script_environment: dict[str, str], tmp_path: Path
) -> None:
    token = f"{os.getpid()}:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # other test runs have other locks
    environment = script_environment | {
        "DATABASE_URL": market.url,
        "SENTINEL_API_URL": api_url,
        "SENTINEL_API_TOKEN": API_TOKEN,
        "TELEGRAM_BOT_TOKEN": token,
        "TELEGRAM_CHAT_ID": str(OWNER),
    }
    with running_telegram(lambda: datetime.now(UTC)) as server:
        server.token = token
        server.fail("sendMessage", Reply(stall=60))
        server.say("/mute bitcoin")
        with _running(server.url, environment) as process:
            _wait_for(lambda: server.count("sendMessage"), process)
            settings = MonitorSettings(settings=Settings(state_dir=tmp_path / "other"))
            refusal = "Another process on this machine answers the commands of this bot"
            with pytest.raises(ConfigurationError, match=refusal), command._lock(token, settings):
                pass
        assert market.query("DELETE FROM sentinel.muted_coins RETURNING coin_id") == [("bitcoin",)]
        with _running(server.url, environment) as process:
            _wait_for(lambda: not server.state.updates, process)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log
        assert token not in log
        assert server.texts == []
    assert market.query("SELECT count(*) FROM sentinel.muted_coins") == [(0,)]
    status = market.query("DELETE FROM sentinel.service_status RETURNING state -> 'is_stopped'")
    assert status == [(True,)]
    shutil.rmtree(command.locate_lock_folder(token))


@pytest.mark.slow
@pytest.mark.usefixtures("bot_api")
@pytest.mark.parametrize(
    ("chat_id", "user_ids", "has_buttons"),
    [
        ("4711", (), True),
        ("-100123", (), False),
        ("-100123:5", (4711,), True),
        ("@channel", (), False),
    ],
)
def test_alerts_get_buttons_where_a_person_may_press_them(
    market: FreshDatabase,
    chat_id: str,
    user_ids: tuple[int, ...],
    has_buttons: bool,
) -> None:
    monitor = MonitorSettings(settings=Settings(database_url=market.url))
    access = make_access(chat_id, user_ids)
    command.make_poller(monitor, Bot(TOKEN), access, market.address()).poll()
    [target] = make_targets([f"tgram://{TOKEN}/{chat_id}/"])
    with open_connection(market.address()) as connection:
        now = datetime.now(UTC)
        buttons = find_alert_buttons(connection, target.chat, "panic", "bitcoin", now)
    assert bool(buttons) == has_buttons
    market.query("TRUNCATE sentinel.service_status")


def test_without_a_bot_the_process_says_which_settings_are_missing(module: Module) -> None:
    done = module("services.telegram")
    assert done.returncode == 2
    assert done.stderr.startswith("error: TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are not set")


def test_a_user_id_that_is_no_number_is_named(module: Module) -> None:
    done = module("services.telegram", TELEGRAM_USER_IDS="5, @me")
    assert done.returncode == 2
    assert "TELEGRAM_USER_IDS '@me' is not the id of a Telegram user" in done.stderr


def test_a_lock_folder_of_another_user_is_replaced_by_the_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "PARENT", tmp_path / "missing")
    monitor = MonitorSettings(settings=Settings(state_dir=tmp_path / "state"))
    with command._lock(TOKEN, monitor):
        assert os.listdir(tmp_path / "state") == [".telegram.lock"]  # noqa: PTH208
