"""The frame around every page: what a viewer chooses, where the pages are, whose data it is.

Streamlit runs this file anew for every viewer and click; start it with
`python -m services.dashboard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args
from zoneinfo import ZoneInfo

import streamlit as st

from services.dashboard import data
from services.dashboard.formatting import Currency, Preferences, known_zones
from services.dashboard.pages import coin, overview, paper_trading, pipeline, portfolio


def main() -> None:
    """Draw the page that was asked for."""
    st.set_page_config(page_title="Market Sentinel", page_icon="📈", layout="wide")
    pages = {
        "coin": st.Page(
            lambda: _show_coin(choice), title="Coin", icon=":material/show_chart:", url_path="coin"
        ),
        "portfolio": st.Page(
            lambda: portfolio.show(choice),
            title="Portfolio",
            icon=":material/savings:",
            url_path="portfolio",
        ),
        "paper": st.Page(
            lambda: paper_trading.show(choice),
            title="Paper money",
            icon=":material/experiment:",
            url_path="paper",
        ),
        "pipeline": st.Page(
            lambda: pipeline.show(choice),
            title="Pipeline",
            icon=":material/health_metrics:",
            url_path="pipeline",
        ),
    }
    overview_page = st.Page(
        lambda: overview.show(choice, pages["coin"]),
        title="Overview",
        icon=":material/table_chart:",
        default=True,
        url_path="overview",
    )
    chosen = st.navigation([overview_page, *pages.values()])
    with st.sidebar:
        choice = _ask()
        st.divider()
        portfolio.ask_for_holding(choice)
    if not data.coins():
        data.wait_for_coins()
    if chosen.url_path != "coin":
        st.query_params.pop("coin", None)
    st.title(chosen.title)
    chosen.run()
    st.caption("Data provided by [CoinGecko](https://www.coingecko.com/en/api).")


def _ask() -> Preferences:
    zones = known_zones(data.monitor().options.time_zone, st.context.timezone)
    currency = _remembered("currency", list(get_args(Currency)), "USD")
    zone = _remembered("zone", zones, zones[0])
    discreet = _remembered("discreet", ["true", "false"], "false")
    st.session_state.setdefault("shown_currency", currency)
    st.session_state.setdefault("shown_zone", zone)
    st.session_state.setdefault("is_discreet", discreet == "true")
    st.segmented_control(
        "Currency", get_args(Currency), key="shown_currency", persist_state="session", required=True
    )
    st.selectbox("Times in", zones, key="shown_zone", persist_state="session")
    st.toggle("Hide my amounts", key="is_discreet", persist_state="session")
    found = Preferences(
        currency="IDR" if st.session_state["shown_currency"] == "IDR" else "USD",
        zone=ZoneInfo(st.session_state["shown_zone"] or "UTC"),
        hide_amounts=bool(st.session_state["is_discreet"]),
    )
    _remember("currency", found.currency, "USD")
    _remember("zone", found.zone.key, zones[0])
    _remember("discreet", "true" if found.hide_amounts else "false", "false")
    return found


def _remembered(name: str, known: Sequence[str], default: str) -> str:
    """A choice as the address has it, which survives a reload."""
    wished = st.query_params.get(name, default)
    return wished if wished in known else default


def _remember(name: str, value: str, default: str) -> None:
    """Keep a choice in the address; navigation drops it, and each page puts it back."""
    if value != default:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def _show_coin(choice: Preferences) -> None:
    coin_id = coin.choose()
    if coin_id is not None:
        coin.show(choice, coin_id)


main()
