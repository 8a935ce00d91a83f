"""Fetch data for a page through the shared API client, and show how fresh it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from services.api_client import (
    SUMMARY_PATH,
    ApiClient,
    ApiResponse,
    ApiUnreachable,
    NotFound,
    RequestRejected,
    quote_segment,
)
from services.dashboard.formatting import Formatter
from services.dashboard.language import current_language, tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, format_age
from services.settings import MonitorSettings, load_monitor_settings

# How often a page fetches its data again.
REFRESH_SECONDS = 10.0
# How often an empty page looks for the first prices.
WAIT_SECONDS = 5.0
# Coins in the table and in the selection boxes.
MAX_COINS = 500
# The check of the age of the prices.
FRESHNESS = "freshness"
OFFLINE_ICON = ":material/cloud_off:"
# What the API writes before the reason for which it rejects a field.
_FIELD = re.compile(r"\bbody\.([\w.]+): (?:Value error, )?")


@st.cache_resource
def monitor_settings() -> MonitorSettings:
    """Return the settings, read once."""
    return load_monitor_settings()


@st.cache_resource
def api_client() -> ApiClient:
    """Return the API client that all viewers share."""
    settings = monitor_settings()
    return ApiClient(settings.api_url, settings.api_token)


def current_formatter() -> Formatter:
    """Return a formatter with the viewer's preferences, the current time and exchange rate.

    A page refreshes for hours; it must not keep the time and the rate of its first view.
    """
    summary = get_content(SUMMARY_PATH)
    rate = summary["idr_per_usd"] if summary else None
    return Formatter(
        chosen_currency="IDR" if st.session_state["currency"] == "IDR" else "USD",
        zone=ZoneInfo(st.session_state["zone"] or "UTC"),
        hide_amounts=bool(st.session_state["hide_amounts"]),
        idr_per_usd=rate,
        now=datetime.now(UTC),
        language=current_language(),
    )


def get_content(path: str, **query: str | int | list[str]) -> Any:
    """Return the content of a response, None if there is none. Shows nothing."""
    try:
        return api_client().get(path, **query).content
    except (ApiUnreachable, RequestRejected):
        return None


def fetch(path: str, **query: str | int | list[str]) -> Any:
    """Return the content of a response, None if there is none.

    Shows a note if the content is old, and an error if the API is down or rejects the request.
    """
    try:
        response = api_client().get(path, **query)
    except ApiUnreachable as error:
        st.error(describe_error(error), icon=OFFLINE_ICON)
        return None
    except NotFound:
        return None
    except RequestRejected as error:
        st.warning(describe_error(error), icon=":material/block:")
        return None
    if response.problem and not _is_api_down():
        age = format_age(datetime.now(UTC) - response.fetched_at)
        problem = escape_markdown(response.problem, MAX_SENTENCE_CHARACTERS)
        st.caption(f":orange-badge[{tr('{age} old', age=age)}] {problem}")
    return response.content


def list_coins() -> list[dict[str, Any]] | None:
    """Return the best-ranked coins with their newest prices, None if the API never answered."""
    coins = get_content("/coins", limit=MAX_COINS)
    return list(coins["items"]) if coins else None


@st.fragment(run_every=WAIT_SECONDS)
def wait_for_prices() -> None:
    """Run the whole page again once there are prices to show, and coins to choose from."""
    if has_prices() and list_coins():  # the API answers each request from its own cache
        st.rerun()


def get_summary() -> ApiResponse:
    """Return the figures of the header line. Raises ApiUnreachable and RequestRejected."""
    return api_client().get(SUMMARY_PATH)


def _is_api_down() -> bool:
    """Return whether the top of the page already says that all data is old."""
    try:
        return get_summary().problem is not None
    except (ApiUnreachable, RequestRejected):
        return True


def has_prices() -> bool:
    """Return whether any price was ever stored; the header line says why there is none."""
    try:
        return get_summary().content["newest_observation"] is not None
    except (ApiUnreachable, RequestRejected):
        return False


def has_old_prices() -> bool:
    """Return whether the page should show prices as old ones."""
    if _is_api_down():
        return True
    problems = get_summary().content["problems"]
    return any(problem["name"] == FRESHNESS for problem in problems)


def send_star(coin_id: str, *, is_starred: bool) -> None:
    """Star a coin, or remove its star. Raises ApiUnreachable and RequestRejected."""
    try:
        path = f"/coins/{quote_segment(coin_id)}/star"
        api_client().send("PUT" if is_starred else "DELETE", path)
    except NotFound:
        if is_starred:
            raise
        # In another window the star was removed already.


def describe_error(error: ApiUnreachable | RequestRejected) -> str:
    """Return an error and what to do about it, as Markdown."""
    message = _FIELD.sub(r"\1: ", str(error))
    if "SENTINEL_API_TOKEN" in message:
        return tr(
            "Set the same `SENTINEL_API_TOKEN` for the API and the dashboard, then restart both."
        )
    text = describe_message(message)
    if isinstance(error, ApiUnreachable):
        advice = tr(
            "Start the API with `make up` or `make api`, or set `SENTINEL_API_URL`. This page "
            "retries by itself."
        )
        return f"{text} {advice}"
    return text


def describe_message(message: str) -> str:
    """Return a message of the API as Markdown, without an amount that the viewer hides."""
    if st.session_state.get("hide_amounts") and "held only" in message:
        return tr("Nothing was changed: more coins would leave the wallet than it holds.")
    return escape_markdown(message, MAX_SENTENCE_CHARACTERS)
