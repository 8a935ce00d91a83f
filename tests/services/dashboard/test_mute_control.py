"""The control that mutes a coin on its page."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from services.api_client import RequestRejected
from services.dashboard import data
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
        from services.dashboard.coin.mute_control import show_mute_control
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
