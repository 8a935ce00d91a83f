"""The frame around every page: preferences, navigation, attribution.

Streamlit runs this file for every viewer and click. Start it with `python -m services.dashboard`.
"""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import Page

from services.dashboard import data, preferences
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
    preferences.load()
    apply_stylesheet()
    page = st.navigation(_list_pages(), position="top")
    # The stylesheet puts it into Streamlit's own header.
    with st.container(key="settings"), st.popover(tr("Settings"), icon=":material/settings:"):
        preferences.show()
    show_header()
    if not data.has_prices():
        data.wait_for_prices()
    if page.url_path not in COIN_PAGES:
        st.query_params.pop("coin", None)
    page.run()
    st.caption("Data provided by [CoinGecko](https://www.coingecko.com/en/api).")


def _list_pages() -> list[Page]:
    """Return the pages in the order of the navigation."""
    return [
        st.Page(
            overview.show,
            title="Overview",
            icon=":material/table_chart:",
            default=True,
            url_path="overview",
        ),
        st.Page(coin.show, title="Coin", icon=":material/show_chart:", url_path="coin"),
        st.Page(
            alerts.show,
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


main()
