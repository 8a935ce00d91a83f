"""The portfolio: net worth, profit, returns, holdings, transactions."""

from __future__ import annotations

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.elements.address import choose
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio import import_dialog, share_dialog, transaction_dialog
from services.dashboard.portfolio.figures import (
    show_allocation,
    show_figures,
    show_net_worth,
    show_profit,
    show_returns,
)
from services.dashboard.portfolio.tables import show_holdings, show_transactions, show_wallets
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

# Days of the net worth's chart by the name of the period. All: twenty years.
DAYS = {"7d": 7, "30d": 30, "60d": 60, "1y": 365, "all": 7_300}
MESSAGE = "portfolio_message"


def show() -> None:
    """Show the page. Its dialogs stand outside the part that refreshes, which would close them."""
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    with st.container(horizontal=True, gap="small", key="portfolio_controls"):
        _show_buttons(formatter)
        periods = {key: tr("{days} d", days=days) for key, days in DAYS.items() if days < 365}
        periods |= {"1y": tr("1 y"), "all": tr("All")}
        period = choose("period", periods, label=tr("Period"), default="60d")
    edited = st.session_state.pop("edited_transaction", None)
    if edited is not None:
        transaction_dialog.open_dialog(formatter, edited)
    _show_message()
    _show_content(period)


def _show_buttons(formatter: Formatter) -> None:
    """Show the buttons that open the dialogs, and the export."""
    if st.button(tr("Add a transaction"), type="primary"):
        transaction_dialog.open_dialog(formatter)
    if st.button(tr("Import")):
        import_dialog.open_dialog()
    st.download_button(
        tr("Export"),
        lambda: data.api_client().download(f"{transaction_dialog.PATH}.csv"),
        file_name="transactions.csv",
        mime="text/csv",
        on_click="ignore",
    )
    if st.button(tr("Share a link")):
        share_dialog.open_dialog()


def _show_message() -> None:
    """Show what the last change did; a deletion can be undone until the next one."""
    # The container is always there: the browser builds what follows anew if it moves.
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="message"):
        message = st.session_state.get(MESSAGE)
        if not message:
            return
        st.markdown(message["text"])
        deleted = message.get("deleted")
        if deleted is not None and st.button(tr("Undo")):
            _send_and_note("POST", f"/{deleted}/restore", tr("The transaction is back."))
        if st.button(tr("Close"), type="tertiary"):
            del st.session_state[MESSAGE]
            st.rerun()


def _send_and_note(method: str, path: str, text: str, deleted: int | None = None) -> None:
    """Send a change of a transaction, note what it did, and draw the page again."""
    try:
        data.api_client().send(method, f"{transaction_dialog.PATH}{path}")
    except (ApiUnreachable, RequestRejected) as error:
        text, deleted = data.describe_error(error), None
    st.session_state[MESSAGE] = {"text": text, "deleted": deleted}
    st.rerun()


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_content(period: str) -> None:
    formatter = data.current_formatter()
    portfolio = data.fetch("/portfolio", days=DAYS[period])
    if portfolio is None:
        return
    if portfolio["holdings"]:
        _show_portfolio(formatter, portfolio, period)
    else:
        st.info(
            tr(
                "The portfolio is empty. Add a transaction, or import the file of an exchange: "
                "Binance, Coinbase, Kraken, Indodax, Tokocrypto, Pintu, or a CSV of your own."
            ),
            icon=":material/savings:",
        )
    action = show_transactions(formatter)
    if action and action.action == "edit":
        _open_edit(action.row_id)
    elif action:
        text = tr("The transaction was deleted.")
        _send_and_note("DELETE", f"/{action.row_id}", text, int(action.row_id))


def _open_edit(transaction_id: str) -> None:
    """Note the transaction to edit, or why it cannot be edited, and draw the page again."""
    try:
        found = data.api_client().get(f"{transaction_dialog.PATH}/{transaction_id}").content
    except (ApiUnreachable, RequestRejected) as error:
        st.session_state[MESSAGE] = {"text": data.describe_error(error)}
    else:
        st.session_state["edited_transaction"] = found
    st.rerun()


def _show_portfolio(formatter: Formatter, portfolio: Json, period: str) -> None:
    if portfolio["missing"]:
        missing = escape_markdown(", ".join(portfolio["missing"]), MAX_SENTENCE_CHARACTERS)
        st.warning(tr("Missing, and left out of the sums: {missing}", missing=missing))
    returns = data.fetch("/portfolio/returns")
    show_figures(formatter, portfolio, returns)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_net_worth(formatter, portfolio["history"], period)
        show_profit(formatter, portfolio)
    with right:
        show_returns(formatter, returns)
        show_allocation(formatter, portfolio["holdings"])
    show_holdings(formatter, portfolio["holdings"])
    show_wallets(formatter, data.fetch("/portfolio/wallets"))
