"""The command archive.py."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.storage import schema
from sentinel.storage.connection import Session
from tests.conftest import FreshDatabase
from tests.sentinel.archive.helpers import (
    ArchiveCommand,
    damage,
    list_files,
    load_rows,
    make_rows,
    purge,
    today_midnight,
)
from tests.support.commands import Script, assert_error


@pytest.mark.slow
def test_export_archives_all_closed_days_and_status_shows_them(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = today_midnight()
    rows = [row for n in range(4) for row in make_rows(today - timedelta(days=n))]
    load_rows(session, rows, today)
    done = command("export")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 closed days with 36 observations" in done.stdout
    assert len(list_files(folder)) == 3
    status = command("status", "--json", "--check")
    assert status.returncode == 0
    assert json.loads(status.stdout) == {
        "location": str(folder),
        "days": 3,
        "rows": 36,
        "first": str((today - timedelta(days=3)).date()),
        "last": str((today - timedelta(days=1)).date()),
        "missing": [],
        "lost": [],
        "elsewhere": {},
        "outdated": 0,
        "damaged": [],
        "overdue": [],
        "last_error": None,
    }
    shown = command("status", "--check")
    assert "3 days with 36 observations" in shown.stdout
    assert "the bytes of every file match its digest" in shown.stdout


@pytest.mark.slow
def test_export_of_a_span_archives_only_that_span(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = today_midnight()
    load_rows(
        session, [row for n in range(5) for row in make_rows(today - timedelta(days=n))], today
    )
    first, last = ((today - timedelta(days=n)).date() for n in (3, 2))
    done = command("export", "--from", str(first), "--to", str(last))
    assert (done.returncode, len(list_files(folder))) == (0, 2)
    done = command("export", "--from", str(today.date() - timedelta(days=4)))
    assert (done.returncode, len(list_files(folder))) == (0, 4)


@pytest.mark.slow
def test_status_with_check_exits_with_6_for_a_damaged_file(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = today_midnight()
    load_rows(session, make_rows(today - timedelta(days=1)), today)
    command("export")
    [path] = list_files(folder)
    damage(path)
    plain = command("status", "--json")
    assert (plain.returncode, json.loads(plain.stdout)["damaged"]) == (0, None)
    looked = command("status", "--json", "--check")
    assert (looked.returncode, json.loads(looked.stdout)["damaged"]) == (
        6,
        [path.relative_to(folder).as_posix()],
    )
    assert path.name in command("status", "--check").stdout
    again = command("export")
    assert again.returncode == 6
    assert path.name in again.stderr
    assert command("restore").returncode == 6


@pytest.mark.slow
def test_status_names_lost_and_missing_days(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = today_midnight()
    load_rows(
        session, [row for n in (1, 2, 4) for row in make_rows(today - timedelta(days=n))], today
    )
    command("export")
    list_files(folder)[1].unlink()
    found = command("status", "--json")
    assert found.returncode == 6
    parsed = json.loads(found.stdout)
    lost, never = ((today - timedelta(days=n)).date() for n in (2, 3))
    assert parsed["lost"] == [str(lost)]
    assert parsed["missing"] == [str(never), str(lost)]
    assert str(lost) in command("status").stdout


@pytest.mark.slow
def test_status_names_overdue_days_and_the_last_error(
    command: ArchiveCommand, session: Session, settings: Settings, folder: Path
) -> None:
    old = today_midnight() - timedelta(days=70)
    load_rows(session, make_rows(old), old)
    folder.write_text("in the way")
    purge(session, settings, datetime.now(UTC))
    assert command("status").returncode == 4
    folder.unlink()
    found = command("status", "--json")
    assert found.returncode == 6
    assert str(old.date()) in json.loads(found.stdout)["overdue"]
    assert "cannot be" in json.loads(found.stdout)["last_error"]


@pytest.mark.slow
def test_restore_fills_an_empty_database(
    command: ArchiveCommand, session: Session, fresh: FreshDatabase
) -> None:
    today = today_midnight()
    old = today - timedelta(days=70)
    load_rows(session, [*make_rows(old), *make_rows(today - timedelta(days=3))], old)
    assert command("export").returncode == 0
    session.use(schema.drop_schema)
    done = command("restore")
    assert done.returncode == 0
    assert "1 days restored: 12 observations were missing" in done.stdout
    assert "1 days older than the retention stay in the archive" in done.stderr
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(12,)]
    again = command("restore")
    assert "1 days restored: 0 observations were missing" in again.stdout


@pytest.mark.slow
def test_without_an_archive_the_error_names_the_setting(command: ArchiveCommand) -> None:
    done = command("status", ARCHIVE_URL="")
    assert done.returncode == 2
    assert "ARCHIVE_URL" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--from", "yesterday"], "--from: 'yesterday' is not a day"),
        (["restore", "--to", "2026-02-30"], "--to: '2026-02-30' is not a day"),
        (["restore"], "holds none of these days"),
        (["burn"], "invalid choice"),
        ([], "required"),
    ],
)
def test_an_invalid_option_exits_with_2(
    command: ArchiveCommand, arguments: list[str], words: str
) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_an_empty_period_is_refused_before_the_database_is_opened(script: Script) -> None:
    """No database and no archive are needed to see the mistake."""
    words = ["export", "--from", "2026-10-02", "--to", "2026-10-01"]
    assert_error(script("archive.py", *words), 2, "--from 2026-10-02 is after --to 2026-10-01")


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "~no-such-user/days",
        "sftp://user:hunter2@host/days",
        "nonsense://user:hunter2@host/days",
        "memory://user:hunter2@days",
    ],
)
def test_an_unusable_address_exits_with_2_and_hides_the_password(
    command: ArchiveCommand, url: str
) -> None:
    done = command("status", ARCHIVE_URL=url)
    assert done.returncode == 2
    assert "ARCHIVE_URL begins with" in done.stderr


@pytest.mark.soak
@pytest.mark.slow
def test_a_killed_export_leaves_complete_files_and_the_next_one_finishes(
    command: ArchiveCommand, session: Session, folder: Path, fresh: FreshDatabase
) -> None:
    today, days = today_midnight(), 30
    coins = [f"coin-{n}" for n in range(100)]
    for n in range(1, days + 1):
        load_rows(session, make_rows(today - timedelta(days=n), coins=coins), today)
    process = command.script.start(
        "archive.py", "export", DATABASE_URL=command.url, ARCHIVE_URL=str(folder)
    )
    while not list_files(folder):
        assert process.poll() is None
    process.kill()
    process.communicate()
    written = list_files(folder)
    assert 0 < len(written) < days
    for path in written:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in path.name
    assert command("export").returncode == 0
    assert len(list_files(folder)) == days
    assert command("status", "--check").returncode == 0
    assert fresh.query("SELECT count(*), sum(rows) FROM sentinel.archived_days") == [
        (days, days * 400)
    ]


@pytest.mark.soak
@pytest.mark.slow
def test_concurrent_exports_archive_each_day_once(
    command: ArchiveCommand, session: Session, folder: Path
) -> None:
    today = today_midnight()
    load_rows(
        session, [row for n in range(1, 6) for row in make_rows(today - timedelta(days=n))], today
    )
    variables = {"DATABASE_URL": command.url, "ARCHIVE_URL": str(folder)}
    both = [command.script.start("archive.py", "export", **variables) for _ in range(2)]
    ends = [(process.communicate()[1], process.returncode) for process in both]
    assert ends == [("", 0)] * 2
    assert len(list_files(folder)) == 5
    assert command("status", "--check").returncode == 0
