"""The embedded server's log stays short, and says why a start failed."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from sentinel.storage import embedded_log
from sentinel.storage.embedded import ensure_running
from sentinel.storage.embedded_location import locate_server
from sentinel.storage.embedded_log import last_fatal_message


def test_the_log_of_a_running_server_is_emptied_when_it_is_long(
    server: str, server_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_file = locate_server(server_dir).log_file
    with log_file.open("a") as log:
        log.write(100 * "an old line\n" + "the last old line\n")
    monkeypatch.setattr(embedded_log, "MAX_LOG_BYTES", 1_000)
    with (
        ensure_running(server_dir),
        psycopg.connect(server) as connection,
        pytest.raises(psycopg.errors.DivisionByZero),
    ):
        connection.execute("SELECT 1 / 0")
    content = log_file.read_text()
    assert "old line" not in content
    assert content.lstrip("\0") == content  # the server writes on where the file ends now
    assert "ERROR:  division by zero" in content
    kept = log_file.with_suffix(".log.1")
    assert len(kept.read_bytes()) == 1_000
    assert kept.read_text().endswith("the last old line\n")
    assert kept.stat().st_mode & 0o077 == 0


def test_looking_for_a_running_server_leaves_no_line_in_its_log(
    server: str, server_dir: Path
) -> None:
    log_file = locate_server(server_dir).log_file
    before = log_file.read_text()
    for _ in range(20):
        with ensure_running(server_dir), psycopg.connect(server):
            pass
    assert log_file.read_text() == before


def test_the_cause_is_a_fatal_message_of_this_start(tmp_path: Path) -> None:
    earlier = '[7] FATAL:  role "games" does not exist\n'
    log_file = tmp_path / "server.log"
    log_file.write_text(
        f"{earlier}2026-11-26 [8] FATAL:  could not create shared memory segment\n"
        "2026-11-26 [9] FATAL:  the database system is starting up\n"
        "2026-11-26 [8] FATAL:  cut off by a full di"
    )
    cause = last_fatal_message(log_file, len(earlier))
    assert cause == "FATAL:  could not create shared memory segment."
    assert last_fatal_message(log_file, log_file.stat().st_size) == ""
    assert last_fatal_message(tmp_path / "missing", 0) == ""
