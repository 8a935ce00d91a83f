"""The line at the top of every page."""

from __future__ import annotations

import functools

import pytest

from services.api_client import ApiResponse
from services.dashboard import data
from services.dashboard.elements import header
from tests.conftest import NOW
from tests.services.dashboard.test_dashboard import formatter

SUMMARY = {
    "market_cap_usd": 3.12e12,
    "coins": 500,
    "bitcoin_share": 0.588,
    "idr_per_usd": 16_250.0,
    "newest_observation": NOW.isoformat(),
    "missed_runs": 0,
    "problems": [],
}


def problem(state: str, message: str, name: str = "disk") -> dict[str, str]:
    return {"name": name, "state": state, "message": message}


@pytest.fixture(name="shown")
def shown_(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The warnings and errors that a page shows."""
    shown: list[tuple[str, str]] = []
    for name in ("warning", "error"):
        show = functools.partial(lambda kind, text, **_icon: shown.append((kind, text)), name)
        monkeypatch.setattr(f"streamlit.{name}", show)
    return shown


def test_the_line_shows_the_market_the_rate_and_how_old_the_prices_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "has_old_prices", lambda: False)
    line = header._format_line(formatter(), ApiResponse(SUMMARY, NOW))
    for figure in ("500 coins", "$3.12T", "58.8%", "Rp16,250", "live"):
        assert figure in line
    unknown = SUMMARY | {"market_cap_usd": None, "idr_per_usd": None}
    assert "T<" not in header._format_line(formatter(), ApiResponse(unknown, NOW))


@pytest.mark.parametrize(("state", "kind"), [("warning", "warning"), ("unhealthy", "error")])
def test_each_failing_check_is_a_paragraph_of_its_own_and_the_age_is_in_the_line_only(
    shown: list[tuple[str, str]], state: str, kind: str
) -> None:
    long = "x" * 399
    problems = [
        problem(state, f"{long}a"),
        problem("warning", f"{long}b"),
        problem("warning", "The newest price is old.", "freshness"),
    ]
    header._show_problems({"problems": problems})
    header._show_problems({"problems": problems[2:]})
    assert shown == [(kind, f"{long}a\n\n{long}b")]
