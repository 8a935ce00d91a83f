"""One coin: its week, the next ten minutes and what such forecasts were worth, marks, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from services.dashboard import charts, data
from services.dashboard.api_client import segment
from services.dashboard.formatting import UNKNOWN, Formatter, Preferences
from services.dashboard.pages.overview import alert_line, day_change
from services.dashboard.pages.pipeline import gap_row
from services.dashboard.text import join_names, plain

Json = Mapping[str, Any]
RECENT_HOURS = 3
USUAL_STEP = timedelta(minutes=6)  # that single observations are at most apart in a good hour
SHOWN_ALERTS = 50
DIRECTIONS = {
    "bullish": (":green-badge[▲ Bullish]", "the band lies above the price"),
    "bearish": (":red-badge[▼ Bearish]", "the band lies below the price"),
    "neutral": (":gray-badge[● Neutral]", "the band holds the price"),
}


def choose() -> str | None:
    """Ask which coin; None while none is known."""
    coins = data.coins()
    if coins is None:
        data.fetch("/coins", limit=data.COINS)  # which says what is wrong
        return None
    if not coins:
        st.info("No price is stored yet. With `make up` the first are here within a minute.")
        return None
    called = join_names(coins)
    _follow_address(called)
    chosen: str | None = st.selectbox(
        "Coin",
        list(called),
        format_func=lambda coin_id: called.get(coin_id, coin_id),
        key="chosen_coin",
    )
    if chosen:
        st.query_params["coin"] = st.session_state["addressed_coin"] = chosen
    return chosen


def _follow_address(called: Mapping[str, str]) -> None:
    """Let the address decide where it has changed since it was written: by a link, or by the
    browser's back button."""
    wished = st.query_params.get("coin")
    if wished is not None and wished not in called:
        st.info(f"No coin `{plain(wished)}` is among those listed.")
    elif wished is not None and wished != st.session_state.get("addressed_coin"):
        st.session_state["chosen_coin"] = wished
    if st.session_state.get("chosen_coin") not in called:
        st.session_state["chosen_coin"] = next(iter(called))


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(choice: Preferences, coin_id: str) -> None:
    """The page's body."""
    viewer = data.current_formatter(choice)
    if not data.show_freshness(viewer):
        return
    path = f"/coins/{segment(coin_id)}"
    coin = data.fetch(path)
    lines = data.fetch("/sparklines", limit=data.COINS)
    if coin is None:
        return
    # The figures first: a browser that loads the charts' code draws nothing meanwhile.
    _show_head(viewer, coin, lines["items"] if lines else [])
    forecast = data.fetch(f"{path}/forecast")
    _show_forecast(viewer, forecast)
    history = data.fetch(f"{path}/history")
    recent = data.fetch(f"{path}/history", resolution="raw", hours=RECENT_HOURS)
    alerts = data.fetch("/alerts", coin_id=coin_id, limit=SHOWN_ALERTS)
    gaps = data.fetch("/gaps", coin_id=coin_id)
    if history is None or recent is None:
        return
    alerts, gaps = (found and found["items"] for found in (alerts, gaps))
    step = timedelta(seconds=history["step_seconds"])
    week = charts.price_history(
        viewer,
        history["points"],
        step,
        forecast,
        recent["points"],
        alerts or [],
        gaps or [],
        coin["watch"],
    )
    st.plotly_chart(week, key="week", config={"displaylogo": False})
    st.subheader("The last hours and the next ten minutes")
    hours = charts.price_history(
        viewer,
        recent["points"],
        USUAL_STEP,
        forecast,
        recent["points"],
        alerts or [],
        [gap for gap in gaps or [] if gap["stop"] >= recent["start"]],
        None,
    )
    st.plotly_chart(hours, key="hours", config={"displaylogo": False})
    left, right = st.columns(2)
    with left:
        if alerts is not None:
            _show_alerts(viewer, alerts, coin["watch"])
    with right:
        if gaps is not None:
            _show_gaps(viewer, gaps)


def _show_head(viewer: Formatter, coin: Json, lines: Sequence[Json]) -> None:
    line: Sequence[float | None] = next(
        (one["prices_usd"] for one in lines if one["coin_id"] == coin["coin_id"]), []
    )
    change = day_change(viewer, coin, line)
    told = None if change is None else f"{viewer.percent(change)} in 24 h"
    cells = (
        ("Price", viewer.price(coin["price_usd"]), told),
        ("Market cap", viewer.size(coin["market_cap_usd"]), None),
        ("Volume, 24 h", viewer.size(coin["volume_24h_usd"]), None),
        ("Price's age", viewer.age(coin["observed_at"]), None),
    )
    columns = st.columns([5, 4, 4, 3])
    for column, (name, value, delta) in zip(columns, cells, strict=True):
        column.metric(name, value, delta)
    st.caption(
        f"{coin['source']} at {viewer.at(coin['observed_at'])} {viewer.zone.key}, from CoinGecko"
    )


def _show_forecast(viewer: Formatter, forecast: Json | None) -> None:
    if forecast is None:
        st.caption(
            ":gray-badge[no forecast] There is none just now: it takes an hour of prices, one at "
            "least every six minutes."
        )
        return
    badge, why = DIRECTIONS[forecast["direction"]]
    band = "none yet"
    if forecast["low_usd"] is not None:
        band = f"{viewer.price(forecast['low'])} to {viewer.price(forecast['high'])}"
    st.markdown(
        f"{badge} {why}. By {viewer.at(forecast['due_at'])}: "
        f"{plain(viewer.price(forecast['predicted']))}, {forecast['coverage']:.0%} band "
        f"{plain(band)}, made {viewer.age(forecast['made_at'])} ago."
    )
    told = [score for score in forecast["scores"] if score["result"] != "too early"]
    for score in told or forecast["scores"][-1:]:
        st.caption(score_line(viewer, score))


def score_line(viewer: Formatter, score: Json) -> str:
    """What such forecasts of a coin were worth, in a line."""
    span = "the last day" if score["hours"] == 24 else f"the last {score['hours'] // 24} days"
    if score["result"] == "too early":
        return f"Scoreboard of {span}: too early to tell, {score['scored']} were scored."
    verdict = "a real edge" if score["result"] == "edge" else "no edge over expecting no change"
    mase = UNKNOWN if score["mase"] is None else f"{score['mase']:.2f}"
    return (
        f"Scoreboard of {span}: {verdict} (MASE {mase}, below 1 beats no change); "
        f"{plain(viewer.percent(score['hit_rate'], signed=False))} of {score['directional']} "
        "directions were right, "
        f"{plain(viewer.percent(score['coverage'], signed=False))} of prices fell into "
        f"the band; {score['scored']} scored."
    )


def _show_alerts(viewer: Formatter, alerts: Sequence[Json], watch: Json | None) -> None:
    st.subheader("Alerts")
    if watch is None:
        st.info(
            "Not watched: only the coins you hold, the best ranked and those named in "
            "`ingest_config.json` are."
        )
    else:
        st.caption(
            f"Alert at {viewer.percent(watch['threshold'], signed=False)} from the mark "
            f"(k {watch['effective_multiplier']:.2f})"
            + (
                f"; {watch['actual_rate']:.1f} a week on its own history, wished "
                f"{watch['target_rate']:.1f}"
                if watch["actual_rate"] is not None and watch["target_rate"] is not None
                else ""
            )
        )
    for alert in alerts[:10]:
        st.markdown(alert_line(viewer, alert))
    if not alerts:
        st.caption("None in the sixty days that are kept.")


def _show_gaps(viewer: Formatter, gaps: Sequence[Json]) -> None:
    st.subheader("Gaps of the last week")
    if not gaps:
        st.caption("None: every run that was due left a price, or was repaired.")
        return
    rows = [gap_row(viewer, gap) for gap in gaps]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="gaps")
