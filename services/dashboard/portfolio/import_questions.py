"""What the import dialog asks: columns of an unknown file, notation, coins, rates, prices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from sentinel.amounts import Currency
from services.api_client import Json
from services.dashboard.elements.number_input import format_for_api, parse_number
from services.dashboard.elements.options import show_options
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

# Prices that the dialog asks for; a file with more needs the missing days' prices first.
MAX_ASKED_PRICES = 10


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


def answer_key(name: str) -> str:
    """Return the key of an answer in the session state; another file has other answers."""
    return f"import_{st.session_state['import_file'].file_id}_{name}"


def choose_columns(preview: Json) -> str | None:
    """Show which column holds which field, and return the mapping; None while it lacks fields."""
    st.session_state[answer_key("mapping")] = True
    st.markdown(tr("Choose which column of the file holds what."))
    _show_sample(preview)
    suggested = preview["suggested_mapping"]
    headers: Sequence[str] = preview["headers"]
    mapping = {}
    columns = st.columns(3)
    for index, (field, name) in enumerate(_field_names().items()):
        value = suggested.get(field)
        # A currency may stand in the name of a column, or nowhere in the file.
        money = [value or "USD", "USD", "IDR"] if field == "currency" else []
        options = list(dict.fromkeys([*headers, *money]))
        chosen = columns[index % 3].selectbox(
            name,
            options,
            index=options.index(value) if value in options else None,
            key=answer_key(f"column_{field}"),
            placeholder=tr("not in the file"),
        )
        if chosen:
            mapping[field] = chosen
    if not ({"made_at", "quantity"} <= mapping.keys() and mapping.keys() & {"coin", "pair"}):
        st.info(tr("Choose at least the time, the quantity, and the coin or the pair."))
        return None
    return json.dumps(mapping)


def _show_sample(preview: Json) -> None:
    columns = [Column(str(i), header) for i, header in enumerate(preview["headers"])]
    rows = [Row(str(i), cells) for i, cells in enumerate(preview["sample"])]
    show_table("import_sample", tr("First lines of the file"), columns, rows)


def ask(formatter: Formatter, preview: Json, options: Mapping[str, str]) -> dict[str, str]:
    """Show the questions that lines of the file have, and return the answers as parameters."""
    asked = {line["asks"] for line in preview["lines"] if line["asks"]}
    answers = _ask_coins(preview)
    mapping = json.loads(options.get("mapping", "{}")) | _ask_notation(asked)
    if mapping:
        answers["mapping"] = json.dumps(mapping)
    if "idr_per_usd" in asked or st.session_state.get(answer_key("rate")):
        label = tr("Rupiah per US dollar, for days without a stored rate")
        answers |= _read_number(formatter, label, "rate", "idr_per_usd", "IDR")
    prices = _ask_prices(formatter, preview)
    if prices:
        answers["prices"] = json.dumps(prices)
    return answers


def _ask_notation(asked: set[str]) -> dict[str, Any]:
    """Ask how the file writes dates and numbers where that is not clear."""
    answers: dict[str, Any] = {}
    if "date_order" in asked or st.session_state.get(answer_key("date_order")):
        orders = {"dmy": tr("day first: 31/12"), "mdy": tr("month first: 12/31")}
        chosen = show_options(tr("Dates have the"), orders, answer_key("date_order"))
        if chosen:
            answers["date_order"] = chosen
    if "decimal_comma" in asked or st.session_state.get(answer_key("decimals")):
        decimals = {"point": "1,234.56", "comma": "1.234,56"}
        sign = show_options(tr("Numbers are written as"), decimals, answer_key("decimals"))
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
                key=answer_key(f"coin_{symbol}"),
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
    known: list[int] = st.session_state.setdefault(answer_key("asking"), [])
    known += [line["line"] for line in asking if line["line"] not in known]
    prices: dict[str, str] = {}
    for number in known[:MAX_ASKED_PRICES]:
        label = tr("Price in USD, line {number}", number=number)
        prices |= _read_number(formatter, label, f"price_{number}", str(number), "USD")
    return prices


def _read_number(
    formatter: Formatter, label: str, key: str, name: str, currency: Currency
) -> dict[str, str]:
    text = st.text_input(label, key=answer_key(key))
    try:
        number = parse_number(text or "", formatter.language, currency)
    except ValueError as error:
        st.caption(escape_markdown(error, MAX_SENTENCE_CHARACTERS))
        return {}
    return {name: format_for_api(number)} if number else {}
