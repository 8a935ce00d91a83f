"""The Alerts page, and widgets whose value is kept in the page's address."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from services.dashboard.pages.alerts import build_alert_row
from tests.conftest import NOW
from tests.services.dashboard.test_dashboard import formatter

ALERT = {
    "alert_id": 17,
    "coin_id": "a/b",
    "symbol": "btc",
    "name": "<b>Bitcoin</b>",
    "observed_at": NOW.isoformat(),
    "price_usd": 92_140.12,
    "move": -0.052,
    "after_1h": -0.004,
    "after_24h": None,
    "outcome": "unknown",
    "is_announced": True,
    "why": "It fell 5.2% in 3 hours.",
}


def test_an_alert_row_sorts_by_numbers_and_offers_to_mute_or_unmute_its_coin() -> None:
    row = build_alert_row(formatter(), ALERT, {})
    assert row.href == "coin?coin=a%2Fb"
    assert row.cells[0] == (NOW.timestamp(), "19:00")
    assert row.cells[2:4] == [(-0.052, "\N{MINUS SIGN}5.2%"), (92_140.12, "$92,140.12")]
    assert row.cells[5] == (None, "—")
    assert "It fell 5.2%" in row.search
    assert row.cells[-1][0]["action"] == "mute"
    muted = build_alert_row(formatter(), ALERT | {"is_announced": False}, {"a/b": "later"})
    assert muted.cells[-1][0]["action"] == "unmute"
    assert "not sent" in muted.cells[1]["note"]


def _choose() -> None:
    import streamlit as st

    from services.dashboard.elements.address import choose

    st.write(choose("period", {"7d": "7 days", "30d": "30 days"}, label="Period"))


def test_a_choice_follows_the_address_and_a_click_changes_it() -> None:
    app = AppTest.from_function(_choose)
    app.query_params["period"] = "30d"
    app.run()
    assert app.markdown[0].value == "30d"
    app.button_group[0].set_value("7d").run()
    assert (app.markdown[0].value, dict(app.query_params)) == ("7d", {})
    assert list(app.run().button_group[0].proto.default) == [0]
    app.query_params["period"] = "30d"  # the back button
    assert app.run().markdown[0].value == "30d"
    app.query_params["period"] = "nonsense"
    assert app.run().markdown[0].value == "7d"


def _choose_from_list() -> None:
    import streamlit as st

    from services.dashboard.elements.address import choose_from_list

    reasons = {"null_price": "No price", "stale": "Old"}
    st.write(choose_from_list("reason", reasons, label="Reason", none_text="All"))


def test_a_list_that_the_browser_builds_anew_keeps_the_choice() -> None:
    app = AppTest.from_function(_choose_from_list)
    app.query_params["reason"] = "stale"
    app.run().selectbox[0].set_value("null_price").run()
    assert dict(app.query_params) == {"reason": "null_price"}
    assert app.run().selectbox[0].proto.default == 1, "what the browser then sends"
    app.selectbox[0].set_value("").run()
    assert dict(app.query_params) == {}
    assert app.run().markdown[0].value == "`None`"
