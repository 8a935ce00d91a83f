"""The controls above the chart of a coin. All of them are in the page's address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from services.dashboard.elements.address import choose, choose_from_list, switch
from services.dashboard.language import tr

Query = dict[str, str | int | list[str]]
# Points of a line; a chart has few more pixels than twice as many.
LINE_POINTS = 700


class Period(NamedTuple):
    """What the API is asked for to draw a period."""

    # Rather too many: the API begins at the first price.
    hours: int
    # A chart has room for so many candles.
    candles: int
    # Whether the forecast of ten minutes can be seen.
    is_short: bool = False


PERIODS = {
    "1h": Period(1, 12, is_short=True),
    "24h": Period(24, 100, is_short=True),
    "7d": Period(7 * 24, 100),
    "30d": Period(30 * 24, 130),
    "60d": Period(60 * 24, 130),
    "all": Period(20 * 366 * 24, 150),
}
DEFAULT_PERIOD = "7d"


class CoinView(NamedTuple):
    """What the viewer wants to see of a coin."""

    period: str
    has_candles: bool
    is_log: bool
    has_volume: bool
    # The id of another coin.
    compared: str | None

    @property
    def is_short(self) -> bool:
        """Whether the forecast of ten minutes can be seen."""
        return PERIODS[self.period].is_short

    @property
    def query(self) -> Query:
        """The history to ask the API for."""
        period = PERIODS[self.period]
        return {
            "hours": period.hours,
            "points": period.candles if self.has_candles else LINE_POINTS,
        }


def show_controls(coin_id: str, names: Mapping[str, str]) -> CoinView:
    """Show the controls and return what the viewer chose; `names` are of all coins by id."""
    with st.container(horizontal=True, vertical_alignment="center", key="coin_controls"):
        period = choose("range", _name_periods(), label=tr("Period"), default=DEFAULT_PERIOD)
        kinds = {"line": tr("Lines"), "candles": tr("Candles")}
        kind = choose("chart", kinds, label=tr("Chart"))
        is_log = switch("log", tr("Log axis"))
        has_volume = switch("volume", tr("Volume"), default=True)
        others = {key: name for key, name in names.items() if key != coin_id}
        compared = choose_from_list(
            "compare", others, label=tr("Compare with"), none_text=tr("Compare with …")
        )
    # The candles of two coins would lie on each other.
    has_candles = kind == "candles" and compared is None
    return CoinView(period, has_candles, is_log, has_volume, compared)


def _name_periods() -> dict[str, str]:
    return {
        "1h": tr("{hours} h", hours=1),
        "24h": tr("{hours} h", hours=24),
        "7d": tr("{days} d", days=7),
        "30d": tr("{days} d", days=30),
        "60d": tr("{days} d", days=60),
        "all": tr("All"),
    }
