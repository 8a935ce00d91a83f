"""One coin: price charts, forecast with its track record, alerts, gaps, price targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

import streamlit as st

from services.api_client import Json, quote_segment
from services.dashboard import data
from services.dashboard.alert_score import describe_alert_score
from services.dashboard.charts.price_history import draw_price_history
from services.dashboard.components import (
    compute_day_change,
    format_alert,
    gap_row,
    show_metric,
    show_table,
)
from services.dashboard.forecast_scores import TOO_EARLY, drop_repeated, format_score
from services.dashboard.formatting import Formatter
from services.dashboard.mute_control import show_mute_control
from services.dashboard.price_targets import show_price_targets
from services.dashboard.text import escape_markdown, unique_coin_names

RECENT_HOURS = 3
# In a good hour single observations are at most this far apart.
MAX_RAW_STEP = timedelta(minutes=6)
FETCHED_ALERTS = 50
SHOWN_ALERTS = 10
DIRECTIONS = {
    "bullish": (":green-badge[▲ Bullish]", "The last hour points up."),
    "bearish": (":red-badge[▼ Bearish]", "The last hour points down."),
    "neutral": (":gray-badge[● Neutral]", "The last hour points nowhere clearly."),
}


def show() -> None:
    """Show the page: the selection box, and the chosen coin below it."""
    coin_id = _choose_coin()
    if coin_id is not None:
        _show_coin(coin_id)
        show_price_targets(coin_id)


def _choose_coin() -> str | None:
    """Show the selection box and return the chosen coin's id, None while no coin is known."""
    coins = data.list_coins()
    if coins is None:
        data.fetch("/coins", limit=data.MAX_COINS)  # shows the error
        return None
    if not coins:
        st.info("No price is stored yet. After `make up`, the first prices arrive within a minute.")
        return None
    names = unique_coin_names(coins)
    _follow_address(names)
    chosen: str | None = st.selectbox(
        "Coin",
        list(names),
        format_func=lambda coin_id: names.get(coin_id, coin_id),
        key="chosen_coin",
    )
    if chosen:
        st.query_params["coin"] = st.session_state["addressed_coin"] = chosen
    return chosen


def _follow_address(names: Mapping[str, str]) -> None:
    """Choose the coin of the page's address if a link or the back button has changed it."""
    requested = st.query_params.get("coin")
    if requested is not None and requested not in names:
        st.info(f"`{escape_markdown(requested)}` is not among the listed coins.")
    elif requested is not None and requested != st.session_state.get("addressed_coin"):
        st.session_state["chosen_coin"] = requested
    if st.session_state.get("chosen_coin") not in names:
        st.session_state["chosen_coin"] = next(iter(names))


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_coin(coin_id: str) -> None:
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    path = f"/coins/{quote_segment(coin_id)}"
    coin = data.fetch(path)
    sparklines = data.fetch("/sparklines", limit=data.MAX_COINS)
    if coin is None:
        return
    # Figures come before charts: while the browser loads the chart library it draws nothing else.
    _show_figures(formatter, coin, sparklines["items"] if sparklines else [])
    forecast = data.fetch(f"{path}/forecast")
    _show_forecast(formatter, forecast)
    history = data.fetch(f"{path}/history")
    recent = data.fetch(f"{path}/history", resolution="raw", hours=RECENT_HOURS)
    alerts = _fetch_items("/alerts", coin_id=coin_id, limit=FETCHED_ALERTS)
    alert_score = data.fetch(f"{path}/alert-score")
    gaps = _fetch_items("/gaps", coin_id=coin_id)
    if history is None or recent is None:
        return
    _show_charts(formatter, coin, forecast, history, recent, alerts or [], gaps or [])
    left, right = st.columns(2)
    with left:
        if alerts is not None:
            _show_alerts(formatter, alerts, coin, alert_score)
    with right:
        show_table(
            "Gaps, last 7 days",
            gaps,
            lambda gap: gap_row(formatter, gap),
            "No gaps: every run that was due stored a price, or the backfill filled the gap.",
            is_wrapped=True,
        )


def _fetch_items(path: str, **query: str | int) -> list[Json] | None:
    content = data.fetch(path, **query)
    return content and list(content["items"])


def _show_charts(
    formatter: Formatter,
    coin: Json,
    forecast: Json | None,
    history: Json,
    recent: Json,
    alerts: Sequence[Json],
    gaps: Sequence[Json],
) -> None:
    """Show the history of the week, and the single observations of the last hours."""
    draw = partial(
        draw_price_history, formatter, forecast=forecast, recent=recent["points"], alerts=alerts
    )
    step = timedelta(seconds=history["step_seconds"])
    week = draw(points=history["points"], step=step, gaps=gaps, watch=coin["watch"])
    st.plotly_chart(week, key="week", config={"displaylogo": False})
    st.subheader(f"Last {RECENT_HOURS} hours and next 10 minutes")
    recent_gaps = [gap for gap in gaps if gap["stop"] >= recent["start"]]
    hours = draw(points=recent["points"], step=MAX_RAW_STEP, gaps=recent_gaps)
    st.plotly_chart(hours, key="hours", config={"displaylogo": False})


def _show_figures(formatter: Formatter, coin: Json, sparklines: Sequence[Json]) -> None:
    prices: Sequence[float | None] = next(
        (line["prices_usd"] for line in sparklines if line["coin_id"] == coin["coin_id"]), []
    )
    change = compute_day_change(formatter, coin, prices)
    metrics = (
        (
            "Price",
            formatter.price(coin["price_usd"]),
            None if change is None else f"{formatter.percent(change)} in 24 h",
        ),
        ("Market cap", formatter.compact_amount(coin["market_cap_usd"]), None),
        ("Volume, 24 h", formatter.compact_amount(coin["volume_24h_usd"]), None),
        ("Price age", formatter.age(coin["observed_at"]), None),
    )
    is_old = data.has_old_prices()
    columns = st.columns([5, 4, 4, 3])
    for column, (label, value, delta) in zip(columns, metrics, strict=True):
        show_metric(column, label, value, delta, is_old=is_old)
    st.caption(
        f"{coin['source'].capitalize()} price of {formatter.time(coin['observed_at'])} "
        f"{formatter.zone.key}."
    )


def _show_forecast(formatter: Formatter, forecast: Json | None) -> None:
    if forecast is None:
        st.caption(
            ":gray-badge[no forecast] A forecast needs an hour of prices that are at most six "
            "minutes apart."
        )
        return
    badge, reason = DIRECTIONS[forecast["direction"]]
    band = "not known yet"
    if forecast["low_usd"] is not None:
        low, high = (formatter.price(forecast[key]) for key in ("low_usd", "high_usd"))
        band = f"{low} to {high}"
    st.markdown(
        f"{badge} {reason} {forecast['coverage']:.0%} band for "
        f"{formatter.time(forecast['due_at'])}: {escape_markdown(band)}. The line ends at "
        f"{escape_markdown(formatter.price(forecast['predicted_usd']))}. "
        f"Made {formatter.age(forecast['made_at'])} ago."
    )
    scores = drop_repeated(forecast["scores"])
    # Before there is a result, one line about the longest time span is enough.
    decided = [score for score in scores if score["result"] != TOO_EARLY]
    for score in decided or scores[-1:]:
        st.caption(format_score(formatter, score))


def _show_alerts(
    formatter: Formatter, alerts: Sequence[Json], coin: Json, alert_score: Json | None
) -> None:
    st.subheader("Alerts")
    if coin["watch"] is None:
        st.info(
            "The monitor does not watch this coin. It watches the coins you hold, the best-ranked "
            "coins, and the coins named in `ingest_config.json`."
        )
    else:
        st.caption(_describe_watch(formatter, coin["watch"]))
    for line in describe_alert_score(formatter, alert_score) if alert_score else []:
        st.caption(line)
    show_mute_control(formatter, coin)
    for alert in alerts[:SHOWN_ALERTS]:
        st.markdown(format_alert(formatter, alert))
    if not alerts:
        st.caption("No alerts in the last 60 days.")


def _describe_watch(formatter: Formatter, watch: Json) -> str:
    text = (
        f"An alert comes when the price is {formatter.percent(watch['threshold'], signed=False)} "
        "below its recent high or above its recent low."
    )
    if watch["actual_rate"] is None or watch["target_rate"] is None:
        return text
    return (
        f"{text} Alerts per week: target {watch['target_rate']:.1f}, "
        f"{watch['actual_rate']:.1f} on the coin's own history."
    )
