"""What every page begins with: the feed that all viewers share, and how fresh it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from services.dashboard.feed import Answer, Feed, Missing, Refused, Unavailable
from services.dashboard.viewer import Choice, Viewer
from services.dashboard.words import LONGEST_SENTENCE, plain
from services.settings import Monitor, load_monitor

REFRESH_SECONDS = 10.0
MISSED_RUNS = 2  # fewer are a price's own age: CoinGecko's are up to a minute or two old


@st.cache_resource
def monitor() -> Monitor:
    """The settings, read once."""
    return load_monitor()


@st.cache_resource
def feed() -> Feed:
    """The API, for all viewers together."""
    found = monitor()
    return Feed(found.api_url, found.api_token)


def see(choice: Choice) -> Viewer:
    """A viewer just now: a page that draws itself anew must not keep the time and rate it was
    opened at."""
    try:
        rate = feed().get("/rates").content["idr_per_usd"]
    except (Unavailable, Refused):
        rate = None
    return Viewer(choice, rate, datetime.now(UTC))


def ask(path: str, **query: str | int) -> Any:
    """What the API says to a path; None where there is no such thing, and, with an explanation,
    where it never answered or refuses."""
    try:
        answer = feed().get(path, **query)
    except Unavailable as silence:
        st.error(advice(silence), icon=":material/cloud_off:")
        return None
    except Missing:
        return None
    except Refused as refusal:
        st.warning(advice(refusal), icon=":material/block:")
        return None
    return answer.content


def show_freshness(viewer: Viewer) -> bool:
    """Say how old what follows is; False where there is nothing to show."""
    try:
        answer = feed().get("/health")
    except (Unavailable, Refused):
        ask("/health")
        return False
    found = answer.content
    newest = found["newest_observation"]
    if answer.problem:
        _warn_of_silence(viewer, answer)
    elif newest is None:
        first = next(c["message"] for c in found["checks"].values() if not c["is_ok"])
        st.info(
            f"Nothing to show yet: {plain(first)}. With `make up` the first prices are here within "
            "a minute.",
            icon=":material/hourglass_top:",
        )
        return False
    elif (missed := found["missed_runs"] or 0) >= MISSED_RUNS:
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
    try:
        answer = feed().get("/health")
    except (Unavailable, Refused):
        return True
    return bool(answer.problem) or (answer.content["missed_runs"] or 0) >= MISSED_RUNS


def _warn_of_silence(viewer: Viewer, answer: Answer) -> None:
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
