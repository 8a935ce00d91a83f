"""The control that mutes a coin on its page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from sentinel.amounts import MINUS
from services.api_client import RequestRejected
from services.dashboard import data
from services.dashboard.components import format_alert
from services.dashboard.formatting import Formatter
from tests.conftest import NOW


class Api:
    """Records what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.problem: str | None = None

    def send(self, method: str, path: str, content: Any = None) -> None:
        if self.problem:
            raise RequestRejected(self.problem)
        self.sent.append((method, path, content))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(data, "api_client", lambda: api)
    return api


def _show(muted_until: str | None) -> AppTest:
    def page(muted_until: str | None) -> None:
        from services.dashboard.mute_control import show_mute_control
        from tests.services.dashboard.test_dashboard import formatter

        show_mute_control(formatter(), {"coin_id": "a b", "muted_until": muted_until})

    return AppTest.from_function(page, args=(muted_until,)).run()


def test_choosing_a_time_mutes_the_coin(api: Api) -> None:
    app = _show(None)
    app.selectbox[0].select("1 day").run()
    assert api.sent == [("POST", "/coins/a%20b/mute", {"hours": 24})]
    assert app.selectbox[0].value is None  # ready for another coin


def test_a_muted_coin_has_a_button_that_ends_the_mute(api: Api) -> None:
    app = _show(NOW.isoformat())
    assert "Muted until 19:00." in app.markdown[0].value
    app.button[0].click().run()
    assert api.sent == [("DELETE", "/coins/a%20b/mute", None)]


def test_a_rejected_mute_is_explained(api: Api) -> None:
    api.problem = "writes need a token"
    app = _show(None)
    app.selectbox[0].select("1 hour").run()
    assert "writes need a token" in app.error[0].value


@pytest.mark.parametrize(
    ("is_announced", "end"),
    [(True, "ago); 1.0% an hour later"), (False, "ago); the coin was muted, 1.0% an hour later")],
)
def test_a_line_says_that_an_alert_was_not_sent_because_of_a_mute(
    is_announced: bool, end: str
) -> None:
    assert _format_alert(after_1h=0.01, is_announced=is_announced).replace("+", "").endswith(end)


@pytest.mark.parametrize(
    ("kind", "basis", "reference_usd", "text"),
    [
        ("panic", "window", 100.0, "5.0% to $95.00"),
        ("panic", "week", 100.0, "5.0% from its high of the week to $95.00"),
        ("reversal", "outage", 100.0, "5.0% from its low before the outage to $95.00"),
        ("panic", "peg", 1.0, "5.0% from $1 to $95.00"),
        ("reversal", "peg", 0.98, "5.0% from its low to $95.00"),
    ],
)
def test_a_line_says_what_the_move_is_measured_from(
    kind: str, basis: str, reference_usd: float, text: str
) -> None:
    line = _format_alert(kind=kind, basis=basis, reference_usd=reference_usd)
    assert f"** {MINUS}{text}, " in line


def _format_alert(**changes: Any) -> str:
    alert = {
        "kind": "panic",
        "name": "Bitcoin",
        "move": -0.05,
        "basis": "window",
        "reference_usd": 100.0,
        "price_usd": 95.0,
        "observed_at": (NOW - timedelta(hours=2)).isoformat(),
        "is_announced": True,
        "after_1h": None,
        "after_24h": None,
    }
    formatter = Formatter("USD", ZoneInfo("UTC"), False, None, NOW)
    return format_alert(formatter, alert | changes).replace("\\", "")
