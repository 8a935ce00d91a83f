"""The commands as a user runs them: invalid input gets one or two plain lines and an exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

import database
from demo.server import Fault, StandIn
from safe_zone import ROOT
from sentinel.models import MarketRow
from sentinel.storage import locks
from sentinel.storage.connection import Session
from tests.conftest import FreshDatabase, Script

FULL = Path("/dev/full")
SECRETS = ("hunter2", "a-demo-key")


def _refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert one or two plain lines on stderr with these words, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("usage:")]
    errors = [line for line in lines if "error: " in line]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "0"], "limit '0' must be a whole number"),
        (["--limit", "-5"], "limit '-5' must be a whole number"),
        (["--limit=abc"], "limit 'abc' must be a whole number"),
        (["--mode", "fast"], "mode 'fast' is unknown"),
        (["--targets", ""], "targets names no coin"),
        (["--config", "nowhere.json"], "no such file"),
        (["--surprise"], "unrecognized arguments: --surprise"),
    ],
)
def test_a_wrong_flag_is_named(script: Script, arguments: list[str], words: str) -> None:
    _refused(script("ingest.py", *arguments), 2, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"limit": 5', "is not valid JSON"),
        ('{"limits": 5}', "unknown key 'limits'; did you mean 'limit'?"),
        ("[1]", "must hold one JSON object"),
    ],
)
def test_a_wrong_config_is_named(script: Script, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    _refused(script("ingest.py", "--config", "mine.json"), 2, "mine.json", words)


@pytest.mark.parametrize("name", ["ingest.py", "verify_db.py", "reset_db.py"])
@pytest.mark.parametrize(
    "url", ["mysql://me:hunter2@host/d", "hunter2", "postgresql://me:hunter2@host:x/d"]
)
def test_a_wrong_database_url_is_a_setting_to_correct(
    live_script: Script, name: str, url: str
) -> None:
    _refused(live_script(name, DATABASE_URL=url), 2, "DATABASE_URL")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/market", "market on 127.0.0.1"),
        ("host=/nowhere dbname=market user=me password=hunter2", "market on /nowhere"),
    ],
)
def test_a_database_that_is_not_there_costs_no_row(
    live_script: Script, url: str, words: str
) -> None:
    done = live_script("ingest.py", "--json", DATABASE_URL=url)
    _refused(done, 4, words, "500 rows wait in the spool")
    assert json.loads(done.stdout)["rows_spooled"] == 500
    again = live_script("ingest.py", "--json")
    assert json.loads(again.stdout)["rows_drained"] == 500


def test_a_user_without_rights_learns_what_to_grant(
    live_script: Script, fresh: FreshDatabase
) -> None:
    fresh.query("DROP ROLE IF EXISTS poor")
    fresh.query("CREATE ROLE poor LOGIN")
    url = fresh.url.replace("user=postgres", "user=poor")
    _refused(live_script("ingest.py", DATABASE_URL=url), 4, "permission denied", "Grant the user")


def test_a_schema_of_our_name_that_is_not_ours_is_left_alone(
    live_script: Script, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE SCHEMA sentinel CREATE TABLE sentinel.coins (mine text)")
    _refused(live_script("ingest.py"), 2, "schema sentinel of another program", "DATABASE_URL")
    assert fresh.query("SELECT * FROM sentinel.coins") == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("megabytes", [20, 38])
def test_a_full_disk_is_exit_4_in_plain_words_and_leaves_no_server(
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
        for path in (tmp_path, *tmp_path.parents):
            path.chmod(path.stat().st_mode | 0o011)
        for _ in range(2):
            state_dir = str(disk / "state")
            done = live_script("ingest.py", DATABASE_URL="", SENTINEL_STATE_DIR=state_dir)
            assert (done.returncode, "Traceback" in done.stderr) == (4, False)
            assert "No space left" in done.stderr or "wrote only" in done.stderr
    finally:
        subprocess.run(["umount", disk], check=True)  # fails while a server holds it


@pytest.mark.slow
def test_the_environments_own_words_for_postgres_and_proxies_do_no_harm(
    live_script: Script, tmp_path: Path
) -> None:
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o011)
    environment = {"PGPORT": "6543", "PGCHANNELBINDING": "require", "PGSSLMODE": "require"}
    environment |= {"http_proxy": "http://127.0.0.1:9", "DATABASE_URL": ""}
    done = live_script("ingest.py", **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_coingecko_unreachable_is_exit_3(script: Script) -> None:
    _refused(script("ingest.py", "--json"), 3, "CoinGecko", "Connection refused")


def test_unknown_targets_are_all_named(live_script: Script) -> None:
    _refused(live_script("ingest.py", "--targets", "BTC,etherium,zork"), 2, "etherium", "zork")


def test_odd_targets_are_taken_as_typed(live_script: Script) -> None:
    done = live_script("ingest.py", "--json", "--targets=-11,_, Bitcoin Cash ,neo\u00a0,🟥🟩,100¥")
    report = json.loads(done.stdout)
    assert (done.returncode, report["targets"], report["rows_inserted"]) == (0, 6, 6)


def test_a_state_directory_that_cannot_be_made_is_named(
    live_script: Script, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    state_dir = str(tmp_path / "file" / "state")
    _refused(live_script("ingest.py", SENTINEL_STATE_DIR=state_dir), 2, "SENTINEL_STATE_DIR")


def test_json_is_one_object_and_nothing_else_on_stdout(live_script: Script) -> None:
    done = live_script("ingest.py", "--json")
    assert json.loads(done.stdout)["status"] == "ok"
    assert done.stdout.count("\n") == 1


def test_json_is_one_object_even_when_the_settings_are_wrong(script: Script) -> None:
    done = script("ingest.py", "--json", "--limit", "0")
    _refused(done, 2, "limit '0'")
    report = json.loads(done.stdout)
    assert (report["status"], report["exit_code"]) == ("failed", 2)
    assert "limit '0'" in report["message"]


def test_in_a_pipe_the_report_is_plain_text(live_script: Script) -> None:
    done = live_script("ingest.py")
    assert re.search(r"rows_inserted +500\n", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_dry_run_shows_what_it_would_write(live_script: Script, tmp_path: Path) -> None:
    done = live_script("ingest.py", "--mode", "dry-run", "--targets", "btc")
    assert "Would write 1 rows" in done.stdout
    assert re.search(r"bitcoin +[\d,.]+ ", done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("is_unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["verify_db.py", "--json"], ["sandbox.py", "strategies"]])
def test_output_that_finds_no_room_is_exit_2_in_plain_words(
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


def test_a_reader_that_goes_away_is_no_error(live_script: Script) -> None:
    process = live_script.start("verify_db.py", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_cleanly(
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
def test_a_signal_while_another_run_holds_the_lock_ends_at_once_and_keeps_the_rows(
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
    assert (process.returncode, json.loads(stdout)["rows_spooled"]) == (143, 500)
    assert "Traceback" not in stderr
    assert json.loads(live_script("ingest.py", "--json").stdout)["rows_drained"] == 500


# --- verify_db -------------------------------------------------------------------------------


def test_verify_is_content_after_a_run(live_script: Script) -> None:
    live_script("ingest.py")
    done = live_script("verify_db.py")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "healthy")
    assert "500 rows of 500 coins" in done.stdout
    found = json.loads(live_script("verify_db.py", "--json").stdout)
    assert (found["healthy"], found["rows"], found["duplicates"], found["gaps"]) == (
        True, 500, 0, [],
    )  # fmt: skip
    assert found["age_minutes"] < 5
    assert [price["coin_id"] for price in found["top"]][:2] == ["bitcoin", "ethereum"]


def test_verify_shows_deliveries_and_gaps_with_the_reason_they_are_open(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py", "--targets=bitcoin")
    now = datetime.now(UTC)
    rows = [
        MarketRow("bitcoin", now - timedelta(minutes=minutes), 1.0, None, None)
        for minutes in (*range(300, 180, -15), 15)
    ]
    with Session(fresh.address()) as session:
        database.run_write_transaction(
            session, lambda c, days: database.load_batch(c, rows, lambda _: None, days), now
        )
    done = live_script("verify_db.py")
    assert "1 of 1 slots (100%), longest silence 0 minutes in the last 7 days" in done.stdout
    assert "1 of 1 coins in the last 7 days: 1 waits for a credit" in done.stdout
    found = json.loads(live_script("verify_db.py", "--json").stdout)
    [gap] = found["gaps"]
    assert (gap["coin_id"], gap["slot"], gap["missed"], gap["reason"]) == ("bitcoin", 15, 11, None)
    assert (found["schedule"]["expected"], found["schedule"]["delivered"]) == (1, 1)


def test_verify_before_any_run_is_unhealthy_and_says_what_to_do(live_script: Script) -> None:
    done = live_script("verify_db.py")
    assert done.returncode == 6
    assert "run python ingest.py" in done.stdout


def test_verify_after_an_update_says_what_brings_the_schema_up_to_date(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py", "--limit=3")
    fresh.query("DELETE FROM sentinel.schema_version WHERE version = 8")
    done = live_script("verify_db.py")
    assert done.returncode == 6
    assert "the schema is older than this code: run python ingest.py to update it" in done.stdout
    assert "reset_db" not in done.stdout + done.stderr


def test_verify_finds_old_data_unhealthy(live_script: Script, fresh: FreshDatabase) -> None:
    live_script("ingest.py")
    fresh.query("UPDATE sentinel.coins SET observed_at = observed_at - interval '2 hours'")
    assert live_script("verify_db.py").returncode == 0
    done = live_script("verify_db.py", "--max-age", "60")
    assert done.returncode == 6
    assert "minutes old, more than 60" in done.stdout


def test_verify_finds_a_purge_that_waits_for_the_archive_unhealthy_and_says_why(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    live_script("ingest.py")
    day = datetime.now(UTC).date() - timedelta(days=70)
    fresh.query(
        f"CREATE TABLE sentinel.observations_{day:%Y%m%d} PARTITION OF sentinel.observations "
        f"FOR VALUES FROM ('{day} 00:00Z') TO ('{day + timedelta(days=1)} 00:00Z')"
    )
    fresh.query(
        f"INSERT INTO sentinel.observations SELECT '{day} 12:00Z', 1, 1, 1, coin_key FROM "
        f"sentinel.coins LIMIT 3"
    )
    in_the_way = tmp_path / "a-file"
    in_the_way.write_text("no folder")
    run = live_script("ingest.py", ARCHIVE_URL=str(in_the_way))
    assert run.returncode == 0
    assert "the purge of 1 days waits for the archive" in run.stderr
    done = live_script("verify_db.py")
    assert done.returncode == 6
    assert "1 days older than the retention wait to be purged" in done.stdout
    assert str(in_the_way) in done.stdout


@pytest.mark.parametrize("word", ["0", "-1", "nan", "inf", "soon"])
def test_verify_refuses_an_age_that_is_none(script: Script, word: str) -> None:
    _refused(script("verify_db.py", f"--max-age={word}"), 2, f"--max-age '{word}'")


# --- reset_db --------------------------------------------------------------------------------


def test_reset_without_a_terminal_deletes_nothing(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py")
    fresh.query(
        "INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)"
        " VALUES (now(), 'bitcoin', 1, 1, 0, '')"
    )
    done = live_script("reset_db.py")
    assert "observations and 1 transaction of a portfolio" in done.stdout
    _refused(done, 2, "no terminal to ask for confirmation", "--yes")
    assert "holds 500 observations" in done.stdout
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(500,)]


@pytest.mark.slow
def test_reset_with_yes_deletes_all_and_the_next_run_starts_afresh(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py")
    assert live_script("reset_db.py", "--yes").returncode == 0
    assert fresh.query("SELECT to_regclass('sentinel.coins')") == [(None,)]
    assert "nothing to delete" in live_script("reset_db.py", "--yes").stdout
    assert live_script("ingest.py").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(("word", "code", "rows"), [("delete", 2, 500), ("DELETE", 0, None)])
def test_reset_at_a_terminal_asks_for_the_word(
    live_script: Script, fresh: FreshDatabase, word: str, code: int, rows: int | None
) -> None:
    live_script("ingest.py")
    master, slave = os.openpty()
    process = subprocess.Popen(
        [os.sys.executable, ROOT / "reset_db.py"],  # type: ignore[attr-defined]
        cwd=live_script.folder,
        env=dict(live_script.environment),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.write(master, f"{word}\n".encode())
    process.communicate(timeout=20)
    os.close(master)
    os.close(slave)
    assert process.returncode == code
    if rows is None:
        assert fresh.query("SELECT to_regclass('sentinel.observations')") == [(None,)]
    else:
        assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(rows,)]


# --- find_all_matches ------------------------------------------------------------------------


def test_matches_show_rank_id_name_and_status(live_script: Script) -> None:
    live_script("ingest.py", "--limit", "1")
    done = live_script("find_all_matches.py", "USDT", "🟥🟩")
    assert done.returncode == 0
    assert re.search(r"3 +tether +Tether +active\n", done.stdout)
    assert re.search(r"unranked +red-green +Red Green +active\n", done.stdout)
    found = json.loads(live_script("find_all_matches.py", "--json", "btc").stdout)
    assert [coin["id"] for coin in found["btc"]] == ["bitcoin", "batcat"]


def test_matches_refuse_an_unknown_symbol_and_an_empty_registry(live_script: Script) -> None:
    _refused(live_script("find_all_matches.py", "btc"), 2, "is empty", "python ingest.py")
    live_script("ingest.py", "--limit", "1")
    _refused(live_script("find_all_matches.py", "zork"), 2, "'zork'")


# --- kills and parallel runs -----------------------------------------------------------------


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_is_whole(
    live_script: Script, live_stand_in: StandIn, fresh: FreshDatabase
) -> None:
    live_stand_in.latency_seconds = 0.03
    for moment in range(24):
        process = live_script.start("ingest.py", "--json")
        time.sleep(0.25 + moment * 0.025)
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


@pytest.mark.slow
def test_two_runs_at_once_both_end_well(live_script: Script, fresh: FreshDatabase) -> None:
    processes = [live_script.start("ingest.py", "--json") for _ in range(3)]
    reports = [json.loads(process.communicate()[0]) for process in processes]
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    stored = fresh.query(
        "SELECT count(*), count(DISTINCT (coin_key, observed_at)) FROM sentinel.observations"
    )
    assert stored[0][0] == stored[0][1]
    assert fresh.query("SELECT count(*) FROM sentinel.pipeline_runs") == [(3,)]
