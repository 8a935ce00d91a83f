"""The command find_all_matches.py: coins by symbol, name or id."""

from __future__ import annotations

import json
import re

from tests.support.commands import Script, assert_error


def test_matches_show_rank_id_name_and_status(live_script: Script) -> None:
    live_script("ingest.py", "--limit", "1")
    done = live_script("find_all_matches.py", "USDT", "🟥🟩")
    assert done.returncode == 0
    assert re.search(r"3 +tether +Tether +active\n", done.stdout)
    assert re.search(r"unranked +red-green +Red Green +active\n", done.stdout)
    found = json.loads(live_script("find_all_matches.py", "--json", "btc").stdout)
    assert [coin["id"] for coin in found["btc"]] == ["bitcoin", "batcat"]


def test_an_unknown_symbol_and_an_empty_registry_are_errors(live_script: Script) -> None:
    assert_error(live_script("find_all_matches.py", "btc"), 2, "is empty", "python ingest.py")
    live_script("ingest.py", "--limit", "1")
    assert_error(live_script("find_all_matches.py", "zork"), 2, "'zork'")
