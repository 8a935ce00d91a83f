"""The commands as a user runs them: invalid input gets one or two plain lines and an exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest

import ingest
from demo.server import Fault, StandIn
from safe_zone import ROOT
from sentinel.storage import locks
from tests.conftest import FakeTime, FreshDatabase, make_market, open_to_other_users
from tests.support.commands import Script, assert_error

FULL = Path("/dev/full")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process wait between their tries by a clock that moves during sleeps."""
    clocks = FakeTime(datetime.now(UTC)).clocks
    monkeypatch.setattr(ingest, "run_pipeline", partial(ingest.run_pipeline, clocks=clocks))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "0"], "--limit '0' must be a whole number of coins"),
        (["--limit", "-5"], "--limit '-5' must be a whole number of coins"),
        (["--limit=abc"], "--limit 'abc' must be a whole number of coins"),
        (["--mode", "fast"], "--mode 'fast' must be 'ingest', 'dry-run' or 'backfill'"),
        (["--targets", ""], "--targets names no coin"),
        (
            ["--config", "nowhere.json"],
            "nowhere.json cannot be read as JSON (FileNotFoundError: No such file",
        ),
        (["--surprise"], "unrecognized arguments: --surprise"),
    ],
)
def test_the_error_names_the_invalid_flag(script: Script, arguments: list[str], words: str) -> None:
    assert_error(script("ingest.py", *arguments), 2, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"limit": 5', "cannot be read as JSON (JSONDecodeError: Expecting ','"),
        ('{"limits": 5}', "unknown key 'limits'; did you mean 'limit'?"),
        ("[1]", "must hold one JSON object"),
    ],
)
def test_the_error_names_the_invalid_config_file(
    script: Script, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "mine.json").write_text(text)
    assert_error(script("ingest.py", "--config", "mine.json"), 2, "mine.json", words)


@pytest.mark.parametrize("name", ["ingest.py", "verify_db.py", "reset_db.py"])
@pytest.mark.parametrize(
    "url", ["mysql://me:hunter2@host/d", "hunter2", "postgresql://me:hunter2@host:x/d"]
)
def test_an_invalid_database_url_is_a_configuration_error(
    live_script: Script, name: str, url: str
) -> None:
    assert_error(live_script(name, DATABASE_URL=url), 2, "DATABASE_URL")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/market", "market on 127.0.0.1"),
        ("host=/nowhere dbname=market user=me password=hunter2", "market on /nowhere"),
    ],
)
def test_rows_wait_in_the_spool_while_the_database_is_down(
    live_script: Script, url: str, words: str
) -> None:
    done = live_script("ingest.py", "--json", DATABASE_URL=url)
    assert_error(done, 4, words, "116 rows wait in the spool")
    assert json.loads(done.stdout)["rows_spooled"] == 116
    again = live_script("ingest.py", "--json")
    assert json.loads(again.stdout)["rows_drained"] == 116


@pytest.mark.before_first_run
def test_the_error_says_which_rights_a_user_lacks(
    live_script: Script, fresh: FreshDatabase
) -> None:
    fresh.query("DROP ROLE IF EXISTS poor")
    fresh.query("CREATE ROLE poor LOGIN")
    url = fresh.url.replace("user=postgres", "user=poor")
    done = live_script("ingest.py", DATABASE_URL=url)
    assert_error(done, 4, "permission denied", "GRANT CREATE ON DATABASE", "rows wait in the spool")


@pytest.mark.before_first_run
def test_a_schema_of_another_program_is_left_alone(
    live_script: Script, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE SCHEMA sentinel CREATE TABLE sentinel.coins (mine text)")
    assert_error(live_script("ingest.py"), 2, "schema sentinel of another program", "DATABASE_URL")
    assert fresh.query("SELECT * FROM sentinel.coins") == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("megabytes", [20, 38])
def test_a_full_disk_is_exit_4_with_a_plain_error_and_no_server_left_running(
    live_script: Script, tmp_path: Path, megabytes: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}M,mode=755", "none", disk], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        open_to_other_users(tmp_path)
        for _ in range(2):
            state_dir = str(disk / "state")
            done = live_script("ingest.py", DATABASE_URL="", SENTINEL_STATE_DIR=state_dir)
            assert (done.returncode, "Traceback" in done.stderr) == (4, False)
            assert "No space left" in done.stderr or "wrote only" in done.stderr
    finally:
        subprocess.run(["umount", disk], check=True)  # fails while a server uses it


@pytest.mark.slow
def test_environment_variables_for_postgres_and_proxies_are_ignored(
    live_script: Script, tmp_path: Path
) -> None:
    open_to_other_users(tmp_path)
    environment = {"PGPORT": "6543", "PGCHANNELBINDING": "require", "PGSSLMODE": "require"}
    environment |= {"http_proxy": "http://127.0.0.1:9", "DATABASE_URL": ""}
    done = live_script("ingest.py", **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("no_waiting")
def test_coingecko_unreachable_is_exit_3(script: Script) -> None:
    assert_error(script("ingest.py", "--json"), 3, "CoinGecko", "Connection refused")


def test_the_error_names_all_unknown_targets(live_script: Script) -> None:
    assert_error(live_script("ingest.py", "--targets", "BTC,etherium,zork"), 2, "etherium", "zork")


def test_unusual_targets_are_matched_as_typed(live_script: Script) -> None:
    done = live_script("ingest.py", "--json", "--targets=-11,_, Bitcoin Cash ,neo\u00a0,🟥🟩,100¥")
    report = json.loads(done.stdout)
    assert (done.returncode, report["targets"], report["rows_inserted"]) == (0, 6, 6)


def test_the_error_names_a_state_directory_that_cannot_be_created(
    live_script: Script, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    state_dir = str(tmp_path / "file" / "state")
    assert_error(live_script("ingest.py", SENTINEL_STATE_DIR=state_dir), 2, "SENTINEL_STATE_DIR")


def test_json_prints_one_object_and_nothing_else_on_stdout(live_script: Script) -> None:
    done = live_script("ingest.py", "--json")
    assert json.loads(done.stdout)["status"] == "ok"
    assert done.stdout.count("\n") == 1


def test_json_prints_one_object_even_if_the_settings_are_invalid(script: Script) -> None:
    done = script("ingest.py", "--json", "--limit", "0")
    assert_error(done, 2, "limit '0'")
    report = json.loads(done.stdout)
    assert (report["status"], report["exit_code"]) == ("failed", 2)
    assert "limit '0'" in report["message"]


def test_in_a_pipe_the_report_is_plain_text(live_script: Script) -> None:
    done = live_script("ingest.py")
    assert re.search(r"rows_inserted +116\n", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_dry_run_shows_what_it_would_write(live_script: Script, tmp_path: Path) -> None:
    done = live_script("ingest.py", "--mode", "dry-run", "--targets", "btc")
    assert "Would write 1 rows" in done.stdout
    assert re.search(r"bitcoin +[\d,.]+ ", done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("words", "is_unbuffered"),
    [(["budget_monitor.py", "--json"], ""), (["sandbox.py", "strategies"], "1")],
)
def test_output_to_a_full_device_is_exit_2_with_a_plain_error(
    live_script: Script, words: list[str], is_unbuffered: str
) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, ROOT / words[0], *words[1:]],
            env={**live_script.environment, "PYTHONUNBUFFERED": is_unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert re.fullmatch("error: The output cannot be written .No space left.*\n", done.stderr)


def test_a_closed_pipe_is_not_an_error(live_script: Script) -> None:
    process = live_script.start("verify_db.py", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_a_report(
    live_script: Script, live_stand_in: StandIn, number: signal.Signals, code: int
) -> None:
    live_stand_in.always = Fault(200, b"{}", hang=20)
    process = live_script.start("ingest.py", "--json")
    while not live_stand_in.requests:
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert f"Stopped by {number.name}" in stderr
    assert json.loads(stdout)["exit_code"] == code


@pytest.mark.slow
def test_a_signal_during_the_wait_for_the_lock_ends_the_run_and_keeps_the_rows(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py")
    with psycopg.connect(fresh.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [locks._WRITER_LOCK])
        process = live_script.start("ingest.py", "--json")
        while not fresh.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            time.sleep(0.02)
        process.terminate()
        started = time.monotonic()
        stdout, stderr = process.communicate(timeout=40)
    assert time.monotonic() - started < 5
    assert (process.returncode, json.loads(stdout)["rows_spooled"]) == (143, 116)
    assert "Traceback" not in stderr
    assert json.loads(live_script("ingest.py", "--json").stdout)["rows_drained"] == 116


# --- kills and parallel runs -----------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.slow
def test_the_next_run_is_complete_after_kills_at_any_moment(
    live_script: Script, live_stand_in: StandIn, fresh: FreshDatabase
) -> None:
    live_stand_in.market = make_market(620)
    live_stand_in.latency_seconds = 0.03
    for moment in range(12):
        live_stand_in.requests.clear()
        process = live_script.start("ingest.py", "--json")
        while not live_stand_in.requests:  # before, the process only imports
            time.sleep(0.005)
        time.sleep(moment * 0.03)
        process.kill()
        process.communicate()
    done = live_script("ingest.py", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"]) == (0, "ok")
    json.loads(Path(live_script.environment["SENTINEL_REGISTRY"]).read_text())
    with psycopg.connect(fresh.url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT (coin_key, observed_at)) FROM sentinel.observations"
        ).fetchone()
    assert row is not None
    assert row[0] == row[1] >= 500
    spool = Path(live_script.environment["SENTINEL_STATE_DIR"]) / "spool"
    assert list(spool.glob("*.jsonl")) == []


@pytest.mark.before_first_run
@pytest.mark.soak
@pytest.mark.slow
def test_parallel_runs_all_succeed(live_script: Script, fresh: FreshDatabase) -> None:
    processes = [live_script.start("ingest.py", "--json") for _ in range(3)]
    reports = [json.loads(process.communicate()[0]) for process in processes]
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    stored = fresh.query(
        "SELECT count(*), count(DISTINCT (coin_key, observed_at)) FROM sentinel.observations"
    )
    assert stored[0][0] == stored[0][1]
    assert fresh.query("SELECT count(*) FROM sentinel.pipeline_runs") == [(3,)]
