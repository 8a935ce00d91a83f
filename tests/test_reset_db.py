"""The command reset_db.py: it deletes data only after a confirmation."""

from __future__ import annotations

import os
import subprocess

import pytest

from safe_zone import ROOT
from tests.conftest import FreshDatabase
from tests.support.commands import Script, assert_error


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
    assert_error(done, 2, "no terminal to ask for confirmation", "--yes")
    assert "holds 116 observations" in done.stdout
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(116,)]


@pytest.mark.slow
def test_reset_with_yes_deletes_everything_and_the_next_run_creates_new_tables(
    live_script: Script, fresh: FreshDatabase
) -> None:
    live_script("ingest.py")
    assert live_script("reset_db.py", "--yes").returncode == 0
    assert fresh.query("SELECT to_regclass('sentinel.coins')") == [(None,)]
    assert "nothing to delete" in live_script("reset_db.py", "--yes").stdout
    assert live_script("ingest.py").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(("word", "code", "rows"), [("delete", 2, 116), ("DELETE", 0, None)])
def test_reset_at_a_terminal_asks_for_the_confirmation_word(
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
