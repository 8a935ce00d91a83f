"""The texts about price targets on the coin page. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import streamlit as st

from sentinel.coin import to_iso
from services.api_client import RequestRejected
from services.dashboard.coin.price_target_texts import (
    describe_preview,
    describe_target,
    format_state,
)
from services.dashboard.data import describe_error
from services.dashboard.formatting import HIDDEN, Formatter
from tests.conftest import NOW

FORMATTER = Formatter("USD", ZoneInfo("Asia/Jakarta"), False, 16_000.0, NOW)
TARGET = {"price": "100000", "currency": "usd", "direction": "above", "repeats": False}


def _preview(hours_ago: Sequence[float], *, is_reached: bool = False, **target: Any) -> str:
    crossings = [{"observed_at": to_iso(NOW - timedelta(hours=hours))} for hours in hours_ago]
    preview = {
        "since": to_iso(NOW - timedelta(days=60)),
        "is_reached": is_reached,
        "crossings": crossings,
    }
    return describe_preview(FORMATTER, TARGET | target, preview)


def test_a_target_is_described_in_its_currency() -> None:
    assert describe_target(TARGET) == "At or above $100,000.00, once"
    rupiah = TARGET | {"price": "1600000000.5", "currency": "idr", "repeats": True}
    assert describe_target(rupiah) == "At or above Rp1,600,000,000, each time"


@pytest.mark.parametrize(
    ("hours_ago", "target", "text"),
    [
        ([], {}, "It would not have fired in the last 60 days."),
        ([72], {}, "It would have fired once in the last 60 days: 17 Nov 19:00."),
        (
            [72, 24],
            {},
            "It would have fired on 17 Nov 19:00. The price crossed it 2 times in the last 60 "
            "days: 17 Nov 19:00, 19 Nov 19:00.",
        ),
        (
            [144, 120, 96, 72, 48, 24],
            {"repeats": True},
            "It would have fired 6 times in the last 60 days: …, 15 Nov 19:00, 16 Nov 19:00, "
            "17 Nov 19:00, 18 Nov 19:00, 19 Nov 19:00.",
        ),
    ],
)
def test_a_preview_counts_and_dates_the_crossings(
    hours_ago: Sequence[float], target: dict[str, Any], text: str
) -> None:
    assert _preview(hours_ago, **target) == text


def test_a_preview_says_that_the_price_is_beyond_the_target_already() -> None:
    assert _preview([], is_reached=True).startswith("The price is there already: it has to return")
    unknown: dict[str, Any] = {"since": None, "is_reached": False, "crossings": []}
    assert describe_preview(FORMATTER, TARGET, unknown) == (
        "No prices of this coin are stored yet."
    )


def test_the_state_of_a_target_has_its_firings_expiry_and_note() -> None:
    target = {
        "state": "open", "is_armed": False, "fired_count": 2, "note": "sell *half*",
        "last_fired_at": to_iso(NOW), "expires_at": to_iso(NOW + timedelta(days=1)),
    }  # fmt: skip
    assert format_state(FORMATTER, target) == (
        "fired 2 times, last 19:00 · waits until the price has returned · until 21 Nov 19:00 · "
        "sell *half*"
    )
    hidden = Formatter("USD", FORMATTER.zone, True, None, NOW)
    closed = target | {"state": "expired", "fired_count": 0, "expires_at": to_iso(NOW)}
    assert format_state(hidden, closed) == f"expired 19:00 · {HIDDEN}"


def test_a_rejected_field_is_named_without_the_words_of_the_validation() -> None:
    rejection = RequestRejected("body.price: Value error, must be a decimal number such as 0.25")
    assert describe_error(rejection) == r"price\: must be a decimal number such as 0\.25"


def test_a_rejection_tells_no_amount_that_the_viewer_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    rejection = RequestRejected("solana: the main wallet held only 30 at 2026-11-25.")
    assert "30" in describe_error(rejection)
    monkeypatch.setattr(st, "session_state", {"hide_amounts": True})
    assert "30" not in describe_error(rejection)
