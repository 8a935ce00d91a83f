"""The control that mutes a coin on its page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

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
    alert = {"kind": "panic", "name": "Bitcoin", "move": -0.05, "price_usd": 90_000.0}
    times = {"observed_at": (NOW - timedelta(hours=2)).isoformat()}
    outcome = {"after_1h": 0.01, "after_24h": None, "is_announced": is_announced}
    formatter = Formatter("USD", ZoneInfo("UTC"), False, None, NOW)
    line = format_alert(formatter, alert | times | outcome)
    assert line.replace("\\", "").replace("+", "").endswith(end)
