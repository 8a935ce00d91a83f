"""The frame around every page: preferences, navigation, attribution.

Streamlit runs this file for every viewer and click. Start it with `python -m services.dashboard`.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.navigation.page import Page

from services.dashboard import data
from services.dashboard.elements import preferences
from services.dashboard.elements.header import show_header
from services.dashboard.elements.navigation import show_page_name
from services.dashboard.elements.theme import apply_stylesheet
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

# The pages whose address may name a coin.
COIN_PAGES = ("coin", "alerts")


def main() -> None:
    """Draw the page that the viewer opened."""
    st.set_page_config(page_title="Market Sentinel", page_icon="📈", layout="wide")
    preferences.load()
    apply_stylesheet()
    page = st.navigation(_list_pages(), position="top")
    # The stylesheet puts it into Streamlit's own header.
    with st.container(key="settings"):
        show_page_name(page.title)
        with st.popover(tr("Settings"), icon=":material/settings:"):
            preferences.show()
    show_header()
    if not data.has_prices():
        data.wait_for_prices()
    if page.url_path not in COIN_PAGES:
        st.query_params.pop("coin", None)
    page.run()
    st.caption(tr("Data provided by [CoinGecko](https://www.coingecko.com/en/api)."))


def _list_pages() -> list[Page]:
    """Return the pages in the order of the navigation."""
    pages: list[tuple[Callable[[], None], str, str, str]] = [
        (overview.show, tr("Overview"), "table_chart", "overview"),
        (coin.show, tr("Coin"), "show_chart", "coin"),
        (alerts.show, tr("Alerts"), "notifications", "alerts"),
        (forecasts.show, tr("Forecasts"), "trending_up", "forecasts"),
        (portfolio.show, tr("Portfolio"), "savings", "portfolio"),
        (paper_trading.show, tr("Paper trading"), "experiment", "paper"),
        (pipeline.show, tr("Pipeline"), "health_metrics", "pipeline"),
    ]
    return [
        st.Page(
            show, title=title, icon=f":material/{icon}:", url_path=path, default=path == "overview"
        )
        for show, title, icon, path in pages
    ]


main()
