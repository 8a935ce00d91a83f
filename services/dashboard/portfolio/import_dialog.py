"""The dialog that imports an exchange's file: drop it, look at the preview, import."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.elements.cells import (
    amount_cell,
    badge_cell,
    number_cell,
    own_cell,
    time_cell,
)
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio.import_questions import answer_key, ask, choose_columns
from services.dashboard.portfolio.kinds import name_kinds
from services.dashboard.portfolio.wallet_choice import choose_wallet
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATH = "/portfolio/import"
FILE_TYPES = ["csv", "tsv", "txt"]
PREFIX = "import_"
# By status: the order of the lines, and the color.
STATUSES = {"problem": (3, "unhealthy"), "new": (2, "ok"), "duplicate": (1, "muted")}


def open_dialog() -> None:
    """Open the dialog."""
    for key in [key for key in st.session_state if str(key).startswith(PREFIX)]:
        del st.session_state[key]
    st.dialog(tr("Import transactions"), width="large")(_show)()


def _show() -> None:
    formatter = data.current_formatter()
    st.caption(
        tr(
            "Files of Binance, Coinbase, Kraken, Indodax, Tokocrypto and Pintu are recognized. "
            "Other files need their columns chosen once. Importing a file again adds nothing."
        )
    )
    file = st.file_uploader(tr("CSV file"), type=FILE_TYPES, key="import_file")
    if file is None:
        return
    content = file.getvalue()
    options = _choose_options()
    preview = _get_preview(content, options)
    if preview is None:
        return
    name = tr("Unknown format") if preview["format"] is None else preview["format_name"]
    st.markdown(f"**{escape_markdown(name)}**")
    if preview["format"] is not None:
        st.caption(escape_markdown(preview["reason"], MAX_SENTENCE_CHARACTERS))
    if preview["format"] is None or answer_key("mapping") in st.session_state:
        mapping = choose_columns(preview)
        if mapping is None:
            return
        options["mapping"] = mapping
        preview = _get_preview(content, options)
        if preview is None:
            return
    answers = ask(formatter, preview, options)
    if answers:
        options |= answers
        preview = _get_preview(content, options) or preview
    _show_lines(formatter, preview["lines"])
    _show_button(preview, content, options)


def _choose_options() -> dict[str, str]:
    """Show the options of every file and return their query parameters."""
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    wallet = choose_wallet(left, tr("Into wallet"), "import_wallet")
    stablecoins = middle.checkbox(
        tr("Stablecoins are US dollars"),
        value=True,
        key="import_stablecoins",
        help=tr("USDT, USDC and others count as money, not as coins that you hold."),
    )
    transfers = right.checkbox(
        tr("Import deposits and withdrawals"),
        value=True,
        key="import_transfers",
        help=tr("Turn it off if both sides of your transfers are in files that you import."),
    )
    return {
        "wallet": wallet,
        "stablecoins_as_usd": str(stablecoins).lower(),
        "transfers": "import" if transfers else "ignore",
    }


def _get_preview(content: bytes, options: Mapping[str, str]) -> Json | None:
    """Return the preview of the file, asked for once per set of options."""
    digest = hashlib.sha256(content + json.dumps(options, sort_keys=True).encode()).hexdigest()
    known = st.session_state.get("import_preview")
    if known and known[0] == digest:
        preview: Json = known[1]
        return preview
    try:
        preview = data.api_client().upload(f"{PATH}/preview", content, **options)
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return None
    st.session_state["import_preview"] = (digest, preview)
    return preview


# --- preview and import ----------------------------------------------------------------------


def _show_lines(formatter: Formatter, lines: Sequence[Json]) -> None:
    columns = [
        Column("line", tr("Line"), "number"),
        Column("status", tr("Status"), "badge"),
        Column("time", tr("Time"), "number", priority=2),
        Column("kind", tr("Kind")),
        Column("coin", tr("Coin")),
        Column("quantity", tr("Quantity"), "number"),
        Column("price", tr("Price, USD"), "number", priority=2),
        Column("fee", tr("Fee, USD"), "number", priority=3),
        Column("message", tr("Note")),
    ]
    rows = [build_line_row(formatter, line) for line in lines]
    show_table("import_lines", tr("Preview"), columns, rows, search=tr("Filter lines"))


def build_line_row(formatter: Formatter, line: Json) -> Row:
    """Return a line of the file as a row; the problems come first when sorted by status."""
    names = {
        "new": tr("New"),
        "duplicate": tr("Imported before"),
        "ignored": tr("Ignored"),
        "problem": tr("Problem"),
    }
    rank, tone = STATUSES.get(line["status"], (0, "muted"))
    coin, received = (line[name]["name"] if line[name] else "" for name in ("coin", "to_coin"))
    quantity = line["quantity"]
    text = formatter.quantity(quantity) if quantity is not None else ""
    if received:
        text += f" → {formatter.quantity(line['to_quantity'])}"
    price, fee, message = line["price_usd"], line["fee_usd"], line["message"]
    # A number in it may be an amount.
    if formatter.hide_amounts and any(character.isdigit() for character in message):
        message = HIDDEN
    return Row(
        str(line["line"]),
        [
            number_cell(line["line"], str(line["line"])),
            badge_cell(rank, names[line["status"]], tone),
            time_cell(formatter, line["made_at"]),
            name_kinds().get(line["kind"] or "", ""),
            f"{coin} → {received}" if received else coin,
            own_cell(formatter, quantity, text),
            own_cell(formatter, price, formatter.own_price(price, "USD")),
            amount_cell(formatter, fee, "USD"),
            message,
        ],
        search=f"{coin} {received} {names[line['status']]} {message}",
    )


def _show_button(preview: Json, content: bytes, options: Mapping[str, str]) -> None:
    counts = preview["counts"]
    st.caption(
        tr(
            "{new} new, {duplicate} imported before, {ignored} ignored, {problem} with problems.",
            **counts,
        )
    )
    if preview["message"]:
        st.warning(data.describe_message(preview["message"]))
    is_ready = counts["new"] and not counts["problem"] and not preview["message"]
    label = tr("Import {count} transactions", count=counts["new"])
    if st.button(label, type="primary", disabled=not is_ready):
        _import(content, options)


def _import(content: bytes, options: Mapping[str, str]) -> None:
    try:
        found = data.api_client().upload(PATH, content, **options)
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    text = tr("{count} transactions were imported.", count=found["added"])
    st.session_state["portfolio_message"] = {"text": text}
    st.rerun()
