"""The dialog that imports an exchange's file: drop it, look at the preview, import."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from sentinel.amounts import Currency
from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.number_input import format_for_api, parse_number
from services.dashboard.table import Column, Row, badge_cell, number_cell, show_table
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATH = "/portfolio/import"
FILE_TYPES = ["csv", "tsv", "txt"]
PREFIX = "import_"
# By status: the order of the lines, and the color.
STATUSES = {"problem": (3, "unhealthy"), "new": (2, "ok"), "duplicate": (1, "muted")}
# Prices that the dialog asks for; a file with more needs the missing days' prices first.
MAX_ASKED_PRICES = 10


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
    st.markdown(f"**{escape_markdown(preview['format_name'] or tr('Unknown format'))}**")
    st.caption(escape_markdown(preview["reason"], MAX_SENTENCE_CHARACTERS))
    if preview["format"] is None or "import_mapping" in st.session_state:
        options |= _choose_columns(preview)
        preview = _get_preview(content, options)
        if preview is None:
            return
    answers = _ask(formatter, preview, options)
    if answers:
        options |= answers
        preview = _get_preview(content, options) or preview
    _show_lines(formatter, preview["lines"])
    _show_button(preview, content, options)


def _choose_options() -> dict[str, str]:
    """Show the options of every file and return their query parameters."""
    wallets = data.get_content("/portfolio/wallets")
    names = [each["wallet"] for each in wallets["items"] if each["wallet"]] if wallets else []
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    wallet = left.selectbox(
        tr("Into wallet"),
        names,
        index=None,
        key="import_wallet",
        placeholder=tr("main wallet; type a new name"),
        accept_new_options=True,
    )
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
        "wallet": wallet or "",
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


# --- questions -------------------------------------------------------------------------------


def _field_names() -> dict[str, str]:
    return {
        "made_at": tr("Time"),
        "kind": tr("Kind: buy or sell"),
        "pair": tr("Pair, such as BTC/USDT"),
        "coin": tr("Coin"),
        "currency": tr("Currency"),
        "quantity": tr("Quantity"),
        "price": tr("Price of one coin"),
        "total": tr("Total without fee"),
        "fee": tr("Fee"),
        "fee_currency": tr("Currency of the fee"),
        "received_coin": tr("Coin received"),
        "received_quantity": tr("Quantity received"),
        "status": tr("Status"),
        "note": tr("Note"),
    }


def _choose_columns(preview: Json) -> dict[str, str]:
    """Show which column holds which field, and return the mapping as a query parameter."""
    st.session_state["import_mapping"] = True
    st.markdown(tr("Choose which column of the file holds what."))
    _show_sample(preview)
    suggested = preview["suggested_mapping"]
    headers: Sequence[str] = preview["headers"]
    mapping = {}
    columns = st.columns(3)
    for index, (field, name) in enumerate(_field_names().items()):
        value = suggested.get(field)
        chosen = columns[index % 3].selectbox(
            name,
            headers,
            index=headers.index(value) if value in headers else None,
            key=f"import_column_{field}",
            placeholder=tr("not in the file"),
        )
        if chosen:
            mapping[field] = chosen
    # A currency may stand in the name of a column instead of in one of its own.
    if suggested.get("currency") and suggested["currency"] not in headers:
        mapping.setdefault("currency", suggested["currency"])
    return {"mapping": json.dumps(mapping)}


def _show_sample(preview: Json) -> None:
    columns = [Column(str(i), header) for i, header in enumerate(preview["headers"])]
    rows = [Row(str(i), cells) for i, cells in enumerate(preview["sample"])]
    show_table("import_sample", tr("First lines of the file"), columns, rows)


def _ask(formatter: Formatter, preview: Json, options: Mapping[str, str]) -> dict[str, str]:
    """Show the questions that lines of the file have, and return the answers as parameters."""
    asked = {line["asks"] for line in preview["lines"] if line["asks"]}
    answers = _ask_coins(preview)
    mapping = json.loads(options.get("mapping", "{}")) | _ask_notation(asked)
    if mapping:
        answers["mapping"] = json.dumps(mapping)
    if "idr_per_usd" in asked or st.session_state.get("import_rate"):
        label = tr("Rupiah per US dollar, for days without a stored rate")
        answers |= _read_number(formatter, label, "import_rate", "idr_per_usd", "IDR")
    prices = _ask_prices(formatter, preview)
    if prices:
        answers["prices"] = json.dumps(prices)
    return answers


def _ask_notation(asked: set[str]) -> dict[str, Any]:
    """Ask how the file writes dates and numbers where that is not clear."""
    answers: dict[str, Any] = {}
    if "date_order" in asked or st.session_state.get("import_date_order"):
        orders = {"dmy": tr("day first: 31/12"), "mdy": tr("month first: 12/31")}
        chosen = st.segmented_control(
            tr("Dates have the"),
            list(orders),
            format_func=lambda key: orders[key],
            key="import_date_order",
        )
        if chosen:
            answers["date_order"] = chosen
    if "decimal_comma" in asked or st.session_state.get("import_decimals"):
        decimals = {"point": "1,234.56", "comma": "1.234,56"}
        sign = st.segmented_control(
            tr("Numbers are written as"),
            list(decimals),
            format_func=lambda key: decimals[key],
            key="import_decimals",
        )
        if sign:
            answers["decimal_comma"] = sign == "comma"
    return answers


def _ask_coins(preview: Json) -> dict[str, str]:
    """Offer the other coins with the same symbol."""
    coins: dict[str, list[Json]] = {}
    for line in preview["lines"]:
        if line["coin"] and line["alternatives"]:
            coins.setdefault(line["coin"]["symbol"].upper(), [line["coin"], *line["alternatives"]])
    if not coins:
        return {}
    chosen: dict[str, str] = {}
    symbols = escape_markdown(", ".join(coins))
    with st.expander(tr("Symbols of several coins: {list}", list=symbols)):
        for symbol, found in coins.items():
            names = {coin["coin_id"]: _describe_coin(coin) for coin in found}
            coin_id = st.selectbox(
                escape_markdown(symbol),
                list(names),
                format_func=names.__getitem__,
                key=f"import_coin_{symbol}",
            )
            if coin_id != found[0]["coin_id"]:
                chosen[symbol] = coin_id
    return {"coins": json.dumps(chosen)} if chosen else {}


def _describe_coin(coin: Json) -> str:
    rank = tr("rank {rank}", rank=coin["rank"]) if coin["rank"] else tr("no rank")
    return f"{coin['name']} ({coin['coin_id']}, {rank})"


def _ask_prices(formatter: Formatter, preview: Json) -> dict[str, str]:
    """Ask for the prices of coins on days of which none is stored."""
    asking = [line for line in preview["lines"] if line["asks"] == "prices"]
    st.session_state.setdefault("import_asking", [])
    known: list[int] = st.session_state["import_asking"]
    known += [line["line"] for line in asking if line["line"] not in known]
    prices: dict[str, str] = {}
    for number in known[:MAX_ASKED_PRICES]:
        label = tr("Price in USD, line {number}", number=number)
        prices |= _read_number(formatter, label, f"import_price_{number}", str(number), "USD")
    return prices


def _read_number(
    formatter: Formatter, label: str, key: str, name: str, currency: Currency
) -> dict[str, str]:
    text = st.text_input(label, key=key)
    try:
        number = parse_number(text or "", formatter.language, currency)
    except ValueError as error:
        st.caption(escape_markdown(error, MAX_SENTENCE_CHARACTERS))
        return {}
    return {name: format_for_api(number)} if number else {}


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
    kinds = {
        "buy": tr("Buy"),
        "sell": tr("Sell"),
        "trade": tr("Trade"),
        "transfer": tr("Transfer"),
        "reward": tr("Reward"),
    }
    rank, tone = STATUSES.get(line["status"], (0, "muted"))
    made_at = datetime.fromisoformat(line["made_at"]) if line["made_at"] else None
    coin, received = (line[name]["name"] if line[name] else "" for name in ("coin", "to_coin"))
    quantity = line["quantity"]
    text = formatter.quantity(quantity) if quantity is not None else ""
    if received:
        text += f" → {formatter.quantity(line['to_quantity'])}"
    price, fee = line["price_usd"], line["fee_usd"]
    return Row(
        str(line["line"]),
        [
            number_cell(line["line"], str(line["line"])),
            badge_cell(rank, names[line["status"]], tone),
            number_cell(made_at.timestamp() if made_at else None, formatter.time(made_at)),
            kinds.get(line["kind"] or "", ""),
            f"{coin} → {received}" if received else coin,
            number_cell(quantity and float(quantity), text),
            number_cell(price and float(price), formatter.own_price(price, "USD")),
            number_cell(fee and float(fee), formatter.own_amount(fee, "USD")),
            line["message"],
        ],
        search=f"{coin} {received} {names[line['status']]} {line['message']}",
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
