"""The frame around every page: what a viewer chooses, where the pages are, whose data it is.

Streamlit runs this file anew for every viewer and click; start it with
`python -m services.dashboard`.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import streamlit as st

from services.dashboard import coin, holdings, overview, pipeline, state
from services.dashboard.viewer import Choice, known_zones


def main() -> None:
    """Draw the page that was asked for."""
    st.set_page_config(page_title="Market Sentinel", page_icon="📈", layout="wide")
    pages = {
        "overview": st.Page(_overview, title="Overview", icon=":material/table_chart:"),
        "coin": st.Page(_coin, title="Coin", icon=":material/show_chart:", url_path="coin"),
        "portfolio": st.Page(
            _portfolio, title="Portfolio", icon=":material/savings:", url_path="portfolio"
        ),
        "pipeline": st.Page(
            _pipeline, title="Pipeline", icon=":material/health_metrics:", url_path="pipeline"
        ),
    }
    chosen = st.navigation(list(pages.values()))
    with st.sidebar:
        choice = _ask()
        st.divider()
        holdings.ask_for_holding(choice)
    st.session_state["choice"] = choice
    st.session_state["coin_page"] = pages["coin"]
    st.title(chosen.title)
    chosen.run()
    st.caption("Data provided by [CoinGecko](https://www.coingecko.com/en/api).")


def _ask() -> Choice:
    currency = st.segmented_control(
        "Currency", ["USD", "IDR"], default="USD", key="currency", bind="query-params"
    )
    zones = known_zones(state.monitor().wishes.time_zone, st.context.timezone)
    zone = st.selectbox("Times in", zones, key="zone", bind="query-params")
    is_discreet = st.toggle("Hide my amounts", key="discreet", bind="query-params")
    return Choice(
        currency="IDR" if currency == "IDR" else "USD",
        zone=ZoneInfo(zone or "UTC"),
        is_discreet=is_discreet,
    )


def _choice() -> Choice:
    choice: Choice = st.session_state["choice"]
    return choice


def _overview() -> None:
    overview.show(_choice(), st.session_state["coin_page"])


def _coin() -> None:
    coin_id = coin.choose()
    if coin_id is not None:
        coin.show(_choice(), coin_id)


def _portfolio() -> None:
    holdings.show(_choice())


def _pipeline() -> None:
    pipeline.show(_choice())


main()
