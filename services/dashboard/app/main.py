"""The frame around every page: preferences in the sidebar, navigation, attribution.

Streamlit runs this file for every viewer and click. Start it with `python -m services.dashboard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import streamlit as st
from streamlit.navigation.page import Page

from sentinel.amounts import Currency
from services.dashboard import data
from services.dashboard.formatting import list_time_zones
from services.dashboard.header import show_header
from services.dashboard.language import tr
from services.dashboard.pages import (
    alerts,
    coin,
    forecasts,
    overview,
    paper_trading,
    pipeline,
    portfolio,
)
from services.dashboard.theme import apply_stylesheet

# The pages whose address may name a coin.
COIN_PAGES = ("coin", "alerts")


def main() -> None:
    """Draw the page that the viewer opened."""
    st.set_page_config(page_title="Market Sentinel", page_icon="📈", layout="wide")
    apply_stylesheet()
    page = st.navigation(_list_pages(), position="top")
    # The stylesheet puts it into Streamlit's own header.
    with st.container(key="settings"), st.popover(tr("Settings"), icon=":material/settings:"):
        _show_preferences()
    show_header()
    if not data.list_coins():
        data.wait_for_coins()
    if page.url_path not in COIN_PAGES:
        st.query_params.pop("coin", None)
    page.run()
    st.caption("Data provided by [CoinGecko](https://www.coingecko.com/en/api).")


def _list_pages() -> list[Page]:
    """Return the pages in the order of the navigation."""
    coin_page = st.Page(coin.show, title="Coin", icon=":material/show_chart:", url_path="coin")
    return [
        st.Page(
            lambda: overview.show(coin_page),
            title="Overview",
            icon=":material/table_chart:",
            default=True,
            url_path="overview",
        ),
        coin_page,
        st.Page(
            lambda: alerts.show(coin_page),
            title="Alerts",
            icon=":material/notifications:",
            url_path="alerts",
        ),
        st.Page(
            forecasts.show, title="Forecasts", icon=":material/trending_up:", url_path="forecasts"
        ),
        st.Page(portfolio.show, title="Portfolio", icon=":material/savings:", url_path="portfolio"),
        st.Page(
            paper_trading.show,
            title="Paper trading",
            icon=":material/experiment:",
            url_path="paper",
        ),
        st.Page(
            pipeline.show, title="Pipeline", icon=":material/health_metrics:", url_path="pipeline"
        ),
    ]


def _show_preferences() -> None:
    """Show the widgets of the preferences, and keep their values in the address."""
    zones = list_time_zones(data.monitor_settings().options.time_zone, st.context.timezone)
    currencies = get_args(Currency)
    st.session_state.setdefault("currency", _read_address("currency", currencies, "USD"))
    st.session_state.setdefault("zone", _read_address("zone", zones, zones[0]))
    hide_amounts = _read_address("hide_amounts", ["true", "false"], "false")
    st.session_state.setdefault("hide_amounts", hide_amounts == "true")
    # Without persist_state a widget loses its value when the viewer opens another page.
    st.segmented_control(
        "Currency", currencies, key="currency", persist_state="session", required=True
    )
    st.selectbox("Time zone", zones, key="zone", persist_state="session")
    st.toggle("Hide my amounts", key="hide_amounts", persist_state="session")
    formatter = data.current_formatter()
    _write_address("currency", formatter.chosen_currency, "USD")
    _write_address("zone", formatter.zone.key, zones[0])
    _write_address("hide_amounts", "true" if formatter.hide_amounts else "false", "false")


def _read_address(name: str, known: Sequence[str], default: str) -> str:
    """Return a preference from the page's address, so that it survives a reload."""
    value = st.query_params.get(name, default)
    return value if value in known else default


def _write_address(name: str, value: str, default: str) -> None:
    """Put a preference into the address again: navigation drops it."""
    if value != default:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


main()
