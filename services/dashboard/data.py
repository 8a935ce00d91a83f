"""What every page begins with: the feed that all viewers share, and how fresh it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from services.dashboard import text as words
from services.dashboard.api_client import (
    HEALTH,
    ApiClient,
    ApiResponse,
    Missing,
    Refused,
    Unavailable,
)
from services.dashboard.formatting import Formatter, Preferences
from services.dashboard.text import LONGEST_SENTENCE, plain
from services.settings import MonitorSettings, load_monitor_settings

REFRESH_SECONDS = 10.0
COINS = 500  # that are listed and offered
WAIT_SECONDS = 5.0
MISSED_RUNS = 2  # fewer are a price's own age: CoinGecko's are up to a minute or two old


@st.cache_resource
def monitor() -> MonitorSettings:
    """The settings, read once."""
    return load_monitor_settings()


@st.cache_resource
def api_client() -> ApiClient:
    """The API, for all viewers together."""
    found = monitor()
    return ApiClient(found.api_url, found.api_token)


def current_formatter(choice: Preferences) -> Formatter:
    """A viewer just now: a page that draws itself anew must not keep the time and rate it was
    opened at."""
    try:
        rate = api_client().get("/rates").content["idr_per_usd"]
    except (Unavailable, Refused):
        rate = None
    return Formatter(choice, rate, datetime.now(UTC))


def fetch(path: str, **query: str | int) -> Any:
    """What the API says to a path, with a note where that is not fresh; None where there is no such
    thing and, with an explanation, where it never answered or refuses."""
    try:
        answer = api_client().get(path, **query)
    except Unavailable as silence:
        st.error(advice(silence), icon=":material/cloud_off:")
        return None
    except Missing:
        return None
    except Refused as refusal:
        st.warning(advice(refusal), icon=":material/block:")
        return None
    if answer.problem and not _is_silent():
        age = words.age(datetime.now(UTC) - answer.fetched_at)
        st.caption(f":orange-badge[{age} old] {plain(answer.problem, LONGEST_SENTENCE)}")
    return answer.content


def coins() -> list[dict[str, Any]] | None:
    """The best ranked coins with their newest prices; None where the API never told."""
    try:
        found: list[dict[str, Any]] = api_client().get("/coins", limit=COINS).content["items"]
    except (Unavailable, Refused):
        return None
    return found


@st.fragment(run_every=WAIT_SECONDS)
def wait_for_coins() -> None:
    """Draw the whole page anew once there are coins to choose from."""
    if coins():
        st.rerun()


def _is_silent() -> bool:
    """Whether the page says already that all of it is old."""
    try:
        return api_client().get(HEALTH).problem is not None
    except (Unavailable, Refused):
        return True


def show_freshness(viewer: Formatter) -> bool:
    """Say how old what follows is; False where there is nothing to show."""
    try:
        answer = api_client().get(HEALTH)
    except (Unavailable, Refused) as trouble:
        st.error(advice(trouble), icon=":material/cloud_off:")
        return False
    found = answer.content
    newest = found["newest_observation"]
    if answer.problem:
        _warn_of_silence(viewer, answer)
        return newest is not None
    if newest is None:
        ill = [check["message"] for check in found["checks"].values() if not check["is_ok"]]
        st.info(
            f"Nothing to show yet: {plain('; '.join(ill[:1]), LONGEST_SENTENCE)}. With `make up` "
            "the first prices are here within a minute.",
            icon=":material/hourglass_top:",
        )
        return False
    if (missed := found["missed_runs"] or 0) >= MISSED_RUNS:
        st.warning(
            f"As of {viewer.at(newest)} ({viewer.zone.key}), {missed} runs missed: what follows is "
            f"{viewer.age(newest)} old.",
            icon=":material/schedule:",
        )
    else:
        st.caption(
            f":green-badge[:material/check: live] newest price {viewer.age(newest)} old, "
            f"{viewer.at(newest)} {viewer.zone.key}, from CoinGecko"
        )
    return True


def is_stale() -> bool:
    """Whether prices are to be shown as old ones."""
    return _is_silent() or (api_client().get(HEALTH).content["missed_runs"] or 0) >= MISSED_RUNS


def _warn_of_silence(viewer: Formatter, answer: ApiResponse) -> None:
    newest = answer.content["newest_observation"]
    if newest is None:
        st.error(plain(answer.problem, LONGEST_SENTENCE), icon=":material/cloud_off:")
        return
    st.error(
        f"{plain(answer.problem, LONGEST_SENTENCE)} What follows is as of "
        f"{viewer.at(answer.fetched_at)} ({viewer.age(answer.fetched_at)} ago).",
        icon=":material/cloud_off:",
    )


def advice(trouble: Unavailable | Refused) -> str:
    """What to do about it, as Markdown."""
    text = str(trouble)
    if "SENTINEL_API_TOKEN" in text:
        return "Set the same `SENTINEL_API_TOKEN` for API and dashboard, and start both again."
    if isinstance(trouble, Unavailable):
        return (
            f"{plain(text, LONGEST_SENTENCE)} Start it with `make up` or `make api`, or set "
            "`SENTINEL_API_URL`. This page tries again by itself."
        )
    return plain(text, LONGEST_SENTENCE)
