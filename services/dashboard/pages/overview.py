"""The overview: the table of all coins; beside it the movers and the newest alerts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.elements.cells import (
    age_cell,
    count_cell,
    line_cell,
    number_cell,
    percent_cell,
    price_cell,
)
from services.dashboard.elements.table import (
    Column,
    Row,
    read_view,
    show_table,
    write_view,
)
from services.dashboard.formatting import Formatter
from services.dashboard.language import current_language, tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, format_symbols


@st.fragment(run_every=data.REFRESH_SECONDS)
def show() -> None:
    """Show the page."""
    if not data.has_prices():
        return
    overview = data.fetch("/overview", language=current_language())
    if overview is None:
        return
    formatter = data.current_formatter()
    # The stylesheet puts the second one beside the first one, or above it in a narrow window.
    with st.container(key="overview"):
        with st.container(key="market"):
            _show_market(formatter, overview)
        with st.container(key="highlights"):
            _show_movers(formatter, overview)
            _show_alerts(formatter, overview["alerts"])


def list_columns() -> list[Column]:
    """Return the columns of the table of all coins."""
    watch = tr("Star a coin: the monitor watches it and sends its alerts.")
    first_to_last = tr("The last 7 days. Its height is at least 1% of the price.")
    return [
        Column("star", tr("Star"), "star", watch),
        Column("rank", "#", "number", tr("Rank by market cap"), priority=2),
        Column("name", tr("Coin"), "link"),
        Column("price", tr("Price"), "number", descending=True),
        Column("change_1h", tr("1 h"), "change", priority=3),
        Column("change_24h", tr("24 h"), "change"),
        Column("change_7d", tr("7 d"), "change", priority=2),
        Column("line", tr("7 days"), "line", first_to_last),
        Column("market_cap", tr("Market cap"), "number", priority=2, descending=True),
        Column("volume", tr("Volume, 24 h"), "number", priority=3, descending=True),
        Column("age", tr("Age"), "number", tr("Time since the price was observed"), priority=3),
    ]


def build_row(formatter: Formatter, coin: Json, symbol: str) -> Row:
    """Return a coin as a row of the table; `symbol` stands beside its name."""
    rank, market_cap = formatter.count(coin["rank"]), coin["market_cap_usd"]
    volume = coin["volume_24h_usd"]
    name = {"text": coin["name"], "note": symbol, "small": f"{rank} · {symbol}"}
    cells = [
        coin["is_starred"],
        count_cell(formatter, coin["rank"]),
        name,
        price_cell(formatter, coin["price_usd"]),
        *(percent_cell(formatter, coin[f"change_{span}"]) for span in ("1h", "24h", "7d")),
        line_cell(coin["sparkline_usd"], coin["change_7d"]),
        number_cell(market_cap, formatter.compact_amount(market_cap)),
        number_cell(volume, formatter.compact_amount(volume)),
        age_cell(formatter, coin["observed_at"]),
    ]
    search = f"{coin['name']} {coin['symbol']} {coin['coin_id']}"
    return Row(coin["coin_id"], cells, _link(coin["coin_id"]), search, coin["name"])


def _link(coin_id: str) -> str:
    return f"coin?coin={quote_segment(coin_id)}"


def _show_market(formatter: Formatter, overview: Json) -> None:
    coins: Sequence[Json] = overview["coins"]
    columns = list_columns()
    symbols = format_symbols(coins)
    show_table(
        "coins",
        tr("All coins"),
        columns,
        [build_row(formatter, coin, symbols[coin["coin_id"]]) for coin in coins],
        view=read_view(st.query_params.to_dict(), columns),
        on_view=lambda view: write_view(st.query_params, view),
        on_star=_save_star,
        search=tr("Filter by name, symbol or id"),
        count=tr("{count} coins in {currency}", count=len(coins), currency=formatter.currency),
        is_old=data.has_old_prices(),
    )


def _show_movers(formatter: Formatter, overview: Json) -> None:
    columns = [
        Column("name", tr("Coin"), "link"),
        Column("price", tr("Price"), "number", descending=True),
        Column("change", tr("24 h"), "change"),
    ]
    rows = [
        Row(
            mover["coin_id"],
            [
                {"text": mover["name"]},
                price_cell(formatter, mover["price_usd"]),
                percent_cell(formatter, mover["change"]),
            ],
            _link(mover["coin_id"]),
        )
        for mover in [*overview["gainers"], *overview["losers"][::-1]]
    ]
    show_table(
        "movers",
        tr("Coins that rose and fell most in 24 hours"),
        columns,
        rows,
        title=tr("Movers, 24 h"),
        folds=True,
        empty=tr("No coin has a price from 24 hours ago yet."),
        is_old=data.has_old_prices(),
    )


def _show_alerts(formatter: Formatter, alerts: Iterable[Json]) -> None:
    columns = [
        Column("name", tr("Coin"), "link"),
        Column("move", tr("Move"), "change", tr("From the high or the low before the alert")),
        Column("age", tr("Ago"), "number"),
    ]
    show_table(
        "newest_alerts",
        tr("The newest alerts"),
        columns,
        [_build_alert_row(formatter, alert) for alert in alerts],
        title=tr("Last alerts"),
        folds=True,
        empty=tr(
            "No alerts yet. The monitor watches starred coins, the coins that you hold and the "
            "best-ranked ones. It sends about two alerts a week for each."
        ),
    )


def _build_alert_row(formatter: Formatter, alert: Json) -> Row:
    outcome = formatter.price(alert["price_usd"])
    for key, label in (("after_1h", tr("in 1 h")), ("after_24h", tr("in 24 h"))):
        if alert[key] is not None:
            outcome += f", {formatter.percent(alert[key])} {label}"
    title = f"{alert['name']}: {alert['why']}"
    cells = [
        {"text": alert["name"], "note": outcome, "title": title},
        percent_cell(formatter, alert["move"]),
        age_cell(formatter, alert["observed_at"]),
    ]
    return Row(str(alert["alert_id"]), cells, _link(alert["coin_id"]))


def _save_star(coin_id: str, is_starred: bool) -> None:
    """Save a star that the table shows already; if that fails, say so: the star returns."""
    try:
        data.send_star(coin_id, is_starred=is_starred)
    except (ApiUnreachable, RequestRejected) as error:
        message = escape_markdown(str(error), MAX_SENTENCE_CHARACTERS)
        st.toast(tr("The star was not saved: {error}", error=message), duration="long")
