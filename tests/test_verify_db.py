"""The command verify_db.py: when a database is healthy, and what the command prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from safe_zone import Settings
from sentinel.models import MarketRow
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Session
from tests.conftest import NOW, FreshDatabase
from tests.support.commands import Script, assert_error
from tests.support.loading import load_rows, make_rows
from verify_db import examine


def test_the_database_is_healthy_after_a_run(live_script: Script) -> None:
    live_script("ingest.py")
    done = live_script("verify_db.py")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "healthy")
    assert "116 rows of 116 coins" in done.stdout
    found = json.loads(live_script("verify_db.py", "--json").stdout)
    assert (found["healthy"], found["rows"], found["duplicates"], found["gaps"]) == (
        True, 116, 0, [],
    )  # fmt: skip
    assert found["age_minutes"] < 5
    assert [price["coin_id"] for price in found["top"]][:2] == ["bitcoin", "ethereum"]


def test_verify_shows_schedule_coverage_and_why_gaps_are_open(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py", "--targets=bitcoin")
    now = datetime.now(UTC)
    rows = [
        MarketRow("bitcoin", now - timedelta(minutes=minutes), 1.0, None, None)
        for minutes in (*range(300, 180, -15), 15)
    ]
    with Session(fresh.address()) as session:
        load_rows(session, rows, now, lambda _coin_id: None)
    done = live_script("verify_db.py")
    assert "1 of 1 slots (100%), longest silence 0 minutes in the last 7 days" in done.stdout
    assert "1 of 1 coins in the last 7 days: 1 waits for the backfill" in done.stdout
    found = json.loads(live_script("verify_db.py", "--json").stdout)
    [gap] = found["gaps"]
    assert (gap["coin_id"], gap["slot"], gap["missed"], gap["reason"]) == ("bitcoin", 15, 11, None)
    assert (found["schedule"]["expected"], found["schedule"]["delivered"]) == (1, 1)


@pytest.mark.before_first_run
def test_a_database_before_any_run_is_unhealthy(live_script: Script) -> None:
    done = live_script("verify_db.py")
    assert done.returncode == 6
    assert "run python ingest.py" in done.stdout


def test_json_is_one_object_even_without_a_database(live_script: Script) -> None:
    url = f"{live_script.environment['DATABASE_URL']} dbname=no-such-database"
    done = live_script("verify_db.py", "--json", DATABASE_URL=url)
    assert_error(done, 4, "no-such-database")
    found = json.loads(done.stdout)
    assert (found["healthy"], "no-such-database" in found["problems"][0]) == (False, True)
    done = live_script("verify_db.py", "--json", DATABASE_URL="mysql://host/market")
    assert (done.returncode, json.loads(done.stdout)["healthy"]) == (2, False)


def test_an_old_schema_is_unhealthy_and_the_command_to_update_it_is_named(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py", "--limit=3")
    fresh.query(
        "DELETE FROM sentinel.schema_version "
        "WHERE version = (SELECT max(version) FROM sentinel.schema_version)"
    )
    done = live_script("verify_db.py")
    assert done.returncode == 6
    assert "The schema is older than this code: run python ingest.py to update it" in done.stdout
    assert "reset_db" not in done.stdout + done.stderr


def test_old_data_is_unhealthy(live_script: Script, fresh: FreshDatabase) -> None:
    live_script("ingest.py")
    fresh.query("UPDATE sentinel.coins SET observed_at = observed_at - interval '2 hours'")
    assert live_script("verify_db.py").returncode == 0
    done = live_script("verify_db.py", "--max-age", "60")
    assert done.returncode == 6
    assert "2 hours old" in done.stdout or "120 minutes old" in done.stdout
    assert "the limit is 60 minutes" in done.stdout


def test_a_failing_target_and_an_old_backup_are_unhealthy(fresh: FreshDatabase) -> None:
    with Session(fresh.address()) as session:
        load_rows(session, make_rows(NOW, coins=range(3)))
    fresh.query(
        "INSERT INTO sentinel.outbox (target, queue, message_key, title, body, kind, created_at,"
        " due_at, last_error) VALUES ('a1b2', 'q', 'k', 't', 'b', 'panic', %s, %s,"
        " 'Telegram answered 401')",
        NOW - timedelta(minutes=11),
        NOW,
    )
    backup = {"verified_at": (NOW - timedelta(days=90)).isoformat(), "rows": 3}
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        service_status.record(connection, "backup", backup, NOW - timedelta(days=90))
        service_status.record(connection, "ingestion", {"errors": []}, NOW)
        problems = examine(connection, Settings(), NOW).problems
    assert len(problems) == 2
    assert "Telegram answered 401" in problems[0]
    assert "The last verified backup is 90 days old" in problems[1]


def test_a_warning_is_shown_and_fails_nothing(live_script: Script, fresh: FreshDatabase) -> None:
    live_script("ingest.py")
    fresh.query("UPDATE sentinel.coins SET observed_at = observed_at - interval '1 hour'")
    done = live_script("verify_db.py")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "healthy")
    assert "warning: The newest observation is 6" in done.stdout
    assert "old, 3 runs are missing." in done.stdout
    found = json.loads(live_script("verify_db.py", "--json").stdout)
    assert (found["healthy"], found["checks"]["freshness"]["state"]) == (True, "warning")


def test_a_purge_that_waits_for_the_archive_is_unhealthy_with_the_reason(
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
def test_an_invalid_maximum_age_is_a_usage_error(script: Script, word: str) -> None:
    assert_error(
        script("verify_db.py", f"--max-age={word}"), 2, f"--max-age: '{word}' must be a number"
    )


def test_duplicate_observations_are_unhealthy(fresh: FreshDatabase) -> None:
    rows = [row for n in range(72) for row in make_rows(NOW - timedelta(hours=n), coins=range(3))]
    with Session(fresh.address()) as session:
        load_rows(session, rows)
    # A damaged index lets duplicates in. Here the test drops the index.
    fresh.query("ALTER TABLE sentinel.observations DROP CONSTRAINT observations_pkey")
    fresh.query(
        "INSERT INTO sentinel.observations SELECT * FROM sentinel.observations WHERE coin_key = 1"
    )
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        health = examine(connection, Settings(), NOW)
    assert health.duplicates == 72
    assert "72 observations are stored twice" in health.problems[0]


@pytest.mark.before_first_run
def test_a_missing_schema_and_an_empty_one_are_different_problems(fresh: FreshDatabase) -> None:
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        assert examine(connection, Settings(), NOW).problems == [
            "No run has stored anything in this database: run python ingest.py."
        ]
        schema.apply_migrations(connection)
        freshness, last_run = examine(connection, Settings(), NOW).problems
        assert "No observation is stored" in freshness
        assert "No run is recorded yet" in last_run
