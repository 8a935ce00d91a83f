"""The document of the other half: what is believed, and when that half is silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sentinel.site.other_half import MAX_BYTES, DocumentInvalid, is_silent, parse_document
from sentinel.site.status import Maker
from tests.support.site import NOW, make_status

GOOD = make_status(maker="monitor").model_dump_json()
INCIDENT = (
    '{"incident":"disk","source":"monitor","began_at":"2026-11-20T12:00:00Z",'
    '"ended_at":null,"summary":""}'
)


def test_a_document_of_the_other_half_is_read_also_with_fields_of_a_later_version() -> None:
    later = GOOD.replace("{", '{"new": 1,', 1)
    assert parse_document(later.encode(), "monitor") == make_status(maker="monitor")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no status document"),
        ("[" * 100_000, "no status document"),
        ('{"maker": "monitor"}', r"no status document \(\d+ errors\)"),
        (GOOD.replace("00:00Z", "00:00"), "no status document"),
        (GOOD.replace("3600", "1e999"), "no status document"),
        (GOOD.replace('"monitor"', '"schedule"'), "not written by the monitor"),
        (GOOD + " " * MAX_BYTES, "larger than"),
        (GOOD.replace("3600", "0"), "names an interval"),
        (GOOD.replace("3600", "9" * 30), "names an interval"),
        (GOOD.replace('"active":500', '"active":-' + "9" * 30), "has a number"),
        (GOOD.replace('"synced_at":"2026', '"synced_at":"0001'), "has a number, time"),
        (GOOD.replace("The database answers.", "!" * 9_999), "time, text or list"),
        (GOOD.replace('"incidents":[]', f'"incidents":[{",".join([INCIDENT] * 2_000)}]'), "list"),
    ],
)
def test_a_damaged_or_hostile_document_is_refused_in_one_line(content: str, problem: str) -> None:
    with pytest.raises(DocumentInvalid, match=problem) as error:
        parse_document(content.encode(), "monitor")
    assert len(str(error.value)) < 100
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("maker", "hours", "changes", "expected"),
    [
        ("monitor", 2.9, {}, False),
        ("monitor", 3.1, {}, True),
        ("monitor", 7 * 24 + 1, {}, False),
        ("monitor", -5, {}, False),
        ("schedule", 23, {}, False),
        ("schedule", 25, {}, True),
        ("schedule", 25, {"interval_seconds": 10 * 3600}, False),
    ],
)
def test_a_half_is_silent_after_three_intervals_and_off_after_a_week(
    maker: Maker, hours: float, changes: dict[str, Any], expected: bool
) -> None:
    status = make_status(maker=maker, generated_at=NOW - timedelta(hours=hours), **changes)
    assert is_silent(status, NOW) == expected
