"""What the Pipeline page shows: strips of slots, quotas, processes, rejected entries."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.dashboard.pipeline.figures import (
    describe_quota,
    draw_backup,
    draw_checks,
    draw_quotas,
    draw_services,
    format_bytes,
)
from services.dashboard.pipeline.quarantine_dialog import describe_preview
from services.dashboard.pipeline.rejections import DISCARD, REPLAY, build_entry_row
from services.dashboard.pipeline.slot_strips import draw_days, draw_legend, draw_slots
from services.dashboard.pipeline.tables import build_run_row
from tests.services.dashboard.test_dashboard import formatter

TIPS = re.compile(r'<i class="ms-(\w+)" data-tip="([^"]+)"')
ROWS = re.compile(r'class="ms-day" tabindex="0" role="img" aria-label="([^"]+)"')
HOSTILE = "<script>alert(1)</script>"


def test_each_slot_is_a_cell_that_names_its_time_and_each_day_a_row_that_names_its_pauses() -> None:
    slots = {"start": "2026-11-19T15:00:00Z", "slot_minutes": 60.0, "states": "dd-bb--d"}
    drawn = draw_slots(formatter(), slots)
    cells = TIPS.findall(drawn)
    assert cells[:3] == [
        ("delivered", "19 Nov 22:00 · delivered"),
        ("delivered", "19 Nov 23:00 · delivered"),
        ("open", "20 Nov 00:00 · open slot"),
    ]
    assert [kind for kind, _ in cells[3:]] == ["backfilled"] * 2 + ["open"] * 2 + ["delivered"]
    assert ROWS.findall(drawn) == [
        "19 Nov: 2 of 2 slots delivered, 0 backfilled, 0 open",
        "20 Nov: 1 of 6 slots delivered, 2 backfilled, 3 open (00:00\N{EN DASH}05:00)",
    ]
    # The cells stand below their hours: 22 slots before the first one, 18 after the last one.
    assert re.findall(r"flex-grow:([\d.]+)", drawn) == ["22.00", "18.00"]


@pytest.mark.parametrize(("day", "slots"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_of_a_clock_change_has_a_cell_for_each_of_its_slots(day: str, slots: int) -> None:
    berlin = dataclasses.replace(formatter(), zone=ZoneInfo("Europe/Berlin"))
    start = {"2026-03-29": "2026-03-28T23:00:00Z", "2026-10-25": "2026-10-24T22:00:00Z"}[day]
    drawn = draw_slots(berlin, {"start": start, "slot_minutes": 60.0, "states": "d" * slots})
    assert (len(ROWS.findall(drawn)), len(TIPS.findall(drawn))) == (1, slots)
    assert "flex-grow" not in drawn


def test_a_day_of_sixty_is_a_bar_of_its_shares_and_ten_days_are_one_step_of_the_keyboard() -> None:
    days = [
        {"start": f"2026-11-{n + 1:02}T00:00:00Z", "expected": 96, "delivered": 90, "backfilled": 2}
        for n in range(20)
    ]
    days[0] = days[0] | {"expected": 0, "delivered": 0, "backfilled": 0}
    drawn = draw_days(formatter(), days)
    assert drawn.count('tabindex="0"') == 2
    assert '<i class="ms-idle" data-tip="1 Nov: no slot was due">' in drawn
    assert "2 Nov: 90 of 96 slots delivered, 2 backfilled, 4 open" in drawn
    assert re.findall(r"flex-grow:(\d+)", drawn)[1:4] == ["4", "2", "90"]
    legend = draw_legend(formatter(), {"expected": 200, "delivered": 190, "backfilled": 8})
    assert re.findall(r"</span>([\w ]+) <b>(.+?)</b>", legend) == [
        ("delivered", "95.0%"),
        ("backfilled", "4.0%"),
        ("open slot", "1.0%"),
    ]


def quota(**changes: Any) -> dict[str, Any]:
    return {
        "name": "neon_egress_bytes",
        "used": 1.25e9,
        "projected": 6e9,
        "limit": 5e9,
        "state": "warn",
    } | changes


def test_a_quota_has_its_usage_its_limit_and_its_state_in_words() -> None:
    assert describe_quota(formatter(), quota()) == "1.2 GB of 5 GB · 6 GB by the month's end"
    assert describe_quota(formatter(), quota(limit=None, projected=None)) == "1.2 GB used"
    assert describe_quota(formatter(), quota(used=None, projected=None)) == "— of 5 GB"
    drawn = draw_quotas(
        formatter(), {"quotas": [quota()], "decision": "skip", "reason": "egress runs out"}
    )
    assert "Neon egress</b>" in drawn
    assert "nearly used up" in drawn
    # A projection beyond the limit makes the bar longer than the limit.
    assert "--used:20.83%;--projected:100.00%;--limit:83.33%" in drawn
    assert "The next run is skipped: egress runs out." in drawn
    assert format_bytes(formatter(), 412_345_678) == "412 MB"


def test_checks_processes_and_backups_say_their_state_and_hold_no_markup_of_strangers() -> None:
    checks = {
        "clock": {"state": "ok", "message": "It agrees."},
        "disk": {"state": "unhealthy", "message": HOSTILE},
    }
    drawn = draw_checks(checks)
    assert drawn.index("Disk") < drawn.index("Clock")
    assert 'aria-label="failed"' in drawn
    assert HOSTILE not in drawn
    late = {"recorded_at": "2026-11-20T11:00:00Z", "is_late": True}
    services = draw_services(
        formatter(), [{"service": "ingestion"} | late, {"service": "x"} | late | {"is_late": None}]
    )
    assert "Monitor&#x27;s loop</b> <span>late, last active 60 min ago" in services
    none = {"verified_at": None, "problem": None, "tried_at": None, "rows": None, "bytes": None}
    assert "There is no backup yet" in draw_backup(formatter(), none)
    assert "— rows, —," in draw_backup(formatter(), none | {"verified_at": late["recorded_at"]})
    failed = draw_backup(
        formatter(),
        {
            "verified_at": "2026-11-19T12:00:00Z",
            "rows": 2_000_000,
            "bytes": 48_000_000,
            "tried_at": "2026-11-20T11:00:00Z",
            "problem": "No space is left.",
        },
    )
    assert "24 h ago: 2,000,000 rows, 48 MB, restored and compared" in failed
    assert "Failed 60 min ago</b> <span>No space is left." in failed


def test_rejected_entries_and_runs_are_rows_with_words_for_codes() -> None:
    entry = {
        "id": "run/bad",
        "rejected_at": "2026-11-20T11:00:00Z",
        "coin_id": "bad",
        "name": None,
        "reason": "negative_price",
        "raw": '{"usd": -1}',
    }
    row = build_entry_row(formatter(), entry)
    assert row.cells[1] == {"text": "bad", "note": "The price is negative"}
    assert row.cells[2] == '{"usd": -1}'
    assert [each["action"] for each in row.cells[3]] == [REPLAY, DISCARD]
    run = {
        "run_id": "r",
        "started_at": "2026-11-20T11:00:00Z",
        "recorded_at": "2026-11-20T11:00:09Z",
        "status": "partial",
        "rows_valid": 499,
        "rows_backfilled": 0,
        "rejected": {"null_price": 2, "malformed": 1},
        "missing": ["x"],
        "api_credits": 1,
    }
    texts = [cell[1] for cell in build_run_row(formatter(), run).cells]
    assert texts == ["18:00", "partial", "499", "0", "3", "1", "1", "9 s"]


def test_a_dry_run_says_what_would_happen_and_with_how_many_entries() -> None:
    result = {"loaded": 12, "stored_before": 1, "refused": {"negative_price": 3}}
    assert describe_preview(REPLAY, result) == (
        "Prices to store: 12, stored already: 1, entries that stay open: 3. "
        "Refused: The price is negative: 3.",
        13,
    )
    nothing = result | {"loaded": 0, "stored_before": 0}
    text, count = describe_preview(REPLAY, nothing)
    assert text.startswith("Today's validation accepts none of them (3).")
    assert count == 0
    text, count = describe_preview(DISCARD, {"discarded": 4})
    assert (text[:28], count) == ("Entries to close for good: 4", 4)
