"""The pages Status and Trust: what they show, and what they say where something is missing."""

from __future__ import annotations

import itertools
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from sentinel.analytics.forecast_band import COVERAGE
from sentinel.site.page_figures import PROMISED_COVERAGE
from sentinel.site.site_files import SiteFigures, render_site
from sentinel.site.status import Incident, Status, Trust
from sentinel.site.svg import WIDTH
from tests.support.site import (
    HOUR,
    NOW,
    make_full_figures,
    make_full_status,
    make_monitor_status,
    make_status,
)
from tests.support.site_parts import make_trust

VOID = {"meta", "link"}
INLINE = {"a", "b", "bdi", "code", "time"}
HOSTILE = "<script>alert(1)</script>\u202e" + "x" * 200


class Page(HTMLParser):
    """One page: its visible text, its tags, and whether they are nested well."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(content.decode())
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._separate(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._separate(tag)

    def _separate(self, tag: str) -> None:
        self.texts.append("" if tag in INLINE else " ")

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.texts.append(data)

    def count(self, tag: str, **attributes: str) -> int:
        """Return how many tags have these attributes; `class_` is the class."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return sum(name == tag and wanted.items() <= found.items() for name, found in self.tags)


def show(figures: SiteFigures | Status, name: str = "index.html") -> Page:
    whole = figures if isinstance(figures, SiteFigures) else SiteFigures(figures)
    return Page(render_site(whole)[name])


@pytest.fixture(scope="module")
def full() -> dict[str, Page]:
    files = render_site(make_full_figures())
    return {name: Page(content) for name, content in files.items() if name.endswith(".html")}


def test_the_status_page_shows_every_part(full: dict[str, Page]) -> None:
    text = full["index.html"].text
    for part in (
        "Prices arrive, with 1 warning The newest price came 20 Nov, 11:53.",
        "Rejections: More coins than usual fail",
        "The monitor, 20 Nov, 11:36: All is well",
        "Longest silence 3 h 11 min from 18 Nov, 12:00",
        "58.2 h used, 91.4 h projected of 100.0 h Resets 1 Dec, 00:00. Limit by neon.com",
        "1,071 used, 1,650 projected; no limit",
        "212 Found after more than 24 hours: CoinGecko has only hourly prices left. 98 coins",
        "Pax Gold Old PAXG: CoinGecko left the coin out of its response since 17 Nov, 12:00; next",
        "kaspa active again",
        "231 No price. null_price, the newest 20 Nov, 11:54",
        "289 MB of 500 MB (57.9%) Full in never: each day drops as much as it adds",
        "112 bytes, with its indexes",
        "CoinGecko unavailable ✓ over CoinGecko did not answer 6 runs in a row.",
        "Powered by CoinGecko",
    ):
        assert part in text


def test_the_trust_page_shows_the_monitors_figures_with_their_source(full: dict[str, Page]) -> None:
    text = full["trust.html"].text
    for part in (
        "Forecasts against “no change” by the monitor, 20 Nov, 11:36",
        "Band held, wild hours 74.1%",
        "no change” being 1 0.998",
        "no edge The line predicts no better than expecting no change.",
        "Raised 1.87 ✓ kept",
        "Caught by an alert 36 of 41 Missed 5 Alerts without a fall 22",
        "Alerts of the last 7 days ▽ BTC fell by 6.1% (panic) 20 Nov, 07:00",
        "Size 61 MB Rows 2,409,011",
        "Seeds 200, from 1 to 200 Simulated 30 days each Commit 2f5446c",
    ):
        assert part in text
    assert "old when this page was made" not in text


def test_each_page_has_one_main_heading_and_no_level_is_skipped(full: dict[str, Page]) -> None:
    for page in full.values():
        levels = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3", "h4"}]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        labels = {found["aria-labelledby"] for tag, found in page.tags if tag == "section"}
        assert labels <= {found.get("id") for tag, found in page.tags if tag == "h2"}
        graphics = [found for tag, found in page.tags if tag == "svg" and "role" in found]
        assert all(found["aria-label"] for found in graphics)


def test_a_slot_is_drawn_as_delivered_backfilled_or_open_and_named_in_words() -> None:
    schedule = make_full_status().schedule
    assert schedule is not None
    hour = schedule.hours[-1].model_copy(update={"expected": 4, "delivered": 2, "backfilled": 1})
    future = hour.model_copy(update={"expected": 0, "delivered": 0, "backfilled": 0})
    own = schedule.model_copy(update={"hours": [hour, future], "days": []})
    page = show(make_full_status(schedule=own))
    for kind in ("delivered", "backfilled", "open"):
        assert page.count("rect", class_=kind) == 2  # one of the legend, one of the hour
    labels = [found.get("aria-label") for tag, found in page.tags if tag == "svg"]
    assert "Slots by the hour. 2 of 4 delivered, 1 backfilled, 1 open" in labels


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"newest_price_at": None, "newest_run_at": None}, "No prices yet The database holds no"),
        ({}, "The slots could not be read from the database, or it holds no run yet."),
        ({}, "The gaps could not be read from the database."),
        ({}, "The rejected entries could not be read from the database."),
        ({}, "The size of the database could not be read."),
        ({}, "No quota is metered here: no run has been recorded this month."),
        ({"maker": "monitor"}, "The monitor runs without a schedule."),
        ({"gaps": [], "rejections": []}, "No gap is open."),
        ({"state": "unhealthy", "checks": []}, "✕ Unhealthy The newest price came"),
    ],
)
def test_the_status_page_says_what_is_missing(changed: dict[str, Any], words: str) -> None:
    assert words in show(make_status(**changed)).text


def test_the_trust_page_says_how_to_get_what_is_missing() -> None:
    text = show(make_status(), "trust.html").text
    for command in ("SENTINEL_PUBLISH_URL", "ALERT_URLS", "./backup_db.sh", "SENTINEL_NIGHTLY"):
        assert command in text


def test_an_incident_that_goes_on_is_the_headline() -> None:
    incident = Incident(
        incident="coingecko_unavailable",
        source="schedule",
        began_at=NOW - HOUR,
        ended_at=None,
        summary="CoinGecko does not answer.",
    )
    text = show(make_status(state="unhealthy", incidents=[incident])).text
    assert "An incident goes on: CoinGecko unavailable The newest price" in text
    assert "CoinGecko unavailable, since 20 Nov, 11:00: CoinGecko does not answer." in text


def test_an_old_document_of_the_other_half_is_marked() -> None:
    other = make_monitor_status(generated_at=NOW - timedelta(hours=4))
    text = show(SiteFigures(make_status(), other=other), "trust.html").text
    assert "The newest figures of the monitor were 4 h old when this page was made." in text


def test_the_fresher_document_gives_each_part_of_the_trust_figures() -> None:
    own = make_trust()
    assert own.backup is not None
    older = own.backup.model_copy(update={"rows": 7})
    other = make_monitor_status(trust=Trust(forecasts=[], alerts=None, backup=older))
    ahead = other.model_copy(update={"generated_at": NOW + HOUR})
    for document in (other, ahead):
        text = show(SiteFigures(make_status(trust=own), other=document), "trust.html").text
        assert "Rows 2,409,011" in text
    text = show(SiteFigures(make_status(), other=other), "trust.html").text
    assert "Rows 7" in text


def test_impossible_figures_of_the_other_half_draw_no_negative_size() -> None:
    trust = make_trust()
    assert trust.alerts is not None
    week = trust.alerts.weeks[0].model_copy(update={"alerts": -5})
    alerts = trust.alerts.model_copy(update={"weeks": [week], "target_rate": -1.0, "caught": -3})
    forecast = trust.forecasts[0].model_copy(update={"coverage": 1e18, "coverage_wild": -2.0})
    other = make_monitor_status(
        trust=Trust(forecasts=[forecast], alerts=alerts, backup=trust.backup)
    )
    page = show(SiteFigures(make_status(), other=other), "trust.html")
    sizes = [found for tag, found in page.tags if tag == "rect"]
    assert all(0 <= float(each["width"] or 0) <= WIDTH for each in sizes)
    assert all(0 <= float(each["height"] or 0) <= WIDTH for each in sizes)


def test_hostile_names_stay_text() -> None:
    registry = make_full_status().registry
    coin = registry.inactive_coins[0].model_copy(update={"name": HOSTILE, "reason": HOSTILE})
    hostile = registry.model_copy(update={"inactive_coins": [coin]})
    page = show(make_full_status(registry=hostile))
    assert HOSTILE in page.text
    assert [found for tag, found in page.tags if tag == "script"] == [
        {"src": "site.js", "defer": None}
    ]


def test_the_promised_coverage_is_that_of_the_forecasts() -> None:
    assert PROMISED_COVERAGE == COVERAGE
